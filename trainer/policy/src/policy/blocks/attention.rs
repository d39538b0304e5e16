//! The part that all attentions share: within sequences in training, and over the cache in decoding.

use super::{Builder, Linear, Scratch, Training, sized};
use crate::kernels::attention::{self, AttentionShape, Heads, HeadsMut};
use crate::kernels::matmul::Packed;
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::rotary::Rotary;

/// Scaled dot-product attention with its output projection.
pub(super) struct DotProduct {
    pub(super) shape: AttentionShape,
    /// `[hidden, heads · value]`.
    pub(super) output: Linear,
}

impl DotProduct {
    pub(super) fn new(shape: AttentionShape, hidden: usize, prefix: &str, builder: &mut Builder) -> Self {
        let output = Linear::new(builder, &format!("{prefix}.o_proj"), hidden, shape.heads * shape.value_dim);
        Self { shape, output }
    }

    /// Adds to `out`. `operands` gives query, key and value from a row on.
    pub(super) fn forward<'t>(
        &self,
        operands: impl Fn(usize) -> [Heads<'t>; 3],
        attended: &mut Vec<f32>,
        out: &mut [f32],
        batch: &mut Training<'_>,
    ) {
        let AttentionShape { heads, value_dim, .. } = self.shape;
        let attended = sized(attended, batch.positions.len() * heads * value_dim);
        for span in batch.spans {
            let [query, key, value] = operands(span.start);
            let out = HeadsMut::packed(attended, span.start, heads, value_dim);
            let _scope = profile::enter(Part::Attention);
            attention::forward(self.shape, span.len(), query, key, value, out, &mut batch.scratch.attention);
        }
        self.output.apply(attended, out, true);
    }

    /// Writes the gradients of query, key and value to the scratch, each `[rows, heads · width]`.
    pub(super) fn backward<'t>(
        &self,
        operands: impl Fn(usize) -> [Heads<'t>; 3],
        attended: &[f32],
        dout: &[f32],
        batch: &mut Training<'_>,
        weights: &mut [f32],
    ) {
        let AttentionShape { heads, key_heads, query_dim, value_dim } = self.shape;
        let (rows, width) = (batch.positions.len(), heads * value_dim);
        let Scratch { attention, inner, dquery, dkey, dvalue, .. } = &mut *batch.scratch;
        let dattended = sized(inner, rows * width);
        self.output.backward(dout, attended, dattended, false, weights);
        let dquery = sized(dquery, rows * heads * query_dim);
        let dkey = sized(dkey, rows * key_heads * query_dim);
        let dvalue = sized(dvalue, rows * key_heads * value_dim);
        for span in batch.spans {
            let [query, key, value] = operands(span.start);
            let _scope = profile::enter(Part::Attention);
            let dout = self::heads(dattended, span.start, width, 0, value_dim);
            let dquery = HeadsMut::packed(dquery, span.start, heads, query_dim);
            let dkey = HeadsMut::packed(dkey, span.start, key_heads, query_dim);
            let dvalue = HeadsMut::packed(dvalue, span.start, key_heads, value_dim);
            let (shape, time) = (self.shape, span.len());
            attention::backward(shape, time, query, key, value, dout, dquery, dkey, dvalue, attention);
        }
    }
}

/// The heads from `row` on of a matrix with rows of `width`. They start at `offset` in a row, `head` numbers apart.
pub(super) fn heads(data: &[f32], row: usize, width: usize, offset: usize, head: usize) -> Heads<'_> {
    Heads { data: &data[row * width + offset..], row: width, head }
}

/// A token to decode.
#[derive(Clone, Copy, Debug)]
pub struct DecodeRow {
    /// The token.
    pub token: u32,
    /// Its position in the sequence, from 0.
    pub position: usize,
    /// Its group.
    pub group: usize,
    /// Its sample; `None` for a token of the prompt.
    pub sample: Option<usize>,
}

/// The rows of a decoder in one layer.
pub(crate) struct Decoding<'a> {
    pub(crate) rows: &'a [DecodeRow],
    pub(crate) layer: usize,
    pub(crate) rotary: &'a Rotary,
    pub(crate) caches: &'a mut Caches,
    pub(crate) scratch: &'a mut Scratch,
}

/// Keys and values of a prompt or of a sample in one layer: a pair of matrices for each key head.
pub(crate) struct Cache {
    /// `[key, capacity]`.
    keys: Vec<Packed>,
    /// `[capacity, value]`.
    values: Vec<Packed>,
}

impl Cache {
    /// Stores key and value of one head of a token.
    pub(super) fn set(&mut self, head: usize, index: usize, key: &[f32], value: &[f32]) {
        self.keys[head].set_column(index, key);
        self.values[head].set_row(index, value);
    }
}

