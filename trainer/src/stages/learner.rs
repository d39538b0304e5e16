//! What a stage learns with, and how it and the weights lie in a checkpoint.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::run::TrainError;
use crate::data::curriculum::SyllabusState;
use crate::policy::optimizer::AdamW;
use crate::policy::{Config, Parameters, Transformer};
use crate::tracking::checkpoint::{Checkpoint, Tensors};
use crate::tracking::ledger::Ledger;

/// Weights that were the best so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The mean reward they had.
    pub reward: f64,
    /// The step that they were measured in.
    pub step: u64,
    /// Weights and load biases.
    pub weights: Snapshot,
}

/// A copy of weights and load biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    values: Vec<f32>,
    expert_biases: Vec<Vec<f32>>,
}

impl Snapshot {
    /// A copy of the policy's weights.
    pub fn of(policy: &Transformer) -> Self {
        let Parameters { values, expert_biases, .. } = &policy.parameters;
        Self { values: values.clone(), expert_biases: expert_biases.clone() }
    }

    /// Puts the weights into `policy`.
    pub fn restore(&self, policy: &mut Transformer) {
        policy.parameters.values.clone_from(&self.values);
        policy.parameters.expert_biases.clone_from(&self.expert_biases);
        policy.repack();
    }

    fn save(&self, prefix: &str, tensors: &mut Tensors) {
        tensors.insert(format!("{prefix}.values"), (vec![self.values.len()], self.values.clone()));
        let biases: Vec<f32> = self.expert_biases.concat();
        tensors.insert(format!("{prefix}.expert_biases"), (vec![biases.len()], biases));
    }

    fn load(prefix: &str, like: &Parameters, tensors: &Tensors) -> Option<Self> {
        let values = &tensors.get(&format!("{prefix}.values"))?.1;
        let mut biases = tensors.get(&format!("{prefix}.expert_biases"))?.1.iter().copied();
        let expert_biases: Vec<Vec<f32>> =
            like.expert_biases.iter().map(|layer| biases.by_ref().take(layer.len()).collect()).collect();
        (values.len() == like.values.len()).then(|| Self { values: values.clone(), expert_biases })
    }
}

/// What a stage learns with: everything that its next step depends on beside the weights.
#[derive(Clone, Debug)]
pub struct Learner {
    /// Moments of the weights.
    pub optimizer: AdamW,
    /// Steps done.
    pub step: u64,
    /// Updates in a row that were not applied.
    pub bad_steps: u64,
    /// Questions asked so far.
    pub asked: u64,
    /// Mean rewards of the last steps.
    pub recent: VecDeque<f64>,
    /// The best weights so far.
    pub best: Option<Best>,
    /// The reference policy's weights.
    pub reference: Option<Snapshot>,
    /// What its questions depend on.
    pub syllabus: SyllabusState,
}

/// `state.json`: where a run stands. Tensors lie beside it.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    /// Steps of all stages before this checkpoint: the newest has the most.
    pub(super) written: u64,
    /// The stage that is next, from 0.
    pub(super) stage: usize,
    /// Its steps that are done.
    pub(super) step: u64,
    pub(super) optimizer_updates: u64,
    pub(super) bad_steps: u64,
    pub(super) asked: u64,
    pub(super) recent: VecDeque<f64>,
    pub(super) best: Option<(f64, u64)>,
    #[serde(default)]
    pub(super) syllabus: SyllabusState,
    pub(super) metrics_bytes: u64,
    pub(super) rollouts_bytes: u64,
    pub(super) wall_s: f64,
    pub(super) ledger: Ledger,
    pub(super) last: Map<String, Value>,
}

/// The weights of a policy under Hugging Face's names.
pub fn model_tensors(policy: &Transformer) -> Tensors {
    let Parameters { layout, expert_biases, .. } = &policy.parameters;
    let mut tensors: Tensors = layout
        .slots
        .iter()
        .map(|slot| (slot.name.clone(), (slot.shape.clone(), policy.parameters.at(&slot.range).to_vec())))
        .collect();
    for (layer, biases) in policy.config.sparse_layers().zip(expert_biases) {
        tensors.insert(Parameters::expert_bias_name(layer), (vec![biases.len()], biases.clone()));
    }
    tensors
}

/// Fills `parameters` from the tensors that [`model_tensors`] gave.
///
/// # Errors
/// Which tensor is missing or has another shape.
pub fn load_model(tensors: &Tensors, config: &Config, parameters: &mut Parameters) -> Result<(), String> {
    let find = |name: &str, shape: &[usize]| match tensors.get(name) {
        Some((found, values)) if found == shape => Ok(values),
        Some((found, _)) => Err(format!("has {name} of shape {found:?} instead of {shape:?}")),
        None => Err(format!("lacks {name}")),
    };
    for slot in &parameters.layout.slots {
        parameters.values[slot.range.clone()].copy_from_slice(find(&slot.name, &slot.shape)?);
    }
    for (layer, biases) in config.sparse_layers().zip(&mut parameters.expert_biases) {
        biases.copy_from_slice(find(&Parameters::expert_bias_name(layer), &[config.n_routed_experts])?);
    }
    Ok(())
}

/// What `optimizer.safetensors` holds: moments, the best weights, the reference's.
pub(super) fn learner_tensors(learner: Option<&Learner>) -> Tensors {
    let mut tensors = Tensors::new();
    if let Some(learner) = learner {
        let AdamW { first, second, .. } = &learner.optimizer;
        tensors.insert("first".to_owned(), (vec![first.len()], first.clone()));
        tensors.insert("second".to_owned(), (vec![second.len()], second.clone()));
        if let Some(best) = &learner.best {
            best.weights.save("best", &mut tensors);
        }
        if let Some(reference) = &learner.reference {
            reference.save("reference", &mut tensors);
        }
    }
    tensors
}

/// Reads a checkpoint into `parameters`, and what its stage learnt with.
pub(super) fn load(
    checkpoint: &Checkpoint,
    parameters: &mut Parameters,
) -> Result<(State, Learner), TrainError> {
    let config: Config = checkpoint.json("config.json")?;
    let state: State = checkpoint.json("state.json")?;
    load_model(&checkpoint.tensors("model.safetensors")?, &config, parameters)
        .map_err(|problem| checkpoint.damaged("model.safetensors", &problem))?;
    let mut tensors = checkpoint.tensors("optimizer.safetensors")?;
    let length = parameters.layout.len;
    let best = state.best.and_then(|(reward, step)| {
        Some(Best { reward, step, weights: Snapshot::load("best", parameters, &tensors)? })
    });
    let reference = Snapshot::load("reference", parameters, &tensors);
    let mut moment = |name| tensors.remove(name).map_or_else(|| vec![0.0; length], |(_, values)| values);
    let learner = Learner {
        optimizer: AdamW {
            first: moment("first"),
            second: moment("second"),
            updates: state.optimizer_updates,
        },
        step: state.step,
        bad_steps: state.bad_steps,
        asked: state.asked,
        recent: state.recent.clone(),
        best,
        reference,
        syllabus: state.syllabus.clone(),
    };
    Ok((state, learner))
}
