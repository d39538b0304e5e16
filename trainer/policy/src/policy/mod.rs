//! The policy: a configurable transformer like DeepSeek-V3, from tokens to log-probabilities.

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

/// One sequence to evaluate.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Prompt and completion.
    pub tokens: &'a [u32],
    /// Index of the first target; at least 1.
    pub first_target: usize,
    /// Experts chosen at rollout, `[tokens - 1, sparse layers, chosen]`, to use again; `None` to choose anew.
    pub routes: Option<&'a [u16]>,
}

impl Sequence<'_> {
    /// Rows that pass through the layers: all tokens except the last.
    pub fn rows(&self) -> usize {
        self.tokens.len() - 1
    }

    /// The tokens to predict.
    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.first_target..]
    }
}

/// A network with its weights on a device, which works on whole batches.
///
/// Results depend on the arguments and the weights only, never on the number of threads.
pub trait Policy: Send + Sync {
    /// The network's shape.
    fn config(&self) -> &Config;

    /// The weights, in main memory.
    fn parameters(&self) -> &Parameters;

    /// The precision of products with weights.
    fn precision(&self) -> Precision;

    /// Changes the weights.
    fn change(&mut self, change: &mut dyn FnMut(&mut Parameters)) -> Result<()>;

    /// Samples completions for every request. A draw depends on `seed`, the request's address and the sample's number.
    fn roll_out(
        &self,
        requests: &[Request<'_>],
        sampling: &Sampling,
        limits: &Limits,
        seed: u64,
    ) -> Result<Rollout>;

    /// The log-probability and the entropy of each target of each sequence.
    fn scores(&mut self, sequences: &[Sequence<'_>], temperature: f32) -> Result<Scores>;

    /// Runs every sequence forward and backward, and keeps the gradient for [`Policy::apply`].
    ///
    /// `balance` is the weight of the sequence-wise balance loss; 0 turns it off. Each of the `ranks` computes its part of
    /// the batch, and all get the same gradient.
    fn gradient(
        &mut self,
        sequences: &[Sequence<'_>],
        temperature: f32,
        balance: f32,
        loss: &dyn Loss,
        ranks: &dyn Collective,
    ) -> Result<Pass>;

    /// Applies the last gradient. Its norm must be finite.
    fn apply(&mut self, optimizer: &mut AdamW, step: &AdamStep<'_>) -> Result<()>;

    /// The gradient of the last [`Policy::gradient`], in the order of the layout.
    fn last_gradient(&self) -> &[f32];

    /// Another policy with the same network and these weights.
    fn with_weights(&self, weights: &Snapshot) -> Result<Box<dyn Policy>>;
}

/// The results of a forward and a backward pass; the policy keeps the gradient.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// The measurements of the loss.
    pub measured: Measured,
    /// The number of choices of each expert: one list per sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    /// The gradient's norm.
    pub norm: f64,
    /// The work of the forward pass.
    pub forward: Amount,
    /// The work of the backward pass.
    pub backward: Amount,
}

impl Costed for Pass {
    fn costs(&self) -> Costs {
        let work = vec![(Work::Forward, self.forward), (Work::Backward, self.backward)];
        Costs { work, ..Costs::default() }
    }
}

/// The results of a forward pass: one list per sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The log-probability of each target.
    pub log_probabilities: Vec<Vec<f32>>,
    /// The entropy of the distribution of each target, in nats.
    pub entropies: Vec<Vec<f32>>,
    /// The number of choices of each expert: one list per sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    /// The work of the forward pass.
    pub forward: Amount,
}

impl Costed for Scores {
    fn costs(&self) -> Costs {
        Costs { work: vec![(Work::Reference, self.forward)], ..Costs::default() }
    }
}
