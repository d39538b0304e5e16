//! AdamW on one vector of weights, with gradient clipping and moments that can be saved.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::balance::balance_biases;
use super::parameters::{Layout, Parameters};
use crate::kernels::adamw;

/// Numbers per chunk. Sums over a vector are taken chunk by chunk, in a fixed order.
const CHUNK: usize = 1 << 14;

/// The learning-rate schedule after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Falls along half a cosine to `final_learning_rate_share`.
    Cosine,
    /// Stays constant.
    Constant,
}

/// The optimizer settings of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OptimizerSettings {
    /// Learning rate after the warm-up.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// The last learning rate of the cosine schedule, as a share of the highest one.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_learning_rate_share: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// The learning-rate schedule after the warm-up.
    pub schedule: Schedule,
    /// Decoupled weight decay of AdamW.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Decay of AdamW's first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of AdamW's second moment.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
    /// Greatest norm of a gradient; a greater gradient is scaled down to it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_grad_norm: f64,
}

impl OptimizerSettings {
    /// The default of `final_learning_rate_share`.
    pub const FINAL_SHARE: f64 = 0.1;

    /// The learning rate of step `step` (from 1) of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        let last_share = (self.schedule == Schedule::Cosine).then_some(self.final_learning_rate_share);
        learning_rate(self.learning_rate, self.warmup_steps, last_share, step, steps)
    }

    /// The settings of AdamW among these.
    pub fn adamw(&self) -> AdamWSettings {
        let Self { beta1, beta2, epsilon, weight_decay, max_grad_norm, .. } = *self;
        AdamWSettings { beta1, beta2, epsilon, weight_decay, max_grad_norm }
    }
}

/// The settings of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Gradients with a greater norm are scaled down to it.
    pub max_grad_norm: f64,
}

/// One update of a policy's weights.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<'a> {
    /// The learning rate.
    pub learning_rate: f64,
    /// The settings of AdamW.
    pub settings: AdamWSettings,
    /// The norm of the gradient, finite.
    pub gradient_norm: f64,
    /// The number of choices of each expert: one list per sparse layer.
    pub expert_loads: &'a [Vec<u64>],
    /// Step size of the experts' load biases; 0 for none.
    pub bias_update_speed: f64,
}

impl AdamStep<'_> {
    /// Updates the weights and the load biases.
    pub(super) fn apply(&self, optimizer: &mut AdamW, parameters: &mut Parameters, gradient: &[f32]) {
        let Parameters { layout, values, expert_biases } = parameters;
        optimizer.update(layout, values, gradient, self.gradient_norm, self.learning_rate, &self.settings);
        balance_biases(expert_biases, self.expert_loads, self.bias_update_speed as f32);
    }
}

/// AdamW's state.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// First moments, in the parameters' layout.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
    /// Updates so far.
    pub updates: u64,
}

impl AdamW {
    /// Initial state for `length` weights.
    pub fn new(length: usize) -> Self {
        Self { first: vec![0.0; length], second: vec![0.0; length], updates: 0 }
    }

    /// One update of `weights`. The gradient's norm must be finite.
    pub fn update(
        &mut self,
        layout: &Layout,
        weights: &mut [f32],
        gradient: &[f32],
        gradient_norm: f64,
        learning_rate: f64,
        settings: &AdamWSettings,
    ) {
        self.updates += 1;
        let correction = |beta: f64| 1.0 / (1.0 - beta.powf(self.updates as f64));
        let step = adamw::AdamWUpdate {
            learning_rate: learning_rate as f32,
            beta1: settings.beta1 as f32,
            beta2: settings.beta2 as f32,
            epsilon: settings.epsilon as f32,
            weight_decay: 0.0,
            correction1: correction(settings.beta1) as f32,
            correction2: correction(settings.beta2) as f32,
            gradient_scale: (settings.max_grad_norm / gradient_norm.max(settings.max_grad_norm)) as f32,
        };
        // Neighbouring slots of one kind together: the experts alone have hundreds of slots.
        for stretch in layout.slots.chunk_by(|a, b| a.decays == b.decays) {
            let range = stretch[0].range.start..stretch[stretch.len() - 1].range.end;
            let weight_decay = if stretch[0].decays { settings.weight_decay as f32 } else { 0.0 };
            let step = adamw::AdamWUpdate { weight_decay, ..step };
            weights[range.clone()]
                .par_chunks_mut(CHUNK)
                .zip(gradient[range.clone()].par_chunks(CHUNK))
                .zip(self.first[range.clone()].par_chunks_mut(CHUNK))
                .zip(self.second[range].par_chunks_mut(CHUNK))
                .for_each(|(((weights, gradient), first), second)| {
                    adamw::step(weights, gradient, first, second, step);
                });
        }
    }
}

/// The Euclidean norm, independent of the number of threads.
pub fn norm(values: &[f32]) -> f64 {
    let squares = |chunk: &[f32]| chunk.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let parts: Vec<f64> = values.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum::<f64>().sqrt()
}

/// The learning rate of update `update` (from 1): a linear warm-up, then a cosine or a constant.
fn learning_rate(peak: f64, warmup: u64, last_share: Option<f64>, update: u64, updates: u64) -> f64 {
    if update <= warmup {
        return peak * update as f64 / warmup as f64;
    }
    match last_share {
        None => peak,
        Some(share) => {
            let done = (update - warmup) as f64 / (updates.max(warmup + 1) - warmup) as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos());
            peak * (share + (1.0 - share) * cosine)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Parameters;
    use crate::policy::tests::{ADAMW, small};
    use thinkling_datasets::seed::Stream;

    #[test]
    fn updates_agree_with_the_formula_in_float64() {
        let parameters = Parameters::new(&small(), 0);
        let mut weights = parameters.values.clone();
        let mut state = AdamW::new(weights.len());
        let decays: Vec<bool> = parameters
            .layout
            .slots
            .iter()
            .flat_map(|slot| std::iter::repeat_n(slot.decays, slot.range.len()))
            .collect();
        let mut exact: Vec<(f64, f64, f64)> = weights.iter().map(|w| (f64::from(*w), 0.0, 0.0)).collect();
        let mut stream = Stream::at("adamw", 0, &[]);
        for update in 1..=4i32 {
            let gradient: Vec<f32> = weights.iter().map(|_| stream.normal() as f32).collect();
            let size = norm(&gradient);
            state.update(&parameters.layout, &mut weights, &gradient, size, 1e-2, &ADAMW);
            for (((weight, first, second), gradient), decays) in exact.iter_mut().zip(&gradient).zip(&decays)
            {
                let gradient = f64::from(*gradient) / size;
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.95 * *second + 0.05 * gradient * gradient;
                let decay = if *decays { 0.1 } else { 0.0 };
                let step = *first
                    / (1.0 - 0.9f64.powi(update))
                    / ((*second / (1.0 - 0.95f64.powi(update))).sqrt() + 1e-8);
                *weight -= 1e-2 * (step + decay * *weight);
            }
        }
        for (weight, (exact, ..)) in weights.iter().zip(&exact) {
            assert!((f64::from(*weight) - exact).abs() < 2e-5, "{weight} {exact}");
        }
    }

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let at = |update| learning_rate(2.0, 10, Some(0.1), update, 110);
        assert!((at(5) - 1.0).abs() < 1e-12 && (at(10) - 2.0).abs() < 1e-12);
        assert!((at(60) - 1.1).abs() < 1e-12 && (at(110) - 0.2).abs() < 1e-12);
        assert_eq!(learning_rate(2.0, 0, None, 50, 60), 2.0);
    }
}
