//! Causal attention of one sequence, in blocks of queries: no matrix of time by time is kept.
//!
//! Its products are float32 in every precision; DeepSeek-V3 §3.3 keeps attention out of its low precision, too. Rounded to
//! bfloat16, some base models do not learn where to look (docs/LOG.md). They are also so small that splitting their operands
//! takes longer than tiles save.

use super::count_surplus;
use super::exponential::exp;
use super::matmul::{Packed, add_outer};
use super::multiply_add;
use super::precision::Precision;

/// Queries that are handled together.
const BLOCK: usize = 32;

/// Where the heads of a matrix lie: element `i` of head `h` in row `t` is `data[t · row + h · head + i]`.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// The numbers, from the first head of the first row on.
    pub data: &'a [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between heads.
    pub head: usize,
}

/// As [`Heads`], to be written.
pub struct HeadsMut<'a> {
    /// The numbers, from the first head of the first row on.
    pub data: &'a mut [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between heads.
    pub head: usize,
}

impl<'a> HeadsMut<'a> {
    /// The rows from `row` on of a matrix `[rows, heads · width]`.
    pub fn packed(data: &'a mut [f32], row: usize, heads: usize, width: usize) -> Self {
        Self { data: &mut data[row * heads * width..], row: heads * width, head: width }
    }
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub key_heads: usize,
    /// Width of a query and of a key.
    pub query_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
}

impl Shape {
    fn scale(&self) -> f32 {
        1.0 / (self.query_dim as f32).sqrt()
    }

    fn group(&self) -> usize {
        self.heads / self.key_heads
    }
}

/// Buffers that are used again from call to call.
#[derive(Default)]
pub struct Scratch {
    keys: Packed,
    values: Packed,
    keys_straight: Packed,
    values_transposed: Packed,
    gathered: Vec<f32>,
    weights: Vec<f32>,
    dweights: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
}

dispatch! {
    /// `softmax(scale · row)` of each row of `width` numbers, in place.
    pub fn softmax_rows(scores: &mut [f32], width: usize, scale: f32) {
        for row in scores.chunks_exact_mut(width) {
            softmax::<FUSED>(row, scale);
        }
    }
}

/// Copies one head of all rows into `out`, row behind row.
fn gather(from: Heads<'_>, head: usize, width: usize, time: usize, out: &mut Vec<f32>) {
    out.clear();
    for t in 0..time {
        let at = t * from.row + head * from.head;
        out.extend_from_slice(&from.data[at..at + width]);
    }
}

dispatch! {
    /// Turns scores into attention weights: row `i` sees the first `seen + i` of its numbers, the rest become 0.
    fn causal_softmax(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        for (i, row) in scores.chunks_exact_mut(width).enumerate() {
            let (row, hidden) = row.split_at_mut((seen + i).min(width));
            hidden.fill(0.0);
            softmax::<FUSED>(row, scale);
        }
    }
}

