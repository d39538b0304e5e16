//! A warmed interpreter in the sandbox, and its latest attempt.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

use super::Tier;
use super::frames::{declared, framed, take_frame};
use super::protocol::Reply;
use super::sandbox::{self, Ends, Interpreter, Setting};
use super::usage::{Spent, Usage, children};
use crate::pipes::{Deadline, read_some, wait, write_some};

/// Maximum time for the interpreter itself to start, fork, or reap an attempt.
const PATIENCE: Duration = Duration::from_secs(10);

/// The signal of a system call that a filter ends.
const SIGSYS: i32 = Signal::SYS.as_raw();

/// How often the verifier hears that an attempt is still being waited for.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// What the interpreter reports about itself and its attempts.
enum Notice {
    Ready(u32),
    Failed(String),
    Forked(i32),
    Ended {
        status: i32,
        processor: Duration,
        /// Whether the scratch folder is empty again.
        is_clean: bool,
    },
}

/// The current attempt.
struct Attempt {
    /// Its id among the processes that the interpreter sees.
    pid: i32,
    /// Its id among the processes that the worker sees.
    seen_as: Pid,
    ended: Option<i32>,
    /// Input that the attempt has not read yet.
    pending: Vec<u8>,
    /// Output of the attempt that has not been taken yet.
    buffer: Vec<u8>,
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
    /// Bytes of memory in use before the first attempt, where a group counts them.
    base: u64,
    /// The memory limit of the group, beyond `base`.
    memory: Option<u64>,
    /// Whether the filter of attempts ends those that do what this machine rules out.
    can_be_refused: bool,
    /// Whether an attempt left something that could not be removed. Then no other attempt may follow.
    is_spoilt: bool,
    attempt: Option<Attempt>,
}

