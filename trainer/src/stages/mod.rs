//! The stages of a run. Each kind of stage is one file or folder here and one row of the table below.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thinkling_verifiers::SettingsError;

use crate::data::task::{Course, Task};
use crate::learn::evaluate::Evaluation;
use crate::learn::reward::RewardRule;
use crate::tracking::tracker::{StepRecord, Tracker};
use kind::{Common, StageKind};
use learner::Learner;
use run::Run;
use stop::{Status, TrainError};

pub(crate) mod eval;
pub(crate) mod finding;
pub(crate) mod grpo;
pub mod interrupt;
pub(crate) mod kind;
pub(crate) mod learner;
pub(crate) mod pretrain;
mod rewards;
pub mod run;
mod state;
pub mod stop;

/// Builds the enum of all kinds of stage. A row is the kind's name in recipes, its variant and its settings.
macro_rules! kinds {
    ($($(#[$about:meta])* $name:literal => $variant:ident($settings:ty),)+) => {
        /// One stage of a run; `kind` says which settings it takes.
        #[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "kind")]
        #[schemars(transform = complete)]
        #[allow(clippy::large_enum_variant, reason = "a recipe has a few stages")]
        pub enum Stage {
            $($(#[$about])* #[serde(rename = $name)] $variant($settings),)+
        }

        impl Stage {
            /// The names of all kinds.
            pub const KINDS: &'static [&'static str] = &[$($name),+];

            /// A stage of the kind `name` with default settings.
            fn of_kind(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant(Default::default())),)+
                    _ => None,
                }
            }

            /// The kind's name, as recipes and metrics write it.
            pub fn kind_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Name and tasks.
            pub fn common(&self) -> &Common {
                match self {
                    $(Self::$variant(settings) => &settings.common,)+
                }
            }

            /// Name and tasks, mutable.
            pub fn common_mut(&mut self) -> &mut Common {
                match self {
                    $(Self::$variant(settings) => &mut settings.common,)+
                }
            }

            /// The kind's behaviour.
            pub fn kind(&self) -> &dyn StageKind {
                match self {
                    $(Self::$variant(settings) => settings,)+
                }
            }

            /// The kind's behaviour, mutable.
            pub fn kind_mut(&mut self) -> &mut dyn StageKind {
                match self {
                    $(Self::$variant(settings) => settings,)+
                }
            }
        }

        impl<'de> Deserialize<'de> for Stage {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let written = Map::deserialize(deserializer)?;
                match written.get("kind").and_then(Value::as_str).unwrap_or_default() {
                    $($name => read(written).map(Self::$variant).map_err(D::Error::custom),)+
                    other => Err(D::Error::unknown_variant(other, Self::KINDS)),
                }
            }
        }
    };
}

kinds! {
    /// Learns to continue worked solutions: makes a base model.
    "pretrain" => Pretrain(pretrain::Pretrain),
    /// Learns from verdicts on its own completions (group-relative policy optimisation).
    "grpo" => Grpo(grpo::settings::Grpo),
    /// Measures, changes nothing.
    "eval" => Eval(eval::Eval),
}

/// The written settings, and the kind's defaults for the rest. Serde alone would give flattened settings the defaults
/// of their own type.
fn read<S: Default + Serialize + DeserializeOwned>(written: Map<String, Value>) -> serde_json::Result<S> {
    let mut settings = serde_json::to_value(S::default())?;
    written.into_iter().for_each(|(key, value)| settings[key] = value);
    serde_json::from_value(settings)
}

/// Adds to the schema of each kind its defaults and its required keys.
fn complete(schema: &mut Schema) {
    for variant in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = variant["properties"]["kind"]["const"].as_str().unwrap_or_default();
        let Some(stage) = Stage::of_kind(name) else { continue };
        let needs = stage.kind().needs();
        let defaults = serde_json::to_value(&stage).unwrap_or_default();
        for (key, property) in variant["properties"].as_object_mut().into_iter().flatten() {
            if key != "kind" && !needs.contains(&key.as_str()) {
                property["default"] = defaults[key].clone();
            }
        }
        variant["additionalProperties"] = false.into();
        variant["required"] = [&["kind"], needs].concat().into();
    }
}

