//! `thinkling data`: files of questions, checked line by line and compared with those held out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thinkling_datasets::Split;
use thinkling_datasets::decontaminate::{DecontaminationSettings, HeldOut};
use thinkling_datasets::file::FileTasks;
use thinkling_datasets::jsonl::{JsonlError, LineCounts, Reader, Record};

use super::{DONE, FAILED, Failure, Outcome, note, print_line};

/// What can be done with a file.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say which lines can be read, and why the others cannot.
    Check(Check),
    /// Find the lines of a file that repeat runs of words of a held-out one.
    Decontaminate(Decontaminate),
}

/// Arguments of `data check`.
#[derive(clap::Args)]
pub(super) struct Check {
    /// JSON lines: `prompt`, GSM8K's `question`, MATH's `problem`, or `messages`.
    file: PathBuf,
    /// Also hold each line's own answer to this verifier, as a recipe would.
    #[arg(long)]
    verifier: Option<String>,
    /// The verifier's settings as JSON.
    #[arg(long, value_parser = super::generate::json, default_value = "{}", requires = "verifier")]
    config: Value,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `data decontaminate`.
#[derive(clap::Args)]
pub(super) struct Decontaminate {
    /// JSON lines to train on.
    train: PathBuf,
    /// JSON lines that are held out.
    #[arg(long)]
    against: PathBuf,
    /// Words of a run; a shorter held-out question is one run.
    #[arg(long, default_value_t = DecontaminationSettings::default().words)]
    n: usize,
    /// Least share of a line's runs that must be repeated, from 0 (one run) to 1.
    #[arg(long, default_value_t = 0.0)]
    share: f64,
    /// Count signs as words: for formulas.
    #[arg(long)]
    signs: bool,
    /// Where to write the lines that repeat nothing, as they are.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Check(arguments) => check(arguments),
        Command::Decontaminate(arguments) => decontaminate(arguments),
    }
}

/// Opens a file of the command line.
fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let is_file = std::fs::metadata(path).map(|found| !found.is_dir());
    let opened = is_file.and_then(|is_file| match is_file {
        true => File::open(path),
        false => Err(std::io::Error::other("it is a folder")),
    });
    opened
        .map(BufReader::new)
        .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read {}: {error}", path.display())))
}

fn code(bad: u64) -> u8 {
    if bad == 0 { DONE } else { FAILED }
}

fn check(arguments: &Check) -> Outcome {
    let name = arguments.file.display().to_string();
    let input = open(&arguments.file)?;
    let report = match &arguments.verifier {
        Some(verifier) => {
            let row = thinkling_verifiers::find(verifier).ok_or_else(|| {
                let names: Vec<&str> = thinkling_verifiers::VERIFIERS.iter().map(|row| row.name).collect();
                Failure::usage(anyhow::anyhow!(
                    "there is no verifier `{verifier}`; there are {}",
                    names.join(", ")
                ))
            })?;
            let verifier = (row.build)(&arguments.config).map_err(Failure::usage)?;
            let (_, report) = FileTasks::read_noting(input, &name, verifier, |fault| note(&fault))?;
            report
        }
        None => read_alone(input, &name)?,
    };
    if arguments.json {
        print_line(serde_json::to_value(&report)?)?;
    } else {
        let duplicates = report.train_duplicates + report.test_duplicates;
        print_line(format!(
            "{name}: {} good lines, {} at fault, {} blank; {} questions to train on, {} to test on; {duplicates} lines \
             repeat a question ({} of the train split, {} of the test split)",
            report.lines.good,
            report.lines.bad,
            report.lines.blank,
            report.train,
            report.test,
            report.train_duplicates,
            report.test_duplicates
        ))?;
    }
    Ok(code(report.lines.bad))
}

/// Reads a file without holding its questions.
fn read_alone(input: BufReader<File>, name: &str) -> Result<thinkling_datasets::file::Report, Failure> {
    let mut report = thinkling_datasets::file::Report::default();
    let mut seen = BTreeSet::new();
    let mut reader = Reader::new(input, name);
    for read in reader.by_ref() {
        match read {
            Ok(record) => {
                let prompt = record.whole_prompt();
                let is_new = seen.insert(*blake3::hash(prompt.as_bytes()).as_bytes());
                report.count(Split::of(&prompt), is_new);
            }
            Err(error @ JsonlError::Line { .. }) => {
                note(&error.to_string());
                report.complain(error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    report.lines = reader.counts();
    Ok(report)
}

/// The text of a line that is compared.
fn text_of(record: &Record) -> String {
    format!("{}\n{}", record.whole_prompt(), record.completion.as_deref().unwrap_or_default())
}

fn decontaminate(arguments: &Decontaminate) -> Outcome {
    let Decontaminate { n, share, signs, .. } = *arguments;
    let settings = DecontaminationSettings { words: n, share, signs };
    let mut held_out = HeldOut::new(settings).map_err(Failure::usage)?;
    let (train, against) = (open(&arguments.train)?, open(&arguments.against)?);
    for input in [&arguments.train, &arguments.against] {
        let is_input =
            |out: &PathBuf| out.canonicalize().ok().is_some_and(|out| input.canonicalize().ok() == Some(out));
        if arguments.out.as_ref().is_some_and(is_input) {
            let message = format!("--out would overwrite {}: give another file", input.display());
            return Err(Failure::usage(anyhow::anyhow!(message)));
        }
    }
    let tested = each_line(against, &arguments.against, |line, record, _| {
        held_out.add(record.id.clone().unwrap_or_else(|| format!("line {line}")), &record.whole_prompt());
        Ok(())
    })?;
    let mut out = match &arguments.out {
        Some(path) => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(BufWriter::new(tempfile::NamedTempFile::new_in(folder).map_err(|error| {
                Failure::usage(anyhow::anyhow!("cannot write {}: {error}", path.display()))
            })?))
        }
        None => None,
    };
    let mut found = Vec::new();
    let trained = each_line(train, &arguments.train, |line, record, text| {
        // The question alone too: one that is repeated whole is found however long the solution beside it.
        let overlap = held_out.overlap(&record.whole_prompt()).or_else(|| held_out.overlap(&text_of(record)));
        match (overlap, &mut out) {
            (Some(overlap), _) => {
                if !arguments.json {
                    let file = arguments.train.display();
                    print_line(format!(
                        "{file}, line {line}: repeats {}: \"{}\"",
                        overlap.with, overlap.example
                    ))?;
                }
                let mut row = serde_json::to_value(overlap)?;
                row["line"] = json!(line);
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
            "{contaminated} of {} lines repeat one of {} held-out ones; {} lines were at fault",
            trained.good,
            tested.good,
            trained.bad + tested.bad
        ))?;
    }
    Ok(code(trained.bad + tested.bad))
}

/// Visits the records of a file with their numbers and texts; names those at fault.
fn each_line(
    input: BufReader<File>,
    path: &Path,
    mut visit: impl FnMut(u64, &Record, &str) -> anyhow::Result<()>,
) -> Result<LineCounts, Failure> {
    let mut reader = Reader::new(input, path.display().to_string());
    while let Some(read) = reader.next() {
        match read {
            Ok(record) => visit(reader.line(), &record, reader.text())?,
            Err(error @ JsonlError::Line { .. }) => note(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reader.counts())
}
