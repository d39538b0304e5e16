//! How much of its time a program has used, so that a verdict does not depend on the load of the machine.
//!
//! Two amounts are limited, each by the time limit of the item. Processor time is that of all attempts of the program
//! together, with everything they started. Waiting is time in which the program owes an answer and no thread of it runs
//! or could run: it sleeps or blocks. Time in which it could run, but the machine runs something else, counts as
//! neither; the kernel counts it in `schedstat`. The wall clock is only a backstop.

use std::time::Duration;

use rustix::process::Pid;

use super::sandbox::processor_time;
use crate::pipes::{Deadline, Stopwatch};

/// A program's wall-clock time ends after this many times its limit, and [`BACKSTOP`].
const PATIENCE: u32 = 20;

/// The part of the wall-clock limit that does not grow with the limit.
const BACKSTOP: Duration = Duration::from_secs(60);

/// The shortest and the longest time between two looks at a running attempt.
const LOOKS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];

/// The first look after an input. Most answers come before it.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// Maximum number of threads and processes of an attempt.
pub(super) const MAX_TASKS: usize = 64;

/// The kernel's unit for times in `/proc/*/stat`, on every architecture with a sandbox.
const TICK: Duration = Duration::from_millis(10);

/// Why a program must end, if it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It may go on.
    Nothing,
    /// Its processor time.
    Processor,
    /// Its time for waiting.
    Waiting,
    /// The wall-clock time, of which the machine took most for something else. The program is not at fault.
    Patience,
    /// The number of its threads and processes.
    Tasks,
}

/// What a program has used, over all its attempts.
pub(super) struct Usage {
    limit: Duration,
    /// Whether an attempt may start processes.
    has_children: bool,
    cores: u32,
    clock: Stopwatch,
    /// Processor time of the attempts that have ended.
    ended: Duration,
    waited: Duration,
    delayed: Duration,
    /// The first and the latest look at the tasks that have been running since.
    window: Option<(Look, Look)>,
    next_look: Deadline,
    pause: Duration,
}

