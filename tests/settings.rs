//! Settings and controls: a run with each ends, and does what the setting says.

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, command, number, run_command};

/// Trains the tiny recipe with `settings` and returns its run folder; keep the bench while using it.
#[track_caller]
fn train(settings: &[&str]) -> (Bench, Folder) {
    let bench = Bench::new(TINY);
    let every: Vec<&str> =
        ["log.rollouts_per_step=16"].iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
    let folder = bench.trained("run", &every);
    assert_eq!(
        folder.checkpoints().last().map(String::as_str),
        Some("pretrain-40"),
        "stages are sorted by name"
    );
    for row in folder.rows("metrics.jsonl") {
        assert!(!row.to_string().contains("null"), "a value that does not apply is left out: {row}");
    }
    (bench, folder)
}

/// The rows of `rollouts.jsonl`, which contains all completions of the small batches.
fn rollouts(folder: &Folder) -> Vec<Value> {
    let rows = folder.rows("rollouts.jsonl");
    assert_eq!(rows.len(), 6 * 16);
    rows
}

#[test]
fn a_reward_is_the_verdicts_score() {
    let (_bench, folder) = train(&[]);
    let rows = rollouts(&folder);
    assert!(rows.iter().all(|row| row["reward"] == row["score"]));
    let right = rows.iter().filter(|row| row["verdict"] == "correct").count();
    assert!(
        right > 0 && right < rows.len(),
        "{right} of {} are right: the tests here would prove nothing",
        rows.len()
    );
    for (metrics, step) in folder.metrics("grpo", "grpo").iter().zip(1..) {
        let of_step: Vec<&Value> = rows.iter().filter(|row| row["step"] == step).collect();
        let mean = of_step.iter().map(|row| number(row, "reward")).sum::<f64>() / of_step.len() as f64;
        assert!((number(metrics, "reward_mean") - mean).abs() < 1e-12);
        // Advantages of a group have mean 0.
        assert!(of_step.iter().map(|row| number(row, "advantage")).sum::<f64>().abs() < 1e-5);
    }
}

#[test]
fn random_rewards_do_not_look_at_the_verdict() {
    let (_bench, folder) = train(&["stage.grpo.control=random_reward"]);
    let rows = rollouts(&folder);
    let differ = rows.iter().filter(|row| row["reward"] != row["score"]).count();
    assert!((24..=72).contains(&differ), "{differ} of 96 rewards differ from the score");
    assert!(rows.iter().all(|row| row["reward"] == 0.0 || row["reward"] == 1.0));
}

#[test]
fn inverted_rewards_pay_what_is_wrong() {
    let (_bench, folder) = train(&["stage.grpo.control=inverted_reward"]);
    for row in rollouts(&folder) {
        // No answer, no reward, inverted or not.
        let expected = if row["verdict"] == "malformed" { 0.0 } else { 1.0 - number(&row, "score") };
        assert_eq!(number(&row, "reward"), expected, "{row}");
    }
}

#[test]
fn a_variable_that_names_no_instructions_is_a_mistake() {
    let bench = Bench::new(TINY);
    let run = |unit: &str, set: &str| {
        let arguments = bench.arguments("run", &[]);
        run_command(command(&arguments).env("THINKLING_BFLOAT16", unit).env("THINKLING_INSTRUCTION_SET", set))
    };
    let refused = run("wide", "sse9").expect(2).stderr;
    for part in ["THINKLING_BFLOAT16=wide", "`widened`", "THINKLING_INSTRUCTION_SET=sse9"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!bench.path("run").exists());
    run("", "").expect(0);
}

