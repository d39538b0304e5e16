//! The worker process: starts interpreters, forks attempts, enforces time limits, kills and reaps.
//!
//! It is a separate small process with a single thread, so that a large trainer never forks.

use std::ffi::OsStr;

/// The command-line argument that makes a program a worker.
pub const ARGUMENT: &str = "__sandbox";

/// Becomes a worker if the first argument says so, and then never returns.
///
/// Call it first in `main` of every program that judges code, because the verifier `code` starts that program again.
pub fn main_if_worker() {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(ARGUMENT)) {
        std::process::exit(run());
    }
}

#[cfg(not(target_os = "linux"))]
fn run() -> i32 {
    2
}

#[cfg(target_os = "linux")]
fn run() -> i32 {
    match linux::Worker::greet() {
        Ok(mut worker) => {
            // The end of the input ends the work, wherever it occurs.
            let _ = worker.serve();
            worker.close();
            0
        }
        Err(_) => 1,
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::AsFd;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use rustix::event::PollFlags;

    use super::super::Tier;
    use super::super::frames::{framed, take_frame};
    use super::super::group::Joined;
    use super::super::protocol::{Hello, Probe, Reply, Request};
    use super::super::sandbox::{self, Interpreter, Setting};
    use super::super::usage::Usage;
    use super::super::zygote::Zygote;
    use crate::pipes::{Deadline, read_some, wait};

    /// Prints the interpreter's file and its library folders, one per line.
    const WHERE: &str = "import os, sys, sysconfig\n\
        assert sys.implementation.name == 'cpython' and sys.version_info >= (3, 9)\n\
        p = sysconfig.get_path; v = sysconfig.get_config_var\n\
        print(os.path.realpath(sys.executable))\n\
        for f in {p('stdlib'), p('platstdlib'), v('DESTSHARED'), v('LIBDIR')} - {None}: print(os.path.realpath(f))";

    /// Prints the folder of each package that the arguments name, one per line.
    const PACKAGES: &str = "import importlib.util, os, sys\n\
        for name in sys.argv[1:]:\n    \
            spec = importlib.util.find_spec(name)\n    \
            if spec is None: sys.exit(print('!' + name))\n    \
            file = (spec.submodule_search_locations or [spec.origin])[0]\n    \
            print(os.path.dirname(os.path.realpath(file)))";

    /// Maximum time for an interpreter to print its location.
    const PATIENCE: Duration = Duration::from_secs(10);

    pub(super) struct Worker {
        received: Vec<u8>,
        interpreter: Interpreter,
        setting: Setting,
        zygote: Option<Zygote>,
        /// What the current program has used.
        usage: Usage,
    }

    impl Worker {
        /// Reads the greeting, finds an interpreter and a tier that work, and reports them.
        pub(super) fn greet() -> io::Result<Self> {
            sandbox::close_inherited();
            let mut received = Vec::new();
            let hello: Hello = serde_json::from_slice(&receive(&mut received)?)?;
            // Only its maker may open the group.
            let group = hello.group.as_ref().map(Joined::open).transpose();
            let group = group.map_err(|error| format!("the memory group: {error}"));
            let found = match sandbox::prepare_worker() {
                Ok(()) => find(&hello, group),
                Err(error) => Err(format!("{error}; run as an ordinary user instead")),
            };
            let (result, found) = match found {
                Ok(Found { probe, interpreter, setting, zygote }) => {
                    (Ok(probe), Some((interpreter, setting, zygote)))
                }
                Err(why) => (Err(why), None),
            };
            send(&serde_json::to_vec(&result)?)?;
            let (interpreter, setting, zygote) =
                found.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no isolation"))?;
            let usage = Usage::new(Duration::ZERO, setting.freedom().processes);
            Ok(Self { received, interpreter, setting, zygote: Some(zygote), usage })
        }

        /// Serves requests until the parent closes the input.
        pub(super) fn serve(&mut self) -> io::Result<()> {
            loop {
                let request: Request = serde_json::from_slice(&receive(&mut self.received)?)?;
                match request {
                    Request::Start { milliseconds, memory_bytes, output_limit, raw } => {
                        let task = receive(&mut self.received)?;
                        if let Some(milliseconds) = milliseconds {
                            // The attempt before this one belongs to another program.
                            self.end();
                            let time = Duration::from_millis(milliseconds);
                            self.usage = Usage::new(time, self.setting.freedom().processes);
                        }
                        match self.start(&task, memory_bytes, output_limit, raw) {
                            Ok(()) if raw => {}
                            Ok(()) => self.reply(Ok(()))?,
                            Err(error) => {
                                self.close();
                                send(&Reply::Unstarted(error.to_string()).encode())?;
                            }
                        }
                    }
                    Request::Input => {
                        let input = receive(&mut self.received)?;
                        let put = match &mut self.zygote {
                            Some(zygote) => zygote.put(&input),
                            None => Ok(()),
                        };
                        self.reply(put)?;
                    }
                    Request::End => self.end(),
                }
            }
        }

        fn start(&mut self, task: &[u8], memory: u64, output_limit: usize, raw: bool) -> io::Result<()> {
            self.end();
            if self.zygote.as_ref().is_some_and(Zygote::is_spoilt) {
                self.close();
            }
            let zygote = match &mut self.zygote {
                Some(zygote) => zygote,
                None => {
                    alive()?;
                    let (zygote, _) =
                        Zygote::start(&self.setting, &self.interpreter).map_err(io::Error::other)?;
                    self.zygote.insert(zygote)
                }
            };
            zygote.begin(&self.setting, task, memory, output_limit, raw)
        }

        /// Waits for the attempt and passes its answer on. An interpreter that failed is replaced.
        fn reply(&mut self, so_far: io::Result<()>) -> io::Result<()> {
            let answer = so_far.and_then(|()| match &mut self.zygote {
                Some(zygote) => zygote.answer(&mut self.usage, alive),
                None => Ok(Reply::Died(0)),
            });
            let reply = answer.unwrap_or_else(|error| {
                self.close();
                Reply::Lost(error.to_string())
            });
            send(&reply.encode())
        }

        fn end(&mut self) {
            if let Some(zygote) = &mut self.zygote
                && zygote.end(&mut self.usage).is_err()
            {
                self.close();
            }
        }

        pub(super) fn close(&mut self) {
            if let Some(zygote) = self.zygote.take() {
                zygote.destroy();
            }
        }
    }

    /// An interpreter that runs.
    struct Found {
        probe: Probe,
        interpreter: Interpreter,
        setting: Setting,
        zygote: Zygote,
    }

    /// Finds the first interpreter that starts within the strongest tier possible.
    fn find(hello: &Hello, group: Result<Option<Joined>, String>) -> Result<Found, String> {
        let mut passed_over = Vec::new();
        let mut resolved: Vec<Option<Interpreter>> = Vec::new();
        let group = group.unwrap_or_else(|why| {
            passed_over.push(why);
            None
        });
        let mut setting = Setting { tier: Tier::Namespaces, group, landlock: hello.without.landlock_after };
        for tier in hello.tiers.iter().copied() {
            setting.tier = tier;
            for (at, python) in hello.pythons.iter().enumerate() {
                if at == resolved.len() {
                    let found = resolve(python, &hello.packages)
                        .map_err(|why| passed_over.push(format!("{python}: {why}")));
                    resolved.push(found.ok());
                }
                let Some(interpreter) = resolved[at].clone() else { continue };
                match start(&mut setting, &interpreter, &mut passed_over) {
                    Ok((zygote, version)) => {
                        let mut found = found(setting, interpreter, version, zygote, passed_over);
                        found.probe.named.clone_from(python);
                        return Ok(found);
                    }
                    Err(why) => passed_over.push(format!("{tier:?} with {python}: {why}")),
                }
            }
        }
        #[cfg(feature = "embedded")]
        for tier in hello.tiers.iter().copied().filter(|_| hello.embedded) {
            setting.tier = tier;
            let interpreter = Interpreter::Embedded;
            match start(&mut setting, &interpreter, &mut passed_over) {
                Ok((zygote, version)) => {
                    return Ok(found(setting, interpreter, version, zygote, passed_over));
                }
                Err(why) => passed_over.push(format!("{tier:?} with the embedded interpreter: {why}")),
            }
        }
        if hello.pythons.is_empty() {
            passed_over.push("no python3 on the path".into());
        }
        Err(passed_over.join("; "))
    }

    /// Starts an interpreter. If it cannot join the group, it does without.
    fn start(
        setting: &mut Setting,
        interpreter: &Interpreter,
        passed_over: &mut Vec<String>,
    ) -> Result<(Zygote, (u32, u32)), String> {
        let started = Zygote::start(setting, interpreter);
        let Err(why) = started else { return started };
        if setting.group.is_none() {
            return Err(why);
        }
        let group = setting.group.take();
        let started = Zygote::start(setting, interpreter);
        if started.is_ok() {
            passed_over.push(format!("the memory group: {why}"));
        } else {
            setting.group = group;
        }
        started
    }

    fn found(
        setting: Setting,
        interpreter: Interpreter,
        version: (u32, u32),
        zygote: Zygote,
        passed_over: Vec<String>,
    ) -> Found {
        let tier = setting.tier;
        let newest = setting.landlock.unwrap_or(i32::MAX);
        let landlock = if tier == Tier::Limits { 0 } else { sandbox::landlock_version().min(newest) };
        let (embedded, python, version) = match &interpreter {
            Interpreter::Cpython { path, .. } => {
                (false, path.display().to_string(), format!("CPython {}.{}", version.0, version.1))
            }
            #[cfg(feature = "embedded")]
            Interpreter::Embedded => (true, String::new(), super::super::embedded::VERSION.to_owned()),
        };
        let processes = setting.freedom().processes && !embedded;
        let mut missing = Vec::new();
        if tier == Tier::Landlock {
            missing.push("paths of this machine can be probed".into());
            missing.push("programs may start threads but no processes, and make no files".into());
        }
        if !sandbox::counts_delays() {
            missing.push("time spent without a processor counts as waiting (no CONFIG_SCHED_INFO)".into());
        }
        let probe = Probe {
            tier,
            embedded,
            python,
            named: String::new(),
            version,
            passed_over,
            landlock,
            processes,
            missing,
        };
        Found { probe, interpreter, setting, zygote }
    }

    /// Asks an interpreter for its real location, because the name on the path may be a script that searches for it
    /// each time.
    fn resolve(python: &str, packages: &[String]) -> Result<Interpreter, String> {
        let text = told(Command::new(python).args(["-I", "-S", "-B", "-c", WHERE]))?;
        let mut lines = text.lines().map(PathBuf::from);
        let path = lines.next().ok_or("not CPython 3.9 or later, or this user may not run it")?;
        let library = lines.collect();
        let mut sites: Vec<PathBuf> = Vec::new();
        if !packages.is_empty() {
            let text = told(Command::new(python).args(["-I", "-B", "-c", PACKAGES]).args(packages))?;
            for line in text.lines() {
                if let Some(missing) = line.strip_prefix('!') {
                    return Err(format!(
                        "it has no `{missing}`; install it with `{python} -m pip install {missing}`"
                    ));
                }
                if !sites.iter().any(|site| site.as_os_str() == line) {
                    sites.push(line.into());
                }
            }
        }
        Ok(Interpreter::Cpython { path, library, packages: packages.to_vec(), sites })
    }

    /// What a command prints within a bounded time.
    fn told(command: &mut Command) -> Result<String, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut output = Vec::new();
        let deadline = Deadline::after(PATIENCE);
        if let Some(stdout) = &child.stdout {
            while !deadline.has_passed() && output.len() < 64 * 1024 {
                let ready = wait([(stdout.as_fd(), PollFlags::IN)], deadline).map_err(|e| e.to_string())?;
                if !ready[0].is_empty()
                    && read_some(stdout, &mut output).map_err(|e| e.to_string())?.is_none()
                {
                    break;
                }
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        String::from_utf8(output).map_err(|error| error.to_string())
    }

    fn receive(received: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let (input, _) = sandbox::parent();
        loop {
            if let Some(frame) = take_frame(received) {
                return Ok(frame);
            }
            if read_some(input, received)?.is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn alive() -> io::Result<()> {
        send(&Reply::Alive.encode())
    }

    fn send(body: &[u8]) -> io::Result<()> {
        let (_, output) = sandbox::parent();
        let bytes = framed(body)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(output, rest))?;
            rest = &rest[written..];
        }
        Ok(())
    }
}
