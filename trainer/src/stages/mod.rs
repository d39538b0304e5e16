//! The stages of a run: one file each, each a loop that fits one screen.

use crate::data::curriculum::{Risen, Syllabus};
use crate::plan;
use crate::recipe::{Evaluation, Schedule, Stage};
use crate::stages::run::{Session, Status, TrainError};

pub mod eval;
pub mod grpo;
pub mod learner;
pub mod pretrain;
pub mod run;

/// Runs every stage that is left, and writes the summary.
///
/// # Errors
/// When a stage cannot go on.
pub fn run(session: &mut Session) -> Result<Status, TrainError> {
    let plan = session.plan.clone();
    let mut status = Status::Done;
    session.begin()?;
    for stage in &plan.stages[session.next_stage().min(plan.stages.len())..] {
        if session.is_interrupted() {
            status = Status::Interrupted;
            break;
        }
        status = match &stage.settings {
            Stage::Pretrain(settings) => pretrain::run(session, stage, settings)?,
            Stage::Grpo(settings) => grpo::run(session, stage, settings)?,
            Stage::Eval(settings) => eval::run(session, stage, settings)?,
        };
        if status != Status::Done {
            break;
        }
        // Measuring at a stage's end may have spent the rest of a budget.
        let is_last = session.next_stage() >= plan.stages.len();
        if let Some(why) = session.overspent().filter(|_| !is_last) {
            session.progress.note(&format!("budget: {why}"));
            status = Status::Budget;
            break;
        }
    }
    session.summarise(status)?;
    Ok(status)
}

/// Measures the policy where the syllabus stands, and lets levels rise; says whether one did.
fn evaluate_and_rise(
    session: &mut Session,
    stage: &plan::Stage,
    syllabus: &mut Syllabus<'_>,
    step: u64,
    evaluation: &Evaluation,
) -> Result<bool, TrainError> {
    let rows = session.evaluate(stage, &syllabus.measured(), step, evaluation, 1, 1.0)?;
    let risen = syllabus.observe(step, &rows);
    for Risen { task, rise } in &risen {
        session.progress.note(&format!(
            "{} {step}: {task} rises from level {} to {}: {:.1} % right",
            stage.name,
            rise.from,
            rise.to,
            100.0 * rise.accuracy
        ));
    }
    Ok(!risen.is_empty())
}

/// Where a schedule ends, as a share of its peak; `None` where it stays.
fn final_share(schedule: Schedule, share: f64) -> Option<f64> {
    match schedule {
        Schedule::Cosine => Some(share),
        Schedule::Constant => None,
    }
}

/// Whether something that happens every `every` steps (0: never) happens at `step`.
fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
