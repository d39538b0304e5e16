//! A control group that limits the memory of everything that a worker starts, taken together.
//!
//! The verifier makes it, because a worker that leaves root may not, and removes it. The worker opens its files before it
//! leaves root. Each interpreter joins it before it starts, and so do its attempts. Nothing else on the machine changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the folders of all groups begin with. The id of the verifier follows.
const PREFIX: &str = "thinkling-";

/// What an item may use beyond `memory_mb`: the scratch folder, page tables and stacks in the kernel.
const BESIDE: u64 = 24 << 20;

/// The files of one version of control groups.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// The file in which 0 keeps the group's memory out of the swap space.
    fn swap(self) -> &'static str {
        match self {
            Self::One => "memory.swappiness",
            Self::Two => "memory.swap.max",
        }
    }
}

/// Where a group is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    folder: PathBuf,
    version: Version,
}

/// A group, which is removed with this value.
#[derive(Debug)]
pub(super) struct Group(Place);

impl Group {
    /// Makes a group beside or beneath that of this process. The error says why there can be none.
    pub(super) fn make() -> Result<Self, String> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let candidates = candidates(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?);
        let mut why = "no memory controller is mounted".to_owned();
        for (parent, version) in candidates {
            remove_left_behind(&parent);
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let folder = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match make(&parent, &folder, version) {
                Ok(()) => return Ok(Self(Place { folder, version })),
                Err(error) => why = format!("{}: {error}", parent.display()),
            }
        }
        Err(why)
    }

    pub(super) fn place(&self) -> Place {
        self.0.clone()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last processes may still be ending. What stays is removed by the next verifier.
        for _ in 0..100 {
            match fs::remove_dir(&self.0.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                _ => return,
            }
        }
    }
}

fn make(parent: &Path, folder: &Path, version: Version) -> io::Result<()> {
    fs::create_dir(folder)?;
    let has_limit = || folder.join(version.limit()).exists();
    if !has_limit() {
        // Refused where this process itself is a member of `parent`, unless that is the machine's root group.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
    }
    if !has_limit() {
        fs::remove_dir(folder)?;
        return Err(io::Error::other("the memory controller is not passed on"));
    }
    // Absent on a kernel without swap accounting.
    let _ = fs::write(folder.join(version.swap()), "0");
    Ok(())
}

/// Removes the groups of verifiers that were killed.
fn remove_left_behind(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The folders in which a group may be made, best first, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn candidates(groups: &str, mounts: &str) -> Vec<(PathBuf, Version)> {
    let own = |wanted: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            wanted(id, controllers).then_some(path)
        })
    };
    // Where a mount shows the group `path`.
    let shown = |kind: &str, option: &str, path: &str| {
        mounts.lines().find_map(|line| {
            let (mount, system) = line.split_once(" - ")?;
            let mut mount = mount.split(' ').skip(3);
            let (root, target) = (mount.next()?, mount.next()?);
            let mut system = system.split(' ');
            let is_kind = system.next() == Some(kind);
            let has_option = option.is_empty() || system.nth(1)?.split(',').any(|found| found == option);
            let beneath = Path::new(path).strip_prefix(root).ok()?;
            (is_kind && has_option).then(|| {
                (PathBuf::from(target), Path::new(target).components().chain(beneath.components()).collect())
            })
        })
    };
    let first = own(&|_, controllers| controllers.split(',').any(|name| name == "memory"));
    if let Some((_, folder)) = first.and_then(|path| shown("cgroup", "memory", path)) {
        return vec![(folder, Version::One)];
    }
    let second = own(&|id, controllers| id == "0" && controllers.is_empty());
    let Some((top, folder)) = second.and_then(|path| shown("cgroup2", "", path)) else { return Vec::new() };
    // A group with members cannot pass the controller on, but the group above it may.
    let above = folder.parent().filter(|_| folder != top).map(Path::to_owned);
    above.into_iter().chain([folder]).map(|folder| (folder, Version::Two)).collect()
}

/// The open files of a group, in the worker.
#[derive(Debug)]
pub(super) struct Joined {
    members: File,
    limit: File,
    usage: File,
}

impl Joined {
    /// Opens the files. Needs the rights of who made the group.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let write = |name: &str| OpenOptions::new().write(true).open(place.folder.join(name));
        let usage = File::open(place.folder.join(place.version.usage()))?;
        Ok(Self { members: write("cgroup.procs")?, limit: write(place.version.limit())?, usage })
    }

    /// Puts this process into the group.
    pub(super) fn join(&self) -> io::Result<()> {
        (&self.members).write_all(b"0")
    }

    /// The bytes in use.
    pub(super) fn used(&self) -> io::Result<u64> {
        let mut text = String::new();
        (&self.usage).rewind()?;
        (&self.usage).read_to_string(&mut text)?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// Allows `memory` bytes beyond `base`, and what belongs to no single process.
    pub(super) fn limit(&self, base: u64, memory: u64) -> io::Result<()> {
        let limit = base.saturating_add(memory).saturating_add(BESIDE);
        (&self.limit).write_all(limit.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(groups: &str, mounts: &str) -> Vec<String> {
        candidates(groups, mounts)
            .iter()
            .map(|(path, version)| format!("{} {version:?}", path.display()))
            .collect()
    }

    #[test]
    fn the_first_version_is_used_where_it_holds_the_memory_controller() {
        let mounts = "31 25 0:27 / /sys/fs/cgroup/memory rw,relatime shared:14 - cgroup cgroup rw,memory\n\
                      40 25 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(found("4:memory:/a/b\n0::/", mounts), ["/sys/fs/cgroup/memory/a/b One"]);
        // Inside a container the mount shows only a part of the tree.
        let part = "31 25 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        assert_eq!(found("4:memory:/docker/x/y", part), ["/sys/fs/cgroup/memory/y One"]);
        assert!(found("4:memory:/elsewhere", part).is_empty());
    }

    #[test]
    fn the_second_version_is_used_beside_the_own_group_or_beneath_it() {
        let mounts =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot";
        let user = "0::/user.slice/user-1000.slice/session-2.scope";
        assert_eq!(
            found(user, mounts),
            [
                "/sys/fs/cgroup/user.slice/user-1000.slice Two",
                "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope Two",
            ]
        );
        assert_eq!(found("0::/", mounts), ["/sys/fs/cgroup Two"]);
        assert!(found("", mounts).is_empty() && found(user, "").is_empty());
    }
}
