//! AMX: products of tiles of sixteen rows and thirty-two bfloat16, in inline assembly, because the intrinsics are not stable.
//!
//! The compiler does not use tiles. A product configures them at its start, releases them at its end, and calls nothing in
//! between.

/// Whether the processor has the tiles and the system lets this process use them.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) fn is_usable() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    /// `ARCH_REQ_XCOMP_PERM`, and the number of the tile data's state.
    const REQUEST: (libc::c_long, libc::c_long) = (0x1023, 18);
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & 1 << 27 == 0 {
        return false;
    }
    let has_tiles = __cpuid_count(7, 0).edx & (1 << 22 | 1 << 24) == 1 << 22 | 1 << 24;
    // SAFETY: bit 27 above says that the system has switched the instruction on.
    let is_saved = unsafe { extended_state() } & 0b11 << 17 == 0b11 << 17;
    // SAFETY: the call takes two numbers and changes only what this process may use; other kernels refuse it.
    return has_tiles
        && is_saved
        && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST.0, REQUEST.1) } == 0;

    #[target_feature(enable = "xsave")]
    fn extended_state() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(super) fn is_usable() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::multiply;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;

    use super::super::PANEL;
    use super::super::bfloat16::{Left, Output, Right};

    /// Rows of a tile, and numbers in a row of sums.
    const SIDE: usize = 16;
    /// Bytes from one pair of the right matrix to the next: two lines.
    const RIGHT_STRIDE: usize = 128;

    // Flags of a run, as the assembly tests them.
    /// There is a second tile of columns.
    const SECOND_COLUMNS: usize = 1;
    /// Sums start with the old result.
    const ADD: usize = 2;
    /// Three products instead of one.
    const SPLIT: usize = 4;

    /// The configuration of eight tiles, as palette 1 has it.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    impl Configuration {
        /// Tiles for `rows` × `columns` sums in tiles 0 and 1, with the left rows in 2 and the right columns in 4 and 5.
        fn of(rows: usize, columns: usize) -> Self {
            let mut configuration =
                Self { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
            let mut set = |tile: usize, rows: usize, words: usize| {
                (configuration.rows[tile], configuration.bytes[tile]) = (rows as u8, 4 * words as u16);
            };
            set(2, rows, SIDE);
            for (at, columns) in [columns.min(SIDE), columns.saturating_sub(SIDE)].into_iter().enumerate() {
                if columns > 0 {
                    set(at, rows, columns);
                    set(4 + at, SIDE, columns);
                }
            }
            configuration
        }
    }

    /// `y = left · right` or `y += …`.
    pub(in super::super) fn multiply(left: Left<'_>, right: Right<'_>, pairs: usize, out: Output<'_>) {
        let Output { y, stride, rows, n, add } = out;
        if rows == 0 || n == 0 {
            return;
        }
        let words = (rows - 1) * left.row + pairs;
        assert!(
            pairs.is_multiple_of(SIDE) && left.pair == 1 && left.row >= pairs && left.high.len() >= words
        );
        assert!(right.depth >= pairs && right.high.len() >= n.div_ceil(PANEL) * 2 * right.depth);
        let is_split = !right.low.is_empty();
        assert!(!is_split || left.low.len() >= words && right.low.len() >= right.high.len());
        assert!(stride >= n && y.len() >= (rows - 1) * stride + n);
        let low = |low: usize, high: usize| if is_split { low.wrapping_sub(high) } else { 0 };
        // Exposed, because the tiles address the low parts by their distance from the high ones.
        let left_low = low(left.low.as_ptr().expose_provenance(), left.high.as_ptr().addr());
        let right_low = low(right.low.as_ptr().expose_provenance(), right.high.as_ptr().addr());
        for (columns, panels) in cut(n, PANEL) {
            for (count, starts) in cut(rows, SIDE) {
                let configuration = Configuration::of(count, columns);
                let flags = [(columns > SIDE, SECOND_COLUMNS), (add, ADD), (is_split, SPLIT)];
                let flags = flags.iter().map(|(is_set, flag)| usize::from(*is_set) * flag).sum();
                // SAFETY: the unit was only chosen because tiles may be used.
                unsafe {
                    asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly));
                }
                for column in panels.clone().step_by(PANEL) {
                    for row in starts.clone().step_by(SIDE) {
                        // SAFETY: the lengths are asserted above, and `cut` stays within `rows` and `n`.
                        unsafe {
                            run(
                                left.high.as_ptr().add(row * left.row).cast(),
                                left_low,
                                4 * left.row,
                                right.high.as_ptr().add(column / PANEL * 2 * right.depth).cast(),
                                right_low,
                                pairs / SIDE,
                                y.as_mut_ptr().add(row * stride + column),
                                4 * stride,
                                flags,
                            );
                        }
                    }
                }
                // SAFETY: as above.
                unsafe { asm!("tilerelease", options(nostack, nomem)) };
            }
        }
    }

    /// The whole blocks and the rest of a length: the length of a block, and the range that such blocks cover.
    fn cut(length: usize, block: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let whole = length - length % block;
        [(block, 0..whole), (length - whole, whole..length)].into_iter().filter(|(_, part)| !part.is_empty())
    }

    // A step uses one tile of rows and two of columns. With two tiles of rows, products ran at two thirds of the speed where
    // another thread shared the core, and no faster elsewhere.
    macro_rules! load_right {
        () => {
            "tileloadd tmm4, [{right} + {right_stride}*1]
            test {flags:l}, 1
            jz 3f
            tileloadd tmm5, [{right} + {right_stride}*1 + 64]
            3:"
        };
    }
    macro_rules! multiply_add {
        () => {
            "tdpbf16ps tmm0, tmm2, tmm4
            test {flags:l}, 1
            jz 3f
            tdpbf16ps tmm1, tmm2, tmm5
            3:"
        };
    }

    /// One block of sums over `steps` times sixteen pairs; with [`SPLIT`] `high · high + low · high + high · low`.
    ///
    /// # Safety
    /// Tiles are configured for `flags`. All rows of the tiles lie within their operands, at their strides in bytes. `left_low` and
    /// `right_low` are the distances of the low parts from the high ones.
    #[allow(clippy::too_many_arguments, reason = "three matrices with their strides")]
    unsafe fn run(
        left: *const u8,
        left_low: usize,
        left_stride: usize,
        right: *const u8,
        right_low: usize,
        steps: usize,
        out: *mut f32,
        out_stride: usize,
        flags: usize,
    ) {
        // SAFETY: see above. Tiles are loaded, summed and stored in this one block, since the compiler knows nothing of them.
        unsafe {
            asm!(
                "test {flags:l}, 2
                jnz 2f
                tilezero tmm0
                test {flags:l}, 1
                jz 4f
                tilezero tmm1
                jmp 4f
                2:
                tileloadd tmm0, [{out} + {out_stride}*1]
                test {flags:l}, 1
                jz 4f
                tileloadd tmm1, [{out} + {out_stride}*1 + 64]
                4:
                tileloadd tmm2, [{left} + {stride}*1]",
                load_right!(),
                multiply_add!(),
                "test {flags:l}, 4
                jz 5f
                add {left}, {left_low}
                tileloadd tmm2, [{left} + {stride}*1]",
                multiply_add!(),
                "sub {left}, {left_low}
                add {right}, {right_low}
                tileloadd tmm2, [{left} + {stride}*1]",
                load_right!(),
                multiply_add!(),
                "sub {right}, {right_low}
                5:
                add {left}, 64
                add {right}, 2048
                sub {steps}, 1
                jnz 4b
                tilestored [{out} + {out_stride}*1], tmm0
                test {flags:l}, 1
                jz 3f
                tilestored [{out} + {out_stride}*1 + 64], tmm1
                3:",
                left = inout(reg) left => _,
                right = inout(reg) right => _,
                steps = inout(reg) steps => _,
                stride = in(reg) left_stride,
                right_stride = in(reg) RIGHT_STRIDE,
                left_low = in(reg) left_low,
                right_low = in(reg) right_low,
                out = in(reg) out,
                out_stride = in(reg) out_stride,
                flags = in(reg) flags,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm4") _, out("tmm5") _,
                options(nostack)
            );
        }
    }
}
