//! `thinkling train`: runs every stage of a recipe.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thinkling::machine::clock::Moment;
use thinkling::machine::energy::Meter;
use thinkling::plan::{self, Device, Plan};
use thinkling::stages;
use thinkling::stages::run::{Session, Status};
use thinkling::tracking::run_folder::{self, Run, RunError};

use super::{DONE, FAILED, Failure, INTERRUPTED, Outcome, print_line};

/// Arguments of `train`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The recipe's file.
    recipe: PathBuf,
    /// Folder of the run [default: runs/<recipe name>-<n>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Override a key of the recipe, such as `stage.grpo.steps=5`; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Go on with the run in --out after its newest checkpoint.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Threads to compute with; never changes a result [default: the recipe's, else all cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long)]
    device: Option<String>,
}

/// Reads a recipe with its overrides; every mistake is one of the command line's.
pub(super) fn load(recipe: &std::path::Path, overrides: &[String]) -> Result<Plan, Failure> {
    let plan = plan::load(recipe, overrides).map_err(Failure::usage)?;
    match plan.device {
        Device::Cuda(_) => {
            Err(Failure::usage(anyhow::anyhow!("this build has no CUDA: use device = \"cpu\"")))
        }
        Device::Auto | Device::Cpu => Ok(plan),
    }
}

/// A folder that may not be used is the command line's mistake; a damaged or unwritable one is not.
fn refused(error: RunError) -> Failure {
    match error {
        RunError::Refused(_) => Failure::usage(error),
        error => error.into(),
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let started = Moment::of_process();
    let mut overrides = arguments.overrides;
    overrides.extend(arguments.threads.map(|threads| format!("threads={threads}")));
    overrides.extend(arguments.device.map(|device| format!("device={device}")));
    let plan = load(&arguments.recipe, &overrides)?;
    if plan.budget.joules.is_some() && !Meter::new(plan.prices.watts, started).is_known() {
        return Err(Failure::usage(anyhow::anyhow!(
            "`budget.joules` cannot be kept: this machine has no energy meter that this user may read. State \
             `prices.watts`, the watts it draws, or leave the budget out"
        )));
    }
    let threads = plan.threads;
    // A verifier that does not start is told before anything is trained.
    let rules = stages::rules(&plan.stages).map_err(Failure::usage)?;
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first one asks for a checkpoint, a second one does not wait for it.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), interrupt.clone())?;
        signal_hook::flag::register(signal, interrupt.clone())?;
    }
    let path = arguments.out.unwrap_or_else(|| run_folder::fresh_path(&plan.name));
    let (folder, newest) = if arguments.resume {
        Run::resume(&path, &plan).map_err(refused)?
    } else {
        (Run::create(&path, &plan).map_err(refused)?, None)
    };
    let warnings = plan.warnings.clone();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut session = Session::open(plan, folder, newest.as_ref(), interrupt)?;
    session.count_from(started);
    session.progress.note(&format!("run folder: {}", session.path().display()));
    for (name, rule) in &rules {
        for notice in rule.terms.iter().filter_map(|term| Some(format!("{}: {}", term.name, term.notice()?)))
        {
            session.progress.note(&format!("{name}: {notice}"));
        }
    }
    session.rules = rules;
    for warning in warnings {
        session.progress.note(&format!("warning: {warning}"));
    }
    let status = stages::run(&mut session)?;
    session.progress.note(&format!("{}: {}", status.name(), session.path().display()));
    let path = session.path().to_owned();
    // The bar leaves the screen before the result is written to it.
    drop(session);
    print_line(path.display())?;
    Ok(match status {
        Status::Done | Status::Budget => DONE,
        Status::Diverged | Status::NotReady => FAILED,
        Status::Interrupted => INTERRUPTED,
    })
}
