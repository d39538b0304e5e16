//! `thinkling bench`: the standard shapes, timed.

use thinkling::bench::{self, Options, Part, Shape};

use super::{DONE, Outcome, print_line};

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
    let timing = bench::time(
        part,
        shape,
        Options { repeats: arguments.repeats as usize, profile: arguments.profile },
    )?;
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
