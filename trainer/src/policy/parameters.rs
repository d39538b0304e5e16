//! The weights: one vector in a fixed order, and the names that point into it.
//!
//! Weights, gradients and the optimizer's moments are vectors of one layout, so a sum over shards, a clip or a step is
//! one loop, and its order is the same on every machine. Names and shapes are Hugging Face's for DeepSeek-V3.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use thinkling_datasets::seed::Stream;

use super::config::{Attention, Config};

/// Where a parameter lies, and how it is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Hugging Face's name.
    pub name: String,
    /// `[out, in]` for a linear layer.
    pub shape: Vec<usize>,
    /// Its place in the vector.
    pub range: Range<usize>,
    /// Whether weight decay applies: matrices, not norms.
    pub decays: bool,
    /// How it starts.
    initial: Initial,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Initial {
    Ones,
    Normal(f32),
}

/// A linear layer or table in the vector: its range.
pub type Place = Range<usize>;

/// The places of one layer's weights.
#[derive(Clone, Debug)]
pub struct LayerPlaces {
    /// RMSNorm before the attention.
    pub attention_norm: Place,
    /// The attention's weights.
    pub attention: AttentionPlaces,
    /// RMSNorm before the feed-forward.
    pub feed_forward_norm: Place,
    /// The feed-forward's weights.
    pub feed_forward: FeedForwardPlaces,
    /// `[hidden, heads · value]`.
    pub output: Place,
}

/// The places of an attention's projections.
#[derive(Clone, Debug)]
pub enum AttentionPlaces {
    /// Latent attention.
    Mla {
        /// `[q_rank, hidden]`, its norm, and `[heads · query, q_rank]`; without a rank, only the last, `[…, hidden]`.
        query_down: Option<(Place, Place)>,
        /// See `query_down`.
        query_up: Place,
        /// `[kv_rank + rope, hidden]`.
        key_value_down: Place,
        /// Norm of the latent.
        key_value_norm: Place,
        /// `[heads · (nope + value), kv_rank]`.
        key_value_up: Place,
    },
    /// Grouped attention: `[heads · dim, hidden]`, and keys and values, one behind the other.
    Gqa {
        /// `[(heads + 2 · key heads) · dim, hidden]`: query, key, value.
        query_key_value: Place,
    },
}

/// A SwiGLU's weights: gate and up lie one behind the other.
#[derive(Clone, Debug)]
pub struct SwigluPlaces {
    /// `[2 · width, hidden]`: gate, then up.
    pub gate_up: Place,
    /// `[hidden, width]`.
    pub down: Place,
}

/// The places of a feed-forward.
#[derive(Clone, Debug)]
pub enum FeedForwardPlaces {
    /// One SwiGLU for every token.
    Dense(SwigluPlaces),
    /// Routed and shared experts.
    Experts {
        /// `[experts, hidden]`.
        router: Place,
        /// The routed experts.
        routed: Vec<SwigluPlaces>,
        /// The shared experts as one SwiGLU of their joint width.
        shared: Option<SwigluPlaces>,
    },
}

/// The names, shapes and places of a policy's weights.
#[derive(Clone, Debug)]
pub struct Layout {
    /// In the order of the vector.
    pub slots: Vec<Slot>,
    /// `[vocabulary, hidden]`.
    pub embedding: Place,
    /// `[positions, hidden]`.
    pub positions: Option<Place>,
    /// One entry a layer.
    pub layers: Vec<LayerPlaces>,
    /// The last RMSNorm.
    pub norm: Place,
    /// `[vocabulary, hidden]`; the embedding's place where they are tied.
    pub head: Place,
    /// Number of floats.
    pub len: usize,
}

impl Layout {
    /// The layout of a policy of this shape.
    pub fn new(config: &Config) -> Self {
        Builder { deviation: config.initializer_range, slots: Vec::new(), len: 0 }.build(config)
    }
}

struct Builder {
    deviation: f32,
    slots: Vec<Slot>,
    len: usize,
}

impl Builder {
    fn add(&mut self, name: String, shape: &[usize], initial: Initial) -> Place {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        let decays = matches!(initial, Initial::Normal(_));
        self.slots.push(Slot { name, shape: shape.to_vec(), range: range.clone(), decays, initial });
        range
    }

    fn matrix(&mut self, name: String, out: usize, input: usize) -> Place {
        self.add(name, &[out, input], Initial::Normal(self.deviation))
    }

    fn norm(&mut self, name: String, width: usize) -> Place {
        self.add(name, &[width], Initial::Ones)
    }

    fn swiglu(&mut self, prefix: &str, hidden: usize, width: usize) -> SwigluPlaces {
        let gate = self.matrix(format!("{prefix}.gate_proj.weight"), width, hidden);
        let up = self.matrix(format!("{prefix}.up_proj.weight"), width, hidden);
        let down = self.matrix(format!("{prefix}.down_proj.weight"), hidden, width);
        SwigluPlaces { gate_up: gate.start..up.end, down }
    }

