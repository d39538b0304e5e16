//! The stages of a run, each with its settings.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use thinkling_datasets::SolutionKind;
use thinkling_datasets::pool::PoolSettings;

use super::Task;
use crate::learn::terms::{Reward, RewardTerm};

/// One stage of a run; `kind` says which settings it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stage {
    /// Learns to continue worked solutions: makes a base model.
    Pretrain(Pretrain),
    /// Learns from verdicts on its own completions (group-relative policy optimisation).
    Grpo(Grpo),
    /// Measures, changes nothing.
    Eval(Eval),
}

impl Stage {
    /// The kind, as recipes and metrics write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pretrain(_) => "pretrain",
            Self::Grpo(_) => "grpo",
            Self::Eval(_) => "eval",
        }
    }

    /// The stage's own name, if the recipe gives one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Pretrain(stage) => stage.name.as_deref(),
            Self::Grpo(stage) => stage.name.as_deref(),
            Self::Eval(stage) => stage.name.as_deref(),
        }
    }

    /// The stage's own task and its own list of tasks, as far as the recipe gives them.
    pub fn tasks(&self) -> (&Option<Task>, &Option<Vec<Task>>) {
        match self {
            Self::Pretrain(stage) => (&stage.task, &stage.tasks),
            Self::Grpo(stage) => (&stage.task, &stage.tasks),
            Self::Eval(stage) => (&stage.task, &stage.tasks),
        }
    }

    /// Its own task and list of tasks, to be filled in.
    pub(crate) fn tasks_mut(&mut self) -> (&mut Option<Task>, &mut Option<Vec<Task>>) {
        match self {
            Self::Pretrain(stage) => (&mut stage.task, &mut stage.tasks),
            Self::Grpo(stage) => (&mut stage.task, &mut stage.tasks),
            Self::Eval(stage) => (&mut stage.task, &mut stage.tasks),
        }
    }

    /// Steps between two evaluations, where the stage has any.
    pub fn evaluate_every(&self) -> Option<u64> {
        match self {
            Self::Pretrain(stage) => Some(stage.evaluate_every),
            Self::Grpo(stage) => Some(stage.evaluate_every),
            Self::Eval(_) => None,
        }
    }

    /// Fills in what is derived.
    pub(crate) fn fill(&mut self, stage_name: &str) {
        let name = match self {
            Self::Pretrain(stage) => {
                stage.documents = Some(stage.documents());
                &mut stage.name
            }
            Self::Grpo(stage) => {
                for reward in &mut stage.rewards {
                    reward.name = Some(reward.name().to_owned());
                }
                &mut stage.name
            }
            Self::Eval(stage) => &mut stage.name,
        };
        *name = Some(stage_name.to_owned());
    }
}

/// How the learning rate moves after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Falls along half a cosine to `final_learning_rate_share`.
    Cosine,
    /// Stays.
    Constant,
}

/// Ratios of the kinds of document in a corpus; at least one is above 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// No thinking: the answer at once.
    #[schemars(range(min = 0.0))]
    pub direct: f64,
    /// Step by step, without a detour.
    #[schemars(range(min = 0.0))]
    pub long: f64,
    /// With attempts, checks and backtracking.
    #[schemars(range(min = 0.0))]
    pub search: f64,
    /// A long solution with a mistake that is noticed and mended.
    #[schemars(range(min = 0.0))]
    pub flawed: f64,
    /// Lines of practice without a question.
    #[schemars(range(min = 0.0))]
    pub drill: f64,
}

impl Shares {
    /// The share of a kind of worked solution.
    pub fn of(&self, kind: SolutionKind) -> f64 {
        match kind {
            SolutionKind::Direct => self.direct,
            SolutionKind::Long => self.long,
            SolutionKind::Search => self.search,
            SolutionKind::Flawed => self.flawed,
        }
    }

    /// The share of each kind of worked solution.
    pub fn solutions(&self) -> impl Iterator<Item = (SolutionKind, f64)> {
        SolutionKind::ALL.into_iter().map(|kind| (kind, self.of(kind)))
    }
}

