//! The loss of a policy: the gradient of each log-probability.

use std::ops::Range;

/// The results of a forward pass: one number per target, sequence after sequence.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The log-probability of each target.
    pub log_probabilities: &'a [f32],
    /// The entropy of the distribution of each target, in nats.
    pub entropies: &'a [f32],
}

/// A loss over a batch of sequences, computed by micro-batches.
pub trait Loss: Sync {
    /// The gradient of each log-probability in `seen`, and measurements. `part` is the range of these sequences in the batch.
    fn of(&self, part: Range<usize>, seen: Seen<'_>) -> candle_core::Result<(Vec<f32>, Measured)>;
}

/// The measurements of a micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// The part of the loss.
    pub loss: f64,
    /// Greatest importance ratio.
    pub ratio_max: f64,
    /// Least importance ratio.
    pub ratio_min: f64,
    /// Tokens that the lower clip affects.
    pub clipped_low: u64,
    /// Tokens that the upper clip affects.
    pub clipped_high: u64,
    /// Sum over tokens of the divergence from the KL reference; 0 without one.
    pub kl: f64,
    /// Sum over tokens of the entropy.
    pub entropy: f64,
    /// Greatest difference of a log-probability from the decoder's; 0 where it is not compared.
    pub rollout_gap: f64,
    /// Tokens.
    pub tokens: u64,
}

impl Measured {
    /// The measurements of both micro-batches together.
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

/// Next-token prediction: the mean negative log-probability of all targets.
pub struct NextToken {
    tokens: usize,
}

impl NextToken {
    /// The loss on sequences with `tokens` targets in all.
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