/// A stage with everything filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePlan {
    /// Name, unique in the run.
    pub name: String,
    /// The stage's first task, at its first level.
    pub task: Arc<Task>,
    /// Its tasks, mixed by weight.
    pub courses: Vec<Course>,
    /// All its tasks at all their levels: everything that may be measured.
    pub measured: Vec<Arc<Task>>,
    /// Its settings.
    pub settings: Stage,
    /// Tokens of its longest prompt, including held-out prompts.
    pub longest_prompt: usize,
    /// Tokens of its longest row. Documents that are longer than `max_position_embeddings` are skipped; they are rare.
    pub longest_row: usize,
    /// Most tokens of a completion that the stage samples, for learning or for measuring.
    pub max_new_tokens: usize,
}

impl StagePlan {
    pub(crate) fn positions(&self) -> usize {
        self.longest_row.max(self.longest_prompt + self.max_new_tokens)
    }
}

/// The reward rules of the stages, by stage name. Builds every verifier and starts those that are programs.
pub fn rules(stages: &[StagePlan]) -> Result<BTreeMap<String, RewardRule>, SettingsError> {
    let rewarding = stages.iter().filter_map(|stage| Some((stage, stage.settings.kind().rewards()?)));
    rewarding
        .map(|(stage, rewards)| {
            Ok((stage.name.clone(), RewardRule::new(rewards.settings, rewards.max_new_tokens)?))
        })
        .collect()
}

/// The address of a step; all its random draws start with it.
#[derive(Clone, Copy, Debug)]
pub struct StepId<'a> {
    /// The stage's name.
    pub name: &'a str,
    /// Index of the stage in the run.
    pub stage: u64,
    /// Steps of the stage before this one.
    pub done: u64,
    /// The run's seed.
    pub seed: u64,
}

impl StepId<'_> {
    /// The address of draws that happen once per step.
    pub fn address(&self) -> [u64; 2] {
        [self.stage, self.done]
    }

    /// The error of this step.
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
    /// The result of a step.
    type Step;

    /// When the stage is measured, saved and stopped.
    fn schedules(&self) -> Schedules;

    /// Runs before the first step; `false` if the run must not continue.
    fn begin(&self, _run: &mut Run) -> Result<bool, TrainError> {
        Ok(true)
    }

    /// Whether it may end before its last step.
    fn is_over(&self, _learner: &Learner) -> bool {
        false
    }

    /// Makes one step: asks and learns.
    fn step(
        &self,
        at: StepId<'_>,
        learner: &mut Learner,
        tracker: &mut Tracker,
    ) -> Result<Self::Step, TrainError>;

    /// The records of a step. `taught`: what the curriculum taught when the step asked.
    fn record(&self, step: &Self::Step, taught: Map<String, Value>, learner: &Learner) -> StepRecord;

    /// Runs after a level of the curriculum has risen.
    fn rise(&self, _learner: &mut Learner) {}

    /// Runs after the last step, before the last measurement.
    fn end(&self, _run: &mut Run) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Runs a stage step by step: learn, record, measure, save.
fn train<S: StageRun>(stage: &StagePlan, kind: &S, run: &mut Run) -> Result<Status, TrainError> {
    let Schedules { steps, evaluate_every, evaluation, save_every, max_bad_steps } = kind.schedules();
    if run.learner.step == 0 && !kind.begin(run)? {
        return Ok(Status::NotReady);
    }
    // Checked before each step, so that a resumed run sees what the run saw when it stopped.
    while run.learner.step < steps && !kind.is_over(&run.learner) {
        let (name, done) = (stage.name.as_str(), run.learner.step);
        let at = StepId { name, stage: run.stage as u64, done, seed: run.seed };
        let taught = run.learner.curriculum.fields();
        run.tracker.begin_step();
        let step = kind.step(at, &mut run.learner, &mut run.tracker)?;
        run.learner.step += 1;
        let record = kind.record(&step, taught, &run.learner);
        drop(step);
        run.tracker.record(stage.settings.kind_name(), run.learner.step, steps, record)?;
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

/// Whether something that happens every `every` steps (0: never) is due at `step`.
fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
