//! `thinkling verify`: reads JSON lines, writes verdicts.

use std::io::{BufReader, stdin, stdout};
use std::num::NonZeroUsize;

use serde_json::Value;
use thinkling_datasets::{Domain, domains};
use thinkling_verifiers::{Item, VERIFIERS, Verdict, Verifier, lines};

use super::{DONE, FAILED, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A verifier of `thinkling list verifiers`, or a task.
    verifier: String,
    /// Settings as JSON.
    #[arg(long, value_parser = super::generate::json, default_value = "{}")]
    config: Value,
    /// Items judged at the same time, at most 1024 [default: one per core].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

struct Judge(Box<dyn Domain>);

impl Verifier for Judge {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        self.0.judge(item)
    }
}

fn find(name: &str, config: &Value) -> Result<Box<dyn Verifier>, Failure> {
    if let Some(row) = thinkling_verifiers::find(name) {
        return (row.build)(config).map_err(Failure::usage);
    }
    if let Some(row) = domains::find(name) {
        return Ok(Box::new(Judge((row.build)(config).map_err(Failure::usage)?)));
    }
    let names: Vec<&str> =
        VERIFIERS.iter().map(|row| row.name).chain(domains::DOMAINS.iter().map(|row| row.name)).collect();
    Err(usage!("there is no verifier `{name}`; there are {}", names.join(", ")))
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let verifier = find(&arguments.verifier, &arguments.config)?;
    if let Some(notice) = verifier.notice() {
        super::note(&format!("{}: {notice}", arguments.verifier));
    }
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = arguments.threads.map_or_else(cores, usize::from);
    let summary =
        lines::run_in_parallel(verifier.as_ref(), BufReader::new(stdin()), stdout().lock(), threads)?;
    Ok(if summary.bad == 0 { DONE } else { FAILED })
}
