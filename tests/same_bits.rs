//! The number of threads does not change a bit.

use crate::program::{Bench, TINY, number};

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let bench = Bench::new(TINY);
    let one = bench.trained("one", &["--threads", "1"]);
    let updated =
        one.metrics("grpo", "grpo").iter().filter(|row| number(row, "groups_in_update") > 0.0).count();
    assert!(updated >= 3, "only {updated} updates: the recipe proves little");
    let before = one.bytes("checkpoints/pretrain-40/model.safetensors");
    assert!(before != one.bytes("checkpoints/eval-1/model.safetensors"), "GRPO has not changed the weights");
    for threads in ["2", "4"] {
        let more = bench.trained(threads, &["--threads", threads]);
        assert_eq!(more.checkpoints(), one.checkpoints());
        for checkpoint in one.checkpoints() {
            more.assert_same_as(&one, &checkpoint);
        }
    }
}

#[test]
fn another_seed_gives_other_bits() {
    let bench = Bench::new(TINY);
    let one = bench.trained("one", &["--set", "stage.pretrain.steps=2"]);
    let other = bench.trained("other", &["--set", "stage.pretrain.steps=2", "--set", "seed=8"]);
    let weights = "checkpoints/pretrain-2/model.safetensors";
    assert!(one.bytes(weights) != other.bytes(weights));
}

#[test]
fn the_plain_policy_trains_a_whole_run_with_the_same_bits_on_any_number_of_threads() {
    let bench = Bench::new(TINY);
    let device = ["--device", "candle"];
    let one = bench.trained("one", &[&device[..], &["--threads", "1"]].concat());
    assert_eq!(one.json("manifest.json")["device"], "candle");
    let updated = one.metrics("grpo", "grpo");
    let updated = updated.iter().filter(|row| number(row, "groups_in_update") > 0.0).count();
    assert!(updated >= 3, "only {updated} updates: the recipe proves little");
    let two = bench.trained("two", &[&device[..], &["--threads", "2"]].concat());
    two.assert_same_as(&one, "eval-1");
    let refused = bench.train("one", &["--resume", "--device", "cpu"]).expect(2);
    assert!(refused.stderr.contains("was computed on device `candle`"), "{}", refused.stderr);
    // The kernels round differently but learn the same: the first loss of pretraining agrees.
    let kernels = bench.trained("kernels", &["--set", "stage.pretrain.steps=1"]);
    let loss = |folder: &crate::program::Folder| number(&folder.metrics("pretrain", "pretrain")[0], "loss");
    assert!((loss(&kernels) - loss(&one)).abs() < 1e-4);
}
