//! A mixture of tasks: the weights and the address of a question decide which task it comes from.

use crate::seed::Stream;

/// The weights are invalid.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MixtureError {
    /// A weight is negative or not a number.
    #[error("entry {entry} of the mixture has weight {weight}: give a number from 0 up")]
    Weight {
        /// The entry, counted from 0.
        entry: usize,
        /// Its weight.
        weight: f64,
    },
    /// All weights are 0, or their sum is not finite.
    #[error("the weights of the mixture sum to {0}: give at least one above 0")]
    NoWeight(f64),
}

/// How often each task is asked. Only the ratios of the weights matter, and 0 means never.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    weights: Vec<f64>,
    total: f64,
    seed: u64,
}

impl Mixture {
    /// Makes a mixture of entries with these weights.
    ///
    /// # Errors
    /// When a weight is negative or not finite, or no weight is above 0.
    pub fn new(weights: Vec<f64>, seed: u64) -> Result<Self, MixtureError> {
        let wrong = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0));
        if let Some(entry) = wrong {
            return Err(MixtureError::Weight { entry, weight: weights[entry] });
        }
        let total: f64 = weights.iter().sum();
        if !(total.is_finite() && total > 0.0) {
            return Err(MixtureError::NoWeight(total));
        }
        Ok(Self { weights, total, seed })
    }

    /// The entry that the question at `index` comes from, which never changes.
    pub fn entry(&self, index: u64) -> usize {
        let mut left = Stream::at("mixture", self.seed, &[index]).unit() * self.total;
        let mut last = 0;
        for (entry, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            last = entry;
            if left < *weight {
                break;
            }
            // Rounding can leave a remainder after the last weight, which goes to the last entry.
            left -= weight;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_proportion_and_by_address() {
        let mixture = Mixture::new(vec![3.0, 0.0, 1.0], 3).unwrap();
        let mut counts = [0; 3];
        for index in 0..4000 {
            counts[mixture.entry(index)] += 1;
        }
        // Three standard deviations of 4000 draws at one quarter are 82.
        assert!((918..=1082).contains(&counts[2]) && counts[1] == 0, "{counts:?}");
        let again = Mixture::new(vec![6.0, 0.0, 2.0], 3).unwrap();
        assert!((0..100).all(|index| mixture.entry(index) == again.entry(index)));
        let other = Mixture::new(vec![3.0, 0.0, 1.0], 4).unwrap();
        assert!((0..100).any(|index| mixture.entry(index) != other.entry(index)));
    }

    #[test]
    fn invalid_weights_are_refused() {
        let refused = |weights: &[f64]| Mixture::new(weights.to_vec(), 0).unwrap_err().to_string();
        assert!(refused(&[1.0, -1.0]).contains("entry 1 of the mixture has weight -1"));
        assert!(refused(&[f64::NAN]).contains("NaN"));
        assert!(refused(&[0.0]).contains("sum to 0"));
        assert!(refused(&[]).contains("at least one"));
        assert!(refused(&[f64::MAX, f64::MAX]).contains("sum to inf"));
    }
}
