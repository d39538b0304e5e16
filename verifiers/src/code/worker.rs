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
    use super::super::protocol::{Hello, Probe, Reply, Request};
    use super::super::sandbox::{self, Interpreter};
    use super::super::zygote::Zygote;
    use crate::pipes::{Deadline, read_some, wait};

    /// Prints the interpreter's file and its library folders, one per line.
    const WHERE: &str = "import os, sys, sysconfig\n\
        assert sys.implementation.name == 'cpython' and sys.version_info >= (3, 9)\n\
        p = sysconfig.get_path; v = sysconfig.get_config_var\n\
        print(os.path.realpath(sys.executable))\n\
        for f in {p('stdlib'), p('platstdlib'), v('DESTSHARED'), v('LIBDIR')} - {None}: print(os.path.realpath(f))";

    /// Maximum time for an interpreter to print its location.
    const PATIENCE: Duration = Duration::from_secs(10);

    pub(super) struct Worker {
        received: Vec<u8>,
        interpreter: Interpreter,
        tier: Tier,
        zygote: Option<Zygote>,
    }

    impl Worker {
        /// Reads the greeting, finds an interpreter and a tier that work, and reports them.
        pub(super) fn greet() -> io::Result<Self> {
            let prepared = sandbox::prepare_worker();
            let mut received = Vec::new();
            let hello: Hello = serde_json::from_slice(&receive(&mut received)?)?;
            let found = match prepared {
                Ok(()) => find(&hello),
                Err(error) => Err(format!("{error}; run as an ordinary user instead")),
            };
            let (result, found) = match found {
                Ok((probe, interpreter, zygote)) => (Ok(probe), Some((interpreter, zygote))),
                Err(why) => (Err(why), None),
            };
            send(&serde_json::to_vec(&result)?)?;
            let (probe, (interpreter, zygote)) = result
                .ok()
                .zip(found)
                .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no isolation"))?;
            Ok(Self { received, interpreter, tier: probe.tier, zygote: Some(zygote) })
        }

        /// Serves requests until the parent closes the input.
        pub(super) fn serve(&mut self) -> io::Result<()> {
            loop {
                let request: Request = serde_json::from_slice(&receive(&mut self.received)?)?;
                match request {
                    Request::Start { milliseconds, output_limit, raw } => {
                        let task = receive(&mut self.received)?;
                        let time = Duration::from_millis(milliseconds);
                        match self.start(&task, time, output_limit, raw) {
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

        fn start(&mut self, task: &[u8], time: Duration, output_limit: usize, raw: bool) -> io::Result<()> {
            self.end();
            let zygote = match &mut self.zygote {
                Some(zygote) => zygote,
                None => {
                    let (zygote, _) =
                        Zygote::start(self.tier, &self.interpreter).map_err(io::Error::other)?;
                    self.zygote.insert(zygote)
                }
            };
            // From here on the time counts for the program, not for the interpreter.
            zygote.begin(task, Deadline::after(time), output_limit, raw)
        }

        /// Waits for the attempt and passes its answer on. An interpreter that failed is replaced.
        fn reply(&mut self, so_far: io::Result<()>) -> io::Result<()> {
            let answer = so_far.and_then(|()| match &mut self.zygote {
                Some(zygote) => zygote.answer(),
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
                && zygote.end().is_err()
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

    /// Finds the first interpreter that starts within the strongest tier possible.
    fn find(hello: &Hello) -> Result<(Probe, Interpreter, Zygote), String> {
        let mut passed_over = Vec::new();
        let mut resolved: Vec<Option<Interpreter>> = Vec::new();
        for tier in hello.tiers.iter().copied() {
            for (at, python) in hello.pythons.iter().enumerate() {
                if at == resolved.len() {
                    let found = resolve(python).map_err(|why| passed_over.push(format!("{python}: {why}")));
                    resolved.push(found.ok());
                }
                let Some(interpreter) = &resolved[at] else { continue };
                match Zygote::start(tier, interpreter) {
                    Ok((zygote, version)) => {
                        return Ok((
                            probe(tier, interpreter, version, passed_over),
                            interpreter.clone(),
                            zygote,
                        ));
                    }
                    Err(why) => passed_over.push(format!("{tier:?} with {python}: {why}")),
                }
            }
        }
        #[cfg(feature = "embedded")]
        for tier in hello.tiers.iter().copied().filter(|_| hello.embedded) {
            match Zygote::start(tier, &Interpreter::Embedded) {
                Ok((zygote, version)) => {
                    let interpreter = Interpreter::Embedded;
                    return Ok((probe(tier, &interpreter, version, passed_over), interpreter, zygote));
                }
                Err(why) => passed_over.push(format!("{tier:?} with the embedded interpreter: {why}")),
            }
        }
        if hello.pythons.is_empty() {
            passed_over.push("no python3 on the path".into());
        }
        Err(passed_over.join("; "))
    }

    fn probe(tier: Tier, interpreter: &Interpreter, version: (u32, u32), passed_over: Vec<String>) -> Probe {
        match interpreter {
            Interpreter::Cpython { path, .. } => {
                let version = format!("CPython {}.{}", version.0, version.1);
                Probe { tier, embedded: false, python: path.display().to_string(), version, passed_over }
            }
            #[cfg(feature = "embedded")]
            Interpreter::Embedded => {
                let version = super::super::embedded::VERSION.to_owned();
                Probe { tier, embedded: true, python: String::new(), version, passed_over }
            }
        }
    }

    /// Asks an interpreter for its real location, because the name on the path may be a script that searches for it
    /// each time.
    fn resolve(python: &str) -> Result<Interpreter, String> {
        let mut child = Command::new(python)
            .args(["-I", "-S", "-B", "-c", WHERE])
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
        let text = String::from_utf8(output).map_err(|error| error.to_string())?;
        let mut lines = text.lines().map(PathBuf::from);
        let path = lines.next().ok_or("not CPython 3.9 or later, or this user may not run it")?;
        Ok(Interpreter::Cpython { path, library: lines.collect() })
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
