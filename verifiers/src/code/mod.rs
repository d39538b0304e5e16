//! A program as the answer: judged by running it on tests, behind a wall.
//!
//! The expected values never leave this process. The program runs in an interpreter of a worker process (see
//! [`worker`]), gets one input at a time and answers with plain data, which is compared here. A program can thus
//! forge nothing but a value that it could have returned anyway. A worker that is lost is replaced and the item is
//! tried once more; what then still fails is an `error`, never a wrong answer.
//!
//! The program is the last closed block of Python in the answer. The item's spec says how it is tested:
//!
//! | key | meaning |
//! | --- | --- |
//! | `kind` | `function`, `stdio`, `asserts` or `asserts_untrusted` |
//! | `entry` | `function`: its name, or `Class.method` of a class that is made without arguments |
//! | `tests` | `function`: objects with `args`, `kwargs`, `expect`; `stdio`: with `stdin`, `stdout` |
//! | `asserts` | a Python `assert` each, as a string or as `{"assert": …}` |
//! | `public` | in a test: the prompt shows it (default false); at least one test must be hidden |
//! | `setup` | source that runs before the program and beside the assertions: imports, constants |
//! | `partial` | `all` (default), `fraction`, `first_failure` |
//! | `time_limit_s`, `memory_mb`, `output_limit_bytes` | limits; the time is that of all tests together |
//! | `tolerance` | where a float is expected, relative to the larger of 1 and that float (default 1e-9) |
//! | `printed` | `stdio`: `lines` (default; spaces at line ends do not count) or `tokens` (numbers by value) |
//!
//! Types are exact: a truth value is no number, nan equals nothing, a subclass is no value. In `function` tests, whose
//! expected values are JSON, a tuple equals a list and an integer key the string of its digits; JSON holds an integer
//! beyond 64 bits only as the float nearest to it, an assertion holds all of its digits. An assertion is taken
//! apart: the calls of the program are evaluated beside it, the rest without it. One that cannot be taken apart is an
//! `error`, unless the kind is `asserts_untrusted`, where the program could forge the result.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Row, SettingsError, settings};

pub mod worker;

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod data;
#[cfg(all(target_os = "linux", feature = "embedded"))]
mod embedded;
#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod judge;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod source;
#[cfg(target_os = "linux")]
mod spec;
#[cfg(target_os = "linux")]
mod zygote;

#[cfg(target_os = "linux")]
pub use judge::Code;
#[cfg(target_os = "linux")]
pub use protocol::Probe;

/// The row of the table.
pub const ROW: Row = Row {
    name: "code",
    about: "a Python program passes the tests of the item's spec, run in a sandbox",
    build: |value| build(settings::<Settings>("code", value)?),
};

#[cfg(target_os = "linux")]
fn build(settings: Settings) -> Result<Box<dyn crate::Verifier>, SettingsError> {
    Ok(Box::new(Code::new(settings)?))
}

#[cfg(not(target_os = "linux"))]
fn build(_: Settings) -> Result<Box<dyn crate::Verifier>, SettingsError> {
    Err(refusal("programs are judged on Linux only: this system has neither Landlock nor seccomp"))
}

fn refusal(message: impl Into<String>) -> SettingsError {
    SettingsError { verifier: "code", message: message.into() }
}

/// How a worker isolates what it runs, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// User, process, network, mount and IPC namespaces, Landlock, seccomp and resource limits.
    Namespaces,
    /// Landlock, seccomp and resource limits.
    Landlock,
    /// Resource limits only: a program can read and change the files of its user. Needs `unsafe`.
    Limits,
}

/// Which interpreter runs programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// CPython where one works, else the embedded interpreter where this build has it.
    #[default]
    Auto,
    /// CPython, as installed on the machine.
    Cpython,
    /// The interpreter built in with the feature `embedded`: part of Python, tests of kind `function` only.
    Embedded,
}

/// How passed tests become a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// 1 where every test passes, else 0.
    #[default]
    All,
    /// The share of the tests that pass.
    Fraction,
    /// The share of the tests that pass before the first that fails.
    FirstFailure,
}

/// How programs are run; the limits and the credit hold where the item's spec gives none.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which interpreter runs programs.
    pub executor: Executor,
    /// CPython's file; empty for the first on the path that works.
    pub python: String,
    /// How passed tests become a score.
    pub partial: Credit,
    /// Wall-clock seconds for all tests of an item together.
    pub time_limit_s: f64,
    /// Address space of a program, in MiB.
    pub memory_mb: u64,
    /// Bytes of one returned value, or of what one run prints.
    pub output_limit_bytes: usize,
    /// The only isolation to accept; by default the strongest that the machine offers.
    pub isolation: Option<Tier>,
    /// Whether to run programs behind resource limits alone where the machine offers no isolation.
    #[serde(rename = "unsafe")]
    pub unsafe_allowed: bool,
    /// The program to start as worker, whose `main` begins with [`worker::main_if_worker`]; by default this one.
    pub worker: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            executor: Executor::Auto,
            python: String::new(),
            partial: Credit::All,
            time_limit_s: 5.0,
            memory_mb: 512,
            output_limit_bytes: 1 << 20,
            isolation: None,
            unsafe_allowed: false,
            worker: None,
        }
    }
}
