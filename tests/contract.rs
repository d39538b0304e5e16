//! The files of a run folder, as other programs read them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::program::{Bench, Folder, TINY, names, number, object, run};

const EVERY_ROW: [&str; 8] =
    ["stage", "kind", "step", "wall_s", "tokens_trained", "tokens_generated", "flops", "cost_usd"];
const TRAINING_ROW: [&str; 5] = ["lr", "loss", "grad_norm", "tokens_per_s", "mfu"];
const GRPO_ROW: [&str; 14] = [
    "reward_mean",
    "reward_std",
    "accuracy",
    "length_mean",
    "length_max",
    "truncated_share",
    "format_rate",
    "entropy",
    "ratio_max",
    "clip_low_share",
    "clip_high_share",
    "groups_used_share",
    "expert_load_max_over_mean",
    "reflection_rate",
];
const EVAL_ROW: [&str; 6] = ["task", "level", "accuracy", "pass_at_k", "length_mean", "count"];
const WORK: [&str; 13] = [
    "startup",
    "data",
    "rollout_prefill",
    "rollout_decode",
    "reference",
    "forward",
    "backward",
    "optimizer",
    "verifier",
    "eval",
    "checkpoint",
    "records",
    "redone",
];

#[track_caller]
fn assert_has(row: &Value, keys: &[&str]) {
    for key in keys {
        assert!(row.get(key).is_some_and(|value| !value.is_null()), "no `{key}` in {row}");
    }
}

#[test]
fn a_run_folder_holds_what_it_should() {
    let bench = Bench::new(TINY);
    let output = bench.train("run", &["--set", "seed=9", "--set", "stage.grpo.flat_groups=keep"]).expect(0);
    let folder = Folder(bench.path("run"));
    assert_eq!(output.stdout, format!("{}\n", folder.0.display()), "results only on standard output");
    assert!(output.stderr.contains("grpo") && !output.stderr.contains('\x1b'), "no colour off a terminal");

    for name in [
        "recipe.toml",
        "manifest.json",
        "metrics.jsonl",
        "rollouts.jsonl",
        "ledger.json",
        "summary.json",
        "checkpoints",
    ] {
        assert!(folder.0.join(name).exists(), "{name}");
    }
    manifest_names_what_made_the_run(&folder);
    metrics_have_their_fields(&folder);
    rollouts_can_be_read(&folder);
    checkpoints_are_complete(&folder);

    let summary = folder.json("summary.json");
    assert_eq!(summary["status"], "done");
    assert_has(&summary, &["metrics", "ledger"]);
    assert_eq!(summary["ledger"], folder.json("ledger.json")["total"]);
    let last = folder.rows("metrics.jsonl").pop().unwrap();
    assert_eq!(summary["metrics"]["eval.eval"], last, "the final metrics are the last rows");
}

fn manifest_names_what_made_the_run(folder: &Folder) {
    let manifest = folder.json("manifest.json");
    assert_has(&manifest, &["version", "seed", "threads", "device", "cpu", "started", "recipe_hash"]);
    assert_eq!(manifest["seed"], 9);
    let recipe = folder.0.join("recipe.toml");
    let check = run(&["check", recipe.to_str().unwrap(), "--json"]).expect(0);
    let check = &check.json_lines()[0];
    assert_eq!(check["recipe_hash"], manifest["recipe_hash"], "the resolved recipe is the recipe");
    assert_eq!(check["recipe"]["seed"], 9);
    assert_eq!(check["recipe"]["stage"][1]["flat_groups"], "keep");
    assert_eq!(check["recipe"]["stage"][1]["clip_low"], 0.2, "defaults are filled in");
}

