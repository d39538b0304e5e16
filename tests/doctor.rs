//! `thinkling doctor` on the command line, and the alarms of a run.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::program::{Bench, Output, TINY, run};

/// A recipe of the repository.
fn shipped(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("recipes").join(name).to_str().unwrap().to_owned()
}

fn doctor(recipe: &str, more: &[&str]) -> Output {
    run(&[&["doctor", recipe, "--json"], more].concat())
}

/// The findings with this severity.
fn told(output: &Output, severity: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    for finding in findings {
        assert!(!text(finding, "seen").is_empty(), "{finding}");
        assert!(finding["severity"] == "ok" || !text(finding, "change").is_empty(), "no remedy: {finding}");
    }
    let chosen: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == severity).collect();
    assert_eq!(report[format!("{severity}s")], json!(chosen.len()));
    chosen.into_iter().map(|finding| (text(finding, "name"), text(finding, "stage"))).collect()
}

#[test]
fn shipped_recipes_are_sound() {
    for name in ["quickstart.toml", "addition.toml", "smoke.toml"] {
        let output = doctor(&shipped(name), &[]).expect(0);
        assert_eq!(told(&output, "error"), [], "{name}");
        assert_eq!(output.stdout.lines().count(), 1, "one object and nothing else");
        let text = run(&["doctor", &shipped(name)]).expect(0).stdout;
        for word in ["16 completions", "processor time", "parameters", "free", "0 errors"] {
            assert!(text.contains(word) || name == "smoke.toml", "{name}: no {word} in\n{text}");
        }
    }
}

#[test]
fn planted_mistakes_are_found_and_each_is_told_once() {
    for (mistake, name, stage) in [
        ("stage.grpo.max_new_tokens=20", "truncation", "grpo"),
        ("stage.grpo.max_new_tokens=4", "answer_format", "grpo"),
        ("stage.grpo.rewards=[{ term = \"format\", weight = 1.0 }]", "flat_rewards", "grpo"),
        ("stage.grpo.learning_rate=0.03", "learning_rate", "grpo"),
        ("stage.pretrain.learning_rate=0.3", "learning_rate", "pretrain"),
        ("stage.pretrain.steps=10", "readiness", "grpo"),
        ("task.level=4", "duplicates", "grpo"),
    ] {
        let output = doctor(&shipped("quickstart.toml"), &["--set", mistake]).expect(1);
        assert_eq!(told(&output, "error"), [(name.to_owned(), stage.to_owned())], "{mistake}");
    }
    let dead = ["--set", "model.n_routed_experts=256", "--set", "stage.pretrain.bias_update_speed=0.0"];
    let output = doctor(&shipped("quickstart.toml"), &dead).expect(1);
    assert_eq!(told(&output, "error"), [("experts".to_owned(), "pretrain".to_owned())]);
}

#[test]
fn a_group_of_one_is_a_finding_and_a_mistake_of_the_recipe() {
    let output = doctor(&shipped("quickstart.toml"), &["--set", "stage.grpo.group_size=1"]).expect(2);
    assert_eq!(told(&output, "error"), [("group".to_owned(), String::new())]);
    assert!(output.stderr.contains("group_size"), "{}", output.stderr);
    let output = doctor(&shipped("quickstart.toml"), &["--set", "task.level=1000"]).expect(2);
    assert_eq!(told(&output, "error"), [("recipe".to_owned(), String::new())]);
}

/// Rewrites a file of a checkpoint and its hash.
fn rewrite(checkpoint: &Path, name: &str, change: impl Fn(&mut Value)) {
    let path = checkpoint.join(name);
    let mut content: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut content);
    let bytes = serde_json::to_vec(&content).unwrap();
    fs::write(&path, &bytes).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let sums = fs::read_to_string(checkpoint.join("SHA256SUMS")).unwrap();
    let replaced = |line: &str| match line.split_once("  ") {
        Some((_, of)) if of == name => format!("{hash}  {name}\n"),
        _ => format!("{line}\n"),
    };
    fs::write(checkpoint.join("SHA256SUMS"), sums.lines().map(replaced).collect::<String>()).unwrap();
}

