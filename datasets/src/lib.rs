//! Which tasks are asked, and in which order.
//!
//! A [`Domain`] poses questions, writes worked solutions and judges answers. A [`Dataset`] addresses its questions by
//! (split, index): the same address gives the same [`Question`] for ever, and no question is in both splits.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thinkling_verifiers::{Item, Verdict};

mod chain;
mod combine;
pub mod corpus;
pub mod curriculum;
pub mod decontaminate;
pub mod domains;
mod expression;
pub mod external;
pub mod file;
pub mod jsonl;
mod judging;
pub mod mixture;
#[cfg(feature = "parquet")]
mod parquet;
pub mod pool;
mod rational;
pub mod reader;
pub mod record;
pub mod seed;
pub mod split;
mod trace;
mod words;

use seed::Stream;
pub use split::{Dataset, DatasetError, Split};

/// A question as a domain poses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What the model is shown.
    pub prompt: String,
    /// A right answer: `<answer>` + it + `</answer>` is judged correct.
    pub answer: String,
    /// What the judge needs beside the completion; enough to judge without the prompt.
    pub spec: Value,
}

/// A question with its address: what `thinkling generate` writes, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// `domain/level/split/seed/index`.
    pub id: String,
    /// The domain's name.
    pub task: String,
    /// The difficulty.
    pub level: u32,
    /// Train or test.
    pub split: Split,
    /// The question.
    #[serde(flatten)]
    pub problem: Problem,
}

/// How a worked solution goes about it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SolutionKind {
    /// No thinking: the answer at once.
    Direct,
    /// Step by step, without a detour.
    Long,
    /// With attempts, checks and backtracking.
    Search,
    /// A long solution with a mistake that is noticed and mended.
    Flawed,
}

impl SolutionKind {
    /// Every kind, in the order of the table in a recipe.
    pub const ALL: [SolutionKind; 4] = [Self::Direct, Self::Long, Self::Search, Self::Flawed];

    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Long => "long",
            Self::Search => "search",
            Self::Flawed => "flawed",
        }
    }
}

/// A worked solution: what a corpus shows a base model.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Goes between the thinking tags; may be empty.
    pub thinking: String,
    /// Goes between the answer tags. Always right for `Problem::answer`'s judge, but where `is_guess` says otherwise.
    pub answer: String,
    /// Whether the answer is a guess that may be wrong (a short answer to a question that needs search).
    pub is_guess: bool,
}

impl Solution {
    /// A solution whose answer is right.
    pub fn sure(thinking: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { thinking: thinking.into(), answer: answer.into(), is_guess: false }
    }
}

/// How often a trace of thinking shows the behaviours that reasoning is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behaviours {
    /// Checks of an intermediate or final result.
    pub verifications: u32,
    /// Attempts given up for another.
    pub backtracks: u32,
    /// Starts from the beginning.
    pub restarts: u32,
    /// Intermediate statements whose truth can be decided.
    pub steps: u32,
    /// Those of them that are false.
    pub false_steps: u32,
    /// Checks that say yes: this is the answer, this example fits.
    pub yeses: u32,
    /// Those of them that should not.
    pub false_yeses: u32,
}

/// A question does not come; the text says from where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DrawError(pub String);

/// A family of verifiable questions with a difficulty knob. Its settings, as a recipe fills them, are its fields.
pub trait Domain: Send + Sync {
    /// The levels it can pose.
    fn levels(&self) -> RangeInclusive<u32>;

    /// Why `level` cannot be posed under these settings, in a sentence with the remedy: a puzzle without a solution.
    fn refusal(&self, _level: u32) -> Option<String> {
        None
    }

    /// Poses a question; everything random comes from `stream`.
    fn pose(&self, stream: &mut Stream, level: u32) -> Problem;

    /// What one draw gives: a question, or none where the draw is to be passed over.
    ///
    /// # Errors
    /// Where questions come from outside and do not come.
    fn draw(&self, stream: &mut Stream, level: u32) -> Result<Option<Problem>, DrawError> {
        Ok(Some(self.pose(stream, level)))
    }

    /// Draws that were passed over so far.
    fn passed_over(&self) -> u64 {
        0
    }

    /// Whether a process of its own poses and judges.
    fn is_outside(&self) -> bool {
        false
    }

    /// The split that a question belongs to, whatever the settings, level and seed. A domain with one famous instance
    /// a level keeps that instance for the test split.
    fn split(&self, problem: &Problem) -> Split {
        Split::of(&problem.prompt)
    }

    /// The questions of `split` at `level`, where they are a list instead of posed.
    fn listed(&self, _split: Split, _level: u32) -> Option<&[Problem]> {
        None
    }

    /// Judges a completion from the item alone. Total: no completion makes it panic, hang or answer `Error`.
    fn judge(&self, item: &Item<'_>) -> Verdict;

    /// A worked solution of `problem`, or `None` where this kind makes no sense here.
    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution>;

    /// Why there is no worked solution of this kind, where there could be one: a question of a file that has none.
    fn lack(&self, _kind: SolutionKind) -> Option<String> {
        None
    }

    /// Every symbol that prompts, solutions and answers are written in; a text is cut into the longest that match.
    fn alphabet(&self) -> Vec<String>;

    /// A line of practice without a question (bare equations), for a corpus; `None` where there is none.
    fn drill(&self, _stream: &mut Stream, _level: u32) -> Option<String> {
        None
    }

    /// The tests of a question whose answers are programs, as a spec of the verifier `code`; `None` for other domains.
    fn tests(&self, _problem: &Problem) -> Option<Value> {
        None
    }

    /// An answer as a Python program for these tests, by a fixed template; `None` where it cannot be read as one.
    fn python(&self, _answer: &str) -> Option<String> {
        None
    }

    /// What a trace of thinking shows.
    fn behaviours(&self, _problem: &Problem, _thinking: &str) -> Behaviours {
        Behaviours::default()
    }
}