fn metrics_have_their_fields(folder: &Folder) {
    let rows = folder.rows("metrics.jsonl");
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["eval", "grpo", "pretrain"]));
    for row in &rows {
        assert_has(row, &EVERY_ROW);
        match row["kind"].as_str().unwrap() {
            "eval" => {
                assert_has(row, &EVAL_ROW);
                object(&row["pass_at_k"]);
                assert_eq!(row.get("maj_at_k").is_some(), number(row, "samples") > 1.0, "{row}");
                assert_eq!(number(row, "accuracy"), number(&row["pass_at_k"], "1"));
            }
            "grpo" => {
                assert_has(row, &TRAINING_ROW);
                assert_has(row, &GRPO_ROW);
                assert!(row.get("kl").is_none(), "no reference, no divergence");
            }
            _ => assert_has(row, &TRAINING_ROW),
        }
        for share in ["accuracy", "truncated_share", "format_rate", "groups_used_share", "clip_low_share"] {
            if let Some(share) = row.get(share) {
                assert!((0.0..=1.0).contains(&share.as_f64().unwrap()), "{row}");
            }
        }
    }
    for key in ["wall_s", "tokens_trained", "tokens_generated", "flops", "cost_usd"] {
        let grows = rows.windows(2).all(|pair| number(&pair[0], key) <= number(&pair[1], key));
        assert!(grows, "`{key}` is a running total");
    }
    assert_eq!(folder.metrics("pretrain", "pretrain").len(), 40);
    assert_eq!(folder.metrics("grpo", "grpo").len(), 6);
    let steps = |stage: &str| -> Vec<u64> {
        folder.metrics(stage, "eval").iter().map(|row| row["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("pretrain"), [15, 30, 40]);
    assert_eq!(steps("grpo"), [0, 3, 6]);
    assert_eq!(steps("eval"), [1]);
}

fn rollouts_can_be_read(folder: &Folder) {
    let rows = folder.rows("rollouts.jsonl");
    assert_eq!(rows.len(), 6 * 4, "`log.rollouts_per_step` of each step");
    for row in rows {
        assert_has(&row, &["stage", "step", "prompt", "completion", "verdict", "reward", "advantage"]);
    }
}

fn checkpoints_are_complete(folder: &Folder) {
    assert_eq!(folder.checkpoints(), ["eval-1", "grpo-4", "grpo-6", "pretrain-35", "pretrain-40"]);
    for checkpoint in folder.checkpoints() {
        let path = folder.0.join("checkpoints").join(checkpoint);
        let sums = fs::read_to_string(path.join("SHA256SUMS")).unwrap();
        let mut listed = vec!["SHA256SUMS".to_owned()];
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let digest = Sha256::digest(fs::read(path.join(name)).unwrap());
            assert_eq!(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), sum, "{name}");
            listed.push(name.to_owned());
        }
        listed.sort();
        assert_eq!(listed, names(&path), "every file has its sum");
        for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            assert!(listed.contains(&name.to_owned()), "{name}");
        }
    }
}

#[test]
fn the_books_add_up() {
    let bench = Bench::new(TINY);
    let folder = bench.trained("run", &["--set", "prices.usd_per_core_hour=0.5"]);
    let ledger = folder.json("ledger.json");
    let stages = object(&ledger["stages"]);
    assert_eq!(stages.keys().map(String::as_str).collect::<Vec<_>>(), ["pretrain", "grpo", "eval"]);
    for account in stages.values().chain([&ledger["total"]]) {
        assert_has(
            account,
            &["flops", "wall_s", "tokens", "core_hours", "cost_usd", "verifier_calls", "correct"],
        );
        for by_work in ["flops", "wall_s", "tokens"] {
            for (work, amount) in object(&account[by_work]) {
                assert!(WORK.contains(&work.as_str()), "{work}");
                assert!(amount.as_f64().unwrap() >= 0.0);
            }
        }
        let price = number(account, "usd_per_core_hour");
        assert_eq!(price, 0.5);
        assert!((number(account, "cost_usd") - number(account, "core_hours") * price).abs() < 1e-12);
        let correct = number(account, "correct");
        assert_eq!(account.get("cost_per_correct_usd").is_some(), correct > 0.0);
    }
    for by_work in ["flops", "tokens", "wall_s"] {
        for (work, total) in object(&ledger["total"][by_work]) {
            let sum: f64 = stages.values().filter_map(|account| account[by_work][work].as_f64()).sum();
            let total = total.as_f64().unwrap();
            assert!((sum - total).abs() <= 1e-9 * total.abs(), "{by_work} of {work}: {sum} and {total}");
        }
    }
    assert_eq!(number(&ledger["total"], "verifier_calls"), 6.0 * 16.0);
    for (stage, work) in [
        ("pretrain", &["forward", "backward", "optimizer", "eval", "checkpoint"][..]),
        ("grpo", &["rollout_prefill", "rollout_decode", "verifier", "forward", "backward", "eval"]),
        ("eval", &["eval"]),
    ] {
        for work in work {
            assert!(number(&stages[stage]["wall_s"], work) > 0.0, "{stage}: {work}");
        }
    }
    // The totals of the last row do not include the last checkpoint.
    let last = folder.rows("metrics.jsonl").pop().unwrap();
    assert!(number(&last, "cost_usd") <= number(&ledger["total"], "cost_usd"));
    let flops: f64 = object(&ledger["total"]["flops"]).values().filter_map(Value::as_f64).sum();
    assert!((number(&last, "flops") - flops).abs() <= 1e-9 * flops, "{} and {flops}", last["flops"]);
}

