//! The policy's weights, packed for products.

use super::config::{Attention, Config};
use super::parameters::{AttentionPlaces, FeedForwardPlaces, Parameters, Place, SwigluPlaces};
use crate::kernels::attention;
use crate::kernels::experts::{self, Expert};
use crate::kernels::likelihood::Head;
use crate::kernels::matmul::{Packed, add_outer};
use crate::kernels::precision::Precision;
use crate::kernels::rotary::Rotary;

/// A linear layer, packed for both directions.
#[derive(Default)]
pub(super) struct Linear {
    pub(super) out: usize,
    pub(super) input: usize,
    place: Place,
    pub(super) forward: Packed,
    backward: Packed,
}

impl Linear {
    fn pack(
        &mut self,
        precision: Precision,
        parameters: &Parameters,
        place: &Place,
        out: usize,
        input: usize,
    ) {
        let weight = parameters.at(place);
        (self.out, self.input, self.place) = (out, input, place.clone());
        self.forward.pack_transposed(precision, weight, input, out, input);
        self.backward.pack_straight(precision, weight, input, out, input);
    }

    /// `y = x · Wᵀ`, or `y += …`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32], rows: usize, add: bool) {
        self.forward.product(x, self.input, y, self.out, rows, add);
    }

    /// `dx = dy · W` or `dx += …`, and adds to the weight's gradient.
    pub(super) fn backward(
        &self,
        dy: &[f32],
        x: &[f32],
        dx: &mut [f32],
        rows: usize,
        add: bool,
        gradient: &mut [f32],
    ) {
        self.backward.product(dy, self.out, dx, self.input, rows, add);
        let place = self.place.clone();
        let shape = (rows, self.out, self.input);
        add_outer(self.backward.precision(), dy, x, self.input, &mut gradient[place], shape);
    }
}

#[derive(Default)]
pub(super) struct Swiglu {
    pub(super) width: usize,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

impl Swiglu {
    fn pack(
        &mut self,
        precision: Precision,
        parameters: &Parameters,
        places: &SwigluPlaces,
        hidden: usize,
        width: usize,
    ) {
        self.width = width;
        self.gate_up.pack(precision, parameters, &places.gate_up, 2 * width, hidden);
        self.down.pack(precision, parameters, &places.down, hidden, width);
    }
}

/// One head's part of the latent up-projection, for a decoder that attends to latents themselves.
#[derive(Default)]
pub(super) struct Absorbed {
    /// Takes a query without position to the latents: `[nope, rank]`.
    pub(super) key: Packed,
    /// Takes a sum of latents to the head's value: `[rank, value]`.
    pub(super) value: Packed,
}

#[allow(clippy::large_enum_variant, reason = "a handful exist, one a layer")]
pub(super) enum Projections {
    Mla {
        query_down: Option<Linear>,
        query_up: Linear,
        key_value_down: Linear,
        key_value_up: Linear,
        absorbed: Vec<Absorbed>,
    },
    Gqa(Linear),
}

#[allow(clippy::large_enum_variant, reason = "a handful exist, one a layer")]
pub(super) enum FeedForward {
    Dense(Swiglu),
    Experts { router: Linear, routed: Vec<Expert>, shared: Option<Swiglu> },
}

pub(super) struct Layer {
    pub(super) projections: Projections,
    pub(super) output: Linear,
    pub(super) feed_forward: FeedForward,
}

/// A policy: its weights, and the same weights packed for products.
pub struct Transformer {
    /// Its shape.
    pub config: Config,
    /// Its weights. After a change, call [`Transformer::repack`].
    pub parameters: Parameters,
    pub(super) layers: Vec<Layer>,
    pub(super) head: Linear,
    pub(super) rotary: Rotary,
    precision: Precision,
}

impl Transformer {
    /// A policy with these weights, whose products are float32.
    pub fn new(config: Config, parameters: Parameters) -> Self {
        Self::with_precision(config, parameters, Precision::Float32)
    }

    /// A policy with these weights. Router, head and the training forward's attention stay float32 in every
    /// precision; DeepSeek-V3 §3.3 keeps them out of its low precision, too.
    pub fn with_precision(config: Config, parameters: Parameters, precision: Precision) -> Self {
        let is_interleaved = config.attention == Attention::Mla;
        let rotary = Rotary::new(
            config.rotary_dim(),
            config.rope_theta,
            config.max_position_embeddings,
            is_interleaved,
        );
        let layers = parameters.layout.layers.iter().map(Layer::unpacked).collect();
        let mut transformer = Self { config, parameters, layers, head: Linear::default(), rotary, precision };
        transformer.repack();
        transformer
    }

