//! What the verifier and its worker process say to each other.

use serde::{Deserialize, Serialize};

use super::Tier;

/// The first message to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Interpreters to try, best first.
    pub(crate) pythons: Vec<String>,
    /// Whether to fall back on the interpreter that is built in.
    pub(crate) embedded: bool,
    /// Isolations to try, best first.
    pub(crate) tiers: Vec<Tier>,
}

/// What a worker found on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The isolation in force.
    pub tier: Tier,
    /// Whether the interpreter is the one built in, which knows part of the language.
    pub embedded: bool,
    /// CPython, resolved to the file that runs; empty where the interpreter is built in.
    pub python: String,
    /// The interpreter and its version, such as `CPython 3.11`.
    pub version: String,
    /// Why a stronger tier or an earlier interpreter was passed over; empty where none was.
    pub passed_over: Vec<String>,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tier = match self.tier {
            Tier::Namespaces => "namespaces, Landlock, seccomp and resource limits",
            Tier::Landlock => "Landlock, seccomp and resource limits, without namespaces",
            Tier::Limits => "resource limits only (unsafe)",
        };
        write!(f, "{}", self.version)?;
        if !self.embedded {
            write!(f, " ({})", self.python)?;
        }
        write!(f, " behind {tier}")?;
        self.passed_over.iter().try_for_each(|reason| write!(f, "; passed over: {reason}"))
    }
}

/// A message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Fork an attempt and give it its task. The reply follows unless `raw`.
    Start {
        /// Time left, in milliseconds.
        milliseconds: u64,
        /// Most bytes in one answer.
        output_limit: usize,
        /// Whether the answer is all the attempt prints until it ends, not one frame an input.
        raw: bool,
    },
    /// Pass an input on; the reply is the attempt's answer.
    Input,
    /// End the attempt; there is no reply.
    End,
}

/// A message from a worker: a tag before the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// What the attempt answered.
    Answer(Vec<u8>),
    /// The attempt ended without an answer; the wait status.
    Died(i32),
    /// The time is up, and the attempt was killed.
    Timeout,
    /// The attempt answered more than the limit, and was killed.
    Overflow,
    /// The interpreter itself was lost during the attempt.
    Lost(String),
    /// No attempt could be started, which is no fault of the program.
    Unstarted(String),
}

impl Reply {
    /// The bytes on the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, body) = match self {
            Reply::Answer(body) => (b'A', body.clone()),
            Reply::Died(status) => (b'D', status.to_le_bytes().to_vec()),
            Reply::Timeout => (b'T', Vec::new()),
            Reply::Overflow => (b'O', Vec::new()),
            Reply::Lost(why) => (b'L', why.clone().into_bytes()),
            Reply::Unstarted(why) => (b'U', why.clone().into_bytes()),
        };
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what `encode` wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, body) = bytes.split_first()?;
        Some(match tag {
            b'A' => Reply::Answer(body.to_vec()),
            b'D' => Reply::Died(i32::from_le_bytes(body.try_into().ok()?)),
            b'T' => Reply::Timeout,
            b'O' => Reply::Overflow,
            b'L' => Reply::Lost(String::from_utf8_lossy(body).into_owned()),
            b'U' => Reply::Unstarted(String::from_utf8_lossy(body).into_owned()),
            _ => return None,
        })
    }
}
