//! The clipped objective of GRPO and its variants, in candle.
//!
//! A variant is a set of numbers: the weights of tokens, the clip range, the KL coefficient. The tensors have one number per
//! token, so candle's differentiation costs almost nothing.

use std::ops::Range;

use candle_core::{Device, Result, Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::{Minibatch, Sample};
use crate::policy::loss::{Loss, Measured, Seen};

/// The aggregation of token losses.
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

/// The clip range and the loss aggregation of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectiveSettings {
    /// The ratio is clipped at 1 minus this.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub clip_low: f64,
    /// The ratio is clipped at 1 plus this.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_high: f64,
    /// The aggregation of token losses.
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

/// The KL penalty of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KlSettings {
    /// Weight of the divergence from the KL reference; 0: it is not computed.
    #[schemars(range(min = 0.0))]
    pub kl_coefficient: f64,
    /// Steps after which the current policy becomes the KL reference; 0: the reference is the policy at the start of the stage.
    pub kl_reference_every: u64,
}

/// The clipped objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The ratio is clipped at 1 minus this.
    pub clip_low: f64,
    /// The ratio is clipped at 1 plus this.
    pub clip_high: f64,
    /// Weight of the divergence from the KL reference.
    pub kl_coefficient: f64,
    /// The aggregation of token losses.
    pub aggregation: LossAggregation,
    /// The longest completion allowed.
    pub max_new_tokens: usize,
}

impl Default for Objective {
    fn default() -> Self {
        ObjectiveSettings::default().objective(&KlSettings::default(), 0)
    }
}

/// The size of the batch of one update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Completions in the batch.
    pub sequences: usize,
    /// Tokens of all completions.
    pub tokens: usize,
}

/// The inputs of the loss, each of shape `[tokens]`.
pub struct Tokens<'a> {
    /// The advantage of the completion of each token.
    pub advantages: &'a Tensor,
    /// From [`Objective::weights`].
    pub weights: &'a Tensor,
    /// Log-probabilities under the policy that sampled, in the training forward.
    pub old: &'a Tensor,
    /// Log-probabilities under the KL reference, if there is one.
    pub reference: Option<&'a Tensor>,
}

