//! The stages of a run: one file or folder per kind.

use serde_json::{Map, Value};

pub mod eval;
pub mod grpo;
pub mod learner;
pub mod pretrain;
pub mod run;
pub mod stop;

use crate::plan::Stage;
use crate::recipe::{Evaluation, Schedule};
use crate::tracking::tracker::{Record, Tracker};
use learner::Learner;
use run::Run;
use stop::{Status, TrainError};

/// The address of a step: all its random draws begin with it.
#[derive(Clone, Copy, Debug)]
pub struct StepId<'a> {
    /// The stage's name.
    pub name: &'a str,
    /// The stage's number in the run, from 0.
    pub stage: u64,
    /// Steps of the stage before this one.
    pub done: u64,
    /// The run's seed.
    pub seed: u64,
}

impl StepId<'_> {
    /// The address of what is drawn once per step.
    pub fn address(&self) -> [u64; 2] {
        [self.stage, self.done]
    }

    /// The error that candle gave in this step.
    pub fn failed(&self, source: candle_core::Error) -> TrainError {
        TrainError::Tensor { stage: self.name.to_owned(), step: self.done + 1, source }
    }
}

/// When a stage is measured, saved and stopped.
#[derive(Clone, Debug)]
pub struct Schedules {
    /// Steps of the stage.
    pub steps: u64,
    /// Steps between two evaluations; 0: only at the end.
    pub evaluate_every: u64,
    /// The held-out questions.
    pub evaluation: Evaluation,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Updates in a row that may be skipped; one more ends the run.
    pub max_bad_steps: u64,
}

/// A stage that changes the policy step by step.
pub trait StageRun {
    /// What a step leaves behind.
    type Step;

    /// What the rows of `metrics.jsonl` call it.
    const KIND: &'static str;

    /// When it is measured, saved and stopped.
    fn schedules(&self) -> Schedules;

    /// Before the first step; `false` where the run must not go on.
    ///
    /// # Errors
    /// When the policy cannot be measured.
    fn begin(&self, _run: &mut Run) -> Result<bool, TrainError> {
        Ok(true)
    }

    /// Whether it may end before its last step.
    fn is_over(&self, _learner: &Learner) -> bool {
        false
    }

    /// One step: asks, learns, and gives what it saw.
    ///
    /// # Errors
    /// When the run cannot go on.
    fn step(
        &self,
        at: StepId<'_>,
        learner: &mut Learner,
        tracker: &mut Tracker,
    ) -> Result<Self::Step, TrainError>;

    /// What is written down of a step. `taught`: what the curriculum taught when it was asked.
    fn record(&self, step: &Self::Step, taught: Map<String, Value>, learner: &Learner) -> Record;

    /// After the levels of the curriculum have risen.
    fn rise(&self, _learner: &mut Learner) {}

    /// After the last step, before the last measurement.
    ///
    /// # Errors
    /// When the device refuses other weights.
    fn end(&self, _run: &mut Run) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Runs a stage step by step: learn, write down, measure, save.
fn train<S: StageRun>(stage: &Stage, kind: &S, run: &mut Run) -> Result<Status, TrainError> {
    let Schedules { steps, evaluate_every, evaluation, save_every, max_bad_steps } = kind.schedules();
    if run.learner.step == 0 && !kind.begin(run)? {
        return Ok(Status::NotReady);
    }
    // Asked before each step, so that a resume sees what the run saw when it stopped.
    while run.learner.step < steps && !kind.is_over(&run.learner) {
        let (name, done) = (stage.name.as_str(), run.learner.step);
        let at = StepId { name, stage: run.stage_number() as u64, done, seed: run.seed };
        let taught = run.learner.curriculum.fields();
        run.tracker.begin_step();
        let step = kind.step(at, &mut run.learner, &mut run.tracker)?;
        run.learner.step += 1;
        let record = kind.record(&step, taught, &run.learner);
        drop(step);
        run.tracker.record(S::KIND, run.learner.step, steps, record)?;
        let is_measured = is_due(run.learner.step, evaluate_every) && run.learner.step < steps;
        if is_measured && run.evaluate_and_rise(stage, &evaluation)? {
            kind.rise(&mut run.learner);
        }
        if let Some(status) = run.finish_step(save_every, max_bad_steps)? {
            return Ok(status);
        }
    }
    kind.end(run)?;
    run.evaluate(stage, &run.learner.curriculum.measured(), &evaluation, 1, 1.0)?;
    run.finish_stage()?;
    Ok(Status::Done)
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
