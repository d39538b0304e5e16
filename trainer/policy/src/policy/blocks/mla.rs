//! Multi-head latent attention: keys and values come from a latent of low rank, and all heads share one rotary key.
//!
//! A decoder caches only the latent and the rotary key of a token (the latent twice, once for each of the two products that
//! read it), and attends to latents with absorbed projections. Source: DeepSeek-V3 (arXiv 2412.19437 §2.1.1).

use super::attention::{CacheShape, Decoding, DotProduct, heads};
use super::{Builder, Gradients, Linear, Norm, NormTape, Scratch, Training, sized, zeroed};
use crate::kernels::attention::{AttentionShape, Heads};
use crate::kernels::matmul::Packed;
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::rms_norm;
use crate::policy::{Config, Parameters};

pub(crate) struct Mla {
    /// `[q_rank, hidden]` and its norm; `None` without a rank: `query_up` is the whole projection.
    query_down: Option<(Linear, Norm)>,
    /// `[heads · query, q_rank]`, or `[…, hidden]`.
    query_up: Linear,
    /// `[rank + rope, hidden]`.
    key_value_down: Linear,
    key_value_norm: Norm,
    /// `[heads · (nope + value), rank]`.
    key_value_up: Linear,
    absorbed: Vec<Absorbed>,
    core: DotProduct,
    pub(super) cached: CacheShape,
    rank: usize,
    /// Width of a head's key without position.
    nope: usize,
    rope: usize,
}

/// One head's part of the latent up-projection, for decoding.
#[derive(Default)]
struct Absorbed {
    /// From a query without position to a latent: `[nope, rank]`.
    key: Packed,
    /// From a sum of latents to the value of the head: `[rank, value]`.
    value: Packed,
}

/// The activations that the backward needs.
#[derive(Default)]
pub(super) struct Tape {
    /// `[rows, q_rank]`.
    query_norm: NormTape,
    /// `[rows, heads · query]`.
    query: Vec<f32>,
    /// `[rows, heads · query]`.
    key: Vec<f32>,
    /// Latent and rotary key, `[rows, rank + rope]`.
    latent: Vec<f32>,
    latent_inverse: Vec<f32>,
    latent_normed: Vec<f32>,
    /// `[rows, heads · (nope + value)]`.
    key_value: Vec<f32>,
    /// `[rows, heads · value]`.
    attended: Vec<f32>,
}

impl Mla {
    pub(super) fn new(config: &Config, prefix: &str, builder: &mut Builder) -> Self {
        let (hidden, heads, rank) = (config.hidden_size, config.num_attention_heads, config.kv_lora_rank);
        let (nope, rope, value_dim) = (config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim);
        let query_dim = nope + rope;
        let shape = AttentionShape { heads, key_heads: heads, query_dim, value_dim };
        let scale = 1.0 / (query_dim as f32).sqrt();
        let name = |name: &str| format!("{prefix}.{name}");
        let query_down = config.q_lora_rank.map(|rank| {
            let down = Linear::new(builder, &name("q_a_proj"), rank, hidden);
            (down, Norm::at(builder.norm(&name("q_a_layernorm"), rank), config))
        });
        let up = name(if query_down.is_some() { "q_b_proj" } else { "q_proj" });
        Self {
            query_down,
            query_up: Linear::new(builder, &up, heads * query_dim, config.q_lora_rank.unwrap_or(hidden)),
            key_value_down: Linear::new(builder, &name("kv_a_proj_with_mqa"), rank + rope, hidden),
            key_value_norm: Norm::at(builder.norm(&name("kv_a_layernorm"), rank), config),
            key_value_up: Linear::new(builder, &name("kv_b_proj"), heads * (nope + value_dim), rank),
            absorbed: (0..heads).map(|_| Absorbed::default()).collect(),
            core: DotProduct::new(shape, hidden, prefix, builder),
            cached: CacheShape { heads, key_heads: 1, key: rank + rope, value: rank, scale },
            rank,
            nope,
            rope,
        }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        if let Some((down, norm)) = &mut self.query_down {
            down.pack(precision, parameters);
            norm.pack(parameters);
        }
        self.query_up.pack(precision, parameters);
        self.key_value_down.pack(precision, parameters);
        self.key_value_norm.pack(parameters);
        self.key_value_up.pack(precision, parameters);
        let (rank, nope, value) = (self.rank, self.nope, self.core.shape.value_dim);
        let per_head = parameters.at(&self.key_value_up.place).chunks_exact((nope + value) * rank);
        for (absorbed, weight) in self.absorbed.iter_mut().zip(per_head) {
            absorbed.key.pack_straight(precision, &weight[..nope * rank], rank, nope, rank);
            absorbed.value.pack_transposed(precision, &weight[nope * rank..], rank, value, rank);
        }
        self.core.output.pack(precision, parameters);
    }