/// The held-out questions that a stage is measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Questions of the test split.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// Seed of the questions; not the run's, so that runs with other seeds answer the same ones.
    pub seed: u64,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { count: 256, seed: 0 }
    }
}

/// Learns to continue worked solutions: makes a base model. Needs `steps` and `shares`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = pretrain_needs)]
pub struct Pretrain {
    /// Name of the stage; default its kind.
    pub name: Option<String>,
    /// Task of the stage; default the recipe's.
    pub task: Option<Task>,
    /// Tasks of the stage, mixed by weight; default the recipe's.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<Task>>,
    /// Updates.
    #[schemars(range(min = 1, max = 1000000000))]
    pub steps: u64,
    /// Documents an update.
    #[schemars(range(min = 1, max = 1000000))]
    pub batch_size: usize,
    /// Highest learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Where the cosine schedule ends, as a share of the highest learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_learning_rate_share: f64,
    /// Updates in which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// How the learning rate moves after the warm-up.
    pub schedule: Schedule,
    /// Decoupled weight decay of AdamW.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Memory of AdamW's first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Memory of AdamW's second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the root of AdamW's second moment.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
    /// Longest gradient; a longer one is scaled down to it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_grad_norm: f64,
    /// Distinct documents in the corpus; default `steps * batch_size`, so that each is seen once.
    #[schemars(range(min = 1))]
    pub documents: Option<u64>,
    /// Ratios of the kinds of document.
    pub shares: Shares,
    /// Step of the experts' load bias after each update; 0: no load balancing by bias.
    #[schemars(range(min = 0.0))]
    pub bias_update_speed: f64,
    /// Updates between two evaluations; 0: only at the end.
    pub evaluate_every: u64,
    /// The held-out questions.
    pub evaluation: Evaluation,
    /// Updates between two checkpoints.
    #[schemars(range(min = 1))]
    pub save_every: u64,
    /// Updates in a row that may be skipped because a loss or gradient is not finite; one more ends the run.
    pub max_bad_steps: u64,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            name: None,
            task: None,
            tasks: None,
            steps: 0,
            batch_size: 64,
            learning_rate: 3e-3,
            final_learning_rate_share: 0.1,
            warmup_steps: 100,
            schedule: Schedule::Cosine,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            max_grad_norm: 1.0,
            documents: None,
            shares: Shares::default(),
            bias_update_speed: 0.001,
            evaluate_every: 0,
            evaluation: Evaluation::default(),
            save_every: 100,
            max_bad_steps: 5,
        }
    }
}

impl Pretrain {
    /// Distinct documents in the corpus.
    pub fn documents(&self) -> u64 {
        self.documents.unwrap_or_else(|| self.steps.saturating_mul(self.batch_size as u64))
    }
}

/// How the losses of tokens become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossAggregation {
    /// Mean over all tokens of the batch (DAPO).
    TokenMean,
    /// Mean over the tokens of a completion, then over completions (GRPO).
    SequenceMean,
    /// Sum over tokens, divided by completions times `max_new_tokens` (Dr. GRPO).
    ConstantLength,
}

/// What a reward's distance from its group's mean is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdvantageScale {
    /// The group's standard deviation (GRPO).
    GroupStd,
    /// Nothing (Dr. GRPO).
    GroupMean,
}

/// Which standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StdKind {
    /// Divides by one less than the group's size.
    Sample,
    /// Divides by the group's size.
    Population,
}

/// What becomes of groups whose rewards are all equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlatGroups {
    /// They are left out of the update.
    Drop,
    /// They stay, with advantage 0.
    Keep,
    /// They are replaced by groups of other questions, up to `refill_rounds` times (DAPO's dynamic sampling).
    Refill,
}

/// What becomes of completions cut off at `max_new_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// They score 0.
    Zero,
    /// They are left out of the update.
    Mask,
}

