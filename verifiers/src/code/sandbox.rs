//! The isolation between a program and the machine. Runs only in the worker process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::Tier;
use super::group::Joined;
use super::root;
use super::seccomp::{self, Freedom};

const DRIVER: &str = concat!(include_str!("wire.py"), include_str!("judging.py"), include_str!("driver.py"));

/// The first descriptor of the four pipes in the interpreter.
const FIRST_FD: RawFd = 3;

/// The user id for programs when root started the worker. Systemd's table of users leaves it free.
const OTHER_USER: u32 = 65_533;

/// Paths an interpreter reads besides its own library.
const READABLE: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// The interpreter that runs programs.
#[derive(Clone, Debug)]
pub(super) enum Interpreter {
    /// CPython: the file that runs, its library folders, the packages that programs may import, and their folders.
    Cpython { path: PathBuf, library: Vec<PathBuf>, packages: Vec<String>, sites: Vec<PathBuf> },
    /// The built-in interpreter.
    #[cfg(feature = "embedded")]
    Embedded,
}

impl Interpreter {
    /// The folders it must be able to read.
    fn readable(&self) -> Vec<&Path> {
        match self {
            Self::Cpython { path, library, sites, .. } => {
                let own = library.iter().chain(sites).map(PathBuf::as_path).chain([path.as_path()]);
                READABLE.iter().map(Path::new).chain(own).collect()
            }
            #[cfg(feature = "embedded")]
            Self::Embedded => Vec::new(),
        }
    }
}

/// The pipe ends that the interpreter receives.
pub(super) struct Ends {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) requests: OwnedFd,
    pub(super) notices: OwnedFd,
}

/// A step of the isolation failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {message}")]
pub(super) struct SetupError {
    step: &'static str,
    message: String,
}

fn step<T, E: std::fmt::Display>(step: &'static str, result: Result<T, E>) -> Result<T, SetupError> {
    result.map_err(|error| SetupError { step, message: error.to_string() })
}

/// Closes the descriptors that the worker inherited, except the standard three.
pub(super) fn close_inherited() {
    // SAFETY: this process has opened no descriptor yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Prepares the worker for starting programs: leaves root, and adopts orphaned descendants.
pub(super) fn prepare_worker() -> Result<(), SetupError> {
    if rustix::process::geteuid().is_root() {
        step("change from root to another user", leave_root())?;
    }
    step("adopt orphans", rustix::process::set_child_subreaper(Some(rustix::process::getpid())))
}

fn leave_root() -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::process::Uid::from_raw(OTHER_USER), rustix::process::Gid::from_raw(OTHER_USER));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    // After the change of user, this process could no longer write its own files in /proc, and the user map is written
    // there.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
}

/// What the worker knows before it starts an interpreter.
pub(super) struct Setting {
    pub(super) tier: Tier,
    /// The control group that limits the memory of all processes together, if there is one.
    pub(super) group: Option<Joined>,
    /// The newest version of Landlock to use, in tests.
    pub(super) landlock: Option<i32>,
}

impl Setting {
    /// What an attempt may do beyond computing.
    pub(super) fn freedom(&self) -> Freedom {
        let own = self.tier == Tier::Namespaces;
        // Without a limit on all processes together, each of them could use the memory of a whole program.
        Freedom { processes: own && self.group.is_some(), files: self.tier != Tier::Landlock, signals: own }
    }

    /// Whether attempts are ended for something that they could do on another machine.
    pub(super) fn rules_out(&self, interpreter: &Interpreter) -> bool {
        let Freedom { processes, files, .. } = self.freedom();
        matches!(interpreter, Interpreter::Cpython { .. }) && !(processes && files)
    }
}

/// Starts an interpreter. The interpreter reports on its notices pipe whether that worked.
pub(super) fn spawn(setting: &Setting, interpreter: &Interpreter, ends: Ends) -> io::Result<Pid> {
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNS;
    let flags = libc::SIGCHLD | if setting.tier == Tier::Namespaces { namespaces } else { 0 };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // The width that the kernel reads.
    let none: libc::c_long = 0;
    // SAFETY: without a stack argument this is a fork; the worker has one thread, so the child may run any code.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), none, none, none, none) };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        let Err(error) = become_interpreter(setting, interpreter, &ends, uid, gid);
        let mut notice = vec![b'F'];
        let text = error.to_string();
        notice.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        notice.extend_from_slice(text.as_bytes());
        let _ = rustix::io::write(&ends.notices, &notice);
        // SAFETY: leaves without running the parent's exit functions, which this copy must not run.
        unsafe { libc::_exit(1) };
    }
    i32::try_from(child)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the kernel returned an invalid process id"))
}

