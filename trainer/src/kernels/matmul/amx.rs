//! AMX: products of tiles, sixteen rows of thirty-two bfloat16 each, in inline assembly.
//!
//! The intrinsics are not stable, the instructions assemble. The compiler knows nothing of tiles and so never touches
//! them; a product configures them at its start and releases them at its end, and calls nothing in between.

use super::bfloat16::{Left, Right};

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
    // SAFETY: the call takes two numbers and changes only what this process may use; other systems refuse it.
    return has_tiles
        && is_saved
        && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST.0, REQUEST.1) } == 0;

    #[target_feature(enable = "xsave")]
    fn extended_state() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
}

/// As above: only Linux on x86-64 is known to have them.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(super) fn is_usable() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
#[allow(clippy::too_many_arguments, reason = "two matrices with their strides and a shape")]
pub(super) fn multiply(
    _: Left<'_>,
    _: Right<'_>,
    _: usize,
    _: usize,
    _: &mut [f32],
    _: usize,
    _: usize,
    _: bool,
) {
    unreachable!("only x86-64 has tiles")
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::multiply;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;

    use super::super::bfloat16::BLOCK;
    use super::super::{PANEL, store};
    use super::{Left, Right};

    /// Palette 1, eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIGURATION: Configuration = {
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        let mut tile = 0;
        while tile < 8 {
            configuration.bytes[tile] = 64;
            configuration.rows[tile] = 16;
            tile += 1;
        }
        configuration
    };

    /// Four tiles of sums.
    #[repr(C, align(64))]
    struct Sums([[[f32; 16]; 2]; BLOCK]);

    /// `y = left · right` or `y += …`; `left` has room for whole blocks of rows.
    #[allow(clippy::too_many_arguments, reason = "two matrices with their strides and a shape")]
    pub(in super::super) fn multiply(
        left: Left<'_>,
        right: Right<'_>,
        pairs: usize,
        n: usize,
        y: &mut [f32],
        y_stride: usize,
        rows: usize,
        add: bool,
    ) {
        let panels = n.div_ceil(PANEL);
        let words = rows.next_multiple_of(BLOCK) * left.row;
        assert!(pairs.is_multiple_of(16) && left.pair == 1 && left.row >= pairs && left.high.len() >= words);
        assert!(right.depth >= pairs && right.high.len() >= panels * 2 * right.depth);
        let is_split = !right.low.is_empty();
        assert!(!is_split || left.low.len() >= words && right.low.len() >= right.high.len());
        let mut sums = Sums([[[0.0; 16]; 2]; BLOCK]);
        // SAFETY: whoever chose this unit has seen that tiles may be used.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) };
        for panel in 0..panels {
            let columns = (n - panel * PANEL).min(PANEL);
            for row in (0..rows).step_by(BLOCK) {
                let count = (rows - row).min(BLOCK);
                let lines = panel * 2 * right.depth;
                // SAFETY: the lengths are asserted above: 32 rows of `pairs` words from `row` on, and `pairs` lines of
                // two times 64 bytes from `lines` on, of each part.
                unsafe {
                    let high = (left.high.as_ptr().add(row * left.row), right.high.as_ptr().add(lines));
                    if is_split {
                        let low = (left.low.as_ptr().add(row * left.row), right.low.as_ptr().add(lines));
                        three_products(high, low, left.row * 4, pairs / 16, &mut sums);
                    } else {
                        one_product(high, left.row * 4, pairs / 16, &mut sums);
                    }
                }
                let y = &mut y[row * y_stride + panel * PANEL..];
                if count == BLOCK {
                    store::<BLOCK>(&sums.0, y, y_stride, columns, add);
                } else {
                    for (row, sums) in sums.0.iter().enumerate().take(count) {
                        store::<1>(&[*sums], &mut y[row * y_stride..], y_stride, columns, add);
                    }
                }
            }
        }
        // SAFETY: as above.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    type Operands = (*const u32, *const super::super::bfloat16::Pairs);

    /// Bytes from one pair of the right matrix to the next: two lines.
    const RIGHT_STRIDE: usize = 128;

    // What both loops are made of. Sums are in tiles 0 to 3, two blocks of left rows in 4 and 5, of right columns in 6 and 7.
    macro_rules! load_left {
        () => {
            "tileloadd tmm4, [{left} + {stride}*1]
            tileloadd tmm5, [{second} + {stride}*1]"
        };
    }
    macro_rules! load_right {
        () => {
            "tileloadd tmm6, [{right} + {right_stride}*1]
            tileloadd tmm7, [{right} + {right_stride}*1 + 64]"
        };
    }
    macro_rules! multiply_add {
        () => {
            "tdpbf16ps tmm0, tmm4, tmm6
            tdpbf16ps tmm1, tmm4, tmm7
            tdpbf16ps tmm2, tmm5, tmm6
            tdpbf16ps tmm3, tmm5, tmm7"
        };
    }

    /// Assembles `step`, once for every sixteen pairs, between clearing the sums and storing them.
    macro_rules! for_each_step {
        ($sums:ident, $high:ident, $stride:ident, $steps:ident, [$($step:expr,)*], $($operands:tt)*) => {
            asm!(
                "tilezero tmm0
                tilezero tmm1
                tilezero tmm2
                tilezero tmm3
                2:",
                $($step,)*
                "add {left}, 64
                add {second}, 64
                add {right}, 2048
                sub {steps}, 1
                jnz 2b
                tilestored [{sums} + {right_stride}*1], tmm0
                tilestored [{sums} + {right_stride}*1 + 64], tmm1
                tilestored [{sums} + {right_stride}*1 + 2048], tmm2
                tilestored [{sums} + {right_stride}*1 + 2112], tmm3",
                left = inout(reg) $high.0 => _,
                second = inout(reg) $high.0.byte_add(16 * $stride) => _,
                right = inout(reg) $high.1 => _,
                steps = inout(reg) $steps => _,
                stride = in(reg) $stride,
                right_stride = in(reg) RIGHT_STRIDE,
                sums = in(reg) $sums,
                $($operands)*
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack)
            )
        };
    }

    /// # Safety
    /// Tiles are configured; `high` holds 32 rows `stride` bytes apart and `steps` times sixteen pairs.
    unsafe fn one_product(high: Operands, stride: usize, steps: usize, sums: &mut Sums) {
        // SAFETY: see above; `sums` takes four tiles.
        unsafe {
            for_each_step!(sums, high, stride, steps, [load_left!(), load_right!(), multiply_add!(),],);
        }
    }

    /// `high · high + low · high + high · low`.
    ///
    /// # Safety
    /// As for [`one_product`], for both parts.
    unsafe fn three_products(high: Operands, low: Operands, stride: usize, steps: usize, sums: &mut Sums) {
        // The low parts lie at fixed distances from the high ones, which saves registers.
        let left_low = (low.0 as usize).wrapping_sub(high.0 as usize);
        let right_low = (low.1 as usize).wrapping_sub(high.1 as usize);
        // SAFETY: see above; `sums` takes four tiles.
        unsafe {
            for_each_step!(
                sums, high, stride, steps,
                [
                    load_left!(), load_right!(), multiply_add!(),
                    "add {left}, {left_low}
                    add {second}, {left_low}",
                    load_left!(), multiply_add!(),
                    "sub {left}, {left_low}
                    sub {second}, {left_low}
                    add {right}, {right_low}",
                    load_left!(), load_right!(), multiply_add!(),
                    "sub {right}, {right_low}",
                ],
                left_low = in(reg) left_low,
                right_low = in(reg) right_low,
            );
        }
    }
}
