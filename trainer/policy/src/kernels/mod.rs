//! The policy's arithmetic on plain slices: each operation with its backward, its plain twin and a parity test.
//!
//! Everything here runs on one thread; whoever calls it decides which rows a thread owns. Results depend on the
//! instruction set, never on the number of threads. This is the trainer's `unsafe`, beside system
//! calls of the ledger and an option of the allocator in `main.rs`.
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
    /// The best set that this processor has, or a lesser one that the variable `THINKLING_INSTRUCTION_SET` names, so that
    /// a machine can give the same bits as one that lacks something. [`check_environment`] tells of any other name.
    pub fn detected() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let has = Self::of_processor();
            let asked = std::env::var(Self::VARIABLE).ok();
            *has.iter().find(|set| asked.as_deref() == Some(set.name())).unwrap_or(&has[0])
        })
    }

    const VARIABLE: &str = "THINKLING_INSTRUCTION_SET";

    /// All that this processor has, the best first.
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

    /// Whether bfloat16 instructions of AVX-512 may be used: the processor has them, and nothing lesser was asked for.
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

/// A variable of the environment with a value that means nothing on this machine.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the environment has `{variable}={value}`: write {choices}, or leave it out")]
pub struct UnknownChoice {
    variable: &'static str,
    value: String,
    choices: String,
}

/// Whether the variables that choose instructions name what this machine has.
///
/// # Errors
/// Every one that does not, with what may be written. Without this check such a variable is as good as absent.
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

/// Compiles a function once per instruction set and picks at run time. In scope are `FUSED`, whether a multiply-add is
/// one instruction, and `WIDE`, whether there are 32 registers of sixteen lanes.
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
                    // SAFETY: these features were seen on this processor.
                    InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    InstructionSet::Baseline => {}
                }
            }
            // On aarch64 a multiply-add is part of what every processor has.
            body::<{ cfg!(target_arch = "aarch64") }, false>($($arg),*)
        }
    };
}

/// `a * b + c`, in one rounding where the processor has such an instruction.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// First in the body of a loop over chunks or rows: the compiler then makes its vectors of the lanes of one chunk, not of one
/// lane in several chunks.
///
/// For AVX-512 it chose the latter (rustc 1.95), and gathered and scattered numbers that lie side by side. Below AVX-512
/// nothing beyond the noise was seen where it stands now (docs/log/2026-11.md).
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

/// Adds to this thread's count of executed floating-point operations.
fn count_flops(flops: usize) {
    FLOPS.with(|count| count.set(count.get().wrapping_add(flops as u64)));
}

/// Says that so many of the counted operations are surplus.
fn count_surplus(flops: usize) {
    SURPLUS.with(|count| count.set(count.get().wrapping_add(flops as u64)));
}

/// Those of [`flops_executed`] that the model does not ask for: products computed again to save memory, and the masked
/// part and the padding of blocks of attention. Hardware operations less these are the model's.
pub fn surplus_executed() -> u64 {
    SURPLUS.with(Cell::get)
}

/// Floating-point operations of products that this thread has executed so far (a multiply-add is two).
///
/// Counted from the shapes of the products that ran; elementwise work is left out, as is usual in the field.
pub fn flops_executed() -> u64 {
    FLOPS.with(Cell::get)
}

/// The twins' common ground: gradients by central differences in float64.
#[cfg(test)]
mod twin {
    use thinkling_datasets::seed::Stream;

    /// `length` normal numbers.
    pub(super) fn random(length: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::at("kernel test", seed, &[]);
        (0..length).map(|_| stream.normal()).collect()
    }

    /// As float32.
    pub(super) fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|value| *value as f32).collect()
    }

    /// Asserts that `ours` is near `exact`, relative to the greatest of it.
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
