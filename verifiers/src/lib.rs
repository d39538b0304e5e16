//! What a right answer is.
//!
//! A [`Verifier`] reads the completion of a language model and answers with a [`Verdict`]. It cannot fail on a
//! completion: a model's mistake is data. No verdict depends on a clock, a thread or a file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod answer;
pub mod choice;
pub mod code;
pub mod exact;
pub mod external;
pub mod format;
pub mod lines;
pub mod math;
#[cfg(unix)]
mod pipes;
pub mod terms;

/// One completion to be judged, with what is known of the task it answers.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// What the model wrote, without the prompt.
    pub completion: &'a str,
    /// The right answer, where the task has a single one.
    pub answer: Option<&'a str>,
    /// What else the judge needs: the puzzle's start and goal, the tests of a program.
    pub spec: Option<&'a Value>,
}

/// How a judgement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// The answer is right.
    Correct,
    /// An answer was found, and it is not right.
    Wrong,
    /// No answer could be found or parsed in the completion.
    Malformed,
    /// The item's own limit ran out while the answer was judged.
    Timeout,
    /// The item (its answer, its spec, the machine's sandbox) is at fault, not the completion: never a reward of 0.
    Error,
}

/// What a verifier says of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// In [0, 1].
    pub score: f64,
    /// How the judgement ended.
    #[serde(rename = "verdict")]
    pub outcome: Outcome,
    /// The answer as it was found in the completion.
    pub extracted: Option<String>,
    /// One sentence for a reader.
    pub reason: String,
}

impl Verdict {
    /// The answer is right: score 1.
    pub fn correct(extracted: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            score: 1.0,
            outcome: Outcome::Correct,
            extracted: Some(extracted.into()),
            reason: reason.into(),
        }
    }

    /// An answer was found and is not right: score 0.
    pub fn wrong(extracted: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::partial(0.0, extracted, reason)
    }

    /// An answer was found that is not right but earns `score`, clamped to [0, 1].
    pub fn partial(score: f64, extracted: impl Into<String>, reason: impl Into<String>) -> Self {
        let score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
        Self { score, outcome: Outcome::Wrong, extracted: Some(extracted.into()), reason: reason.into() }
    }

    /// No answer was found: score 0.
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self { score: 0.0, outcome: Outcome::Malformed, extracted: None, reason: reason.into() }
    }

    /// The item's own limit ran out: score 0.
    pub fn timeout(extracted: Option<String>, reason: impl Into<String>) -> Self {
        Self { score: 0.0, outcome: Outcome::Timeout, extracted, reason: reason.into() }
    }

    /// The item is at fault; the score is 0 and means nothing.
    pub fn error(reason: impl Into<String>) -> Self {
        Self { score: 0.0, outcome: Outcome::Error, extracted: None, reason: reason.into() }
    }

    /// Whether the answer is right.
    pub fn is_correct(&self) -> bool {
        self.outcome == Outcome::Correct
    }
}

/// Judges completions.
pub trait Verifier: Send + Sync {
    /// The verdict on one completion; the same item always gets the same verdict.
    fn verify(&self, item: &Item<'_>) -> Verdict;

    /// What it found on this machine when it was built, for a reader; `None` where no machine matters.
    fn notice(&self) -> Option<String> {
        None
    }
}

/// A verifier's settings could not be read.
#[derive(Debug, thiserror::Error)]
#[error("settings of verifier `{verifier}`: {message}")]
pub struct SettingsError {
    /// The verifier's name in the table.
    pub verifier: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// One row of the table of verifiers.
pub struct Row {
    /// The name that recipes and `thinkling verify` use.
    pub name: &'static str,
    /// One line for `thinkling list verifiers`.
    pub about: &'static str,
    /// Makes the verifier from its settings (`null` or `{}`: the defaults).
    pub build: fn(&Value) -> Result<Box<dyn Verifier>, SettingsError>,
}

/// The table of verifiers: one row each.
pub const VERIFIERS: &[Row] = &[choice::ROW, code::ROW, exact::ROW, external::ROW, format::ROW, math::ROW];

/// The row named `name`.
pub fn find(name: &str) -> Option<&'static Row> {
    VERIFIERS.iter().find(|row| row.name == name)
}

/// Reads a verifier's settings, where `null` stands for the defaults.
fn settings<S: Default + for<'de> Deserialize<'de>>(
    verifier: &'static str,
    value: &Value,
) -> Result<S, SettingsError> {
    if value.is_null() {
        return Ok(S::default());
    }
    S::deserialize(value).map_err(|error| SettingsError { verifier, message: error.to_string() })
}
