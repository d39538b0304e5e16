//! A task as a recipe writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::curriculum::CurriculumSettings;

use crate::data::shares::Shares;

/// A family of verifiable questions: at one level of difficulty, at several, or at one that rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task")]
pub struct TaskEntry {
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
