//! The memory that a stage takes, and whether this machine has it.

use crate::machine::memory::{MemoryLimit, memory_limit};
use crate::plan::{Plan, Stage};
use crate::policy::Attention;
use crate::policy::footprint::cache_elements;

/// Bytes of a number.
const NUMBER: f64 = 4.0;
/// The program itself, its tables and its threads.
const PROGRAM: f64 = 24e6;
/// The allocator keeps freed memory.
const SLACK: f64 = 1.3;
/// Most sequences that a thread decodes together.
const DECODED_TOGETHER: f64 = 128.0;
/// Rows of a micro-batch, unless one row is longer.
const USUAL_ROW: usize = 1024;
/// A question with its answer, and a completion with its verdict, without their tokens.
const QUESTION: f64 = 1024.0;
const COMPLETION: f64 = 256.0;
/// An address in a pool.
const POOLED: f64 = 40.0;

/// The bytes that one stage needs, by what they are for.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// Weights packed in both orders, optimizer state, gradients of the leaves, copies for a checkpoint.
    weights: f64,
    /// For each thread, the activations of a micro-batch with gradients.
    activations: f64,
    /// For each thread, the cache of a batch of completions.
    caches: f64,
    /// Questions and completions that are measured together.
    measured: f64,
    pool: f64,
}

impl Need {
    fn of(plan: &Plan, stage: &Stage) -> Self {
        let model = &plan.model;
        let parameters = plan.footprint.parameters_total as f64;
        let (layers, threads) = (model.num_hidden_layers as f64, plan.threads as f64);
        let rows = USUAL_ROW.max(stage.longest_row) as f64;
        let heads = model.num_attention_heads as f64 * (2 * model.query_dim() + 2 * model.value_dim()) as f64;
        let inside = 4.0
            * (model.num_experts_per_tok + model.n_shared_experts) as f64
            * model.moe_intermediate_size as f64;
        let inside = inside.max(4.0 * model.intermediate_size as f64);
        let activations = threads * rows * layers * (8.0 * model.hidden_size as f64 + heads + inside);
        let kind = stage.settings.kind();
        let (prompts, samples) = kind.sampled_at_once();
        let (prompts, samples) = (prompts as f64, samples as f64);
        // A thread decodes half of its prompts at a time; keys are in panels of 32 columns, latents are stored twice.
        let together = (DECODED_TOGETHER / samples).ceil();
        let batch = (prompts / (2.0 * threads)).ceil().clamp(1.0, together);
        let stored = match model.attention {
            Attention::Mla => 2.0,
            Attention::Gqa => 1.0,
        };
        let padded = |length: usize| length.next_multiple_of(32) as f64;
        let places = batch * (padded(stage.longest_prompt) + samples * padded(stage.max_new_tokens));
        let caches = threads * stored * places * cache_elements(model) as f64;
        // A checkpoint copies weights, optimizer state, best weights and reference, and encodes the copies; one more copy
        // waits for a signal.
        let kept = 1.0 + 2.5 + 2.0 + 9.0 + 8.0 + 3.0;
        // Each token has its number, log-probability and entropy, and two bytes for each of its experts. Most completions
        // are shorter than they may be.
        let tokens =
            0.25 * stage.max_new_tokens as f64 * (3.0 * NUMBER + 2.0 * model.choices_per_token() as f64);
        let held = |questions: f64, samples: f64| questions * (QUESTION + samples * (COMPLETION + tokens));
        // Measured questions have a greedy completion too.
        let measured = held(kind.evaluation().count as f64, 2.0).max(held(prompts, samples + 1.0));
        Self {
            weights: NUMBER * parameters * kept,
            activations: NUMBER * 2.0 * activations,
            caches: NUMBER * caches,
            measured,
            pool: kind.pool().map_or(0.0, |pool| POOLED * pool.size as f64),
        }
    }