fn become_interpreter(
    setting: &Setting,
    interpreter: &Interpreter,
    ends: &Ends,
    uid: u32,
    gid: u32,
) -> Result<std::convert::Infallible, SetupError> {
    let tier = setting.tier;
    if let Some(group) = &setting.group {
        step("join the memory group", group.join())?;
    }
    let mut scratch = None;
    if tier == Tier::Namespaces {
        step("map the user", map_user(uid, gid))?;
        scratch = Some(step("make a root of its own", root::enter(&interpreter.readable()))?);
    }
    // The user namespace came with all capabilities. Starting a new program drops them, but the built-in interpreter
    // does not start one.
    step("drop capabilities", rustix::thread::set_capabilities(None, NO_CAPABILITIES))?;
    step("die with the worker", rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
    step("change the folder", std::env::set_current_dir(scratch.unwrap_or("/")))?;
    limit_resources()?;
    step("place the pipes", place(ends))?;
    #[cfg(feature = "embedded")]
    if matches!(interpreter, Interpreter::Embedded) {
        // No new program is started, so the other descriptors must be closed here.
        step("close the worker's pipes", close_all_else())?;
    }
    step("give up new privileges", rustix::thread::set_no_new_privs(true))?;
    let freedom = setting.freedom();
    let attempts_filter = matches!(interpreter, Interpreter::Cpython { .. });
    if tier != Tier::Limits {
        restrict_paths(interpreter, scratch, setting.landlock)?;
        let filters = seccomp::filters(freedom, attempts_filter);
        for filter in &step("compile the seccomp filter", filters)? {
            step("apply the seccomp filter", seccompiler::apply_filter(filter))?;
        }
    }
    match interpreter {
        Interpreter::Cpython { path, packages, sites, .. } => {
            let flag = |set: bool| if set { "1" } else { "0" };
            let filters = step("compile the filter of attempts", seccomp::attempt_filters(freedom))?;
            let filters: Vec<String> = filters.iter().map(|filter| hexadecimal(filter)).collect();
            let error = Command::new(path)
                .args(["-s", "-S", "-B", "-X", "utf8", "-c", DRIVER])
                .args([flag(tier == Tier::Namespaces), flag(scratch.is_some())])
                .args([seccomp::OWN_ID.to_string(), filters.join(",")])
                .arg(packages.join(","))
                .args(sites)
                .env_clear()
                // A verdict must not depend on the order of a set of strings.
                .env("PYTHONHASHSEED", "0")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .exec();
            step("start the interpreter", Err(error))
        }
        #[cfg(feature = "embedded")]
        Interpreter::Embedded => {
            let served = super::embedded::serve();
            // SAFETY: leaves without running the parent's exit functions, which this copy must not run.
            unsafe { libc::_exit(i32::from(served.is_err())) }
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps the user's id inside the namespace, so that no program is root even there.
fn map_user(uid: u32, gid: u32) -> io::Result<()> {
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

fn limit_resources() -> Result<(), SetupError> {
    const LIMITS: &[(Resource, u64)] = &[
        (Resource::Core, 0),
        (Resource::Nofile, 64),
        (Resource::Fsize, 16 << 20),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Stack, 8 << 20),
    ];
    for (resource, wanted) in LIMITS {
        let maximum = rustix::process::getrlimit(*resource).maximum.map_or(*wanted, |hard| hard.min(*wanted));
        let limit = Rlimit { current: Some(maximum), maximum: Some(maximum) };
        step("set a resource limit", rustix::process::setrlimit(*resource, limit))?;
    }
    Ok(())
}

fn place(ends: &Ends) -> io::Result<()> {
    let ends = [&ends.input, &ends.output, &ends.requests, &ends.notices];
    // Moved away first, so that no pipe overwrites the descriptor of another.
    let aside: Vec<OwnedFd> =
        ends.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 16)).collect::<Result<_, _>>()?;
    for (place, fd) in (FIRST_FD..).zip(&aside) {
        // SAFETY: the descriptor at `place` belongs to the worker's copy of its pipes, which this process never uses.
        if unsafe { libc::dup2(fd.as_raw_fd(), place) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(feature = "embedded")]
fn close_all_else() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    for place in 0..FIRST_FD {
        // SAFETY: this copy of the worker no longer uses its standard descriptors.
        if unsafe { libc::dup2(null.as_raw_fd(), place) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // Otherwise it would be closed a second time at the end of the scope.
    std::mem::forget(null);
    // SAFETY: this copy of the worker no longer uses any descriptor beyond the four pipes.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST_FD + 4, libc::c_uint::MAX, 0) };
    Ok(())
}

/// Forks the built-in interpreter. Returns `None` in the child.
#[cfg(feature = "embedded")]
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process has one thread, so the child may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child)),
    }
}

/// A descriptor that the built-in interpreter received.
#[cfg(feature = "embedded")]
pub(super) fn inherited(place: RawFd) -> BorrowedFd<'static> {
    // SAFETY: `place` put the pipes there, and nothing closes them.
    unsafe { BorrowedFd::borrow_raw(place) }
}

