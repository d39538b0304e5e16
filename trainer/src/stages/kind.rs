//! What a kind of stage tells plans, cost estimates, the doctor and audits.

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::SolutionKind;
use thinkling_datasets::pool::PoolSettings;

use super::StagePlan;
use super::finding::Finding;
use super::run::Run;
use super::stop::{Status, TrainError};
use crate::data::shares::Shares;
use crate::data::task::{Course, Lengths, Task, ample, longest};
use crate::kernels::precision::Precision;
use crate::learn::advantage::AdvantageSettings;
use crate::learn::evaluate::Evaluation;
use crate::learn::reward::RewardSettings;
use crate::policy::footprint::Footprint;
use crate::policy::optimizer::{OptimizerSettings, Schedule};
use crate::policy::sampling::Sampling;
use crate::recipe::{Checker, StagePath, TaskEntry};

/// Keys that every stage may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Common {
    /// Name of the stage; default its kind.
    pub name: Option<String>,
    /// Task of the stage; default the recipe's.
    pub task: Option<TaskEntry>,
    /// Tasks of the stage, mixed by weight; default the recipe's.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<TaskEntry>>,
}

/// A kind of stage, with its settings.
///
/// The settings are a struct with a default for every key, and [`Common`] in its field `common`. The table in
/// `stages/mod.rs` lists the kinds.
pub trait StageKind {
    /// Keys that a recipe must give.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Notes settings that make no sense, as far as that does not depend on the tasks.
    ///
    /// Rewards and learning rates are checked in the same way for all kinds.
    fn check(&self, _at: StagePath<'_>, _checker: &mut Checker<'_>) {}

    /// Fills in the settings that follow from others, for a run in `precision`.
    fn fill(&mut self, _precision: Precision) {}

    /// Measures the stage's rows, and notes settings that do not fit the tasks.
    fn rows(&self, asked: &Asked<'_>, checker: &mut Checker<'_>) -> Rows {
        let rewards = self.rewards();
        if let Some(rewards) = &rewards {
            rewards.suit(asked, checker);
        }
        let rows = asked.tasks.iter().map(|(_, _, lengths)| match &rewards {
            Some(rewards) => Rows::of(lengths, rewards.max_new_tokens, rewards.max_new_tokens),
            None => {
                let seen = asked.completions(lengths).map(longest).max().unwrap_or(0);
                Rows::of(lengths, seen, asked.room(lengths))
            }
        });
        rows.fold(Rows::default(), Rows::max)
    }

    /// How the stage learns; `None` if it changes no weights.
    fn learning(&self) -> Option<Learning<'_>> {
        None
    }

    /// The kinds of document in its corpus, if it learns from one.
    fn teaches(&self) -> Option<&Shares> {
        None
    }

    /// The pool of questions that it asks more than once, if it has one.
    fn pool(&self) -> Option<PoolSettings> {
        None
    }

    /// How it rewards its own completions, if it does.
    fn rewards(&self) -> Option<Rewarding<'_>> {
        None
    }

    /// The held-out questions that measure it.
    fn evaluation(&self) -> Evaluation;

    /// The key of their number.
    fn evaluation_key(&self) -> &'static str {
        "evaluation.count"
    }

    /// How many prompts it samples at once, and how many completions of each.
    fn sampled_at_once(&self) -> (usize, usize) {
        (self.evaluation().count as usize, 1)
    }

    /// The work of the stage if its texts have these lengths.
    fn work(&self, stage: &StagePlan, lengths: MeanLengths, size: &Footprint) -> StageWork;

    /// What the doctor finds in the settings, for a network of width `hidden_size`.
    fn findings(&self, _stage: &StagePlan, _hidden_size: usize) -> Vec<Finding> {
        Vec::new()
    }

    fn run(&self, stage: &StagePlan, run: &mut Run) -> Result<Status, TrainError>;
}

/// What to do with a base model that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessAction {
    /// Report it and continue.
    Warn,
    /// Report it and end the run.
    Stop,
    /// Do not check.
    Off,
}

/// The check before the first update: the policy learns to think only if thinking already helps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Readiness {
    /// Lowest accuracy of completions that think.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub long_accuracy: f64,
    /// Least difference between that accuracy and that of completions that do not think.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub direct_margin: f64,
    /// Completions that the check measures.
    #[schemars(range(min = 1, max = 1000000000))]
    pub samples: u64,
    /// What to do with a base model that is not ready.
    pub action: ReadinessAction,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { long_accuracy: 0.9, direct_margin: 0.0, samples: 256, action: ReadinessAction::Warn }
    }
}

/// How a stage learns.
#[derive(Clone, Debug)]
pub struct Learning<'a> {
    pub steps: u64,
    /// Rows of a step: documents, or completions before flat groups are refilled.
    pub rows_per_step: u64,
    pub updates_per_step: u64,
    /// Numbers of the training questions that it asks.
    pub questions: Range<u64>,
    pub optimizer: &'a OptimizerSettings,
    /// Step of the experts' load bias after each update.
    pub bias_update_speed: f64,
    /// Steps between two evaluations; 0: only at the end.
    pub evaluate_every: u64,
}

impl Learning<'_> {
    /// Warns of settings of the learning rate that have no effect.
    pub(crate) fn check(&self, at: StagePath<'_>, checker: &mut Checker<'_>) {
        let OptimizerSettings { warmup_steps, schedule, final_learning_rate_share, .. } = *self.optimizer;
        let (name, steps) = (at.name, self.steps);
        if warmup_steps >= steps {
            let message = format!(
                "stage `{name}` ends before its learning rate has risen: {steps} steps, {warmup_steps} of warm-up"
            );
            checker.warn(&[&at.key("warmup_steps"), &at.key("steps")], message);
        }
        let is_usual = final_learning_rate_share == OptimizerSettings::FINAL_SHARE;
        if !is_usual && schedule == Schedule::Constant {
            let message = format!(
                "stage `{name}`: final_learning_rate_share has no effect with schedule = \"constant\""
            );
            checker.warn(&[&at.key("final_learning_rate_share"), &at.key("schedule")], message);
        }
    }
}