#[test]
fn without_a_name_runs_are_numbered() {
    let bench = Bench::new(TINY);
    let short = ["--set", "stage.pretrain.steps=1", "--set", "stage.grpo.steps=1", "--set", "name=a.b_c-1"];
    for number in 1..=2 {
        let arguments: Vec<&str> =
            ["train", bench.recipe.to_str().unwrap()].into_iter().chain(short).collect();
        let folder = bench.recipe.parent().unwrap();
        let output = crate::program::command(&arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = format!("runs/a.b_c-1-{number}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{path}\n"));
        assert!(folder.join(path).join("summary.json").exists());
    }
}

#[test]
fn a_finished_run_resumed_has_nothing_to_do() {
    let bench = Bench::new(TINY);
    let before = bench.trained("run", &[]);
    let story = (before.read("metrics.jsonl"), before.read("rollouts.jsonl"), before.checkpoints());
    let after = bench.trained("run", &["--resume"]);
    assert_eq!((after.read("metrics.jsonl"), after.read("rollouts.jsonl"), after.checkpoints()), story);
}

#[test]
fn the_shipped_recipes_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let names = names(&folder);
    for name in [
        "quickstart.toml",
        "addition.toml",
        "multiplication.toml",
        "countdown.toml",
        "program.toml",
        "hanoi.toml",
        "hanoi_moves.toml",
        "smoke.toml",
    ] {
        assert!(names.iter().any(|there| there == name), "{name}");
    }
    let schema: Value = serde_json::from_str(&run(&["schema"]).expect(0).stdout).unwrap();
    // Compiling also checks the schema itself.
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("recipe.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("recipe.json", &mut schemas).expect("the schema is valid");
    for name in &names {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let recipe: Value = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
        assert!(
            schemas.validate(&recipe, schema).is_ok(),
            "{name}: {}",
            schemas.validate(&recipe, schema).unwrap_err()
        );
        let mut mistaken = recipe.clone();
        mistaken["sead"] = 3.into();
        assert!(schemas.validate(&mistaken, schema).is_err(), "the schema refuses unknown keys");
        mistaken = recipe;
        mistaken["stage"][0]["kind"] = "pretrian".into();
        assert!(schemas.validate(&mistaken, schema).is_err(), "the schema refuses unknown kinds");
        let check = run(&["check", folder.join(name).to_str().unwrap(), "--json"]).expect(0);
        let check = check.json_lines().pop().unwrap();
        assert_has(
            &check,
            &["parameters_total", "parameters_active", "flops", "cost_usd", "peak_memory_bytes", "recipe"],
        );
        assert!(number(&check, "parameters_active") <= number(&check, "parameters_total"));
        for stage in check["stages"].as_array().unwrap() {
            assert_has(stage, &["flops", "peak_memory_bytes", "wall_s", "cost_usd", "tokens"]);
            assert!(number(stage, "flops") > 0.0);
        }
    }
}

#[test]
fn what_check_expects_bounds_what_a_run_takes() {
    let bench = Bench::new(TINY);
    let folder = bench.trained("run", &["--set", "stage.grpo.flat_groups=keep"]);
    let check =
        run(&["check", bench.recipe.to_str().unwrap(), "--set", "stage.grpo.flat_groups=keep", "--json"]);
    let check = check.expect(0).json_lines().pop().unwrap();
    for stage in check["stages"].as_array().unwrap() {
        let expected = number(stage, "flops");
        let name = stage["name"].as_str().unwrap();
        let books = &folder.json("ledger.json")["stages"][name]["flops"];
        let spent: f64 = object(books).values().filter_map(Value::as_f64).sum();
        assert!((0.1..2.0).contains(&(spent / expected)), "{name}: expected {expected}, spent {spent}");
    }
}