#[test]
#[allow(clippy::print_stderr, reason = "a test that does not run says so")]
fn a_lower_precision_trains_says_so_and_is_corrected_for() {
    let refused = Bench::new(TINY).train("run", &["--set", "precision=half"]).expect(2).stderr;
    assert!(refused.contains("bf16x3") && refused.contains("float32"), "{refused}");
    for (precision, gaps, cap) in [("bf16x3", 0.0..1e-2, 0.0), ("bf16", 1e-4..1.0, 2.0)] {
        for is_widened in [true, false] {
            let bench = Bench::new(TINY);
            let run = |arguments: &[String]| {
                let mut command = command(arguments);
                if is_widened {
                    command.env("THINKLING_BFLOAT16", "widened");
                } else {
                    command.env_remove("THINKLING_BFLOAT16");
                }
                run_command(&mut command)
            };
            let output = run(&bench.arguments("run", &["--set", &format!("precision={precision}")]));
            if !is_widened && output.code == Some(2) {
                assert!(output.stderr.contains("it has `float32`"), "{}", output.stderr);
                assert!(output.stderr.contains("THINKLING_BFLOAT16=widened"), "{}", output.stderr);
                eprintln!("skipped: this machine has no {precision}");
                continue;
            }
            output.expect(0);
            let folder = Folder(bench.path("run"));
            let manifest = folder.json("manifest.json");
            assert_eq!(manifest["precision"], precision);
            let unit = manifest["precision_instructions"].as_str().unwrap();
            assert_eq!(unit.ends_with(" widened"), is_widened, "{unit}");
            assert!(is_widened || ["amx", "avx512bf16"].contains(&unit), "{unit}");
            assert!(folder.read("recipe.toml").contains(&format!("importance_cap = {cap:?}")));
            for row in folder.metrics("grpo", "grpo") {
                let gap = number(&row, "rollout_gap_max");
                assert!(gap > gaps.start && gap < gaps.end, "{precision}, {unit}: {gap}");
            }
        }
    }
}

#[test]
fn without_rl_completions_are_scored_and_the_weights_stay() {
    let (_bench, folder) = train(&["stage.grpo.control=no_rl"]);
    let weights = |checkpoint: &str| folder.bytes(&format!("checkpoints/{checkpoint}/model.safetensors"));
    for checkpoint in ["grpo-4", "grpo-6", "eval-1"] {
        assert!(weights(checkpoint) == weights("pretrain-40"), "{checkpoint}");
    }
    for row in folder.metrics("grpo", "grpo") {
        assert!(
            row.get("loss").is_none() && row.get("grad_norm").is_none() && row["accuracy"].is_f64(),
            "{row}"
        );
    }
    assert!(rollouts(&folder).iter().any(|row| row["reward"] == 1.0));
}

#[test]
fn several_updates_a_batch_move_the_ratio_and_measure_the_divergence() {
    let (_bench, folder) = train(&[
        "stage.grpo.minibatches=2",
        "stage.grpo.epochs=2",
        "stage.grpo.kl_coefficient=0.1",
        "stage.grpo.learning_rate=0.03",
        "stage.grpo.flat_groups=keep",
    ]);
    let rows = folder.metrics("grpo", "grpo");
    for row in &rows {
        let clipped = number(row, "clip_low_share") + number(row, "clip_high_share");
        assert!((0.0..=1.0).contains(&clipped) && number(row, "kl") >= 0.0, "{row}");
        assert!(number(row, "ratio_max") > 1.0, "later updates see another policy: {row}");
    }
    assert!(rows.iter().any(|row| number(row, "clip_low_share") + number(row, "clip_high_share") > 0.0));
    assert!(number(rows.last().unwrap(), "kl") > 0.0);
    assert!(number(&folder.json("ledger.json")["stages"]["grpo"]["flops"], "reference") > 0.0);
}

#[test]
fn one_update_a_batch_has_ratio_one_and_no_divergence() {
    let (_bench, folder) = train(&["stage.grpo.flat_groups=keep"]);
    for row in folder.metrics("grpo", "grpo") {
        assert_eq!(number(&row, "ratio_max"), 1.0);
        assert_eq!(number(&row, "clip_low_share") + number(&row, "clip_high_share"), 0.0);
        assert!(row.get("kl").is_none());
    }
}

