//! All that the next step of a run depends on, as a checkpoint holds it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::learner::{Best, Learner};
use crate::data::curriculum::CurriculumState;
use crate::policy::optimizer::AdamW;
use crate::policy::parameters::Tensors;
use crate::policy::{Config, Parameters, Snapshot};
use crate::tracking::checkpoint::{Checkpoint, CheckpointError, encode_json, encode_tensors};
use crate::tracking::journal::Mark;
use crate::tracking::ledger::Ledger;
use crate::tracking::tracker::Standing;

/// `state.json`: the position of a run. The tensors are in the files beside it.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    /// Steps of all stages before this checkpoint; the newest checkpoint has the most.
    written: u64,
    /// The next stage, from 0.
    pub(super) stage: usize,
    /// Finished steps of that stage.
    pub(super) step: u64,
    pub(super) optimizer_updates: u64,
    pub(super) bad_steps: u64,
    asked: u64,
    pub(super) recent: VecDeque<f64>,
    pub(super) best: Option<(f64, u64)>,
    #[serde(default, alias = "syllabus")]
    curriculum: CurriculumState,
    metrics_bytes: u64,
    #[serde(default)]
    metrics_sha256: Option<String>,
    rollouts_bytes: u64,
    #[serde(default)]
    rollouts_sha256: Option<String>,
    wall_s: f64,
    ledger: Ledger,
    last: Map<String, Value>,
}

impl State {
    pub(super) fn read(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        checkpoint.json("state.json")
    }

    pub(super) fn curriculum(&self) -> CurriculumState {
        CurriculumState { asked: self.asked, ..self.curriculum.clone() }
    }

    pub(super) fn standing(self) -> Standing {
        let metrics = Mark { bytes: self.metrics_bytes, sha256: self.metrics_sha256 };
        let rollouts = Mark { bytes: self.rollouts_bytes, sha256: self.rollouts_sha256 };
        let Self { written, wall_s, ledger, last, .. } = self;
        Standing { written, metrics, rollouts, wall_s, ledger, last }
    }
}

/// A copy of what a learner's next step depends on.
///
/// It is taken after each step, so that a signal in the middle of the next one finds a state to save.
pub(super) struct LearnerCopy {
    config: Config,
    tokenizer: Value,
    parameters: Parameters,
    optimizer: AdamW,
    curriculum: CurriculumState,
    step: u64,
    bad_steps: u64,
    recent: VecDeque<f64>,
    best: Option<Arc<Best>>,
    reference: Option<Arc<Snapshot>>,
}

impl LearnerCopy {
    pub(super) fn of(learner: &Learner) -> Self {
        Self {
            config: learner.policy.config().clone(),
            tokenizer: learner.tokenizer.to_json(),
            parameters: learner.policy.parameters().clone(),
            optimizer: learner.optimizer.clone(),
            curriculum: learner.curriculum.state(),
            step: learner.step,
            bad_steps: learner.bad_steps,
            recent: learner.recent.clone(),
            best: learner.best.clone(),
            reference: learner.reference.clone(),
        }
    }

    /// Copies the same learner again, into the memory of the last copy.
    pub(super) fn renew(&mut self, learner: &Learner) {
        let (mine, theirs) = (&mut self.parameters, learner.policy.parameters());
        mine.values.clone_from(&theirs.values);
        mine.expert_biases.clone_from(&theirs.expert_biases);
        let AdamW { first, second, updates } = &learner.optimizer;
        self.optimizer.first.clone_from(first);
        self.optimizer.second.clone_from(second);
        self.optimizer.updates = *updates;
        self.curriculum = learner.curriculum.state();
        (self.step, self.bad_steps) = (learner.step, learner.bad_steps);
        self.recent.clone_from(&learner.recent);
        self.best.clone_from(&learner.best);
        self.reference.clone_from(&learner.reference);
    }

    /// The step that it was taken after.
    pub(super) fn step(&self) -> u64 {
        self.step
    }

    /// The files of a checkpoint: in the middle of stage `stage` or, if it `is_over`, before the next one.
    pub(super) fn files(
        &self,
        standing: &Standing,
        stage: usize,
        is_over: bool,
    ) -> Vec<(&'static str, Vec<u8>)> {
        let mut tensors = Tensors::new();
        let mut put = |name: String, values: Vec<f32>| tensors.insert(name, (vec![values.len()], values));
        let mut curriculum = CurriculumState::default();
        if !is_over {
            curriculum = self.curriculum.clone();
            put("first".to_owned(), self.optimizer.first.clone());
            put("second".to_owned(), self.optimizer.second.clone());
            let best = self.best.as_ref().map(|best| ("best", &best.weights));
            let reference = self.reference.as_ref().map(|reference| ("reference", reference.as_ref()));
            for (name, weights) in best.into_iter().chain(reference) {
                let (values, biases) = weights.parts();
                put(format!("{name}.values"), values.to_vec());
                put(format!("{name}.expert_biases"), biases);
            }
        }
        let of_stage = |number: u64| if is_over { 0 } else { number };
        let Standing { written, metrics, rollouts, wall_s, ledger, last } = standing.clone();
        let state = State {
            written,
            stage: stage + usize::from(is_over),
            step: of_stage(self.step),
            optimizer_updates: of_stage(self.optimizer.updates),
            bad_steps: of_stage(self.bad_steps),
            asked: curriculum.asked,
            recent: if is_over { VecDeque::new() } else { self.recent.clone() },
            best: self.best.as_ref().filter(|_| !is_over).map(|best| (best.reward, best.step)),
            curriculum,
            metrics_bytes: metrics.bytes,
            metrics_sha256: metrics.sha256,
            rollouts_bytes: rollouts.bytes,
            rollouts_sha256: rollouts.sha256,
            wall_s,
            ledger,
            last,
        };
        vec![
            ("config.json", encode_json(&self.config)),
            ("tokenizer.json", encode_json(&self.tokenizer)),
            ("model.safetensors", encode_tensors(&self.parameters.tensors(&self.config))),
            ("optimizer.safetensors", encode_tensors(&tensors)),
            ("state.json", encode_json(&state)),
        ]
    }
}
