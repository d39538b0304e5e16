//! What a policy asks of a loss: the gradient of each log-probability.

use std::ops::Range;

/// What a policy says about some sequences: one number per target token, one sequence after the other.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The log-probability of each target.
    pub log_probabilities: &'a [f32],
    /// The entropy of the distribution that each target was drawn from, in nats.
    pub entropies: &'a [f32],
}

/// A loss over a batch of sequences, asked for one micro-batch at a time.
pub trait Loss: Sync {
    /// The gradient of the loss for each log-probability in `seen`, which are those of the sequences `part` of the batch,
    /// and what the micro-batch shows.
    ///
    /// # Errors
    /// When candle cannot carry out an operation.
    fn of(&self, part: Range<usize>, seen: Seen<'_>) -> candle_core::Result<(Vec<f32>, Measured)>;
}

/// What a micro-batch shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// The micro-batch's part of the loss.
    pub loss: f64,
    /// Greatest importance ratio.
    pub ratio_max: f64,
    /// Least importance ratio.
    pub ratio_min: f64,
    /// Tokens whose gradient the lower clip cuts.
    pub clipped_low: u64,
    /// Tokens whose gradient the upper clip cuts.
    pub clipped_high: u64,
    /// Sum over tokens of the divergence from the KL reference; 0 without one.
    pub kl: f64,
    /// Sum over tokens of the entropy.
    pub entropy: f64,
    /// Greatest distance of a log-probability from the one that the decoder saw; 0 where it is not compared.
    pub rollout_gap: f64,
    /// Tokens.
    pub tokens: u64,
}

impl Measured {
    /// Both together.
    pub fn join(self, other: Self) -> Self {
        if self.tokens == 0 {
            return other;
        }
        Self {
            loss: self.loss + other.loss,
            ratio_max: self.ratio_max.max(other.ratio_max),
            ratio_min: self.ratio_min.min(other.ratio_min),
            clipped_low: self.clipped_low + other.clipped_low,
            clipped_high: self.clipped_high + other.clipped_high,
            kl: self.kl + other.kl,
            entropy: self.entropy + other.entropy,
            rollout_gap: self.rollout_gap.max(other.rollout_gap),
            tokens: self.tokens + other.tokens,
        }
    }
}

/// Predicts every next token: the mean over all target tokens of the negative log-probability.
pub struct NextToken {
    tokens: usize,
}

impl NextToken {
    /// The loss on sequences with so many target tokens in all.
    pub fn over(tokens: usize) -> Self {
        Self { tokens }
    }
}

impl Loss for NextToken {
    fn of(&self, _part: Range<usize>, seen: Seen<'_>) -> candle_core::Result<(Vec<f32>, Measured)> {
        let sum: f64 = seen.log_probabilities.iter().map(|value| f64::from(*value)).sum();
        let count = seen.log_probabilities.len();
        let measured =
            Measured { loss: -sum / self.tokens as f64, tokens: count as u64, ..Measured::default() };
        Ok((vec![-1.0 / self.tokens as f32; count], measured))
    }
}
