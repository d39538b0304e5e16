//! A stage that measures and changes nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StagePlan;
use super::kind::{Common, MeanLengths, StageKind, StageWork};
use super::run::Run;
use super::stop::{Status, TrainError};
use crate::learn::evaluate::Evaluation;
use crate::policy::footprint::Footprint;

/// Measures on held-out questions, sampled and greedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Eval {
    /// Name and tasks.
    #[serde(flatten)]
    pub common: Common,
    /// Questions of the test split, per task.
    #[schemars(range(min = 1, max = 1000000000))]
    pub count: u64,
    /// Seed of the questions. It is not the run's seed: runs with other seeds answer the same questions.
    pub seed: u64,
    /// Completions per question.
    #[schemars(range(min = 1, max = 1000000))]
    pub samples: usize,
    /// Temperature of sampling.
    #[schemars(range(min = 0.001))]
    pub temperature: f64,
}

impl Default for Eval {
    fn default() -> Self {
        Self { common: Common::default(), count: 256, seed: 0, samples: 1, temperature: 1.0 }
    }
}

impl StageKind for Eval {
    fn evaluation(&self) -> Evaluation {
        Evaluation { count: self.count, seed: self.seed }
    }

    fn evaluation_key(&self) -> &'static str {
        "count"
    }

    fn sampled_at_once(&self) -> (usize, usize) {
        (self.count as usize, self.samples)
    }

    fn work(&self, stage: &StagePlan, lengths: MeanLengths, size: &Footprint) -> StageWork {
        let mut work = StageWork::default();
        for _ in &stage.measured {
            work.evaluate(size, self.count, self.samples, lengths.prompt, lengths.longest);
        }
        work
    }

    fn run(&self, stage: &StagePlan, run: &mut Run) -> Result<Status, TrainError> {
        run.learner.step = 1;
        run.evaluate(stage, &stage.measured, &self.evaluation(), self.samples, self.temperature as f32)?;
        run.finish_stage()?;
        Ok(Status::Done)
    }
}
