//! The settings of a stage of GRPO.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::pool::PoolSettings;

use crate::learn::advantage::AdvantageSettings;
use crate::learn::evaluate::Evaluation;
use crate::learn::objective::{KlSettings, ObjectiveSettings};
use crate::learn::reward::RewardSettings;
use crate::policy::optimizer::{OptimizerSettings, Schedule};
use crate::policy::sampling::SamplingSettings;
use crate::stages::kind::{Common, Readiness};

/// What to do with groups whose rewards are all equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlatGroups {
    /// Leave them out of the update.
    Drop,
    /// Keep them, with advantage 0.
    Keep,
    /// Replace them by groups of other questions, up to `refill_rounds` times (DAPO's dynamic sampling).
    Refill,
}

/// Ends the stage when the mean reward has been high for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStop {
    /// Mean reward to reach.
    pub reward: f64,
    /// Steps of the mean.
    #[schemars(range(min = 1, max = 1000000))]
    pub window: usize,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self { reward: 0.985, window: 5 }
    }
}

/// Learns from verdicts on its own completions. Needs `steps` and `max_new_tokens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Grpo {
    /// Name and tasks.
    #[serde(flatten)]
    pub common: Common,
    /// Batches of rollouts.
    #[schemars(range(min = 1, max = 1000000000))]
    pub steps: u64,
    /// Questions per batch.
    #[schemars(range(min = 1, max = 1000000))]
    pub prompts: usize,
    /// Completions per question.
    #[schemars(range(min = 2, max = 1000000))]
    pub group_size: usize,
    /// Repeats questions until their pass rate shows that they teach nothing more; absent: each question is asked once.
    pub pool: Option<PoolSettings>,
    /// How it updates weights.
    #[serde(flatten)]
    pub optimizer: OptimizerSettings,
    /// How it samples.
    #[serde(flatten)]
    pub sampling: SamplingSettings,
    /// Most tokens of a completion.
    #[schemars(range(min = 1, max = 1000000))]
    pub max_new_tokens: usize,
    /// Minibatches per batch, one update each; must divide `prompts`.
    #[schemars(range(min = 1))]
    pub minibatches: usize,
    /// Passes over each batch.
    #[schemars(range(min = 1, max = 1000000))]
    pub epochs: usize,
    /// The loss: its clip and the weight of each token.
    #[serde(flatten)]
    pub objective: ObjectiveSettings,
    /// How rewards become advantages.
    #[serde(flatten)]
    pub advantage: AdvantageSettings,
    /// How strongly a reference holds the policy.
    #[serde(flatten)]
    pub kl: KlSettings,
    /// What to do with groups whose rewards are all equal.
    pub flat_groups: FlatGroups,
    /// Most times that flat groups are replaced, with `flat_groups = "refill"`.
    #[schemars(range(min = 1, max = 1000000))]
    pub refill_rounds: usize,
    /// The rewards.
    #[serde(flatten)]
    pub rewards: RewardSettings,
    /// Ends the stage early; absent: it does not.
    pub early_stop: Option<EarlyStop>,
    /// Whether the stage ends with its best weights instead of its last.
    pub keep_best: bool,
    /// The check of the base model before the first update.
    pub readiness: Readiness,
    /// Step of the experts' load bias after each update; 0: no load balancing by bias.
    #[schemars(range(min = 0.0))]
    pub bias_update_speed: f64,
    /// Upper limit of the weight that corrects a token's probability from the decoder to the training forward
    /// (truncated importance sampling); 0: no correction, which is right where the two agree. Default 2 in `bf16`, else
    /// 0.
    #[schemars(range(min = 0.0))]
    pub importance_cap: Option<f64>,
    /// Whether an update sends each token to the experts that it had when it was sampled.
    pub replay_routes: bool,
    /// Steps between two evaluations; 0: only at the end.
    pub evaluate_every: u64,
    /// The held-out questions.
    pub evaluation: Evaluation,
    /// Steps between two checkpoints.
    #[schemars(range(min = 1))]
    pub save_every: u64,
    /// Updates in a row that may be skipped because a loss or gradient is not finite; one more ends the run.
    pub max_bad_steps: u64,
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            common: Common::default(),
            steps: 0,
            prompts: 16,
            group_size: 16,
            pool: None,
            optimizer: OptimizerSettings {
                learning_rate: 3e-4,
                final_learning_rate_share: OptimizerSettings::FINAL_SHARE,
                warmup_steps: 5,
                schedule: Schedule::Constant,
                weight_decay: 0.0,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                max_grad_norm: 1.0,
            },
            sampling: SamplingSettings::default(),
            max_new_tokens: 0,
            minibatches: 1,
            epochs: 1,
            objective: ObjectiveSettings::default(),
            advantage: AdvantageSettings::default(),
            kl: KlSettings::default(),
            flat_groups: FlatGroups::Drop,
            refill_rounds: 3,
            rewards: RewardSettings::default(),
            early_stop: None,
            keep_best: true,
            readiness: Readiness::default(),
            bias_update_speed: 0.001,
            importance_cap: None,
            replay_routes: true,
            evaluate_every: 0,
            evaluation: Evaluation::default(),
            save_every: 10,
            max_bad_steps: 5,
        }
    }
}
