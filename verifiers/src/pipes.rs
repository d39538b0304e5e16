//! Reads and writes the pipes of another process, with a deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A point in time at which waiting stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The deadline `duration` from now.
    #[expect(clippy::disallowed_methods, reason = "a program that never ends can only be stopped by a clock")]
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The time left, or zero if the deadline has passed.
    #[expect(clippy::disallowed_methods, reason = "a program that never ends can only be stopped by a clock")]
    pub(crate) fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub(crate) fn has_passed(&self) -> bool {
        self.left().is_zero()
    }
}

/// The time since a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "a program that never ends can only be stopped by a clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits until one of `fds` is ready or the deadline passes. Returns the events of each, empty if nothing happened.
pub(crate) fn wait<const N: usize>(
    fds: [(BorrowedFd<'_>, PollFlags); N],
    deadline: Deadline,
) -> io::Result<[PollFlags; N]> {
    let mut polled = fds.map(|(fd, events)| PollFd::from_borrowed_fd(fd, events));
    let left = deadline.left();
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => Ok(polled.map(|fd| fd.revents())),
        Err(rustix::io::Errno::INTR) => Ok([PollFlags::empty(); N]),
        Err(error) => Err(error.into()),
    }
}

/// Reads once and appends what is there, possibly nothing. Returns `None` at the end of the stream.
pub(crate) fn read_some(fd: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut chunk = [0; 16 * 1024];
    match rustix::io::read(fd, &mut chunk) {
        Ok(0) => Ok(None),
        Ok(count) => {
            buffer.extend_from_slice(&chunk[..count]);
            Ok(Some(count))
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

/// Writes as many of `bytes` as fit without waiting, and returns how many.
pub(crate) fn write_some(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::io::write(fd, bytes) {
        Ok(count) => Ok(count),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
