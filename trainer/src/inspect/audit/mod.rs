//! Audits a reward: before a run, by trying to fool it; after a run, by checking what it rewarded.

use serde::Serialize;

mod after;
mod attempts;
mod before;

pub use after::{RunAudit, run};
pub use before::{RecipeAudit, recipe};

/// Most characters of a text in an example.
const SHOWN: usize = 400;

/// A problem of a reward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditFinding {
    /// The stage.
    pub stage: String,
    /// Kind: `gold_refused`, `hack_paid`, `margin`, `not_judged`, `no_judge`, `disagreement`,
    /// `answers_without_thinking`, `repeated_text`, `same_thinking`, `reward_without_accuracy`, `term_against_judge`.
    pub kind: &'static str,
    /// The reward term that it concerns, if there is one.
    pub term: Option<String>,
    /// The finding in a sentence.
    pub message: String,
    /// Number of cases.
    pub count: usize,
    /// Number of completions or questions checked.
    pub of: usize,
    /// Some of the cases.
    pub examples: Vec<Example>,
}

impl AuditFinding {
    fn new(stage: &str, kind: &'static str, message: impl Into<String>, count: usize, of: usize) -> Self {
        let (stage, message) = (stage.to_owned(), message.into());
        Self { stage, kind, term: None, message, count, of, examples: Vec::new() }
    }

    fn with(self, examples: Vec<Example>) -> Self {
        Self { examples, ..self }
    }
}

/// A completion that shows a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Question.
    pub prompt: String,
    /// A right answer.
    pub answer: String,
    /// Completion.
    pub completion: String,
    /// Its reward, and why it is a problem.
    pub note: String,
}

impl Example {
    fn new(prompt: &str, answer: &str, completion: &str, note: impl Into<String>) -> Self {
        Self { prompt: cut(prompt), answer: cut(answer), completion: cut(completion), note: note.into() }
    }
}

/// The text, or its start if it is long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
