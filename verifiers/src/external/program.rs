//! One process of the external program.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::process::{Pid, Signal};

use super::{Failure, Settings};
use crate::pipes::{Deadline, read_some, wait, write_some};

pub(super) struct Program {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Program {
    /// Starts the program in its own process group, so that everything it starts can be killed with it. On Linux the
    /// kernel kills it when this process ends in any way.
    pub(super) fn start(settings: &Settings) -> Result<Self, Failure> {
        let name = settings.command.first().map(String::as_str).unwrap_or_default();
        let failed = |error: io::Error| Failure::Start(format!("{name}: {error}"));
        let mut command = Command::new(name);
        command
            .args(settings.command.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = spawn(command).map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::Error::other("its pipes are missing")));
        };
        let program = Self { child, input, output };
        rustix::io::ioctl_fionbio(&program.input, true).map_err(|error| failed(error.into()))?;
        rustix::io::ioctl_fionbio(&program.output, true).map_err(|error| failed(error.into()))?;
        Ok(program)
    }

    /// Whether the program is still running and has written nothing that was not asked for.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
            && matches!(read_some(&self.output, &mut Vec::new()), Ok(Some(0)))
    }

    /// Writes one line and reads the line that answers it.
    pub(super) fn ask(&mut self, question: &str, settings: &Settings) -> Result<String, Failure> {
        let deadline = Deadline::after(Duration::from_secs_f64(settings.time_limit_s));
        let line = format!("{question}\n");
        let mut rest = line.as_bytes();
        let mut answer = Vec::new();
        let mut searched = 0;
        loop {
            if deadline.has_passed() {
                return Err(Failure::Late(settings.time_limit_s));
            }
            let writing = if rest.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let [input, output] =
                wait([(self.input.as_fd(), writing), (self.output.as_fd(), PollFlags::IN)], deadline)?;
            if !output.is_empty() && read_some(&self.output, &mut answer)?.is_none() {
                return Err(Failure::Ended);
            }
            if let Some(end) = answer[searched..].iter().position(|byte| *byte == b'\n') {
                answer.truncate(searched + end);
                return String::from_utf8(answer).map_err(|error| Failure::Answer(error.to_string()));
            }
            searched = answer.len();
            if answer.len() > settings.output_limit_bytes {
                return Err(Failure::TooLong(settings.output_limit_bytes));
            }
            if input.intersects(PollFlags::OUT) {
                rest = &rest[write_some(&self.input, rest).map_err(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe => Failure::Ended,
                    _ => error.into(),
                })?..];
            } else if input.intersects(PollFlags::ERR) && answer.is_empty() && !rest.is_empty() {
                return Err(Failure::Ended);
            }
        }
    }
}

/// Starts a program that dies with this process.
///
/// The kernel sends the signal when the *thread* that started the program ends, and threads that judge come and go.
/// So one thread, which never ends, starts all programs.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (orders, received) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                die_with_this_process(&mut command);
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let ended = || io::Error::other("the thread that starts programs has ended");
    let (answer, answered) = channel();
    STARTER.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer)).map_err(|_| ended())?;
    answered.recv().map_err(|_| ended())?
}

#[cfg(target_os = "linux")]
fn die_with_this_process(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before the kernel was asked.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotConnected.into())
        }
    };
    // SAFETY: between fork and exec, this only makes two system calls.
    unsafe { command.pre_exec(ask) };
}

#[cfg(not(target_os = "linux"))]
fn die_with_this_process(_: &mut Command) {}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
