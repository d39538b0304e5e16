//! Products in float32, by register tiles of a few rows and one panel.

use std::cell::RefCell;

use super::super::{keep_lanes, multiply_add};
use super::{Line, PANEL};

/// Rows of a register tile: 8 × 2 accumulators; with 12 rows the compiler spills them.
pub(super) const TILE: usize = 8;

/// The same with sixteen registers of half the width: 3 × 4 accumulators. With fewer rows, reading the panel limits the speed.
const NARROW_TILE: usize = 3;
/// The same where a panel has at most half of its columns.
const HALF_TILE: usize = 6;

/// Rows that a weight's gradient sums over at a time: they stay in the first-level cache. Fixed, because the bits of the
/// gradient depend on it.
const OUTER_ROWS: usize = 128;

dispatch! {
    /// `y = x · right` or `y += …`, of the first `k` rows and `n` columns of `right`.
    pub(super) fn product(
        lines: &[Line], panel_lines: usize, k: usize, n: usize,
        x: &[f32], x_stride: usize, y: &mut [f32], y_stride: usize, rows: usize, add: bool,
    ) {
        let panel = |number: usize| &lines[number * panel_lines..][..2 * k];
        for (number, first) in (0..n).step_by(PANEL).enumerate() {
            let next = if first + PANEL < n { panel(number + 1) } else { &[] };
            let (y, columns) = (&mut y[first..], (n - first).min(PANEL));
            tiles::<FUSED, WIDE, false>(panel(number), next, x, x_stride, y, y_stride, (rows, columns), add);
        }
    }
}

/// The products of `rows` rows with one panel, tile by tile. Prefetches the next panel.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three matrices with their strides and a shape")]
pub(super) fn tiles<const FUSED: bool, const WIDE: bool, const TURNED: bool>(
    lines: &[Line],
    next: &[Line],
    x: &[f32],
    x_stride: usize,
    y: &mut [f32],
    y_stride: usize,
    (rows, columns): (usize, usize),
    add: bool,
) {
    let mut row = 0;
    macro_rules! in_tiles {
        ($lanes:literal, $parts:literal, $most:ident: $($count:literal)*) => {{
            // Few rows are done before the next panel could arrive.
            let next = if rows > $most { next } else { &[] };
            let mut next = next.chunks(next.len().div_ceil(rows.div_ceil($most).max(1)).max(1));
            while row < rows {
                let x = &x[row * if TURNED { 1 } else { x_stride }..];
                let y = &mut y[row * y_stride..];
                next.next().into_iter().for_each(|lines| prefetch(lines));
                match rows - row {
                    $($count => {
                        tile::<$count, $lanes, $parts, FUSED, TURNED>(lines, x, x_stride, y, y_stride, columns, add);
                        row += $count;
                    })*
                    _ => {
                        tile::<$most, $lanes, $parts, FUSED, TURNED>(lines, x, x_stride, y, y_stride, columns, add);
                        row += $most;
                    }
                }
            }
        }};
    }
    match (WIDE, columns > PANEL / 2) {
        (true, true) => in_tiles!(16, 2, TILE: 1 2 3 4 5 6 7),
        (true, false) => in_tiles!(16, 1, TILE: 1 2 3 4 5 6 7),
        (false, true) => in_tiles!(8, 4, NARROW_TILE: 1 2),
        (false, false) => in_tiles!(8, 2, HALF_TILE: 1 2 3 4 5),
    }
}

