//! A policy's weights: one vector with a [`Layout`], and the load biases.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use thinkling_datasets::seed::Stream;

use super::config::Config;
pub use super::layout::Layout;
use super::layout::{Initial, Place, Slot};

/// Named float32 tensors: shape and numbers.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A policy's weights, and the load biases of its experts, which have no gradient.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Names and places.
    pub layout: Layout,
    /// The weights.
    pub values: Vec<f32>,
    /// One bias per expert of each sparse layer, added to the affinities when experts are chosen.
    pub expert_biases: Vec<Vec<f32>>,
}

impl Parameters {
    /// Initial weights: normal with the configured deviation, norms 1, biases 0. Each parameter has its own random stream.
    pub fn new(config: &Config, seed: u64) -> Self {
        let layout = Layout::new(config);
        let mut values = vec![0.0; layout.len];
        let mut rest = &mut values[..];
        let mut parts: Vec<(u64, &Slot, &mut [f32])> = Vec::with_capacity(layout.slots.len());
        for (index, slot) in (0..).zip(&layout.slots) {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(slot.range.len());
            parts.push((index, slot, part));
            rest = others;
        }
        let deviation = f64::from(config.initializer_range);
        parts.into_par_iter().for_each(|(index, slot, values)| match slot.initial {
            Initial::Ones => values.fill(1.0),
            Initial::Normal => {
                let mut stream = Stream::at("initial weights", seed, &[index]);
                values.fill_with(|| (stream.normal() * deviation) as f32);
            }
        });
        let expert_biases = config.sparse_layers().map(|_| vec![0.0; config.n_routed_experts]).collect();
        Self { layout, values, expert_biases }
    }

    /// The weights at a place.
    pub fn at(&self, place: &Place) -> &[f32] {
        &self.values[place.clone()]
    }

    /// The name of the load biases of a layer.
    pub fn expert_bias_name(layer: usize) -> String {
        format!("model.layers.{layer}.mlp.gate.e_score_correction_bias")
    }

    /// The weights under Hugging Face's names.
    pub fn tensors(&self, config: &Config) -> Tensors {
        let slots = self.layout.slots.iter();
        let mut tensors: Tensors = slots
            .map(|slot| (slot.name.clone(), (slot.shape.clone(), self.at(&slot.range).to_vec())))
            .collect();
        for (layer, biases) in config.sparse_layers().zip(&self.expert_biases) {
            tensors.insert(Self::expert_bias_name(layer), (vec![biases.len()], biases.clone()));
        }
        tensors
    }

    /// The parameters of these tensors, which [`Parameters::tensors`] gives. An error names a missing, misshapen or unknown
    /// tensor. Allocates no more than the tensors take.
    pub fn from_tensors(config: &Config, tensors: &Tensors) -> Result<Self, String> {
        let find = |name: &str, shape: &[usize]| match tensors.get(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(format!("has {name} of shape {found:?} instead of {shape:?}")),
            None => Err(format!("has no {name}")),
        };
        config.check().map_err(|problem| format!("does not fit its config.json, which {problem}"))?;
        // Each layer and each expert has tensors of its own.
        let parts = config.num_hidden_layers + config.sparse_layers().count() * config.n_routed_experts;
        if parts > tensors.len() {
            let (layers, experts) = (config.num_hidden_layers, config.n_routed_experts);
            return Err(format!(
                "has {} tensors, too few for the {layers} layers and {experts} experts of its config.json",
                tensors.len()
            ));
        }
        let layout = Layout::new(config);
        let biases: Vec<String> = config.sparse_layers().map(Self::expert_bias_name).collect();
        for slot in &layout.slots {
            find(&slot.name, &slot.shape)?;
        }
        let known: BTreeSet<&str> = layout
            .slots
            .iter()
            .map(|slot| slot.name.as_str())
            .chain(biases.iter().map(String::as_str))
            .collect();
        if let Some(unknown) = tensors.keys().find(|name| !known.contains(name.as_str())) {
            return Err(format!("has {unknown}, which the network of its config.json does not have"));
        }
        let mut values = vec![0.0; layout.len];
        for slot in &layout.slots {
            values[slot.range.clone()].copy_from_slice(find(&slot.name, &slot.shape)?);
        }
        let expert_biases: Result<_, String> =
            biases.iter().map(|name| Ok(find(name, &[config.n_routed_experts])?.clone())).collect();
        Ok(Self { expert_biases: expert_biases?, layout, values })
    }
}

/// A copy of weights and load biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    values: Vec<f32>,
    expert_biases: Vec<Vec<f32>>,
}

impl Snapshot {
    /// A copy of these weights.
    pub fn of(parameters: &Parameters) -> Self {
        let Parameters { values, expert_biases, .. } = parameters;
        Self { values: values.clone(), expert_biases: expert_biases.clone() }
    }

    /// Copies the weights into `parameters`.
    pub fn restore(&self, parameters: &mut Parameters) {
        parameters.values.clone_from(&self.values);
        parameters.expert_biases.clone_from(&self.expert_biases);
    }

    /// The weights, and the biases of all layers in one list.
    pub fn parts(&self) -> (&[f32], Vec<f32>) {
        (&self.values, self.expert_biases.concat())
    }

    /// The snapshot with these parts for a policy like `like`; `None` if the number of weights differs.
    pub fn from_parts(like: &Parameters, values: &[f32], biases: &[f32]) -> Option<Self> {
        let mut biases = biases.iter().copied();
        let expert_biases: Vec<Vec<f32>> =
            like.expert_biases.iter().map(|layer| biases.by_ref().take(layer.len()).collect()).collect();
        (values.len() == like.values.len()).then(|| Self { values: values.to_vec(), expert_biases })
    }
}
