//! Several datasets at once: each question is drawn from one of them, by weight and by address.

use crate::Task;
use crate::seed::Stream;
use crate::split::{Dataset, DatasetError, Split};

/// A dataset (a domain at a level) with its weight; only the ratios of weights matter.
pub struct Entry<'a> {
    /// Where the questions come from.
    pub dataset: Dataset<'a>,
    /// How often, in proportion to the others; 0 is never.
    pub weight: f64,
}

/// A mixture cannot be made or cannot give a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MixtureError {
    /// A weight is negative or not a number.
    #[error("entry {entry} of the mixture has weight {weight}: give a number from 0 up")]
    Weight {
        /// The entry, from 0.
        entry: usize,
        /// Its weight.
        weight: f64,
    },
    /// There is nothing to draw from.
    #[error("the weights of the mixture sum to {0}: give at least one above 0")]
    NoWeight(f64),
    /// The drawn dataset has no such task.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// A task and the entry that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The entry's place in the mixture.
    pub entry: usize,
    /// The task.
    pub task: Task,
}

/// Datasets and how often each is asked.
pub struct Mixture<'a> {
    entries: Vec<Entry<'a>>,
    total: f64,
    seed: u64,
}

impl<'a> Mixture<'a> {
    /// The mixture of `entries`.
    ///
    /// # Errors
    /// When a weight is negative or not finite, or none is above 0.
    pub fn new(entries: Vec<Entry<'a>>, seed: u64) -> Result<Self, MixtureError> {
        for (entry, Entry { weight, .. }) in entries.iter().enumerate() {
            if !(weight.is_finite() && *weight >= 0.0) {
                return Err(MixtureError::Weight { entry, weight: *weight });
            }
        }
        let total: f64 = entries.iter().map(|entry| entry.weight).sum();
        if !(total.is_finite() && total > 0.0) {
            return Err(MixtureError::NoWeight(total));
        }
        Ok(Self { entries, total, seed })
    }

    /// The entry that the question at (`split`, `index`) comes from.
    pub fn entry(&self, split: Split, index: u64) -> usize {
        let mut left = Stream::at("mixture", self.seed, &[split as u64, index]).unit() * self.total;
        let mut last = 0;
        for (entry, Entry { weight, .. }) in
            self.entries.iter().enumerate().filter(|(_, entry)| entry.weight > 0.0)
        {
            last = entry;
            if left < *weight {
                break;
            }
            // Rounding can leave a rest past the last weight: it is the last entry's.
            left -= weight;
        }
        last
    }

    /// The task at (`split`, `index`): the same for ever.
    ///
    /// # Errors
    /// When the drawn dataset has no question of the split.
    pub fn task(&self, split: Split, index: u64) -> Result<Drawn, MixtureError> {
        let entry = self.entry(split, index);
        Ok(Drawn { entry, task: self.entries[entry].dataset.task(split, index)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Domain, domains};

    fn built(name: &str) -> (&'static domains::Row, Box<dyn Domain>) {
        let row = domains::find(name).unwrap();
        (row, (row.build)(&Value::Null).unwrap())
    }

    #[test]
    fn entries_come_in_proportion_and_by_address() {
        let (parity, addition) = (built("parity"), built("addition"));
        let make = || {
            let parity = Dataset::new(parity.0, parity.1.as_ref(), 16, 3).unwrap();
            let never = Dataset::new(addition.0, addition.1.as_ref(), 2, 3).unwrap();
            let addition = Dataset::new(addition.0, addition.1.as_ref(), 5, 3).unwrap();
            let entries = [(parity, 3.0), (never, 0.0), (addition, 1.0)];
            Mixture::new(entries.map(|(dataset, weight)| Entry { dataset, weight }).into(), 3).unwrap()
        };
        let (mixture, again) = (make(), make());
        let mut counts = [0; 3];
        for index in 0..4000 {
            counts[mixture.entry(Split::Train, index)] += 1;
        }
        // Three standard deviations of 4000 draws at one quarter are 82.
        assert!((918..=1082).contains(&counts[2]) && counts[1] == 0, "{counts:?}");
        for index in [7, 3, 3999] {
            let drawn = mixture.task(Split::Test, index).unwrap();
            assert_eq!(drawn, again.task(Split::Test, index).unwrap());
            assert_eq!(drawn.task.task, ["parity", "", "addition"][drawn.entry]);
            assert_eq!(drawn.task.split, Split::Test);
        }
    }

    #[test]
    fn weights_that_mean_nothing_are_refused() {
        let parity = built("parity");
        let mixture = |weights: &[f64]| {
            let entry = |weight: &f64| Entry {
                dataset: Dataset::new(parity.0, parity.1.as_ref(), 16, 3).unwrap(),
                weight: *weight,
            };
            Mixture::new(weights.iter().map(entry).collect(), 0).err().map(|error| error.to_string())
        };
        assert!(mixture(&[1.0, -1.0]).unwrap().contains("entry 1 of the mixture has weight -1"));
        assert!(mixture(&[f64::NAN]).unwrap().contains("NaN"));
        assert!(mixture(&[0.0]).unwrap().contains("sum to 0"));
        assert!(mixture(&[]).unwrap().contains("at least one"));
        assert_eq!(mixture(&[0.5]), None);
    }
}