    fn attention(&mut self, prefix: &str, config: &Config) -> AttentionPlaces {
        let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
        match config.attention {
            Attention::Mla => {
                let query = heads * config.query_dim();
                let (query_down, query_up) = match config.q_lora_rank {
                    Some(rank) => {
                        let down = self.matrix(format!("{prefix}.q_a_proj.weight"), rank, hidden);
                        let norm = self.norm(format!("{prefix}.q_a_layernorm.weight"), rank);
                        (Some((down, norm)), self.matrix(format!("{prefix}.q_b_proj.weight"), query, rank))
                    }
                    None => (None, self.matrix(format!("{prefix}.q_proj.weight"), query, hidden)),
                };
                let rank = config.kv_lora_rank;
                AttentionPlaces::Mla {
                    query_down,
                    query_up,
                    key_value_down: self.matrix(
                        format!("{prefix}.kv_a_proj_with_mqa.weight"),
                        rank + config.qk_rope_head_dim,
                        hidden,
                    ),
                    key_value_norm: self.norm(format!("{prefix}.kv_a_layernorm.weight"), rank),
                    key_value_up: self.matrix(
                        format!("{prefix}.kv_b_proj.weight"),
                        heads * (config.qk_nope_head_dim + config.v_head_dim),
                        rank,
                    ),
                }
            }
            Attention::Gqa => {
                let width = config.num_key_value_heads * config.head_dim;
                let query = self.matrix(format!("{prefix}.q_proj.weight"), heads * config.head_dim, hidden);
                self.matrix(format!("{prefix}.k_proj.weight"), width, hidden);
                let value = self.matrix(format!("{prefix}.v_proj.weight"), width, hidden);
                AttentionPlaces::Gqa { query_key_value: query.start..value.end }
            }
        }
    }

    fn feed_forward(&mut self, prefix: &str, config: &Config, sparse: bool) -> FeedForwardPlaces {
        let hidden = config.hidden_size;
        if !sparse {
            return FeedForwardPlaces::Dense(self.swiglu(prefix, hidden, config.intermediate_size));
        }
        let router = self.matrix(format!("{prefix}.gate.weight"), config.n_routed_experts, hidden);
        let routed = (0..config.n_routed_experts)
            .map(|expert| {
                self.swiglu(&format!("{prefix}.experts.{expert}"), hidden, config.moe_intermediate_size)
            })
            .collect();
        let width = config.n_shared_experts * config.moe_intermediate_size;
        let shared = (width > 0).then(|| self.swiglu(&format!("{prefix}.shared_experts"), hidden, width));
        FeedForwardPlaces::Experts { router, routed, shared }
    }

    fn build(mut self, config: &Config) -> Layout {
        let hidden = config.hidden_size;
        let embedding = self.matrix("model.embed_tokens.weight".to_owned(), config.vocab_size, hidden);
        let positions = config.learned_positions.then(|| {
            self.matrix("model.embed_positions.weight".to_owned(), config.max_position_embeddings, hidden)
        });
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let prefix = format!("model.layers.{layer}");
                let attention_norm = self.norm(format!("{prefix}.input_layernorm.weight"), hidden);
                let attention = self.attention(&format!("{prefix}.self_attn"), config);
                let output = self.matrix(
                    format!("{prefix}.self_attn.o_proj.weight"),
                    hidden,
                    config.num_attention_heads * config.value_dim(),
                );
                let feed_forward_norm =
                    self.norm(format!("{prefix}.post_attention_layernorm.weight"), hidden);
                let feed_forward =
                    self.feed_forward(&format!("{prefix}.mlp"), config, config.is_sparse(layer));
                LayerPlaces { attention_norm, attention, feed_forward_norm, feed_forward, output }
            })
            .collect();
        let norm = self.norm("model.norm.weight".to_owned(), hidden);
        let head = if config.tie_word_embeddings {
            embedding.clone()
        } else {
            self.matrix("lm_head.weight".to_owned(), config.vocab_size, hidden)
        };
        Layout { slots: self.slots, embedding, positions, layers, norm, head, len: self.len }
    }
}

/// Named float32 tensors: shape and numbers.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

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
        parts.into_par_iter().for_each(|(index, slot, values)| match slot.initial {
            Initial::Ones => values.fill(1.0),
            Initial::Normal(deviation) => {
                let mut stream = Stream::at("initial weights", seed, &[index]);
                values.fill_with(|| (stream.normal() * f64::from(deviation)) as f32);
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

    /// The weights that [`Parameters::tensors`] gave.
    ///
    /// # Errors
    /// Which tensor is missing or has another shape.
    pub fn from_tensors(config: &Config, tensors: &Tensors) -> Result<Self, String> {
        let find = |name: &str, shape: &[usize]| match tensors.get(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(format!("has {name} of shape {found:?} instead of {shape:?}")),
            None => Err(format!("lacks {name}")),
        };
        let layout = Layout::new(config);
        let mut values = vec![0.0; layout.len];
        for slot in &layout.slots {
            values[slot.range.clone()].copy_from_slice(find(&slot.name, &slot.shape)?);
        }
        let biases = config
            .sparse_layers()
            .map(|layer| Ok(find(&Self::expert_bias_name(layer), &[config.n_routed_experts])?.clone()));
        Ok(Self { expert_biases: biases.collect::<Result<_, String>>()?, layout, values })
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

    /// Puts the weights into `parameters`.
    pub fn restore(&self, parameters: &mut Parameters) {
        parameters.values.clone_from(&self.values);
        parameters.expert_biases.clone_from(&self.expert_biases);
    }

    /// The weights and the biases, one after the other.
    pub fn parts(&self) -> (&[f32], Vec<f32>) {
        (&self.values, self.expert_biases.concat())
    }

    /// The snapshot with these parts, of a policy with weights like `like`; `None` where their number is another.
    pub fn from_parts(like: &Parameters, values: &[f32], biases: &[f32]) -> Option<Self> {
        let mut biases = biases.iter().copied();
        let expert_biases: Vec<Vec<f32>> =
            like.expert_biases.iter().map(|layer| biases.by_ref().take(layer.len()).collect()).collect();
        (values.len() == like.values.len()).then(|| Self { values: values.to_vec(), expert_biases })
    }
}
