//! Several tasks in one stage, levels that rise, repeated questions, and questions from a file.
#![allow(clippy::disallowed_methods, reason = "a kill comes at a time")]

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Bench, Folder, TINY, command, number, object, run};

/// The small recipe with a mixture in its first two stages, and a threshold so low that levels rise within a few steps.
fn mixed() -> String {
    let tasks = |weight: f64| {
        format!(
            "tasks = [{{ name = \"parity\", weight = {weight}, curriculum = {{ first = 4, last = 8, step = 2, bar = 0.01 }} }}, \
             {{ name = \"letter_counting\", levels = [3, 4] }}]\n"
        )
    };
    let rise = tasks(2.0) + "evaluate_every = 2\nsave_every = 1\n";
    let mut text = TINY
        .replace(
            "save_every = 7\nevaluate_every = 15\n",
            &(tasks(1.0) + "evaluate_every = 15\nsave_every = 7\n"),
        )
        .replace("save_every = 2\nevaluate_every = 3\n", &rise)
        .replace("[task]\nname = \"parity\"\nlevel = 6\n", "task = { name = \"parity\", level = 6 }\n")
        .replace("max_new_tokens = 20", "max_new_tokens = 24\npool = { size = 8, easy = 0.5, tries = 2 }");
    text = text.replacen("steps = 6", "steps = 8", 1);
    text
}

#[test]
fn a_mixture_is_learnt_measured_and_counted_task_by_task() {
    let bench = Bench::new(&mixed());
    let run = bench.trained("run", &["--threads", "1"]);
    let rows = run.metrics("grpo", "grpo");
    assert_eq!(rows.len(), 8);
    let levels: Vec<u64> = rows.iter().map(|row| row["levels"]["parity"].as_u64().unwrap()).collect();
    assert!(levels.is_sorted() && levels[0] == 4 && levels[7] > 4, "{levels:?}");
    assert!(rows.iter().all(|row| row["pool_solved"].is_u64() && row["pool_given_up"].is_u64()));
    let asked: Vec<&String> = rows.iter().flat_map(|row| object(&row["accuracy_by_task"]).keys()).collect();
    for task in ["parity", "letter_counting"] {
        assert!(asked.iter().any(|name| *name == task), "{task} was never asked");
    }
    // Each evaluation measures every task once: the current level, and every level that does not rise.
    for step in [0, 2, 4, 6, 8] {
        let measured = run.metrics("grpo", "eval");
        let measured: Vec<(&str, u64)> = measured
            .iter()
            .filter(|row| row["step"] == step)
            .map(|row| (row["task"].as_str().unwrap(), row["level"].as_u64().unwrap()))
            .collect();
        assert_eq!(measured.len(), 3, "step {step}: {measured:?}");
        assert_eq!(measured[1..], [("letter_counting", 3), ("letter_counting", 4)]);
    }
    for row in run.rows("rollouts.jsonl") {
        assert!(row["task"].as_str().unwrap().contains("/train/"), "{row}");
    }
    let questions = run.json("manifest.json")["questions"].clone();
    assert!(questions.as_array().unwrap().len() >= 5, "{questions}");
    for counted in questions.as_array().unwrap() {
        assert_eq!(counted["shared"], 0, "{counted}");
        assert!(number(counted, "train") > 0.0 && number(counted, "test") > 0.0, "{counted}");
    }
}

#[test]
fn a_mixture_keeps_its_bits_for_any_number_of_threads_and_any_kill() {
    let bench = Bench::new(&mixed());
    let started = Instant::now();
    let whole = bench.trained("whole", &["--threads", "1"]);
    let took = started.elapsed();
    let more = bench.trained("more", &["--threads", "3"]);
    more.assert_same_as(&whole, "eval-1");
    let mut kills = 0;
    for attempt in 1..100 {
        let out = bench.path("killed");
        let resume: &[&str] = if out.join("manifest.json").exists() { &["--resume"] } else { &[] };
        let arguments = bench.arguments("killed", resume);
        let mut child = command(&arguments)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The first value belongs to the first row, even on a fast machine.
        let deadline = Instant::now() + took / 4 + took / 20 * attempt;
        let has_rows = || fs::metadata(out.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if kills == 0 && has_rows() || Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if let Some(status) = status {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 1, "never killed: shorten the pauses");
    Folder(bench.path("killed")).assert_same_but_for_what_was_lost(&whole, "eval-1");
}

#[test]
fn questions_of_a_file_are_learnt_and_measured() {
    let bench = Bench::new("");
    let file = bench.path("sums.jsonl");
    let mut lines = String::new();
    for n in 0..400 {
        let (a, b) = (n / 20, n % 20);
        let line = json!({ "question": format!("{a}+{b}="), "answer": format!("{b}+{a}\n#### {}", a + b) });
        writeln!(lines, "{line}").unwrap();
    }
    fs::write(&file, lines + "{\"question\": \"half a line").unwrap();
    let task = format!("[task]\nname = \"sums\"\nfile = {file:?}\nverifier = \"math\"\n");
    fs::write(&bench.recipe, TINY.replace("[task]\nname = \"parity\"\nlevel = 6\n", &task)).unwrap();
    let output = bench.train("run", &["--set", "stage.grpo.max_new_tokens=24"]).expect(0);
    assert!(output.stderr.contains("sums.jsonl, line 401: not JSON"), "{}", output.stderr);
    let folder = Folder(bench.path("run"));
    assert_eq!(folder.metrics("eval", "eval")[0]["task"], "sums");
    let counted = folder.json("manifest.json")["questions"][0].clone();
    assert_eq!(number(&counted, "train") + number(&counted, "test"), 400.0);
    let model = folder.0.to_str().unwrap();
    let rows = run(&["eval", model, "--task", "sums", "--count", "8", "--json"]).expect(0).json_lines();
    assert_eq!((&rows[0]["task"], &rows[0]["count"]), (&json!("sums"), &json!(8)));
    assert_ne!(rows[0]["accuracy"], Value::Null);
    // A line without a worked solution is reported if all need one.
    let worked = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{{\"prompt\": \"77+7=\", \"answer\": 84}}\n{worked}")).unwrap();
    let recipe = bench.recipe.to_str().unwrap();
    let refused = run(&["check", recipe, "--set", "stage.pretrain.shares={ long = 1 }"]).expect(2).stderr;
    assert!(refused.contains("sums.jsonl, line 1 has no worked solution"), "{refused}");
}
