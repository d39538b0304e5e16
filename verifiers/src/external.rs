//! The verifier `external`: any program that speaks JSON lines, as a judge or as the poser and judge of a whole domain.
//!
//! The program is kept running and answers each line with one line. A judge receives `{"id", "completion", "answer",
//! "spec"}` and answers `{"id", "score"}`, with optional `verdict`, `extracted` and `reason`. `thinkling verify` reads
//! and writes the same lines, so it can serve as such a program. A poser receives `{"id", "pose": {"seed", "level",
//! "settings"}}` and answers `{"id", "prompt", "answer", "spec", "solutions"}`, always the same for the same seed,
//! level and settings. A program that dies is restarted and asked once more. If it dies again, or its answer is wrong
//! in form, too long or too late, the item is an `error`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Item, Outcome, Row, SettingsError, Verdict, Verifier, answer, settings};

#[cfg(unix)]
mod program;
#[cfg(not(unix))]
mod program {
    //! Without a way to wait for pipes, no program is started.

    use super::{Failure, Settings};

    pub(super) enum Program {}

    impl Program {
        pub(super) fn start(_: &Settings) -> Result<Self, Failure> {
            Err(Failure::Start("external programs need a Unix system".into()))
        }

        pub(super) fn is_alive(&mut self) -> bool {
            match *self {}
        }

        pub(super) fn ask(&mut self, _: &str, _: &Settings) -> Result<String, Failure> {
            match *self {}
        }
    }
}

use program::Program;

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "external",
    about: "your own program judges, over JSON lines on its standard input and output",
    build: |value| Ok(Box::new(External::new(settings::<Settings>("external", value)?)?)),
};

/// Which program judges, and its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Wall-clock seconds per item. The first item includes the start of the program.
    pub time_limit_s: f64,
    /// Maximum bytes in one answer.
    pub output_limit_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { command: Vec::new(), time_limit_s: 30.0, output_limit_bytes: 1 << 20 }
    }
}

impl Settings {
    /// Checks what can be checked without starting the program.
    pub fn check(&self) -> Result<(), String> {
        if self.command.is_empty() {
            return Err("`command` is missing: the program and its arguments, as a list".into());
        }
        if !(self.time_limit_s > 0.0 && self.time_limit_s <= 86_400.0) {
            return Err("`time_limit_s` must be above 0 and at most 86400".into());
        }
        if !(64..=1 << 30).contains(&self.output_limit_bytes) {
            return Err("`output_limit_bytes` must be 64 to 1073741824".into());
        }
        Ok(())
    }
}

/// What an external program did instead of answering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The program could not be started.
    #[error("cannot start the external program: {0}")]
    Start(String),
    /// The program ended, or closed its output.
    #[error("the external program ended before it answered")]
    Ended,
    /// The time ran out.
    #[error("the external program did not answer within {0} s")]
    Late(f64),
    /// The answer is too long.
    #[error("the external program answered more than {0} bytes")]
    TooLong(usize),
    /// The pipes failed.
    #[error("the external program's pipes failed: {0}")]
    Pipe(#[from] std::io::Error),
    /// The answer does not fit the question.
    #[error("the external program's answer is not usable: {0}")]
    Answer(String),
}

impl Failure {
    /// Whether the process died. A new process may then succeed.
    fn is_death(&self) -> bool {
        matches!(self, Self::Ended | Self::Pipe(_))
    }
}

/// Characters of a program's line that an error text shows.
const SHOWN: usize = 200;

/// An error text about `line`, which should have had the form `expected`.
fn unlike(line: &str, expected: &str, why: impl std::fmt::Display) -> Failure {
    let more = if line.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = line.chars().take(SHOWN).collect();
    Failure::Answer(format!("{why}; expected {expected}, got the line {shown:?}{more}"))
}

/// The form of a judge's answer.
const VERDICT: &str = r#"{"id": as asked, "score": 0 to 1}"#;
/// The form of a poser's answer.
const QUESTION: &str = r#"{"id": as asked, "prompt": text, "answer": text}"#;

/// A question that an external program posed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posed {
    /// The question.
    pub prompt: String,
    /// The right answer, if there is a single one.
    #[serde(default)]
    pub answer: Option<String>,
    /// Anything else the judge needs.
    #[serde(default)]
    pub spec: Option<Value>,
    /// Worked solutions: the thinking for each kind.
    #[serde(default)]
    pub solutions: BTreeMap<String, String>,
}

