//! `thinkling train`: runs every stage of a recipe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use thinkling::inspect::cost::memory;
use thinkling::machine::clock::Moment;
use thinkling::machine::energy::EnergyMeter;
use thinkling::plan::{self, Device, Plan};
use thinkling::policy::Parameters;
use thinkling::report::{self, ReportError};
use thinkling::stages;
use thinkling::stages::interrupt::Interrupt;
use thinkling::stages::run::{Job, Run};
use thinkling::stages::stop::Status;
use thinkling::tracking::progress::Patience;
use thinkling::tracking::run_folder::{self, RunError, RunFolder};

use super::{DONE, FAILED, Failure, INTERRUPTED, Outcome, RecipeArguments, note, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    recipe: RecipeArguments,
    /// Run folder [default: runs/<recipe name>-<n>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Continue the run in --out after its newest checkpoint.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Threads; they never change a result [default: the recipe's, else all cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Device: auto, cpu, candle (slow) or cuda:N.
    #[arg(long)]
    device: Option<String>,
}

/// How long a run that has had a signal may go on with its step, before what it has done of it is given up.
const GRACE: Duration = Duration::from_secs(1);

/// Reads a recipe with its overrides; its mistakes are usage errors.
pub(super) fn load(recipe: &std::path::Path, overrides: &[String]) -> Result<Plan, Failure> {
    let _patience = Patience::with("still asking the tasks for questions, to measure them");
    let plan = plan::load(recipe, overrides).map_err(Failure::usage)?;
    match plan.device {
        Device::Cuda(_) => Err(usage!("this build has no CUDA: use device = \"cpu\"")),
        Device::Auto | Device::Cpu | Device::Candle => Ok(plan),
    }
}

/// An unusable folder is a usage error; a damaged or unwritable one is not.
fn refused(error: RunError) -> Failure {
    match error {
        RunError::Refused(_) => Failure::usage(error),
        error => error.into(),
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let started = Moment::of_process();
    let RecipeArguments { recipe, mut overrides } = arguments.recipe;
    overrides.extend(arguments.threads.map(|threads| format!("threads={threads}")));
    overrides.extend(arguments.device.map(|device| format!("device={device}")));
    let plan = load(&recipe, &overrides)?;
    if plan.budget.joules.is_some() && !EnergyMeter::new(plan.prices.watts, started).is_known() {
        return Err(usage!(
            "`budget.joules` cannot be checked: this machine has no energy meter that this user may read. Set \
             `prices.watts`, the power of the machine, or leave the budget out"
        ));
    }
    if let Some(misfit) = memory::misfit(&plan) {
        return Err(usage!("{misfit}"));
    }
    let threads = plan.threads;
    // Starts every verifier before the training.
    let rules = stages::rules(&plan.stages).map_err(Failure::usage)?;
    let path = arguments.out.unwrap_or_else(|| run_folder::fresh_path(&plan.name));
    let count_questions = || {
        let _patience = Patience::with("still asking the tasks for questions, to count them");
        plan.count_questions()
    };
    let identity = plan.identity(&count_questions);
    let (folder, found) = if arguments.resume {
        RunFolder::resume(&path, &identity).map_err(refused)?
    } else {
        (RunFolder::create(&path, &identity).map_err(refused)?, None)
    };
    // Until now a signal ends the program at once: nothing is lost.
    let interrupt = Interrupt::default();
    listen(&interrupt, &path)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let notices: Vec<String> = rules
        .iter()
        .flat_map(|(stage, rule)| rule.terms.iter().map(move |term| (stage, term)))
        .filter_map(|(stage, term)| Some(format!("{stage}: {}: {}", term.name, term.notice()?)))
        .collect();
    let job = Job {
        policy: plan.policy(Parameters::new(&plan.model, plan.seed))?,
        tokenizer: plan.tokenizer.clone(),
        tracking: plan.tracking(),
        stages: plan.stages.clone(),
        seed: plan.seed,
        rules,
    };
    let (newest, problems) = found.map(|found| (found.checkpoint, found.problems)).unzip();
    let mut run = Run::open(job, folder, newest.as_ref(), started, interrupt.clone())?;
    drop(newest);
    run.tracker.progress.note(&format!("run folder: {}", path.display()));
    let warnings =
        problems.iter().flatten().chain(&plan.warnings).map(|warning| format!("warning: {warning}"));
    for note in notices.into_iter().chain(warnings) {
        run.tracker.progress.note(&note);
    }
    let status = match run.to_the_end() {
        Ok(status) => status,
        // A signal to a group of processes also ends judges, and what fails then is done again.
        Err(error) if interrupt.is_asked() => {
            run.tracker.progress.note(&format!("after the signal: {:#}", anyhow::Error::from(error)));
            return stop(&interrupt, &path);
        }
        Err(error) => return Err(error.into()),
    };
    // A failed report does not fail the run: `thinkling report` can write it later.
    match report::write(&path) {
        Ok(report) => run.tracker.progress.note(&format!("report: {}", report.display())),
        Err(ReportError::Empty { .. }) => {}
        Err(error) => run.tracker.progress.note(&format!("warning: no report: {error}")),
    }
    run.tracker.progress.note(&format!("{}: {}", status.name(), path.display()));
    interrupt.conclude();
    // Removes the bar from the screen before the result is printed.
    drop(run);
    print_line(path.display())?;
    Ok(code(status))
}

fn code(status: Status) -> u8 {
    match status {
        Status::Done | Status::Budget => DONE,
        Status::Diverged | Status::NotReady => FAILED,
        Status::Interrupted => INTERRUPTED,
    }
}

/// Hears signals. The first one asks the run to stop after its step, and ends the process if that takes long; a second one
/// ends it at once.
fn listen(interrupt: &Interrupt, path: &Path) -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), interrupt.flag())?;
        signal_hook::flag::register(signal, interrupt.flag())?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let (interrupt, path) = (interrupt.clone(), path.to_owned());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            std::thread::sleep(GRACE);
            let code = stop(&interrupt, &path).unwrap_or_else(|failure| {
                note(&format!("error: {:#}", failure.error));
                failure.code
            });
            // The run goes on in other threads, so nothing of it may be torn down.
            signal_hook::low_level::exit(i32::from(code));
        }
    })?;
    Ok(())
}

/// Stops a run in the middle of a step.
fn stop(interrupt: &Interrupt, path: &Path) -> Outcome {
    let status = interrupt.stop()?;
    let path = path.display();
    note(&format!("report: not written; `thinkling report {path}` writes it"));
    note(&format!("{}: {path}", status.name()));
    print_line(path)?;
    Ok(code(status))
}
