//! The verifier's side of the connection to a worker process.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::PollFlags;

use super::Tier;
use super::frames::{declared, framed, take_frame};
use super::group::Group;
use super::protocol::{Hello, Probe, Reply, Request};
use super::worker::ARGUMENT;
use crate::pipes::{Deadline, read_some, wait, write_some};

/// Maximum time for a worker to find and start an interpreter.
const GREETING: Duration = Duration::from_secs(60);

/// How long a worker may give no sign of life. After that it counts as lost.
const GRACE: Duration = Duration::from_secs(25);

/// Maximum time for a worker to end itself, and for the kernel to end it after that.
const FAREWELL: Duration = Duration::from_secs(5);

/// Maximum bytes in a message from a worker, not counting the answer of an attempt.
const MAX_MESSAGE: usize = 1 << 20;

/// A worker process is unusable.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the worker process failed: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error(
        "the worker process sent an unknown message; does its main function begin with main_if_worker()?"
    )]
    Stranger,
}

/// A worker process.
pub(super) struct Client {
    child: Child,
    /// `None` once the worker has been asked to end.
    input: Option<ChildStdin>,
    output: ChildStdout,
    received: Vec<u8>,
    deadline: Deadline,
    longest: usize,
    /// Removed after the worker, because the worker's interpreters are its members.
    _group: Option<Group>,
}

impl Client {
    /// Starts a worker and returns it with what it found on the machine.
    pub(super) fn start(program: &Path, hello: &Hello) -> Result<(Self, Probe), ClientError> {
        let made = if hello.without.groups { Err("not tried".to_owned()) } else { Group::make() };
        let (group, no_group) = match made {
            Ok(group) => (Some(group), None),
            Err(why) => (None, Some(why)),
        };
        let hello = Hello { group: group.as_ref().map(Group::place), ..hello.clone() };
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            // If the allocator reserved a gibibyte in advance, the limit on the address space would not measure what an
            // attempt uses.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("its pipes are missing").into());
        };
        let deadline = Deadline::after(GREETING);
        let input = Some(input);
        let mut client = Self {
            child,
            input,
            output,
            received: Vec::new(),
            deadline,
            longest: MAX_MESSAGE,
            _group: group,
        };
        if let Some(input) = &client.input {
            rustix::io::ioctl_fionbio(input, true).map_err(io::Error::from)?;
        }
        rustix::io::ioctl_fionbio(&client.output, true).map_err(io::Error::from)?;
        let hello = serde_json::to_vec(&hello).map_err(io::Error::from)?;
        let answer = client.send(&hello).and_then(|()| client.receive()).map_err(|error| match error {
            // A program that is not a worker may also just end, before or after it has read everything.
            ClientError::Io(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) =>
            {
                ClientError::Stranger
            }
            other => other,
        })?;
        let probe: Result<Probe, String> =
            serde_json::from_slice(&answer).map_err(|_| ClientError::Stranger)?;
        let mut probe = probe.map_err(ClientError::Refused)?;
        if let Some(why) = no_group.filter(|_| probe.tier == Tier::Namespaces && !probe.embedded) {
            probe
                .missing
                .push(format!("programs may start threads but no processes (no memory group: {why})"));
        }
        Ok((client, probe))
    }

    /// Starts an attempt and returns its answer to the task. A `raw` attempt answers only after its input. `time` is
    /// the time limit of a new program, and `None` for a further attempt of the same program.
    pub(super) fn begin(
        &mut self,
        task: &[u8],
        time: Option<Duration>,
        memory_bytes: u64,
        output_limit: usize,
        raw: bool,
    ) -> Result<Option<Reply>, ClientError> {
        self.longest = output_limit.saturating_add(MAX_MESSAGE);
        let milliseconds = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.request(&Request::Start { milliseconds, memory_bytes, output_limit, raw }, Some(task))?;
        if raw { Ok(None) } else { self.reply().map(Some) }
    }

    /// Passes an input to the attempt and returns its answer.
    pub(super) fn ask(&mut self, input: &[u8]) -> Result<Reply, ClientError> {
        self.request(&Request::Input, Some(input))?;
        self.reply()
    }

    /// Ends the attempt.
    pub(super) fn end(&mut self) -> Result<(), ClientError> {
        self.request(&Request::End, None)
    }

    fn request(&mut self, request: &Request, body: Option<&[u8]>) -> Result<(), ClientError> {
        self.deadline = Deadline::after(GRACE);
        self.send(&serde_json::to_vec(request).map_err(io::Error::from)?)?;
        body.map_or(Ok(()), |body| self.send(body))
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            match Reply::decode(&self.receive()?).ok_or(ClientError::Stranger)? {
                Reply::Alive => self.deadline = Deadline::after(GRACE),
                reply => return Ok(reply),
            }
        }
    }

    fn send(&mut self, body: &[u8]) -> Result<(), ClientError> {
        let bytes = framed(body)?;
        let mut rest = bytes.as_slice();
        while let Some(input) = self.input.as_ref().filter(|_| !rest.is_empty()) {
            if self.deadline.has_passed() {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            wait([(input.as_fd(), PollFlags::OUT)], self.deadline)?;
            rest = &rest[write_some(input, rest)?..];
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            if declared(&self.received).is_some_and(|length| length > self.longest) {
                return Err(ClientError::Stranger);
            }
            if let Some(frame) = take_frame(&mut self.received) {
                return Ok(frame);
            }
            if self.deadline.has_passed() {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            let [ready] = wait([(self.output.as_fd(), PollFlags::IN)], self.deadline)?;
            if !ready.is_empty() && read_some(&self.output, &mut self.received)?.is_none() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the process ended").into());
            }
        }
    }
}

impl Drop for Client {
    /// Lets the worker kill and reap its child processes, then reaps the worker. Gives up on a worker that the kernel
    /// cannot end.
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Deadline::after(FAREWELL);
        let mut rest = Vec::new();
        while !deadline.has_passed() {
            let waited = wait([(self.output.as_fd(), PollFlags::IN)], deadline);
            if waited.is_err() || !matches!(read_some(&self.output, &mut rest), Ok(Some(_))) {
                break;
            }
            rest.clear();
        }
        let _ = self.child.kill();
        let deadline = Deadline::after(FAREWELL);
        while matches!(self.child.try_wait(), Ok(None)) && !deadline.has_passed() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