impl Zygote {
    /// Starts an interpreter, waits until it is warm, and returns its version (major, minor).
    pub(super) fn start(setting: &Setting, interpreter: &Interpreter) -> Result<(Self, (u32, u32)), String> {
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
        let pid = sandbox::spawn(setting, interpreter, ends).map_err(|error| error.to_string())?;
        let mut zygote = Self {
            pid,
            tier: setting.tier,
            input,
            output,
            attempt_input,
            attempt_output,
            requests,
            notices,
            notice_buffer: Vec::new(),
            base: 0,
            memory: None,
            can_be_refused: setting.rules_out(interpreter),
            is_spoilt: false,
            attempt: None,
        };
        match zygote.next_notice(Deadline::after(PATIENCE)) {
            Ok(Notice::Ready(version)) => {
                if let Some(group) = &setting.group {
                    zygote.base = group.used().map_err(|error| error.to_string())?;
                }
                Ok((zygote, (version >> 16, version & 0xffff)))
            }
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

    /// Whether another attempt may follow.
    pub(super) fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    /// Forks an attempt and queues its task.
    pub(super) fn begin(
        &mut self,
        setting: &Setting,
        task: &[u8],
        memory: u64,
        output_limit: usize,
        raw: bool,
    ) -> io::Result<()> {
        if let Some(group) = setting.group.as_ref().filter(|_| self.memory != Some(memory)) {
            group.limit(self.base, memory)?;
            self.memory = Some(memory);
        }
        rustix::io::write(&self.requests, b"F")?;
        let patience = Deadline::after(PATIENCE);
        loop {
            match self.next_notice(patience)? {
                Notice::Forked(pid) => {
                    let seen_as = self.seen_as(pid)?;
                    // If the machine runs out of memory, the kernel ends attempts first.
                    let _ =
                        std::fs::write(format!("/proc/{}/oom_score_adj", seen_as.as_raw_nonzero()), "1000");
                    let pending = framed(task)?;
                    let buffer = Vec::new();
                    self.attempt =
                        Some(Attempt { pid, seen_as, ended: None, pending, buffer, output_limit, raw });
                    return Ok(());
                }
                Notice::Failed(why) => return Err(io::Error::other(why)),
                Notice::Ready(_) | Notice::Ended { .. } => {}
            }
        }
    }

    /// The attempt's id outside of its process namespace. It is the only child of the interpreter.
    fn seen_as(&self, pid: i32) -> io::Result<Pid> {
        let interpreter = self.pid.as_raw_nonzero().get();
        let pid = match self.tier {
            Tier::Namespaces => children(interpreter, interpreter).first().copied(),
            _ => Some(pid),
        };
        let unknown = || io::Error::other("the kernel does not list child processes (CONFIG_PROC_CHILDREN)");
        pid.and_then(Pid::from_raw).ok_or_else(unknown)
    }

    /// Queues an input for the attempt.
    pub(super) fn put(&mut self, input: &[u8]) -> io::Result<()> {
        if let Some(attempt) = &mut self.attempt {
            attempt.pending.extend_from_slice(&framed(input)?);
        }
        Ok(())
    }

    /// Waits for the attempt's answer, and calls `alive` from time to time. Fails if the interpreter is lost or the
    /// verifier has gone.
    pub(super) fn answer(
        &mut self,
        usage: &mut Usage,
        alive: impl Fn() -> io::Result<()>,
    ) -> io::Result<Reply> {
        usage.asked();
        let mut next_sign = Deadline::after(SIGN_OF_LIFE);
        loop {
            let Some(attempt) = &mut self.attempt else { return Ok(Reply::Died(0)) };
            let over = if attempt.raw {
                attempt.buffer.len() > attempt.output_limit
            } else {
                declared(&attempt.buffer).is_some_and(|length| length > attempt.output_limit)
            };
            if over {
                self.end(usage)?;
                return Ok(Reply::Overflow);
            }
            let frame = if attempt.raw { None } else { take_frame(&mut attempt.buffer) };
            if frame.is_some() || attempt.ended.is_some() {
                let running = attempt.ended.is_none().then_some(attempt.seen_as);
                if usage.is_over(running) {
                    self.end(usage)?;
                    return Ok(Reply::Timeout);
                }
            }
            if let Some(frame) = frame {
                return Ok(Reply::Answer(frame));
            }
            if let Some(status) = attempt.ended {
                // A program that crashed, exited with an error or was killed has no answer, whatever it printed.
                let reply = if self.can_be_refused && status & 0x7f == SIGSYS {
                    Reply::Refused
                } else if attempt.raw && status == 0 {
                    Reply::Answer(std::mem::take(&mut attempt.buffer))
                } else {
                    Reply::Died(status)
                };
                return Ok(reply);
            }
            let spent = match usage.look(attempt.seen_as) {
                Spent::Nothing => None,
                Spent::Processor => Some(Reply::Timeout),
                Spent::Waiting => Some(Reply::Waited),
                Spent::Patience => Some(Reply::Starved),
                Spent::Tasks => Some(Reply::Crowded),
            };
            if let Some(reply) = spent {
                self.end(usage)?;
                return Ok(reply);
            }
            if next_sign.has_passed() {
                alive()?;
                next_sign = Deadline::after(SIGN_OF_LIFE);
            }
            self.pump(usage)?;
        }
    }

    /// Waits until some data can be moved, and moves it.
    fn pump(&mut self, usage: &mut Usage) -> io::Result<()> {
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
            usage.next_look(),
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
            self.settle(usage)?;
        }
        Ok(())
    }

    /// Waits for the notice that the attempt has ended, and collects the rest of its output.
    fn settle(&mut self, usage: &mut Usage) -> io::Result<()> {
        let deadline = Deadline::after(PATIENCE);
        let status = loop {
            match self.next_notice(deadline)? {
                Notice::Ended { status, processor, is_clean } => {
                    usage.add(processor);
                    self.is_spoilt |= !is_clean;
                    break status;
                }
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
    pub(super) fn end(&mut self, usage: &mut Usage) -> io::Result<()> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        if attempt.ended.is_none() {
            match Pid::from_raw(attempt.pid) {
                Some(pid) if self.tier != Tier::Namespaces => sandbox::kill(pid),
                // Process ids differ between the namespaces, so the interpreter kills everything except itself.
                _ => {
                    rustix::io::write(&self.requests, b"K")?;
                }
            }
            self.settle(usage)?;
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
            b'D' => {
                let microseconds = *rest.get(4..)?.first_chunk::<8>()?;
                let processor = Duration::from_micros(u64::from_le_bytes(microseconds));
                let is_clean = *rest.get(12)? != 0;
                (Notice::Ended { status: i32::from_le_bytes(value), processor, is_clean }, 14)
            }
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
