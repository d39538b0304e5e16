//! `thinkling generate`: writes questions of a task as JSON lines.

use std::io::{BufWriter, Write};

use serde::Deserialize;
use serde_json::Value;
use thinkling_datasets::external::{ExternalTasks, Settings};
use thinkling_datasets::{Dataset, Domain, Split, domains, jsonl};

use super::{DONE, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A task of `thinkling list tasks`, or `external` for questions of your own program.
    task: String,
    /// Number of questions.
    #[arg(long)]
    count: u64,
    /// Seed of the questions.
    #[arg(long)]
    seed: u64,
    /// Difficulty [default: the lowest level of the task].
    #[arg(long)]
    level: Option<u32>,
    /// train or test.
    #[arg(long, default_value = "train", value_parser = split)]
    split: Split,
    /// The task's settings as JSON.
    #[arg(long, value_parser = json, default_value = "{}")]
    settings: Value,
}

fn split(text: &str) -> Result<Split, String> {
    [Split::Train, Split::Test]
        .into_iter()
        .find(|split| split.name() == text)
        .ok_or("must be train or test".to_owned())
}

pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// The task called `name`; the error lists all tasks.
pub(super) fn find_task(name: &str) -> Result<&'static domains::Row, Failure> {
    domains::find(name).ok_or_else(|| {
        let names: Vec<&str> = domains::DOMAINS.iter().map(|row| row.name).collect();
        usage!(
            "there is no task `{name}`; there are {}. For questions of a program use `generate external`, with its `command` in \
             --settings",
            names.join(", ")
        )
    })
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let (name, domain): (&str, Box<dyn Domain>) = if arguments.task == "external" {
        let settings = Settings::deserialize(&arguments.settings).map_err(Failure::usage)?;
        let (tasks, _) =
            ExternalTasks::open(settings, &[arguments.level.unwrap_or(0)]).map_err(Failure::usage)?;
        ("external", Box::new(tasks))
    } else {
        let row = find_task(&arguments.task)?;
        (row.name, (row.build)(&arguments.settings).map_err(Failure::usage)?)
    };
    let level = arguments.level.unwrap_or(*domain.levels().start());
    let dataset = Dataset::named(name, domain.as_ref(), level, arguments.seed).map_err(Failure::usage)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for index in 0..arguments.count {
        let task = dataset.question(arguments.split, index).map_err(Failure::usage)?;
        jsonl::write_line(&mut out, &task)?;
    }
    out.flush()?;
    Ok(DONE)
}
