//! What a hostile or careless outside does to the program: limits, signals, crafted files, absurd sizes. What needs root
//! or strace is in `torture.py`.
#![cfg(unix)]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::program::{Bench, Folder, TINY, command, finish, run, run_on_bytes};

fn signal(child: &std::process::Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_signal_in_a_long_measurement_is_answered_in_two_seconds_and_loses_no_step() {
    let bench = Bench::new(TINY);
    let whole = bench.trained("whole", &[]);
    // A step of pretraining, a stage's first and last measurement, and a stage that only measures.
    for (key, rows) in [
        ("stage.pretrain.evaluation.count", 15),
        ("stage.grpo.evaluation.count", 44),
        ("stage.eval.count", 53),
    ] {
        let settings = ["--set", &format!("{key}=3000000"), "--threads", "1"];
        let run_path = bench.path(key);
        let child = command(&bench.arguments(key, &settings))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let metrics = run_path.join("metrics.jsonl");
        wait_until(|| fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() >= rows - 1));
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        signal(&child, "-TERM");
        let output = finish(child);
        let took = asked.elapsed();
        let output = output.expect(130);
        assert!(took < Duration::from_secs(4), "{key}: answered after {took:?}");
        assert!(output.stderr.contains("interrupted: "), "{}", output.stderr);
        assert_eq!(output.stdout.trim(), run_path.to_str().unwrap());
        let stopped = Folder(run_path);
        assert_eq!(stopped.json("summary.json")["status"], "interrupted");
        // The recipe may not change on a resume, so only the place of the checkpoint is compared.
        let steps = stopped.rows("metrics.jsonl").iter().filter(|row| row["kind"] == "pretrain").count();
        let newest = stopped.checkpoints();
        assert!(
            newest.contains(&format!("pretrain-{steps}"))
                || newest.contains(&format!("pretrain-{}", steps - 1)),
            "{key}: {steps} steps, {newest:?}"
        );
        for name in newest.iter().filter(|name| whole.checkpoints().contains(name)) {
            let name = format!("checkpoints/{name}/model.safetensors");
            assert!(stopped.bytes(&name) == whole.bytes(&name), "{key}: {name} differs");
        }
    }
}

#[test]
fn a_step_that_a_signal_gave_up_is_made_again_with_the_same_bits() {
    let bench = Bench::new(TINY);
    // Each update reads so many rows that the step lasts some seconds.
    let long =
        ["--set", "stage.pretrain.batch_size=60000", "--set", "stage.pretrain.steps=2", "--threads", "1"];
    let whole = bench.trained("whole", &long);
    let child = command(&bench.arguments("run", &long))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = bench.path("run/metrics.jsonl");
    wait_until(|| fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() >= 1));
    signal(&child, "-INT");
    finish(child).expect(130);
    let stopped = Folder(bench.path("run"));
    assert!(
        stopped.checkpoints().iter().any(|name| name.starts_with("pretrain-")),
        "{:?}",
        stopped.checkpoints()
    );
    bench
        .trained("run", &[&long[..], &["--resume"]].concat())
        .assert_same_but_for_what_was_lost(&whole, "eval-1");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_a_name() {
    let bench = Bench::new(TINY);
    let arguments: Vec<String> = bench.arguments("run", &[]);
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_thinkling")])
        .args(&arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("File too large") && told.contains("run/"), "{told}");
}

#[test]
fn what_cannot_fit_is_told_by_check_and_refused_by_train() {
    let bench = Bench::new(TINY);
    let recipe = bench.recipe.to_str().unwrap().to_owned();
    let wide = ["--set", "model.hidden_size=65536", "--set", "model.intermediate_size=1048576"];
    let checked = run(&[&["check", &recipe], &wide[..]].concat()).expect(0);
    assert!(checked.stdout.contains("# warning: `train` will refuse this here"), "{}", checked.stdout);
    let refused = bench.train("run", &wide).expect(2);
    for told in ["memory", "this machine has", "`model.hidden_size`"] {
        assert!(refused.stderr.contains(told), "no {told} in {}", refused.stderr);
    }
    assert!(!bench.path("run").exists());
    for (setting, told) in [
        ("stage.grpo.evaluation.count=100000000000", "at most 1000000000"),
        ("stage.grpo.pool={size=1000000000000}", "at most 1000000000"),
        ("stage.grpo.evaluation.count=1000000000", "`stage.grpo.evaluation.count`"),
        ("stage.grpo.pool={size=1000000000}", "`stage.grpo.pool.size`"),
    ] {
        let refused = bench.train("run", &["--set", setting]).expect(2);
        assert!(refused.stderr.contains(told), "{setting}: {}", refused.stderr);
    }
}