/// The answer of a judge.
#[derive(Deserialize)]
struct Judged {
    score: f64,
    verdict: Option<Outcome>,
    extracted: Option<String>,
    #[serde(default)]
    reason: String,
}

/// Asks an external program. Any number of threads may ask at the same time; each uses its own process.
pub struct External {
    settings: Settings,
    idle: Mutex<Vec<Program>>,
    asked: AtomicU64,
}

impl External {
    /// Starts the program once, so that a wrong name is reported immediately.
    ///
    /// # Errors
    /// When the settings name no program, or the program does not start.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let refusal = |message: String| SettingsError { verifier: "external", message };
        settings.check().map_err(refusal)?;
        let program = Program::start(&settings).map_err(|error| refusal(error.to_string()))?;
        Ok(Self { settings, idle: Mutex::new(vec![program]), asked: AtomicU64::new(0) })
    }

    /// The program and its arguments, for display.
    pub fn name(&self) -> String {
        self.settings.command.join(" ")
    }

    /// Asks the program for a question, which is the same for the same seed, level and settings.
    ///
    /// # Errors
    /// When the program does not answer, or its answer is not a question.
    pub fn pose(&self, seed: u64, level: u32, settings: &Map<String, Value>) -> Result<Posed, Failure> {
        let mut pose = json!({"seed": seed, "level": level});
        if !settings.is_empty() {
            pose["settings"] = Value::Object(settings.clone());
        }
        let (answer, line) = self.ask(json!({ "pose": pose }), QUESTION)?;
        Posed::deserialize(answer).map_err(|error| unlike(&line, QUESTION, error))
    }

    /// Sends a question and returns the answer, also as the line received. If the process dies, a new one is asked once
    /// more, because something else may have killed it.
    fn ask(&self, question: Value, expected: &str) -> Result<(Value, String), Failure> {
        match self.ask_once(self.take()?, question.clone(), expected) {
            // Not another idle process: a program that ends after each answer may be about to end in all of them.
            Err(failure) if failure.is_death() => {
                self.ask_once(Program::start(&self.settings)?, question, expected)
            }
            answered => answered,
        }
    }

    fn ask_once(
        &self,
        mut program: Program,
        mut question: Value,
        expected: &str,
    ) -> Result<(Value, String), Failure> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        question["id"] = json!(id);
        let line = program.ask(&question.to_string(), &self.settings)?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| unlike(&line, expected, error))?;
        // An extra line would shift all later answers by one, so the program is dropped too.
        if answer["id"] != json!(id) {
            let why = format!("its id is {}, but the question's id is {id}", answer["id"]);
            return Err(unlike(&line, expected, why));
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(program);
        match answer.get("error") {
            Some(error) => Err(Failure::Answer(format!("it says {error}"))),
            None => Ok((answer, line)),
        }
    }

    /// An idle program that is still running, or a new one.
    fn take(&self) -> Result<Program, Failure> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut program) = idle else { return Program::start(&self.settings) };
            if program.is_alive() {
                return Ok(program);
            }
        }
    }
}

impl Verifier for External {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        if let Err(reason) = answer::after_thinking(item.completion) {
            return Verdict::malformed(reason);
        }
        let question = json!({"completion": item.completion, "answer": item.answer, "spec": item.spec});
        match self.ask(question, VERDICT).and_then(|(answer, line)| judged(answer, &line)) {
            Ok(verdict) => verdict,
            Err(failure) => Verdict::error(format!("`{}`: {failure}", self.name())),
        }
    }
}

fn judged(answer: Value, line: &str) -> Result<Verdict, Failure> {
    let refuse = |why: String| Err(unlike(line, VERDICT, why));
    let Judged { score, verdict, extracted, reason } =
        Judged::deserialize(answer).map_err(|error| unlike(line, VERDICT, error))?;
    if !(0.0..=1.0).contains(&score) {
        return refuse(format!("its score is {score}; it must be 0 to 1"));
    }
    let outcome = verdict.unwrap_or(if score == 1.0 { Outcome::Correct } else { Outcome::Wrong });
    if (outcome == Outcome::Correct) != (score == 1.0) {
        return refuse(format!("its verdict is {outcome:?} with a score of {score}"));
    }
    // Only an answer can be partly right.
    if !matches!(outcome, Outcome::Correct | Outcome::Wrong) && score != 0.0 {
        return refuse(format!("its verdict is {outcome:?} with a score of {score}; it must be 0"));
    }
    Ok(Verdict { score, outcome, extracted, reason })
}
