//! The blocks of a layer. A block's file holds its places in the layout, its packed weights, forward, backward and decoding.
//!
//! A forward adds to `out`, and writes what the backward reads to the block's tape. A new attention or feed-forward is one file
//! here and one line in each match below; a new residual is a change of `residual`.

use std::ops::Range;

use super::config::{Attention, Config};
use super::layout::{Builder, Place};
use super::{Parameters, Sequence};
use crate::kernels::attention as kernel;
use crate::kernels::matmul::{Packed, add_outer};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::rms_norm;
use crate::kernels::rotary::Rotary;
use attention::{CacheShape, Decoding};
use dense::Dense;
use experts::Experts;
use gqa::Gqa;
use mla::Mla;
use residual::Residual;

pub(super) mod attention;
pub(super) mod dense;
pub(super) mod experts;
pub(super) mod gqa;
pub(super) mod mla;
pub(super) mod residual;

/// The rows of a training batch: sequences without padding between them.
pub(super) struct Training<'a> {
    pub(super) spans: &'a [Range<usize>],
    /// The position of each row in its sequence.
    pub(super) positions: &'a [u32],
    pub(super) rotary: &'a Rotary,
    pub(super) scratch: &'a mut Scratch,
}

/// What decides the choice of experts: the recorded routes of sequences, and the load biases of each sparse layer.
#[derive(Clone, Copy)]
pub(super) struct Routing<'a> {
    pub(super) sequences: &'a [Sequence<'a>],
    pub(super) biases: &'a [Vec<f32>],
}

/// The operands of a block's backward.
pub(super) struct Gradients<'a> {
    /// The input of the forward, `[rows, hidden]`.
    x: &'a [f32],
    /// The gradient of the output, `[rows, hidden]`.
    dout: &'a [f32],
    /// The gradient of the input: an attention overwrites it, a feed-forward adds to it.
    dx: &'a mut [f32],
    /// The gradient of all weights, to add to.
    weights: &'a mut [f32],
}

/// Temporary buffers, shared by all layers.
#[derive(Default)]
pub(super) struct Scratch {
    attention: kernel::Scratch,
    inner: Vec<f32>,
    dlow: Vec<f32>,
    dquery: Vec<f32>,
    dkey: Vec<f32>,
    dvalue: Vec<f32>,
    dgates: Vec<f32>,
    daffinities: Vec<f32>,
    /// Decoding: `[rows, heads, key]`.
    query: Vec<f32>,
    scores: Vec<f32>,
    /// Decoding: weighted sums of the cached values, `[rows, heads, value]`.
    sums: Vec<f32>,
}

/// The buffer with `length` numbers of any value.
pub(super) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}

/// The buffer with `length` zeros.
pub(super) fn zeroed(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.clear();
    sized(buffer, length)
}

/// A linear layer, packed for both directions.
#[derive(Default)]
pub(super) struct Linear {
    out: usize,
    input: usize,
    place: Place,
    pub(super) forward: Packed,
    pub(super) backward: Packed,
}

impl Linear {
    fn new(builder: &mut Builder, name: &str, out: usize, input: usize) -> Self {
        Self::at(builder.matrix(name, out, input), out, input)
    }

    /// The layer with its weight, `[out, input]`, at `place`.
    pub(super) fn at(place: Place, out: usize, input: usize) -> Self {
        Self { out, input, place, ..Self::default() }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        let (weight, out, input) = (parameters.at(&self.place), self.out, self.input);
        self.forward.pack_transposed(precision, weight, input, out, input);
        self.backward.pack_straight(precision, weight, input, out, input);
    }

    /// `y = x · Wᵀ`, or `y += …`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32], add: bool) {
        self.forward.product(x, self.input, y, self.out, x.len() / self.input, add);
    }

    /// `dx = dy · W` or `dx += …`, and adds to the weight's gradient.
    fn backward(&self, dy: &[f32], x: &[f32], dx: &mut [f32], add: bool, weights: &mut [f32]) {
        let rows = x.len() / self.input;
        self.backward.product(dy, self.out, dx, self.input, rows, add);
        let dweight = &mut weights[self.place.clone()];
        add_outer(self.backward.precision(), dy, x, self.input, dweight, (rows, self.out, self.input));
    }
}

