//! The commands, one file each.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use thinkling::tracking::progress::say as note;

/// A [`Failure`] that says what is wrong with the command line or a recipe.
macro_rules! usage {
    ($($text:tt)*) => { $crate::cli::Failure::usage(anyhow::anyhow!($($text)*)) };
}

mod audit;
mod bench;
mod check;
mod cost;
mod data;
mod doctor;
mod eval;
mod generate;
mod list;
mod model;
mod report;
mod sample;
mod score;
mod train;
mod verify;
mod watch;

const DONE: u8 = 0;
/// Failed at run time, or some input lines were bad.
const FAILED: u8 = 1;
/// The command line, recipe or configuration is wrong; nothing was started.
const USAGE: u8 = 2;
/// Stopped by a signal; a resumable checkpoint was written.
const INTERRUPTED: u8 = 130;

/// Trains a small mixture-of-experts language model to reason, from nothing, with GRPO.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every stage of a recipe.
    Train(train::Arguments),
    /// Check a recipe and print what it would do and cost.
    Check(check::Arguments),
    /// Find problems of a recipe before a run.
    Doctor(doctor::Arguments),
    /// Show the past or future cost of a run, here or elsewhere.
    Cost(cost::Arguments),
    /// Measure a model on held-out questions.
    Eval(eval::Arguments),
    /// Print completions of a prompt or of a task's questions.
    Sample(sample::Arguments),
    /// Compute log-probabilities of given completions: JSON lines in, JSON lines out.
    Score(score::Arguments),
    /// Judge completions: JSON lines in, verdicts out.
    Verify(verify::Arguments),
    /// Try to fool the rewards of a recipe, or check what a run rewarded.
    Audit(audit::Arguments),
    /// Write questions of a task as JSON lines.
    Generate(generate::Arguments),
    /// Check files of questions, and find repeated ones.
    #[command(subcommand)]
    Data(data::Command),
    /// Time the standard shapes.
    Bench(bench::Arguments),
    /// Write a report of runs: one HTML file, figures, a table.
    Report(report::Arguments),
    /// Follow a run from another terminal.
    Watch(watch::Arguments),
    /// List tasks, verifiers, recipes, presets or devices.
    List(list::Arguments),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of recipes.
    Schema,
}

#[derive(clap::Args)]
struct RecipeArguments {
    /// File of the recipe.
    recipe: std::path::PathBuf,
    /// Override a key of the recipe, such as `stage.grpo.steps=5`; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
}

impl RecipeArguments {
    fn load(&self) -> Result<thinkling::plan::Plan, Failure> {
        train::load(&self.recipe, &self.overrides)
    }
}

/// The exit code of a command, or an error.
type Outcome = Result<u8, Failure>;

struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The command line or a recipe is wrong.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: FAILED, error: error.into() }
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn print_line(text: impl std::fmt::Display) -> std::io::Result<()> {
    print(&format!("{text}\n"))
}

/// Makes writing beyond a limit on the size of files an error with a name, not a signal that ends the program in silence. A
/// handler, since programs that are started would inherit it if the signal were ignored.
fn report_file_limits() -> std::io::Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default())?;
    Ok(())
}

pub(crate) fn main() -> ExitCode {
    // The sandbox of the code verifier starts this program again.
    thinkling_verifiers::code::worker::main_if_worker();
    let arguments = Arguments::parse();
    if let Err(error) = report_file_limits() {
        note(&format!("warning: a limit on the size of files will end the program: {error}"));
    }
    if let Err(faults) = thinkling::kernels::check_environment() {
        faults.iter().for_each(|fault| note(&format!("error: {fault}")));
        return ExitCode::from(USAGE);
    }
    let outcome = match arguments.command {
        Command::Train(arguments) => train::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Cost(arguments) => cost::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Data(command) => data::run(&command),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "thinkling", &mut script);
            print(&String::from_utf8_lossy(&script)).map(|()| DONE).map_err(Failure::from)
        }
        Command::Schema => serde_json::to_string_pretty(&thinkling::plan::Recipe::schema())
            .map_err(Failure::from)
            .and_then(|schema| Ok(print_line(schema)?))
            .map(|()| DONE),
    };
    ExitCode::from(outcome.unwrap_or_else(|failure| {
        let is_broken_pipe = failure
            .error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
        if failure.error.is::<thinkling::recipe::RecipeErrors>() {
            // These errors already name each mistake.
            note(&failure.error.to_string());
        } else if !is_broken_pipe {
            note(&format!("error: {:#}", failure.error));
        }
        failure.code
    }))
}
