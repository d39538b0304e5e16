//! Any program that speaks JSON lines, as a judge or as the poser and judge of a whole domain.
//!
//! The program is kept alive and answers a line with a line. As a judge it is asked
//! `{"id", "completion", "answer", "spec"}` and answers `{"id", "score"}` with `verdict`, `extracted` and `reason`
//! where it likes: what `verify` reads and writes, so that one `verify` can serve another. As a poser it is asked
//! `{"id", "pose": {"seed", "level", "settings"}}` and answers `{"id", "prompt", "answer", "spec", "solutions"}`, the
//! same for the same seed, level and settings. A program that dies is started anew and asked once more; one that dies
//! again, or answers something else, too much or too late, has failed: the item is an `error`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Item, Outcome, Row, SettingsError, Verdict, Verifier, settings};

#[cfg(unix)]
mod program;
#[cfg(not(unix))]
mod program {
    //! Where pipes cannot be waited for, no program is started.

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

/// The row of the table.
pub const ROW: Row = Row {
    name: "external",
    about: "a program of yours judges, over JSON lines on its standard input and output",
    build: |value| Ok(Box::new(External::new(settings::<Settings>("external", value)?)?)),
};

/// Which program judges, and its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Wall-clock seconds an item; the first one includes the program's start.
    pub time_limit_s: f64,
    /// Most bytes in one answer.
    pub output_limit_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { command: Vec::new(), time_limit_s: 30.0, output_limit_bytes: 1 << 20 }
    }
}

impl Settings {
    /// What can be told without starting the program.
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
    /// It could not be started.
    #[error("cannot start the external program: {0}")]
    Start(String),
    /// It ended, or closed its output.
    #[error("the external program ended before it answered")]
    Ended,
    /// Its time ran out.
    #[error("the external program did not answer within {0} s")]
    Late(f64),
    /// Its answer is too long.
    #[error("the external program answered more than {0} bytes")]
    TooLong(usize),
    /// Its pipes failed.
    #[error("the external program's pipes failed: {0}")]
    Pipe(#[from] std::io::Error),
    /// Its answer is no answer to the question.
    #[error("the external program's answer is not to be used: {0}")]
    Answer(String),
}

impl Failure {
    /// Whether the program died of it, which another process of it may not.
    fn is_death(&self) -> bool {
        matches!(self, Self::Ended | Self::Pipe(_))
    }
}

/// Characters of a program's line that a complaint shows.
const SHOWN: usize = 200;

/// A complaint about `line`, which should have been like `expected`.
fn unlike(line: &str, expected: &str, why: impl std::fmt::Display) -> Failure {
    let more = if line.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = line.chars().take(SHOWN).collect();
    Failure::Answer(format!("{why}; expected {expected}, got the line {shown:?}{more}"))
}

/// What a judge is to answer.
const VERDICT: &str = r#"{"id": as asked, "score": 0 to 1}"#;
/// What a poser is to answer.
const QUESTION: &str = r#"{"id": as asked, "prompt": text, "answer": text}"#;

/// A question that an external program posed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posed {
    /// The question.
    pub prompt: String,
    /// The right answer, where there is a single one.
    #[serde(default)]
    pub answer: Option<String>,
    /// What else the judge needs.
    #[serde(default)]
    pub spec: Option<Value>,
    /// Worked solutions: the kind of each and its thinking.
    #[serde(default)]
    pub solutions: BTreeMap<String, String>,
}

/// What a judge answers.
#[derive(Deserialize)]
struct Judged {
    score: f64,
    verdict: Option<Outcome>,
    extracted: Option<String>,
    #[serde(default)]
    reason: String,
}

/// Asks an external program; any number of threads may ask at once, each gets a process of its own.
pub struct External {
    settings: Settings,
    idle: Mutex<Vec<Program>>,
    asked: AtomicU64,
}

impl External {
    /// Starts the program once, so that a mistyped name is seen at once.
    ///
    /// Errors where the settings name no program or one that does not start.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let refusal = |message: String| SettingsError { verifier: "external", message };
        settings.check().map_err(refusal)?;
        let program = Program::start(&settings).map_err(|error| refusal(error.to_string()))?;
        Ok(Self { settings, idle: Mutex::new(vec![program]), asked: AtomicU64::new(0) })
    }

    /// The program and its arguments, for a reader.
    pub fn name(&self) -> String {
        self.settings.command.join(" ")
    }

    /// Has the program pose a question: the same for the same seed, level and settings.
    ///
    /// # Errors
    /// When the program does not answer, or not with a question.
    pub fn pose(&self, seed: u64, level: u32, settings: &Map<String, Value>) -> Result<Posed, Failure> {
        let mut pose = json!({"seed": seed, "level": level});
        if !settings.is_empty() {
            pose["settings"] = Value::Object(settings.clone());
        }
        let (answer, line) = self.ask(json!({ "pose": pose }), QUESTION)?;
        Posed::deserialize(answer).map_err(|error| unlike(&line, QUESTION, error))
    }

    /// Asks a question and gets the answer to it, and the line that it came as. A process that dies of it is replaced
    /// once: it may have been another's doing.
    fn ask(&self, question: Value, expected: &str) -> Result<(Value, String), Failure> {
        match self.ask_once(self.take()?, question.clone(), expected) {
            // Not another idle one: those that end after an answer may be about to end all.
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
        // A line too many would shift every later answer by one; the program is given up with it.
        if answer["id"] != json!(id) {
            let why = format!("its id is {}, asked was {id}", answer["id"]);
            return Err(unlike(&line, expected, why));
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(program);
        match answer.get("error") {
            Some(error) => Err(Failure::Answer(format!("it says {error}"))),
            None => Ok((answer, line)),
        }
    }

    /// An idle program that still lives, or a new one.
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
    Ok(Verdict { score, outcome, extracted, reason })
}
