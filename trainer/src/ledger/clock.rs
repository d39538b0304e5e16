//! The only clocks of the project: results never depend on them, the books do.
#![allow(clippy::disallowed_methods, reason = "the one place where time is read")]
#![allow(unsafe_code, reason = "getrusage has no safe form in the standard library")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in wall and processor time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Instant,
    cpu_s: f64,
}

/// Time that has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elapsed {
    /// Seconds on the wall.
    pub wall_s: f64,
    /// Seconds of all of this process's threads, user and system.
    pub cpu_s: f64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { wall: Instant::now(), cpu_s: usage().0 }
    }

    /// The start of this process: now on the wall, before all of its processor time. To be asked first of all.
    pub fn of_process() -> Self {
        Self { wall: Instant::now(), cpu_s: 0.0 }
    }

    /// Whether nothing that this process spent lies before it.
    pub fn is_of_process(&self) -> bool {
        self.cpu_s == 0.0
    }

    /// What has passed since.
    pub fn elapsed(&self) -> Elapsed {
        Self::now().since(self)
    }

    /// What lies between an earlier moment and this one.
    pub fn since(&self, earlier: &Self) -> Elapsed {
        Elapsed { wall_s: (self.wall - earlier.wall).as_secs_f64(), cpu_s: self.cpu_s - earlier.cpu_s }
    }
}

/// Processor seconds of all programs that this process has started, ended or not, and of those that they started.
///
/// Verifiers run programs. Linux tells the time of those that still run in ticks of 10 ms; elsewhere only those that
/// have ended are counted.
pub fn children_cpu_s() -> f64 {
    let ended = resources(libc::RUSAGE_CHILDREN).0;
    let running: f64 = children("self").into_iter().map(|child| descendants_ticks(&child, 0)).sum();
    ended + running / ticks_per_second()
}

/// Process ids of the children of a process.
fn children(process: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Deepest family of processes that is followed.
const GENERATIONS: u32 = 8;

/// Ticks of a process, of its ended children, and of its running ones.
fn descendants_ticks(process: &str, generation: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name stands in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    // utime, stime, cutime, cstime.
    let own: f64 =
        fields.split_ascii_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    if generation == GENERATIONS {
        return own;
    }
    own + children(process).iter().map(|child| descendants_ticks(child, generation + 1)).sum::<f64>()
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes a name and reads no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

/// Processor seconds of this process so far, and the most memory it has held, in bytes.
pub fn usage() -> (f64, u64) {
    resources(libc::RUSAGE_SELF)
}

fn resources(whose: libc::c_int) -> (f64, u64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a whole `rusage`, which getrusage fills; zeros are a valid one if it fails.
    let usage = unsafe {
        libc::getrusage(whose, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    // Linux counts kibibytes, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss as u64 * unit)
}

/// The time of day in UTC, as `2026-01-31T23:59:59Z`.
pub fn timestamp() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days as i64);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years that start in March end with the leap day; 400 of them always have 146,097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_454), (2026, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn programs_that_were_started_count_while_they_run_and_after() {
        let before = children_cpu_s();
        let mut busy = std::process::Command::new("sh")
            // A child of a child, as a sandbox has them.
            .args(["-c", "sh -c 'i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done'; true"])
            .spawn()
            .unwrap();
        let started = Moment::now();
        while children_cpu_s() - before < 0.05 {
            assert!(started.elapsed().wall_s < 30.0, "a running child is not seen");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        for child in children(&busy.id().to_string()) {
            std::process::Command::new("kill").args(["-9", &child]).status().unwrap();
        }
        busy.wait().unwrap();
        assert!(children_cpu_s() - before >= 0.03, "an ended child is forgotten");
    }

    #[test]
    fn work_takes_processor_time() {
        let start = Moment::now();
        let mut sum = 0u64;
        while start.elapsed().cpu_s < 0.01 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(start.elapsed().wall_s > 0.0 && usage().1 > 1 << 20);
    }
}
