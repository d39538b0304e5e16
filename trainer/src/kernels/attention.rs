//! Causal attention of one sequence, in blocks of queries: no matrix of time by time is kept.
//!
//! Its products are float32 in every precision; DeepSeek-V3 §3.3 keeps attention out of its low precision, too. Rounded to
//! bfloat16, some base models do not learn where to look (docs/log/2026-11.md). They are also so small that splitting their operands
//! takes longer than tiles save.

use super::exponential::exp;
use super::matmul::{Packed, add_outer};
use super::precision::Precision;
use super::{count_surplus, keep_lanes, multiply_add};

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
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub key_heads: usize,
    /// Width of a query and of a key.
    pub query_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
}

impl AttentionShape {
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

/// Numbers that are handled together; rows of scores are padded to whole chunks of them.
const LANES: usize = 16;

/// Rows whose chains of operations overlap.
const ROWS: usize = 8;

dispatch! {
    /// `softmax(scale · row)` of the first `seen` numbers of each row, in place; those behind them may change.
    ///
    /// Rows have `width` numbers, a width that [`padded`] gives.
    pub fn softmax_rows(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        assert!(width.is_multiple_of(LANES) && seen <= width);
        let (chunks, _) = scores.as_chunks_mut();
        for rows in chunks.chunks_mut(ROWS * width / LANES) {
            softmax::<FUSED>(rows, width / LANES, |_| seen, scale);
        }
    }
}

dispatch! {
    /// Turns scores into attention weights: row `i` sees the first `seen + i` of its numbers, the rest become 0.
    fn causal_softmax(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        assert!(width.is_multiple_of(LANES));
        let (chunks, _) = scores.as_chunks_mut();
        for (block, rows) in chunks.chunks_mut(ROWS * width / LANES).enumerate() {
            let seen = |row| seen + ROWS * block + row;
            softmax::<FUSED>(rows, width / LANES, seen, scale);
            for (row, chunks) in rows.chunks_exact_mut(width / LANES).enumerate() {
                chunks[seen(row).div_ceil(LANES)..].fill([0.0; LANES]);
            }
        }
    }
}

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

/// `softmax(scale · row)` of the first numbers of at most [`ROWS`] rows, in place; of the others, those in the last chunk
/// that is seen become 0.
#[inline(always)]
fn softmax<const FUSED: bool>(
    rows: &mut [[f32; LANES]],
    chunks_per_row: usize,
    seen: impl Fn(usize) -> usize,
    scale: f32,
) {
    let (mut tops, mut sums) = ([0.0f32; ROWS], [[0.0f32; LANES]; ROWS]);
    for (row, (chunks, top)) in rows.chunks_exact_mut(chunks_per_row).zip(&mut tops).enumerate() {
        let over = seen(row) % LANES;
        let chunks = &mut chunks[..seen(row).div_ceil(LANES)];
        if let (1.., Some(last)) = (over, chunks.last_mut()) {
            let is_seen = &SEEN[LANES - over..][..LANES];
            for (number, is_seen) in last.iter_mut().zip(is_seen) {
                let hidden = f32::NEG_INFINITY.to_bits() & !is_seen;
                *number = f32::from_bits((number.to_bits() & is_seen) | hidden);
            }
        }
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in chunks {
            keep_lanes();
            for lane in 0..LANES {
                lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
            }
        }
        *top = greatest(lanes);
    }
    for (row, ((chunks, top), sums)) in
        rows.chunks_exact_mut(chunks_per_row).zip(tops).zip(&mut sums).enumerate()
    {
        // Copies, so that the compiler sees that nothing overlaps.
        let mut added = *sums;
        for chunk in &mut chunks[..seen(row).div_ceil(LANES)] {
            keep_lanes();
            let mut weights = *chunk;
            for lane in 0..LANES {
                weights[lane] = exp::<FUSED>((weights[lane] - top) * scale);
                added[lane] += weights[lane];
            }
            *chunk = weights;
        }
        *sums = added;
    }
    for (row, (chunks, sums)) in rows.chunks_exact_mut(chunks_per_row).zip(sums).enumerate() {
        let total = 1.0 / sums.iter().sum::<f32>();
        for chunk in &mut chunks[..seen(row).div_ceil(LANES)] {
            keep_lanes();
            chunk.iter_mut().for_each(|weight| *weight *= total);
        }
    }
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
    /// Overwrites `dweights` with the gradient of the scores, its padding from `seen` on with zeros.
    fn softmax_backward(weights: &[f32], dweights: &mut [f32], width: usize, seen: usize, scale: f32) {
        for (weights, dweights) in weights.chunks_exact(width).zip(dweights.chunks_exact_mut(width)) {
            dweights[seen..].fill(0.0);
            let ((weights, _), (dweights, _)) = (weights.as_chunks::<LANES>(), dweights.as_chunks_mut::<LANES>());
            let mut lanes = [0.0f32; LANES];
            for (weights, dweights) in weights.iter().zip(&*dweights) {
                keep_lanes();
                for lane in 0..LANES {
                    lanes[lane] = multiply_add::<FUSED>(weights[lane], dweights[lane], lanes[lane]);
                }
            }
            let along: f32 = lanes.iter().sum();
            for (weights, dweights) in weights.iter().zip(dweights) {
                keep_lanes();
                for lane in 0..LANES {
                    dweights[lane] = weights[lane] * (dweights[lane] - along) * scale;
                }
            }
        }
    }
}

impl Scratch {
    /// The attention weights of `rows` queries from `start` on, in `self.weights`: `[rows, start + rows]`, padded with zeros.
    fn weigh(&mut self, shape: AttentionShape, query: Heads<'_>, head: usize, start: usize, rows: usize) {
        let (seen, width) = (start + rows, padded(start + rows));
        self.weights.resize(rows * width, 0.0);
        let query_rows = &query.data[start * query.row + head * query.head..];
        self.keys.part(shape.query_dim, seen, query_rows, query.row, &mut self.weights, width, rows, false);
        causal_softmax(&mut self.weights, width, start + 1, shape.scale());
        count_surplus(2 * masked(rows) * shape.query_dim);
    }
}

/// Numbers of a row of scores with its padding.
pub fn padded(seen: usize) -> usize {
    seen.next_multiple_of(LANES)
}

/// Scores of a block of `rows` queries that look ahead: computed with the others, then hidden.
fn masked(rows: usize) -> usize {
    rows * (rows - 1) / 2
}

/// Attention of one sequence of `time` rows; `out` is overwritten.
pub fn forward(
    shape: AttentionShape,
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
                    padded(seen),
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
    shape: AttentionShape,
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
        scratch.dkeys.resize(padded(time) * query_dim, 0.0);
        scratch.dvalues.clear();
        scratch.dvalues.resize(padded(time) * value_dim, 0.0);
        for head in key_head * shape.group()..(key_head + 1) * shape.group() {
            for start in (0..time).step_by(BLOCK) {
                let rows = BLOCK.min(time - start);
                let (seen, width) = (start + rows, padded(start + rows));
                scratch.weigh(shape, query, head, start, rows);
                let dout_rows = &dout.data[start * dout.row + head * dout.head..];
                add_outer(
                    Precision::Float32,
                    &scratch.weights,
                    dout_rows,
                    dout.row,
                    &mut scratch.dvalues[..width * value_dim],
                    (rows, width, value_dim),
                );
                scratch.dweights.resize(rows * width, 0.0);
                scratch.values_transposed.part(
                    value_dim,
                    seen,
                    dout_rows,
                    dout.row,
                    &mut scratch.dweights,
                    width,
                    rows,
                    false,
                );
                softmax_backward(&scratch.weights, &mut scratch.dweights, width, seen, shape.scale());
                let query_rows = &query.data[start * query.row + head * query.head..];
                add_outer(
                    Precision::Float32,
                    &scratch.dweights,
                    query_rows,
                    query.row,
                    &mut scratch.dkeys[..width * query_dim],
                    (rows, width, query_dim),
                );
                let dquery_rows = &mut dquery.data[start * dquery.row + head * dquery.head..];
                scratch.keys_straight.part(
                    seen,
                    query_dim,
                    &scratch.dweights,
                    width,
                    dquery_rows,
                    dquery.row,
                    rows,
                    false,
                );
                let again = (rows * seen - masked(rows)) * query_dim;
                // Of the two pairs of products with weights and scores both have masked ones, the sums over rows padding too.
                let idle = masked(rows) * 2 + rows * (width - seen);
                count_surplus(2 * (again + idle * (query_dim + value_dim)));
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
    fn plain(x: &[f64], shape: AttentionShape, time: usize) -> Vec<f64> {
        let AttentionShape { heads, key_heads, query_dim, value_dim } = shape;
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
            [(2, 2, 6, 3, 5), (4, 1, 4, 5, 33), (4, 2, 8, 8, 9), (4, 2, 4, 3, 50), (2, 1, 4, 3, 1)]
        {
            let shape = AttentionShape { heads, key_heads, query_dim, value_dim };
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
            // What lies in the buffers from before must not matter.
            let mut scratch = Scratch::default();
            let spoil = |scratch: &mut Scratch| {
                for buffer in [&mut scratch.weights, &mut scratch.dweights] {
                    buffer.clear();
                    buffer.resize(1 << 12, f32::NAN);
                }
            };
            spoil(&mut scratch);
            let mut out = vec![0.0; time * heads * value_dim];
            let place = HeadsMut::packed(&mut out, 0, heads, value_dim);
            forward(shape, time, query, key, value, place, &mut scratch);
            assert_near(&out, &plain(&x, shape, time), 2e-6, "value");
            spoil(&mut scratch);
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

    #[test]
    fn rows_of_any_length_agree_with_float64() {
        let (rows, width, scale) = (19, padded(48), 0.3);
        for seen in [1, 15, 16, 17, 32, 47, 48] {
            let exact = random(rows * width, seen as u64);
            let mut scores = single(&exact);
            scores.chunks_mut(width).for_each(|row| row[seen..].fill(f32::NAN));
            softmax_rows(&mut scores, width, seen, scale);
            for (row, exact) in scores.chunks(width).zip(exact.chunks(width)) {
                let weights: Vec<f64> =
                    exact[..seen].iter().map(|score| (score * f64::from(scale)).exp()).collect();
                let total: f64 = weights.iter().sum();
                let exact: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
                assert_near(&row[..seen], &exact, 1e-6, "weights");
                assert!(row[seen..padded(seen)].iter().all(|weight| *weight == 0.0), "{seen}");
            }
        }
    }
}
