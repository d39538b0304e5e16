//! The commands: one file each.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use thinkling::tracking::progress::say as note;

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

/// Done.
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
    /// Check a recipe and say what it would do and cost; start nothing.
    Check(check::Arguments),
    /// Find what would go wrong with a recipe, before anything is paid for.
    Doctor(doctor::Arguments),
    /// What a run will cost, did cost, or would cost elsewhere.
    Cost(cost::Arguments),
    /// Measure a model on held-out questions.
    Eval(eval::Arguments),
    /// Print completions of a prompt or of a task's questions.
    Sample(sample::Arguments),
    /// Log-probabilities of given completions: JSON lines in, JSON lines out.
    Score(score::Arguments),
    /// Judge completions: JSON lines in, verdicts out.
    Verify(verify::Arguments),
    /// Try to fool the rewards of a recipe, or read what a run paid for.
    Audit(audit::Arguments),
    /// Write questions of a task as JSON lines.
    Generate(generate::Arguments),
    /// Check files of questions, and find what they repeat.
    #[command(subcommand)]
    Data(data::Command),
    /// Time the standard shapes.
    Bench(bench::Arguments),
    /// Draw one HTML file, and more, of what runs did.
    Report(report::Arguments),
    /// Follow a run from another terminal.
    Watch(watch::Arguments),
    /// List what there is.
    List(list::Arguments),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of recipes.
    Schema,
}

/// What a command ends with: its exit code, or an error for standard error.
type Outcome = Result<u8, Failure>;

/// An error and the exit code it calls for.
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

/// Writes results to standard output; a reader that has gone away ends the program in silence.
fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// As [`print`], with a line's end.
fn print_line(text: impl std::fmt::Display) -> std::io::Result<()> {
    print(&format!("{text}\n"))
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    // The sandbox of the code verifier is this program again.
    thinkling_verifiers::code::worker::main_if_worker();
    let arguments = Arguments::parse();
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
            // Each mistake in it says already that it is one.
            note(&failure.error.to_string());
        } else if !is_broken_pipe {
            note(&format!("error: {:#}", failure.error));
        }
        failure.code
    }))
}
