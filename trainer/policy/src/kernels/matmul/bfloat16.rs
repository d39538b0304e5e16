//! Products of bfloat16 parts with float32 sums: by AVX-512's dot product, by AMX tiles, or widened to float32.
//!
//! Two neighbours along the summed axis share a word of 32 bits, the first in the low half, as both instructions require.

use std::cell::RefCell;

use super::halves::{Half, convert_columns, convert_row};
use super::transpose::transpose;
use super::{InstructionSet, PANEL, Precision, amx, widened};

/// Sixteen pairs: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Pairs(pub(super) [u32; 16]);

impl Pairs {
    pub(super) const ZERO: Self = Self([0; 16]);
}

/// The environment variable that selects the unit which every machine has.
pub(in super::super) const VARIABLE: &str = "THINKLING_BFLOAT16";
/// Pairs that a tile sums over; depths are padded to a multiple.
const TILE_PAIRS: usize = 16;
/// Rows of the left matrix that are converted at a time, where it has one part.
const ROWS: usize = 64;
/// Rows that a weight's gradient sums over at a time. Fixed, because the bits of the gradient depend on it.
const OUTER_ROWS: usize = 256;

/// A way to compute products of bfloat16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// AMX tiles.
    Tiles,
    /// AVX-512's dot product of pairs.
    #[cfg(target_arch = "x86_64")]
    DotProduct,
    /// Float32 multiply-adds of the widened parts: on every processor, but no faster than float32.
    Widened,
}

impl Unit {
    /// The best unit of this machine, if the selected instruction set has any. `THINKLING_BFLOAT16=widened` selects
    /// [`Unit::Widened`], so that any machine can show what a precision does to a run.
    pub(super) fn detected() -> Option<Self> {
        static DETECTED: std::sync::OnceLock<Option<Unit>> = std::sync::OnceLock::new();
        *DETECTED.get_or_init(|| {
            if std::env::var(VARIABLE).as_deref() == Ok("widened") {
                Some(Self::Widened)
            } else if InstructionSet::detected() == InstructionSet::Avx512 && amx::is_usable() {
                Some(Self::Tiles)
            } else {
                Self::dot_product()
            }
        })
    }

    pub(super) fn dot_product() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if InstructionSet::has_bfloat16() {
            return Some(Self::DotProduct);
        }
        None
    }
}

pub(super) fn pairs_of(k: usize) -> usize {
    k.div_ceil(2 * TILE_PAIRS) * TILE_PAIRS
}

/// The lines of a packed matrix `[k, n]`.
pub(super) fn lines_of(k: usize, n: usize) -> usize {
    n.div_ceil(PANEL) * pairs_of(k) * 2
}

/// Packs a matrix `[k, n]` with rows `stride` apart. Writes every line of `out`.
pub(super) fn pack_rows(rows: &[f32], stride: usize, (k, n): (usize, usize), half: Half, out: &mut [Pairs]) {
    assert_eq!(out.len(), lines_of(k, n));
    for (panel, lines) in out.chunks_exact_mut(2 * pairs_of(k)).enumerate() {
        let first = panel * PANEL;
        convert_columns(&rows[first..], stride, (k, PANEL.min(n - first)), half, lines);
    }
}

/// Packs the transpose of a matrix `[n, k]` with rows `stride` apart. Writes every line of `out`.
pub(super) fn pack_columns(
    matrix: &[f32],
    stride: usize,
    (k, n): (usize, usize),
    half: Half,
    out: &mut [Pairs],
) {
    assert!(out.len() == lines_of(k, n) && (n == 0 || matrix.len() >= (n - 1) * stride + k));
    let depth = pairs_of(k);
    SCRATCH.with_borrow_mut(|Scratch { turned: [rows, _], .. }| {
        rows.resize(PANEL * depth / 16, Pairs::ZERO);
        for (panel, matrix) in out.chunks_exact_mut(2 * depth).zip(matrix.chunks(PANEL * stride)) {
            let rows = words_mut(rows);
            let mut places = rows.chunks_exact_mut(depth);
            for (row, place) in matrix.chunks(stride).zip(&mut places) {
                convert_row(&row[..k], half, place);
            }
            places.for_each(|place| place.fill(0));
            transpose(rows, depth, (PANEL, depth), words_mut(panel), PANEL);
        }
    });
}

/// The left matrix of a product: rows of words, one word per pair.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) high: &'a [u32],
    /// Empty where there is one product.
    pub(super) low: &'a [u32],
    /// Words between rows.
    pub(super) row: usize,
    /// Words between the pairs of a row; 1 for tiles.
    pub(super) pair: usize,
}