fn restrict_paths(
    interpreter: &Interpreter,
    scratch: Option<&str>,
    newest: Option<i32>,
) -> Result<(), SetupError> {
    let readable = interpreter.readable();
    // The rights of a version contain those of the versions before it.
    let known = |version: ABI| newest.map_or(version, |newest| version.min(ABI::from(newest)));
    let restricted = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(known(ABI::V5)))?
            .handle_access(AccessNet::from_all(known(ABI::V5)))?
            .scope(Scope::from_all(known(ABI::V6)))?
            .create()?
            .add_rules(path_beneath_rules(readable, AccessFs::from_read(ABI::V1)))?
            .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
            .add_rules(path_beneath_rules(scratch, AccessFs::from_all(known(ABI::V5))))?
            .restrict_self()
    };
    let status = step("restrict paths with Landlock", restricted())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => {
            step("restrict paths with Landlock", Err("the kernel has no Landlock (Linux 5.13 and later)"))
        }
        _ => Ok(()),
    }
}

/// The version of Landlock that this kernel has. 0 if none.
pub(super) fn landlock_version() -> i32 {
    /// Asks for the version instead of a set of rules.
    const VERSION: libc::c_long = 1;
    let none: libc::c_long = 0;
    // SAFETY: with this flag the call reads no memory.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, none, VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Whether this kernel counts how long a thread waits for a processor.
pub(super) fn counts_delays() -> bool {
    Path::new("/proc/self/schedstat").exists()
}

/// The processor time of a process, with all its threads. `None` after it has gone.
pub(super) fn processor_time(pid: Pid) -> Option<Duration> {
    /// The clock that counts the time of all threads, in the kernel's numbering of the clocks of processes.
    const ALL_THREADS: libc::clockid_t = 2;
    let clock = (!pid.as_raw_nonzero().get() << 3) | ALL_THREADS;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which writes only there.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (!failed).then(|| Duration::new(seconds, nanoseconds))
}

/// Waits for a child and returns its wait status and the processor time of it and its children.
#[cfg(feature = "embedded")]
pub(super) fn wait_for(child: Pid) -> io::Result<(i32, Duration)> {
    let mut status = 0;
    // SAFETY: all fields are numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers outlive the call, which writes only there.
    let ended = unsafe { libc::wait4(child.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
    if ended < 0 {
        return Err(io::Error::last_os_error());
    }
    let time = |time: libc::timeval| {
        let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
        Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
    };
    Ok((status, time(usage.ru_utime) + time(usage.ru_stime)))
}

/// Kills a process of the worker. Does nothing if the process has already ended.
pub(super) fn kill(pid: Pid) {
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

/// The worker's standard input and output, which lead to the verifier.
pub(super) fn parent() -> (BorrowedFd<'static>, BorrowedFd<'static>) {
    // SAFETY: descriptors 0 and 1 stay open while the worker runs.
    unsafe { (BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1)) }
}
