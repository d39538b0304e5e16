//! Verifiers: they judge whether a completion's answer is right.
//!
//! A [`Verifier`] reads the completion of a language model and returns a [`Verdict`]. It never fails on a completion: a
//! model's mistake is data. No verdict depends on a clock, a thread or a file.

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

/// A completion to judge, and what is known about the question it answers.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// What the model wrote, without the prompt.
    pub completion: &'a str,
    /// The right answer, if there is a single one.
    pub answer: Option<&'a str>,
    /// Anything else the judge needs: the start and goal of a puzzle, the tests of a program.
    pub spec: Option<&'a Value>,
}

/// The outcome of a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// The answer is right.
    Correct,
    /// An answer was found, but it is not right.
    Wrong,
    /// The completion has no answer, or one that cannot be parsed.
    Malformed,
    /// The item's own limit ran out during judging.
    Timeout,
    /// The item (its answer, its spec or the machine's sandbox) is at fault, not the completion. It must not count as a
    /// reward of 0.
    Error,
}

/// A verifier's judgement of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The score, in [0, 1].
    pub score: f64,
    /// The outcome.
    #[serde(rename = "verdict")]
    pub outcome: Outcome,
    /// The answer as found in the completion.
    pub extracted: Option<String>,
    /// One sentence that explains the verdict to a reader.
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

    /// An answer was found but is not right: score 0.
    pub fn wrong(extracted: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::partial(0.0, extracted, reason)
    }

    /// An answer was found that is not right but earns `score`, which is clamped to [0, 1].
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

    /// The item is at fault: the score is 0 and has no meaning.
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
    /// Judges one completion. The same item always gets the same verdict.
    fn verify(&self, item: &Item<'_>) -> Verdict;

    /// What the verifier found on this machine when it was built, as text for the user, or `None` if the machine does
    /// not matter.
    fn notice(&self) -> Option<String> {
        None
    }
}

/// The settings of a verifier cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("settings of verifier `{verifier}`: {message}")]
pub struct SettingsError {
    /// The verifier's name in the table.
    pub verifier: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// A row of the table of verifiers.
pub struct Row {
    /// The name that recipes and `thinkling verify` use.
    pub name: &'static str,
    /// The description in `thinkling list verifiers`, one line.
    pub about: &'static str,
    /// Builds the verifier from its settings. `null` and `{}` give the defaults.
    pub build: fn(&Value) -> Result<Box<dyn Verifier>, SettingsError>,
}

/// The table of verifiers.
pub const VERIFIERS: &[Row] = &[choice::ROW, code::ROW, exact::ROW, external::ROW, format::ROW, math::ROW];

/// Finds the row named `name`.
pub fn find(name: &str) -> Option<&'static Row> {
    VERIFIERS.iter().find(|row| row.name == name)
}

/// Reads a verifier's settings. `null` gives the defaults.
fn settings<S: Default + for<'de> Deserialize<'de>>(
    verifier: &'static str,
    value: &Value,
) -> Result<S, SettingsError> {
    if value.is_null() {
        return Ok(S::default());
    }
    S::deserialize(value).map_err(|error| SettingsError { verifier, message: error.to_string() })
}
