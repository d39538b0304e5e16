//! Whether a reward can be trusted: before a run, by trying to fool it; after one, by reading what it paid for.

use serde::Serialize;

mod after;
mod attempts;
mod before;

pub use after::{AuditError, RunAudit, run};
pub use before::{AttemptRow, RecipeAudit, StageAudit, recipe};

/// Longer texts are cut where an example is shown.
const SHOWN: usize = 400;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditFinding {
    /// The stage.
    pub stage: String,
    /// What was found: `gold_refused`, `hack_paid`, `margin`, `not_judged`, `no_judge`, `disagreement`,
    /// `answers_without_thinking`, `repeated_text`, `same_thinking`, `reward_without_accuracy`, `term_against_judge`.
    pub kind: &'static str,
    /// The reward term that it is about, where it is about one.
    pub term: Option<String>,
    /// What was found, in a sentence.
    pub message: String,
    /// How many cases there are.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// Some of them, to read.
    pub examples: Vec<Example>,
}

/// A completion to read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// The question.
    pub prompt: String,
    /// A right answer.
    pub answer: String,
    /// What was written.
    pub completion: String,
    /// What it earned, and why that is odd.
    pub note: String,
}

impl Example {
    fn new(prompt: &str, answer: &str, completion: &str, note: impl Into<String>) -> Self {
        Self { prompt: cut(prompt), answer: cut(answer), completion: cut(completion), note: note.into() }
    }
}

/// The text, or its start where it is long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