/// The products of `ROWS` rows with one panel in `PARTS` registers of `LANES` columns.
///
/// Number `depth` of row `row` is `x[row · x_stride + depth]`, or `x[depth · x_stride + row]` where `x` is turned.
#[inline(always)]
fn tile<const ROWS: usize, const LANES: usize, const PARTS: usize, const FUSED: bool, const TURNED: bool>(
    lines: &[Line],
    x: &[f32],
    x_stride: usize,
    y: &mut [f32],
    y_stride: usize,
    columns: usize,
    add: bool,
) {
    const { assert!(LANES * PARTS == PANEL || LANES * PARTS == PANEL / 2) };
    let mut sums = [[[0.0f32; LANES]; PARTS]; ROWS];
    let k = lines.len() / 2;
    let straight: [&[f32]; ROWS] =
        std::array::from_fn(|row| if TURNED { x } else { &x[row * x_stride..row * x_stride + k] });
    assert!(!TURNED || k == 0 || x.len() >= (k - 1) * x_stride + ROWS);
    if add {
        let rows = (0..ROWS).map(|row| &y[row * y_stride..row * y_stride + columns]);
        rows.for_each(|row| row.chunks(16).for_each(|line| prefetch(&line[..1])));
    }
    let parts = lines.as_ptr().cast::<[f32; LANES]>();
    for depth in 0..k {
        let value = |row: usize| {
            let at = if TURNED { depth * x_stride + row } else { depth };
            // SAFETY: every slice of `straight` is `k` long, and `depth < k`; where turned, the last index was checked.
            unsafe { *straight[row].get_unchecked(at) }
        };
        // SAFETY: two lines hold all parts of a panel, and there are `k` pairs of lines.
        let numbers = |part: usize| unsafe { &*parts.add(depth * (PANEL / LANES) + part) };
        // The order that keeps the sums in registers depends on their number.
        if PARTS > 2 {
            let values: [f32; ROWS] = std::array::from_fn(value);
            for part in 0..PARTS {
                for (sums, value) in sums.iter_mut().zip(values) {
                    add_scaled::<LANES, FUSED>(&mut sums[part], value, numbers(part));
                }
            }
        } else {
            for (row, sums) in sums.iter_mut().enumerate() {
                // Vectors of a row's columns, not of one column in all rows; the other order gives them anyway.
                keep_lanes();
                for (part, sums) in sums.iter_mut().enumerate() {
                    add_scaled::<LANES, FUSED>(sums, value(row), numbers(part));
                }
            }
        }
    }
    store(&sums, y, y_stride, columns, add);
}

#[inline(always)]
fn add_scaled<const LANES: usize, const FUSED: bool>(
    sums: &mut [f32; LANES],
    factor: f32,
    numbers: &[f32; LANES],
) {
    for lane in 0..LANES {
        sums[lane] = multiply_add::<FUSED>(factor, numbers[lane], sums[lane]);
    }
}

/// Writes or adds the sums of `ROWS` rows and one panel or half of one.
#[inline(always)]
pub(super) fn store<const ROWS: usize, const LANES: usize, const PARTS: usize>(
    sums: &[[[f32; LANES]; PARTS]; ROWS],
    y: &mut [f32],
    y_stride: usize,
    columns: usize,
    add: bool,
) {
    for (row, sums) in sums.iter().enumerate() {
        let sums = sums.as_flattened();
        let out = &mut y[row * y_stride..row * y_stride + columns];
        if columns == LANES * PARTS {
            let out = &mut out[..LANES * PARTS];
            if add {
                for lane in 0..LANES * PARTS {
                    out[lane] += sums[lane];
                }
            } else {
                out.copy_from_slice(sums);
            }
        } else {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if add { *out + sum } else { *sum };
            }
        }
    }
}

/// Copies the numbers of one row that lie in a panel; the rest of its two lines keeps its content.
#[inline(always)]
pub(super) fn set_columns(numbers: &[f32], lines: &mut [Line; 2]) {
    if let Some((numbers, [])) = numbers.split_first_chunk::<PANEL>() {
        // A copy of unknown length would be a call.
        lines[0].0.copy_from_slice(&numbers[..16]);
        lines[1].0.copy_from_slice(&numbers[16..]);
    } else {
        for (line, numbers) in lines.iter_mut().zip(numbers.chunks(16)) {
            line.0[..numbers.len()].copy_from_slice(numbers);
        }
    }
}

/// `out += leftᵀ · right`; shapes as in [`super::add_outer`].
pub(super) fn add_outer(
    left: &[f32],
    right: &[f32],
    right_stride: usize,
    out: &mut [f32],
    shape: (usize, usize, usize),
) {
    PANEL_OF_RIGHT.with_borrow_mut(|panel| outer(left, right, right_stride, out, shape, panel));
}

thread_local! {
    static PANEL_OF_RIGHT: RefCell<Vec<Line>> = RefCell::new(vec![Line::ZERO; 2 * OUTER_ROWS]);
}

dispatch! {
    /// Copies the columns of `right` into a panel first, because every tile reads them again.
    fn outer(
        left: &[f32], right: &[f32], right_stride: usize, out: &mut [f32],
        shape: (usize, usize, usize), panel: &mut [Line],
    ) {
        let (rows, m, n) = shape;
        for start in (0..rows).step_by(OUTER_ROWS) {
            let panel = &mut panel[..2 * OUTER_ROWS.min(rows - start)];
            let left = &left[start * m..];
            for first in (0..n).step_by(PANEL) {
                let columns = (n - first).min(PANEL);
                for (row, lines) in panel.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    set_columns(&right[(start + row) * right_stride + first..][..columns], lines);
                }
                tiles::<FUSED, WIDE, true>(panel, &[], left, m, &mut out[first..], n, (m, columns), true);
            }
        }
    }
}

/// Prefetches lines into the second-level cache.
pub(super) fn prefetch<T>(lines: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in lines {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing that the program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lines;
}