impl Objective {
    /// The loss on a minibatch. `is_fresh`: the policy is the one that sampled.
    pub fn on<'a>(
        &'a self,
        minibatch: &'a Minibatch<'_>,
        importance_cap: Option<f64>,
        is_fresh: bool,
    ) -> MinibatchLoss<'a> {
        let size = BatchSize { sequences: minibatch.samples.len(), tokens: minibatch.tokens() };
        let importance_cap = importance_cap.filter(|cap| *cap > 0.0);
        MinibatchLoss { objective: self, samples: &minibatch.samples, size, importance_cap, is_fresh }
    }

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
    /// Source: DeepSeekMath eq. 3–4, per token. The divergence is in the loss, not in the reward.
    pub fn loss(&self, log_probabilities: &Tensor, tokens: &Tokens<'_>) -> Result<Tensor> {
        let ratio = (log_probabilities - tokens.old)?.exp()?;
        let gain = (&ratio * tokens.advantages)?;
        // The bounded gain is a constant, so a clipped token has no gradient. Where both gains are equal, the unbounded one is
        // used, so that a ratio of 1 has its whole gradient.
        let bounded = ratio.detach().clamp(1.0 - self.clip_low, 1.0 + self.clip_high)?;
        let bounded = (bounded * tokens.advantages)?;
        let gain = bounded.lt(&gain.detach())?.where_cond(&bounded, &gain)?;
        let mut loss = gain.neg()?;
        if let Some(reference) = tokens.reference {
            loss = (loss + (k3(log_probabilities, reference)? * self.kl_coefficient)?)?;
        }
        (loss * tokens.weights)?.sum_all()
    }

    /// The gradient of each log-probability, and the measurements of the micro-batch.
    pub fn gradient(&self, log_probabilities: &[f32], tokens: &Tokens<'_>) -> Result<(Vec<f32>, Measured)> {
        let policy = Var::from_slice(log_probabilities, log_probabilities.len(), tokens.old.device())?;
        let loss = self.loss(&policy, tokens)?;
        let store = loss.backward()?;
        let Some(gradient) = store.get(&policy) else {
            candle_core::bail!("the loss does not depend on the policy")
        };
        let ratios = (policy.as_tensor() - tokens.old)?.exp()?.to_vec1::<f32>()?;
        let advantages = tokens.advantages.to_vec1::<f32>()?;
        let mut measured = Measured {
            loss: f64::from(loss.to_scalar::<f32>()?),
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
/// `importance_cap` turns on truncated importance sampling: the weight of a token is multiplied by its probability in the training
/// forward over that in the decoder, at most by the cap. Source: Yao et al. 2025, "Your efficient RL framework secretly brings
/// you off-policy RL training".
pub struct MinibatchLoss<'a> {
    pub(super) objective: &'a Objective,
    pub(super) samples: &'a [&'a Sample],
    pub(super) size: BatchSize,
    pub(super) importance_cap: Option<f64>,
    /// Whether the policy is the one that sampled.
    pub(super) is_fresh: bool,
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

/// The estimator `x - ln x - 1` of the divergence, with `x = reference / policy`. Source: DeepSeekMath eq. 4.
fn k3(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let difference = (reference - policy)?;
    (difference.exp()? - &difference)? - 1.0
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use thinkling_verifiers::Verdict;

    use super::*;
    use crate::learn::batch::Scored;
    use crate::learn::score::Judged;
    use crate::policy::rollout::Completion;

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

    #[test]
    fn settings_reach_the_objective() {
        let settings =
            ObjectiveSettings { clip_low: 0.1, clip_high: 0.3, loss: LossAggregation::ConstantLength };
        let kl = KlSettings { kl_coefficient: 0.4, kl_reference_every: 7 };
        let expected = Objective {
            clip_low: 0.1,
            clip_high: 0.3,
            kl_coefficient: 0.4,
            aggregation: LossAggregation::ConstantLength,
            max_new_tokens: 9,
        };
        assert_eq!(settings.objective(&kl, 9), expected);
    }

    fn singles(values: &[f64]) -> Tensor {
        tensor(values).to_dtype(DType::F32).unwrap()
    }

    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    /// The gradient and the measurements of tokens with these ratios, advantages and weights under the old policy, all of
    /// whose probabilities are a half, and those of the reference a quarter.
    fn measured(objective: &Objective, tokens: &[(f64, f64, f64)]) -> (Vec<f32>, Measured) {
        let column = |of: fn(&(f64, f64, f64)) -> f64| tokens.iter().map(of).collect::<Vec<_>>();
        let policy: Vec<f32> = tokens.iter().map(|token| (token.0 * 0.5).ln() as f32).collect();
        let reference = singles(&vec![0.25_f64.ln(); tokens.len()]);
        let tokens = Tokens {
            advantages: &singles(&column(|token| token.1)),
            weights: &singles(&column(|token| token.2)),
            old: &singles(&vec![0.5_f64.ln(); tokens.len()]),
            reference: (objective.kl_coefficient > 0.0).then_some(&reference),
        };
        objective.gradient(&policy, &tokens).unwrap()
    }

    #[test]
    fn tokens_are_measured_and_those_that_the_clip_affects_counted() {
        let tokens = [
            (0.5, -1.0, 0.1),
            (0.7, -1.0, 0.1),
            (0.79, -1.0, 0.2),
            (0.9, -1.0, 0.3),
            (3.0, -1.0, 0.4),
            (0.5, 1.0, 0.5),
            (1.27, 1.0, 0.6),
            (1.5, 1.0, 0.7),
            (2.0, 2.0, 0.8),
            (1.9, 1.0, 0.9),
            (1.6, 1.0, 0.5),
        ];
        let (gradient, found) = measured(&PLAIN, &tokens);
        assert_close(&gradient, &[0.0, 0.0, 0.0, 0.27, 1.2, -0.25, -0.762, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((found.clipped_low, found.clipped_high, found.tokens), (3, 4, 11));
        assert!((found.ratio_max - 3.0).abs() < 1e-5 && (found.ratio_min - 0.5).abs() < 1e-6);
        // 0.08 + 0.08 + 0.16 + 0.27 + 1.2 - 0.25 - 0.762 - 1.28 * (0.7 + 2 * 0.8 + 0.9 + 0.5)
        assert!((found.loss + 3.958).abs() < 1e-5, "{}", found.loss);
        assert_eq!((found.kl, found.entropy, found.rollout_gap), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_token_at_the_edge_of_the_clip_or_without_advantage_is_not_clipped() {
        let edge = Objective { clip_low: 0.0, clip_high: 0.0, ..PLAIN };
        let found = measured(&edge, &[(1.0, -1.0, 1.0), (1.0, 1.0, 1.0), (0.5, 0.0, 1.0), (2.0, 0.0, 1.0)]).1;
        assert_eq!((found.clipped_low, found.clipped_high), (0, 0));
    }

    #[test]
    fn the_divergence_adds_to_the_loss_and_is_measured() {
        let objective = Objective { kl_coefficient: 0.5, ..PLAIN };
        // The reference has half the policy's probability where the ratio is 1, and the same where it is a half.
        let (gradient, found) = measured(&objective, &[(1.0, 2.0, 0.3), (0.5, 2.0, 0.2)]);
        assert_close(&gradient, &[0.3 * (-2.0 + 0.5 * 0.5), -0.2]);
        let k3 = 0.5 + 2.0_f64.ln() - 1.0;
        assert!((found.kl - k3).abs() < 1e-6, "{}", found.kl);
        assert!((found.loss - (0.3 * (-2.0 + 0.5 * k3) - 0.2)).abs() < 1e-6, "{}", found.loss);
    }

    /// A sample whose tokens had these log-probabilities in the decoder.
    fn sample(log_probabilities: &[f32], advantage: f64) -> Sample {
        let completion = Completion {
            tokens: vec![5; log_probabilities.len()],
            log_probabilities: log_probabilities.to_vec(),
            entropies: vec![0.0; log_probabilities.len()],
            routes: Vec::new(),
            is_finished: true,
        };
        let judged = Judged::bare(Verdict::malformed("none"), Some(0.0));
        Sample::new(&[1, 2], Scored { completion, judged }, Some(advantage))
    }

    /// Three tokens in two samples, and what the update's forward gives for them.
    const SEEN: Seen<'_> = Seen { log_probabilities: &[-1.0, -1.5, -0.75], entropies: &[0.5, 0.25, 1.0] };

    fn samples() -> [Sample; 2] {
        [sample(&[-1.0, -2.0], 1.0), sample(&[-0.5], -2.0)]
    }

    #[test]
    fn each_token_has_the_numbers_of_its_own_sample() {
        let [first, second] = samples();
        let minibatch = Minibatch { samples: vec![&first, &second] };
        let loss = PLAIN.on(&minibatch, None, true);
        let (gradient, found) = loss.of(0..2, SEEN).unwrap();
        assert_close(&gradient, &[-1.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!((found.entropy, found.tokens), (1.75, 3));
        assert!((found.rollout_gap - 0.5).abs() < 1e-6);
        // The second sample alone: its weight is that of the whole minibatch.
        let seen = Seen { log_probabilities: &[-0.75], entropies: &[1.0] };
        let (gradient, found) = loss.of(1..2, seen).unwrap();
        assert_close(&gradient, &[2.0 / 3.0]);
        assert!((found.rollout_gap - 0.25).abs() < 1e-6);
        // In a later update the gap to the decoder is not one of rounding.
        assert_eq!(PLAIN.on(&minibatch, None, false).of(0..2, SEEN).unwrap().1.rollout_gap, 0.0);
    }

    #[test]
    fn later_updates_compare_with_the_policy_that_sampled() {
        let [mut first, mut second] = samples();
        (first.old, second.old) = (Some(vec![-1.0, -1.4]), Some(vec![-0.75]));
        (first.reference, second.reference) = (Some(vec![-1.0, -1.5]), Some(vec![-1.75]));
        let minibatch = Minibatch { samples: vec![&first, &second] };
        let (gradient, found) = PLAIN.on(&minibatch, None, false).of(0..2, SEEN).unwrap();
        assert_close(&gradient, &[-1.0 / 3.0, -f64::exp(-0.1) / 3.0, 2.0 / 3.0]);
        assert!((found.kl - f64::exp(-1.0)).abs() < 1e-6, "{}", found.kl);
    }

    #[test]
    fn the_importance_of_a_token_is_its_probability_here_over_that_in_the_decoder_up_to_the_cap() {
        let [first, second] = samples();
        let minibatch = Minibatch { samples: vec![&first, &second] };
        let gradient = |cap| PLAIN.on(&minibatch, cap, true).of(0..2, SEEN).unwrap().0;
        assert_close(&gradient(Some(1.2)), &[-1.0 / 3.0, -1.2 / 3.0, 2.0 / 3.0 * f64::exp(-0.25)]);
        for off in [None, Some(0.0), Some(-1.0)] {
            assert_eq!(PLAIN.on(&minibatch, off, true).importance_cap, None);
        }
    }
}
