//! The keys of a recipe and their defaults.
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
    /// Threads; default all cores. They change the time of a run, never its result.
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<usize>,
    /// Precision of products with weights and of the decoder's cache. `float32`: the reference. `bf16x3`: two bfloat16
    /// parts and three products, almost as exact. `bf16`: rounded to bfloat16. `auto`: `bf16x3` if the processor has
    /// AMX tiles, else `float32`.
    #[serde(default)]
    pub precision: AskedPrecision,
    /// Device: `auto`, `cpu`, `candle`, `cuda` or `cuda:N`.
    #[serde(default = "auto")]
    pub device: String,
    /// Task of every stage that has none of its own.
    pub task: Option<TaskEntry>,
    /// Tasks of every stage that has none of its own, mixed by weight.
    #[schemars(length(min = 1))]
    pub tasks: Option<Vec<TaskEntry>>,
    /// The network, in the terms of Hugging Face's `config.json`.
    #[serde(default)]
    pub model: ModelSettings,
    /// The stages, in order.
    #[schemars(length(min = 1))]
    pub stage: Vec<Stage>,
    /// Limits on spending: the run stops before it spends more, and can be resumed.
    #[serde(default)]
    pub budget: Budget,
    /// Prices.
    #[serde(default)]
    pub prices: Prices,
    /// What the run writes while it runs.
    #[serde(default)]
    pub log: Log,
}

impl Recipe {
    /// The JSON Schema of a recipe; its descriptions are the doc comments of these structs.
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
