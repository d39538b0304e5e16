//! A warmed interpreter in the sandbox, and its latest attempt.

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

/// Maximum time for the interpreter itself to start, fork, or reap an attempt.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the interpreter reports about itself and its attempts.
enum Notice {
    Ready(u32),
    Failed(String),
    Forked(i32),
    Ended(i32),
}

/// The current attempt.
struct Attempt {
    pid: i32,
    ended: Option<i32>,
    /// Input that the attempt has not read yet.
    pending: Vec<u8>,
    /// Output of the attempt that has not been taken yet.
    buffer: Vec<u8>,
    deadline: Deadline,
    output_limit: usize,
    raw: bool,
}

/// A warmed interpreter that forks attempts.
pub(super) struct Zygote {
    pid: Pid,
    tier: Tier,
    input: OwnedFd,
    output: OwnedFd,
    /// The attempt's ends of both pipes. The next attempt inherits them in the state this one leaves.
    attempt_input: OwnedFd,
    attempt_output: OwnedFd,
    requests: OwnedFd,
    notices: OwnedFd,
    notice_buffer: Vec<u8>,
    attempt: Option<Attempt>,
}

impl Zygote {
    /// Starts an interpreter, waits until it is warm, and returns its version (major, minor).
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
            Ok(_) => Err(zygote.destroyed("the interpreter sent an unexpected notice".into())),
            Err(error) => Err(zygote.destroyed(format!("the interpreter did not start: {error}"))),
        }
    }

    fn destroyed(self, why: String) -> String {
        self.destroy();
        why
    }

    /// Kills the interpreter and all its descendants, and reaps them.
    pub(super) fn destroy(self) {
        sandbox::kill(self.pid);
        // With a process namespace, the kernel has already killed everything in it. Without one, the attempt is now an
        // orphan of the worker, and it could not start processes itself.
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

    /// Waits for the attempt's answer. Fails if the interpreter is lost or the verifier has gone.
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

    /// Waits until some data can be moved, and moves it.
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

    /// Waits for the notice that the attempt has ended, and collects the rest of its output.
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
            // The pipe holds at most its capacity, and nobody writes to it any more.
            while read_some(&self.output, &mut attempt.buffer)?.is_some_and(|count| count > 0) {}
        }
        Ok(())
    }

    /// Ends the attempt and everything it started, and restores the pipes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        if attempt.ended.is_none() {
            match Pid::from_raw(attempt.pid) {
                Some(pid) if self.tier != Tier::Namespaces => sandbox::kill(pid),
                // Process ids differ between the namespaces, so the interpreter kills everything except itself.
                _ => {
                    rustix::io::write(&self.requests, b"K")?;
                }
            }
            self.settle(Deadline::after(PATIENCE))?;
        }
        self.attempt = None;
        // If an attempt made a pipe non-blocking, it stays so for every process that shares the pipe.
        for end in [&self.attempt_input, &self.attempt_output] {
            rustix::fs::fcntl_setfl(end, OFlags::empty())?;
        }
        let mut left = Vec::new();
        while read_some(&self.output, &mut left)?.is_some_and(|count| count > 0) {
            left.clear();
        }
        // This end blocks, because the attempt needs it so. Therefore each read must first ask for data.
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
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the interpreter does not respond"));
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
