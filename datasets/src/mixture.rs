//! Several tasks at once: each question comes from one of them, by weight and by address.

use crate::seed::Stream;

/// The weights make no mixture.
#[derive(Debug, PartialEq, thiserror::Error)]
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
}

/// How often each of several tasks is asked; only the ratios of weights matter, and 0 is never.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    weights: Vec<f64>,
    total: f64,
    seed: u64,
}

impl Mixture {
    /// The mixture of entries with these weights.
    ///
    /// # Errors
    /// When a weight is negative or not finite, or none is above 0.
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

    /// The entry that the question at `index` comes from: the same for ever.
    pub fn entry(&self, index: u64) -> usize {
        let mut left = Stream::at("mixture", self.seed, &[index]).unit() * self.total;
        let mut last = 0;
        for (entry, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            last = entry;
            if left < *weight {
                break;
            }
            // Rounding can leave a rest past the last weight: it is the last entry's.
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
    fn weights_that_mean_nothing_are_refused() {
        let refused = |weights: &[f64]| Mixture::new(weights.to_vec(), 0).unwrap_err().to_string();
        assert!(refused(&[1.0, -1.0]).contains("entry 1 of the mixture has weight -1"));
        assert!(refused(&[f64::NAN]).contains("NaN"));
        assert!(refused(&[0.0]).contains("sum to 0"));
        assert!(refused(&[]).contains("at least one"));
        assert!(refused(&[f64::MAX, f64::MAX]).contains("sum to inf"));
    }
}
