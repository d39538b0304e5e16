//! `thinkling bench`: the standard shapes, timed.

use thinkling::bench::{self, Options, Part, Shape};
use thinkling::kernels::precision::Precision;

use super::{DONE, Failure, Outcome, print_line};

/// What is timed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Sampling: 16 prompts of 32 tokens, 8 completions each, 128 tokens each.
    Rollout,
    /// Forward, backward and AdamW on those.
    Update,
    /// Both.
    Step,
}

/// A standard shape.
#[derive(Clone, Copy, clap::ValueEnum)]
enum ShapeName {
    /// Dense.
    S,
    /// A mixture of experts in DeepSeek-V3 form.
    M,
}

/// A precision of products.
#[derive(Clone, Copy, clap::ValueEnum)]
enum PrecisionName {
    /// As it is: the reference.
    Float32,
    /// Two bfloat16 parts, three products.
    Bf16x3,
    /// Rounded to bfloat16.
    Bf16,
    /// `bf16x3` where there are tiles, else `float32`.
    Auto,
}

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What is timed.
    what: What,
    /// The policy's shape.
    #[arg(long, value_enum, default_value = "m")]
    shape: ShapeName,
    /// Threads to compute with [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Timed repeats, after one that is not counted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,
    /// Precision of the products.
    #[arg(long, value_enum, default_value = "float32")]
    precision: PrecisionName,
    /// Also print where the time went.
    #[arg(long)]
    profile: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    super::eval::use_threads(arguments.threads)?;
    let part = match arguments.what {
        What::Rollout => Part::Rollout,
        What::Update => Part::Update,
        What::Step => Part::Step,
    };
    let shape = match arguments.shape {
        ShapeName::S => Shape::Small,
        ShapeName::M => Shape::Mixture,
    };
    let precision = match arguments.precision {
        PrecisionName::Float32 => Precision::Float32,
        PrecisionName::Bf16x3 => Precision::Bf16x3,
        PrecisionName::Bf16 => Precision::Bf16,
        PrecisionName::Auto => Precision::automatic(),
    };
    let precision = precision.available().map_err(Failure::usage)?;
    let options = Options { repeats: arguments.repeats as usize, precision, profile: arguments.profile };
    let timing = bench::time(part, shape, options)?;
    if arguments.json {
        print_line(serde_json::to_string(&timing)?)?;
    } else {
        print_line(format!(
            "{:.3} s ({:.3} s least, {:.3} CPU-s), {:.0} tokens/s, {:.0} of {:.0} GFLOP/s ({:.0} %), {:.0} MB, {} page faults",
            timing.wall_s,
            timing.wall_s_min,
            timing.cpu_s,
            timing.tokens_per_s,
            timing.gflops,
            timing.peak_gflops,
            100.0 * timing.mfu,
            timing.peak_rss_mb,
            timing.page_faults
        ))?;
        for share in &timing.profile {
            print_line(format!(
                "{:>12} {:5.1} % {:8.3} s {:6.0} GFLOP/s",
                share.part,
                100.0 * share.share,
                share.cpu_s,
                share.gflops
            ))?;
        }
    }
    Ok(DONE)
}
