//! Rows to columns, in words of 32 bits.

/// Side of a block: sixteen words are a register and a cache line.
const SIDE: usize = 16;

/// Writes `to[column · to_stride + row] = from[row · from_stride + column]` for every one of `rows` × `columns`.
pub(super) fn transpose(
    from: &[u32],
    from_stride: usize,
    (rows, columns): (usize, usize),
    to: &mut [u32],
    to_stride: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(from_stride >= columns && to_stride >= rows);
    assert!(from.len() >= (rows - 1) * from_stride + columns && to.len() >= (columns - 1) * to_stride + rows);
    let is_native = native::is_there();
    for row in (0..rows).step_by(SIDE) {
        for column in (0..columns).step_by(SIDE) {
            let from = &from[row * from_stride + column..];
            let to = &mut to[column * to_stride + row..];
            let (height, width) = (SIDE.min(rows - row), SIDE.min(columns - column));
            if is_native && (height, width) == (SIDE, SIDE) {
                // SAFETY: the processor has the instructions, and sixteen rows and columns lie within both.
                unsafe { native::block(from.as_ptr(), from_stride, to.as_mut_ptr(), to_stride) };
            } else {
                block(from, from_stride, (height, width), to, to_stride);
            }
        }
    }
}

/// The plain twin, also for less than a whole block.
fn block(
    from: &[u32],
    from_stride: usize,
    (rows, columns): (usize, usize),
    to: &mut [u32],
    to_stride: usize,
) {
    for column in 0..columns {
        for (row, to) in to[column * to_stride..][..rows].iter_mut().enumerate() {
            *to = from[row * from_stride + column];
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    pub(super) fn is_there() -> bool {
        false
    }

    pub(super) unsafe fn block(_: *const u32, _: usize, _: *mut u32, _: usize) {}
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
        _mm256_unpacklo_epi64, _mm512_loadu_si512, _mm512_setzero_si512, _mm512_shuffle_i32x4,
        _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
        _mm512_unpacklo_epi64,
    };

    use super::SIDE;
    use crate::kernels::InstructionSet;

    const HALF: usize = SIDE / 2;

    pub(super) fn is_there() -> bool {
        InstructionSet::detected() != InstructionSet::Baseline
    }

    /// # Safety
    /// The processor has the instructions. Sixteen rows of sixteen words may be read from `from` and written to `to`.
    pub(super) unsafe fn block(from: *const u32, from_stride: usize, to: *mut u32, to_stride: usize) {
        if InstructionSet::detected() == InstructionSet::Avx512 {
            // SAFETY: see above.
            unsafe { whole(from, from_stride, to, to_stride) };
        } else {
            // SAFETY: see above.
            unsafe { quarters(from, from_stride, to, to_stride) };
        }
    }

    /// # Safety
    /// As for [`block`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn quarters(from: *const u32, from_stride: usize, to: *mut u32, to_stride: usize) {
        for (row, column) in [(0, 0), (0, HALF), (HALF, 0), (HALF, HALF)] {
            // SAFETY: see above; a quarter lies within the block.
            unsafe {
                let from = from.add(row * from_stride + column);
                quarter(from, from_stride, to.add(column * to_stride + row), to_stride);
            }
        }
    }

    /// # Safety
    /// As for [`block`], with eight rows and words.
    #[target_feature(enable = "avx2")]
    unsafe fn quarter(from: *const u32, from_stride: usize, to: *mut u32, to_stride: usize) {
        let mut rows = [_mm256_setzero_si256(); HALF];
        for (row, lanes) in rows.iter_mut().enumerate() {
            // SAFETY: see above.
            *lanes = unsafe { _mm256_loadu_si256(from.add(row * from_stride).cast()) };
        }
        let rows =
            round::<1, HALF, _>(rows, |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)]);
        let rows =
            round::<2, HALF, _>(rows, |a, b| [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)]);
        let halves = |a: __m256i, b: __m256i| {
            [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
        };
        for (at, lanes) in round::<4, HALF, _>(rows, halves).iter().enumerate() {
            // SAFETY: see above.
            unsafe { _mm256_storeu_si256(to.add(column_of(at) * to_stride).cast(), *lanes) };
        }
    }

    /// The first two rounds leave the columns of four in the order 0, 2, 1, 3.
    fn column_of(at: usize) -> usize {
        at & !3 | (at & 1) << 1 | at >> 1 & 1
    }

    /// # Safety
    /// As for [`block`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn whole(from: *const u32, from_stride: usize, to: *mut u32, to_stride: usize) {
        let mut rows = [_mm512_setzero_si512(); SIDE];
        for (row, lanes) in rows.iter_mut().enumerate() {
            // SAFETY: see above.
            *lanes = unsafe { _mm512_loadu_si512(from.add(row * from_stride).cast()) };
        }
        // The four rounds exchange words, pairs, quarters and halves of a register.
        let rows =
            round::<1, SIDE, _>(rows, |a, b| [_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)]);
        let rows =
            round::<2, SIDE, _>(rows, |a, b| [_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)]);
        let quarters = |a: __m512i, b: __m512i| {
            [_mm512_shuffle_i32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b)]
        };
        let rows = round::<8, SIDE, _>(round::<4, SIDE, _>(rows, quarters), quarters);
        for (at, lanes) in rows.iter().enumerate() {
            // SAFETY: see above.
            unsafe { _mm512_storeu_si512(to.add(column_of(at) * to_stride).cast(), *lanes) };
        }
    }

    /// Exchanges parts of rows that are `DISTANCE` apart.
    #[inline(always)]
    fn round<const DISTANCE: usize, const ROWS: usize, T: Copy>(
        mut rows: [T; ROWS],
        exchange: impl Fn(T, T) -> [T; 2],
    ) -> [T; ROWS] {
        for group in 0..ROWS / (2 * DISTANCE) {
            for at in 0..DISTANCE {
                let low = 2 * DISTANCE * group + at;
                [rows[low], rows[low + DISTANCE]] = exchange(rows[low], rows[low + DISTANCE]);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_in_its_place() {
        for (rows, columns) in [(16, 16), (1, 1), (17, 33), (32, 16), (48, 40), (5, 64)] {
            let (from_stride, to_stride) = (columns + 3, rows + 5);
            let from: Vec<u32> = (0..(rows * from_stride) as u32).collect();
            let mut to = vec![u32::MAX; columns * to_stride];
            transpose(&from, from_stride, (rows, columns), &mut to, to_stride);
            for (at, word) in to.iter().enumerate() {
                let (column, row) = (at / to_stride, at % to_stride);
                let expected = if row < rows { from[row * from_stride + column] } else { u32::MAX };
                assert_eq!(*word, expected, "{rows} {columns}: {row} {column}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn blocks_of_both_widths_agree_with_the_plain_one() {
        let (from_stride, to_stride) = (19, 21);
        let from: Vec<u32> = (0..(SIDE * from_stride) as u32).collect();
        let mut plain = vec![u32::MAX; SIDE * to_stride];
        block(&from, from_stride, (SIDE, SIDE), &mut plain, to_stride);
        let check = |native: unsafe fn(*const u32, usize, *mut u32, usize)| {
            let mut to = vec![u32::MAX; SIDE * to_stride];
            // SAFETY: the callers checked the instructions, and the block lies within both slices.
            unsafe { native(from.as_ptr(), from_stride, to.as_mut_ptr(), to_stride) };
            assert_eq!(to, plain);
        };
        if is_x86_feature_detected!("avx2") {
            check(native::quarters);
        } else {
            eprintln!("skipped: this machine has no AVX2");
        }
        if is_x86_feature_detected!("avx512f") {
            check(native::whole);
        } else {
            eprintln!("skipped: this machine has no AVX-512");
        }
    }
}
