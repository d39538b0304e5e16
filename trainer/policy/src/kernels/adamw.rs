//! AdamW's update of a slice of weights; the twin and the parity test are in `policy/optimizer.rs`.

/// The numbers of one update.
#[derive(Clone, Copy, Debug)]
pub struct AdamWUpdate {
    /// Learning rate.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// `1 / (1 - beta1^t)`.
    pub correction1: f32,
    /// `1 / (1 - beta2^t)`.
    pub correction2: f32,
    /// Factor of the gradient (clipping).
    pub gradient_scale: f32,
}

dispatch! {
    /// Moves `weights` against `gradient` and updates the moments. Source: Loshchilov & Hutter 2019, algorithm 2.
    pub fn step(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: AdamWUpdate) {
        let keep = 1.0 - step.learning_rate * step.weight_decay;
        for (((weight, gradient), first), second) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            let gradient = gradient * step.gradient_scale;
            *first = step.beta1 * *first + (1.0 - step.beta1) * gradient;
            *second = step.beta2 * *second + (1.0 - step.beta2) * gradient * gradient;
            let root = (*second * step.correction2).sqrt() + step.epsilon;
            *weight = *weight * keep - step.learning_rate * (*first * step.correction1) / root;
        }
    }
}
