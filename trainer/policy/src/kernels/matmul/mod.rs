//! Matrix products.
//!
//! A weight is packed once per update into panels of 32 columns, which every product reads in order. Every output is one
//! chain of multiply-adds in the order of `k`, so the bits of a row do not depend on the other rows of the batch.

use super::precision::Precision;
use super::{InstructionSet, count_flops};
pub(super) use bfloat16::VARIABLE as BFLOAT16_VARIABLE;
use bfloat16::{Pairs, Right, Unit};
use float32::prefetch;
use halves::Half;
use transpose::transpose;

mod amx;
mod bfloat16;
mod float32;
mod halves;
mod transpose;
mod widened;

/// Columns of a panel: two AVX-512 registers.
const PANEL: usize = 32;
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Line {
    const ZERO: Self = Self([0.0; 16]);
}

/// The instructions for products of bfloat16 on this machine, if it has any.
pub fn bfloat16_unit() -> Option<&'static str> {
    Unit::detected().map(|unit| match unit {
        Unit::Tiles => "amx",
        #[cfg(target_arch = "x86_64")]
        Unit::DotProduct => "avx512bf16",
        Unit::Widened => match InstructionSet::detected() {
            InstructionSet::Avx512 => "avx512 widened",
            InstructionSet::Avx2 => "avx2 widened",
            InstructionSet::Baseline if cfg!(target_arch = "aarch64") => "neon widened",
            InstructionSet::Baseline => "baseline widened",
        },
    })
}

/// The right matrix of a product, `k` × `n`, in panels of columns padded with zeros.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    k: usize,
    n: usize,
    precision: Precision,
    /// In float32.
    lines: Vec<Line>,
    /// In bfloat16: the rounded numbers and, for three products, the rounded remainders.
    halves: [Vec<Pairs>; 2],
}

impl Packed {
    /// Packs `weight`, stored `[n, k]` with rows `stride` apart, for products `x · weightᵀ`.
    pub fn pack_transposed(
        &mut self,
        precision: Precision,
        weight: &[f32],
        stride: usize,
        n: usize,
        k: usize,
    ) {
        let weight = &weight[..Self::length(stride, n, k)];
        self.size(precision, k, n);
        if precision == Precision::Float32 {
            let panels = self.lines.chunks_exact_mut(2 * k).zip(weight.chunks(PANEL * stride));
            for (number, (panel, weight)) in panels.enumerate() {
                let columns = PANEL.min(n - number * PANEL);
                if columns < PANEL {
                    panel.fill(Line::ZERO);
                }
                transpose(words(weight), stride, (columns, k), line_words(panel), PANEL);
            }
        }
        for (lines, half) in self.halves.iter_mut().zip(Half::of(precision)) {
            bfloat16::pack_columns(weight, stride, (k, n), *half, lines);
        }
    }

    /// Packs `matrix`, stored `[k, n]` with rows `stride` apart, for products `x · matrix`.
    pub fn pack_straight(&mut self, precision: Precision, matrix: &[f32], stride: usize, k: usize, n: usize) {
        let matrix = &matrix[..Self::length(stride, k, n)];
        self.size(precision, k, n);
        if precision == Precision::Float32 {
            if !n.is_multiple_of(PANEL) {
                let last = self.lines.len() - 2 * k;
                self.lines[last..].fill(Line::ZERO);
            }
            for (depth, row) in matrix.chunks(stride).enumerate() {
                self.set_row(depth, &row[..n]);
            }
        }
        for (lines, half) in self.halves.iter_mut().zip(Half::of(precision)) {
            bfloat16::pack_rows(matrix, stride, (k, n), *half, lines);
        }
    }

    /// The length of the slice of a matrix with rows `stride` apart.
    fn length(stride: usize, rows: usize, columns: usize) -> usize {
        assert!(0 < columns && columns <= stride);
        if rows == 0 { 0 } else { (rows - 1) * stride + columns }
    }

    /// `k` × `n` zeros, to fill by columns or by rows.
    pub fn zeros(precision: Precision, k: usize, n: usize) -> Self {
        let mut packed = Self::default();
        packed.size(precision, k, n);
        packed.lines.fill(Line::ZERO);
        packed.halves.iter_mut().for_each(|lines| lines.fill(Pairs::ZERO));
        packed
    }

