//! The ledger contains everything that a run spends, exactly once.
#![allow(
    unsafe_code,
    reason = "wait4 says what a program used, and has no safe form in the standard library"
)]

use std::process::Stdio;

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, command, number, object, run};

/// Runs the program with `arguments`: its exit code, and the processor time that the system measured, including the
/// programs it started.
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
            // The ledger does not cover loading and ending the program, which take longer on a slow or busy machine.
            assert!(
                (seen_s - booked_s).abs() < 0.03 * seen_s + 0.03,
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
    // The last step of pretraining ends below this limit, and its evaluation exceeds it.
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

fn cost(arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["cost"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    let mut lines = run(&all).expect(0).json_lines();
    assert_eq!(lines.len(), 1, "one object");
    lines.remove(0)
}

#[test]
fn presets_cost_what_was_published() {
    let v3 = cost(&["--preset", "deepseek-v3"]);
    assert_eq!((&v3["device_hours_total"], &v3["cost_usd_total"]), (&2.788e6.into(), &5.576e6.into()));
    assert_eq!((&v3["device"], &v3["price_usd_per_hour"]), (&"h800".into(), &2.0.into()));
    assert!((number(&v3, "mfu") - 0.39).abs() < 0.002);
    assert_eq!(cost(&["--preset", "deepseek-r1"])["cost_usd_total"], 294_000.0);
    let elsewhere = cost(&["--preset", "deepseek-r1", "--device", "h20"]);
    assert!(number(&elsewhere, "device_hours_total") > 6.0 * 147_000.0, "a sixth and less of the peak");
    let text = run(&["cost", "--preset", "deepseek-r1"]).expect(0).stdout;
    assert!(text.contains("294,000") && text.contains("leaves_out"), "{text}");
}

#[test]
fn a_plan_of_a_model_says_what_bounds_it() {
    let planned =
        cost(&["--model", "deepseek-v3", "--device", "h800", "--count", "2048", "--tokens", "14.8e12"]);
    assert!((number(&planned["update"], "device_hours") / 2.664e6 - 1.0).abs() < 0.01);
    for part in ["update", "rollout"] {
        assert!(["memory", "compute"].contains(&planned[part]["bound"].as_str().unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"model_type":"llama","vocab_size":1000,"hidden_size":64,"num_hidden_layers":2,
        "num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":128,"tie_word_embeddings":true}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(number(&cost(&["--model", path]), "parameters_total"), 137_728.0 + 320.0);
}

#[test]
fn mistakes_of_cost_name_what_there_is() {
    for (arguments, words) in [
        (&["--preset", "deepseek-r2"][..], "deepseek-r1-zero"),
        (&["--preset", "deepseek-r1", "--device", "h10"], "did you mean `h100`"),
        (&["--model", "nowhere"], "no such file"),
        (&["no-such-recipe.toml"], "cannot read the recipe"),
        (&["--model", "deepseek-v3", "--tokens", "0"], "above 0"),
        (&["--model", "deepseek-v3", "--efficiency", "2"], "at most 1"),
        (&[], "required"),
    ] {
        let all: Vec<&str> = ["cost"].iter().chain(arguments).copied().collect();
        let output = run(&all).expect(2);
        assert!(output.stderr.contains(words), "{arguments:?}: {}", output.stderr);
        assert!(output.stdout.is_empty());
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["cost", folder.path().to_str().unwrap()]).expect(2);
    assert!(output.stderr.contains("run folder"), "{}", output.stderr);
}

#[test]
fn a_recipe_is_estimated_before_and_its_run_is_told_after() {
    let bench = Bench::new(TINY);
    let recipe = bench.recipe.to_str().unwrap();
    let before = cost(&[recipe]);
    let stages = before["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| &stage["name"]).collect::<Vec<_>>(), ["pretrain", "grpo", "eval"]);
    for row in stages.iter().chain([&before]) {
        for key in ["flops", "peak_memory_bytes", "wall_s", "cost_usd", "tokens"] {
            assert!(number(row, key) > 0.0, "{key} of {row}");
        }
    }
    assert_eq!(before["speed_is_measured"], true);
    let settings = ["--set", "stage.grpo.flat_groups=keep"];
    let run_folder = bench.trained("run", &settings);
    let after = cost(&[run_folder.0.to_str().unwrap()]);
    assert_eq!(after, run_folder.json("ledger.json"));
    // The policy decides the lengths of completions; those of documents are known.
    let ratio = number(&stages[0], "flops") / sum(&after["stages"]["pretrain"]["flops"]);
    assert!((0.5..2.0).contains(&ratio), "pretrain: estimate over run {ratio}");
    let output = run(&["cost", run_folder.0.to_str().unwrap(), "--device", "h100"]).expect(2);
    assert!(output.stderr.contains("recipe.toml"));
    assert!(number(&cost(&[recipe, "--device", "h100"]), "wall_s") > 0.0);
}

#[test]
fn presets_and_devices_are_listed() {
    for (what, known) in [("presets", "deepseek-r1-zero"), ("devices", "ascend-910b")] {
        let rows = run(&["list", what, "--json"]).expect(0).json_lines();
        assert!(rows.iter().any(|row| row["name"] == known), "{what}");
        assert!(run(&["list", what]).expect(0).stdout.lines().count() == rows.len());
    }
    let devices = run(&["list", "devices", "--json"]).expect(0).json_lines();
    assert!(devices.iter().any(|row| row["name"] == "cpu" && number(row, "peak_flops") > 1e9));
}

/// Events that count float32 operations, and the operations of one count.
const COUNTERS: [&[(&str, f64)]; 2] = [
    &[("fp_ret_sse_avx_ops.all", 1.0)],
    &[
        ("fp_arith_inst_retired.scalar_single", 1.0),
        ("fp_arith_inst_retired.128b_packed_single", 4.0),
        ("fp_arith_inst_retired.256b_packed_single", 8.0),
        ("fp_arith_inst_retired.512b_packed_single", 16.0),
    ],
];

/// The counts of `events` while the program trains; `None` if `perf` cannot count them.
fn hardware_count(events: &[(&str, f64)], arguments: &[String]) -> Option<f64> {
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    let output = std::process::Command::new("perf")
        .args(["stat", "-x", ",", "-e", &names.join(","), "--", env!("CARGO_BIN_EXE_thinkling")])
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = |name: &str| -> Option<f64> {
        text.lines().find(|line| line.contains(name))?.split(',').next()?.parse().ok()
    };
    events.iter().map(|(name, weight)| Some(count(name)? * weight)).sum()
}

/// Run with `cargo test --release --test integration -- --ignored --nocapture hardware`, on a machine with a usable
/// `perf`; many virtual machines have none.
#[test]
#[ignore = "needs a processor that lets perf count floating-point operations"]
fn a_hardware_counter_sees_the_operations_in_the_books() {
    for (number_of_try, events) in COUNTERS.into_iter().enumerate() {
        let bench = Bench::new(TINY);
        let out = format!("run-{number_of_try}");
        let Some(seen) = hardware_count(events, &bench.arguments(&out, &["--threads", "1"])) else {
            println!("skipped: perf does not offer {events:?}");
            continue;
        };
        let total = &Folder(bench.path(&out)).json("ledger.json")["total"];
        let share = number(total, "hardware_flops_total") / seen;
        println!("{share} of the operations that {events:?} counted are products in the books");
        // The rest is elementwise work, padding of panels, and the measurement of the peak at the start.
        assert!((0.2..=1.01).contains(&share), "{share}");
    }
}
