//! The verifier `code`: runs a program on tests, in a sandbox.
//!
//! The expected values never reach the process that runs the program. That process receives one input at a time and
//! answers with plain data. The comparison happens here, or, where a spec has test code, in a second worker process (see
//! [`worker`]) that never loads the program. So a program can forge only a value that it could also have returned. If a
//! worker is lost, a new one runs the item once more. If that fails too, the verdict is `error`, never `wrong`.
//!
//! The program is the last closed Python block in the answer that defines what the tests call (see `source.rs`). The
//! item's spec gives the tests:
//!
//! | key | meaning |
//! | --- | --- |
//! | `kind` | `function`, `stdio`, `asserts`, `humaneval` or `asserts_untrusted` |
//! | `entry` | `function`: its name, or `Class.method` of a class whose constructor needs no arguments; `asserts`: a name that stands for a call of the program |
//! | `entries` | `asserts`: several such names |
//! | `tests` | `function`: objects with `args`, `kwargs`, `expect`; `stdio`: with `stdin`, `stdout` (a text, or a list of texts of which one must be printed) |
//! | `asserts` | a list of Python `assert` statements, each a string or `{"assert": …}` |
//! | `prompt`, `entry_point`, `test` | `humaneval`: the fields of the data set |
//! | `checker` | `stdio`: Python source with `check(stdin, stdout, expected)`, which returns True or False in place of the comparison; `expected` is what the test has as `stdout` |
//! | `public` | in a test: whether the prompt shows it (default false); at least one test must be hidden |
//! | `setup` | source that runs before the program and next to the test code: imports, constants |
//! | `partial` | `all` (default), `fraction`, `first_failure` |
//! | `time_limit_s`, `memory_mb`, `output_limit_bytes` | limits; the time limit is for all tests together: seconds of processor time, and as many of waiting |
//! | `tolerance` | maximum difference from an expected float, relative to the larger of 1 and that float (default 1e-9) |
//! | `printed` | `stdio`: `lines` (default; trailing spaces do not count; with `tolerance`, numbers within a line compare by value) or `tokens` (numbers compare by value, floats within the tolerance, integers exactly) |
//!
//! A program that crashes, exits with another status than 0 or is killed fails its test, whatever it printed before.
//!
//! Types are exact: a boolean is not a number, nan equals nothing, and an instance of a subclass is not a value, except
//! the dictionaries of `collections` and named tuples. In `function` tests the expected values are JSON, so a tuple
//! equals a list, and an integer key equals the string of its digits. JSON holds an integer beyond 64 bits only as the
//! nearest float; an assertion keeps all its digits.
//!
//! The code of `asserts`, `humaneval` and `checker` runs in the second worker. There the program's names are stand-ins: a
//! call of one sends its arguments to the program's process, and returns the plain data that comes back. An object that
//! is not plain data stays there, and a stand-in takes its place: its attributes and methods can be used, but an operator
//! between it and a plain value is refused. In `asserts` only the names in `entry` and `entries` are stand-ins. If the
//! spec gives neither, they are the unknown names that the assertions call, unless one of them might be a comparison
//! that the program must not carry out. Any other unknown name makes the item an `error`. `==` in an assertion compares
//! as described above; in `humaneval` it is Python's own. `np` offers what tests use to compare numbers, also without
//! numpy. With `asserts_untrusted` the assertions run beside the program, which could forge the result.

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
mod group;
#[cfg(target_os = "linux")]
mod judge;
#[cfg(target_os = "linux")]
mod printed;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod root;
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
mod trusted;
#[cfg(target_os = "linux")]
mod usage;
#[cfg(target_os = "linux")]
mod zygote;

#[cfg(target_os = "linux")]
pub use judge::Code;
#[cfg(target_os = "linux")]
pub use protocol::Probe;

/// The row in [`VERIFIERS`](crate::VERIFIERS).
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

/// How a worker isolates programs, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// User, process, network, mount and IPC namespaces, Landlock, seccomp and resource limits.
    Namespaces,
    /// Landlock, seccomp and resource limits.
    Landlock,
    /// Only resource limits: a program can read and change its user's files. Needs `unsafe`.
    Limits,
}

/// Which interpreter runs programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// CPython if one works, otherwise the embedded interpreter if this build has it.
    #[default]
    Auto,
    /// CPython as installed on the machine.
    Cpython,
    /// The interpreter built in with the feature `embedded`: supports part of Python, and only tests of kind
    /// `function`.
    Embedded,
}

/// How the passed tests become a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// 1 if every test passes, otherwise 0.
    #[default]
    All,
    /// The share of tests that pass.
    Fraction,
    /// The share of tests that pass before the first failure.
    FirstFailure,
}

/// How programs run. The item's spec can override the limits and the credit.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which interpreter runs programs.
    pub executor: Executor,
    /// The path of CPython. If empty, the first working one on the path is used.
    pub python: String,
    /// How the passed tests become a score.
    pub partial: Credit,
    /// Seconds of processor time for all tests of an item together, and as many for waiting.
    pub time_limit_s: f64,
    /// Maximum memory of a program, in MiB: the address space of each process, and the memory of all together.
    pub memory_mb: u64,
    /// Installed packages that programs may import, such as `numpy`. Their whole folder becomes readable.
    pub packages: Vec<String>,
    /// Maximum bytes of one returned value, or of the output of one run.
    pub output_limit_bytes: usize,
    /// The only isolation to accept. By default the strongest that the machine offers is used.
    pub isolation: Option<Tier>,
    /// Whether to run programs with only resource limits if the machine offers no isolation.
    #[serde(rename = "unsafe")]
    pub unsafe_allowed: bool,
    /// The program to start as a worker. Its `main` must begin with [`worker::main_if_worker`]. By default it is this
    /// program.
    pub worker: Option<PathBuf>,
    /// What this machine is said to lack, in tests. A recipe cannot set it.
    #[serde(skip)]
    #[doc(hidden)]
    pub without: Without,
}

/// What a machine is said to lack, in tests of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[doc(hidden)]
pub struct Without {
    /// The versions of Landlock after this one.
    pub landlock_after: Option<i32>,
    /// Memory control groups.
    pub groups: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            executor: Executor::Auto,
            python: String::new(),
            partial: Credit::All,
            time_limit_s: 5.0,
            memory_mb: 512,
            packages: Vec::new(),
            output_limit_bytes: 1 << 20,
            isolation: None,
            unsafe_allowed: false,
            worker: None,
            without: Without::default(),
        }
    }
}