/// A control experiment: what should not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// None: rewards are what they are.
    None,
    /// Rewards are drawn at random.
    RandomReward,
    /// Right answers earn nothing, wrong ones what right ones would.
    InvertedReward,
    /// Completions are sampled and scored, and the weights stay.
    NoRl,
}

/// Ends the stage when the mean reward has been high enough for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStop {
    /// Mean reward to reach.
    pub reward: f64,
    /// Steps the mean is taken over.
    #[schemars(range(min = 1, max = 1000000))]
    pub window: usize,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self { reward: 0.985, window: 5 }
    }
}

/// What to do with a base model that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessAction {
    /// Say so and go on.
    Warn,
    /// Say so and end the run.
    Stop,
    /// Do not check.
    Off,
}

/// The check before the first update: the policy can only learn to prefer thinking that already helps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Readiness {
    /// Lowest accuracy of completions that think.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub long_accuracy: f64,
    /// How far that accuracy must be above that of completions that do not think.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub direct_margin: f64,
    /// Completions to measure on.
    #[schemars(range(min = 1))]
    pub samples: u64,
    /// What to do with a base model that is not ready.
    pub action: ReadinessAction,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { long_accuracy: 0.9, direct_margin: 0.0, samples: 256, action: ReadinessAction::Warn }
    }
}

