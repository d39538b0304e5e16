//! The first promise: the number of threads changes nothing.

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
