//! The policy's arithmetic on plain slices: each operation with its backward, its plain twin and a parity test.
//!
//! Every function runs on one thread. Results depend on the instruction set, never on the number of threads. This folder
//! holds the trainer's `unsafe` code, apart from system calls and an option of the allocator in `main.rs`.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::OnceLock;

/// The instruction sets that the hot loops are compiled for. The best one of the processor is selected at run time.
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
    /// The best set of this processor, or a lesser one that `THINKLING_INSTRUCTION_SET` names, to reproduce the bits of a
    /// lesser machine. [`check_environment`] reports any other name.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let has = Self::of_processor();
            let asked = std::env::var(Self::VARIABLE).ok();
            *has.iter().find(|set| asked.as_deref() == Some(set.name())).unwrap_or(&has[0])
        })
    }

    const VARIABLE: &str = "THINKLING_INSTRUCTION_SET";

    /// All sets of this processor, the best first.
    fn of_processor() -> Vec<Self> {
        #[allow(unused_mut, reason = "only x86-64 has more than one")]
        let mut sets = vec![Self::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.insert(0, Self::Avx2);
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                {
                    sets.insert(0, Self::Avx512);
                }
            }
        }
        sets
    }

    /// Whether to use the bfloat16 instructions of AVX-512.
    #[cfg(target_arch = "x86_64")]
    fn has_bfloat16() -> bool {
        Self::detected() == Self::Avx512 && is_x86_feature_detected!("avx512bf16")
    }

    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Baseline if cfg!(target_arch = "aarch64") => "neon",
            Self::Baseline => "baseline",
        }
    }
}

/// An environment variable has a value that this machine does not support.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the environment has `{variable}={value}`: write {choices}, or leave it out")]
pub struct UnknownChoice {
    variable: &'static str,
    value: String,
    choices: String,
}

/// Checks the environment variables that select instructions. Without this check, a wrong value is ignored.
pub fn check_environment() -> Result<(), Vec<UnknownChoice>> {
    let sets: Vec<&str> = InstructionSet::of_processor().into_iter().map(InstructionSet::name).collect();
    let variables = [(InstructionSet::VARIABLE, &*sets), (matmul::BFLOAT16_VARIABLE, &["widened"])];
    let faults: Vec<UnknownChoice> = variables
        .into_iter()
        .filter_map(|(variable, choices)| {
            let value = std::env::var_os(variable)?.to_string_lossy().into_owned();
            if value.is_empty() || choices.contains(&&*value) {
                return None;
            }
            let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            Some(UnknownChoice { variable, value, choices: choices.join(" or ") })
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Compiles a function once per instruction set and selects one at run time. The body can use `FUSED`, whether a multiply-add
/// is one instruction, and `WIDE`, whether there are 32 registers of sixteen lanes.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands and their shapes")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, unused_variables, reason = "as above; not every body multiplies")]
            fn body<const FUSED: bool, const WIDE: bool>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::InstructionSet;

                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<true, true>($($arg),*) }

                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "as above")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<true, false>($($arg),*) }

                match InstructionSet::detected() {
                    // SAFETY: this processor has these features.
                    InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    InstructionSet::Baseline => {}
                }
            }
            // Every aarch64 processor has multiply-add.
            body::<{ cfg!(target_arch = "aarch64") }, false>($($arg),*)
        }
    };
}

/// `a * b + c`, rounded once where the processor has such an instruction.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Makes the compiler vectorise over the lanes of one chunk, not over several chunks. Stands first in the body of a loop.
///
/// Without it, rustc 1.95 gathers and scatters neighbouring numbers with AVX-512 (docs/log/2026-11.md).
#[inline(always)]
fn keep_lanes() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an empty template: no instruction, nothing read, written or clobbered.
    unsafe {
        std::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

pub mod adamw;
pub mod attention;
pub mod elementwise;
pub mod experts;
mod exponential;
pub mod likelihood;
pub mod matmul;
pub mod peak;
pub mod precision;
pub mod profile;
pub mod rms_norm;
pub mod rotary;
pub mod swiglu;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
    static SURPLUS: Cell<u64> = const { Cell::new(0) };
}

fn count_flops(flops: usize) {
    FLOPS.with(|count| count.set(count.get().wrapping_add(flops as u64)));
}

fn count_surplus(flops: usize) {
    SURPLUS.with(|count| count.set(count.get().wrapping_add(flops as u64)));
}

/// The part of [`flops_executed`] that the model does not require: products computed again to save memory, and the masked
/// part and the padding of blocks of attention.
pub fn surplus_executed() -> u64 {
    SURPLUS.with(Cell::get)
}

/// Floating-point operations of products that this thread has executed so far (a multiply-add is two).
///
/// Counted from the shapes of the products; elementwise operations are not counted, as is usual in the field.
pub fn flops_executed() -> u64 {
    FLOPS.with(Cell::get)
}

/// Float64 helpers for the plain twins.
#[cfg(test)]
mod twin {
    use thinkling_datasets::seed::Stream;

    /// `length` normal numbers.
    pub(super) fn random(length: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::at("kernel test", seed, &[]);
        (0..length).map(|_| stream.normal()).collect()
    }

    pub(super) fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|value| *value as f32).collect()
    }

    /// Asserts that `ours` is near `exact`, relative to its greatest number.
    pub(super) fn assert_near(ours: &[f32], exact: &[f64], tolerance: f64, what: &str) {
        assert_eq!(ours.len(), exact.len(), "{what}");
        let scale = exact.iter().fold(1.0f64, |top, value| top.max(value.abs()));
        for (at, (ours, exact)) in ours.iter().zip(exact).enumerate() {
            assert!(
                (f64::from(*ours) - exact).abs() <= tolerance * scale,
                "{what}[{at}]: {ours} against {exact}"
            );
        }
    }

    /// The gradient of `Σ weight · f(x)` by central differences.
    pub(super) fn gradient(x: &[f64], weights: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let value = |x: &[f64]| f(x).iter().zip(weights).map(|(y, weight)| y * weight).sum::<f64>();
        (0..x.len())
            .map(|at| {
                let step = 1e-5 * x[at].abs().max(1.0);
                let (mut up, mut down) = (x.to_vec(), x.to_vec());
                up[at] += step;
                down[at] -= step;
                (value(&up) - value(&down)) / (2.0 * step)
            })
            .collect()
    }
}