/// Learns from verdicts on its own completions. Needs `steps` and `max_new_tokens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = grpo_needs)]
pub struct Grpo {
    /// Name of the stage; default its kind.
    pub name: Option<String>,
    /// Task of the stage; default the recipe's.
    pub task: Option<Task>,
    /// Tasks of the stage, mixed by weight; default the recipe's.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<Task>>,
    /// Batches of rollouts.
    #[schemars(range(min = 1, max = 1000000000))]
    pub steps: u64,
    /// Questions a batch.
    #[schemars(range(min = 1, max = 1000000))]
    pub prompts: usize,
    /// Completions a question.
    #[schemars(range(min = 2, max = 1000000))]
    pub group_size: usize,
    /// Asks questions again until their pass rate says that they teach no more; absent: each question is asked once.
    pub pool: Option<PoolSettings>,
    /// Learning rate after the warm-up.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Where the cosine schedule ends, as a share of the highest learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_learning_rate_share: f64,
    /// Steps in which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// How the learning rate moves after the warm-up.
    pub schedule: Schedule,
    /// Decoupled weight decay of AdamW.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Memory of AdamW's first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Memory of AdamW's second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the root of AdamW's second moment.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
    /// Longest gradient; a longer one is scaled down to it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_grad_norm: f64,
    /// Temperature of sampling.
    #[schemars(range(min = 0.001))]
    pub temperature: f64,
    /// Samples among so many likeliest tokens; 0: among all.
    pub top_k: usize,
    /// Samples among the likeliest tokens that together have this probability.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub top_p: f64,
    /// Samples among tokens at least this likely, relative to the likeliest.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_p: f64,
    /// Tokens a completion may have.
    #[schemars(range(min = 1, max = 1000000))]
    pub max_new_tokens: usize,
    /// Parts a batch is cut into, an update each; must divide `prompts`.
    #[schemars(range(min = 1))]
    pub minibatches: usize,
    /// Times a batch is gone through.
    #[schemars(range(min = 1, max = 1000000))]
    pub epochs: usize,
    /// How far below 1 the probability ratio counts.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub clip_low: f64,
    /// How far above 1 the probability ratio counts.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_high: f64,
    /// How the losses of tokens become one number.
    pub loss: LossAggregation,
    /// What a reward's distance from its group's mean is divided by.
    pub advantage: AdvantageScale,
    /// Added to that standard deviation.
    #[schemars(range(min = 0.0))]
    pub advantage_epsilon: f64,
    /// Which standard deviation.
    pub std_kind: StdKind,
    /// Weight of the divergence from the reference policy; 0: none is computed.
    #[schemars(range(min = 0.0))]
    pub kl_coefficient: f64,
    /// Steps after which the policy becomes the reference; 0: the reference is the stage's start.
    pub kl_reference_every: u64,
    /// What becomes of groups whose rewards are all equal.
    pub flat_groups: FlatGroups,
    /// Times that flat groups are replaced, with `flat_groups = "refill"`.
    #[schemars(range(min = 1, max = 1000000))]
    pub refill_rounds: usize,
    /// What becomes of completions cut off at `max_new_tokens`.
    pub overlong: Overlong,
    /// The terms of the reward.
    #[schemars(length(min = 1))]
    pub rewards: Vec<Reward>,
    /// Share of a batch's completions that verifiers may fail to judge; above it the run stops. Those completions are
    /// left out of the update.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_error_share: f64,
    /// A control experiment.
    pub control: Control,
    /// Ends the stage early; absent: it does not.
    pub early_stop: Option<EarlyStop>,
    /// Whether the stage ends with its best weights instead of its last.
    pub keep_best: bool,
    /// The check of the base model before the first update.
    pub readiness: Readiness,
    /// Step of the experts' load bias after each update; 0: no load balancing by bias.
    #[schemars(range(min = 0.0))]
    pub bias_update_speed: f64,
    /// Most that a token counts for being likelier in the training forward than in the decoder that drew it (truncated
    /// importance sampling); 0 leaves the correction out, as is right where the two agree. Default 2 in `bf16`, else 0.
    #[schemars(range(min = 0.0))]
    pub importance_cap: Option<f64>,
    /// Whether an update routes each token to the experts it had when it was sampled.
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
            name: None,
            task: None,
            tasks: None,
            steps: 0,
            prompts: 16,
            group_size: 16,
            pool: None,
            learning_rate: 3e-4,
            final_learning_rate_share: 0.1,
            warmup_steps: 5,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            max_grad_norm: 1.0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            max_new_tokens: 0,
            minibatches: 1,
            epochs: 1,
            clip_low: 0.2,
            clip_high: 0.2,
            loss: LossAggregation::TokenMean,
            advantage: AdvantageScale::GroupStd,
            advantage_epsilon: 1e-4,
            std_kind: StdKind::Sample,
            kl_coefficient: 0.0,
            kl_reference_every: 0,
            flat_groups: FlatGroups::Drop,
            refill_rounds: 3,
            overlong: Overlong::Zero,
            rewards: vec![Reward::new(RewardTerm::Correct, 1.0)],
            max_error_share: 0.5,
            control: Control::None,
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

/// Measures on held-out questions, sampled and greedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Eval {
    /// Name of the stage; default its kind.
    pub name: Option<String>,
    /// Task of the stage; default the recipe's.
    pub task: Option<Task>,
    /// Tasks to measure on; default the recipe's.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<Task>>,
    /// Questions of the test split, a task.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// Seed of the questions; not the run's, so that runs with other seeds answer the same ones.
    pub seed: u64,
    /// Completions a question.
    #[schemars(range(min = 1, max = 1000000))]
    pub samples: usize,
    /// Temperature of sampling.
    #[schemars(range(min = 0.001))]
    pub temperature: f64,
}

impl Default for Eval {
    fn default() -> Self {
        Self { name: None, task: None, tasks: None, count: 256, seed: 0, samples: 1, temperature: 1.0 }
    }
}

fn pretrain_needs(schema: &mut Schema) {
    require(schema, &["steps", "shares"]);
}

fn grpo_needs(schema: &mut Schema) {
    require(schema, &["steps", "max_new_tokens"]);
}

/// Marks keys as required that have a default only because their neighbours do.
fn require(schema: &mut Schema, keys: &[&str]) {
    schema.insert("required".to_owned(), keys.into());
    for key in keys {
        if let Some(property) =
            schema.pointer_mut(&format!("/properties/{key}")).and_then(|it| it.as_object_mut())
        {
            property.remove("default");
        }
    }
}
