//! Processor time of child processes: verifiers that are programs.
#![allow(unsafe_code, reason = "sysconf has no safe form in the standard library")]

use super::clock::{cpu_seconds, resources};

/// Processor seconds, user and system, of all descendants of this process so far: those that ended, and on Linux also those
/// that still run.
pub fn cpu_s() -> f64 {
    cpu_seconds(&resources(libc::RUSAGE_CHILDREN)) + running_s()
}

#[cfg(not(target_os = "linux"))]
fn running_s() -> f64 {
    0.0
}

#[cfg(target_os = "linux")]
fn running_s() -> f64 {
    // SAFETY: sysconf takes no pointer; it returns -1 for an unknown name.
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let mut ticks = 0;
    let mut left = children(std::process::id());
    while let Some(process) = left.pop() {
        ticks += ticks_of(process);
        left.extend(children(process));
    }
    ticks as f64 / ticks_per_s
}

/// The children of `process` that it has not waited for.
#[cfg(target_os = "linux")]
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The time of a process and of the children that it has waited for, in ticks.
#[cfg(target_os = "linux")]
fn ticks_of(process: u32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0 };
    // The second field is the name in brackets, which may hold any character. `utime` is field 14.
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
        // A shell loop that reports when it is done and then waits for the end of its input.
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
