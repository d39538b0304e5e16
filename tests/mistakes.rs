//! A user's mistakes: each gets a location and help, and the program changes nothing.

use std::fs;

use crate::program::{Bench, Folder, TINY, names, run};

/// Six different mistakes, each with its line and column.
const SIX: &str = r#"name = "six"
seeed = 3

[task]
name = "parrity"
level = 6

[model]
hidden_size = "wide"
attention = "mqa"

[[stage]]
kind = "pretrain"
steps = 0
shares = { direct = 1.0 }

[[stage]]
kind = "grpo"
max_new_tokens = 20
"#;

#[test]
fn a_recipe_tells_all_its_mistakes_at_once_each_at_its_place() {
    let bench = Bench::new(SIX);
    for output in [bench.train("run", &[]), run(&["check", bench.recipe.to_str().unwrap()])] {
        let output = output.expect(2);
        assert_eq!(output.stdout, "");
        let mistakes: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(mistakes.len(), 6, "{}", output.stderr);
        for (place, key) in [
            ("2:1", "seeed"),
            ("5:8", "parrity"),
            ("9:15", "hidden_size"),
            ("10:13", "mqa"),
            ("14:9", "steps"),
            ("17:1", "steps"),
        ] {
            let place = format!("recipe.toml:{place}\n");
            let at = output.stderr.find(&place).unwrap_or_else(|| panic!("no {place} in\n{}", output.stderr));
            let before = output.stderr[..at].lines().rev().find(|line| line.starts_with("error: ")).unwrap();
            assert!(before.contains(key), "{place}: {before}");
        }
        for remedy in ["seed", "parity", "mla", "gqa"] {
            assert!(output.stderr.contains(remedy), "no {remedy} in\n{}", output.stderr);
        }
    }
    assert_eq!(names(bench.recipe.parent().unwrap()), ["recipe.toml"], "nothing may be created");
}

#[test]
fn mistakes_on_the_command_line_are_told_with_those_of_the_file() {
    let bench = Bench::new(&TINY.replace("group_size = 4", "group_size = 1"));
    let output = bench
        .train(
            "run",
            &[
                "--set",
                "stage.grpo.step=3",
                "--set",
                "model.hidden_size=-1",
                "--set",
                "stage.grop.steps=3",
                "--set",
                "seed",
            ],
        )
        .expect(2);
    for told in ["group_size", "step", "hidden_size", "grop", "seed"] {
        assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
    }
    let mistakes = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(mistakes, 5, "{}", output.stderr);
    assert_eq!(names(bench.recipe.parent().unwrap()), ["recipe.toml"]);
}

#[test]
fn a_folder_with_anything_in_it_is_refused_and_left_as_it_is() {
    let bench = Bench::new(TINY);
    let run = bench.trained("run", &["--set", "stage.pretrain.steps=2", "--set", "stage.grpo.steps=1"]);
    let before = (names(&run.0), run.bytes("manifest.json"), run.bytes("metrics.jsonl"));
    let refused = bench.train("run", &[]).expect(2);
    assert!(refused.stderr.contains("--resume") && refused.stderr.contains("--out"), "{}", refused.stderr);
    assert_eq!((names(&run.0), run.bytes("manifest.json"), run.bytes("metrics.jsonl")), before);

    fs::create_dir(bench.path("mine")).unwrap();
    fs::write(bench.path("mine/letter"), "dear reader").unwrap();
    bench.train("mine", &[]).expect(2);
    assert_eq!(names(&bench.path("mine")), ["letter"]);

    bench.train("mine", &["--resume"]).expect(2);
    assert_eq!(names(&bench.path("mine")), ["letter"]);
}

#[test]
fn a_resume_with_another_recipe_names_the_keys_that_differ() {
    let bench = Bench::new(TINY);
    let short = ["--set", "stage.pretrain.steps=2", "--set", "stage.grpo.steps=1"];
    let run = bench.trained("run", &short);
    let before = (names(&run.0), run.bytes("manifest.json"), run.bytes("recipe.toml"));
    let changed = ["--resume", "--set", "stage.grpo.learning_rate=0.5", "--set", "model.hidden_size=32"];
    let refused = bench.train("run", &[&short[..], &changed[..]].concat()).expect(2);
    for told in ["learning_rate", "0.5", "hidden_size", "16", "32"] {
        assert!(refused.stderr.contains(told), "no {told} in\n{}", refused.stderr);
    }
    assert!(!refused.stderr.contains("num_hidden_layers"), "{}", refused.stderr);
    assert_eq!((names(&run.0), run.bytes("manifest.json"), run.bytes("recipe.toml")), before);
    // Threads do not change results, so they may change.
    bench.trained("run", &[&short[..], &["--resume", "--threads", "1"]].concat());
}

