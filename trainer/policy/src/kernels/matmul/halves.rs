//! A float32 as the sum of two bfloat16: the nearest one, and the one nearest to the remainder.
//!
//! Two neighbours along the summed axis share a word of 32 bits, the first in the low half. Subnormal numbers become 0, as in
//! the processor's instructions.

use super::Precision;
use super::bfloat16::Pairs;

/// One of the two parts of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// The nearest bfloat16.
    High,
    /// The bfloat16 nearest to the remainder.
    Low,
}

impl Half {
    pub(super) const ALL: [Self; 2] = [Self::High, Self::Low];

    /// The parts that the products of a precision multiply; none in float32.
    pub(super) fn of(precision: Precision) -> &'static [Self] {
        match precision {
            Precision::Float32 => &[],
            Precision::Bf16 => &Self::ALL[..1],
            Precision::Bf16x3 => &Self::ALL,
        }
    }

    #[inline(always)]
    pub(super) fn take(self, value: f32) -> u32 {
        let high = rounded(value);
        if self == Self::High { high } else { rounded(value - f32::from_bits(high << 16)) }
    }

    #[inline(always)]
    fn pair(self, first: f32, second: f32) -> u32 {
        self.take(first) | self.take(second) << 16
    }
}

/// The bits of the nearest bfloat16, ties to even. NaN stays NaN; subnormal numbers become 0.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if value.is_nan() {
        (bits >> 16) | 0x40
    } else if bits & 0x7f80_0000 == 0 {
        (bits >> 16) & 0x8000
    } else {
        nearest
    }
}

/// Sets the half of a pair that number `at` belongs to.
pub(super) fn set(pairs: &mut u32, at: usize, value: f32, half: Half) {
    let bits = half.take(value);
    *pairs =
        if at.is_multiple_of(2) { (*pairs & 0xffff_0000) | bits } else { (*pairs & 0xffff) | bits << 16 };
}

/// Sets a whole column of pairs.
pub(super) fn set_pairs<'a>(pairs: impl Iterator<Item = &'a mut u32>, values: &[f32], half: Half) {
    for (pair, values) in pairs.zip(values.chunks(2)) {
        *pair = half.pair(values[0], values.get(1).copied().unwrap_or_default());
    }
}

/// Converts a row into pairs. `out` is whole cache lines; its rest becomes 0.
pub(super) fn convert_row(row: &[f32], half: Half, out: &mut [u32]) {
    assert!(out.len().is_multiple_of(16) && row.len() <= 2 * out.len());
    #[cfg(target_arch = "x86_64")]
    if super::InstructionSet::has_bfloat16() {
        // SAFETY: the processor has these instructions.
        unsafe { native::convert_row(row, half, out) };
        return;
    }
    convert_row_plainly(row, half, out);
}

/// Converts `rows` × `columns` numbers, at most 32 columns, into pairs of rows: two lines each, padded with zeros.
pub(super) fn convert_columns(
    numbers: &[f32],
    stride: usize,
    (rows, columns): (usize, usize),
    half: Half,
    out: &mut [Pairs],
) {
    assert!(
        columns <= 32 && rows <= out.len() && (rows == 0 || numbers.len() >= (rows - 1) * stride + columns)
    );
    #[cfg(target_arch = "x86_64")]
    if super::InstructionSet::has_bfloat16() {
        // SAFETY: the processor has these instructions.
        unsafe { native::convert_columns(numbers, stride, (rows, columns), half, out) };
        return;
    }
    convert_columns_plainly(numbers, stride, (rows, columns), half, out);
}

fn convert_row_plainly(row: &[f32], half: Half, out: &mut [u32]) {
    let (whole, rest) = out.split_at_mut(row.len().div_ceil(2));
    set_pairs(whole.iter_mut(), row, half);
    rest.fill(0);
}

