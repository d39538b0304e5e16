//! The train and test splits. A hash of the question decides, so no question is ever in both.

use serde::{Deserialize, Serialize};

use crate::domains::Row;
use crate::seed::{Stream, permuted};
use crate::{Domain, DrawError, Problem, Question};

/// One question in this many belongs to the test split.
const TEST_ONE_IN: u64 = 8;
/// How often a question of the wrong split is drawn again, at most.
const MAX_DRAWS: u64 = 4096;

/// The split that a dataset asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seven of eight questions.
    Train,
    /// One of eight questions. It is never used for training, in any mixture, with any seed.
    Test,
}

impl Split {
    /// The split of the question `prompt`, for every domain, level and seed.
    pub fn of(prompt: &str) -> Self {
        let hash = blake3::hash(prompt.as_bytes());
        let mut bits = [0; 8];
        bits.copy_from_slice(&hash.as_bytes()[..8]);
        if u64::from_le_bytes(bits).is_multiple_of(TEST_ONE_IN) { Self::Test } else { Self::Train }
    }

    /// The name in files and recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// A dataset cannot give a question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The level is out of the domain's range.
    #[error("task `{domain}` has no level {level}: it has {low} to {high}")]
    Level {
        /// The domain's name.
        domain: String,
        /// The requested level.
        level: u32,
        /// The lowest level.
        low: u32,
        /// The highest level.
        high: u32,
    },
    /// The domain refuses the level with its settings.
    #[error("task `{domain}`, level {level}: {reason}")]
    Refused {
        /// The domain's name.
        domain: String,
        /// The requested level.
        level: u32,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The question could not be drawn.
    #[error("task `{domain}`: {source}")]
    Draw {
        /// The domain's name.
        domain: String,
        /// Why the draw failed.
        source: DrawError,
    },
    /// All drawn questions of this level belong to the other split.
    #[error(
        "task `{domain}`, level {level}: no question of the {split} split in {MAX_DRAWS} draws; this level has too few \
         questions for both splits: use a higher one"
    )]
    Exhausted {
        /// The domain's name.
        domain: String,
        /// The level.
        level: u32,
        /// The split without questions.
        split: &'static str,
    },
}

/// The questions of one domain at one level, addressed by (split, index).
pub struct Dataset<'a> {
    name: &'a str,
    domain: &'a dyn Domain,
    level: u32,
    seed: u64,
}

impl<'a> Dataset<'a> {
    /// Makes the dataset of `domain` at `level`, with the name in `row`.
    ///
    /// # Errors
    /// When the domain has no such level, or refuses it.
    pub fn new(
        row: &'static Row,
        domain: &'a dyn Domain,
        level: u32,
        seed: u64,
    ) -> Result<Self, DatasetError> {
        Self::named(row.name, domain, level, seed)
    }

    /// Makes the dataset of `domain` at `level`, with the name `name`.
    ///
    /// # Errors
    /// When the domain has no such level, or refuses it.
    pub fn named(name: &'a str, domain: &'a dyn Domain, level: u32, seed: u64) -> Result<Self, DatasetError> {
        if let Some(reason) = domain.refusal(level) {
            return Err(DatasetError::Refused { domain: name.to_owned(), level, reason });
        }
        let levels = domain.levels();
        if !levels.contains(&level) {
            return Err(DatasetError::Level {
                domain: name.to_owned(),
                level,
                low: *levels.start(),
                high: *levels.end(),
            });
        }
        Ok(Self { name, domain, level, seed })
    }

    /// The question at (`split`, `index`), which never changes.
    ///
    /// # Errors
    /// When the level has so few questions that none belongs to the split, or when an external program fails to pose
    /// one.
    pub fn question(&self, split: Split, index: u64) -> Result<Question, DatasetError> {
        let problem = match self.domain.listed(split, self.level) {
            Some(list) => self.nth(list, split, index),
            None => self
                .posed(split, index)
                .map_err(|source| DatasetError::Draw { domain: self.name.to_owned(), source })?,
        };
        let problem = problem.ok_or_else(|| DatasetError::Exhausted {
            domain: self.name.to_owned(),
            level: self.level,
            split: split.name(),
        })?;
        Ok(Question {
            id: format!("{}/{}/{}/{}/{index}", self.name, self.level, split.name(), self.seed),
            task: self.name.to_owned(),
            level: self.level,
            split,
            problem,
        })
    }

    /// The first question of `split` among the draws at `index`.
    fn posed(&self, split: Split, index: u64) -> Result<Option<Problem>, DrawError> {
        let purpose = format!("task/{}", self.name);
        for draw in 0..MAX_DRAWS {
            let address = [u64::from(self.level), split as u64, index, draw];
            let problem = self.domain.draw(&mut Stream::at(&purpose, self.seed, &address), self.level)?;
            let fits = |problem: &Problem| self.domain.split(problem) == split;
            if let Some(problem) = problem.filter(fits) {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }

    /// The question of `list` at `index`. Each pass over the list is in a new random order.
    fn nth(&self, list: &[Problem], split: Split, index: u64) -> Option<Problem> {
        let count = list.len() as u64;
        let address = [u64::from(self.level), split as u64, index.checked_div(count)?];
        let place = permuted("task/listed", self.seed, &address, index % count, count);
        list.get(place as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains;

    /// A test question is never drawn for training: every question that a domain poses for a split, with any seed,
    /// belongs to that split by its own text, and no text belongs to both.
    #[test]
    fn no_question_is_ever_drawn_for_both_splits() {
        for row in domains::DOMAINS {
            let domain = (row.build)(&serde_json::Value::Null).unwrap();
            let levels = domain.levels();
            for level in [*levels.start(), *levels.end()] {
                let mut prompts = [(); 2].map(|()| std::collections::BTreeSet::new());
                for (split, prompts) in [Split::Train, Split::Test].into_iter().zip(&mut prompts) {
                    for seed in [0, 1, u64::MAX] {
                        let dataset = Dataset::new(row, domain.as_ref(), level, seed).unwrap();
                        for index in (0..20).chain((1 << 63)..(1 << 63) + 20) {
                            let question = dataset.question(split, index).unwrap();
                            assert_eq!(domain.split(&question.problem), split, "{}", question.id);
                            prompts.insert(question.problem.prompt);
                        }
                    }
                }
                assert!(prompts[0].is_disjoint(&prompts[1]), "{} level {level}", row.name);
            }
        }
    }
}
