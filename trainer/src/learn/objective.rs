//! The clipped objective of GRPO and its kin, in candle: what the policy is pushed towards.
//!
//! Variants are numbers: which weight a token has in the sum, where the ratio is clipped, how strongly the policy is
//! held to a reference. The tensors here have one number a token, so candle's own differentiation costs nothing.

use std::ops::Range;

use candle_core::{Device, Result, Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::Sample;
use crate::policy::loss::{Loss, Measured, Seen};

/// How the losses of tokens become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossAggregation {
    /// Mean over all tokens of the batch (DAPO).
    TokenMean,
    /// Mean over the tokens of a completion, then over completions (GRPO).
    SequenceMean,
    /// Sum over tokens, divided by completions times `max_new_tokens` (Dr. GRPO).
    ConstantLength,
}

/// Where a stage of a recipe clips, and what its tokens weigh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectiveSettings {
    /// How far below 1 the probability ratio counts.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub clip_low: f64,
    /// How far above 1 the probability ratio counts.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_high: f64,
    /// How the losses of tokens become one number.
    pub loss: LossAggregation,
}

impl ObjectiveSettings {
    /// The objective, for completions of at most `max_new_tokens` tokens.
    pub fn objective(&self, kl: &KlSettings, max_new_tokens: usize) -> Objective {
        Objective {
            clip_low: self.clip_low,
            clip_high: self.clip_high,
            kl_coefficient: kl.kl_coefficient,
            aggregation: self.loss,
            max_new_tokens,
        }
    }
}

impl Default for ObjectiveSettings {
    fn default() -> Self {
        Self { clip_low: 0.2, clip_high: 0.2, loss: LossAggregation::TokenMean }
    }
}

/// How strongly a stage of a recipe holds the policy to a reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KlSettings {
    /// Weight of the divergence from the reference policy; 0: none is computed.
    #[schemars(range(min = 0.0))]
    pub kl_coefficient: f64,
    /// Steps after which the policy becomes the reference; 0: the reference is the stage's start.
    pub kl_reference_every: u64,
}

/// The settings of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// How far below 1 a ratio counts.
    pub clip_low: f64,
    /// How far above 1 a ratio counts (DAPO sets it apart).
    pub clip_high: f64,
    /// Weight of the divergence from the reference.
    pub kl_coefficient: f64,
    /// The weight of a token in the loss.
    pub aggregation: LossAggregation,
    /// The longest completion allowed.
    pub max_new_tokens: usize,
}

/// Sizes of the batch that one update sees, of which a micro-batch is a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Completions in the batch.
    pub sequences: usize,
    /// Their tokens together.
    pub tokens: usize,
}

/// One number a token, all of one length `[tokens]`.
pub struct Tokens<'a> {
    /// The advantage of each token's completion.
    pub advantages: &'a Tensor,
    /// From [`Objective::weights`].
    pub weights: &'a Tensor,
    /// Log-probabilities of the policy that sampled, as the trainer evaluates it.
    pub old: &'a Tensor,
    /// Log-probabilities of the reference policy, where there is one.
    pub reference: Option<&'a Tensor>,
}

impl Objective {
    /// The weight of each token of sequences with these lengths. They sum to 1 over the batch, except with a constant length.
    pub fn weights(&self, lengths: &[usize], batch: BatchSize) -> Vec<f64> {
        let weight = |length: usize| match self.aggregation {
            LossAggregation::TokenMean => 1.0 / batch.tokens as f64,
            LossAggregation::SequenceMean => 1.0 / (length * batch.sequences) as f64,
            LossAggregation::ConstantLength => 1.0 / (batch.sequences * self.max_new_tokens) as f64,
        };
        lengths.iter().flat_map(|length| std::iter::repeat_n(weight(*length), *length)).collect()
    }

