//! The messages between the verifier and its worker process.

use serde::{Deserialize, Serialize};

use super::group::Place;
use super::{Tier, Without};

/// The first message to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Interpreters to try, best first.
    pub(crate) pythons: Vec<String>,
    /// Packages that the interpreter must have.
    pub(crate) packages: Vec<String>,
    /// Whether to fall back to the built-in interpreter.
    pub(crate) embedded: bool,
    /// Isolations to try, best first.
    pub(crate) tiers: Vec<Tier>,
    /// The memory group for the interpreters, if there is one.
    pub(crate) group: Option<Place>,
    pub(crate) without: Without,
}

/// What a worker found on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The isolation in use.
    pub tier: Tier,
    /// Whether the interpreter is the built-in one, which supports only part of the language.
    pub embedded: bool,
    /// The path of the CPython file that runs, or empty for the built-in interpreter.
    pub python: String,
    /// The name under which the interpreter was found. Its packages may depend on it.
    pub(crate) named: String,
    /// The interpreter and its version, such as `CPython 3.11`.
    pub version: String,
    /// Why a stronger tier or an earlier interpreter was not used. Empty if none was rejected.
    pub passed_over: Vec<String>,
    /// The version of Landlock in use. 0 in the tier without it.
    pub landlock: i32,
    /// Whether programs may start processes.
    pub processes: bool,
    /// What does not hold here, but would on another machine.
    pub missing: Vec<String>,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tier = match self.tier {
            Tier::Namespaces => format!("namespaces, Landlock (ABI {}), seccomp and limits", self.landlock),
            Tier::Landlock => {
                format!("Landlock (ABI {}), seccomp and limits, without namespaces", self.landlock)
            }
            Tier::Limits => "resource limits only (unsafe)".to_owned(),
        };
        write!(f, "{}", self.version)?;
        if !self.embedded {
            write!(f, " ({})", self.python)?;
        }
        write!(f, " behind {tier}")?;
        if !self.missing.is_empty() {
            write!(f, "; partial: {}", self.missing.join(", "))?;
        }
        self.passed_over.iter().try_for_each(|reason| write!(f, "; passed over: {reason}"))
    }
}

/// A message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Forks an attempt and gives it its task. The reply follows unless `raw`.
    Start {
        /// The time limit of a new program, in milliseconds. `None` for a further attempt of the same program.
        milliseconds: Option<u64>,
        /// Maximum memory of all processes of the attempt together.
        memory_bytes: u64,
        /// Maximum bytes in one answer.
        output_limit: usize,
        /// Whether the answer is everything the attempt prints until it ends, instead of one frame per input.
        raw: bool,
    },
    /// Passes an input on. The reply is the attempt's answer.
    Input,
    /// Ends the attempt. There is no reply.
    End,
}

/// A message from a worker: a tag, then the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The answer of the attempt.
    Answer(Vec<u8>),
    /// The attempt ended without an answer, with this wait status.
    Died(i32),
    /// The processor time ran out, and the attempt was killed.
    Timeout,
    /// The time for waiting ran out, and the attempt was killed.
    Waited,
    /// The machine ran something else for most of the wall-clock time. The program is not at fault.
    Starved,
    /// The attempt had too many threads or processes, and was killed.
    Crowded,
    /// The attempt did what this machine's isolation rules out, and was killed. The program is not at fault.
    Refused,
    /// The worker lives. The reply is still to come.
    Alive,
    /// The answer exceeded the limit, and the attempt was killed.
    Overflow,
    /// The interpreter itself was lost during the attempt.
    Lost(String),
    /// No attempt could be started. The program is not at fault.
    Unstarted(String),
}

impl Reply {
    /// Encodes the reply for the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, body) = match self {
            Reply::Answer(body) => (b'A', body.clone()),
            Reply::Died(status) => (b'D', status.to_le_bytes().to_vec()),
            Reply::Timeout => (b'T', Vec::new()),
            Reply::Waited => (b'W', Vec::new()),
            Reply::Starved => (b'S', Vec::new()),
            Reply::Crowded => (b'C', Vec::new()),
            Reply::Refused => (b'R', Vec::new()),
            Reply::Alive => (b'.', Vec::new()),
            Reply::Overflow => (b'O', Vec::new()),
            Reply::Lost(why) => (b'L', why.clone().into_bytes()),
            Reply::Unstarted(why) => (b'U', why.clone().into_bytes()),
        };
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Decodes what `encode` wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, body) = bytes.split_first()?;
        Some(match tag {
            b'A' => Reply::Answer(body.to_vec()),
            b'D' => Reply::Died(i32::from_le_bytes(body.try_into().ok()?)),
            b'T' => Reply::Timeout,
            b'W' => Reply::Waited,
            b'S' => Reply::Starved,
            b'C' => Reply::Crowded,
            b'R' => Reply::Refused,
            b'.' => Reply::Alive,
            b'O' => Reply::Overflow,
            b'L' => Reply::Lost(String::from_utf8_lossy(body).into_owned()),
            b'U' => Reply::Unstarted(String::from_utf8_lossy(body).into_owned()),
            _ => return None,
        })
    }
}
