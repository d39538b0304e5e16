//! `thinkling verify`: JSON lines in, verdicts out.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_datasets::{Domain, domains};
use thinkling_verifiers::{Item, VERIFIERS, Verdict, Verifier};

use super::{DONE, FAILED, Failure, Outcome, print_line};

/// Arguments of `verify`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A verifier of `thinkling list verifiers`, or a task.
    verifier: String,
    /// Its settings as JSON.
    #[arg(long, value_parser = super::generate::json, default_value = "{}")]
    config: Value,
}

/// A task's own judge.
struct Judge(Box<dyn Domain>);

impl Verifier for Judge {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        self.0.judge(item)
    }
}

#[derive(Deserialize)]
struct Line {
    id: Value,
    completion: String,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    spec: Option<Value>,
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
    Err(Failure::usage(anyhow::anyhow!("there is no verifier `{name}`; there are {}", names.join(", "))))
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let verifier = find(&arguments.verifier, &arguments.config)?;
    let mut code = DONE;
    for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => {
                let answer = line.answer.as_deref();
                let item = Item { completion: &line.completion, answer, spec: line.spec.as_ref() };
                let mut verdict = serde_json::to_value(verifier.verify(&item))?;
                verdict["id"] = line.id;
                print_line(verdict)?;
            }
            Err(error) => {
                code = FAILED;
                let error = format!("no object with id and completion: {error}");
                print_line(json!({ "id": null, "line": number + 1, "error": error }))?;
            }
        }
    }
    Ok(code)
}
