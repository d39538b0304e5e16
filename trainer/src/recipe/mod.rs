//! The file as written: what a recipe may say, and what stands where it says nothing.
//!
//! The doc comments of these structs are the recipe's help; `thinkling schema` prints them. A recipe is read by
//! [`crate::plan::load`], which makes a complete [`crate::plan::Plan`] of it or lists every mistake.

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use thinkling_datasets::curriculum::CurriculumSettings;

mod conform;
mod mistake;
mod model;
mod stages;
mod tree;

pub use crate::learn::terms::{Earns, Measure, Over, Reward, RewardTerm};
pub use mistake::{Mistake, RecipeErrors};
pub use model::{Attention, Model};
pub use stages::{
    AdvantageScale, Control, EarlyStop, Eval, Evaluation, FlatGroups, Grpo, LossAggregation, Overlong,
    Pretrain, Readiness, ReadinessAction, Schedule, Shares, Stage, StdKind,
};

pub(crate) use conform::conform;
pub(crate) use mistake::{Found, Sources, keys, nearest, values};
pub(crate) use tree::{Node, apply_override, parse, unique_names};

/// A training run, from a random network to a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the run: the start of its folder's name. Letters, digits, `.`, `_` and `-`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Seed of everything random: weights, questions, samples.
    #[serde(default = "one")]
    pub seed: u64,
    /// Threads to compute with; default all cores. Changes the time a run takes, never its result.
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<usize>,
    /// Precision of products with weights, and of the decoder's cache: `float32`, the reference; `bf16x3`, two bfloat16 parts and three products, about
    /// as exact; `bf16`, rounded to bfloat16; `auto`, `bf16x3` where the processor has AMX tiles and `float32` elsewhere.
    #[serde(default)]
    pub precision: Precision,
    /// Where to compute: `auto`, `cpu`, `candle` (plain candle operations, slow), `cuda` or `cuda:N`.
    #[serde(default = "auto")]
    pub device: String,
    /// The task of every stage that names none of its own.
    pub task: Option<Task>,
    /// The tasks of every stage that names none of its own, mixed by weight.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<Task>>,
    /// The network, in the words of Hugging Face's `config.json`.
    #[serde(default)]
    pub model: Model,
    /// What the run does, in order.
    #[schemars(length(min = 1))]
    pub stage: Vec<Stage>,
    /// What the run may spend: it stops, resumable, before it spends more.
    #[serde(default)]
    pub budget: Budget,
    /// What things cost.
    #[serde(default)]
    pub prices: Prices,
    /// What is written down while the run goes on.
    #[serde(default)]
    pub log: Log,
}

impl Recipe {
    /// The JSON Schema of a recipe, described by the doc comments of this module.
    pub fn schema() -> Schema {
        schema_for!(Recipe)
    }
}

fn one() -> u64 {
    1
}

fn auto() -> String {
    "auto".to_owned()
}

/// The precision of matrix products, as a recipe asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they are.
    #[default]
    Float32,
    /// Two bfloat16 parts, three products.
    Bf16x3,
    /// Rounded to bfloat16.
    Bf16,
    /// The fastest of the first two on this machine.
    Auto,
}

/// A family of verifiable questions: at one level of difficulty, at several, or at one that rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name of the task, as `thinkling list tasks` prints it; with `file` or `command` a name of your own.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Difficulty; what it counts and how far it goes is the task's own.
    pub level: Option<u32>,
    /// Several levels, asked equally often.
    #[schemars(length(min = 1))]
    pub levels: Option<Vec<u32>>,
    /// A level that rises when held-out accuracy passes a bar; measured at the stage's `evaluate_every`.
    pub curriculum: Option<CurriculumSettings>,
    /// How often the task is asked, in proportion to the stage's others.
    #[serde(default = "whole")]
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// Ratios of the kinds of document in a corpus; default those of the stage.
    pub shares: Option<Shares>,
    /// JSON lines, or a Parquet table, with the questions, as `thinkling data check` reads them.
    pub file: Option<String>,
    /// BLAKE3 hash of that file, or of the first questions that the program poses; filled in, and where it is given it must be so.
    pub blake3: Option<String>,
    /// A program and its arguments that poses the questions and judges the answers, over JSON lines.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// Wall-clock seconds that the program may take for an item; default 30. The first one includes its start.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub time_limit_s: Option<f64>,
    /// Most bytes in one answer of the program; default 1048576.
    #[schemars(range(min = 64, max = 1073741824))]
    pub output_limit_bytes: Option<usize>,
    /// Symbols of the program's texts, beside the characters of its first questions: a phrase that is always the same is one token then.
    pub alphabet: Option<Vec<String>>,
    /// What judges the answers to the questions of a file, as `thinkling list verifiers` prints it.
    pub verifier: Option<String>,
    /// The task's own settings; with `file` those of the verifier, with `command` what the program is told.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

fn whole() -> f64 {
    1.0
}

/// Limits on what a run may spend; the first one reached ends it. Absent: no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// US dollars, at the recipe's prices.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub dollars: Option<f64>,
    /// Floating-point operations.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub flops: Option<f64>,
    /// Minutes of wall time.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub minutes: Option<f64>,
    /// Tokens, trained and generated together.
    #[schemars(range(min = 1))]
    pub tokens: Option<u64>,
    /// Joules of energy, where a meter can be read or `prices.watts` is stated.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub joules: Option<f64>,
}

/// What the ledger charges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// US dollars for an hour of one processor core.
    #[schemars(range(min = 0.0))]
    pub usd_per_core_hour: f64,
    /// US dollars for an hour of one accelerator.
    #[schemars(range(min = 0.0))]
    pub usd_per_device_hour: f64,
    /// Watts the machine draws while the run goes on, for an estimate of energy where no meter can be read; absent: the energy is unknown there.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub watts: Option<f64>,
}

impl Default for Prices {
    fn default() -> Self {
        Self { usd_per_core_hour: 0.04, usd_per_device_hour: 2.0, watts: None }
    }
}

/// What is written down while the run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Sampled completions that each step adds to `rollouts.jsonl`.
    pub rollouts_per_step: usize,
    /// Seconds between two progress lines where standard error is no terminal.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub every_s: f64,
}

impl Default for Log {
    fn default() -> Self {
        Self { rollouts_per_step: 4, every_s: 5.0 }
    }
}
