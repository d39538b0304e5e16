//! What the doctor finds in a recipe.

use serde::Serialize;

use super::StagePlan;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Checked, and as it should be.
    Ok,
    /// Unusual; the run may still do what the user wants.
    Warning,
    /// The run cannot succeed.
    Error,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The stage that it concerns; none: the whole recipe.
    pub stage: Option<String>,
    /// What the check found, with its number.
    pub seen: String,
    /// The key to change and its new value; none where no change is needed.
    pub change: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        name: &'static str,
        severity: Severity,
        stage: Option<&StagePlan>,
        seen: String,
        change: String,
    ) -> Self {
        let stage = stage.map(|stage| stage.name.clone());
        Self { name, severity, stage, seen, change: Some(change) }
    }

    pub(crate) fn ok(name: &'static str, stage: Option<&StagePlan>, seen: String) -> Self {
        let stage = stage.map(|stage| stage.name.clone());
        Self { name, severity: Severity::Ok, stage, seen, change: None }
    }

    pub(crate) fn warning(name: &'static str, stage: &StagePlan, seen: String, change: String) -> Self {
        Self::new(name, Severity::Warning, Some(stage), seen, change)
    }

    pub(crate) fn error(name: &'static str, stage: &StagePlan, seen: String, change: String) -> Self {
        Self::new(name, Severity::Error, Some(stage), seen, change)
    }

    /// Whether the run cannot succeed.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

pub(crate) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 {
        format!("{:.2} %", 100.0 * share)
    } else {
        format!("{:.0} %", 100.0 * share)
    }
}