/// An RMSNorm with a copy of its weight.
pub(super) struct Norm {
    place: Place,
    epsilon: f32,
    weight: Vec<f32>,
}

impl Norm {
    pub(super) fn at(place: Place, config: &Config) -> Self {
        Self { place, epsilon: config.rms_norm_eps, weight: Vec::new() }
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        self.weight.clear();
        self.weight.extend_from_slice(parameters.at(&self.place));
    }

    /// Writes the result to the tape's `output`.
    pub(super) fn forward(&self, x: &[f32], tape: &mut NormTape) {
        let _scope = profile::enter(Part::Norms);
        let NormTape { input, inverse, output } = tape;
        input.clear();
        input.extend_from_slice(x);
        let inverse = sized(inverse, x.len() / self.weight.len());
        let output = sized(output, x.len());
        rms_norm::forward(x, self.weight.len(), &self.weight, self.epsilon, output, inverse);
    }

    /// Adds to `dx` and to the gradient of the weight.
    pub(super) fn backward(&self, dy: &[f32], tape: &NormTape, dx: &mut [f32], weights: &mut [f32]) {
        let _scope = profile::enter(Part::Norms);
        let (width, dweight) = (self.weight.len(), &mut weights[self.place.clone()]);
        rms_norm::backward(dy, &tape.input, width, &self.weight, &tape.inverse, dx, dweight);
    }
}

#[derive(Default)]
pub(super) struct NormTape {
    input: Vec<f32>,
    inverse: Vec<f32>,
    pub(super) output: Vec<f32>,
}

#[allow(clippy::large_enum_variant, reason = "a few exist, one per layer")]
pub(super) enum AttentionBlock {
    Mla(Mla),
    Gqa(Gqa),
}

impl AttentionBlock {
    pub(super) fn new(config: &Config, prefix: &str, builder: &mut Builder) -> Self {
        match config.attention {
            Attention::Mla => Self::Mla(Mla::new(config, prefix, builder)),
            Attention::Gqa => Self::Gqa(Gqa::new(config, prefix, builder)),
        }
    }

    /// The sizes of the attention to the cache.
    pub(super) fn cached(&self) -> CacheShape {
        match self {
            Self::Mla(mla) => mla.cached,
            Self::Gqa(gqa) => gqa.cached,
        }
    }

    /// The rotary table for the part of a head that depends on the position.
    pub(super) fn rotary(config: &Config) -> Rotary {
        let (dim, is_interleaved) = match config.attention {
            Attention::Mla => (config.qk_rope_head_dim, true),
            Attention::Gqa => (config.head_dim, false),
        };
        Rotary::new(dim, config.rope_theta, config.max_position_embeddings, is_interleaved)
    }
}

#[allow(clippy::large_enum_variant, reason = "a few exist, one per layer")]
pub(super) enum FeedForward {
    Dense(Dense),
    Experts(Experts),
}

pub(super) struct Layer {
    into_attention: Residual,
    pub(super) attention: AttentionBlock,
    into_feed_forward: Residual,
    pub(super) feed_forward: FeedForward,
}

/// The activations that a layer's backward needs. Tapes of blocks that the layer does not have stay empty.
#[derive(Default)]
pub(super) struct LayerTape {
    attention_norm: NormTape,
    mla: mla::Tape,
    gqa: gqa::Tape,
    feed_forward_norm: NormTape,
    pub(super) experts: experts::Tape,
}

