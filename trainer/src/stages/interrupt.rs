//! How a run answers a signal: after the step that it is in or, if that takes long, from where the last step ended.
//!
//! A step may wait for a judge, pose questions or measure thousands of them for minutes. Nothing in it needs to look for
//! signals: another thread saves a copy of what the step began with, and ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::learner::Learner;
use super::state::LearnerCopy;
use super::stop::Status;
use crate::machine::work::Work;
use crate::tracking::run_folder::RunError;
use crate::tracking::tracker::{Records, Tracker};

/// Where a run stood after its last step.
pub(super) struct Boundary {
    stage: usize,
    stage_name: String,
    learner: LearnerCopy,
    records: Records,
    /// Whether a checkpoint holds it.
    is_saved: bool,
    /// How the run has stopped, if its summary is written.
    status: Option<Status>,
}

impl Boundary {
    pub(super) fn new(learner: &Learner, tracker: &Tracker, stage: usize) -> Self {
        Self {
            stage,
            stage_name: String::new(),
            learner: LearnerCopy::of(learner),
            records: tracker.records(),
            // What the newest checkpoint holds, or the start.
            is_saved: true,
            status: None,
        }
    }

    /// Moves to the end of a step or, if it `is_over`, of its stage; writes a checkpoint there if it is due.
    pub(super) fn advance(
        &mut self,
        learner: &Learner,
        tracker: &mut Tracker,
        (stage, stage_name): (usize, &str),
        is_over: bool,
        is_due: bool,
    ) -> Result<(), RunError> {
        self.stage = stage;
        stage_name.clone_into(&mut self.stage_name);
        self.learner.renew(learner);
        tracker.settle(Work::Records);
        self.records = tracker.records();
        self.is_saved = is_due;
        if is_due {
            let files = self.learner.files(&self.records.standing, stage, is_over);
            tracker.save(learner.step, &files)?;
        }
        Ok(())
    }

    /// Writes the summary of a run that has stopped.
    pub(super) fn summarise(&mut self, tracker: &Tracker, status: Status) -> Result<(), RunError> {
        self.records = tracker.records();
        self.records.summarise(status.name())?;
        self.status = Some(status);
        Ok(())
    }
}

/// What a run and the thread that hears signals share.
#[derive(Clone, Default)]
pub struct Interrupt {
    is_asked: Arc<AtomicBool>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    boundary: Option<Boundary>,
    /// Whether one of the two threads ends the process now; the other must leave it alone.
    is_ending: bool,
}

impl Interrupt {
    /// The flag that a signal sets.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.is_asked.clone()
    }

    /// Whether a signal has come.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Waits while the other thread saves; for ever if it ends the process.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.is_ending {
            return shared;
        }
        drop(shared);
        loop {
            std::thread::park();
        }
    }

    pub(super) fn begin(&self, boundary: Boundary) {
        self.lock().boundary = Some(boundary);
    }

    /// Changes the boundary; the other thread waits for that.
    pub(super) fn at_boundary<T>(&self, change: impl FnOnce(&mut Boundary) -> T) -> Option<T> {
        self.lock().boundary.as_mut().map(change)
    }

    /// Claims the end of the process: from now on the other thread leaves it alone.
    pub fn conclude(&self) {
        self.lock().is_ending = true;
    }

    /// Claims the end of the process in the middle of a step: saves where the last one ended unless a checkpoint holds it,
    /// and writes the summary. Returns how the run has stopped.
    pub fn stop(&self) -> Result<Status, RunError> {
        let mut shared = self.lock();
        shared.is_ending = true;
        let Some(boundary) = &mut shared.boundary else { return Ok(Status::Interrupted) };
        let Boundary { stage, stage_name, learner, records, is_saved, status } = boundary;
        if let Some(bar) = &records.bar {
            bar.finish_and_clear();
        }
        if let Some(status) = status {
            return Ok(*status);
        }
        if !*is_saved {
            let files = learner.files(&records.standing, *stage, false);
            records.folder.save(stage_name, learner.step(), &files)?;
        }
        records.summarise(Status::Interrupted.name())?;
        Ok(Status::Interrupted)
    }
}