/// The right matrix of a product: the parts of a packed matrix.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) high: &'a [Pairs],
    /// Empty where there is one product.
    pub(super) low: &'a [Pairs],
    /// Pairs in the packed depth.
    pub(super) depth: usize,
}

/// The result of a product: `[rows, n]` with rows `stride` apart, overwritten or added to.
pub(super) struct Output<'a> {
    pub(super) y: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) n: usize,
    pub(super) add: bool,
}

#[derive(Default)]
struct Scratch {
    left: [Vec<Pairs>; 2],
    turned: [Vec<Pairs>; 2],
    right: [Vec<Pairs>; 2],
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn words(lines: &[Pairs]) -> &[u32] {
    // SAFETY: `Pairs` is sixteen words without padding, and the slice's length is scaled accordingly.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * 16) }
}

fn words_mut(lines: &mut [Pairs]) -> &mut [u32] {
    // SAFETY: as in `words`; every pattern of bits is a `Pairs`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 16) }
}

/// `y = x · right` or `y += …`, with the first `k` rows and `n` columns of `right`.
#[allow(clippy::too_many_arguments, reason = "two matrices with their strides and a shape")]
pub(super) fn product(
    unit: Unit,
    right: Right<'_>,
    k: usize,
    n: usize,
    x: &[f32],
    x_stride: usize,
    y: &mut [f32],
    y_stride: usize,
    rows: usize,
    add: bool,
) {
    let pairs = pairs_of(k);
    // An odd number of cache lines, so that the rows of a tile do not compete for the same sets of the cache.
    let row = pairs + if (pairs / 16).is_multiple_of(2) { 16 } else { 0 };
    let halves = &Half::ALL[..if right.low.is_empty() { 1 } else { 2 }];
    // Two parts need twice the space in the first-level cache.
    let most = ROWS / halves.len();
    SCRATCH.with_borrow_mut(|Scratch { left, .. }| {
        for start in (0..rows).step_by(most) {
            let count = most.min(rows - start);
            for (half, buffer) in halves.iter().zip(left.iter_mut()) {
                buffer.resize((count * row / 16).max(buffer.len()), Pairs::ZERO);
                for (at, out) in words_mut(buffer).chunks_exact_mut(row).enumerate().take(count) {
                    let at = (start + at) * x_stride;
                    convert_row(&x[at..at + k], *half, &mut out[..pairs]);
                }
            }
            let [high, low] = &*left;
            let low = if right.low.is_empty() { &[] } else { words(low) };
            let left = Left { high: words(high), low, row, pair: 1 };
            let y = &mut y[start * y_stride..];
            multiply(unit, left, right, k, Output { y, stride: y_stride, rows: count, n, add });
        }
    });
}

/// `out += leftᵀ · right`, `[m, n]`, over `rows`.
#[allow(clippy::too_many_arguments, reason = "two matrices with their strides and a shape")]
pub(super) fn add_outer(
    unit: Unit,
    precision: Precision,
    left: &[f32],
    right: &[f32],
    right_stride: usize,
    out: &mut [f32],
    (rows, m, n): (usize, usize, usize),
) {
    let halves = Half::of(precision);
    SCRATCH.with_borrow_mut(|Scratch { left: panels, turned, right: right_lines }| {
        for start in (0..rows).step_by(OUTER_ROWS) {
            let count = OUTER_ROWS.min(rows - start);
            let depth = pairs_of(count);
            for (lines, half) in right_lines.iter_mut().zip(halves) {
                lines.resize(lines_of(count, n), Pairs::ZERO);
                pack_rows(&right[start * right_stride..], right_stride, (count, n), *half, lines);
            }
            let is_split = halves.len() > 1;
            let right =
                Right { high: &right_lines[0], low: if is_split { &right_lines[1] } else { &[] }, depth };
            for first in (0..m).step_by(PANEL) {
                let columns = PANEL.min(m - first);
                let mut parts: [&[u32]; 2] = [&[]; 2];
                for (((part, panel), turned), half) in
                    parts.iter_mut().zip(&mut *panels).zip(&mut *turned).zip(halves)
                {
                    panel.resize(panel.len().max(2 * depth), Pairs::ZERO);
                    let left = &left[start * m + first..];
                    convert_columns(left, m, (count, columns), *half, &mut panel[..2 * depth]);
                    *part = words(&panel[..2 * depth]);
                    if unit == Unit::Tiles {
                        turned.resize(turned.len().max(2 * depth), Pairs::ZERO);
                        transpose(part, PANEL, (depth, PANEL), words_mut(turned), depth);
                        *part = words(turned);
                    }
                }
                let (row, pair) = if unit == Unit::Tiles { (depth, 1) } else { (1, PANEL) };
                let left = Left { high: parts[0], low: parts[1], row, pair };
                let y = &mut out[first * n..];
                multiply(unit, left, right, count, Output { y, stride: n, rows: columns, n, add: true });
            }
        }
    });
}

/// `y = left · right` or `y += …` for converted numbers.
fn multiply(unit: Unit, left: Left<'_>, right: Right<'_>, k: usize, out: Output<'_>) {
    match unit {
        #[cfg(target_arch = "x86_64")]
        Unit::Tiles => amx::multiply(left, right, pairs_of(k), out),
        #[cfg(not(target_arch = "x86_64"))]
        Unit::Tiles => unreachable!("only x86-64 has tiles"),
        Unit::Widened => widened::multiply(left, right, k.div_ceil(2), out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the unit is only detected where the processor has these instructions.
        Unit::DotProduct => unsafe { dot_product::multiply(left, right, k.div_ceil(2), out) },
    }
}

#[cfg(target_arch = "x86_64")]
mod dot_product {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::super::PANEL;
    use super::super::float32::{TILE, store};
    use super::{Left, Output, Pairs, Right};

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
    pub(super) fn multiply(left: Left<'_>, right: Right<'_>, pairs: usize, out: Output<'_>) {
        let Output { y, stride, rows, n, add } = out;
        let last = (rows - 1) * left.row + (pairs - 1) * left.pair;
        assert!(left.high.len() > last && (right.low.is_empty() || left.low.len() > last));
        for panel in 0..n.div_ceil(PANEL) {
            let lines = |parts: &[Pairs]| match parts {
                [] => parts.as_ptr(),
                _ => parts[panel * 2 * right.depth..][..2 * pairs].as_ptr(),
            };
            let (high, low) = (lines(right.high), lines(right.low));
            let columns = (n - panel * PANEL).min(PANEL);
            let mut row = 0;
            while row < rows {
                let y = &mut y[row * stride + panel * PANEL..];
                macro_rules! tile {
                    ($count:expr) => {{
                        let sums = if right.low.is_empty() {
                            // SAFETY: the lengths are asserted above for `rows` rows and `pairs` pairs.
                            unsafe { tile::<{ $count }, false>(left, row, high, low, pairs) }
                        } else {
                            // SAFETY: as above.
                            unsafe { tile::<{ $count }, true>(left, row, high, low, pairs) }
                        };
                        store(&sums, y, stride, columns, add);
                        row += $count;
                    }};
                }
                match rows - row {
                    1 => tile!(1),
                    2 => tile!(2),
                    3 => tile!(3),
                    4 => tile!(4),
                    5 => tile!(5),
                    6 => tile!(6),
                    7 => tile!(7),
                    _ => tile!(TILE),
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn broadcast(pair: u32) -> __m512bh {
        // SAFETY: both types are 512 plain bits.
        unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair.cast_signed())) }
    }

    /// # Safety
    /// `left` holds `row + ROWS` rows of `pairs` pairs; `high`, and `low` for three products, `2 · pairs` lines.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
    unsafe fn tile<const ROWS: usize, const THREE: bool>(
        left: Left<'_>,
        row: usize,
        high: *const Pairs,
        low: *const Pairs,
        pairs: usize,
    ) -> [[[f32; 16]; 2]; ROWS] {
        // SAFETY: see above. A line is 64 bytes on a boundary of 64; sixteen floats take the stores.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
            let (left_high, left_low) = (left.high.as_ptr().add(row * left.row), left.low.as_ptr());
            let left_low = if THREE { left_low.add(row * left.row) } else { left_low };
            for pair in 0..pairs {
                let line =
                    |lines: *const Pairs, half: usize| lines.add(2 * pair + half).cast::<__m512bh>().read();
                let right = [line(high, 0), line(high, 1)];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let at = row * left.row + pair * left.pair;
                    let word = broadcast(left_high.add(at).read());
                    for half in 0..2 {
                        sums[half] = _mm512_dpbf16_ps(sums[half], word, right[half]);
                    }
                    if THREE {
                        let low_word = broadcast(left_low.add(at).read());
                        for half in 0..2 {
                            sums[half] = _mm512_dpbf16_ps(sums[half], low_word, right[half]);
                            sums[half] = _mm512_dpbf16_ps(sums[half], word, line(low, half));
                        }
                    }
                }
            }
            let mut out = [[[0.0; 16]; 2]; ROWS];
            for row in 0..ROWS {
                for half in 0..2 {
                    _mm512_storeu_ps(out[row][half].as_mut_ptr(), sums[row][half]);
                }
            }
            out
        }
    }
}
