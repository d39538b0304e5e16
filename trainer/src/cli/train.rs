//! `thinkling train`: runs every stage of a recipe.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thinkling::machine::clock::Moment;
use thinkling::machine::energy::EnergyMeter;
use thinkling::plan::{self, Device, Plan};
use thinkling::policy::Parameters;
use thinkling::report::{self, ReportError};
use thinkling::stages;
use thinkling::stages::run::{Job, Run};
use thinkling::stages::stop::Status;
use thinkling::tracking::run_folder::{self, RunError, RunFolder};

use super::{DONE, FAILED, Failure, INTERRUPTED, Outcome, RecipeArguments, print_line};

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

/// Reads a recipe with its overrides; its mistakes are usage errors.
pub(super) fn load(recipe: &std::path::Path, overrides: &[String]) -> Result<Plan, Failure> {
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
    let threads = plan.threads;
    // Starts every verifier before the training.
    let rules = stages::rules(&plan.stages).map_err(Failure::usage)?;
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first signal asks for a checkpoint; a second one ends the program at once.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), interrupt.clone())?;
        signal_hook::flag::register(signal, interrupt.clone())?;
    }
    let path = arguments.out.unwrap_or_else(|| run_folder::fresh_path(&plan.name));
    let count_questions = || plan.count_questions();
    let identity = plan.identity(&count_questions);
    let (folder, newest) = if arguments.resume {
        RunFolder::resume(&path, &identity).map_err(refused)?
    } else {
        (RunFolder::create(&path, &identity).map_err(refused)?, None)
    };
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
    let mut run = Run::open(job, folder, newest.as_ref(), started, interrupt)?;
    run.tracker.progress.note(&format!("run folder: {}", path.display()));
    for note in notices.into_iter().chain(plan.warnings.iter().map(|warning| format!("warning: {warning}"))) {
        run.tracker.progress.note(&note);
    }
    let status = run.to_the_end()?;
    // A failed report does not fail the run: `thinkling report` can write it later.
    match report::write(&path) {
        Ok(report) => run.tracker.progress.note(&format!("report: {}", report.display())),
        Err(ReportError::Empty { .. }) => {}
        Err(error) => run.tracker.progress.note(&format!("warning: no report: {error}")),
    }
    run.tracker.progress.note(&format!("{}: {}", status.name(), path.display()));
    // Removes the bar from the screen before the result is printed.
    drop(run);
    print_line(path.display())?;
    Ok(match status {
        Status::Done | Status::Budget => DONE,
        Status::Diverged | Status::NotReady => FAILED,
        Status::Interrupted => INTERRUPTED,
    })
}
