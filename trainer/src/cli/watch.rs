//! `thinkling watch`: follows a run through its files.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use thinkling::tracking::live::{Overview, measured, shown};
use thinkling::tracking::progress::Progress;
use thinkling::tracking::rows::{Row, Tells, number, parse_lines, word};
use thinkling::tracking::run_folder::{METRICS, RECIPE, SUMMARY};

use super::{DONE, Failure, INTERRUPTED, Outcome, note, print, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Run folder; waits for it if it does not exist yet.
    run: PathBuf,
    /// Print the current state, and end.
    #[arg(long)]
    once: bool,
}

const PAUSE: Duration = Duration::from_millis(300);
/// Seconds between two lines if standard error is not a terminal.
const EVERY_S: f64 = 5.0;

struct Tail {
    path: PathBuf,
    /// Bytes of the complete lines read so far.
    read: u64,
}

impl Tail {
    /// The new rows, and whether the file was cut: a resume does that.
    fn rows(&mut self) -> std::io::Result<(Vec<Row>, bool)> {
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
            Err(error) => return Err(error),
        };
        let is_cut = file.metadata()?.len() < self.read;
        if is_cut {
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        Ok((parse_lines(&String::from_utf8_lossy(&bytes[..whole])).0, is_cut))
    }
}

/// The steps of the stage `name`, from the recipe in the run folder.
fn steps_of(run: &Path, name: &str) -> Option<u64> {
    let recipe: toml::Table = fs::read_to_string(run.join(RECIPE)).ok()?.parse().ok()?;
    let stages = recipe.get("stage")?.as_array()?;
    let stage = stages.iter().find(|stage| stage.get("name").and_then(toml::Value::as_str) == Some(name))?;
    stage.get("steps")?.as_integer()?.try_into().ok()
}

fn status(run: &Path) -> Option<String> {
    let summary: Value = serde_json::from_slice(&fs::read(run.join(SUMMARY)).ok()?).ok()?;
    Some(summary["status"].as_str()?.to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let run = &arguments.run;
    let path = run.join(METRICS);
    if arguments.once && !path.exists() {
        let error = anyhow::anyhow!("{} is not a run folder: it has no {METRICS}", run.display());
        return Err(Failure::usage(error));
    }
    if run.exists() && !run.is_dir() {
        return Err(usage!("{} is not a folder", run.display()));
    }
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupt.clone())?;
    }
    let mut tail = Tail { path, read: 0 };
    let mut overview = Overview::default();
    let mut progress = Progress::new(EVERY_S);
    let mut is_first = true;
    if !arguments.once && !tail.path.exists() {
        note(&format!("waiting for {}", run.display()));
    }
    loop {
        // Read before the rows, so that no row before the end is missed.
        let status = status(run);
        let (rows, is_cut) = tail.rows()?;
        if is_cut {
            overview = Overview::default();
        }
        rows.iter().for_each(|row| overview.add(row));
        let is_over = status.is_some() || arguments.once;
        if is_over {
            drop(progress);
            print(&overview.text(|name| steps_of(run, name)))?;
            print_line(status.as_deref().unwrap_or("running, or killed"))?;
            return Ok(DONE);
        }
        // Of the rows before the watch began, only the last is shown.
        let fresh = if is_first { &rows[rows.len().saturating_sub(1)..] } else { &rows[..] };
        fresh.iter().for_each(|row| show(&mut progress, run, row));
        is_first = is_first && rows.is_empty();
        if interrupt.load(Ordering::Relaxed) {
            return Ok(INTERRUPTED);
        }
        std::thread::sleep(PAUSE);
    }
}

fn show(progress: &mut Progress, run: &Path, row: &Row) {
    if Tells::of(row) == Tells::Measured {
        progress.note(&measured(row));
        return;
    }
    let (stage, step) = (word(row, "stage"), number(row, "step").unwrap_or(0.0) as u64);
    progress.step(stage, step, steps_of(run, stage).unwrap_or(step), &shown(row));
}
