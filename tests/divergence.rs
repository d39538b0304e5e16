//! A run that diverges stops, reports it, and keeps its last good state.

use crate::program::{Bench, Folder, TINY, number, run};

#[test]
fn a_run_that_diverges_ends_with_1_and_leaves_its_last_good_checkpoint() {
    let bench = Bench::new(TINY);
    // A first step of normal size, a checkpoint, then steps beyond the range of floats.
    let settings = [
        "--set",
        "stage.pretrain.learning_rate=1e30",
        "--set",
        "stage.pretrain.warmup_steps=0",
        "--set",
        "stage.pretrain.max_grad_norm=1e9",
        "--set",
        "stage.pretrain.max_bad_steps=3",
        "--set",
        "stage.pretrain.save_every=1",
        "--set",
        "stage.pretrain.evaluate_every=0",
    ];
    let output = bench.train("run", &settings).expect(1);
    assert!(output.stderr.contains("not finite"), "{}", output.stderr);
    let folder = Folder(bench.path("run"));
    assert_eq!(folder.json("summary.json")["status"], "diverged");
    let rows = folder.rows("metrics.jsonl");
    let skipped = rows.iter().filter(|row| row["skipped"] == true).count();
    assert_eq!(skipped, 4, "three are forgiven, the fourth ends the run");
    for row in &rows {
        assert!(!row.to_string().contains("null"), "a value that does not apply is left out: {row}");
        assert!(row["skipped"] == true || number(row, "loss").is_finite());
    }
    let checkpoints = folder.checkpoints();
    assert!(!checkpoints.is_empty());
    for checkpoint in checkpoints {
        let path = folder.0.join("checkpoints").join(checkpoint);
        let arguments = ["eval", path.to_str().unwrap(), "--task", "parity", "--count", "4", "--json"];
        assert_eq!(run(&arguments).expect(0).json_lines().len(), 1);
    }
    let score = ["score", folder.0.to_str().unwrap()];
    let scored =
        crate::program::run_on(&score, "{\"id\":1,\"prompt\":\"010101=\",\"completion\":\"1\"}\n").expect(0);
    let row = &scored.json_lines()[0];
    assert!(row["logprobs"][0].is_f64(), "the checkpoint that is left must be a good one: {row}");
}

#[test]
fn weights_that_no_float_holds_end_the_run_and_reach_no_checkpoint() {
    let bench = Bench::new(TINY);
    for (stage, kept) in [("pretrain", &[][..]), ("grpo", &["pretrain-35", "pretrain-40"][..])] {
        let settings = ["learning_rate=1e39", "warmup_steps=0", "save_every=1"]
            .map(|setting| format!("stage.{stage}.{setting}"));
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
        let output = bench.train(stage, &arguments).expect(1);
        assert!(output.stderr.contains("not finite"), "{}", output.stderr);
        let folder = Folder(bench.path(stage));
        assert_eq!(folder.json("summary.json")["status"], "diverged");
        assert_eq!(folder.checkpoints(), kept, "no checkpoint may hold these weights");
    }
}

#[test]
fn updates_that_are_skipped_leave_nothing_but_their_number() {
    let bench = Bench::new(TINY);
    // Weights just within the range of floats, with products beyond it.
    let settings = [
        "model.initializer_range=5e37",
        "stage.grpo.flat_groups=keep",
        "stage.grpo.control=random_reward",
        "stage.grpo.max_bad_steps=2",
        "stage.pretrain.max_bad_steps=100",
    ];
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    bench.train("run", &arguments).expect(1);
    let folder = Folder(bench.path("run"));
    let rows = folder.metrics("grpo", "grpo");
    assert_eq!(rows.len(), 3);
    for row in folder.rows("metrics.jsonl") {
        assert!(!row.to_string().contains("null"), "a value that does not apply is left out: {row}");
    }
    assert!(rows.iter().all(|row| row["skipped"] == true && row.get("loss").is_none()));
}
