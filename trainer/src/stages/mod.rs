//! The stages of a run. A kind of stage is one file or folder here, and one row of the table below.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thinkling_verifiers::SettingsError;

use crate::data::curriculum::{Risen, Syllabus};
use crate::data::task::{Course, Task};
use crate::learn::evaluate::Evaluation;
use crate::learn::reward::Rule;
use crate::stages::kind::{Common, StageKind};
use crate::stages::run::{Session, Status, TrainError};

pub mod eval;
pub mod finding;
pub mod grpo;
pub mod kind;
pub mod learner;
pub mod pretrain;
mod rewards;
pub mod run;

/// Makes the enum of all kinds of stage. A row is the kind's name in recipes, its variant and its settings.
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

            /// A stage of the kind `name` with its defaults.
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

            /// Name and tasks, to be filled in.
            pub fn common_mut(&mut self) -> &mut Common {
                match self {
                    $(Self::$variant(settings) => &mut settings.common,)+
                }
            }

            /// What the kind says about itself.
            pub fn kind(&self) -> &dyn StageKind {
                match self {
                    $(Self::$variant(settings) => settings,)+
                }
            }

            /// Its settings, to be filled in.
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

/// The settings that are written, and the kind's defaults for the rest. Serde alone gives flattened settings the
/// defaults of their own type.
fn read<S: Default + Serialize + DeserializeOwned>(written: Map<String, Value>) -> serde_json::Result<S> {
    let mut settings = serde_json::to_value(S::default())?;
    written.into_iter().for_each(|(key, value)| settings[key] = value);
    serde_json::from_value(settings)
}

/// Puts into the schema of each kind its defaults, and which keys have none.
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

/// One stage as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePlan {
    /// Name, unlike that of any other stage.
    pub name: String,
    /// The first task that it learns, at its first level.
    pub task: Arc<Task>,
    /// Its tasks, mixed by weight.
    pub courses: Vec<Course>,
    /// All its tasks at all their levels: what it may be measured on.
    pub measured: Vec<Arc<Task>>,
    /// Its settings.
    pub settings: Stage,
    /// Tokens of its longest prompt, those it is measured on included.
    pub longest_prompt: usize,
    /// Tokens of its longest row. Few documents are longer, if any: a row is never longer than
    /// `max_position_embeddings`.
    pub longest_row: usize,
    /// Tokens a completion may have where this stage samples, be it to learn or to measure.
    pub max_new_tokens: usize,
}

impl StagePlan {
    /// Positions that its rows and its samples need.
    pub(crate) fn positions(&self) -> usize {
        self.longest_row.max(self.longest_prompt + self.max_new_tokens)
    }
}

/// The rules of the stages that reward, by their names; builds every verifier and starts those that are programs.
///
/// # Errors
/// The first verifier that cannot be built on this machine.
pub fn rules(stages: &[StagePlan]) -> Result<BTreeMap<String, Rule>, SettingsError> {
    let rewarding = stages.iter().filter_map(|stage| Some((stage, stage.settings.kind().rewards()?)));
    rewarding
        .map(|(stage, rewards)| {
            Ok((stage.name.clone(), Rule::new(rewards.settings, rewards.max_new_tokens)?))
        })
        .collect()
}

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
        status = stage.settings.kind().run(session, stage)?;
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
    stage: &StagePlan,
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

/// Whether something that happens every `every` steps (0: never) happens at `step`.
fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
