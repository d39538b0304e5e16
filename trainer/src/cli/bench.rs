//! `thinkling bench`: times the standard shapes.

use std::process::{Command, Stdio};

use anyhow::Context;
use thinkling::inspect::bench::verify::{self, Case};
use thinkling::inspect::bench::{self, BenchAmount, Options, StandardShape, Timed, Timing};
use thinkling::kernels::precision::Precision;
use thinkling::machine::clock::Moment;
use thinkling::report;

use super::{DONE, Failure, Outcome, print_line};

/// The work that is timed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Sampling: 16 prompts of 32 tokens, 8 completions each, 128 tokens each.
    Rollout,
    /// Forward, backward and AdamW on those completions.
    Update,
    /// Both, with rewards and advantages between them.
    Step,
    /// Steps with longer completions (128 to 1,024 tokens) and larger groups (8 to 64): how cost grows.
    Scaling,
    /// Judging on one thread: `math` and `code` on generated answers, or one of them on a file of items.
    Verify,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ShapeName {
    /// Dense.
    S,
    /// Mixture of experts, like DeepSeek-V3.
    M,
}

impl ShapeName {
    fn shape(self) -> StandardShape {
        match self {
            Self::S => StandardShape::Small,
            Self::M => StandardShape::Mixture,
        }
    }
}

fn precisions() -> clap::builder::PossibleValuesParser {
    Precision::ALL.map(Precision::name).into_iter().chain(["auto"]).collect::<Vec<_>>().into()
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The work to time.
    what: What,
    /// Shape of the policy.
    #[arg(long, value_enum, default_value = "m")]
    shape: ShapeName,
    /// Threads [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Timed repeats; a first one is not counted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,
    /// Precision of the products; `auto` is `bf16x3` where there are AMX tiles, else `float32`.
    #[arg(long, default_value = "float32", value_parser = precisions())]
    precision: String,
    /// Completions per prompt [default: 8].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    group: Option<u16>,
    /// Tokens per completion [default: 128].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=8192))]
    new_tokens: Option<u16>,
    /// `scaling` only: write a plot to this file, SVG or PNG.
    #[arg(long)]
    plot: Option<std::path::PathBuf>,
    /// `verify` only: JSON lines with `completion` (or `prediction`) and `answer` (or `gold`), or `spec`.
    #[arg(long)]
    file: Option<std::path::PathBuf>,
    /// Also print the time of each part.
    #[arg(long)]
    profile: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let start = Moment::of_process();
    refuse_what_means_nothing(arguments).map_err(Failure::usage)?;
    let part = match arguments.what {
        What::Rollout => Timed::Rollout,
        What::Update => Timed::Update,
        What::Step => Timed::Step,
        What::Scaling => return scaling(arguments),
        What::Verify => return verify(arguments),
    };
    super::eval::use_threads(arguments.threads)?;
    let named = Precision::ALL.into_iter().find(|precision| precision.name() == arguments.precision);
    let precision = named.unwrap_or_else(Precision::automatic).available().map_err(Failure::usage)?;
    let standard = BenchAmount::default();
    let amount = BenchAmount {
        group: arguments.group.map_or(standard.group, usize::from),
        new_tokens: arguments.new_tokens.map_or(standard.new_tokens, usize::from),
    };
    let (repeats, profile) = (arguments.repeats as usize, arguments.profile);
    let options = Options { start, amount, repeats, precision, profile };
    print(&bench::time(part, arguments.shape.shape(), options)?, arguments.json)?;
    Ok(DONE)
}
/// Refuses options that this measurement does not use.
fn refuse_what_means_nothing(arguments: &Arguments) -> anyhow::Result<()> {
    let is_scaling = matches!(arguments.what, What::Scaling);
    let is_verify = matches!(arguments.what, What::Verify);
    let misplaced: Vec<&str> = [
        ("`--group`", arguments.group.is_some() && (is_scaling || is_verify)),
        ("`--new-tokens`", arguments.new_tokens.is_some() && (is_scaling || is_verify)),
        ("`--plot`", arguments.plot.is_some() && !is_scaling),
        ("`--file`", arguments.file.is_some() && !is_verify),
    ]
    .into_iter()
    .filter_map(|(option, is_misplaced)| is_misplaced.then_some(option))
    .collect();
    anyhow::ensure!(
        misplaced.is_empty(),
        "{} has no effect on this measurement: leave it out",
        misplaced.join(", ")
    );
    Ok(())
}

/// Times each amount in a new process, so that no measurement sees the memory of an earlier one.
fn scaling(arguments: &Arguments) -> Outcome {
    let mut measured = Vec::new();
    for (name, amounts) in BenchAmount::scaling() {
        let mut timings = Vec::new();
        for amount in amounts {
            let mut step = Command::new(std::env::current_exe()?);
            step.args(["bench", "step", "--json", "--shape", arguments.shape.shape().name()])
                .args(["--precision", &arguments.precision, "--repeats", &arguments.repeats.to_string()])
                .args(["--group", &amount.group.to_string(), "--new-tokens", &amount.new_tokens.to_string()])
                .args(arguments.profile.then_some("--profile"));
            if let Some(threads) = arguments.threads {
                step.args(["--threads", &threads.to_string()]);
            }
            let output = step.stderr(Stdio::inherit()).output()?;
            if let Some(code @ 1..) = output.status.code() {
                return Ok(code as u8);
            }
            if !output.status.success() {
                return Err(anyhow::anyhow!("the measurement ended with {}", output.status).into());
            }
            let timing: Timing = serde_json::from_slice(&output.stdout)?;
            print(&timing, arguments.json)?;
            timings.push(timing);
        }
        measured.push((name, timings));
    }
    if let Some(path) = &arguments.plot {
        report::write_figure(path, &bench::scaling_figure(&measured))?;
    }
    Ok(DONE)
}

fn print(timing: &Timing, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print_line(serde_json::to_string(timing)?)?);
    }
    print_line(format!(
        "{} × {} tokens: {:.3} s ({:.3} s least, {:.3} CPU-s), {:.0} tokens/s, {:.0} of {:.0} GFLOP/s ({:.0} %), {:.0} MB, {} page faults",
        timing.amount.group,
        timing.amount.new_tokens,
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
    Ok(())
}

fn verify(arguments: &Arguments) -> Outcome {
    let judged = match &arguments.file {
        None => {
            vec![verify::judge("math", &verify::math_cases())?, verify::judge("code", &verify::code_cases())?]
        }
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))
                .map_err(Failure::usage)?;
            let cases: Vec<Case> =
                text.lines().filter_map(|line| Case::read(&serde_json::from_str(line).ok()?)).collect();
            if cases.is_empty() {
                return Err(usage!("{}: no line has a `completion` or `prediction`", path.display()));
            }
            let has_tests = cases.iter().any(|case| case.spec.is_some());
            vec![verify::judge(if has_tests { "code" } else { "math" }, &cases)?]
        }
    };
    for judging in judged {
        print_line(if arguments.json {
            serde_json::to_string(&judging)?
        } else {
            format!(
                "{}: {:.0} items/s, median {:.0} us, at most {:.0} us ({} items, {} right, {} not judged)",
                judging.verifier,
                judging.items_per_s,
                judging.median_us,
                judging.most_us,
                judging.items,
                judging.correct,
                judging.errors
            )
        })?;
    }
    Ok(DONE)
}