#[test]
fn a_name_too_long_for_a_folder_is_a_mistake_of_the_recipe() {
    let bench = Bench::new(TINY);
    let name = "x".repeat(250);
    for key in ["name", "stage.grpo.name"] {
        let refused = bench.train("run", &["--set", &format!("{key}={name}")]).expect(2);
        assert!(refused.stderr.contains("at most 100 letters"), "{}", refused.stderr);
    }
    bench.trained("run", &["--set", &format!("stage.eval.name={}", "x".repeat(100))]);
}

#[test]
fn a_recipe_with_thousands_of_unknown_keys_is_read_in_a_moment() {
    let keys = |table: &str| (0..16_000).map(|at| format!("{table}k{at} = 1\n")).collect::<String>();
    let stages = (0..3000).map(|_| "[[stage]]\nkind = \"eval\"\n").collect::<String>();
    for text in
        [keys(""), TINY.replace("level = 6", &format!("level = 6\n{}", keys(""))), keys("model."), stages]
    {
        let bench = Bench::new(&text);
        let started = Instant::now();
        run(&["check", bench.recipe.to_str().unwrap()]).expect(2);
        // 11 seconds when the time was quadratic; here for a busy machine.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}

#[test]
fn a_line_of_score_is_bounded() {
    let bench = Bench::new(TINY);
    let model = bench.trained("run", &[]).0;
    let mut input = vec![b'x'; (64 << 20) + 10];
    input.extend_from_slice(b"\n{\"id\": 1, \"prompt\": \"0\", \"completion\": \"1\"}\n");
    let output = run_on_bytes(&["score", model.to_str().unwrap()], &input).expect(1);
    let lines = output.json_lines();
    assert_eq!((&lines[0]["line"], &lines[0]["error"]), (&json!(1), &json!("longer than 64 MiB")));
    assert_eq!((lines.len(), &lines[1]["id"]), (2, &json!(1)));
}

#[test]
fn a_crafted_model_gives_one_error_and_no_allocation() {
    let bench = Bench::new(TINY);
    let run_folder = bench.trained("run", &[]).0;
    let folder = run_folder.join("checkpoints/eval-1");
    let config: Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let sizes: Vec<String> = config
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_u64())
        .map(|(key, _)| key.clone())
        .collect();
    assert!(sizes.len() > 10);
    for key in &sizes {
        for value in [0, 1, 3, 1 << 16, 1 << 20, 1 << 40, i64::MAX as u64, u64::MAX] {
            let mut crafted = config.clone();
            let was = crafted[key].clone();
            crafted[key] = value.into();
            // What another kind of attention or a model without experts would read is not looked at.
            let is_meant = key == "num_experts_per_tok" && (1..=4).contains(&value);
            if was == crafted[key] || is_meant || ["num_key_value_heads", "head_dim"].contains(&key.as_str())
            {
                continue;
            }
            fs::write(folder.join("config.json"), crafted.to_string()).unwrap();
            write_sums(&folder);
            let model = folder.to_str().unwrap();
            let output = Command::new("sh")
                .args(["-c", "ulimit -v 3000000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_thinkling")])
                .args(["sample", model, "--task", "parity", "--level", "6", "-n", "1"])
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{key} = {value}: {told}");
            assert_eq!(told.trim().lines().count(), 1, "{key} = {value}: {told}");
            assert!(told.starts_with("error: the checkpoint"), "{key} = {value}: {told}");
        }
    }
}

/// Writes the hashes of the files in `folder` as they are now.
fn write_sums(folder: &std::path::Path) {
    let names = crate::program::names(folder);
    let sums: String = names
        .iter()
        .filter(|name| *name != "SHA256SUMS")
        .map(|name| {
            let sum = Sha256::digest(fs::read(folder.join(name)).unwrap());
            let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}  {name}\n")
        })
        .collect();
    fs::write(folder.join("SHA256SUMS"), sums).unwrap();
}
