//! The only clocks of the project. Results never depend on them; the ledger does.
#![allow(clippy::disallowed_methods, reason = "the only place that reads the time")]
#![allow(unsafe_code, reason = "getrusage has no safe form in the standard library")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in wall and processor time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Instant,
    cpu_s: f64,
}

/// A span of wall and processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elapsed {
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// Processor seconds of all threads of this process, user and system.
    pub cpu_s: f64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { wall: Instant::now(), cpu_s: usage().0 }
    }

    /// The start of this process: now by the wall clock, before all of its processor time. Call this first.
    pub fn of_process() -> Self {
        Self { wall: Instant::now(), cpu_s: 0.0 }
    }

    /// Whether this is the start of the process.
    pub fn is_of_process(&self) -> bool {
        self.cpu_s == 0.0
    }

    /// The time since this moment.
    pub fn elapsed(&self) -> Elapsed {
        Self::now().since(self)
    }

    /// The time from `earlier` to this moment.
    pub fn since(&self, earlier: &Self) -> Elapsed {
        Elapsed { wall_s: (self.wall - earlier.wall).as_secs_f64(), cpu_s: self.cpu_s - earlier.cpu_s }
    }
}

/// Measures processor time of the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(u64);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(thread_nanoseconds())
    }

    /// Processor nanoseconds of this thread since the start.
    pub fn nanoseconds(&self) -> u64 {
        thread_nanoseconds().saturating_sub(self.0)
    }
}

fn thread_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a whole `timespec`; it stays zero if the clock is missing.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The minor page faults of this process so far: pages that the system has cleared and mapped.
pub fn page_faults() -> u64 {
    resources(libc::RUSAGE_SELF).ru_minflt as u64
}

pub(super) fn resources(who: libc::c_int) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a whole `rusage`, which getrusage fills; zeros are a valid one if it fails.
    unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    }
}

/// User and system time in seconds.
pub(super) fn cpu_seconds(usage: &libc::rusage) -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Processor seconds of this process so far, and its peak memory in bytes.
pub fn usage() -> (f64, u64) {
    let usage = resources(libc::RUSAGE_SELF);
    // Linux counts kibibytes, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    (cpu_seconds(&usage), usage.ru_maxrss as u64 * unit)
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

/// The seconds since 1970 of a [`timestamp`].
pub fn seconds_since_1970(timestamp: &str) -> Option<f64> {
    let numbers: Vec<i64> = timestamp
        .strip_suffix('Z')?
        .split(['-', 'T', ':'])
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second] = numbers[..] else { return None };
    let is_date = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // Years that start in March end with the leap day, as in `civil`.
    let (of_year, shifted) = ((month + 9) % 12, year - i64::from(month <= 2));
    let days =
        365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * of_year + 2) / 5 + day - 1;
    is_date.then_some(((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        assert_eq!(seconds_since_1970("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(seconds_since_1970("2000-02-29T00:00:01Z"), Some(11_016.0 * 86_400.0 + 1.0));
        assert_eq!(seconds_since_1970("2026-01-01T01:02:03Z"), Some(20_454.0 * 86_400.0 + 3723.0));
        assert_eq!(seconds_since_1970("2026-13-01T01:02:03Z"), None);
        assert_eq!(seconds_since_1970("soon"), None);
        for days in (0..40_000).step_by(61) {
            let (year, month, day) = civil(days);
            let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
            assert_eq!(seconds_since_1970(&text), Some(days as f64 * 86_400.0), "{text}");
        }
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_454), (2026, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
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