fn convert_columns_plainly(
    numbers: &[f32],
    stride: usize,
    (rows, columns): (usize, usize),
    half: Half,
    out: &mut [Pairs],
) {
    let at = |row: usize, column: usize| {
        if row < rows && column < columns { numbers[row * stride + column] } else { 0.0 }
    };
    for (line, out) in out.iter_mut().enumerate() {
        let (row, first) = (line / 2 * 2, line % 2 * 16);
        for (lane, out) in out.0.iter_mut().enumerate() {
            *out = half.pair(at(row, first + lane), at(row + 1, first + lane));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, __mmask16, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh,
        _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32,
        _mm512_slli_epi32, _mm512_storeu_si512, _mm512_sub_ps,
    };

    use super::{Half, Pairs};

    /// Twice sixteen numbers as 32 bfloat16, the first sixteen in the low half.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn convert(first: __m512, second: __m512, half: Half) -> __m512i {
        // SAFETY: both types are 512 plain bits.
        let high = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) };
        if half == Half::High {
            return high;
        }
        // After mixing, the first sixteen numbers are the low halves of the words and the others the high halves.
        let mixed = mix(high);
        let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(mixed));
        let odd =
            _mm512_castsi512_ps(_mm512_and_si512(mixed, _mm512_set1_epi32(0xffff_0000_u32.cast_signed())));
        let (first, second) = (_mm512_sub_ps(first, even), _mm512_sub_ps(second, odd));
        // SAFETY: as above.
        unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) }
    }

    /// Moves numbers 0 to 15 to the low halves of the words, and 16 to 31 to the high halves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn mix(numbers: __m512i) -> __m512i {
        const ORDER: [u16; 32] = {
            let mut order = [0; 32];
            let mut word = 0;
            while word < 16 {
                order[2 * word] = word as u16;
                order[2 * word + 1] = word as u16 + 16;
                word += 1;
            }
            order
        };
        // SAFETY: 32 numbers of 16 bits are 512 bits.
        let order = unsafe { std::mem::transmute::<[u16; 32], __m512i>(ORDER) };
        _mm512_permutexvar_epi16(order, numbers)
    }

    fn first(count: usize) -> __mmask16 {
        if count >= 16 { !0 } else { (1 << count) - 1 }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(numbers: &[f32]) -> __m512 {
        // SAFETY: lanes beyond the slice are masked out.
        unsafe { _mm512_maskz_loadu_ps(first(numbers.len()), numbers.as_ptr()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn convert_row(row: &[f32], half: Half, out: &mut [u32]) {
        let (whole, rest) = row.as_chunks::<32>();
        let mut places = out.as_chunks_mut::<16>().0.iter_mut();
        for (numbers, place) in whole.iter().zip(&mut places) {
            // SAFETY: 32 numbers are loaded, sixteen words stored.
            unsafe {
                let numbers = numbers.as_ptr();
                let pairs = convert(_mm512_loadu_ps(numbers), _mm512_loadu_ps(numbers.add(16)), half);
                _mm512_storeu_si512(place.as_mut_ptr().cast(), pairs);
            }
        }
        let (low, high) = rest.split_at(rest.len().min(16));
        if let Some(place) = places.next() {
            // SAFETY: sixteen words.
            unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), convert(load(low), load(high), half)) };
        }
        places.for_each(|place| place.fill(0));
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn convert_columns(
        numbers: &[f32],
        stride: usize,
        (rows, columns): (usize, usize),
        half: Half,
        out: &mut [Pairs],
    ) {
        let masks = [first(columns), first(columns.saturating_sub(16))];
        for (pair, lines) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let row = |row: usize, line: usize| {
                let (mask, at) = if row < rows { (masks[line], row * stride + 16 * line) } else { (0, 0) };
                // SAFETY: lanes beyond the rows and columns are masked out.
                unsafe { _mm512_maskz_loadu_ps(mask, numbers.as_ptr().wrapping_add(at)) }
            };
            for (line, place) in lines.iter_mut().enumerate() {
                let pairs = mix(convert(row(2 * pair, line), row(2 * pair + 1, line), half));
                // SAFETY: sixteen words.
                unsafe { _mm512_storeu_si512(place.0.as_mut_ptr().cast(), pairs) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use thinkling_datasets::seed::Stream;

    use super::*;

    /// Normal numbers, and special ones in between.
    fn numbers(length: usize, stream: &mut Stream) -> Vec<f32> {
        let odd =
            [0.0, -0.0, 1e-40, -3e-39, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN, 1.003_906_3, f32::MAX];
        (0..length)
            .map(|at| if at % 5 == 4 { odd[at / 5 % odd.len()] } else { stream.normal() as f32 })
            .collect()
    }

    #[test]
    fn conversions_agree_with_their_twins() {
        if super::super::bfloat16::Unit::dot_product().is_none() {
            eprintln!("skipped: this machine has no AVX-512 for bfloat16");
        }
        let mut stream = Stream::at("halves", 0, &[]);
        for half in Half::ALL {
            for length in [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 100] {
                let row = numbers(length, &mut stream);
                for lines in [length.div_ceil(32), length.div_ceil(32) + 2] {
                    let (mut ours, mut plain) = (vec![7; 16 * lines], vec![9; 16 * lines]);
                    convert_row(&row, half, &mut ours);
                    convert_row_plainly(&row, half, &mut plain);
                    assert_eq!(ours, plain, "{half:?} {length}");
                }
            }
            for (rows, columns) in [(16, 32), (1, 31), (5, 17), (32, 16), (3, 1), (0, 3)] {
                let (stride, lines) = (columns + 2, (rows + 5) / 2 * 2);
                let matrix = numbers(rows * stride, &mut stream);
                let (mut ours, mut plain) = (vec![Pairs([7; 16]); lines], vec![Pairs([9; 16]); lines]);
                convert_columns(&matrix, stride, (rows, columns), half, &mut ours);
                convert_columns_plainly(&matrix, stride, (rows, columns), half, &mut plain);
                for (ours, plain) in ours.iter().zip(&plain) {
                    assert_eq!(ours.0, plain.0, "{half:?} {rows} {columns}");
                }
            }
        }
    }

    #[test]
    fn both_halves_together_are_near_the_number() {
        let mut stream = Stream::at("halves", 1, &[]);
        for _ in 0..1000 {
            let number = stream.normal() as f32;
            let sum: f32 = Half::ALL.iter().map(|half| f32::from_bits(half.take(number) << 16)).sum();
            assert!((sum - number).abs() <= number.abs() * 2.0f32.powi(-16), "{number} {sum}");
        }
    }
}
