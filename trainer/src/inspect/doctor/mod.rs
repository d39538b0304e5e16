//! Finds problems of a recipe before a run.
//!
//! The checks use the plan, a few of its questions and worked solutions, the untrained policy and, if given, the base
//! model. A check is left out if an earlier finding has the same cause.

use crate::data::shares::Shares;
use crate::plan::{Plan, Stage};
use crate::stages::finding::percent;
use crate::stages::kind::Rewarding;

mod answers;
mod base;
mod network;
mod questions;
mod settings;
#[cfg(test)]
mod tests;

pub use crate::stages::finding::{Finding, Severity};
pub use base::Base;

/// Why a recipe cannot be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// A question cannot be posed.
    #[error(transparent)]
    Dataset(#[from] thinkling_datasets::DatasetError),
    /// A verifier of the reward cannot be built here.
    #[error(transparent)]
    Verifier(#[from] thinkling_verifiers::SettingsError),
    /// Candle failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The base model cannot be sampled.
    #[error(transparent)]
    Evaluate(#[from] crate::learn::evaluate::EvaluateError),
    /// The base model cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] crate::tracking::checkpoint::CheckpointError),
    /// The folder of the base model has no model.
    #[error("{0}: neither a run folder with a checkpoint nor a checkpoint folder")]
    NoModel(std::path::PathBuf),
}

/// Findings of a chain of checks: the first error ends it, since later checks would only repeat it.
type Chain = Vec<Finding>;

fn has_error(findings: &[Finding]) -> bool {
    findings.iter().any(Finding::is_error)
}

/// Examines every learning stage of `plan`. `base` is the model that the first stage with rewards starts from.
pub fn examine(plan: &Plan, base: Option<&Base>) -> Result<Vec<Finding>, DoctorError> {
    let mut findings = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let kind = stage.settings.kind();
        findings.extend(kind.findings(stage, plan.model.hidden_size));
        if let Some(rewards) = kind.rewards() {
            findings.extend(Patient { plan, index, stage, rewards, base }.findings()?);
        }
    }
    findings.extend(questions::duplicates(plan)?);
    if base.is_none() || plan.stages.iter().all(|stage| stage.settings.kind().rewards().is_none()) {
        findings.extend(network::untrained(plan)?);
    }
    Ok(findings)
}

/// A stage with rewards, and everything that the checks need.
struct Patient<'a> {
    plan: &'a Plan,
    index: usize,
    stage: &'a Stage,
    rewards: Rewarding<'a>,
    base: Option<&'a Base>,
}

impl Patient<'_> {
    fn findings(&self) -> Result<Vec<Finding>, DoctorError> {
        let mut findings = Vec::new();
        if let Some(base) = self.base.filter(|base| !base.problems.is_empty()) {
            // A base with contradictory files cannot be sampled.
            let told = base.problems.iter().cloned();
            findings.extend(told.map(|finding| Finding { stage: Some(self.stage.name.clone()), ..finding }));
            return Ok(findings);
        }
        findings.extend(self.base.and_then(|base| base::another_network(self, base)));
        let answers = answers::check(self)?;
        let is_answerable = !has_error(&answers);
        findings.extend(answers);
        match self.base {
            // If no answer can be right, no model is ready.
            Some(_) if !is_answerable => {}
            Some(base) => {
                findings.extend(base::check(self, base)?);
                findings.extend(network::of_base(self, base)?);
            }
            None => findings.push(settings::readiness(self)),
        }
        Ok(findings)
    }

    /// The earlier stages that learn from a corpus, each with its shares.
    fn pretraining(&self) -> impl Iterator<Item = (&Stage, &Shares)> {
        let before = self.plan.stages[..self.index].iter();
        before.filter_map(|stage| Some((stage, stage.settings.kind().teaches()?)))
    }
}