/// The sizes of the attention to the cache.
#[derive(Clone, Copy)]
pub(crate) struct CacheShape {
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    pub(crate) key: usize,
    pub(crate) value: usize,
    pub(super) scale: f32,
}

impl CacheShape {
    /// An empty cache for `capacity` tokens.
    pub(crate) fn cache(&self, precision: Precision, capacity: usize) -> Cache {
        let all = |k: usize, n: usize| (0..self.key_heads).map(|_| Packed::zeros(precision, k, n)).collect();
        Cache { keys: all(self.key, capacity), values: all(capacity, self.value) }
    }
}

/// The cache of a prompt, which the samples of its group share.
pub(crate) struct Prompt {
    pub(crate) length: usize,
    pub(crate) layers: Vec<Cache>,
}

/// The caches of all prompts and samples.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) prompts: Vec<Prompt>,
    /// `[samples][layers]`.
    pub(crate) samples: Vec<Vec<Cache>>,
}

impl Caches {
    /// The cache of a row, and the index of the row in it.
    pub(super) fn place(&mut self, layer: usize, row: &DecodeRow) -> (&mut Cache, usize) {
        let prompt = &mut self.prompts[row.group];
        match row.sample {
            Some(sample) => (&mut self.samples[sample][layer], row.position - prompt.length),
            None => (&mut prompt.layers[layer], row.position),
        }
    }

    /// Attends with the scratch's queries, and writes the weighted sums of values to its `sums`. All rows of a group attend to
    /// their prompt together.
    pub(super) fn attend(&self, shape: CacheShape, layer: usize, rows: &[DecodeRow], scratch: &mut Scratch) {
        let CacheShape { heads, key_heads, key, value, scale } = shape;
        let sharing = heads / key_heads;
        let longest = attention::padded(rows.iter().map(|row| row.position + 1).max().unwrap_or(0));
        scratch.scores.resize(rows.len() * heads * longest, 0.0);
        scratch.sums.resize(rows.len() * heads * value, 0.0);
        let mut start = 0;
        for rows in rows.chunk_by(|a, b| a.group == b.group && a.sample.is_some() == b.sample.is_some()) {
            let _scope = profile::enter(Part::Attention);
            let Prompt { length: prompt_length, layers } = &self.prompts[rows[0].group];
            let (prompt_length, prompt) = (*prompt_length, &layers[layer]);
            let query = &scratch.query[start * heads * key..];
            let scores = &mut scratch.scores[start * heads * longest..];
            let sums = &mut scratch.sums[start * heads * value..];
            start += rows.len();
            let is_prompt = rows[0].sample.is_none();
            if !is_prompt && key_heads == 1 {
                let (x, keys) = (query, &prompt.keys[0]);
                keys.part(key, prompt_length, x, key, scores, longest, heads * rows.len(), false);
            } else if !is_prompt {
                for head in 0..heads {
                    let (x, y) = (&query[head * key..], &mut scores[head * longest..]);
                    let keys = &prompt.keys[head / sharing];
                    keys.part(key, prompt_length, x, heads * key, y, heads * longest, rows.len(), false);
                }
            }
            for (at, row) in rows.iter().enumerate() {
                let (own, offset) = match row.sample {
                    Some(sample) => (&self.samples[sample][layer], prompt_length),
                    None => (prompt, 0),
                };
                let length = row.position + 1;
                let next = rows.get(at + 1).and_then(|next| Some(&self.samples[next.sample?][layer]));
                for key_head in 0..key_heads {
                    if let Some(next) = next {
                        next.keys[key_head].prefetch(key, length - offset);
                        next.values[key_head].prefetch(length - offset, value);
                    }
                    let first = at * heads + key_head * sharing;
                    let (x, y) = (&query[first * key..], &mut scores[first * longest + offset..]);
                    own.keys[key_head].part(key, length - offset, x, key, y, longest, sharing, false);
                }
                let of_row = at * heads * longest..(at + 1) * heads * longest;
                attention::softmax_rows(&mut scores[of_row], longest, length, scale);
                for key_head in 0..key_heads {
                    let first = at * heads + key_head * sharing;
                    let (x, y) = (&scores[first * longest + offset..], &mut sums[first * value..]);
                    own.values[key_head].part(length - offset, value, x, longest, y, value, sharing, false);
                }
            }
            if !is_prompt && key_heads == 1 {
                let values = &prompt.values[0];
                values.part(prompt_length, value, scores, longest, sums, value, heads * rows.len(), true);
            } else if !is_prompt {
                for head in 0..heads {
                    let (x, y) = (&scores[head * longest..], &mut sums[head * value..]);
                    let values = &prompt.values[head / sharing];
                    values.part(prompt_length, value, x, heads * longest, y, heads * value, rows.len(), true);
                }
            }
        }
    }
}