impl Usage {
    /// Nothing used yet of `limit`.
    pub(super) fn new(limit: Duration, has_children: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            limit,
            has_children,
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            clock: Stopwatch::start(),
            ended: Duration::ZERO,
            waited: Duration::ZERO,
            delayed: Duration::ZERO,
            window: None,
            next_look: Deadline::after(FIRST_LOOK),
            pause: FIRST_LOOK,
        }
    }

    /// From now on the attempt owes an answer.
    pub(super) fn asked(&mut self) {
        self.close_window();
        self.pause = FIRST_LOOK;
        self.next_look = Deadline::after(FIRST_LOOK);
    }

    /// Adds the processor time of an attempt that has ended.
    pub(super) fn add(&mut self, processor: Duration) {
        self.close_window();
        self.ended += processor;
    }

    /// When to look at the attempt again.
    pub(super) fn next_look(&self) -> Deadline {
        self.next_look
    }

    /// Whether the processor time is used up, now that the attempt has answered or ended.
    pub(super) fn is_over(&self, attempt: Option<Pid>) -> bool {
        // What cannot have been used on all processors together need not be measured.
        if self.clock.elapsed().saturating_mul(self.cores) < self.limit {
            return false;
        }
        let running = attempt.map_or(Duration::ZERO, |attempt| self.processor(attempt));
        self.ended + running >= self.limit
    }

    /// Looks at the running attempt, if the time for that has come.
    pub(super) fn look(&mut self, attempt: Pid) -> Spent {
        if !self.next_look.has_passed() {
            return Spent::Nothing;
        }
        let wall = self.clock.elapsed();
        let processor = self.ended + self.processor(attempt);
        let now = Look::at(wall, &self.tasks(attempt));
        let tasks = now.tasks.len();
        match &mut self.window {
            Some((_, last)) if last.tasks == now.tasks => *last = now,
            _ => {
                self.close_window();
                self.window = Some((now.clone(), now));
            }
        }
        let (waited, delayed) = self.window.as_ref().map_or_else(Default::default, between);
        let waited = self.waited + waited;
        let left = self.limit.saturating_sub(processor) / self.cores;
        let left = left.min(self.limit.saturating_sub(waited));
        self.pause = (self.pause * 3 / 2).min(left).clamp(LOOKS[0], LOOKS[1]);
        self.next_look = Deadline::after(self.pause);
        if processor >= self.limit {
            Spent::Processor
        } else if tasks > MAX_TASKS {
            Spent::Tasks
        } else if waited >= self.limit && !self.tasks(attempt).iter().any(|(pid, tid)| can_run(*pid, *tid)) {
            Spent::Waiting
        } else if wall < self.limit * PATIENCE + BACKSTOP {
            Spent::Nothing
        } else if self.delayed + delayed > wall / 2 {
            Spent::Patience
        } else {
            Spent::Waiting
        }
    }

    /// Time between the last look and an answer never counts as waiting, because this process may have been kept from
    /// reading the answer.
    fn close_window(&mut self) {
        if let Some(window) = self.window.take() {
            let (waited, delayed) = between(&window);
            self.waited += waited;
            self.delayed += delayed;
        }
    }

    fn processor(&self, attempt: Pid) -> Duration {
        let reaped = |pid: i32| {
            // The times of children that were waited for, after the process's own.
            let ticks = |fields: &[&str]| fields.iter().filter_map(|field| field.parse::<u32>().ok()).sum();
            stat(pid).map_or(0, |text| {
                let fields: Vec<&str> = text.split(' ').collect();
                fields.get(13..15).map_or(0, ticks)
            })
        };
        let of = |pid: i32| {
            let own = Pid::from_raw(pid).and_then(processor_time).unwrap_or_default();
            if self.has_children { own + TICK * reaped(pid) } else { own }
        };
        self.processes(attempt).into_iter().map(of).sum()
    }

    /// The attempt and the processes below it.
    fn processes(&self, attempt: Pid) -> Vec<i32> {
        let mut found = vec![attempt.as_raw_nonzero().get()];
        let mut at = 0;
        while self.has_children && at < found.len() && found.len() <= MAX_TASKS {
            let below = threads(found[at]).into_iter().flat_map(|tid| children(found[at], tid));
            found.extend(below.collect::<Vec<_>>());
            at += 1;
        }
        found
    }

    /// The threads of the attempt and of the processes below it, each with its process.
    fn tasks(&self, attempt: Pid) -> Vec<(i32, i32)> {
        let processes = self.processes(attempt);
        processes.into_iter().flat_map(|pid| threads(pid).into_iter().map(move |tid| (pid, tid))).collect()
    }
}

/// The tasks of an attempt at one time.
#[derive(Clone, Debug)]
struct Look {
    wall: Duration,
    tasks: Vec<(i32, i32)>,
    /// How long these tasks ran.
    ran: Duration,
    /// How long they could have run.
    delayed: Duration,
}

impl Look {
    fn at(wall: Duration, tasks: &[(i32, i32)]) -> Self {
        let mut look = Self { wall, tasks: tasks.to_vec(), ran: Duration::ZERO, delayed: Duration::ZERO };
        for (pid, tid) in tasks {
            let text =
                std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).unwrap_or_default();
            let mut times =
                text.split(' ').map(|time| Duration::from_nanos(time.trim().parse().unwrap_or(0)));
            look.ran += times.next().unwrap_or_default();
            look.delayed += times.next().unwrap_or_default();
        }
        look
    }
}

/// How long the tasks waited between two looks, and how long the machine kept them from running.
fn between((first, last): &(Look, Look)) -> (Duration, Duration) {
    let delayed = last.delayed.saturating_sub(first.delayed);
    let ran = last.ran.saturating_sub(first.ran);
    ((last.wall - first.wall).saturating_sub(ran + delayed), delayed)
}

/// The threads of a process.
fn threads(pid: i32) -> Vec<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"));
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.map(|entries| entries.filter_map(name).collect()).unwrap_or_default()
}

/// The child processes that a thread started.
pub(super) fn children(pid: i32, tid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// What follows the name in a `stat` file: first the state.
fn after_name(text: &str) -> Option<&str> {
    text.rsplit_once(") ").map(|(_, rest)| rest)
}

fn stat(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    after_name(&text).map(str::to_owned)
}

/// Whether the thread runs, or would if a processor were free. The kernel adds a delay only when it ends.
fn can_run(pid: i32, tid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
    after_name(&text).is_some_and(|rest| rest.starts_with('R'))
}