    /// The precision of its products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Packs the weights again after they have changed.
    pub fn repack(&mut self) {
        let Self { config, parameters, layers, head, precision, .. } = self;
        let precision = *precision;
        for (layer, places) in layers.iter_mut().zip(&parameters.layout.layers) {
            let hidden = config.hidden_size;
            let heads = config.num_attention_heads;
            match (&mut layer.projections, &places.attention) {
                (
                    Projections::Mla { query_down, query_up, key_value_down, key_value_up, absorbed },
                    AttentionPlaces::Mla {
                        query_down: down_places,
                        query_up: up_place,
                        key_value_down: kv_down_place,
                        key_value_up: kv_up_place,
                        ..
                    },
                ) => {
                    let query_input = config.q_lora_rank.unwrap_or(hidden);
                    if let (Some(down), Some((place, _))) = (query_down, down_places) {
                        down.pack(precision, parameters, place, query_input, hidden);
                    }
                    query_up.pack(precision, parameters, up_place, heads * config.query_dim(), query_input);
                    let rank = config.kv_lora_rank;
                    key_value_down.pack(
                        precision,
                        parameters,
                        kv_down_place,
                        rank + config.qk_rope_head_dim,
                        hidden,
                    );
                    let width = heads * (config.qk_nope_head_dim + config.v_head_dim);
                    key_value_up.pack(precision, parameters, kv_up_place, width, rank);
                    absorbed.resize_with(heads, Absorbed::default);
                    let (nope, value) = (config.qk_nope_head_dim, config.v_head_dim);
                    let per_head = parameters.at(kv_up_place).chunks_exact((nope + value) * rank);
                    for (absorbed, weight) in absorbed.iter_mut().zip(per_head) {
                        absorbed.key.pack_straight(precision, &weight[..nope * rank], rank, nope, rank);
                        absorbed.value.pack_transposed(precision, &weight[nope * rank..], rank, value, rank);
                    }
                }
                (Projections::Gqa(linear), AttentionPlaces::Gqa { query_key_value }) => {
                    let width = (heads + 2 * config.num_key_value_heads) * config.head_dim;
                    linear.pack(precision, parameters, query_key_value, width, hidden);
                }
                _ => unreachable!("layers are built from the same places"),
            }
            layer.output.pack(precision, parameters, &places.output, hidden, heads * config.value_dim());
            match (&mut layer.feed_forward, &places.feed_forward) {
                (FeedForward::Dense(swiglu), FeedForwardPlaces::Dense(places)) => {
                    swiglu.pack(precision, parameters, places, hidden, config.intermediate_size);
                }
                (
                    FeedForward::Experts { router, routed, shared },
                    FeedForwardPlaces::Experts {
                        router: place,
                        routed: routed_places,
                        shared: shared_places,
                    },
                ) => {
                    router.pack(Precision::Float32, parameters, place, config.n_routed_experts, hidden);
                    let width = config.moe_intermediate_size;
                    for (expert, places) in routed.iter_mut().zip(routed_places) {
                        let (gate_up, down) = (parameters.at(&places.gate_up), parameters.at(&places.down));
                        expert.gate_up.pack_transposed(precision, gate_up, hidden, 2 * width, hidden);
                        expert.gate_up_backward.pack_straight(precision, gate_up, hidden, 2 * width, hidden);
                        expert.down.pack_transposed(precision, down, width, hidden, width);
                        expert.down_backward.pack_straight(precision, down, width, hidden, width);
                    }
                    if let (Some(shared), Some(places)) = (shared, shared_places) {
                        shared.pack(precision, parameters, places, hidden, config.n_shared_experts * width);
                    }
                }
                _ => unreachable!("layers are built from the same places"),
            }
        }
        head.pack(
            Precision::Float32,
            parameters,
            &parameters.layout.head,
            config.vocab_size,
            config.hidden_size,
        );
    }

    pub(super) fn rule(&self) -> experts::Rule {
        experts::Rule {
            experts: self.config.n_routed_experts,
            chosen: self.config.num_experts_per_tok,
            normalise: self.config.norm_topk_prob,
            scale: self.config.routed_scaling_factor,
        }
    }

    pub(super) fn expert_size(&self) -> experts::Size {
        experts::Size {
            hidden: self.config.hidden_size,
            width: self.config.moe_intermediate_size,
            chosen: self.config.num_experts_per_tok,
        }
    }

    pub(super) fn attention_shape(&self) -> attention::Shape {
        attention::Shape {
            heads: self.config.num_attention_heads,
            key_heads: self.config.key_heads(),
            query_dim: self.config.query_dim(),
            value_dim: self.config.value_dim(),
        }
    }

    pub(super) fn head_kernel(&self, temperature: f32) -> Head<'_> {
        Head {
            forward: &self.head.forward,
            backward: &self.head.backward,
            vocabulary: self.config.vocab_size,
            hidden: self.config.hidden_size,
            inverse_temperature: 1.0 / temperature,
        }
    }
}

impl Layer {
    fn unpacked(places: &super::parameters::LayerPlaces) -> Self {
        let projections = match &places.attention {
            AttentionPlaces::Mla { query_down, .. } => Projections::Mla {
                query_down: query_down.as_ref().map(|_| Linear::default()),
                query_up: Linear::default(),
                key_value_down: Linear::default(),
                key_value_up: Linear::default(),
                absorbed: Vec::new(),
            },
            AttentionPlaces::Gqa { .. } => Projections::Gqa(Linear::default()),
        };
        let feed_forward = match &places.feed_forward {
            FeedForwardPlaces::Dense(_) => FeedForward::Dense(Swiglu::default()),
            FeedForwardPlaces::Experts { routed, shared, .. } => FeedForward::Experts {
                router: Linear::default(),
                routed: routed.iter().map(|_| Expert::default()).collect(),
                shared: shared.as_ref().map(|_| Swiglu::default()),
            },
        };
        Self { projections, output: Linear::default(), feed_forward }
    }
}
