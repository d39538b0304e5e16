//! Measures, changes nothing.

use crate::plan::Stage;
use crate::recipe::{Eval, Evaluation};
use crate::stages::run::{Session, Status, TrainError};

/// Measures the policy on the stage's tasks.
///
/// # Errors
/// When the policy cannot be asked.
pub fn run(session: &mut Session, stage: &Stage, settings: &Eval) -> Result<Status, TrainError> {
    let evaluation = Evaluation { count: settings.count, seed: settings.seed };
    session.evaluate(
        stage,
        &stage.measured,
        1,
        &evaluation,
        settings.samples,
        settings.temperature as f32,
    )?;
    session.finish_stage(stage, 1)?;
    Ok(Status::Done)
}