#[test]
fn flat_groups_are_dropped_kept_or_replaced() {
    let of = |kind: &str| train(&[&format!("stage.grpo.flat_groups={kind}"), "stage.grpo.group_size=2"]);
    let calls = |folder: &Folder| number(&folder.json("ledger.json")["total"], "verifier_calls");
    let (_dropping, dropped) = of("drop");
    let (_keeping, kept) = of("keep");
    let (_refilling, refilled) = of("refill");
    let rows = |folder: &Folder| folder.metrics("grpo", "grpo");
    for row in rows(&dropped) {
        assert_eq!(number(&row, "groups_in_update"), number(&row, "groups_used_share") * 4.0, "{row}");
    }
    assert!(rows(&dropped).iter().any(|row| number(row, "groups_in_update") < 4.0), "no group was flat");
    assert!(rows(&kept).iter().all(|row| number(row, "groups_in_update") == 4.0));
    assert!(rows(&refilled).iter().all(|row| number(row, "groups") == 4.0));
    let used = |folder: &Folder| rows(folder).iter().map(|row| number(row, "groups_used_share")).sum::<f64>();
    assert!(used(&refilled) > used(&dropped), "{} and {}", used(&refilled), used(&dropped));
    assert_eq!((calls(&dropped), calls(&kept)), (48.0, 48.0));
    assert!(calls(&refilled) > 48.0, "what was sampled and thrown away is paid for");
}

#[test]
fn completions_that_are_cut_off_score_zero_or_are_left_out() {
    let settings =
        |kind: &str| [format!("stage.grpo.overlong={kind}"), "stage.grpo.max_new_tokens=6".to_owned()];
    for (kind, reward) in [("zero", Value::from(0.0)), ("mask", Value::Null)] {
        let settings = settings(kind);
        let (_bench, folder) = train(&[&settings[0], &settings[1]]);
        let rows = rollouts(&folder);
        let cut: Vec<&Value> = rows.iter().filter(|row| row["finished"] == false).collect();
        assert!(!cut.is_empty() && cut.len() < rows.len(), "{} cut off", cut.len());
        for row in cut {
            assert_eq!(row["reward"], reward, "{row}");
            assert_eq!(row["advantage"].is_null(), reward.is_null(), "{row}");
            assert_ne!(row["verdict"], "correct");
        }
        assert!(folder.metrics("grpo", "grpo").iter().any(|row| number(row, "truncated_share") > 0.0));
    }
}

#[test]
fn a_batch_of_which_nothing_is_left_changes_nothing_and_is_reported() {
    let (_bench, folder) = train(&["stage.grpo.overlong=mask", "stage.grpo.max_new_tokens=1"]);
    let weights = |checkpoint: &str| folder.bytes(&format!("checkpoints/{checkpoint}/model.safetensors"));
    let cut = folder.metrics("grpo", "grpo").iter().filter(|row| row["truncated_share"] == 1.0).count();
    assert!(cut > 0, "every completion of some step should be cut off after one token");
    if cut == 6 {
        assert!(weights("eval-1") == weights("pretrain-40"));
    }
}

/// The names of the tensors of a checkpoint.
fn tensors(folder: &Folder) -> Vec<String> {
    let bytes = folder.bytes("checkpoints/eval-1/model.safetensors");
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header.as_object().unwrap().keys().filter(|name| *name != "__metadata__").cloned().collect()
}

