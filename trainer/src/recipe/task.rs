//! The settings of a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::curriculum::CurriculumSettings;

use crate::data::shares::Shares;

/// A family of verifiable questions: at one level of difficulty, at several, or at one that rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task")]
pub struct TaskEntry {
    /// Name of the task, as `thinkling list tasks` prints it; with `file` or `command` any other name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Difficulty. Its unit and range depend on the task.
    pub level: Option<u32>,
    /// Several levels, each asked equally often.
    #[schemars(length(min = 1))]
    pub levels: Option<Vec<u32>>,
    /// A level that rises when held-out accuracy passes a threshold; measured at the stage's `evaluate_every`.
    pub curriculum: Option<CurriculumSettings>,
    /// How often the task is asked, relative to the other tasks of the stage.
    #[serde(default = "whole")]
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// Ratios of the kinds of document in a corpus; default the stage's.
    pub shares: Option<Shares>,
    /// File of the questions: JSON lines or a Parquet table, as `thinkling data check` reads them.
    pub file: Option<String>,
    /// BLAKE3 hash of that file, or of the first questions that the program poses. Filled in if absent; otherwise it
    /// must match.
    pub blake3: Option<String>,
    /// A program, with its arguments, that poses the questions and judges the answers, over JSON lines.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// Wall-clock seconds that the program may take per item; default 30. The first item includes its start.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub time_limit_s: Option<f64>,
    /// Largest answer of the program, in bytes; default 1048576.
    #[schemars(range(min = 64, max = 1073741824))]
    pub output_limit_bytes: Option<usize>,
    /// Symbols of the program's texts, in addition to the characters of its first questions. A phrase that is always
    /// the same is then one token.
    pub alphabet: Option<Vec<String>>,
    /// The verifier that judges answers to the questions of a file, as `thinkling list verifiers` prints it.
    pub verifier: Option<String>,
    /// Settings of the task; with `file` those of the verifier, with `command` what the program receives.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

fn whole() -> f64 {
    1.0
}
