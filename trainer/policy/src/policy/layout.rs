//! The layout of all weights in one vector: names, shapes and places. Names and shapes are Hugging Face's for DeepSeek-V3.
//!
//! Weights, gradients and the optimizer's moments share one layout, so that a sum over leaves, a clip or an update is one loop
//! with the same order on every machine.

use std::ops::Range;

use super::blocks::Layer;
use super::config::Config;

/// One parameter in the vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Hugging Face's name.
    pub name: String,
    /// `[out, in]` for a linear layer.
    pub shape: Vec<usize>,
    /// Its place in the vector.
    pub range: Place,
    /// Whether weight decay applies: matrices, not norms.
    pub decays: bool,
    pub(super) initial: Initial,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Initial {
    Ones,
    Normal,
}

/// The range of a parameter in the vector.
pub type Place = Range<usize>;

/// The layout of a policy's weights.
#[derive(Clone, Debug)]
pub struct Layout {
    /// In the order of the vector.
    pub slots: Vec<Slot>,
    /// `[vocabulary, hidden]`.
    pub embedding: Place,
    /// `[positions, hidden]`.
    pub positions: Option<Place>,
    /// The last RMSNorm.
    pub norm: Place,
    /// `[vocabulary, hidden]`; the embedding's range if they are tied.
    pub head: Place,
    /// Number of floats.
    pub len: usize,
}

impl Layout {
    /// The layout of a policy of this shape.
    pub fn new(config: &Config) -> Self {
        Self::with_layers(config).0
    }

    /// The layout, and the layers with their places in it. Their weights are not packed yet.
    pub(super) fn with_layers(config: &Config) -> (Self, Vec<Layer>) {
        let mut builder = Builder::default();
        let hidden = config.hidden_size;
        let embedding = builder.matrix("model.embed_tokens", config.vocab_size, hidden);
        let positions = config
            .learned_positions
            .then(|| builder.matrix("model.embed_positions", config.max_position_embeddings, hidden));
        let layers =
            (0..config.num_hidden_layers).map(|layer| Layer::new(config, layer, &mut builder)).collect();
        let norm = builder.norm("model.norm", hidden);
        let head = if config.tie_word_embeddings {
            embedding.clone()
        } else {
            builder.matrix("lm_head", config.vocab_size, hidden)
        };
        (Self { slots: builder.slots, embedding, positions, norm, head, len: builder.len }, layers)
    }
}

/// A layout to which the blocks add their weights.
#[derive(Default)]
pub(super) struct Builder {
    slots: Vec<Slot>,
    len: usize,
}

impl Builder {
    fn add(&mut self, name: &str, shape: &[usize], initial: Initial) -> Place {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let (name, decays) = (format!("{name}.weight"), initial != Initial::Ones);
        self.slots.push(Slot { name, shape: shape.to_vec(), range: range.clone(), decays, initial });
        range
    }

    pub(super) fn matrix(&mut self, name: &str, out: usize, input: usize) -> Place {
        self.add(name, &[out, input], Initial::Normal)
    }

    pub(super) fn norm(&mut self, name: &str, width: usize) -> Place {
        self.add(name, &[width], Initial::Ones)
    }

    /// The size of all matrices, or of all norms.
    pub(super) fn count(&self, in_matrices: bool) -> u64 {
        let slots = self.slots.iter().filter(|slot| slot.decays == in_matrices);
        slots.map(|slot| slot.range.len() as u64).sum()
    }
}
