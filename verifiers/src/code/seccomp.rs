//! The system calls an interpreter may make. All others fail with `EPERM`.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Calls that are harmless with any arguments: Landlock guards the paths, and limits guard the amounts.
///
/// Left out on purpose: calls that change a file's metadata or lock it (Landlock covers neither), open or address a
/// socket, make namespaces, mounts, keys or rings, touch another process, or hold memory that no limit counts
/// (`memfd_create`, System V shared memory).
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // files and descriptors
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_write, libc::SYS_writev,
    libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_close, libc::SYS_close_range,
    libc::SYS_newfstatat, libc::SYS_fstat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_lseek,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_pipe2, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fadvise64,
    libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir,
    libc::SYS_renameat2, libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_readlinkat, libc::SYS_symlinkat,
    libc::SYS_linkat, libc::SYS_umask, libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_pselect6,
    libc::SYS_ppoll, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_eventfd2,
    // memory
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_msync,
    libc::SYS_mincore, libc::SYS_brk, libc::SYS_membarrier,
    // signals, threads, time
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait, libc::SYS_sigaltstack, libc::SYS_restart_syscall,
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_rseq,
    libc::SYS_set_tid_address, libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_getcpu,
    libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres,
    libc::SYS_gettimeofday, libc::SYS_times, libc::SYS_setitimer, libc::SYS_getitimer,
    // the process and its children
    libc::SYS_getpid, libc::SYS_gettid, libc::SYS_getppid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
    libc::SYS_getegid, libc::SYS_getgroups, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getpgid,
    libc::SYS_getsid, libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getrandom,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_execve,
    libc::SYS_pidfd_open, libc::SYS_setsid,
    // a connected pair, which event loops use to wake themselves
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_shutdown, libc::SYS_getsockname, libc::SYS_getpeername,
    libc::SYS_getsockopt,
    // refused by the second filter, so that libc falls back to `clone`
    libc::SYS_clone3,
];

/// The same calls under names that only this architecture still has.
#[rustfmt::skip]
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_pipe, libc::SYS_dup2,
    libc::SYS_getdents, libc::SYS_rename, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_readlink,
    libc::SYS_symlink, libc::SYS_link, libc::SYS_select, libc::SYS_poll, libc::SYS_epoll_create,
    libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_time, libc::SYS_alarm, libc::SYS_pause,
    libc::SYS_getpgrp, libc::SYS_fork, libc::SYS_vfork, libc::SYS_arch_prctl, libc::SYS_getrlimit,
    libc::SYS_renameat,
];
/// `renameat`: libc has no name for it here.
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[c_long] = &[38];

/// Signals can reach only the program's own process namespace. Without such a namespace, an attempt may send them only
/// to itself.
const SIGNALS: &[c_long] = &[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill];

#[rustfmt::skip]
const IOCTLS: &[libc::Ioctl] = &[libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIONBIO, libc::FIOCLEX, libc::FIONCLEX];

/// Without the commands that make a descriptor send signals, lock a file or resize a pipe.
#[rustfmt::skip]
const FCNTLS: &[i32] = &[
    libc::F_DUPFD, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC,
    libc::F_GETPIPE_SZ,
];

const PRCTLS: &[i32] = &[libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_DUMPABLE, libc::PR_SET_VMA];

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The calls that open a file, each with the place of its flags.
const OPENS: &[(c_long, u8)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

/// The calls that make a process whatever their arguments.
const FORKS: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// What an attempt may do beyond computing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freedom {
    /// Start processes. Threads are always allowed.
    pub(super) processes: bool,
    /// Make files, in a folder that is emptied after each attempt.
    pub(super) files: bool,
    /// Send signals to any process that it can see, not only to itself.
    pub(super) signals: bool,
}