/// `softmax(scale · row)` in place. What is left over after whole chunks is filled up, since a scalar exponential costs
/// as much as sixteen.
#[inline(always)]
fn softmax<const FUSED: bool>(row: &mut [f32], scale: f32) {
    let (whole, rest) = row.as_chunks_mut::<16>();
    let mut last = [f32::NEG_INFINITY; 16];
    last[..rest.len()].copy_from_slice(rest);
    let mut lanes = last;
    for chunk in &*whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let top = lanes.iter().fold(f32::NEG_INFINITY, |top, lane| if *lane > top { *lane } else { top });
    let mut sums = [0.0f32; 16];
    for chunk in whole.iter_mut().chain(Some(&mut last)) {
        for lane in 0..16 {
            chunk[lane] = exp::<FUSED>((chunk[lane] - top) * scale);
            sums[lane] += chunk[lane];
        }
    }
    let total = 1.0 / sums.iter().sum::<f32>();
    for chunk in whole.iter_mut().chain(Some(&mut last)) {
        for value in chunk {
            *value *= total;
        }
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

dispatch! {
    /// Overwrites `dweights` with the gradient of the scores.
    fn softmax_backward(weights: &[f32], dweights: &mut [f32], width: usize, scale: f32) {
        for (weights, dweights) in weights.chunks_exact(width).zip(dweights.chunks_exact_mut(width)) {
            let mut lanes = [0.0f32; 16];
            for (weights, dweights) in weights.chunks(16).zip(dweights.chunks(16)) {
                for ((lane, weight), dweight) in lanes.iter_mut().zip(weights).zip(dweights) {
                    *lane = multiply_add::<FUSED>(*weight, *dweight, *lane);
                }
            }
            let along: f32 = lanes.iter().sum();
            for (weight, dweight) in weights.iter().zip(dweights) {
                *dweight = weight * (*dweight - along) * scale;
            }
        }
    }
}

impl Scratch {
    /// The attention weights of `rows` queries from `start` on, `[rows, start + rows]`, in `self.weights`.
    fn weigh(&mut self, shape: Shape, query: Heads<'_>, head: usize, start: usize, rows: usize) {
        let seen = start + rows;
        self.weights.resize(rows * seen, 0.0);
        let query_rows = &query.data[start * query.row + head * query.head..];
        self.keys.part(shape.query_dim, seen, query_rows, query.row, &mut self.weights, seen, rows, false);
        causal_softmax(&mut self.weights, seen, start + 1, shape.scale());
        count_surplus(2 * masked(rows) * shape.query_dim);
    }
}

/// Scores of a block of `rows` queries that look ahead: computed with the others, then hidden.
fn masked(rows: usize) -> usize {
    rows * (rows - 1) / 2
}

/// Attention of one sequence of `time` rows; `out` is overwritten.
pub fn forward(
    shape: Shape,
    time: usize,
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    out: HeadsMut<'_>,
    scratch: &mut Scratch,
) {
    for key_head in 0..shape.key_heads {
        gather(key, key_head, shape.query_dim, time, &mut scratch.gathered);
        scratch.keys.pack_transposed(Precision::Float32, &scratch.gathered, time, shape.query_dim);
        gather(value, key_head, shape.value_dim, time, &mut scratch.gathered);
        scratch.values.pack_straight(Precision::Float32, &scratch.gathered, time, shape.value_dim);
        for head in key_head * shape.group()..(key_head + 1) * shape.group() {
            for start in (0..time).step_by(BLOCK) {
                let rows = BLOCK.min(time - start);
                let seen = start + rows;
                scratch.weigh(shape, query, head, start, rows);
                let out_rows = &mut out.data[start * out.row + head * out.head..];
                scratch.values.part(
                    seen,
                    shape.value_dim,
                    &scratch.weights,
                    seen,
                    out_rows,
                    out.row,
                    rows,
                    false,
                );
                count_surplus(2 * masked(rows) * shape.value_dim);
            }
        }
    }
}

/// Overwrites the gradients of query, key and value of one sequence; the weights are computed again.
#[allow(clippy::too_many_arguments, reason = "three operands, their gradients and their shapes")]
pub fn backward(
    shape: Shape,
    time: usize,
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    dout: Heads<'_>,
    dquery: HeadsMut<'_>,
    dkey: HeadsMut<'_>,
    dvalue: HeadsMut<'_>,
    scratch: &mut Scratch,
) {
    let (query_dim, value_dim) = (shape.query_dim, shape.value_dim);
    for key_head in 0..shape.key_heads {
        gather(key, key_head, query_dim, time, &mut scratch.gathered);
        scratch.keys.pack_transposed(Precision::Float32, &scratch.gathered, time, query_dim);
        scratch.keys_straight.pack_straight(Precision::Float32, &scratch.gathered, time, query_dim);
        gather(value, key_head, value_dim, time, &mut scratch.gathered);
        scratch.values_transposed.pack_transposed(Precision::Float32, &scratch.gathered, time, value_dim);
        scratch.dkeys.clear();
        scratch.dkeys.resize(time * query_dim, 0.0);
        scratch.dvalues.clear();
        scratch.dvalues.resize(time * value_dim, 0.0);
        for head in key_head * shape.group()..(key_head + 1) * shape.group() {
            for start in (0..time).step_by(BLOCK) {
                let rows = BLOCK.min(time - start);
                let seen = start + rows;
                scratch.weigh(shape, query, head, start, rows);
                let dout_rows = &dout.data[start * dout.row + head * dout.head..];
                let outer = (rows, seen, value_dim);
                add_outer(
                    Precision::Float32,
                    &scratch.weights,
                    dout_rows,
                    dout.row,
                    &mut scratch.dvalues[..seen * value_dim],
                    outer,
                );
                scratch.dweights.resize(rows * seen, 0.0);
                scratch.values_transposed.part(
                    value_dim,
                    seen,
                    dout_rows,
                    dout.row,
                    &mut scratch.dweights,
                    seen,
                    rows,
                    false,
                );
                softmax_backward(&scratch.weights, &mut scratch.dweights, seen, shape.scale());
                let query_rows = &query.data[start * query.row + head * query.head..];
                let outer = (rows, seen, query_dim);
                add_outer(
                    Precision::Float32,
                    &scratch.dweights,
                    query_rows,
                    query.row,
                    &mut scratch.dkeys[..seen * query_dim],
                    outer,
                );
                let dquery_rows = &mut dquery.data[start * dquery.row + head * dquery.head..];
                scratch.keys_straight.part(
                    seen,
                    query_dim,
                    &scratch.dweights,
                    seen,
                    dquery_rows,
                    dquery.row,
                    rows,
                    false,
                );
                let again = (rows * seen - masked(rows)) * query_dim;
                count_surplus(2 * (again + masked(rows) * 2 * (query_dim + value_dim)));
            }
        }
        for t in 0..time {
            let at = t * dkey.row + key_head * dkey.head;
            dkey.data[at..at + query_dim].copy_from_slice(&scratch.dkeys[t * query_dim..(t + 1) * query_dim]);
            let at = t * dvalue.row + key_head * dvalue.head;
            dvalue.data[at..at + value_dim]
                .copy_from_slice(&scratch.dvalues[t * value_dim..(t + 1) * value_dim]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twin::{assert_near, gradient, random, single};
    use super::*;

    /// The twin: query, key and value, each `[time, heads, width]`, one behind the other.
    fn plain(x: &[f64], shape: Shape, time: usize) -> Vec<f64> {
        let Shape { heads, key_heads, query_dim, value_dim } = shape;
        let (query, rest) = x.split_at(time * heads * query_dim);
        let (key, value) = rest.split_at(time * key_heads * query_dim);
        let mut out = vec![0.0; time * heads * value_dim];
        for t in 0..time {
            for head in 0..heads {
                let key_head = head * key_heads / heads;
                let scores: Vec<f64> = (0..=t)
                    .map(|s| {
                        let product = |i| {
                            query[(t * heads + head) * query_dim + i]
                                * key[(s * key_heads + key_head) * query_dim + i]
                        };
                        (0..query_dim).map(product).sum::<f64>() / (query_dim as f64).sqrt()
                    })
                    .collect();
                let total: f64 = scores.iter().map(|score| score.exp()).sum();
                for (s, score) in scores.iter().enumerate() {
                    for i in 0..value_dim {
                        out[(t * heads + head) * value_dim + i] +=
                            score.exp() / total * value[(s * key_heads + key_head) * value_dim + i];
                    }
                }
            }
        }
        out
    }

    #[test]
    fn value_and_gradient_agree_with_the_twin() {
        for (heads, key_heads, query_dim, value_dim, time) in
            [(2, 2, 6, 3, 5), (4, 1, 4, 5, 33), (4, 2, 8, 8, 9)]
        {
            let shape = Shape { heads, key_heads, query_dim, value_dim };
            let widths = [heads * query_dim, key_heads * query_dim, key_heads * value_dim];
            let x = random(time * widths.iter().sum::<usize>(), time as u64);
            let dy = random(time * heads * value_dim, 97);
            let numbers = single(&x);
            let (query, rest) = numbers.split_at(time * widths[0]);
            let (key, value) = rest.split_at(time * widths[1]);
            let packed = |data, head: usize, row: usize| Heads { data, row, head };
            let query = packed(query, query_dim, widths[0]);
            let key = packed(key, query_dim, widths[1]);
            let value = packed(value, value_dim, widths[2]);
            let mut scratch = Scratch::default();
            let mut out = vec![0.0; time * heads * value_dim];
            let place = HeadsMut::packed(&mut out, 0, heads, value_dim);
            forward(shape, time, query, key, value, place, &mut scratch);
            assert_near(&out, &plain(&x, shape, time), 2e-6, "value");
            let dout = single(&dy);
            let dout = packed(&dout, value_dim, heads * value_dim);
            let (mut dquery, mut dkey, mut dvalue) =
                (vec![0.0; time * widths[0]], vec![0.0; time * widths[1]], vec![0.0; time * widths[2]]);
            backward(
                shape,
                time,
                query,
                key,
                value,
                dout,
                HeadsMut::packed(&mut dquery, 0, heads, query_dim),
                HeadsMut::packed(&mut dkey, 0, key_heads, query_dim),
                HeadsMut::packed(&mut dvalue, 0, key_heads, value_dim),
                &mut scratch,
            );
            let exact = gradient(&x, &dy, |x| plain(x, shape, time));
            assert_near(&[dquery, dkey, dvalue].concat(), &exact, 1e-5, "gradient");
        }
    }
}
