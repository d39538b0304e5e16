//! Train and test: told apart by a hash of the question, so that no question is ever in both.

use serde::{Deserialize, Serialize};

use crate::domains::Row;
use crate::seed::Stream;
use crate::{Domain, Task};

/// One question in this many belongs to the test split.
const TEST_ONE_IN: u64 = 8;
/// A question of the wrong split is drawn again, at most this often.
const MAX_DRAWS: u64 = 4096;

/// Which questions a dataset asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seven questions in eight.
    Train,
    /// One question in eight: never trained on, in any mixture, for any seed.
    Test,
}

impl Split {
    /// The split that the question `prompt` belongs to, for every domain, level and seed.
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

/// A dataset cannot give a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The level is out of the domain's range.
    #[error("task `{domain}` has no level {level}: it has {low} to {high}")]
    Level {
        /// The domain's name.
        domain: &'static str,
        /// What was asked.
        level: u32,
        /// The lowest level.
        low: u32,
        /// The highest level.
        high: u32,
    },
    /// The level cannot be posed under the domain's settings.
    #[error("task `{domain}`, level {level}: {reason}")]
    Refused {
        /// The domain's name.
        domain: &'static str,
        /// What was asked.
        level: u32,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The questions of this level all fall into the other split.
    #[error(
        "task `{domain}`, level {level}: no question of the {split} split in {MAX_DRAWS} draws; this level has too few \
         questions to be split, use a higher one"
    )]
    Exhausted {
        /// The domain's name.
        domain: &'static str,
        /// The level.
        level: u32,
        /// The split that came out empty.
        split: &'static str,
    },
}

/// The questions of one domain at one level, addressed by (split, index).
pub struct Dataset<'a> {
    row: &'static Row,
    domain: &'a dyn Domain,
    level: u32,
    seed: u64,
}

impl<'a> Dataset<'a> {
    /// The dataset of `domain`, as `row` names it, at `level`.
    ///
    /// # Errors
    /// When the domain has no such level, or refuses it.
    pub fn new(
        row: &'static Row,
        domain: &'a dyn Domain,
        level: u32,
        seed: u64,
    ) -> Result<Self, DatasetError> {
        if let Some(reason) = domain.refusal(level) {
            return Err(DatasetError::Refused { domain: row.name, level, reason });
        }
        let levels = domain.levels();
        if !levels.contains(&level) {
            return Err(DatasetError::Level {
                domain: row.name,
                level,
                low: *levels.start(),
                high: *levels.end(),
            });
        }
        Ok(Self { row, domain, level, seed })
    }

    /// The task at (`split`, `index`): the same for ever.
    ///
    /// # Errors
    /// When the level has so few questions that none falls into the split.
    pub fn task(&self, split: Split, index: u64) -> Result<Task, DatasetError> {
        let purpose = format!("task/{}", self.row.name);
        for draw in 0..MAX_DRAWS {
            let address = [u64::from(self.level), split as u64, index, draw];
            let problem = self.domain.pose(&mut Stream::at(&purpose, self.seed, &address), self.level);
            if self.domain.split(&problem) == split {
                return Ok(Task {
                    id: format!("{}/{}/{}/{}/{index}", self.row.name, self.level, split.name(), self.seed),
                    task: self.row.name.to_owned(),
                    level: self.level,
                    split,
                    problem,
                });
            }
        }
        Err(DatasetError::Exhausted { domain: self.row.name, level: self.level, split: split.name() })
    }
}