    /// Computes queries and latents of all rows, before the rotation.
    fn project(&self, x: &[f32], tape: &mut Tape, scratch: &mut Scratch) {
        let rows = x.len() / self.key_value_down.input;
        let query = sized(&mut tape.query, rows * self.query_up.out);
        if let Some((down, norm)) = &self.query_down {
            let low = sized(&mut scratch.inner, rows * down.out);
            down.apply(x, low, false);
            norm.forward(low, &mut tape.query_norm);
            self.query_up.apply(&tape.query_norm.output, query, false);
        } else {
            self.query_up.apply(x, query, false);
        }
        let width = self.key_value_down.out;
        let latent = sized(&mut tape.latent, rows * width);
        self.key_value_down.apply(x, latent, false);
        let normed = sized(&mut tape.latent_normed, rows * self.rank);
        let inverse = sized(&mut tape.latent_inverse, rows);
        let Norm { weight, epsilon, .. } = &self.key_value_norm;
        rms_norm::forward(latent, width, weight, *epsilon, normed, inverse);
    }

    fn operands<'t>(&self, [query, key, key_value]: [&'t [f32]; 3], row: usize) -> [Heads<'t>; 3] {
        let AttentionShape { query_dim, value_dim, .. } = self.core.shape;
        let (width, up_width) = (self.query_up.out, self.key_value_up.out);
        [
            heads(query, row, width, 0, query_dim),
            heads(key, row, width, 0, query_dim),
            heads(key_value, row, up_width, self.nope, self.nope + value_dim),
        ]
    }

    pub(super) fn forward(&self, x: &[f32], out: &mut [f32], batch: &mut Training<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let count = batch.positions.len();
        self.project(x, tape, batch.scratch);
        let Tape { query, key, latent, latent_normed, key_value, attended, .. } = tape;
        let key_value = sized(key_value, count * self.key_value_up.out);
        self.key_value_up.apply(latent_normed, key_value, false);
        let key = sized(key, count * self.query_up.out);
        let Self { rank, nope, rope, .. } = *self;
        let AttentionShape { heads, query_dim, value_dim, .. } = self.core.shape;
        for (row, position) in batch.positions.iter().enumerate() {
            let position = *position as usize;
            let rotary_key = &mut latent[row * (rank + rope) + rank..][..rope];
            batch.rotary.turn(rotary_key, position);
            for head in 0..heads {
                let at = (row * heads + head) * query_dim;
                batch.rotary.turn(&mut query[at + nope..at + query_dim], position);
                let up_at = (row * heads + head) * (nope + value_dim);
                key[at..at + nope].copy_from_slice(&key_value[up_at..up_at + nope]);
                key[at + nope..at + query_dim].copy_from_slice(rotary_key);
            }
        }
        let operands = |row| self.operands([query, key, key_value], row);
        self.core.forward(operands, attended, out, batch);
    }

    pub(super) fn backward(&self, gradients: Gradients<'_>, batch: &mut Training<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let Gradients { x, dout, dx, weights } = gradients;
        let count = batch.positions.len();
        let operands = |row| self.operands([&tape.query, &tape.key, &tape.key_value], row);
        self.core.backward(operands, &tape.attended, dout, batch, weights);
        let Scratch { inner, dlow, dquery, dkey, dvalue, .. } = &mut *batch.scratch;
        let Self { rank, nope, rope, .. } = *self;
        let AttentionShape { heads, query_dim, value_dim, .. } = self.core.shape;
        let dlatent = zeroed(dlow, count * (rank + rope));
        // The forward's buffer is free now and holds the gradients of key and value.
        let dup = &mut tape.key_value;
        for (row, position) in batch.positions.iter().enumerate() {
            let position = *position as usize;
            let drotary = &mut dlatent[row * (rank + rope) + rank..][..rope];
            for head in 0..heads {
                let at = (row * heads + head) * query_dim;
                batch.rotary.turn_back(&mut dquery[at + nope..at + query_dim], position);
                let up_at = (row * heads + head) * (nope + value_dim);
                dup[up_at..up_at + nope].copy_from_slice(&dkey[at..at + nope]);
                let value_at = (row * heads + head) * value_dim;
                dup[up_at + nope..][..value_dim].copy_from_slice(&dvalue[value_at..][..value_dim]);
                for (sum, dkey) in drotary.iter_mut().zip(&dkey[at + nope..at + query_dim]) {
                    *sum += dkey;
                }
            }
            batch.rotary.turn_back(drotary, position);
        }
        let dnormed = sized(inner, count * rank);
        self.key_value_up.backward(dup, &tape.latent_normed, dnormed, false, weights);
        let Norm { weight, place, .. } = &self.key_value_norm;
        let dweight = &mut weights[place.clone()];
        let (latent, inverse) = (&tape.latent, &tape.latent_inverse);
        rms_norm::backward(dnormed, latent, rank + rope, weight, inverse, dlatent, dweight);
        self.key_value_down.backward(dlatent, x, dx, false, weights);
        if let Some((down, norm)) = &self.query_down {
            let dnormed = sized(inner, count * down.out);
            self.query_up.backward(dquery, &tape.query_norm.output, dnormed, false, weights);
            let dlow = zeroed(dlow, count * down.out);
            norm.backward(dnormed, &tape.query_norm, dlow, weights);
            down.backward(dlow, x, dx, true, weights);
        } else {
            self.query_up.backward(dquery, x, dx, true, weights);
        }
    }

    pub(super) fn decode(&self, x: &[f32], out: &mut [f32], step: &mut Decoding<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let Decoding { rows, layer, rotary, caches, scratch, .. } = step;
        let count = rows.len();
        self.project(x, tape, scratch);
        let Tape { query: full, latent, latent_normed, attended, .. } = tape;
        let Self { rank, nope, rope, .. } = *self;
        let shape = self.cached;
        let (full_width, query_width) = (self.query_up.out, shape.heads * shape.key);
        let query = sized(&mut scratch.query, count * query_width);
        for (head, absorbed) in self.absorbed.iter().enumerate() {
            let (from, to) = (&full[head * (nope + rope)..], &mut query[head * shape.key..]);
            absorbed.key.product(from, full_width, to, query_width, count, false);
        }
        for (at, row) in rows.iter().enumerate() {
            let latent = &mut latent[at * (rank + rope)..(at + 1) * (rank + rope)];
            latent[..rank].copy_from_slice(&latent_normed[at * rank..(at + 1) * rank]);
            rotary.turn(&mut latent[rank..], row.position);
            for head in 0..shape.heads {
                let turning = &full[at * full_width + head * (nope + rope) + nope..][..rope];
                let place = &mut query[at * query_width + head * shape.key + rank..][..rope];
                place.copy_from_slice(turning);
                rotary.turn(place, row.position);
            }
            let (cache, index) = caches.place(*layer, row);
            cache.set(0, index, latent, &latent[..rank]);
        }
        caches.attend(shape, *layer, rows, scratch);
        let value = self.core.shape.value_dim;
        let width = shape.heads * value;
        let attended = sized(attended, count * width);
        for (head, absorbed) in self.absorbed.iter().enumerate() {
            let (from, to) = (&scratch.sums[head * rank..], &mut attended[head * value..]);
            absorbed.value.product(from, shape.heads * rank, to, width, count, false);
        }
        self.core.output.apply(attended, out, true);
    }
}