    /// The precision of its products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Writes one column.
    pub fn set_column(&mut self, column: usize, values: &[f32]) {
        assert!(column < self.n && values.len() == self.k);
        let (panel, lane) = (column / PANEL, column % PANEL);
        if self.precision == Precision::Float32 {
            let lines = self.lines[2 * panel * self.k + lane / 16..].iter_mut().step_by(2);
            for (line, value) in lines.zip(values) {
                line.0[lane % 16] = *value;
            }
            return;
        }
        let first = 2 * panel * bfloat16::pairs_of(self.k) + lane / 16;
        for (lines, half) in self.halves.iter_mut().zip(Half::of(self.precision)) {
            let lines = lines[first..].iter_mut().step_by(2).map(|line| &mut line.0[lane % 16]);
            halves::set_pairs(lines, values, *half);
        }
    }

    /// Writes one row.
    pub fn set_row(&mut self, row: usize, values: &[f32]) {
        assert!(row < self.k && values.len() == self.n);
        if self.precision == Precision::Float32 {
            let (rows, _) = self.lines.as_chunks_mut();
            for (values, lines) in values.chunks(PANEL).zip(rows.iter_mut().skip(row).step_by(self.k)) {
                float32::set_columns(values, lines);
            }
            return;
        }
        let depth = bfloat16::pairs_of(self.k);
        for (lines, half) in self.halves.iter_mut().zip(Half::of(self.precision)) {
            for (line, values) in values.chunks(16).enumerate() {
                let pairs = &mut lines[(line / 2 * depth + row / 2) * 2 + line % 2].0;
                for (pair, value) in pairs.iter_mut().zip(values) {
                    halves::set(pair, row, *value, *half);
                }
            }
        }
    }

    /// Changes the size; the content is undefined.
    fn size(&mut self, precision: Precision, k: usize, n: usize) {
        (self.precision, self.k, self.n) = (precision, k, n);
        let lines = if precision == Precision::Float32 { n.div_ceil(PANEL) * k * 2 } else { 0 };
        self.lines.resize(lines, Line::ZERO);
        for (at, lines) in self.halves.iter_mut().enumerate() {
            let is_there = at < Half::of(precision).len();
            lines.resize(if is_there { bfloat16::lines_of(k, n) } else { 0 }, Pairs::ZERO);
        }
    }

    /// Prefetches the first `k` rows and `n` columns for the next product.
    pub fn prefetch(&self, k: usize, n: usize) {
        let panels = n.div_ceil(PANEL);
        if self.precision == Precision::Float32 {
            self.lines.chunks_exact(2 * self.k).take(panels).for_each(|panel| prefetch(&panel[..2 * k]));
        }
        let (depth, pairs) = (bfloat16::pairs_of(self.k), k.div_ceil(2));
        for lines in &self.halves {
            lines.chunks_exact(2 * depth).take(panels).for_each(|panel| prefetch(&panel[..2 * pairs]));
        }
    }

    /// `y = x · self`, or `y += x · self`.
    /// Shapes: `x` is `[rows, k]` with rows `x_stride` apart, `y` is `[rows, n]` with rows `y_stride` apart.
    pub fn product(
        &self,
        x: &[f32],
        x_stride: usize,
        y: &mut [f32],
        y_stride: usize,
        rows: usize,
        add: bool,
    ) {
        self.part(self.k, self.n, x, x_stride, y, y_stride, rows, add);
    }

    /// As [`Packed::product`] with the first `k` rows and `n` columns of the packed matrix.
    #[allow(clippy::too_many_arguments, reason = "two matrices with their strides and a shape")]
    pub fn part(
        &self,
        k: usize,
        n: usize,
        x: &[f32],
        x_stride: usize,
        y: &mut [f32],
        y_stride: usize,
        rows: usize,
        add: bool,
    ) {
        if rows == 0 || n == 0 {
            return;
        }
        assert!(0 < k && k <= self.k && n <= self.n && x_stride >= k && y_stride >= n);
        assert!(x.len() >= (rows - 1) * x_stride + k && y.len() >= (rows - 1) * y_stride + n);
        count_flops(2 * rows * k * n);
        if self.precision == Precision::Float32 {
            float32::product(&self.lines, 2 * self.k, k, n, x, x_stride, y, y_stride, rows, add);
            return;
        }
        let depth = bfloat16::pairs_of(self.k);
        let right = Right { high: &self.halves[0], low: &self.halves[1], depth };
        bfloat16::product(unit(), right, k, n, x, x_stride, y, y_stride, rows, add);
    }
}

