//! The files that a program sees behind namespaces: a root of its own with nothing but what the interpreter reads.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};

/// Where the new root is built. It hides the processes of the machine, which no program may see anyway.
const BASE: &str = "/proc";

/// Names for the folder that a program may write to. The first one that holds nothing the interpreter needs is used.
const SCRATCH: &[&str] = &["/tmp", "/var/tmp", "/mnt", "/srv"];

/// Folders of symbolic links that lead to libraries.
const LINKS: &[&str] = &["/etc/alternatives"];

/// Leaves the machine's root for a new one that holds `readable` and an empty folder to write to, and returns that folder.
///
/// Must run in its own mount namespace. The mounts cannot be left again: a program has neither the capability to change
/// its root nor the system call.
pub(super) fn enter(readable: &[&Path]) -> io::Result<&'static str> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let readable = with_targets(readable);
    let scratch = SCRATCH.iter().copied().find(|folder| {
        readable.iter().all(|path| !path.starts_with(folder) && !Path::new(folder).starts_with(path))
    });
    let scratch = scratch.ok_or_else(|| io::Error::other("no free name for a scratch folder"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Without NODEV, because `/dev/null` is mounted beneath it.
    rustix::mount::mount("tmpfs", BASE, "tmpfs", MountFlags::NOSUID, c"size=1m,nr_inodes=1024,mode=0755")?;
    let mut mounted: Vec<&Path> = Vec::new();
    for path in &readable {
        if mounted.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let target = inside(path);
        if path.is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::create_dir_all(target.parent().unwrap_or(Path::new(BASE)))?;
            File::create(&target)?;
        }
        rustix::mount::mount_bind_recursive(path, &target)?;
        mounted.push(path);
    }
    fs::create_dir_all(inside(Path::new(BASE)))?;
    let folder = inside(Path::new(scratch));
    fs::create_dir_all(&folder)?;
    rustix::mount::mount("tmpfs", &folder, "tmpfs", flags, c"size=16m,nr_inodes=1024,mode=0700")?;
    rustix::mount::mount_remount(BASE, MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID, c"")?;
    rustix::process::chroot(BASE)?;
    Ok(scratch)
}

fn inside(path: &Path) -> PathBuf {
    Path::new(BASE).join(path.strip_prefix("/").unwrap_or(path))
}

/// The paths that exist, each also under its name without symbolic links; folders before what they hold.
fn with_targets(readable: &[&Path]) -> Vec<PathBuf> {
    let given = readable.iter().copied().chain(LINKS.iter().map(Path::new)).chain([Path::new("/dev/null")]);
    let mut paths: Vec<PathBuf> =
        given.filter_map(|path| Some([path.to_owned(), path.canonicalize().ok()?])).flatten().collect();
    paths.sort();
    paths.dedup();
    paths
}