#[test]
fn a_base_model_is_asked_and_one_with_another_end_token_is_refused() {
    let bench = Bench::new(TINY);
    let run_folder = bench.trained("run", &[]);
    let (recipe, model) = (bench.recipe.to_str().unwrap(), run_folder.0.to_str().unwrap());
    // It has hardly learned to answer, so thinking cannot be better than guessing.
    let output = doctor(recipe, &["--base", model]).expect(1);
    assert_eq!(told(&output, "error"), [("readiness".to_owned(), "grpo".to_owned())]);
    // Another task's symbols are not in its alphabet.
    let output = doctor(&shipped("addition.toml"), &["--base", model]).expect(1);
    assert_eq!(told(&output, "error"), [("answer_format".to_owned(), "grpo".to_owned())]);

    let checkpoint = run_folder.0.join("checkpoints/eval-1");
    let end_token = [("end_token".to_owned(), "grpo".to_owned())];
    let whole = fs::read(checkpoint.join("config.json")).unwrap();
    rewrite(&checkpoint, "config.json", |config| config["eos_token_id"] = json!(2));
    assert_eq!(told(&doctor(recipe, &["--base", model]).expect(1), "error"), end_token);
    rewrite(&checkpoint, "config.json", |config| *config = serde_json::from_slice(&whole).unwrap());
    assert_ne!(told(&doctor(recipe, &["--base", model]).expect(1), "error"), end_token);
    rewrite(&checkpoint, "tokenizer.json", |tokenizer| {
        let vocabulary = &mut tokenizer["model"]["vocab"];
        (vocabulary["<end>"], vocabulary["<pad>"]) = (json!(0), json!(5));
    });
    let output = doctor(recipe, &["--base", model]).expect(1);
    assert_eq!(told(&output, "error"), end_token);
    assert!(output.stdout.contains("id 0"), "{}", output.stdout);

    let output = run(&["doctor", recipe, "--base", "/nonexistent"]).expect(2);
    assert!(output.stderr.contains("checkpoint"), "{}", output.stderr);
}

#[test]
fn alarms_are_in_the_rows_the_log_and_the_summary_and_survive_a_resume() {
    // Eight tokens are too few for a chain of six bits: most completions with thinking are cut off.
    let recipe = TINY.replace("shares = { direct = 0.9, long = 0.1 }", "shares = { long = 1.0 }");
    let bench = Bench::new(&recipe);
    let short = ["--set", "stage.grpo.max_new_tokens=8"];
    let whole = bench.train("whole", &short).expect(0);
    let onset = "alarm: grpo 5: truncation: ";
    assert_eq!(whole.stderr.matches(onset).count(), 1, "{}", whole.stderr);
    assert_eq!(whole.stderr.matches(": truncation: ").count(), 1, "once an onset: {}", whole.stderr);
    assert!(whole.stderr.contains("raise max_new_tokens"), "{}", whole.stderr);
    let folder = crate::program::Folder(bench.path("whole"));
    let steps = folder.metrics("grpo", "grpo");
    let is_on = |row: &Value| row["alarms"].as_array().unwrap().contains(&json!("truncation"));
    assert_eq!(steps.iter().map(is_on).collect::<Vec<_>>(), [false, false, false, false, true, true]);
    let raised = folder.json("summary.json")["alarms"].clone();
    let raised: Vec<&Value> =
        raised.as_array().unwrap().iter().filter(|alarm| alarm["name"] == "truncation").collect();
    assert_eq!((&raised[0]["first_step"], &raised[0]["onsets"]), (&json!(5), &json!(1)));

    // The same run, stopped by its budget and resumed, has the same rows.
    let generated = |step: usize| steps[step]["tokens_generated"].as_u64().unwrap();
    let trained = steps[3]["tokens_trained"].as_u64().unwrap();
    let budget = format!("budget.tokens={}", generated(3) + trained);
    bench.train("cut", &[&short[..], &["--set", &budget]].concat()).expect(0);
    let cut = crate::program::Folder(bench.path("cut"));
    assert_eq!(cut.json("summary.json")["status"], "budget");
    bench.train("cut", &[&short[..], &["--resume"]].concat()).expect(0);
    let alarms = |rows: &[Value]| rows.iter().map(|row| row["alarms"].clone()).collect::<Vec<_>>();
    assert_eq!(alarms(&cut.metrics("grpo", "grpo")), alarms(&steps));
    assert_eq!(cut.json("summary.json")["alarms"], folder.json("summary.json")["alarms"]);
}
