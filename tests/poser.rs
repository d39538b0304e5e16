//! A user's program poses and judges a whole domain, rightly or wrongly.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{Bench, Folder, TINY, command, names, number, run};

/// The path of the program, if there is a Python to run it.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn poser() -> Option<String> {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3 is not installed");
        println!("skipped: python3 is not installed");
        return None;
    }
    Some(format!("{}/../tests/poser.py", env!("CARGO_MANIFEST_DIR")))
}

/// The small recipe with the program in this mode, and more keys of its task.
fn recipe(poser: &str, mode: &str, more: &str) -> String {
    let task = format!(
        "[task]\nname = \"bits\"\ncommand = [\"python3\", {poser:?}, {mode:?}]\nalphabet = [\"Parity of \"]\n{more}\n"
    );
    TINY.replace("[task]\nname = \"parity\"\nlevel = 6\n", &task)
}

/// A judge that fails on every question that begins with 1: such questions are in no mean.
#[test]
fn what_a_judge_cannot_judge_is_in_no_mean_of_an_evaluation() {
    let Some(poser) = poser() else { return };
    let bench = Bench::new(&recipe(&poser, "moody", "level = 1\nsettings = { width = 7 }"));
    let folder = bench.trained("run", &["--set", "stage.grpo.max_error_share=1"]);
    let measured = folder.metrics("pretrain", "eval");
    assert!(!measured.is_empty());
    for row in &measured {
        assert!(number(row, "errors") < number(row, "count") && row.get("accuracy").is_some(), "{row}");
    }
    let errors = |key: &str| measured.iter().map(|row| number(row, key)).sum::<f64>();
    assert!(errors("errors") > 0.0 && errors("greedy_errors") > 0.0, "{measured:#?}");
    let eval = ["eval", folder.0.to_str().unwrap(), "--task", "bits", "--count", "24"];
    let row = run(&[&eval[..], &["--samples", "2", "--json"]].concat()).expect(0).json_lines()[0].clone();
    assert!(number(&row, "errors") > 0.0 && number(&row, "errors") < 48.0, "{row}");
    let readable = run(&eval).expect(0).stdout;
    assert!(readable.contains("completions could not be judged"), "{readable}");
}

/// The command in the resolved recipe contains the mode; everything else must be equal.
fn trained(poser: &str, mode: &str, threads: &str) -> (Bench, Folder) {
    let bench = Bench::new(&recipe(poser, mode, "level = 1\nsettings = { width = 7 }"));
    let folder = bench.trained("run", &["--threads", threads]);
    (bench, folder)
}

#[test]
fn what_a_program_poses_is_learnt_measured_and_counted() {
    let Some(poser) = poser() else { return };
    let (bench, folder) = trained(&poser, "well", "1");
    let counted = folder.json("manifest.json")["questions"][0].clone();
    assert_eq!(
        (&counted["task"], &counted["level"], &counted["shared"]),
        (&json!("bits"), &json!(1), &json!(0))
    );
    assert!(number(&counted, "train") > 0.0 && number(&counted, "test") > 0.0, "{counted}");
    assert!(counted.get("passed_over").is_none(), "{counted}");
    for row in folder.rows("rollouts.jsonl") {
        assert!(row["task"].as_str().unwrap().starts_with("bits/1/train/"), "{row}");
    }
    assert!(folder.metrics("grpo", "grpo").iter().any(|row| number(row, "accuracy") > 0.0));
    assert!(folder.metrics("grpo", "grpo").iter().all(|row| number(row, "verifier_errors") == 0.0));
    // The hash of its questions is recorded.
    assert!(folder.read("recipe.toml").contains("blake3 = "));

    let (model, path) = (folder.0.to_str().unwrap(), bench.recipe.to_str().unwrap());
    for level in ["1", "2"] {
        let eval = ["eval", model, "--task", "bits", "--level", level, "--count", "8", "--json"];
        let rows = run(&eval).expect(0).json_lines();
        assert_eq!((&rows[0]["task"], &rows[0]["count"]), (&json!("bits"), &json!(8)));
    }
    run(&["sample", model, "--task", "bits", "-n", "1"]).expect(0);
    assert!(run(&["check", path]).expect(0).stdout.contains("command = "));
    run(&["cost", path]).expect(0);
    run(&["audit", path]).expect(0);
    let doctor = run(&["doctor", path]);
    assert!(doctor.code.is_some_and(|code| code < 2), "{}", doctor.stderr);

    let settings = json!({ "command": ["python3", poser, "well"], "settings": { "width": 9 } }).to_string();
    let ask = ["generate", "external", "--count", "3", "--seed", "1", "--settings", &settings];
    let tasks = run(&ask).expect(0).json_lines();
    assert_eq!(tasks.len(), 3);
    assert!(tasks.iter().all(|task| task["spec"]["bits"].as_array().unwrap().len() == 9));
}

#[test]
fn the_bits_are_the_same_for_any_number_of_threads_and_for_a_program_that_dies() {
    let Some(poser) = poser() else { return };
    let (_whole_bench, whole) = trained(&poser, "well", "1");
    let (_more_bench, more) = trained(&poser, "well", "3");
    more.assert_same_as(&whole, "eval-1");
    let (_mortal_bench, mortal) = trained(&poser, "mortal", "2");
    mortal.assert_same_as(&whole, "eval-1");
}

