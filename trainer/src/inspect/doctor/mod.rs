//! What would go wrong with a recipe, found before anything is paid for.
//!
//! Every check works on the plan, on a few of its questions and worked solutions, on the untrained policy, and, where
//! one is given, on the base model that reinforcement learning would start from. A check whose cause another has
//! already told is left out: one mistake, one finding.

use serde::Serialize;

use crate::plan::{Plan, Stage};
use crate::recipe::{self, Control, Grpo, Pretrain};

mod answers;
mod base;
mod network;
mod questions;
mod settings;
#[cfg(test)]
mod tests;

pub use base::Base;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Looked at, and as it should be.
    Ok,
    /// Odd; the run may still be what is wanted.
    Warning,
    /// The run cannot come to anything.
    Error,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The stage it is about; none for the whole recipe.
    pub stage: Option<String>,
    /// What was seen, with its figure.
    pub seen: String,
    /// What to change: key and value. None where nothing need be.
    pub change: Option<String>,
}

impl Finding {
    fn new(
        name: &'static str,
        severity: Severity,
        stage: Option<&Stage>,
        seen: String,
        change: String,
    ) -> Self {
        let stage = stage.map(|stage| stage.name.clone());
        Self { name, severity, stage, seen, change: Some(change) }
    }

    fn ok(name: &'static str, stage: Option<&Stage>, seen: String) -> Self {
        let stage = stage.map(|stage| stage.name.clone());
        Self { name, severity: Severity::Ok, stage, seen, change: None }
    }

    fn warning(name: &'static str, stage: &Stage, seen: String, change: String) -> Self {
        Self::new(name, Severity::Warning, Some(stage), seen, change)
    }

    fn error(name: &'static str, stage: &Stage, seen: String, change: String) -> Self {
        Self::new(name, Severity::Error, Some(stage), seen, change)
    }

    /// Whether the run cannot come to anything.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A recipe could not be looked at.
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
    /// The base model cannot be asked.
    #[error(transparent)]
    Evaluate(#[from] crate::learn::evaluate::EvaluateError),
    /// The base model cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] crate::tracking::checkpoint::CheckpointError),
    /// The base model's folder holds no model.
    #[error("{0}: neither a run folder with a checkpoint nor a checkpoint folder")]
    NoModel(std::path::PathBuf),
}

/// Findings of one chain of checks: the first error ends it, since those behind it would only repeat it.
type Chain = Vec<Finding>;

fn has_error(findings: &[Finding]) -> bool {
    findings.iter().any(Finding::is_error)
}

/// Looks at every learning stage of `plan`; `base` is the model that the first GRPO stage would start from.
///
/// # Errors
/// When questions cannot be posed or the base model cannot be asked.
pub fn examine(plan: &Plan, base: Option<&Base>) -> Result<Vec<Finding>, DoctorError> {
    let mut findings = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        match &stage.settings {
            recipe::Stage::Pretrain(pretrain) => {
                findings.push(settings::batch_of_documents(stage, pretrain));
                findings.push(settings::learning_rate_of_pretraining(plan, stage, pretrain));
            }
            recipe::Stage::Grpo(grpo) => {
                let patient = Patient { plan, index, stage, grpo, base };
                findings.extend(patient.findings()?);
            }
            _ => {}
        }
    }
    findings.extend(questions::duplicates(plan)?);
    if base.is_none() || plan.stages.iter().all(|stage| !is_grpo(stage)) {
        findings.extend(network::untrained(plan)?);
    }
    Ok(findings)
}

fn is_grpo(stage: &Stage) -> bool {
    matches!(stage.settings, recipe::Stage::Grpo(_))
}

/// A GRPO stage with all that the checks look at.
struct Patient<'a> {
    plan: &'a Plan,
    index: usize,
    stage: &'a Stage,
    grpo: &'a Grpo,
    /// The model that it starts from, where it was given.
    base: Option<&'a Base>,
}

impl Patient<'_> {
    fn findings(&self) -> Result<Vec<Finding>, DoctorError> {
        let mut findings = vec![
            settings::batch_of_completions(self.stage, self.grpo),
            settings::learning_rate_of_grpo(self.plan, self.stage, self.grpo),
        ];
        if self.grpo.control != Control::None {
            let seen = "a control experiment: it is not meant to learn".to_owned();
            let change = "control = \"none\" for a run that is".to_owned();
            findings.push(Finding::warning("control", self.stage, seen, change));
        }
        if let Some(base) = self.base.filter(|base| !base.problems.is_empty()) {
            // A base whose files disagree cannot be asked anything.
            let told = base.problems.iter().cloned();
            findings.extend(told.map(|finding| Finding { stage: Some(self.stage.name.clone()), ..finding }));
            return Ok(findings);
        }
        findings.extend(self.base.and_then(|base| base::another_network(self, base)));
        let answers = answers::check(self)?;
        let is_answerable = !has_error(&answers);
        findings.extend(answers);
        match self.base {
            // Where no answer can be right, no model is ready.
            Some(_) if !is_answerable => {}
            Some(base) => {
                findings.extend(base::check(self, base)?);
                findings.extend(network::of_base(self, base)?);
            }
            None => findings.push(settings::readiness(self)),
        }
        Ok(findings)
    }

    /// The pretraining stages before this one.
    fn pretraining(&self) -> impl Iterator<Item = (&Stage, &Pretrain)> {
        self.plan.stages[..self.index].iter().filter_map(|stage| match &stage.settings {
            recipe::Stage::Pretrain(settings) => Some((stage, settings)),
            _ => None,
        })
    }
}

/// A share as a percentage for a reader.
fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 {
        format!("{:.2} %", 100.0 * share)
    } else {
        format!("{:.0} %", 100.0 * share)
    }
}