fn words(numbers: &[f32]) -> &[u32] {
    // SAFETY: both are 32 bits, and every pattern of them is a word.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}

fn line_words(lines: &mut [Line]) -> &mut [u32] {
    // SAFETY: a line is sixteen floats without padding, and every pattern of bits is a float.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 16) }
}

fn unit() -> Unit {
    Unit::detected().expect("Precision::available refuses a precision that the machine does not have")
}

/// `out += leftᵀ · right`: the gradient of a weight from its output's gradient and its input.
/// Shapes: `left` is `[rows, m]`, `right` `[rows, n]` with rows `right_stride` apart, `out` `[m, n]`.
pub fn add_outer(
    precision: Precision,
    left: &[f32],
    right: &[f32],
    right_stride: usize,
    out: &mut [f32],
    (rows, m, n): (usize, usize, usize),
) {
    if rows == 0 || m == 0 || n == 0 {
        return;
    }
    let left = &left[..rows * m];
    assert!(right_stride >= n && right.len() >= (rows - 1) * right_stride + n);
    assert_eq!(out.len(), m * n);
    count_flops(2 * rows * m * n);
    if precision != Precision::Float32 {
        bfloat16::add_outer(unit(), precision, left, right, right_stride, out, (rows, m, n));
        return;
    }
    float32::add_outer(left, right, right_stride, out, (rows, m, n));
}

#[cfg(test)]
mod tests {
    use super::*;
    use thinkling_datasets::seed::Stream;

    fn random(length: usize, stream: &mut Stream) -> Vec<f32> {
        (0..length).map(|_| stream.normal() as f32).collect()
    }

    fn transposed(precision: Precision, weight: &[f32], stride: usize, n: usize, k: usize) -> Packed {
        let mut packed = Packed::default();
        packed.pack_transposed(precision, weight, stride, n, k);
        packed
    }

    fn straight(precision: Precision, matrix: &[f32], stride: usize, k: usize, n: usize) -> Packed {
        let mut packed = Packed::default();
        packed.pack_straight(precision, matrix, stride, k, n);
        packed
    }

    #[test]
    fn products_agree_with_float64() {
        let mut stream = Stream::at("matmul", 0, &[]);
        for (rows, k, n) in [
            (1, 1, 1),
            (3, 7, 33),
            (12, 64, 32),
            (13, 65, 31),
            (50, 96, 130),
            (128, 40, 64),
            (32, 45, 48),
            (64, 33, 96),
            (300, 40, 70),
        ] {
            let (x, w) = (random(rows * k, &mut stream), random(n * k, &mut stream));
            let mut transposed = transposed(Precision::Float32, &w, k, n, k);
            let mut y = vec![1.0; rows * n];
            transposed.product(&x, k, &mut y, n, rows, false);
            let mut added = y.clone();
            transposed.product(&x, k, &mut added, n, rows, true);
            let columns: Vec<f32> = (0..k * n).map(|i| w[(i % n) * k + i / n]).collect();
            let mut straight = straight(Precision::Float32, &columns, n, k, n);
            let mut same = vec![0.0; rows * n];
            straight.product(&x, k, &mut same, n, rows, false);
            assert_eq!(y, same);
            transposed.pack_transposed(Precision::Float32, &spread(&w, k), k + 3, n, k);
            straight.pack_straight(Precision::Float32, &spread(&columns, n), n + 3, k, n);
            for packed in [&transposed, &straight] {
                packed.product(&x, k, &mut same, n, rows, false);
                assert_eq!(y, same, "strided");
            }
            let mut outer = vec![0.5; k * n];
            add_outer(Precision::Float32, &x, &y, n, &mut outer, (rows, k, n));
            for row in 0..rows {
                for column in 0..n {
                    let exact: f64 =
                        (0..k).map(|i| f64::from(x[row * k + i]) * f64::from(w[column * k + i])).sum();
                    let scale = (k as f64).sqrt() * 1e-6 * 4.0;
                    assert!((f64::from(y[row * n + column]) - exact).abs() < scale, "{rows} {k} {n}");
                    assert!((f64::from(added[row * n + column]) - 2.0 * exact).abs() < 2.0 * scale);
                }
            }
            for i in 0..k {
                for column in 0..n {
                    let product = |row: usize| f64::from(x[row * k + i]) * f64::from(y[row * n + column]);
                    let exact = 0.5 + (0..rows).map(product).sum::<f64>();
                    assert!((f64::from(outer[i * n + column]) - exact).abs() < 1e-3, "{rows} {k} {n}");
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let mut stream = Stream::at("matmul", 1, &[]);
        let (rows, k, n) = (29, 50, 70);
        let (x, w) = (random(rows * k, &mut stream), random(n * k, &mut stream));
        let packed = transposed(Precision::Float32, &w, k, n, k);
        let mut all = vec![0.0; rows * n];
        packed.product(&x, k, &mut all, n, rows, false);
        for row in 0..rows {
            let mut alone = vec![0.0; n];
            packed.product(&x[row * k..], k, &mut alone, n, 1, false);
            assert_eq!(alone, all[row * n..(row + 1) * n]);
        }
    }

    /// The matrix with three NaN between its rows.
    fn spread(matrix: &[f32], columns: usize) -> Vec<f32> {
        let mut spread: Vec<f32> =
            matrix.chunks(columns).flat_map(|row| row.iter().copied().chain([f32::NAN; 3])).collect();
        spread.truncate(spread.len() - 3);
        spread
    }

    /// The units of this machine. Names the missing ones on standard error.
    fn units() -> Vec<Unit> {
        // An emulator of the instructions does not change what CPUID reports.
        let is_emulated = std::env::var_os("THINKLING_TEST_TILES").is_some();
        let mut units = vec![Unit::Widened];
        units.extend(Unit::dot_product());
        if amx::is_usable() || is_emulated {
            units.push(Unit::Tiles);
        } else {
            eprintln!("skipped: this machine has no AMX");
        }
        if Unit::dot_product().is_none() {
            eprintln!("skipped: this machine has no AVX-512 for bfloat16");
        }
        units
    }

    fn rounded(number: f32) -> f32 {
        f32::from_bits(Half::High.take(number) << 16)
    }

    /// The product on one unit, as [`Packed::part`] does it on the detected one.
    fn on(
        unit: Unit,
        packed: &Packed,
        (k, n): (usize, usize),
        x: &[f32],
        y: &mut [f32],
        rows: usize,
        add: bool,
    ) {
        let right =
            Right { high: &packed.halves[0], low: &packed.halves[1], depth: bfloat16::pairs_of(packed.k) };
        bfloat16::product(unit, right, k, n, x, packed.k, y, packed.n, rows, add);
    }

    #[test]
    fn products_of_bfloat16_agree_with_float64() {
        let mut stream = Stream::at("matmul", 2, &[]);
        for unit in units() {
            // Compared with products of the rounded operands, so that only the error of the unit remains.
            for precision in [Precision::Bf16x3, Precision::Bf16] {
                let tolerance = 2e-5;
                for (rows, k, n) in [
                    (1, 1, 1),
                    (3, 7, 33),
                    (12, 64, 32),
                    (31, 65, 31),
                    (50, 96, 130),
                    (300, 40, 64),
                    (97, 300, 70),
                ] {
                    let (x, w) = (random(rows * k, &mut stream), random(n * k, &mut stream));
                    let seen = |number: f32| {
                        f64::from(if precision == Precision::Bf16 { rounded(number) } else { number })
                    };
                    let in_order = transposed(precision, &w, k, n, k);
                    let mut y = vec![1.0; rows * n];
                    on(unit, &in_order, (k, n), &x, &mut y, rows, false);
                    let mut added = y.clone();
                    on(unit, &in_order, (k, n), &x, &mut added, rows, true);
                    let columns: Vec<f32> = (0..k * n).map(|i| w[(i % n) * k + i / n]).collect();
                    let by_columns = straight(precision, &columns, n, k, n);
                    let mut by_rows = Packed::zeros(precision, k, n);
                    columns.chunks(n).enumerate().for_each(|(row, values)| by_rows.set_row(row, values));
                    let spread_out = transposed(precision, &spread(&w, k), k + 3, n, k);
                    let spread_in = straight(precision, &spread(&columns, n), n + 3, k, n);
                    for other in [&by_columns, &by_rows, &spread_out, &spread_in] {
                        let mut same = vec![0.0; rows * n];
                        on(unit, other, (k, n), &x, &mut same, rows, false);
                        assert_eq!(y, same, "{unit:?} {precision:?} {rows} {k} {n}");
                    }
                    let mut alone = vec![0.0; n];
                    on(unit, &in_order, (k, n), &x[(rows - 1) * k..], &mut alone, 1, false);
                    assert_eq!(alone, y[(rows - 1) * n..], "{unit:?} {precision:?}: a row alone");
                    let mut outer = vec![0.5; k * n];
                    let right = random(rows * n, &mut stream);
                    bfloat16::add_outer(unit, precision, &x, &right, n, &mut outer, (rows, k, n));
                    let near = |ours: f32, exact: f64, terms: usize| {
                        let scale = (terms as f64).sqrt().max(1.0);
                        assert!(
                            (f64::from(ours) - exact).abs() < tolerance * scale * 4.0,
                            "{unit:?} {precision:?} {rows} {k} {n}: {ours} {exact}"
                        );
                    };
                    for row in 0..rows {
                        for column in 0..n {
                            let exact: f64 =
                                (0..k).map(|i| seen(x[row * k + i]) * seen(w[column * k + i])).sum();
                            near(y[row * n + column], exact, k);
                            near(added[row * n + column], 2.0 * exact, 4 * k);
                        }
                    }
                    for i in 0..k {
                        for column in 0..n {
                            let product = |row: usize| seen(x[row * k + i]) * seen(right[row * n + column]);
                            near(outer[i * n + column], 0.5 + (0..rows).map(product).sum::<f64>(), rows);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_rows_and_columns_of_a_cache_in_bfloat16_are_a_product_of_their_own() {
        let mut stream = Stream::at("matmul", 3, &[]);
        let (k, capacity) = (24, 80);
        for unit in units() {
            for precision in [Precision::Bf16x3, Precision::Bf16] {
                let mut keys = Packed::zeros(precision, k, capacity);
                let columns: Vec<Vec<f32>> = (0..capacity).map(|_| random(k, &mut stream)).collect();
                columns.iter().enumerate().for_each(|(at, column)| keys.set_column(at, column));
                let x = random(3 * k, &mut stream);
                let mut all = vec![0.0; 3 * capacity];
                on(unit, &keys, (k, capacity), &x, &mut all, 3, false);
                let mut some = vec![0.0; 3 * capacity];
                on(unit, &keys, (k, 37), &x, &mut some, 3, false);
                for row in 0..3 {
                    let at = row * capacity;
                    assert_eq!(some[at..at + 37], all[at..at + 37]);
                    assert!(some[at + 37..at + capacity].iter().all(|value| *value == 0.0));
                }
                // As values: the depth is shorter than the capacity.
                let mut values = Packed::zeros(precision, capacity, k);
                columns.iter().enumerate().for_each(|(at, row)| values.set_row(at, row));
                let mut fresh = Packed::zeros(precision, capacity, k);
                columns.iter().enumerate().take(37).for_each(|(at, row)| fresh.set_row(at, row));
                let weights = random(capacity, &mut stream);
                let (mut ours, mut expected) = (vec![0.0; k], vec![0.0; k]);
                on(unit, &values, (37, k), &weights, &mut ours, 1, false);
                on(unit, &fresh, (37, k), &weights, &mut expected, 1, false);
                assert_eq!(ours, expected);
            }
        }
    }
}
