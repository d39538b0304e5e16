//! `thinkling-verify VERIFIER [--config JSON]`: the verifiers without the trainer.

use std::io::{self, BufReader, Write};
use std::process::ExitCode;

use serde_json::Value;
use thinkling_verifiers::{VERIFIERS, code, find, lines};

const USAGE: &str = "usage: thinkling-verify VERIFIER [--config JSON] < LINES";

/// Exit codes: 0 done, 1 some lines were bad or could not be read, 2 the command line is wrong.
fn main() -> ExitCode {
    code::worker::main_if_worker();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, config) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [name] => (name, "null"),
        [name, "--config", config] | ["--config", config, name] => (name, config),
        _ => return fail(2, USAGE),
    };
    let Some(row) = find(name) else {
        let names: Vec<&str> = VERIFIERS.iter().map(|row| row.name).collect();
        return fail(2, &format!("no verifier `{name}`; there are {}", names.join(", ")));
    };
    let config: Value = match serde_json::from_str(config) {
        Ok(config) => config,
        Err(error) => return fail(2, &format!("--config is no JSON: {error}")),
    };
    let verifier = match (row.build)(&config) {
        Ok(verifier) => verifier,
        Err(error) => return fail(2, &error.to_string()),
    };
    if let Some(notice) = verifier.notice() {
        let _ = writeln!(io::stderr(), "{name}: {notice}");
    }
    match lines::run(verifier.as_ref(), BufReader::new(io::stdin()), io::stdout().lock()) {
        Ok(summary) if summary.bad == 0 => ExitCode::SUCCESS,
        Ok(summary) => fail(1, &format!("{} lines were no such object", summary.bad)),
        Err(error) => fail(1, &error.to_string()),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}
