//! The policy: a transformer in DeepSeek-V3 form, every part a setting.
//!
//! Tokens in, log-probabilities out; nothing here knows text.

use candle_core::Result;

use crate::kernels::precision::Precision;
use crate::machine::work::{Amount, Costed, Costs, Work};

pub mod balance;
pub mod config;
pub mod decoder;
pub mod gradient;
pub mod loss;
pub mod optimizer;
pub mod parameters;
pub mod reference;
pub mod rollout;
pub mod sampling;
pub mod tape;
pub mod transformer;

pub use config::{Attention, Config};
pub use cpu::CpuPolicy;
pub use gradient::Pass;
pub use loss::Loss;
pub use parameters::{Parameters, Snapshot};
pub use tape::{Sequence, Tape};
pub use transformer::Transformer;

use optimizer::{AdamStep, AdamW};
use rollout::{Limits, Request, Rollout};
use sampling::Sampling;

#[cfg(test)]
pub(crate) mod tests;

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
    /// `balance` is the weight of each sequence's balance loss; 0 leaves that out.
    ///
    /// # Errors
    /// When the loss fails.
    fn gradient(
        &mut self,
        sequences: &[Sequence<'_>],
        temperature: f32,
        balance: f32,
        loss: &dyn Loss,
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

/// The own kernels on the processor: the policy that is fast.
mod cpu {
    use super::gradient::Workspace;
    use super::loss::{Measured, Seen};
    use super::*;

    /// A policy on the processor, computed by the own kernels.
    pub struct CpuPolicy {
        transformer: Transformer,
        workspace: Workspace,
    }

    impl CpuPolicy {
        /// A policy with these weights and this precision of its products.
        pub fn new(config: Config, parameters: Parameters, precision: Precision) -> Self {
            let transformer = Transformer::with_precision(config, parameters, precision);
            Self { transformer, workspace: Workspace::default() }
        }
    }

    impl Policy for CpuPolicy {
        fn config(&self) -> &Config {
            &self.transformer.config
        }

        fn parameters(&self) -> &Parameters {
            &self.transformer.parameters
        }

        fn precision(&self) -> Precision {
            self.transformer.precision()
        }

        fn change(&mut self, change: &mut dyn FnMut(&mut Parameters)) -> Result<()> {
            change(&mut self.transformer.parameters);
            self.transformer.repack();
            Ok(())
        }

        fn roll_out(
            &self,
            requests: &[Request<'_>],
            sampling: &Sampling,
            limits: &Limits,
            seed: u64,
        ) -> Result<Rollout> {
            Ok(rollout::roll_out(&self.transformer, requests, sampling, limits, seed))
        }

        fn scores(&mut self, sequences: &[Sequence<'_>], temperature: f32) -> Result<Scores> {
            let values =
                |_, tape: &Tape| Ok((None, (tape.log_probabilities.clone(), tape.entropies.clone())));
            let parts = self.workspace.run(&self.transformer, sequences, temperature, 0.0, values)?;
            let (log_probabilities, entropies): (Vec<_>, Vec<_>) = parts.parts.into_iter().unzip();
            let by_sequence = |values: Vec<Vec<f32>>| {
                let mut all = values.into_iter().flatten();
                sequences.iter().map(|one| all.by_ref().take(one.targets().len()).collect()).collect()
            };
            let tokens = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
            Ok(Scores {
                log_probabilities: by_sequence(log_probabilities),
                entropies: by_sequence(entropies),
                expert_loads: parts.expert_loads,
                forward: Amount { tokens, ..parts.forward },
            })
        }

        fn gradient(
            &mut self,
            sequences: &[Sequence<'_>],
            temperature: f32,
            balance: f32,
            loss: &dyn Loss,
        ) -> Result<Pass> {
            let wanted = |part, tape: &Tape| {
                let seen = Seen { log_probabilities: &tape.log_probabilities, entropies: &tape.entropies };
                loss.of(part, seen).map(|(gradient, measured)| (Some(gradient), measured))
            };
            let parts = self.workspace.run(&self.transformer, sequences, temperature, balance, wanted)?;
            let tokens = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
            Ok(Pass {
                measured: parts.parts.into_iter().fold(Measured::default(), Measured::join),
                expert_loads: parts.expert_loads,
                norm: optimizer::norm(self.workspace.gradient()),
                forward: Amount { tokens, ..parts.forward },
                backward: parts.backward,
            })
        }

        fn apply(&mut self, optimizer: &mut AdamW, step: &AdamStep<'_>) -> Result<()> {
            step.apply(optimizer, &mut self.transformer.parameters, self.workspace.gradient());
            self.transformer.repack();
            Ok(())
        }

        fn last_gradient(&self) -> &[f32] {
            self.workspace.gradient()
        }

        fn with_weights(&self, weights: &Snapshot) -> Result<Box<dyn Policy>> {
            let mut parameters = self.parameters().clone();
            weights.restore(&mut parameters);
            Ok(Box::new(Self::new(self.config().clone(), parameters, self.precision())))
        }
    }
}