#[test]
fn the_network_is_what_the_recipe_says() {
    let has = |settings: &[&str], part: &str| {
        let (_bench, folder) = train(settings);
        tensors(&folder).iter().any(|name| name.contains(part))
    };
    for (settings, part, is_there) in [
        (&[][..], "kv_a_proj_with_mqa", true),
        (&[][..], "mlp.experts.3.", true),
        (&[][..], "mlp.shared_experts.", true),
        (&[][..], "lm_head", true),
        (&["model.attention=gqa", "model.num_key_value_heads=1"], "k_proj", true),
        (&["model.attention=gqa"], "kv_a_proj_with_mqa", false),
        (&["model.n_routed_experts=0"], "experts", false),
        (&["model.tie_word_embeddings=true"], "lm_head", false),
        (&["model.q_lora_rank=8"], "q_a_proj", true),
        (&["model.n_shared_experts=0"], "shared_experts", false),
        (&["model.first_k_dense_replace=0"], "layers.0.mlp.experts.0.", true),
        (&["model.first_k_dense_replace=2"], "experts", false),
    ] {
        assert_eq!(has(settings, part), is_there, "{settings:?}: {part}");
    }
}

#[test]
fn every_other_setting_runs_to_its_end() {
    for settings in [
        &["stage.grpo.replay_routes=false"][..],
        &["stage.grpo.loss=sequence_mean", "stage.grpo.advantage=group_mean"],
        &["stage.grpo.loss=constant_length", "stage.grpo.std_kind=population"],
        &["stage.grpo.top_k=3", "stage.grpo.temperature=0.7"],
        &["stage.grpo.top_p=0.9", "stage.grpo.min_p=0.05"],
        &["stage.grpo.rewards=[{term='correct', weight=1.0}, {term='format', weight=0.2}]"],
        &["stage.grpo.kl_coefficient=0.05", "stage.grpo.kl_reference_every=2"],
        &["stage.grpo.keep_best=false", "stage.grpo.schedule=cosine"],
        &["stage.grpo.replay_routes=false", "stage.grpo.minibatches=4", "stage.grpo.epochs=3"],
        &["model.aux_loss_alpha=0.01", "model.norm_topk_prob=false", "model.routed_scaling_factor=2.0"],
        &["model.learned_positions=false", "model.num_experts_per_tok=4"],
        &["model.num_experts_per_tok=1", "stage.pretrain.bias_update_speed=0.0"],
        &["stage.pretrain.schedule=constant", "stage.pretrain.documents=50"],
        &["stage.eval.temperature=0.5", "stage.eval.samples=4"],
    ] {
        train(settings);
    }
}

#[test]
fn a_stage_ends_early_when_its_reward_is_high_enough() {
    let bench = Bench::new(TINY);
    let settings = ["--set", "stage.grpo.early_stop={reward=0.0, window=2}"];
    let folder = bench.trained("run", &settings);
    assert_eq!(folder.metrics("grpo", "grpo").len(), 2);
    assert!(folder.checkpoints().contains(&"grpo-2".to_owned()));
}

#[test]
fn a_budget_ends_the_run_in_good_order() {
    let bench = Bench::new(TINY);
    for (budget, rows) in [("tokens=1000", 1..10), ("flops=3e7", 1..10), ("dollars=1e-12", 1..2)] {
        let name = budget.split('=').next().unwrap();
        bench.train(name, &["--set", &format!("budget.{budget}")]).expect(0);
        let folder = Folder(bench.path(name));
        assert_eq!(folder.json("summary.json")["status"], "budget");
        let done = folder.rows("metrics.jsonl").len();
        assert!(rows.contains(&done), "{budget}: {done} rows");
        assert_eq!(folder.checkpoints(), [format!("pretrain-{done}")]);
    }
}

#[test]
fn a_base_model_that_is_not_ready_is_told_or_stops_the_run() {
    let bench = Bench::new(TINY);
    let stop = ["--set", "stage.grpo.readiness={action='stop', samples=8}"];
    let output = bench.train("stop", &stop).expect(1);
    assert!(output.stderr.contains("not ready"), "{}", output.stderr);
    let folder = Folder(bench.path("stop"));
    assert_eq!(folder.json("summary.json")["status"], "not_ready");
    assert!(folder.metrics("grpo", "grpo").is_empty());
    let warned = bench.train("warn", &["--set", "stage.grpo.readiness={action='warn', samples=8}"]).expect(0);
    assert!(warned.stderr.contains("not ready"), "{}", warned.stderr);
}
