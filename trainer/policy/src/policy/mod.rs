//! The policy: a transformer in DeepSeek-V3 form, every part a setting.
//!
//! Tokens in, log-probabilities out; nothing here knows text.

use candle_core::Result;

use crate::kernels::precision::Precision;
use crate::machine::work::{Amount, Costed, Costs, Work};

pub mod balance;
pub mod blocks;
pub mod candle;
pub mod collective;
pub mod config;
pub mod cpu;
pub mod footprint;
pub mod layout;
pub mod loss;
pub mod optimizer;
pub mod parameters;
pub mod rollout;
pub mod sampling;

pub use candle::CandlePolicy;
pub use collective::{Alone, Collective};
pub use config::{Attention, Config};
pub use cpu::CpuPolicy;
pub use loss::Loss;
pub use parameters::{Parameters, Snapshot};

use loss::Measured;
use optimizer::{AdamStep, AdamW};
use rollout::{Limits, Request, Rollout};
use sampling::Sampling;

#[cfg(test)]
pub(crate) mod tests;

/// One sequence to be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Prompt and completion.
    pub tokens: &'a [u32],
    /// Index of the first token whose log-probability is wanted; at least 1.
    pub first_target: usize,
    /// Experts chosen at rollout, `[tokens - 1, sparse layers, chosen]`, to be taken again; `None` to choose afresh.
    pub routes: Option<&'a [u16]>,
}

impl Sequence<'_> {
    /// Rows that go through the layers: every token but the last.
    pub fn rows(&self) -> usize {
        self.tokens.len() - 1
    }

    /// Tokens whose log-probability is wanted.
    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.first_target..]
    }
}

/// What learns: a network with its weights, on some device, asked for whole batches.
///
/// The results of every method depend on its arguments and the weights alone, never on the number of threads.
pub trait Policy: Send + Sync {
    /// The network's shape.
    fn config(&self) -> &Config;

    /// The weights, in main memory.
    fn parameters(&self) -> &Parameters;

    /// The precision of products with weights.
    fn precision(&self) -> Precision;

    /// Changes the weights.
    ///
    /// # Errors
    /// When the device refuses them.
    fn change(&mut self, change: &mut dyn FnMut(&mut Parameters)) -> Result<()>;

    /// Answers every request. A draw depends on `seed`, the request's address and the sample's number.
    ///
    /// # Errors
    /// When candle cannot carry out an operation.
    fn roll_out(
        &self,
        requests: &[Request<'_>],
        sampling: &Sampling,
        limits: &Limits,
        seed: u64,
    ) -> Result<Rollout>;

    /// The log-probability and the entropy of each target of each sequence, at this temperature.
    ///
    /// # Errors
    /// When candle cannot carry out an operation.
    fn scores(&mut self, sequences: &[Sequence<'_>], temperature: f32) -> Result<Scores>;

    /// Runs every sequence forward and backward; the gradient stays here until [`Policy::apply`] takes it.
    ///
    /// `balance` is the weight of each sequence's balance loss; 0 leaves that out. Each of the `ranks` computes its part of
    /// the batch, and all get the same gradient.
    ///
    /// # Errors
    /// When the loss fails.
    fn gradient(
        &mut self,
        sequences: &[Sequence<'_>],
        temperature: f32,
        balance: f32,
        loss: &dyn Loss,
        ranks: &dyn Collective,
    ) -> Result<Pass>;

    /// Applies the last gradient, whose norm is finite.
    ///
    /// # Errors
    /// When the device refuses the new weights.
    fn apply(&mut self, optimizer: &mut AdamW, step: &AdamStep<'_>) -> Result<()>;

    /// A gradient of all weights in the order of the layout: that of the last [`Policy::gradient`].
    fn last_gradient(&self) -> &[f32];

    /// Another policy of the same network, with these weights.
    ///
    /// # Errors
    /// When the device refuses them.
    fn with_weights(&self, weights: &Snapshot) -> Result<Box<dyn Policy>>;
}

/// What a pass over a batch gives; the gradient stays with the policy until it is applied.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// What the loss has measured.
    pub measured: Measured,
    /// How many choices fell on each expert: one list per sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    /// The gradient's norm.
    pub norm: f64,
    /// What the forward took.
    pub forward: Amount,
    /// What the backward took.
    pub backward: Amount,
}

impl Costed for Pass {
    fn costs(&self) -> Costs {
        let work = vec![(Work::Forward, self.forward), (Work::Backward, self.backward)];
        Costs { work, ..Costs::default() }
    }
}

/// What a policy says about sequences, without a gradient: one list per sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The log-probability of each target.
    pub log_probabilities: Vec<Vec<f32>>,
    /// The entropy of the distribution that each target is drawn from, in nats.
    pub entropies: Vec<Vec<f32>>,
    /// How many choices fell on each expert: one list per sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    /// What the forward took.
    pub forward: Amount,
}

impl Costed for Scores {
    fn costs(&self) -> Costs {
        Costs { work: vec![(Work::Reference, self.forward)], ..Costs::default() }
    }
}
