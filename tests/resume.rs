//! A run that is killed at any moment and resumed ends as if nothing had happened.
#![allow(clippy::disallowed_methods, reason = "a kill comes at a time")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, command, finish, number, run};

/// A checkpoint after every step, so that the program is probably writing one when it is killed.
const EVERY_STEP: [&str; 4] = ["--set", "stage.pretrain.save_every=1", "--set", "stage.grpo.save_every=1"];

/// A few numbers that look random, the same in every run of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn spawn(bench: &Bench, out: &str, more: &[&str]) -> Child {
    let arguments = bench.arguments(out, more);
    command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads standard error up to a line that contains `text`, and discards the rest.
fn wait_for(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the program ended without saying {text:?}");
    }
    std::thread::spawn(move || drop(lines.read_to_end(&mut Vec::new())));
}

fn signal(child: &Child, signal: i32) {
    let status = std::process::Command::new("kill")
        .args([format!("-{signal}"), child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Kills a run repeatedly, `pause` after it has opened its folder, and resumes it until it is done; returns the number
/// of kills.
fn kill_until_done(
    bench: &Bench,
    out: &str,
    settings: &[&str],
    mut pause: impl FnMut(u32) -> Duration,
) -> u32 {
    let resume: Vec<&str> = settings.iter().copied().chain(["--resume"]).collect();
    for attempt in 0.. {
        assert!(attempt < 200, "the run makes no progress");
        let is_there = bench.path(out).join("manifest.json").exists();
        let mut child = spawn(bench, out, if is_there { &resume } else { settings });
        wait_for(&mut child, "run folder:");
        let deadline = Instant::now() + pause(attempt);
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "attempt {attempt}: {status}");
                return attempt;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    unreachable!("the loop ends by returning")
}

/// Every row once, and the steps of each stage in order and complete.
fn assert_no_gap_and_no_repeat(folder: &Folder) {
    let mut seen = BTreeSet::new();
    let mut last: Option<(String, u64)> = None;
    for row in folder.rows("metrics.jsonl") {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let step = row["step"].as_u64().unwrap();
        assert!(seen.insert((text("stage"), text("kind"), step, text("task"))), "twice: {row}");
        if row["kind"] == "eval" {
            continue;
        }
        let expected = match &last {
            Some((stage, step)) if *stage == text("stage") => step + 1,
            _ => 1,
        };
        assert_eq!(step, expected, "{row}");
        last = Some((text("stage"), step));
    }
}

fn redone(folder: &Folder) -> Value {
    folder.json("ledger.json")["total"]["flops"]["redone"].clone()
}

#[test]
fn killed_at_any_moment_a_run_ends_as_if_it_had_not_been() {
    let bench = Bench::new(TINY);
    let started = Instant::now();
    let whole = bench.trained("whole", &EVERY_STEP);
    let micros = started.elapsed().as_micros() as u64;
    assert_no_gap_and_no_repeat(&whole);
    assert_eq!(redone(&whole), Value::Null);
    let mut random = Random(20_260);
    for round in 0..3 {
        let out = format!("killed-{round}");
        // As parts of the time of a whole run here, sometimes longer, so that a busy machine makes progress.
        let kills = kill_until_done(&bench, &out, &EVERY_STEP, |attempt| {
            Duration::from_micros(micros / 40 + random.below(micros / 4) + micros / 50 * u64::from(attempt))
        });
        assert!(kills >= 2, "killed only {kills} times: shorten the pauses");
        let killed = Folder(bench.path(&out));
        assert_no_gap_and_no_repeat(&killed);
        killed.assert_same_but_for_what_was_lost(&whole, "eval-1");
        assert_eq!(killed.json("summary.json")["status"], "done");
        let manifest = killed.json("manifest.json");
        let resumes = manifest["resumes"].as_array().unwrap();
        assert_eq!(resumes.len(), kills as usize);
        for key in ["instruction_set", "precision_instructions"] {
            assert!(
                manifest[key].is_string() && resumes.iter().all(|resume| resume[key] == manifest[key]),
                "{key}"
            );
        }
    }
}

#[test]
fn killed_between_rare_checkpoints_it_pays_twice_and_ends_the_same() {
    let bench = Bench::new(TINY);
    let whole = bench.trained("whole", &[]);
    let mut child = spawn(&bench, "killed", &[]);
    // Step 12 is between the checkpoints of steps 7 and 14.
    wait_for_rows(&bench.path("killed"), 12);
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = bench.trained("killed", &["--resume"]);
    assert_no_gap_and_no_repeat(&killed);
    killed.assert_same_but_for_what_was_lost(&whole, "eval-1");
    assert!(redone(&killed).as_f64().unwrap() > 0.0);
    let spent = |folder: &Folder, key: &str| number(&folder.json("ledger.json")["total"]["flops"], key);
    assert_eq!(spent(&killed, "forward"), spent(&whole, "forward"), "work that counts is counted once");
}

/// Waits until `metrics.jsonl` has at least `rows` lines.
fn wait_for_rows(run: &Path, rows: usize) {
    wait_until(|| {
        fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() >= rows)
    });
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_signal_between_two_stages_ends_the_run_there() {
    let bench = Bench::new(TINY);
    let settings = ["--set", "stage.pretrain.evaluation.count=4000"];
    let mut child = spawn(&bench, "run", &settings);
    wait_for_rows(&bench.path("run"), 42);
    // The last step is done, its checkpoint is not: the stage is being measured.
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, 15);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stopped = Folder(bench.path("run"));
    assert!(stopped.metrics("grpo", "eval").is_empty(), "the next stage was begun");
    assert_eq!(stopped.json("summary.json")["status"], "interrupted");
    let resumed = bench.trained("run", &[&settings[..], &["--resume"]].concat());
    resumed.assert_same_as(&bench.trained("whole", &settings), "eval-1");
}

#[test]
fn a_signal_leaves_a_checkpoint_and_130_and_the_resumed_run_ends_the_same() {
    let bench = Bench::new(TINY);
    let whole = bench.trained("whole", &[]);
    for (name, number, rows) in [("int", 2, 3), ("term", 15, 10), ("late", 15, 44)] {
        let mut child = command(&bench.arguments(name, &[]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_rows(&bench.path(name), rows);
        signal(&child, number);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        finish(child);
        let stopped = Folder(bench.path(name));
        assert_eq!(stopped.json("summary.json")["status"], "interrupted");
        let before = stopped.rows("metrics.jsonl");
        assert!(!stopped.checkpoints().is_empty());
        let resumed = bench.trained(name, &["--resume"]);
        assert_eq!(
            resumed.rows("metrics.jsonl")[..before.len()],
            before[..],
            "{name}: a checkpoint came first"
        );
        assert_no_gap_and_no_repeat(&resumed);
        resumed.assert_same_as(&whole, "eval-1");
        let lost = redone(&resumed).as_f64().unwrap_or(0.0);
        assert_eq!(lost, 0.0, "{name}: nothing was lost to a signal");
    }
}

#[test]
fn a_run_that_was_interrupted_when_it_could_stop_early_still_stops_there() {
    let bench = Bench::new(TINY);
    // Any reward suffices after one step, and many questions before it give the signal time to arrive.
    let settings = [
        "--set",
        "stage.pretrain.steps=1",
        "--set",
        "stage.grpo.early_stop={reward=0.0, window=1}",
        "--set",
        "stage.grpo.evaluation.count=4000",
    ];
    let whole = bench.trained("whole", &settings);
    assert_eq!(whole.metrics("grpo", "grpo").len(), 1);
    let mut child = spawn(&bench, "stopped", &settings);
    wait_for(&mut child, "pretrain 1:");
    // The measured stage is finished, and the next one measures its many questions.
    let closed = bench.path("stopped/checkpoints/pretrain-1/state.json");
    wait_until(|| fs::read_to_string(&closed).is_ok_and(|state| state.contains("\"stage\": 1")));
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, 15);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stopped = Folder(bench.path("stopped"));
    assert_eq!(
        stopped.metrics("grpo", "grpo").len(),
        1,
        "the signal came too early: {:?}",
        stopped.checkpoints()
    );
    // As many steps as the stage before, which must not prevent a checkpoint.
    assert!(stopped.checkpoints().contains(&"grpo-1".to_owned()));
    let resumed = bench.trained("stopped", &[&settings[..], &["--resume"]].concat());
    resumed.assert_same_as(&whole, "eval-1");
}

#[test]
fn what_a_crash_left_half_removed_or_half_written_is_passed_over() {
    let bench = Bench::new(TINY);
    let run = bench.trained("run", &[]);
    let metrics = run.read("metrics.jsonl");
    let checkpoints = run.checkpoints();
    fs::create_dir(run.0.join("checkpoints/.unfinished-eval-2")).unwrap();
    fs::write(run.0.join("checkpoints/.unfinished-eval-2/model.safetensors"), "half").unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(run.0.join("metrics.jsonl"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"{\"stage\":\"eval\",\"st"))
        .unwrap();
    let again = bench.trained("run", &["--resume"]);
    assert_eq!((again.read("metrics.jsonl"), again.checkpoints()), (metrics, checkpoints));
}

#[test]
fn a_resume_starts_a_run_that_is_not_there() {
    let bench = Bench::new(TINY);
    let started = bench.trained("started", &["--resume"]);
    started.assert_same_as(&bench.trained("whole", &[]), "eval-1");
}

#[test]
fn a_run_whose_budget_was_spent_goes_on_with_a_larger_one() {
    let bench = Bench::new(TINY);
    let whole = bench.trained("whole", &[]);
    bench.train("run", &["--set", "budget.tokens=3000"]).expect(0);
    let folder = Folder(bench.path("run"));
    assert_eq!(folder.json("summary.json")["status"], "budget");
    let resumed = bench.trained("run", &["--resume"]);
    assert_no_gap_and_no_repeat(&resumed);
    resumed.assert_same_as(&whole, "eval-1");
}

#[test]
fn only_one_process_writes_to_a_run() {
    let bench = Bench::new(TINY);
    let mut child = spawn(&bench, "run", &["--set", "stage.pretrain.steps=20000"]);
    wait_for(&mut child, "run folder:");
    let refused = run(&bench.arguments("run", &["--set", "stage.pretrain.steps=20000", "--resume"]));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(refused.expect(2).stderr.contains("another process"));
}