    /// The loss of a micro-batch: `Σ weight · (β · k3 - min(ratio · A, clip(ratio) · A))`, a scalar.
    ///
    /// Shapes: `log_probabilities` `[tokens]`, like everything in `tokens`. Source: DeepSeekMath eq. 3–4, per token; the
    /// divergence is in the loss, not in the reward.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn loss(&self, log_probabilities: &Tensor, tokens: &Tokens<'_>) -> Result<Tensor> {
        let ratio = (log_probabilities - tokens.old)?.exp()?;
        let gain = (&ratio * tokens.advantages)?;
        // A constant where it is taken: beyond its bound a token has no gradient. Within the bounds both are equal, and
        // the first is taken, so that a ratio of 1 has its whole gradient.
        let bounded = ratio.detach().clamp(1.0 - self.clip_low, 1.0 + self.clip_high)?;
        let bounded = (bounded * tokens.advantages)?;
        let gain = bounded.lt(&gain.detach())?.where_cond(&bounded, &gain)?;
        let mut loss = gain.neg()?;
        if let Some(reference) = tokens.reference {
            loss = (loss + (k3(log_probabilities, reference)? * self.kl_coefficient)?)?;
        }
        (loss * tokens.weights)?.sum_all()
    }

    /// The gradient of the loss for each log-probability, and what the micro-batch shows.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn gradient(&self, log_probabilities: &[f32], tokens: &Tokens<'_>) -> Result<(Vec<f32>, Measured)> {
        let policy = Var::from_slice(log_probabilities, log_probabilities.len(), tokens.old.device())?;
        let loss = self.loss(&policy, tokens)?;
        let store = loss.backward()?;
        let Some(gradient) = store.get(&policy) else {
            candle_core::bail!("the loss does not see the policy")
        };
        let ratios = (policy.as_tensor() - tokens.old)?.exp()?.to_vec1::<f32>()?;
        let advantages = tokens.advantages.to_vec1::<f32>()?;
        let mut measured = Measured {
            loss: f64::from(loss.to_scalar::<f32>()?),
            ratio_max: f64::NEG_INFINITY,
            ratio_min: f64::INFINITY,
            tokens: ratios.len() as u64,
            ..Measured::default()
        };
        for (ratio, advantage) in ratios.into_iter().map(f64::from).zip(advantages) {
            measured.ratio_max = measured.ratio_max.max(ratio);
            measured.ratio_min = measured.ratio_min.min(ratio);
            measured.clipped_low += u64::from(advantage < 0.0 && ratio < 1.0 - self.clip_low);
            measured.clipped_high += u64::from(advantage > 0.0 && ratio > 1.0 + self.clip_high);
        }
        if let Some(reference) = tokens.reference {
            measured.kl = f64::from(k3(policy.as_tensor(), reference)?.sum_all()?.to_scalar::<f32>()?);
        }
        Ok((gradient.to_vec1()?, measured))
    }
}

/// An objective on the samples of one update.
///
/// With `importance_cap` each token's weight is multiplied by how much likelier the training forward found it than the
/// decoder that drew it, at most the cap: truncated importance sampling (Yao et al. 2025, "Your efficient RL framework
/// secretly brings you off-policy RL training").
pub struct MinibatchLoss<'a> {
    objective: &'a Objective,
    samples: &'a [&'a Sample],
    size: BatchSize,
    importance_cap: Option<f64>,
    is_fresh: bool,
}

impl<'a> MinibatchLoss<'a> {
    /// The loss on `samples`, each of which has an advantage. `is_fresh`: the policy is the one that sampled.
    pub fn new(
        objective: &'a Objective,
        samples: &'a [&'a Sample],
        importance_cap: Option<f64>,
        is_fresh: bool,
    ) -> Self {
        let tokens = samples.iter().map(|sample| sample.length()).sum();
        let size = BatchSize { sequences: samples.len(), tokens };
        Self { objective, samples, size, importance_cap: importance_cap.filter(|cap| *cap > 0.0), is_fresh }
    }
}

impl Loss for MinibatchLoss<'_> {
    fn of(&self, part: Range<usize>, seen: Seen<'_>) -> Result<(Vec<f32>, Measured)> {
        let samples = &self.samples[part];
        let tensor = |values: Vec<f32>| {
            let length = values.len();
            Tensor::from_vec(values, length, &Device::Cpu)
        };
        let sampled = || samples.iter().flat_map(|sample| &sample.scored.completion.log_probabilities);
        let lengths: Vec<usize> = samples.iter().map(|sample| sample.length()).collect();
        let mut weights = self.objective.weights(&lengths, self.size);
        let advantages = samples.iter().flat_map(|sample| {
            std::iter::repeat_n(sample.advantage.unwrap_or_default() as f32, sample.length())
        });
        let old: Option<Vec<&[f32]>> = samples.iter().map(|sample| sample.old.as_deref()).collect();
        let old = old.map_or_else(|| seen.log_probabilities.to_vec(), |old| old.concat());
        if let Some(cap) = self.importance_cap {
            for ((weight, old), sampled) in weights.iter_mut().zip(&old).zip(sampled()) {
                *weight *= f64::from(old - sampled).exp().min(cap);
            }
        }
        let reference: Option<Vec<&[f32]>> =
            samples.iter().map(|sample| sample.reference.as_deref()).collect();
        let reference = reference.map(|reference| tensor(reference.concat())).transpose()?;
        let tokens = Tokens {
            advantages: &tensor(advantages.collect())?,
            weights: &tensor(weights.into_iter().map(|weight| weight as f32).collect())?,
            old: &tensor(old)?,
            reference: reference.as_ref(),
        };
        let (gradient, mut measured) = self.objective.gradient(seen.log_probabilities, &tokens)?;
        measured.entropy = seen.entropies.iter().map(|entropy| f64::from(*entropy)).sum();
        if self.is_fresh {
            let gaps = seen.log_probabilities.iter().zip(sampled());
            let gaps = gaps.map(|(ours, seen)| f64::from((ours - seen).abs()));
            measured.rollout_gap = gaps.fold(0.0, f64::max);
        }
        Ok((gradient, measured))
    }
}