#[test]
fn a_damaged_checkpoint_is_named_and_a_resume_goes_on_from_the_one_before_it() {
    let bench = Bench::new(TINY);
    let run = bench.trained("run", &[]);
    let whole = run.bytes("checkpoints/eval-1/model.safetensors");
    for name in ["model.safetensors", "optimizer.safetensors", "state.json", "config.json"] {
        let path = run.0.join("checkpoints/eval-1").join(name);
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 4;
        fs::write(&path, flipped).unwrap();
        // Nobody should measure an older checkpoint than they meant.
        let output = crate::program::run(&["eval", run.0.to_str().unwrap(), "--task", "parity"]).expect(1);
        assert_eq!(output.stdout, "");
        for told in ["eval-1", name, "damaged", "remove"] {
            assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
        }
        let output = bench.train("run", &["--resume"]).expect(0);
        for told in ["eval-1", name, "damaged", "goes on from checkpoint grpo-6"] {
            assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
        }
        assert!(run.bytes("checkpoints/eval-1/model.safetensors") == whole);
        let resumes = run.json("manifest.json")["resumes"].clone();
        let last = resumes.as_array().unwrap().last().unwrap().clone();
        assert!(last["from"] == "grpo-6" && last["problems"][0].as_str().unwrap().contains(name), "{last}");
    }
    for name in names(&run.0.join("checkpoints")) {
        fs::write(run.0.join("checkpoints").join(name).join("SHA256SUMS"), "").unwrap();
    }
    let output = bench.train("run", &["--resume"]).expect(1);
    assert!(output.stderr.contains("no other checkpoint of the run is whole"), "{}", output.stderr);
}

#[test]
fn a_changed_or_lost_journal_never_blocks_a_resume_and_never_goes_unnoticed() {
    let bench = Bench::new(TINY);
    let run = bench.trained("run", &[]);
    for name in ["metrics.jsonl", "rollouts.jsonl"] {
        let path = run.0.join(name);
        let bytes = fs::read(&path).unwrap();
        for (at, bit) in [(100, 1), (100, 7), (bytes.len() - 9, 1), (bytes.len() - 9, 7)] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            let output = bench.train("run", &["--resume"]).expect(0);
            for told in [name, "not what was written", "weights are whole", "put it back"] {
                assert!(output.stderr.contains(told), "no {told} for {at}, {bit} in\n{}", output.stderr);
            }
        }
        fs::remove_file(&path).unwrap();
        let output = bench.train("run", &["--resume"]).expect(0);
        for told in [name, "is missing", "weights are whole", "put it back"] {
            assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
        }
        // The advice of the message works.
        fs::write(&path, &bytes).unwrap();
        assert!(!bench.train("run", &["--resume"]).expect(0).stderr.contains(name));
    }
}

#[test]
fn a_row_that_changed_since_the_checkpoint_before_the_newest_is_made_again() {
    let bench = Bench::new(TINY);
    let whole = bench.trained("whole", &[]);
    bench.train("run", &["--set", "budget.tokens=3000"]).expect(0);
    let run = Folder(bench.path("run"));
    let path = run.0.join("metrics.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 9;
    bytes[at] ^= 128;
    fs::write(&path, bytes).unwrap();
    let output = bench.train("run", &["--resume"]).expect(0);
    for told in ["not what was written", "goes on from checkpoint pretrain-"] {
        assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
    }
    run.assert_same_but_for_what_was_lost(&whole, "eval-1");
}

#[test]
fn a_run_that_has_lost_its_manifest_says_what_to_do_and_goes_on() {
    let bench = Bench::new(TINY);
    let run = bench.trained("run", &[]);
    let model = run.bytes("checkpoints/eval-1/model.safetensors");
    fs::remove_file(run.0.join("manifest.json")).unwrap();
    assert!(bench.train("run", &[]).expect(2).stderr.contains("give --resume to continue it"));
    let output = bench.train("run", &["--resume"]).expect(0);
    assert!(output.stderr.contains("manifest.json was lost: it is written anew"), "{}", output.stderr);
    assert!(run.bytes("checkpoints/eval-1/model.safetensors") == model);
    assert!(!bench.train("run", &["--resume"]).expect(0).stderr.contains("was lost"));
    for name in ["manifest.json", "recipe.toml"] {
        fs::remove_file(run.0.join(name)).unwrap();
    }
    let output = bench.train("run", &["--resume"]).expect(2);
    for told in ["manifest.json", "recipe.toml is lost too", "from a copy", "`eval`"] {
        assert!(output.stderr.contains(told), "no {told} in\n{}", output.stderr);
    }
}

#[test]
fn a_command_line_that_is_wrong_ends_with_2_and_says_what_there_is() {
    for (arguments, told) in [
        (vec!["generate", "party", "--count", "1", "--seed", "1"], "parity"),
        (vec!["generate", "parity", "--count", "1", "--seed", "1", "--level", "1000"], "level"),
        (vec!["verify", "maths"], "exact"),
        (vec!["eval", "/nonexistent", "--task", "parity"], "checkpoint"),
        (vec!["train", "/nonexistent.toml"], "nonexistent"),
        (vec!["frobnicate"], "frobnicate"),
        (vec!["list", "planets"], "tasks"),
    ] {
        let output = run(&arguments).expect(2);
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(output.stderr.contains(told), "{arguments:?}: {}", output.stderr);
    }
}
