//! Products of bfloat16 parts, widened to float32 first: the twin of the units that multiply bfloat16.

use std::cell::RefCell;

use super::super::keep_lanes;
use super::bfloat16::{Left, Output, Pairs, Right};
use super::float32::tiles;
use super::{Line, PANEL};

/// The widened left rows and one widened panel.
#[derive(Default)]
struct Scratch {
    left: Vec<f32>,
    panel: Vec<Line>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[inline(always)]
fn widen(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}

/// `y = left · right` or `y += …` for rows of `pairs` pairs.
pub(super) fn multiply(left: Left<'_>, right: Right<'_>, pairs: usize, out: Output<'_>) {
    let Output { y, stride, rows, n, add } = out;
    let products = [(left.high, right.high), (left.low, right.high), (left.high, right.low)];
    let products = &products[..if right.low.is_empty() { 1 } else { 3 }];
    SCRATCH.with_borrow_mut(|Scratch { left: numbers, panel }| {
        panel.resize(4 * pairs, Line::ZERO);
        for (at, (words, lines)) in products.iter().enumerate() {
            numbers.clear();
            for row in 0..rows {
                numbers.extend((0..pairs).flat_map(|pair| widen(words[row * left.row + pair * left.pair])));
            }
            for first in (0..n).step_by(PANEL) {
                let lines = &lines[first / PANEL * 2 * right.depth..][..2 * pairs];
                widen_panel(lines, panel);
                let columns = (n - first).min(PANEL);
                let add = add || at > 0;
                product(panel, numbers, 2 * pairs, &mut y[first..], stride, rows, columns, add);
            }
        }
    });
}

dispatch! {
    /// Turns each two lines of pairs into four lines of numbers: the first row of the pairs, then the second.
    fn widen_panel(lines: &[Pairs], panel: &mut [Line]) {
        for (lines, rows) in lines.chunks_exact(2).zip(panel.chunks_exact_mut(4)) {
            for (half, line) in lines.iter().enumerate() {
                keep_lanes();
                for (lane, pair) in line.0.iter().enumerate() {
                    [rows[half].0[lane], rows[2 + half].0[lane]] = widen(*pair);
                }
            }
        }
    }
}

dispatch! {
    fn product(
        panel: &[Line], x: &[f32], k: usize, y: &mut [f32], y_stride: usize, rows: usize, columns: usize, add: bool,
    ) {
        tiles::<FUSED, WIDE, false>(panel, &[], x, k, y, y_stride, (rows, columns), add);
    }
}