/// The estimator `x - ln x - 1` of the divergence, `x = reference / policy`; never negative.
///
/// Source: DeepSeekMath eq. 4.
fn k3(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let difference = (reference - policy)?;
    (difference.exp()? - &difference)? - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    const PLAIN: Objective = Objective {
        clip_low: 0.2,
        clip_high: 0.28,
        kl_coefficient: 0.0,
        aggregation: LossAggregation::TokenMean,
        max_new_tokens: 10,
    };

    /// The gradient of one token with advantage `advantage` whose ratio is `ratio`.
    fn token_gradient(objective: &Objective, ratio: f64, advantage: f64, reference: Option<f64>) -> f64 {
        let policy = Var::from_tensor(&tensor(&[ratio.ln()])).unwrap();
        let (advantages, weights, old) = (tensor(&[advantage]), tensor(&[1.0]), tensor(&[0.0]));
        let reference = reference.map(|value| tensor(&[value]));
        let tokens =
            Tokens { advantages: &advantages, weights: &weights, old: &old, reference: reference.as_ref() };
        let store = objective.loss(&policy, &tokens).unwrap().backward().unwrap();
        store.get(&policy).unwrap().to_vec1::<f64>().unwrap()[0]
    }

    #[test]
    fn the_clip_cuts_where_it_should_and_nowhere_else() {
        for (ratio, advantage, expected) in [
            // At a ratio of 1 the gradient is that of REINFORCE, whole.
            (1.0, 2.0, -2.0),
            (1.0, -2.0, 2.0),
            (1.27, 1.0, -1.27),
            (1.29, 1.0, 0.0),
            (0.5, 1.0, -0.5),
            (0.79, -1.0, 0.0),
            (0.81, -1.0, 0.81),
            (3.0, -1.0, 3.0),
        ] {
            let gradient = token_gradient(&PLAIN, ratio, advantage, None);
            assert!((gradient - expected).abs() < 1e-12, "ratio {ratio}, advantage {advantage}: {gradient}");
        }
    }

    #[test]
    fn the_divergence_has_the_published_values_and_gradient() {
        for (log_x, value) in
            [(-1.0, 0.367879), (-0.1, 0.004837), (0.0, 0.0), (0.1, 0.005171), (1.0, 0.718282)]
        {
            let k3 = k3(&tensor(&[0.0]), &tensor(&[log_x])).unwrap().to_vec1::<f64>().unwrap()[0];
            assert!((k3 - value).abs() < 1e-6, "{log_x}: {k3}");
            // d k3 / d log policy = 1 - x.
            let objective = Objective { kl_coefficient: 0.5, ..PLAIN };
            let gradient = token_gradient(&objective, 1.0, 0.0, Some(log_x));
            assert!((gradient - 0.5 * (1.0 - f64::exp(log_x))).abs() < 1e-12);
        }
    }

    const AGGREGATIONS: [LossAggregation; 3] =
        [LossAggregation::TokenMean, LossAggregation::SequenceMean, LossAggregation::ConstantLength];

    #[test]
    fn weights_follow_the_aggregation() {
        let batch = BatchSize { sequences: 2, tokens: 5 };
        let sixth = 1.0 / 6.0;
        let expected = [[0.2; 5], [0.25, 0.25, sixth, sixth, sixth], [0.05; 5]];
        for (aggregation, expected) in AGGREGATIONS.into_iter().zip(expected) {
            assert_eq!(Objective { aggregation, ..PLAIN }.weights(&[2, 3], batch), expected);
        }
    }

    #[test]
    fn a_batch_may_be_cut_anywhere() {
        let lengths = [3, 1, 4];
        for aggregation in AGGREGATIONS {
            let objective = Objective { aggregation, max_new_tokens: 7, ..PLAIN };
            let batch = BatchSize { sequences: 3, tokens: 8 };
            let parts: Vec<f64> =
                lengths.iter().flat_map(|length| objective.weights(&[*length], batch)).collect();
            assert_eq!(objective.weights(&lengths, batch), parts);
        }
    }
}
