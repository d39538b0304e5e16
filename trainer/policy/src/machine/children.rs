//! Processor time of the processes that this one has started: verifiers that are programs.
#![allow(unsafe_code, reason = "getrusage and sysconf have no safe form in the standard library")]

/// Processor seconds, user and system, of all processes that descend from this one, so far.
///
/// Those that have ended and were waited for, by the system's own account, and on Linux those that still run. Elsewhere
/// a process counts once it has ended.
pub fn cpu_s() -> f64 {
    ended_s() + running_s()
}

fn ended_s() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a whole `rusage`, which getrusage fills; zeros are a valid one if it fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(not(target_os = "linux"))]
fn running_s() -> f64 {
    0.0
}

#[cfg(target_os = "linux")]
fn running_s() -> f64 {
    // SAFETY: sysconf takes no pointer; it answers -1 for a name that it does not know.
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let mut ticks = 0;
    let mut left = children(std::process::id());
    while let Some(process) = left.pop() {
        ticks += ticks_of(process);
        left.extend(children(process));
    }
    ticks as f64 / ticks_per_s
}

/// The processes that the threads of `process` have started and that were not waited for.
#[cfg(target_os = "linux")]
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The time of a process and of those of its children that it has waited for, in ticks.
#[cfg(target_os = "linux")]
fn ticks_of(process: u32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0 };
    // The second field is the name, in brackets, and may hold anything; utime is the 14th of all.
    let Some((_, fields)) = text.rsplit_once(')') else { return 0 };
    fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_counts_while_it_runs_and_after() {
        let before = cpu_s();
        // A loop in the shell, which tells when it is done and then waits for its input to end.
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read line";
        let mut child = Command::new("sh")
            .args(["-c", work])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        let running = cpu_s() - before;
        assert!(running >= 0.02, "{running} s while it runs");
        drop(child.stdin.take());
        child.wait().unwrap();
        let ended = cpu_s() - before;
        assert!(ended >= running - 0.02, "{running} s while it ran, {ended} s after");
    }
}
