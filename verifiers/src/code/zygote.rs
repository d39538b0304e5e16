//! A warmed interpreter behind the wall, and the attempt that it forked last.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::Tier;
use super::frames::{declared, framed, take_frame};
use super::protocol::Reply;
use super::sandbox::{self, Ends, Interpreter};
use crate::pipes::{Deadline, read_some, wait, write_some};

/// How long the interpreter itself may take to start, fork or bury.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the interpreter says of itself and its attempts.
enum Notice {
    Ready(u32),
    Failed(String),
    Forked(i32),
    Ended(i32),
}

/// The attempt under way.
struct Attempt {
    pid: i32,
    ended: Option<i32>,
    /// What it has not yet read.
    pending: Vec<u8>,
    /// What it has answered.
    buffer: Vec<u8>,
    deadline: Deadline,
    output_limit: usize,
    raw: bool,
}

/// A warmed interpreter.
pub(super) struct Zygote {
    pid: Pid,
    tier: Tier,
    input: OwnedFd,
    output: OwnedFd,
    /// The attempt's ends of both, which the next attempt gets as this one leaves them.
    attempt_input: OwnedFd,
    attempt_output: OwnedFd,
    requests: OwnedFd,
    notices: OwnedFd,
    notice_buffer: Vec<u8>,
    attempt: Option<Attempt>,
}

impl Zygote {
    /// Starts an interpreter and waits until it is warm; its version, major and minor.
    pub(super) fn start(tier: Tier, interpreter: &Interpreter) -> Result<(Self, (u32, u32)), String> {
        let text = |error: rustix::io::Errno| error.to_string();
        let (input_end, input) = pipe_with(PipeFlags::CLOEXEC).map_err(text)?;
        let (output, output_end) = pipe_with(PipeFlags::CLOEXEC).map_err(text)?;
        let (requests_end, requests) = pipe_with(PipeFlags::CLOEXEC).map_err(text)?;
        let (notices, notices_end) = pipe_with(PipeFlags::CLOEXEC).map_err(text)?;
        for ours in [&input, &output] {
            rustix::io::ioctl_fionbio(ours, true).map_err(text)?;
        }
        let attempt_input = rustix::io::fcntl_dupfd_cloexec(&input_end, 0).map_err(text)?;
        let attempt_output = rustix::io::fcntl_dupfd_cloexec(&output_end, 0).map_err(text)?;
        let ends =
            Ends { input: input_end, output: output_end, requests: requests_end, notices: notices_end };
        let pid = sandbox::spawn(tier, interpreter, ends).map_err(|error| error.to_string())?;
        let mut zygote = Self {
            pid,
            tier,
            input,
            output,
            attempt_input,
            attempt_output,
            requests,
            notices,
            notice_buffer: Vec::new(),
            attempt: None,
        };
        match zygote.next_notice(Deadline::after(PATIENCE)) {
            Ok(Notice::Ready(version)) => Ok((zygote, (version >> 16, version & 0xffff))),
            Ok(Notice::Failed(why)) => Err(zygote.destroyed(why)),
            Ok(_) => Err(zygote.destroyed("the interpreter spoke out of turn".into())),
            Err(error) => Err(zygote.destroyed(format!("the interpreter did not start: {error}"))),
        }
    }

    fn destroyed(self, why: String) -> String {
        self.destroy();
        why
    }

    /// Kills the interpreter and everything below it, and reaps all of it.
    pub(super) fn destroy(self) {
        sandbox::kill(self.pid);
        // With a process namespace the kernel has killed what was in it; without one the attempt is an orphan of the
        // worker now, and it could start no process of its own.
        if let Some(Attempt { pid, ended: None, .. }) = self.attempt
            && self.tier != Tier::Namespaces
            && let Some(pid) = Pid::from_raw(pid)
        {
            sandbox::kill(pid);
        }
        while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
    }

    /// Forks an attempt and queues its task.
    pub(super) fn begin(
        &mut self,
        task: &[u8],
        deadline: Deadline,
        output_limit: usize,
        raw: bool,
    ) -> io::Result<()> {
        rustix::io::write(&self.requests, b"F")?;
        let patience = Deadline::after(PATIENCE);
        loop {
            match self.next_notice(patience)? {
                Notice::Forked(pid) => {
                    let pending = framed(task)?;
                    let buffer = Vec::new();
                    self.attempt =
                        Some(Attempt { pid, ended: None, pending, buffer, deadline, output_limit, raw });
                    return Ok(());
                }
                Notice::Failed(why) => return Err(io::Error::other(why)),
                Notice::Ready(_) | Notice::Ended(_) => {}
            }
        }
    }

    /// Queues an input for the attempt.
    pub(super) fn put(&mut self, input: &[u8]) -> io::Result<()> {
        if let Some(attempt) = &mut self.attempt {
            attempt.pending.extend_from_slice(&framed(input)?);
        }
        Ok(())
    }