#[test]
fn a_run_that_is_killed_goes_on_with_the_same_questions() {
    let Some(poser) = poser() else { return };
    let (bench, whole) = trained(&poser, "well", "1");
    let newest = |out: &std::path::Path| names(&out.join("checkpoints")).len();
    let out = bench.path("killed");
    let mut child =
        command(&bench.arguments("killed", &[])).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() && !(out.join("checkpoints").exists() && newest(&out) >= 2) {
        assert!(Instant::now() < deadline, "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended before it could be killed");
    // A program with other questions is not the one that the run began with.
    let text = fs::read_to_string(&bench.recipe).unwrap();
    fs::write(&bench.recipe, text.replace("\"well\"", "\"changed\"")).unwrap();
    bench.train("killed", &["--resume"]).expect(2);
    fs::write(&bench.recipe, text).unwrap();
    bench.train("killed", &["--resume"]).expect(0);
    Folder(out).assert_same_but_for_what_was_lost(&whole, "eval-1");
}

#[test]
fn a_program_that_fails_is_told_before_anything_is_made() {
    let Some(poser) = poser() else { return };
    // Only a program that never answers gets a short limit: on a busy machine Python alone takes half a second to
    // start.
    for (mode, limit, told) in [
        ("dead", "time_limit_s = 30.0", &["ended before it answered"][..]),
        ("garbage", "time_limit_s = 30.0", &["missing field `prompt`", "expected {", "Parity of"]),
        ("hangs", "time_limit_s = 0.5", &["did not answer within 0.5 s"]),
        ("always", "time_limit_s = 30.0", &["1 different ones", "split"]),
        ("unsteady", "time_limit_s = 30.0", &["another question when asked again", "PYTHONHASHSEED"]),
        ("unprintable", "time_limit_s = 30.0", &["none of its first 256 questions", "control character"]),
    ] {
        let bench = Bench::new(&recipe(&poser, mode, limit));
        let started = Instant::now();
        let refused = bench.train("run", &[]).expect(2);
        assert!(started.elapsed() < Duration::from_secs(60), "{mode}");
        for part in told.iter().chain(&["poser.py", "recipe.toml:7:11"]) {
            assert!(refused.stderr.contains(part), "{mode}: no {part} in\n{}", refused.stderr);
        }
        assert!(!refused.stderr.contains('\u{1b}'), "{mode}: raw control characters");
        assert_eq!(names(bench.recipe.parent().unwrap()), ["recipe.toml"], "{mode}");
    }
}

#[test]
fn questions_that_cannot_be_asked_are_passed_over_and_counted() {
    let Some(poser) = poser() else { return };
    let bench = Bench::new(&recipe(&poser, "strange", "settings = { width = 9 }"));
    let output =
        bench.train("run", &["--set", "stage.pretrain.steps=3", "--set", "stage.grpo.steps=1"]).expect(0);
    assert!(output.stderr.contains("questions are skipped"), "{}", output.stderr);
    let folder = Folder(bench.path("run"));
    assert!(number(&folder.json("manifest.json")["questions"][0], "passed_over") > 100.0);
    assert!(folder.rows("rollouts.jsonl").iter().all(|row| !row.to_string().contains("u001b")));
}

#[test]
fn every_mistake_around_a_program_is_told_at_once() {
    let text = r#"name = "wrong"
seed = 1
tasks = [
    { name = "a", command = [] },
    { name = "b", command = ["/no/such/poser"] },
    { name = "parity", level = 6, alphabet = ["x"], time_limit_s = 0 },
    { name = "c", command = ["cat"], file = "questions.jsonl", verifier = "math" },
    { name = "d", command = "cat" },
]

[[stage]]
kind = "pretrain"
steps = 3
shares = { direct = 1.0 }
"#;
    let output = run(&["check", Bench::new(text).recipe.to_str().unwrap()]).expect(2);
    for part in ["4:29", "/no/such/poser", "5:29", "6:46", "6:68", "excludes", "7:29", "8:29", "\n7 mistakes"]
    {
        assert!(output.stderr.contains(part), "no {part} in\n{}", output.stderr);
    }
}

#[test]
fn a_missing_reasoning_gym_is_told_with_what_to_install() {
    if poser().is_none() {
        return;
    }
    let bridge = format!("{}/../examples/external/reasoning_gym_bridge.py", env!("CARGO_MANIFEST_DIR"));
    // `-S` and `-I`: a Python without its packages.
    let settings = json!({ "command": ["python3", "-I", "-S", bridge, "chain_sum"] }).to_string();
    let ask = ["generate", "external", "--count", "1", "--seed", "1", "--settings", &settings];
    // With this the bridge does not restart itself, which would drop those two options.
    let refused = command(&ask).env("PYTHONHASHSEED", "0").output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    let error = told.lines().find(|line| line.starts_with("error")).unwrap_or_default();
    assert!(error.contains("pip install reasoning-gym==0.1.25"), "{told}");
}

#[test]
fn the_shipped_recipe_is_sound_whatever_program_poses() {
    let Some(poser) = poser() else { return };
    let recipe = format!("{}/../examples/external/reasoning_gym.toml", env!("CARGO_MANIFEST_DIR"));
    let command = format!("task.command=[\"python3\", {poser:?}, \"well\"]");
    run(&["check", &recipe, "--set", &command]).expect(0);
}