    fn total(&self) -> f64 {
        let Self { weights, activations, caches, measured, pool } = self;
        SLACK * (PROGRAM + weights + activations + caches + measured + pool)
    }

    /// What most of it is for, and the keys that make it less.
    fn remedy(&self, stage: &Stage) -> (f64, &'static str, String) {
        let of_stage = |key: &str| format!("`stage.{}.{key}`", stage.name);
        let counted = of_stage(stage.settings.kind().evaluation_key());
        let batch = if stage.settings.kind().rewards().is_some() {
            format!("{}, {} or `threads`", of_stage("max_new_tokens"), of_stage("group_size"))
        } else {
            format!("{counted} or `threads`")
        };
        let is_long = stage.longest_row > USUAL_ROW && stage.settings.kind().rewards().is_some();
        let length = if is_long { of_stage("max_new_tokens") + ", " } else { String::new() };
        let parts = [
            (
                self.weights,
                "weights and their optimizer",
                "`model.hidden_size`, `model.num_hidden_layers`, the widths of `model` or its experts"
                    .to_owned(),
            ),
            (
                self.activations,
                "activations",
                format!("{length}`model.hidden_size`, the widths of `model` or `threads`"),
            ),
            (self.caches, "the decoder's caches", batch),
            (self.measured, "questions and their completions", counted),
            (self.pool, "the pool", of_stage("pool.size")),
        ];
        let most = parts.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
        most.unwrap_or((0.0, "", String::new()))
    }
}

/// Most bytes of a stage, with an error below one half.
pub fn peak_memory(plan: &Plan, stage: &Stage) -> f64 {
    Need::of(plan, stage).total()
}

/// Why a run of `plan` does not fit into this machine's memory, with the keys to change; `None` if it fits or the machine
/// does not tell its memory.
pub fn misfit(plan: &Plan) -> Option<String> {
    memory_limit().and_then(|limit| misfit_in(plan, limit))
}

fn misfit_in(plan: &Plan, limit: MemoryLimit) -> Option<String> {
    let needs = plan.stages.iter().map(|stage| (stage, Need::of(plan, stage)));
    let (stage, need) = needs.max_by(|one, other| one.1.total().total_cmp(&other.1.total()))?;
    if need.total() <= limit.bytes as f64 {
        return None;
    }
    let (part, what, keys) = need.remedy(stage);
    Some(format!(
        "stage `{}` needs about {} of memory, and {} {}. Most of it, {}, is for {what}: lower {keys}",
        stage.name,
        shown(need.total()),
        limit.reason,
        shown(limit.bytes as f64),
        shown(SLACK * part)
    ))
}

fn shown(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1e15 => format!("{bytes:.1e} bytes"),
        bytes if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        bytes => format!("{:.0} MB", bytes / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    fn told(keys: &str, bytes: u64) -> Option<String> {
        let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/smoke.toml");
        let overrides: Vec<String> = keys.split(' ').map(str::to_owned).collect();
        let plan = plan::load(recipe.as_ref(), &overrides).unwrap();
        misfit_in(&plan, MemoryLimit { bytes, reason: "this machine has" })
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_key_to_change() {
        const MACHINE: u64 = 24_000_000_000;
        for (key, expected) in [
            ("model.hidden_size=16384 model.intermediate_size=65536", "`model.hidden_size`"),
            ("stage.grpo.evaluation.count=1000000000", "`stage.grpo.evaluation.count`"),
            ("stage.eval.count=1000000000", "`stage.eval.count`"),
            ("stage.grpo.pool={size=1000000000}", "`stage.grpo.pool.size`"),
            ("stage.grpo.max_new_tokens=1000000", "`stage.grpo.max_new_tokens`"),
        ] {
            let told = told(key, MACHINE).unwrap();
            assert!(told.contains(expected) && told.contains("this machine has 24.0 GB"), "{key}: {told}");
        }
        assert_eq!(told("seed=1", MACHINE), None);
        assert!(told("seed=1", 1_000_000).is_some());
    }
}
