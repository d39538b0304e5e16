//! The kinds of document in a corpus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::{SolutionKind, corpus};

/// Ratios of the kinds of document in a corpus; at least one is above 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// The answer without thinking.
    #[schemars(range(min = 0.0))]
    pub direct: f64,
    /// A direct solution step by step.
    #[schemars(range(min = 0.0))]
    pub long: f64,
    /// With attempts, checks and backtracking.
    #[schemars(range(min = 0.0))]
    pub search: f64,
    /// A long solution with a mistake that is noticed and fixed.
    #[schemars(range(min = 0.0))]
    pub flawed: f64,
    /// Drill lines without a question.
    #[schemars(range(min = 0.0))]
    pub drill: f64,
}

impl Shares {
    /// The share of a kind of worked solution.
    pub fn of(&self, kind: SolutionKind) -> f64 {
        match kind {
            SolutionKind::Direct => self.direct,
            SolutionKind::Long => self.long,
            SolutionKind::Search => self.search,
            SolutionKind::Flawed => self.flawed,
        }
    }

    /// The share of each kind of worked solution.
    pub fn solutions(&self) -> impl Iterator<Item = (SolutionKind, f64)> {
        SolutionKind::ALL.into_iter().map(|kind| (kind, self.of(kind)))
    }

    /// The shares for a corpus.
    pub fn of_corpus(&self) -> corpus::CorpusShares {
        corpus::CorpusShares { solutions: self.solutions().collect(), drill: self.drill }
    }
}
