//! The whole file as written: what a recipe may say, and what stands where it says nothing.
//!
//! The doc comments of the structs are the recipe's help; `thinkling schema` prints them.

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::kernels::precision::AskedPrecision;
use crate::recipe::{ModelSettings, TaskEntry};
use crate::stages::Stage;
use crate::tracking::ledger::{Budget, Prices};
use crate::tracking::progress::Log;

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
    pub precision: AskedPrecision,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "auto")]
    pub device: String,
    /// The task of every stage that names none of its own.
    pub task: Option<TaskEntry>,
    /// The tasks of every stage that names none of its own, mixed by weight.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<TaskEntry>>,
    /// The network, in the words of Hugging Face's `config.json`.
    #[serde(default)]
    pub model: ModelSettings,
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
    /// The JSON Schema of a recipe, described by the doc comments of these structs.
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