/// The filters of an interpreter, in the order in which they must be applied. `attempts_filter` says whether its attempts
/// add [their own](attempt_filters).
pub(super) fn filters(
    freedom: Freedom,
    attempts_filter: bool,
) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let signals = if freedom.signals || attempts_filter { SIGNALS } else { &[] };
    rules.extend([ALLOWED, ALLOWED_HERE, signals].concat().into_iter().map(|call| (call, Vec::new())));
    for (call, flags) in OPENS {
        // Before version 3, Landlock allows a file to be emptied that may only be read, or that is opened for neither
        // reading nor writing (mode 3).
        let modes = [libc::O_WRONLY, libc::O_RDWR]
            .map(|mode| (libc::O_TRUNC | libc::O_ACCMODE, libc::O_TRUNC | mode));
        let allowed = std::iter::once((libc::O_TRUNC, 0)).chain(modes);
        let allowed = allowed.map(|(mask, value)| masked(*flags, mask as u64, value as u64));
        rules.insert(*call, allowed.collect::<Result<_, _>>()?);
    }
    #[allow(clippy::unnecessary_cast, reason = "has another width with musl")]
    let ioctls = IOCTLS.iter().map(|request| *request as u64);
    rules.insert(libc::SYS_ioctl, one_of(1, ioctls)?);
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTLS.iter().map(|command| *command as u64))?);
    let mut prctls = one_of(0, PRCTLS.iter().map(|option| *option as u64))?;
    // A process may ask to be killed with its parent, but may not undo that.
    prctls.push(SeccompRule::new(vec![
        equal(0, libc::PR_SET_PDEATHSIG as u64)?,
        equal(1, libc::SIGKILL as u64)?,
    ])?);
    if attempts_filter {
        prctls.push(SeccompRule::new(vec![
            equal(0, libc::PR_SET_SECCOMP as u64)?,
            equal(1, libc::SECCOMP_MODE_FILTER as u64)?,
        ])?);
    }
    rules.insert(libc::SYS_prctl, prctls);
    // Only for the calling process itself.
    rules.insert(libc::SYS_prlimit64, one_of(0, [0])?);
    rules.insert(libc::SYS_clone, vec![masked(0, NAMESPACES as u64, 0)?]);
    // A datagram socket of a pair could still address other sockets. A stream socket cannot. Other families than Unix
    // would only reach more of the kernel.
    let stream = condition(1, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_STREAM as u64)?;
    rules
        .insert(libc::SYS_socketpair, vec![SeccompRule::new(vec![equal(0, libc::AF_UNIX as u64)?, stream])?]);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let allow_list = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?;
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent =
        SeccompFilter::new(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch)?;
    Ok([absent.try_into()?, allow_list.try_into()?])
}

/// The process id in the filters of an attempt. The attempt replaces it by its own.
pub(super) const OWN_ID: u32 = 0x7e57_1d00;

/// The filters that an attempt adds before it runs the program, as the kernel reads them.
///
/// An attempt that starts a process without the freedom is ended by `SIGSYS`. So the verifier can tell what this machine
/// rules out from what the program does wrong. (Landlock refuses files; the driver reports that with the same signal.)
pub(super) fn attempt_filters(freedom: Freedom) -> Result<Vec<Vec<u8>>, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut ended: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    if !freedom.processes {
        ended.extend(FORKS.iter().map(|call| (*call, Vec::new())));
        ended.insert(libc::SYS_clone, vec![masked(0, libc::CLONE_THREAD as u64, 0)?]);
    }
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    if !freedom.signals {
        let other = || SeccompRule::new(vec![condition(0, SeccompCmpOp::Ne, OWN_ID.into())?]);
        refused.insert(libc::SYS_kill, vec![other()?]);
        refused.insert(libc::SYS_tgkill, vec![other()?]);
        refused.insert(libc::SYS_tkill, Vec::new());
    }
    let mut filters = Vec::new();
    let errno = SeccompAction::Errno(libc::EPERM as u32);
    for (rules, action) in [(ended, SeccompAction::KillProcess), (refused, errno)] {
        if !rules.is_empty() {
            let program: BpfProgram =
                SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()?;
            filters.push(program.iter().flat_map(bytes).collect());
        }
    }
    Ok(filters)
}

/// An instruction as the kernel reads it.
fn bytes(instruction: &seccompiler::sock_filter) -> Vec<u8> {
    let mut bytes = instruction.code.to_ne_bytes().to_vec();
    bytes.extend([instruction.jt, instruction.jf]);
    bytes.extend(instruction.k.to_ne_bytes());
    bytes
}

fn one_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.into_iter().map(|value| SeccompRule::new(vec![equal(argument, value)?])).collect()
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn condition(
    argument: u8,
    operation: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let equal = SeccompCmpOp::MaskedEq(mask);
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, equal, value)?])
}
