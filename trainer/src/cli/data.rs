//! `thinkling data`: checks files of questions, and compares them with held-out ones.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thinkling_datasets::decontaminate::{DecontaminationSettings, HeldOut};
use thinkling_datasets::file::{self, FileTasks, Unchecked};
use thinkling_datasets::reader::{Counts, ReadError, Reader, is_parquet};
use thinkling_datasets::record::Record;
use thinkling_verifiers::Verifier;

use super::{DONE, FAILED, Failure, Outcome, note, print_line};

/// What to do with a file.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Check which lines can be read, and print why the others cannot.
    Check(Check),
    /// Find the lines of a file that repeat word sequences of a held-out file.
    Decontaminate(Decontaminate),
}

#[derive(clap::Args)]
pub(super) struct Check {
    /// JSON lines or a Parquet table with `prompt`, GSM8K's `question`, MATH's `problem`, or `messages`.
    file: PathBuf,
    /// Also check each line's answer with this verifier, as a recipe does.
    #[arg(long)]
    verifier: Option<String>,
    /// The verifier's settings as JSON.
    #[arg(long, value_parser = super::generate::json, default_value = "{}", requires = "verifier")]
    config: Value,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Decontaminate {
    /// Training file: JSON lines or a Parquet table.
    train: PathBuf,
    /// Held-out file: JSON lines or a Parquet table.
    #[arg(long)]
    against: PathBuf,
    /// Words per sequence; a shorter held-out question is one sequence.
    #[arg(long, default_value_t = DecontaminationSettings::default().words)]
    n: usize,
    /// Least share of a line's sequences that must be repeated, from 0 (one sequence) to 1.
    #[arg(long, default_value_t = 0.0)]
    share: f64,
    /// Count signs as words, for formulas.
    #[arg(long)]
    signs: bool,
    /// Write the lines that repeat nothing to this file, unchanged; rows of a table become JSON lines.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Check(arguments) => check(arguments),
        Command::Decontaminate(arguments) => decontaminate(arguments),
    }
}

fn open(path: &Path) -> Result<Reader<'static>, Failure> {
    Reader::open(path).map_err(Failure::usage)
}

fn code(bad: u64) -> u8 {
    if bad == 0 { DONE } else { FAILED }
}

fn check(arguments: &Check) -> Outcome {
    let name = arguments.file.display().to_string();
    let reader = open(&arguments.file)?;
    let verifier: Box<dyn Verifier> = match &arguments.verifier {
        Some(name) => {
            let row = thinkling_verifiers::find(name).ok_or_else(|| {
                let names: Vec<&str> = thinkling_verifiers::VERIFIERS.iter().map(|row| row.name).collect();
                usage!("there is no verifier `{name}`; there are {}", names.join(", "))
            })?;
            file::verifier(row, &arguments.config).map_err(Failure::usage)?
        }
        None => Box::new(Unchecked),
    };
    let (_, report) = FileTasks::read_noting(reader, verifier, |fault| note(&fault))?;
    if arguments.verifier.is_none() {
        note("the answers were not checked: give --verifier (and --config), as the recipe does");
    }
    if arguments.json {
        print_line(serde_json::to_value(&report)?)?;
    } else {
        let unit = report.unit;
        let duplicates = report.train_duplicates + report.test_duplicates;
        print_line(format!(
            "{name}: {} good {unit}s, {} faulty, {} blank; {} questions to train on, {} to test on; {duplicates} {unit}s \
             repeat a question ({} of the train split, {} of the test split)",
            report.counts.good,
            report.counts.bad,
            report.counts.blank,
            report.train,
            report.test,
            report.train_duplicates,
            report.test_duplicates
        ))?;
    }
    Ok(code(report.counts.bad))
}

fn text_of(record: &Record) -> String {
    format!("{}\n{}", record.whole_prompt(), record.completion.as_deref().unwrap_or_default())
}

fn decontaminate(arguments: &Decontaminate) -> Outcome {
    let Decontaminate { n, share, signs, .. } = *arguments;
    let settings = DecontaminationSettings { words: n, share, signs };
    let mut held_out = HeldOut::new(settings).map_err(Failure::usage)?;
    let (train, against) = (open(&arguments.train)?, open(&arguments.against)?);
    if arguments.out.as_deref().is_some_and(is_parquet) {
        return Err(usage!("--out writes JSON lines: give it a name that does not end in .parquet"));
    }
    let (unit, tested_unit) = (train.unit(), against.unit());
    for input in [&arguments.train, &arguments.against] {
        let is_input =
            |out: &PathBuf| out.canonicalize().ok().is_some_and(|out| input.canonicalize().ok() == Some(out));
        if arguments.out.as_ref().is_some_and(is_input) {
            return Err(usage!("--out would overwrite {}: give another file", input.display()));
        }
    }
    let tested = each_record(against, |number, record, _| {
        let name = record.id.clone().unwrap_or_else(|| format!("{tested_unit} {number}"));
        held_out.add(name, &record.whole_prompt());
        Ok(())
    })?;
    let mut out = match &arguments.out {
        Some(path) => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(BufWriter::new(
                tempfile::NamedTempFile::new_in(folder)
                    .map_err(|error| usage!("cannot write {}: {error}", path.display()))?,
            ))
        }
        None => None,
    };
    let mut found = Vec::new();
    let trained = each_record(train, |number, record, text| {
        // Also compares the question alone, so that a repeated question is found despite a long solution.
        let overlap = held_out.overlap(&record.whole_prompt()).or_else(|| held_out.overlap(&text_of(record)));
        match (overlap, &mut out) {
            (Some(overlap), _) => {
                if !arguments.json {
                    let file = arguments.train.display();
                    print_line(format!(
                        "{file}, {unit} {number}: repeats {}: \"{}\"",
                        overlap.with, overlap.example
                    ))?;
                }
                let mut row = serde_json::to_value(overlap)?;
                row["line"] = json!(number);
                found.push(row);
            }
            (None, Some(out)) => writeln!(out, "{text}")?,
            (None, None) => {}
        }
        Ok(())
    })?;
    if let (Some(out), Some(path)) = (out, &arguments.out) {
        out.into_inner().map_err(|error| error.into_error())?.persist(path)?;
    }
    let contaminated = found.len() as u64;
    if arguments.json {
        print_line(json!({
            "train": arguments.train, "against": arguments.against, "n": n, "train_lines": trained,
            "against_lines": tested, "contaminated": contaminated, "kept": trained.good - contaminated, "lines": found,
        }))?;
    } else {
        print_line(format!(
            "{contaminated} of {} {unit}s repeat one of {} held-out ones; {} were faulty",
            trained.good,
            tested.good,
            trained.bad + tested.bad
        ))?;
    }
    Ok(code(trained.bad + tested.bad))
}

/// Visits the records of a file with their numbers and texts; reports faulty ones.
fn each_record(
    mut reader: Reader<'_>,
    mut visit: impl FnMut(u64, &Record, &str) -> anyhow::Result<()>,
) -> Result<Counts, Failure> {
    while let Some(read) = reader.next() {
        match read {
            Ok(record) => visit(reader.number(), &record, reader.text())?,
            Err(fault @ ReadError::Fault { .. }) => note(&fault.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reader.counts())
}