    /// Waits for the attempt's answer; an error where the interpreter is lost or nobody waits any more.
    pub(super) fn answer(&mut self) -> io::Result<Reply> {
        loop {
            let Some(attempt) = &mut self.attempt else { return Ok(Reply::Died(0)) };
            let over = if attempt.raw {
                attempt.buffer.len() > attempt.output_limit
            } else {
                declared(&attempt.buffer).is_some_and(|length| length > attempt.output_limit)
            };
            if over {
                self.end()?;
                return Ok(Reply::Overflow);
            }
            if !attempt.raw
                && let Some(frame) = take_frame(&mut attempt.buffer)
            {
                return Ok(Reply::Answer(frame));
            }
            if let Some(status) = attempt.ended {
                let reply = if attempt.raw {
                    Reply::Answer(std::mem::take(&mut attempt.buffer))
                } else {
                    Reply::Died(status)
                };
                return Ok(reply);
            }
            if attempt.deadline.has_passed() {
                self.end()?;
                return Ok(Reply::Timeout);
            }
            self.pump()?;
        }
    }

    /// Moves what can be moved, waiting until something can.
    fn pump(&mut self) -> io::Result<()> {
        let Some(attempt) = &mut self.attempt else { return Ok(()) };
        let (parent, _) = sandbox::parent();
        let writing = if attempt.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let [hung_up, output, input, notices] = wait(
            [
                (parent, PollFlags::empty()),
                (self.output.as_fd(), PollFlags::IN),
                (self.input.as_fd(), writing),
                (self.notices.as_fd(), PollFlags::IN),
            ],
            attempt.deadline,
        )?;
        if hung_up.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the verifier has gone"));
        }
        if input.intersects(PollFlags::OUT) {
            let written = write_some(&self.input, &attempt.pending)?;
            attempt.pending.drain(..written);
        }
        if output.intersects(PollFlags::IN) {
            read_some(&self.output, &mut attempt.buffer)?;
        }
        if notices.intersects(PollFlags::IN | PollFlags::HUP) {
            self.settle(Deadline::after(PATIENCE))?;
        }
        Ok(())
    }

    /// Takes the notice that the attempt has ended, and what it had still answered.
    fn settle(&mut self, deadline: Deadline) -> io::Result<()> {
        let status = loop {
            match self.next_notice(deadline)? {
                Notice::Ended(status) => break status,
                Notice::Failed(why) => return Err(io::Error::other(why)),
                Notice::Ready(_) | Notice::Forked(_) => {}
            }
        };
        if let Some(attempt) = &mut self.attempt {
            attempt.ended = Some(status);
            // The pipe holds no more than its capacity, and nobody writes to it now.
            while read_some(&self.output, &mut attempt.buffer)?.is_some_and(|count| count > 0) {}
        }
        Ok(())
    }

    /// Ends the attempt, with everything it started, and makes the pipes as they were before it.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        if attempt.ended.is_none() {
            match Pid::from_raw(attempt.pid) {
                Some(pid) if self.tier != Tier::Namespaces => sandbox::kill(pid),
                // Numbers differ between the namespaces: the interpreter kills all beside itself.
                _ => {
                    rustix::io::write(&self.requests, b"K")?;
                }
            }
            self.settle(Deadline::after(PATIENCE))?;
        }
        self.attempt = None;
        // A pipe that an attempt made non-blocking stays so for those who share it.
        for end in [&self.attempt_input, &self.attempt_output] {
            rustix::fs::fcntl_setfl(end, OFlags::empty())?;
        }
        let mut left = Vec::new();
        while read_some(&self.output, &mut left)?.is_some_and(|count| count > 0) {
            left.clear();
        }
        // This end is blocking, as the attempt needs it: ask before each read.
        while wait([(self.attempt_input.as_fd(), PollFlags::IN)], Deadline::after(Duration::ZERO))?[0]
            .intersects(PollFlags::IN)
        {
            read_some(&self.attempt_input, &mut left)?;
            left.clear();
        }
        Ok(())
    }

    fn next_notice(&mut self, deadline: Deadline) -> io::Result<Notice> {
        loop {
            if let Some(notice) = self.take_notice() {
                return Ok(notice);
            }
            if deadline.has_passed() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the interpreter gives no sign of life"));
            }
            let [ready] = wait([(self.notices.as_fd(), PollFlags::IN)], deadline)?;
            if !ready.is_empty() && read_some(&self.notices, &mut self.notice_buffer)?.is_none() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the interpreter has ended"));
            }
        }
    }

    fn take_notice(&mut self) -> Option<Notice> {
        let (tag, rest) = self.notice_buffer.split_first()?;
        let value = *rest.first_chunk::<4>()?;
        let (notice, used) = match tag {
            b'R' => (Notice::Ready(u32::from_le_bytes(value)), 5),
            b'P' => (Notice::Forked(i32::from_le_bytes(value)), 5),
            b'D' => (Notice::Ended(i32::from_le_bytes(value)), 5),
            _ => {
                let length = u32::from_le_bytes(value) as usize;
                let text = rest.get(4..4 + length)?;
                (Notice::Failed(String::from_utf8_lossy(text).into_owned()), 5 + length)
            }
        };
        self.notice_buffer.drain(..used);
        Some(notice)
    }
}
