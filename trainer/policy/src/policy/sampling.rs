//! Sampling of the next token from logits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thinkling_datasets::seed::Stream;

use crate::kernels::likelihood::probabilities;

/// The sampling settings of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SamplingSettings {
    /// Temperature of sampling.
    #[schemars(range(min = 0.001))]
    pub temperature: f64,
    /// Samples among this many of the most likely tokens; 0: among all.
    pub top_k: usize,
    /// Samples among the most likely tokens that together have this probability.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub top_p: f64,
    /// Samples among tokens with at least this share of the greatest probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_p: f64,
}

impl SamplingSettings {
    /// The sampling rule.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature as f32,
            top_k: self.top_k,
            top_p: self.top_p as f32,
            min_p: self.min_p as f32,
        }
    }
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

/// The sampling rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The divisor of the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// The number of most likely tokens to draw from; 0 for all.
    pub top_k: usize,
    /// The probability of the most likely tokens to draw from; 1 for all.
    pub top_p: f32,
    /// The least share of the greatest probability to draw from; 0 for all.
    pub min_p: f32,
}

impl Sampling {
    /// Draws from the policy's own distribution.
    pub const PLAIN: Self = Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };
    /// Takes the most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, ..Self::PLAIN };

    fn is_restricted(&self) -> bool {
        self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0
    }
}

/// A drawn token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The token.
    pub token: u32,
    /// Its log-probability at the sampling temperature (1 when greedy), before top-k, top-p and min-p.
    pub log_probability: f32,
    /// The entropy of that distribution, in nats.
    pub entropy: f32,
}

/// Draws a token and overwrites the logits with probabilities. Takes one number from `stream`, or none when greedy.
pub fn draw(logits: &mut [f32], sampling: &Sampling, stream: &mut Stream) -> Draw {
    let is_greedy = sampling.temperature == 0.0;
    let entropy = probabilities(logits, if is_greedy { 1.0 } else { 1.0 / sampling.temperature });
    let probabilities = &*logits;
    let token = if is_greedy {
        most_likely(probabilities)
    } else if sampling.is_restricted() {
        restricted(probabilities, sampling, stream.unit() as f32)
    } else {
        pick(probabilities.iter().copied().enumerate(), 1.0, stream.unit() as f32)
    };
    Draw { token: token as u32, log_probability: probabilities[token].ln(), entropy }
}

fn most_likely(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (token, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = token;
        }
    }
    best
}

/// The token at which the running sum exceeds `at · total`, or the last possible token if rounding prevents that.
fn pick(candidates: impl Iterator<Item = (usize, f32)>, total: f32, at: f32) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (token, probability) in candidates {
        if probability > 0.0 {
            sum += probability;
            last = token;
            if at * total < sum {
                break;
            }
        }
    }
    last
}

/// Draws among the tokens that top-k, top-p and min-p leave, in this order; at least the most likely one is left.
fn restricted(probabilities: &[f32], sampling: &Sampling, at: f32) -> usize {
    let mut order: Vec<(usize, f32)> = probabilities.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let mut before = 0.0;
    let kept = order
        .iter()
        .take_while(|(_, probability)| {
            let is_kept = before < sampling.top_p;
            before += probability;
            is_kept
        })
        .count();
    order.truncate(kept.max(1));
    let floor = sampling.min_p * order[0].1;
    order.retain(|(_, probability)| *probability >= floor);
    let total = order.iter().map(|(_, probability)| probability).sum();
    pick(order.into_iter(), total, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sampling: Sampling) -> Vec<f64> {
        let logits = [0.1f32, 0.4, 0.2, 0.3].map(f32::ln);
        let mut counts = vec![0.0; 4];
        let mut stream = Stream::at("draw", 0, &[]);
        for _ in 0..20_000 {
            counts[draw(&mut logits.clone(), &sampling, &mut stream).token as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    fn near(shares: &[f64], expected: [f64; 4]) {
        assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.015), "{shares:?} {expected:?}");
    }

    #[test]
    fn draws_follow_the_rule() {
        near(&shares(Sampling::PLAIN), [0.1, 0.4, 0.2, 0.3]);
        near(&shares(Sampling::GREEDY), [0.0, 1.0, 0.0, 0.0]);
        near(&shares(Sampling { top_k: 2, ..Sampling::PLAIN }), [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        near(&shares(Sampling { top_p: 0.75, ..Sampling::PLAIN }), [0.0, 4.0 / 9.0, 2.0 / 9.0, 3.0 / 9.0]);
        near(&shares(Sampling { min_p: 0.6, ..Sampling::PLAIN }), [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        let squares = [0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3];
        near(&shares(Sampling { temperature: 0.5, ..Sampling::PLAIN }), squares);
    }

    #[test]
    fn log_probability_and_entropy_belong_to_the_distribution() {
        let draw = draw(&mut [0.0, 0.0], &Sampling::PLAIN, &mut Stream::at("draw", 0, &[]));
        assert!((draw.log_probability + 2f32.ln()).abs() < 1e-6 && (draw.entropy - 2f32.ln()).abs() < 1e-6);
    }
}
