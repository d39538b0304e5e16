//! The policy on the processor: forward, backward and decoder with the kernels.

use candle_core::Result;

use super::loss::{Loss, Measured, Seen};
use super::optimizer::{AdamStep, AdamW, norm};
use super::rollout::{Limits, Request, Rollout};
use super::sampling::Sampling;
use super::{Alone, Collective, Config, Parameters, Pass, Policy, Scores, Sequence, Snapshot};
use crate::kernels::precision::Precision;
use crate::machine::work::Amount;

pub mod backward;
pub mod decoder;
pub mod forward;
mod gradient;
pub mod packed;
mod rollout;

pub use forward::Tape;
use gradient::Workspace;
pub use packed::Transformer;

/// A policy on the processor, computed by the kernels.
pub struct CpuPolicy {
    transformer: Transformer,
    workspace: Workspace,
}

impl CpuPolicy {
    /// A policy with these weights and this precision of products.
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
        let values = |_, tape: &Tape| Ok((None, (tape.log_probabilities.clone(), tape.entropies.clone())));
        let parts = self.workspace.run(&self.transformer, sequences, temperature, 0.0, &Alone, values)?;
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
        ranks: &dyn Collective,
    ) -> Result<Pass> {
        let wanted = |part, tape: &Tape| {
            let seen = Seen { log_probabilities: &tape.log_probabilities, entropies: &tape.entropies };
            loss.of(part, seen).map(|(gradient, measured)| (Some(gradient), measured))
        };
        let parts = self.workspace.run(&self.transformer, sequences, temperature, balance, ranks, wanted)?;
        let tokens = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
        Ok(Pass {
            measured: parts.parts.into_iter().fold(Measured::default(), Measured::join),
            expert_loads: parts.expert_loads,
            norm: norm(self.workspace.gradient()),
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
