//! Grouped-query attention: several query heads share one key and value head.

use super::attention::{CacheShape, Decoding, DotProduct, heads};
use super::{Builder, Gradients, Linear, Scratch, Training, sized};
use crate::kernels::attention::{AttentionShape, Heads};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::rotary::Rotary;
use crate::policy::{Config, Parameters};

pub(crate) struct Gqa {
    /// `[(heads + 2 · key heads) · dim, hidden]`: query, key and value, one after the other.
    query_key_value: Linear,
    core: DotProduct,
    pub(super) cached: CacheShape,
}

/// The activations that the backward needs.
#[derive(Default)]
pub(super) struct Tape {
    joint: Vec<f32>,
    /// `[rows, heads · value]`.
    attended: Vec<f32>,
}

impl Gqa {
    pub(super) fn new(config: &Config, prefix: &str, builder: &mut Builder) -> Self {
        let (hidden, dim) = (config.hidden_size, config.head_dim);
        let (heads, key_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let query = builder.matrix(&format!("{prefix}.q_proj"), heads * dim, hidden);
        builder.matrix(&format!("{prefix}.k_proj"), key_heads * dim, hidden);
        let value = builder.matrix(&format!("{prefix}.v_proj"), key_heads * dim, hidden);
        let shape = AttentionShape { heads, key_heads, query_dim: dim, value_dim: dim };
        Self {
            query_key_value: Linear::at(query.start..value.end, (heads + 2 * key_heads) * dim, hidden),
            core: DotProduct::new(shape, hidden, prefix, builder),
            cached: CacheShape { heads, key_heads, key: dim, value: dim, scale: 1.0 / (dim as f32).sqrt() },
        }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        self.query_key_value.pack(precision, parameters);
        self.core.output.pack(precision, parameters);
    }

    /// Computes query, key and value of each row and rotates them by its position.
    fn project(&self, x: &[f32], positions: impl Iterator<Item = usize>, rotary: &Rotary, tape: &mut Tape) {
        let AttentionShape { heads, key_heads, query_dim, .. } = self.core.shape;
        let Linear { out, input, .. } = self.query_key_value;
        let rows = x.len() / input;
        let joint = sized(&mut tape.joint, rows * out);
        self.query_key_value.apply(x, joint, false);
        for (row, position) in joint.chunks_exact_mut(out).zip(positions) {
            for head in row.chunks_exact_mut(query_dim).take(heads + key_heads) {
                rotary.turn(head, position);
            }
        }
    }

    fn operands<'t>(&self, joint: &'t [f32], row: usize) -> [Heads<'t>; 3] {
        let AttentionShape { heads: all, key_heads, query_dim: dim, .. } = self.core.shape;
        [0, all, all + key_heads].map(|first| heads(joint, row, self.query_key_value.out, first * dim, dim))
    }

    pub(super) fn forward(&self, x: &[f32], out: &mut [f32], batch: &mut Training<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        self.project(x, batch.positions.iter().map(|position| *position as usize), batch.rotary, tape);
        let operands = |row| self.operands(&tape.joint, row);
        self.core.forward(operands, &mut tape.attended, out, batch);
    }

    pub(super) fn backward(&self, gradients: Gradients<'_>, batch: &mut Training<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let Gradients { x, dout, dx, weights } = gradients;
        let operands = |row| self.operands(&tape.joint, row);
        self.core.backward(operands, &tape.attended, dout, batch, weights);
        let Scratch { dquery, dkey, dvalue, .. } = &mut *batch.scratch;
        let AttentionShape { heads, key_heads, query_dim, .. } = self.core.shape;
        let (query_width, key_width) = (heads * query_dim, key_heads * query_dim);
        let joint = &mut tape.joint;
        for (row, joint) in joint.chunks_exact_mut(self.query_key_value.out).enumerate() {
            let (query, rest) = joint.split_at_mut(query_width);
            let (key, value) = rest.split_at_mut(key_width);
            query.copy_from_slice(&dquery[row * query_width..(row + 1) * query_width]);
            key.copy_from_slice(&dkey[row * key_width..(row + 1) * key_width]);
            value.copy_from_slice(&dvalue[row * key_width..(row + 1) * key_width]);
            for head in joint.chunks_exact_mut(query_dim).take(heads + key_heads) {
                batch.rotary.turn_back(head, batch.positions[row] as usize);
            }
        }
        self.query_key_value.backward(joint, x, dx, false, weights);
    }

    pub(super) fn decode(&self, x: &[f32], out: &mut [f32], step: &mut Decoding<'_>, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let Decoding { rows, layer, rotary, caches, scratch, .. } = step;
        self.project(x, rows.iter().map(|row| row.position), rotary, tape);
        let shape = self.cached;
        let (dim, width) = (shape.key, shape.heads * shape.key);
        let query = sized(&mut scratch.query, rows.len() * width);
        let joint = tape.joint.chunks_exact(self.query_key_value.out);
        for ((row, joint), query) in rows.iter().zip(joint).zip(query.chunks_exact_mut(width)) {
            let (of_query, rest) = joint.split_at(width);
            query.copy_from_slice(of_query);
            let (keys, values) = rest.split_at(shape.key_heads * dim);
            let (cache, index) = caches.place(*layer, row);
            for (head, (key, value)) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)).enumerate() {
                cache.set(head, index, key, value);
            }
        }
        caches.attend(shape, *layer, rows, scratch);
        self.core.output.apply(&scratch.sums, out, true);
    }
}