impl Layer {
    pub(super) fn new(config: &Config, number: usize, builder: &mut Builder) -> Self {
        let prefix = format!("model.layers.{number}");
        let mlp = format!("{prefix}.mlp");
        Self {
            into_attention: Residual::new(config, format!("{prefix}.input_layernorm"), builder),
            attention: AttentionBlock::new(config, &format!("{prefix}.self_attn"), builder),
            into_feed_forward: Residual::new(config, format!("{prefix}.post_attention_layernorm"), builder),
            feed_forward: if config.is_sparse(number) {
                FeedForward::Experts(Experts::new(config, number, &mlp, builder))
            } else {
                let width = config.intermediate_size;
                FeedForward::Dense(Dense::new(config.hidden_size, width, &mlp, builder))
            },
        }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        self.into_attention.pack(parameters);
        match &mut self.attention {
            AttentionBlock::Mla(mla) => mla.pack(precision, parameters),
            AttentionBlock::Gqa(gqa) => gqa.pack(precision, parameters),
        }
        self.into_feed_forward.pack(parameters);
        match &mut self.feed_forward {
            FeedForward::Dense(dense) => dense.pack(precision, parameters),
            FeedForward::Experts(experts) => experts.pack(precision, parameters),
        }
    }

    /// Runs the residual stream, `[rows, hidden]`, through the layer.
    pub(super) fn forward(
        &self,
        stream: &mut [f32],
        routing: Routing<'_>,
        batch: &mut Training<'_>,
        tape: &mut LayerTape,
    ) {
        self.into_attention.forward(stream, &mut tape.attention_norm, |x, out| match &self.attention {
            AttentionBlock::Mla(mla) => mla.forward(x, out, batch, &mut tape.mla),
            AttentionBlock::Gqa(gqa) => gqa.forward(x, out, batch, &mut tape.gqa),
        });
        self.feed(stream, routing, tape);
    }

    /// As [`Layer::forward`], for rows that follow the tokens in the cache.
    pub(super) fn decode(
        &self,
        stream: &mut [f32],
        routing: Routing<'_>,
        step: &mut Decoding<'_>,
        tape: &mut LayerTape,
    ) {
        self.into_attention.forward(stream, &mut tape.attention_norm, |x, out| match &self.attention {
            AttentionBlock::Mla(mla) => mla.decode(x, out, step, &mut tape.mla),
            AttentionBlock::Gqa(gqa) => gqa.decode(x, out, step, &mut tape.gqa),
        });
        self.feed(stream, routing, tape);
    }

    fn feed(&self, stream: &mut [f32], routing: Routing<'_>, tape: &mut LayerTape) {
        let norm = &mut tape.feed_forward_norm;
        self.into_feed_forward.forward(stream, norm, |x, out| match &self.feed_forward {
            FeedForward::Dense(dense) => dense.forward(x, out, &mut tape.experts.dense),
            FeedForward::Experts(experts) => experts.forward(x, out, routing, &mut tape.experts),
        });
    }

    /// Turns the gradient of the stream after the layer into the gradient before it. Adds to the gradient of all weights.
    pub(super) fn backward(
        &self,
        dstream: &mut [f32],
        dx: &mut [f32],
        balance: f32,
        batch: &mut Training<'_>,
        tape: &mut LayerTape,
        weights: &mut [f32],
    ) {
        dx.fill(0.0);
        let norm = &tape.feed_forward_norm;
        self.into_feed_forward.backward(dstream, dx, norm, weights, |gradients| match &self.feed_forward {
            FeedForward::Dense(dense) => dense.backward(gradients, &mut tape.experts.dense, batch.scratch),
            FeedForward::Experts(experts) => experts.backward(gradients, balance, batch, &mut tape.experts),
        });
        let norm = &tape.attention_norm;
        self.into_attention.backward(dstream, dx, norm, weights, |gradients| match &self.attention {
            AttentionBlock::Mla(mla) => mla.backward(gradients, batch, &mut tape.mla),
            AttentionBlock::Gqa(gqa) => gqa.backward(gradients, batch, &mut tape.gqa),
        });
    }
}
