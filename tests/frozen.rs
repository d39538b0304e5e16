//! Runs with frozen results: a change that is not meant to change results must not change a bit.
//!
//! Bits differ between instruction sets, so each set has its digest. An intended change gets its own commit; write the
//! new digests with `THINKLING_FREEZE=1 cargo test --release --test integration frozen`, once for each instruction set
//! of the processor (`THINKLING_INSTRUCTION_SET`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::program::{Bench, Folder};

/// Everything that `smoke` leaves out: a KL reference that is renewed, several epochs and minibatches, refilled groups,
/// a mixture with a rising level, a pool, grouped attention, a clipped and capped ratio, a random control.
const MANY_SETTINGS: &str = r#"
name = "many-settings"
seed = 3

[[tasks]]
name = "parity"
weight = 2
curriculum = { first = 4, last = 7, bar = 0.2, passes = 1 }

[[tasks]]
name = "gcd"
level = 2

[model]
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 4
attention = "gqa"
num_key_value_heads = 2
intermediate_size = 48
moe_intermediate_size = 16
n_routed_experts = 4
n_shared_experts = 1
aux_loss_alpha = 0.01

[[stage]]
kind = "pretrain"
steps = 60
batch_size = 24
learning_rate = 0.02
warmup_steps = 4
evaluate_every = 20
shares = { direct = 0.7, long = 0.3 }
evaluation = { count = 16 }

[[stage]]
kind = "grpo"
steps = 6
warmup_steps = 1
prompts = 6
group_size = 6
minibatches = 2
epochs = 2
max_new_tokens = 28
flat_groups = "refill"
refill_rounds = 2
kl_coefficient = 0.05
kl_reference_every = 3
importance_cap = 1.5
loss = "sequence_mean"
std_kind = "population"
overlong = "mask"
pool = { size = 12 }
rewards = [{ term = "correct", weight = 1 }]
evaluate_every = 2
evaluation = { count = 16 }
readiness = { action = "warn", samples = 16 }

[[stage]]
name = "random"
kind = "grpo"
steps = 2
prompts = 4
group_size = 4
max_new_tokens = 28
control = "random_reward"
rewards = [{ term = "correct", weight = 1 }, { term = "cosine", weight = 0.1 }]
loss = "constant_length"
advantage = "group_mean"
flat_groups = "keep"
evaluate_every = 1
evaluation = { count = 8 }
readiness = { action = "off" }

[[stage]]
kind = "eval"
count = 16
samples = 2
"#;

/// An object with sorted keys, so that the order of writing does not change a digest.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The digests of the weights at the end of each stage, of the metrics without times, and of the completions.
fn digests(folder: &Folder) -> Value {
    let weights = folder.checkpoints().into_iter().map(|checkpoint| {
        let bytes = folder.bytes(&format!("checkpoints/{checkpoint}/model.safetensors"));
        (checkpoint, Value::from(digest(&bytes)))
    });
    let metrics: String =
        folder.timeless_metrics(&[]).into_iter().map(|row| format!("{}\n", sorted(row))).collect();
    let rollouts: String =
        folder.rows("rollouts.jsonl").into_iter().map(|row| format!("{}\n", sorted(row))).collect();
    json!({
        "weights": weights.collect::<Value>(),
        "metrics": digest(metrics.as_bytes()),
        "rollouts": digest(rollouts.as_bytes()),
    })
}

#[test]
fn runs_are_as_they_were_frozen() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/frozen_runs.json");
    let smoke =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/smoke.toml")).unwrap();
    let mut frozen: Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap_or("{}".to_owned())).unwrap();
    for (name, recipe) in [("smoke", smoke.as_str()), ("many_settings", MANY_SETTINGS)] {
        let bench = Bench::new(recipe);
        let folder = bench.trained("run", &["--threads", "1"]);
        let manifest = folder.json("manifest.json");
        let instruction_set = manifest["instruction_set"].as_str().unwrap();
        let now = digests(&folder);
        if std::env::var_os("THINKLING_FREEZE").is_some() {
            frozen[instruction_set][name] = now;
        } else if let Some(before) = frozen[instruction_set].get(name) {
            assert_eq!(now, *before, "{name} on {instruction_set} is not as it was frozen");
        } else {
            eprintln!("skipped: nothing is frozen for {instruction_set}");
        }
    }
    if std::env::var_os("THINKLING_FREEZE").is_some() {
        fs::write(&path, format!("{:#}\n", sorted(frozen))).unwrap();
    }
}
