//! Causal attention of one sequence, in blocks of queries. No matrix of `time` × `time` is stored.
//!
//! Its products are float32 in every precision, as in DeepSeek-V3 §3.3. With bfloat16 some base models do not learn where to
//! attend (docs/log/2026-11.md). The products are also so small that splitting their operands takes longer than tiles save.

use super::exponential::exp;
use super::matmul::{Packed, add_outer};
use super::precision::Precision;
use super::{count_surplus, keep_lanes, multiply_add};

/// Number of queries in a block.
const BLOCK: usize = 32;

/// A view of the heads of a matrix: element `i` of head `h` in row `t` is `data[t · row + h · head + i]`.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// Starts with the first head of the first row.
    pub data: &'a [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between heads.
    pub head: usize,
}

/// As [`Heads`], for writing.
pub struct HeadsMut<'a> {
    /// Starts with the first head of the first row.
    pub data: &'a mut [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between heads.
    pub head: usize,
}

impl<'a> Heads<'a> {
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
    /// Key and value heads; divides `heads`.
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

/// Buffers that every call reuses.
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

/// Numbers per chunk; rows of scores are padded to whole chunks.
const LANES: usize = 16;

/// Rows that a softmax handles together, so that their operations overlap.
const ROWS: usize = 8;

dispatch! {
    /// `softmax(scale · row)` of the first `seen` numbers of each row, in place; the numbers after them may change.
    ///
    /// A row has `width` numbers, a multiple of the padding.
    pub fn softmax_rows(scores: &mut [f32], width: usize, seen: usize, scale: f32) {
        assert!(width.is_multiple_of(LANES) && seen <= width);
        let (chunks, _) = scores.as_chunks_mut();
        for rows in chunks.chunks_mut(ROWS * width / LANES) {
            softmax::<FUSED>(rows, width / LANES, |_| seen, scale);
        }
    }
}

dispatch! {
    /// Turns scores into attention weights: row `i` sees its first `seen + i` numbers, the others become 0.
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

/// From index `LANES - n` on: the masks of a chunk of which the first `n` numbers are seen.
static SEEN: [u32; 2 * LANES] = {
    let mut masks = [0; 2 * LANES];
    let mut lane = 0;
    while lane < LANES {
        masks[lane] = u32::MAX;
        lane += 1;
    }
    masks
};

/// `softmax(scale · row)` of the seen numbers of at most [`ROWS`] rows, in place. The other numbers of the last seen chunk become 0.
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
        // A copy shows the compiler that nothing overlaps.
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
    /// Overwrites `dweights` with the gradient of the scores, and its padding from `seen` on with zeros.
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
    /// Fills `self.weights` for `rows` queries from `start` on: `[rows, start + rows]`, padded with zeros.
    fn weigh(&mut self, shape: AttentionShape, query: Heads<'_>, head: usize, start: usize, rows: usize) {
        let (seen, width) = (start + rows, padded(start + rows));
        self.weights.resize(rows * width, 0.0);
        let query_rows = &query.data[start * query.row + head * query.head..];
        self.keys.part(shape.query_dim, seen, query_rows, query.row, &mut self.weights, width, rows, false);
        causal_softmax(&mut self.weights, width, start + 1, shape.scale());
        count_surplus(2 * masked(rows) * shape.query_dim);
    }
}

/// The length of a row of `seen` scores with its padding.
pub fn padded(seen: usize) -> usize {
    seen.next_multiple_of(LANES)
}

/// The number of masked scores in a block of `rows` queries: they are computed with the others.
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
                let (y, y_stride) = (&mut out.data[start * out.row + head * out.head..], out.row);
                let Scratch { values, weights, .. } = &mut *scratch;
                values.part(seen, shape.value_dim, weights, padded(seen), y, y_stride, rows, false);
                count_surplus(2 * masked(rows) * shape.value_dim);
            }
        }
    }
}

/// Overwrites the gradients of query, key and value of one sequence. Computes the attention weights again.
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
                let Scratch { keys_straight, values_transposed, weights, dweights, dkeys, dvalues, .. } =
                    &mut *scratch;
                let (dy, dy_stride) = (&dout.data[start * dout.row + head * dout.head..], dout.row);
                let dvalues = &mut dvalues[..width * value_dim];
                add_outer(Precision::Float32, weights, dy, dy_stride, dvalues, (rows, width, value_dim));
                dweights.resize(rows * width, 0.0);
                values_transposed.part(value_dim, seen, dy, dy_stride, dweights, width, rows, false);
                softmax_backward(weights, dweights, width, seen, shape.scale());
                let (x, x_stride) = (&query.data[start * query.row + head * query.head..], query.row);
                let dkeys = &mut dkeys[..width * query_dim];
                add_outer(Precision::Float32, dweights, x, x_stride, dkeys, (rows, width, query_dim));
                let dx = &mut dquery.data[start * dquery.row + head * dquery.head..];
                keys_straight.part(seen, query_dim, dweights, width, dx, dquery.row, rows, false);
                let again = (rows * seen - masked(rows)) * query_dim;
                // All four products include masked scores; the two sums over rows include padding, too.
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

    /// The twin: query, key and value, each `[time, heads, width]`, one after the other.
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
            // The old content of the buffers must not matter.
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
            let dq = HeadsMut::packed(&mut dquery, 0, heads, query_dim);
            let dk = HeadsMut::packed(&mut dkey, 0, key_heads, query_dim);
            let dv = HeadsMut::packed(&mut dvalue, 0, key_heads, value_dim);
            backward(shape, time, query, key, value, dout, dq, dk, dv, &mut scratch);
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
