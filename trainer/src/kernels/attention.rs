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

impl<'a> Heads<'a> {
    /// From the first row of a head on.
    fn of(&self, head: usize) -> &'a [f32] {
        &self.data[head * self.head..]
    }
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
    weights: Vec<f32>,
    dweights: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
}

dispatch! {
    /// `softmax(scale · row)` of the first `seen` numbers of each row of `width`, in place; the others may change.
    pub fn softmax_rows(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        for row in scores.chunks_exact_mut(width) {
            softmax::<FUSED>(row, seen, scale);
        }
    }
}

dispatch! {
    /// Turns scores into attention weights: row `i` sees the first `seen + i` of its numbers, the rest become 0.
    fn causal_softmax(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        for (i, row) in scores.chunks_exact_mut(width).enumerate() {
            let seen = (seen + i).min(width);
            softmax::<FUSED>(row, seen, scale);
            row[seen.next_multiple_of(LANES).min(width)..].fill(0.0);
        }
    }
}

/// Numbers that are handled together.
const LANES: usize = 16;

/// From `LANES - n` on: masks of a chunk whose first `n` numbers are seen.
static SEEN: [u32; 2 * LANES] = {
    let mut masks = [0; 2 * LANES];
    let mut lane = 0;
    while lane < LANES {
        masks[lane] = u32::MAX;
        lane += 1;
    }
    masks
};

/// `softmax(scale · row)` of the first `seen` numbers, in place; of the others, those in the last chunk become 0.
#[inline(always)]
fn softmax<const FUSED: bool>(row: &mut [f32], seen: usize, scale: f32) {
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    let (whole, over) = (seen / LANES, seen % LANES);
    // What is left over is filled up, since a scalar exponential costs as much as a chunk of them.
    let mut last = [f32::NEG_INFINITY; LANES];
    if let Some(chunk) = chunks.get(whole) {
        let is_seen = &SEEN[LANES - over..][..LANES];
        for lane in 0..LANES {
            let bits = (chunk[lane].to_bits() & is_seen[lane]) | (last[lane].to_bits() & !is_seen[lane]);
            last[lane] = f32::from_bits(bits);
        }
    } else {
        last[..over].copy_from_slice(&rest[..over]);
    }
    let mut lanes = last;
    for chunk in &chunks[..whole] {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    let top = greatest(lanes);
    let mut sums = [0.0f32; LANES];
    for chunk in &mut chunks[..whole] {
        weigh::<FUSED>(chunk, top, scale, &mut sums);
    }
    if over > 0 {
        weigh::<FUSED>(&mut last, top, scale, &mut sums);
    }
    let total = 1.0 / sums.iter().sum::<f32>();
    for chunk in &mut chunks[..whole] {
        chunk.iter_mut().for_each(|weight| *weight *= total);
    }
    if over > 0 {
        last.iter_mut().for_each(|weight| *weight *= total);
        match chunks.get_mut(whole) {
            Some(chunk) => *chunk = last,
            None => rest[..over].copy_from_slice(&last[..over]),
        }
    }
}

/// Scores to weights that are not yet divided by their sum.
#[inline(always)]
fn weigh<const FUSED: bool>(chunk: &mut [f32; LANES], top: f32, scale: f32, sums: &mut [f32; LANES]) {
    // Copies, that the compiler sees that nothing overlaps.
    let (mut weights, mut added) = (*chunk, *sums);
    for lane in 0..LANES {
        weights[lane] = exp::<FUSED>((weights[lane] - top) * scale);
        added[lane] += weights[lane];
    }
    (*chunk, *sums) = (weights, added);
}

/// The greatest of some numbers.
#[inline(always)]
fn greatest(mut numbers: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = numbers[lane + half];
            numbers[lane] = if other > numbers[lane] { other } else { numbers[lane] };
        }
        half /= 2;
    }
    numbers[0]
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
        let (keys, values) = (key.of(key_head), value.of(key_head));
        scratch.keys.pack_transposed(Precision::Float32, keys, key.row, time, shape.query_dim);
        scratch.values.pack_straight(Precision::Float32, values, value.row, time, shape.value_dim);
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
        let (keys, values) = (key.of(key_head), value.of(key_head));
        scratch.keys.pack_transposed(Precision::Float32, keys, key.row, time, query_dim);
        scratch.keys_straight.pack_straight(Precision::Float32, keys, key.row, time, query_dim);
        scratch.values_transposed.pack_transposed(Precision::Float32, values, value.row, time, value_dim);
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