/// How a stage rewards its own completions.
#[derive(Clone, Copy, Debug)]
pub struct Rewarding<'a> {
    /// The terms, and what else decides the reward.
    pub settings: &'a RewardSettings,
    pub advantage: &'a AdvantageSettings,
    pub sampling: Sampling,
    pub max_new_tokens: usize,
    pub prompts: usize,
    pub group_size: usize,
    /// What the base model must be able to do.
    pub readiness: Readiness,
    pub may_end_early: bool,
}

/// What a stage asks.
pub struct Asked<'a> {
    pub at: StagePath<'a>,
    /// Each of its tasks, with its course and the lengths of its texts.
    pub(crate) tasks: Vec<(&'a Course, &'a Arc<Task>, &'a Lengths)>,
    /// The kinds of solution that the recipe shows its network.
    pub taught: &'a [SolutionKind],
    /// The most tokens that any stage allows the completions that it rewards.
    pub most_rewarded: usize,
}

impl Asked<'_> {
    /// Lengths of the solutions that the network was shown, kind by kind.
    pub(crate) fn completions<'l>(&self, lengths: &'l Lengths) -> impl Iterator<Item = &'l [usize]> {
        self.taught.iter().filter_map(|kind| lengths.completions(*kind))
    }

    /// Tokens a completion may have where it is only measured: room for what was taught, and for what reinforcement
    /// learning allows.
    pub(crate) fn room(&self, lengths: &Lengths) -> usize {
        self.completions(lengths).map(ample).fold(self.most_rewarded, usize::max)
    }
}

/// Tokens of a stage's longest row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub seen: usize,
    /// The same with room to spare.
    pub ample: usize,
}

impl Rows {
    /// Rows of a prompt and a completion: the longest seen, and one with room.
    pub(crate) fn of(lengths: &Lengths, seen: usize, roomy: usize) -> Self {
        Self { seen: longest(&lengths.prompts) + seen, ample: ample(&lengths.prompts) + roomy }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self { seen: self.seen.max(other.seen), ample: self.ample.max(other.ample) }
    }
}

/// Mean lengths of a stage's texts, in tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanLengths {
    pub prompt: f64,
    /// Of the completions that the policy draws where the corpus taught it.
    pub taught: f64,
    /// Of the longest kind of solution that was taught: where reinforcement learning goes.
    pub longest: f64,
    pub document: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct StageWork {
    /// Operations of drawing completions.
    pub decode_flops: f64,
    pub update_flops: f64,
    pub updates: f64,
    /// Tokens of training.
    pub trained: f64,
    pub generated: f64,
}

impl StageWork {
    /// Drawing `samples` completions of each of `prompts` prompts.
    pub(crate) fn draw(
        &mut self,
        size: &Footprint,
        prompts: f64,
        samples: f64,
        prompt: f64,
        completion: f64,
    ) {
        let per_prompt = size.prefill(prompt).get() + samples * size.decode_run(prompt, completion).get();
        self.decode_flops += prompts * per_prompt;
        self.generated += prompts * samples * completion;
    }

    /// Measuring `count` questions, sampled `samples` times and greedily.
    pub(crate) fn evaluate(
        &mut self,
        size: &Footprint,
        count: u64,
        samples: usize,
        prompt: f64,
        completion: f64,
    ) {
        self.draw(size, count as f64, samples as f64, prompt, completion);
        self.draw(size, count as f64, 1.0, prompt, completion);
    }
}

/// How often a stage of `steps` steps is measured on its way, its end included.
pub(crate) fn measurements(steps: u64, every: u64) -> u64 {
    1 + steps.saturating_sub(1).checked_div(every).unwrap_or(0)
}

/// A rate this many times below the one that works moves nothing in a run of that length.
const SLOW: f64 = 100.0;

/// Learning rates of AdamW that were seen to work at width 64, and how far above them is too far.
///
/// To other widths they go with the root of the width: 2.8e-4 for pretraining at a width of 7168 (DeepSeek-V3: 2.2e-4).
pub(crate) struct Rates {
    pub(crate) works: f64,
    pub(crate) odd: f64,
    pub(crate) wrong: f64,
}

impl Rates {
    /// What the doctor says about a learning rate, at a width of `hidden_size`.
    pub(crate) fn finding(&self, stage: &StagePlan, rate: f64, hidden_size: usize) -> Finding {
        let works = self.works * (64.0 / hidden_size as f64).sqrt();
        let times = rate / works;
        let seen = format!(
            "learning_rate = {rate:e} is {times:.2} times what works with AdamW at hidden_size = {} ({})",
            hidden_size,
            rounded(works)
        );
        let change = format!("learning_rate = {}", rounded(works));
        if times > self.wrong {
            Finding::error("learning_rate", stage, format!("{seen}: it degrades or diverges"), change)
        } else if times > self.odd {
            Finding::warning("learning_rate", stage, format!("{seen}: it may degrade"), change)
        } else if times * SLOW < 1.0 {
            Finding::warning("learning_rate", stage, format!("{seen}: it hardly moves"), change)
        } else {
            Finding::ok("learning_rate", Some(stage), seen)
        }
    }
}

fn rounded(rate: f64) -> String {
    format!("{rate:.0e}")
}
