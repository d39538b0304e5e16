//! The policy's arithmetic on plain slices: each operation with its backward, its plain twin and a parity test.
//!
//! Everything here runs on one thread; whoever calls it decides which rows a thread owns. Results depend on the
//! instruction set, never on the number of threads. This is the only `unsafe` of the trainer.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::OnceLock;

/// Instruction sets that the hot loops are compiled for; the best one present is taken at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 with 16 lanes.
    Avx512,
    /// AVX2 with fused multiply-add, 8 lanes.
    Avx2,
    /// What the target guarantees: SSE2 on x86-64, NEON on aarch64.
    Baseline,
}

impl InstructionSet {
    /// The best set that this processor has.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("fma")
                {
                    return Self::Avx512;
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    return Self::Avx2;
                }
            }
            Self::Baseline
        })
    }

    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Baseline => "baseline",
        }
    }
}

/// Compiles a function once per instruction set and picks at run time. `FUSED` is in scope: whether a multiply-add is
/// one instruction.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands and their shapes")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, unused_variables, reason = "as above; not every body multiplies")]
            fn body<const FUSED: bool>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::InstructionSet;

                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }

                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }

                match InstructionSet::detected() {
                    // SAFETY: these features were seen on this processor.
                    InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    InstructionSet::Baseline => {}
                }
            }
            body::<false>($($arg),*)
        }
    };
}

/// `a * b + c`, in one rounding where the processor has such an instruction.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

pub mod adamw;
pub mod attention;
pub mod experts;
mod exponential;
pub mod likelihood;
pub mod matmul;
pub mod rms_norm;
pub mod rotary;
pub mod swiglu;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
}

/// Adds to this thread's count of executed floating-point operations.
fn count_flops(flops: usize) {
    FLOPS.with(|count| count.set(count.get().wrapping_add(flops as u64)));
}

/// Floating-point operations of products that this thread has executed so far (a multiply-add is two).
///
/// Counted from the shapes of the products that ran; elementwise work is left out, as is usual in the field.
pub fn flops_executed() -> u64 {
    FLOPS.with(Cell::get)
}
