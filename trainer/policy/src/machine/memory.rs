//! How much memory this process may take.

use std::fs;
use std::path::{Path, PathBuf};

/// The most bytes that this process may hold, and what limits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// What limits them, in words.
    pub reason: &'static str,
}

/// The least of the machine's memory, the limits of its control groups and that of its address space; `None` where the
/// system tells none of them.
pub fn memory_limit() -> Option<MemoryLimit> {
    let limit = |bytes: Option<u64>, reason| Some(MemoryLimit { bytes: bytes?, reason });
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let limits = [
        limit(total(&read("/proc/meminfo")), "this machine has"),
        limit(address_space(&read("/proc/self/limits")), "the limit of the address space (`ulimit -v`) is"),
        limit(of_groups(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")), "its control group allows"),
    ];
    limits.into_iter().flatten().min_by_key(|limit| limit.bytes)
}

/// Memory and swap space of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let kibibytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some(1024 * (kibibytes("MemTotal")? + kibibytes("SwapTotal").unwrap_or(0)))
}

/// The soft limit in `/proc/self/limits`.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The least limit of the groups in `/proc/self/cgroup` and of those around them, in both versions of control groups.
fn of_groups(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (mount, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let group = Path::new(path.trim_start_matches('/'));
        // In a container the path may be that outside; the limit is then at the root of what is mounted.
        let files: Vec<PathBuf> = group.ancestors().map(|above| mount.join(above).join(file)).collect();
        files.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_is_found() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:  24 kB\nSwapTotal: 1 kB\n"), Some(25 * 1024));
        assert_eq!(total(""), None);
        let limits = "Max data size  unlimited unlimited bytes\nMax address space  3072  unlimited  bytes\n";
        assert_eq!(address_space(limits), Some(3072));
        assert_eq!(address_space("Max address space  unlimited  unlimited  bytes"), None);
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("memory.max", "max"),
            ("a/memory.max", "500"),
            ("a/b/memory.max", "900"),
            ("memory/memory.limit_in_bytes", "400"),
            ("memory/c/memory.limit_in_bytes", "9223372036854771712"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let of = |groups: &str| of_groups(groups, root.path());
        assert_eq!(of("0::/a/b\n"), Some(500));
        assert_eq!(of("0::/elsewhere\n"), None);
        assert_eq!(of("4:memory:/c\n1:cpu:/\n0::/a\n"), Some(400));
        assert_eq!(of("4:cpu,memory:/outside\n"), Some(400));
        assert_eq!(of(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_its_memory() {
        assert!(memory_limit().is_some_and(|limit| limit.bytes > 1 << 20));
    }
}
