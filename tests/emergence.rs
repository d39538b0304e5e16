//! The purpose of the whole: a policy learns from verdicts alone to think before it answers.

use crate::program::{Bench, Folder, number};

/// Parity of 6 bits: a base model that mostly guesses, and is right when it thinks.
const RECIPE: &str = r#"
name = "emergence"
seed = 1

[task]
name = "parity"
level = 6

[model]
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 4
intermediate_size = 64
n_routed_experts = 4
moe_intermediate_size = 32

[[stage]]
kind = "pretrain"
steps = 400
learning_rate = 0.006
shares = { direct = 0.7, long = 0.3 }
evaluation = { count = 128 }

[[stage]]
kind = "grpo"
steps = 40
max_new_tokens = 30
evaluation = { count = 256 }
readiness = { action = "off" }
"#;

/// Accuracy and length of a measurement.
fn measured(folder: &Folder, step: u64) -> (f64, f64) {
    let rows = folder.metrics("grpo", "eval");
    let row = rows.iter().find(|row| row["step"] == step).unwrap();
    (number(row, "accuracy"), number(row, "length_mean"))
}

#[test]
#[ignore = "trains for a minute: .ci/run runs it in release"]
fn a_policy_learns_to_think_and_only_from_verdicts() {
    let bench = Bench::new(RECIPE);
    let learnt = bench.trained("learnt", &[]);
    let (before, after) = (measured(&learnt, 0), measured(&learnt, 40));
    assert!(after.0 > before.0 + 0.25, "accuracy {} became {}", before.0, after.0);
    assert!(after.1 > before.1 * 1.3, "length {} became {}", before.1, after.1);
    // Without verdicts, or with inverted ones, the same base with the same updates does not learn this.
    for (control, longest) in [("random_reward", 1.2), ("inverted_reward", 0.9)] {
        let folder = bench.trained(control, &["--set", &format!("stage.grpo.control={control}")]);
        assert_eq!(measured(&folder, 0), before, "{control}: both start from the same base");
        let (accuracy, length) = measured(&folder, 40);
        assert!(length < before.1 * longest, "{control}: length {} became {length}", before.1);
        assert!(accuracy < after.0 - 0.1, "{control}: accuracy {accuracy}, {} with verdicts", after.0);
    }
}
