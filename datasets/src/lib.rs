//! Domains of questions, and datasets that say which question comes when.
//!
//! A [`Domain`] poses questions, writes worked solutions and judges answers. A [`Dataset`] addresses its questions by
//! (split, index): an address always gives the same [`Question`], and no question is in both splits.

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

/// A question without an address, as a domain poses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The text that the model sees.
    pub prompt: String,
    /// A right answer. It is judged correct between `<answer>` and `</answer>`.
    pub answer: String,
    /// What the judge needs besides the completion. The judge does not need the prompt.
    pub spec: Value,
}

/// A posed question with its address, as `thinkling generate` writes it, one per line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// `domain/level/split/seed/index`.
    pub id: String,
    /// The name of the task.
    pub task: String,
    /// The difficulty.
    pub level: u32,
    /// The train or the test split.
    pub split: Split,
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
}

/// How a worked solution thinks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SolutionKind {
    /// No thinking, only the answer.
    Direct,
    /// Step by step, without a detour.
    Long,
    /// With attempts, checks and backtracking.
    Search,
    /// A long solution with a mistake that is noticed and corrected.
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

/// A worked solution, from which a base model learns.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The text between the thinking tags, which may be empty.
    pub thinking: String,
    /// The text between the answer tags. The judge accepts it, unless `is_guess` is set.
    pub answer: String,
    /// Whether the answer is a guess that may be wrong, such as a direct answer to a question that needs a search.
    pub is_guess: bool,
}

impl Solution {
    /// Makes a solution with a right answer.
    pub fn sure(thinking: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { thinking: thinking.into(), answer: answer.into(), is_guess: false }
    }
}

/// How often a trace of thinking shows the behaviours that are typical of reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behaviours {
    /// Checks of an intermediate or final result.
    pub verifications: u32,
    /// Attempts that were given up for another one.
    pub backtracks: u32,
    /// New starts from the beginning.
    pub restarts: u32,
    /// Intermediate statements that can be decided.
    pub steps: u32,
    /// The statements among them that are false.
    pub false_steps: u32,
    /// Checks that say yes: this is the answer, this example fits.
    pub yeses: u32,
    /// The checks among them that should say no.
    pub false_yeses: u32,
}

/// A question could not be drawn. The text says where it comes from and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DrawError(pub String);

/// A family of verifiable questions with adjustable difficulty. Its fields are the settings in a recipe.
pub trait Domain: Send + Sync {
    /// The levels that the domain can pose.
    fn levels(&self) -> RangeInclusive<u32>;

    /// Why `level` cannot be posed with these settings, and what to do instead; for example, a puzzle without a
    /// solution.
    fn refusal(&self, _level: u32) -> Option<String> {
        None
    }

    /// Poses a question. All randomness comes from `stream`.
    fn pose(&self, stream: &mut Stream, level: u32) -> Problem;

    /// Draws once: returns a question, or `None` if this draw must be passed over.
    ///
    /// # Errors
    /// When an external program should pose the question and fails.
    fn draw(&self, stream: &mut Stream, level: u32) -> Result<Option<Problem>, DrawError> {
        Ok(Some(self.pose(stream, level)))
    }

    /// How many draws have been passed over so far.
    fn passed_over(&self) -> u64 {
        0
    }

    /// Whether a separate process poses and judges the questions.
    fn is_outside(&self) -> bool {
        false
    }

    /// The split of a question, whatever the settings, level and seed. A domain with one famous instance per level
    /// keeps that instance for the test split.
    fn split(&self, problem: &Problem) -> Split {
        Split::of(&problem.prompt)
    }

    /// The questions of `split` at `level`, if they are listed and not posed.
    fn listed(&self, _split: Split, _level: u32) -> Option<&[Problem]> {
        None
    }

    /// Judges a completion, given only the item. No completion makes it panic, hang or answer `Error`.
    fn judge(&self, item: &Item<'_>) -> Verdict;

    /// A worked solution of `problem`, or `None` if this kind makes no sense here.
    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution>;

    /// Why a worked solution of this kind is missing, if there could be one; for example, a question of a file has
    /// none.
    fn lack(&self, _kind: SolutionKind) -> Option<String> {
        None
    }

    /// All symbols that prompts, solutions and answers consist of. A text is always cut into the longest symbols that
    /// match.
    fn alphabet(&self) -> Vec<String>;

    /// A line of practice without a question (only equations) for a corpus, or `None` if the domain has none.
    fn drill(&self, _stream: &mut Stream, _level: u32) -> Option<String> {
        None
    }

    /// The tests of a question with programs as answers, as a spec of the verifier `code`. `None` for other domains.
    fn tests(&self, _problem: &Problem) -> Option<Value> {
        None
    }

    /// An answer as a Python program for these tests, by a fixed template, or `None` if the answer cannot be read.
    fn python(&self, _answer: &str) -> Option<String> {
        None
    }

    /// Counts the behaviours that a trace of thinking shows.
    fn behaviours(&self, _problem: &Problem, _thinking: &str) -> Behaviours {
        Behaviours::default()
    }
}
