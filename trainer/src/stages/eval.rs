//! Measures, changes nothing.

use super::run::Run;
use super::stop::{Status, TrainError};
use crate::plan::Stage;
use crate::recipe::{Eval, Evaluation};

/// Measures the policy on the stage's tasks.
///
/// # Errors
/// When the policy cannot be asked.
pub fn run(stage: &Stage, settings: &Eval, run: &mut Run) -> Result<Status, TrainError> {
    let evaluation = Evaluation { count: settings.count, seed: settings.seed };
    run.learner.step = 1;
    run.evaluate(stage, &stage.measured, &evaluation, settings.samples, settings.temperature as f32)?;
    run.finish_stage()?;
    Ok(Status::Done)
}
