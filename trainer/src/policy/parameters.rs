//! A policy's weights as numbers: one vector of a [`Layout`], and the biases beside it.

use rayon::prelude::*;
use thinkling_datasets::seed::Stream;

use super::config::Config;
pub use super::layout::Layout;
use super::layout::{Initial, Place, Slot};

/// A policy's weights, and the load biases of its experts, which no gradient moves.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Names and places.
    pub layout: Layout,
    /// The weights.
    pub values: Vec<f32>,
    /// For each layer with experts, a bias an expert, added to the affinities when experts are chosen.
    pub expert_biases: Vec<Vec<f32>>,
}

impl Parameters {
    /// Fresh weights: normal with the configured deviation, norms 1, biases 0. Each parameter has a stream of its own.
    pub fn new(config: &Config, seed: u64) -> Self {
        let layout = Layout::new(config);
        let mut values = vec![0.0; layout.len];
        let mut rest = &mut values[..];
        let mut parts: Vec<(u64, &Slot, &mut [f32])> = Vec::with_capacity(layout.slots.len());
        for (index, slot) in (0..).zip(&layout.slots) {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(slot.range.len());
            parts.push((index, slot, part));
            rest = behind;
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

    /// The weights at `place`.
    pub fn at(&self, place: &Place) -> &[f32] {
        &self.values[place.clone()]
    }

    /// The name of the experts' biases of the layer `layer`.
    pub fn expert_bias_name(layer: usize) -> String {
        format!("model.layers.{layer}.mlp.gate.e_score_correction_bias")
    }
}
