//! The books: everything that a run spends is in them, once.
#![allow(
    unsafe_code,
    reason = "wait4 says what a program used, and has no safe form in the standard library"
)]

use std::process::Stdio;

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, command, number, object};

/// Runs the program with `arguments` to its end: its exit code, and the processor time that the system saw, that of the
/// programs it ran included.
#[allow(clippy::zombie_processes, reason = "wait4 waits for it")]
fn watched(arguments: &[String]) -> (Option<i32>, f64) {
    let child = command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    // SAFETY: both pointers are valid for what wait4 fills, and zeros are a valid `rusage`.
    let usage = unsafe {
        let waited = libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr());
        assert_eq!(waited, child.id() as libc::pid_t);
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    (code, seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

fn recipe(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn sum(value: &Value) -> f64 {
    object(value).values().map(|part| part.as_f64().unwrap()).sum()
}

#[test]
fn the_ledger_sums_to_what_the_system_saw() {
    let short = ["--set", "stage.pretrain.steps=25", "--set", "stage.grpo.steps=2"];
    let soft = ["--set", "stage.grpo.readiness.action=off", "--set", "stage.eval.count=32"];
    let few = ["--set", "stage.pretrain.evaluation.count=32", "--set", "stage.grpo.evaluation.count=32"];
    let quickstart: Vec<&str> = short.into_iter().chain(soft).chain(few).collect();
    for (name, settings) in [("smoke.toml", &[][..]), ("quickstart.toml", &quickstart)] {
        for threads in ["1", "2"] {
            let bench = Bench::new(&recipe(name));
            let more: Vec<&str> = settings.iter().copied().chain(["--threads", threads]).collect();
            let (code, seen_s) = watched(&bench.arguments("run", &more));
            assert_eq!(code, Some(0), "{name}");
            let ledger = Folder(bench.path("run")).json("ledger.json");
            let booked_s = sum(&ledger["total"]["cpu_s"]);
            let share = booked_s / seen_s;
            assert!(
                (share - 1.0).abs() < 0.03,
                "{name}, {threads} threads: {booked_s} of {seen_s} s are booked"
            );
            let by_stage: f64 = object(&ledger["stages"]).values().map(|stage| sum(&stage["cpu_s"])).sum();
            assert!((by_stage / booked_s - 1.0).abs() < 1e-9);
            assert!((number(&ledger["total"], "core_hours") * 3600.0 / booked_s - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn time_on_the_wall_is_whole_too_and_what_keeps_the_books_is_little() {
    let bench = Bench::new(&recipe("quickstart.toml"));
    let settings = ["--set", "stage.pretrain.steps=40", "--set", "budget.tokens=30000", "--threads", "1"];
    bench.train("run", &settings).expect(0);
    let run = Folder(bench.path("run"));
    let ledger = run.json("ledger.json");
    let last = run.rows("metrics.jsonl").last().map(|row| number(row, "wall_s")).unwrap();
    let wall_s = sum(&ledger["total"]["wall_s"]);
    assert!(wall_s >= last && wall_s < last + 1.0, "{wall_s} booked, the last row came at {last}");
    let pretrain = &ledger["stages"]["pretrain"]["cpu_s"];
    let share = number(pretrain, "records") / sum(pretrain);
    assert!(share < 0.1, "records take {share} of the stage");
}

#[test]
fn each_budget_stops_within_a_step_and_leaves_a_checkpoint() {
    for (settings, words) in [
        (&["budget.dollars=1e-7"][..], "dollars"),
        (&["budget.flops=1e6"], "FLOPs"),
        (&["budget.minutes=1e-4"], "minutes"),
        (&["budget.tokens=3000"], "tokens"),
        (&["budget.joules=0.1", "prices.watts=50"], "joules"),
    ] {
        let bench = Bench::new(TINY);
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let output = bench.train("run", &arguments).expect(0);
        assert!(output.stderr.contains(words), "{}", output.stderr);
        let folder = Folder(bench.path("run"));
        assert_eq!(folder.json("summary.json")["status"], "budget", "{words}");
        let steps = folder.metrics("pretrain", "pretrain").len();
        assert!(
            folder.checkpoints().contains(&format!("pretrain-{steps}")),
            "{words}: {:?}",
            folder.checkpoints()
        );
        assert!(steps < 40, "{words}: {steps} steps");
        if words == "joules" {
            let total = &folder.json("ledger.json")["total"];
            assert!(number(total, "energy_j") >= 0.1);
            assert_eq!(total["energy_source"], "tdp_estimate");
        }
    }
}

#[test]
fn a_budget_that_measuring_spends_stops_the_run_between_two_stages() {
    let bench = Bench::new(TINY);
    // The last step of pretraining ends below this, and its evaluation lies beyond.
    let before = bench.trained("whole", &[]);
    let flops = number(before.metrics("pretrain", "pretrain").last().unwrap(), "flops");
    let budget = format!("budget.flops={}", flops * 1.0001);
    bench.train("run", &["--set", &budget]).expect(0);
    let run = Folder(bench.path("run"));
    assert_eq!(run.json("summary.json")["status"], "budget");
    assert!(run.metrics("grpo", "eval").is_empty() && run.metrics("grpo", "grpo").is_empty());
    bench.trained("run", &["--resume"]).assert_same_as(&before, "eval-1");
}

#[test]
fn a_budget_of_joules_needs_a_way_to_know_them() {
    if std::fs::read_dir("/sys/class/powercap").is_ok_and(|mut entries| entries.next().is_some()) {
        return;
    }
    let bench = Bench::new(TINY);
    let output = bench.train("run", &["--set", "budget.joules=5"]).expect(2);
    assert!(output.stderr.contains("prices.watts"), "{}", output.stderr);
    assert!(!bench.path("run").exists());
}

#[test]
fn killed_and_resumed_the_books_hold_both_and_clean_stops_redo_nothing() {
    let bench = Bench::new(TINY);
    let rare = ["--set", "stage.pretrain.save_every=1000", "--set", "stage.pretrain.steps=400"];
    let mut child =
        command(&bench.arguments("run", &rare)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let metrics = bench.path("run/metrics.jsonl");
    while !std::fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() >= 60) {
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lost: Value = serde_json::from_slice(&std::fs::read(bench.path("run/.books.json")).unwrap()).unwrap();
    let lost_flops: f64 = lost["stages"][0][1]["work"]
        .as_object()
        .unwrap()
        .values()
        .map(|spent| spent["flops"].as_f64().unwrap())
        .sum();
    let resumed = bench.trained("run", &[&rare[..], &["--resume"]].concat());
    let whole = bench.trained("whole", &rare);
    let flops = |folder: &Folder| folder.json("ledger.json")["total"]["flops"].clone();
    let (resumed, whole) = (flops(&resumed), flops(&whole));
    assert_eq!(number(&resumed, "redone"), lost_flops, "what was lost is in its own row");
    assert!((sum(&resumed) - lost_flops - sum(&whole)).abs() < 1.0, "and everything else is counted once");
    let bench = Bench::new(TINY);
    bench.train("run", &["--set", "budget.tokens=3000"]).expect(0);
    let ledger = bench.trained("run", &["--resume"]).json("ledger.json");
    assert_eq!(ledger["total"]["cpu_s"].get("redone"), None, "a clean stop loses nothing");
}
