//! The sandbox, row by row: what a program can reach, hold, use up and leave behind, on this machine and on ones that lack
//! something.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use thinkling_verifiers::code::{Code, Settings, Tier, Without};
use thinkling_verifiers::{Outcome, Verdict, Verifier};

use crate::code::{BINARY, HONEST, add, judge, settings, tiers, verdict};

/// A test that calls `f` and expects `expected`.
fn returns(expected: &Value) -> Value {
    json!({"kind": "function", "entry": "f", "time_limit_s": 4, "tests": [{"expect": expected}]})
}

fn without(without: Without, tier: Tier) -> Option<Code> {
    Code::new(Settings { isolation: Some(tier), without, ..settings() }).ok()
}

fn is_unsupported(found: &Verdict) -> bool {
    found.outcome == Outcome::Error && found.score == 0.0 && found.reason.starts_with("unsupported: ")
}

#[test]
fn a_file_that_may_only_be_read_is_not_emptied_on_any_kernel() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let open_to_all = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(folder.path(), 0o755);
    let victim = folder.path().join("library.py");
    std::fs::write(&victim, "x = 1\n").unwrap();
    // Every user of the machine may write it, so nothing but the sandbox protects it.
    open_to_all(&victim, 0o666);
    // Tells the worker that the interpreter's library is also in that folder.
    let python = folder.path().join("python3");
    let search = "for p in /usr/bin/python3 /usr/local/bin/python3; do [ -x $p ] && break; done";
    let script = format!("#!/bin/sh\n{search}\n$p \"$@\"\necho {}\n", folder.path().display());
    std::fs::write(&python, script).unwrap();
    open_to_all(&python, 0o755);
    for tier in [Tier::Namespaces, Tier::Landlock] {
        for landlock_after in [None, Some(2), Some(1)] {
            let settings = Settings {
                python: python.display().to_string(),
                isolation: Some(tier),
                without: Without { landlock_after, ..Without::default() },
                ..settings()
            };
            let Ok(code) = Code::new(settings) else { continue };
            assert!(landlock_after.is_none_or(|version| code.probe().landlock == version));
            let program = format!(
                "import os\nP = {:?}\ndef f():\n    found = [len(open(P).read())]\n    \
                 for mode in (os.O_RDONLY, 3, os.O_WRONLY, os.O_RDWR):\n        \
                 try: os.open(P, mode | os.O_TRUNC)\n        except OSError as e: found.append(e.errno)\n    \
                 try: os.truncate(P, 0)\n    except OSError as e: found.append(e.errno)\n    return found",
                victim.display().to_string()
            );
            // EPERM comes from seccomp, EACCES from Landlock.
            let found = verdict(&code, &program, &returns(&json!([6, 1, 1, 13, 13, 1])));
            assert!(found.is_correct(), "{}, {landlock_after:?}: {}", code.probe(), found.reason);
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "x = 1\n");
        }
    }
}

#[test]
fn only_pairs_of_unix_stream_sockets_can_be_made() {
    let program = "import socket\ndef f():\n    a, b = socket.socketpair()\n    a.send(b'x')\n    found = [b.recv(1).decode()]\n    \
                   for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, 30, 40):\n        \
                   try: socket.socketpair(family)\n        except OSError as e: found.append(e.errno)\n    \
                   try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n    except OSError as e: found.append(e.errno)\n    \
                   return found";
    for code in tiers() {
        let found = verdict(&code, program, &returns(&json!(["x", 1, 1, 1, 1, 1, 1])));
        assert!(found.is_correct(), "{}: {}", code.probe(), found.reason);
    }
}

#[test]
fn behind_namespaces_no_path_of_the_machine_can_be_probed() {
    let Some(code) = without(Without::default(), Tier::Namespaces) else { return };
    let here = std::env::current_dir().unwrap();
    let paths = [
        "/etc/passwd",
        "/etc/hostname",
        "/home",
        "/root",
        "/boot",
        "/var",
        "/proc/self",
        "/proc/1",
        "/sys",
        BINARY,
    ];
    let program = format!(
        "import os\nP = {paths:?} + [{:?}]\ndef f():\n    found = []\n    for p in P:\n        \
         for probe in (os.stat, os.lstat, os.listdir, os.chdir, os.readlink, os.statvfs):\n            \
         try: probe(p); found.append(p)\n            except FileNotFoundError: pass\n    \
         return found + [os.access(p, os.F_OK) for p in P if os.access(p, os.F_OK)]",
        here.display().to_string()
    );
    let found = verdict(&code, &program, &returns(&json!([])));
    assert!(found.is_correct(), "{}", found.reason);
    // Nor by climbing out of the folder it starts in.
    let climbing =
        "import os\ndef f():\n    os.chdir('/'.join(['..'] * 50))\n    return os.path.exists('etc/passwd')";
    assert!(verdict(&code, climbing, &returns(&json!(false))).is_correct());
}

/// Eight children that hold 60 MB each at the same time.
const CHILDREN: &str = "import os\ndef f():\n    held, go = os.pipe(), os.pipe()\n    for _ in range(8):\n        \
    if os.fork() == 0:\n            x = bytearray(60 << 20)\n            for i in range(0, len(x), 4096): x[i] = 1\n            \
    os.write(held[1], b'.'); os.read(go[0], 1); os._exit(0)\n    os.close(held[1])\n    count = 0\n    \
    while count < 8 and os.read(held[0], 1): count += 1\n    return count";

#[test]
fn the_memory_limit_holds_for_all_processes_together() {
    let mut spec = returns(&json!(8));
    spec["memory_mb"] = json!(128);
    for groups in [false, true] {
        let Some(code) = without(Without { groups, ..Without::default() }, Tier::Namespaces) else {
            continue;
        };
        assert!(!(groups && code.probe().processes));
        for _ in 0..3 {
            let found = verdict(&code, CHILDREN, &spec);
            assert_eq!(found.score, 0.0, "{}: {}", code.probe(), found.reason);
            assert_eq!(is_unsupported(&found), !code.probe().processes, "{}", found.reason);
            assert!(verdict(&code, HONEST, &add()).is_correct());
        }
        spec["memory_mb"] = json!(1024);
        let found = verdict(&code, CHILDREN, &spec);
        assert_eq!(found.is_correct(), code.probe().processes, "{}: {}", code.probe(), found.reason);
        spec["memory_mb"] = json!(128);
    }
}

#[test]
fn an_attempt_is_what_the_kernel_ends_first() {
    let Some(code) = without(Without::default(), Tier::Namespaces) else { return };
    // `/proc` is out of reach, so the program cannot read it itself: this waits while the test looks.
    let program = "import time\ndef f():\n    time.sleep(1.5)\n    return 1";
    let scores = std::thread::scope(|scope| {
        let judging = scope.spawn(|| verdict(&code, program, &returns(&json!(1))));
        std::thread::sleep(Duration::from_millis(700));
        let own = std::process::id();
        let scores: Vec<String> = crate::code::below(own)
            .into_iter()
            .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok())
            .map(|score| score.trim().to_owned())
            .collect();
        assert!(judging.join().unwrap().is_correct());
        scores
    });
    assert!(scores.iter().any(|score| score == "1000"), "{scores:?}");
}

#[test]
fn an_honest_program_is_right_or_unsupported_whatever_the_machine_offers() {
    let programs = [
        (
            "threads",
            "import threading\ndef f():\n    r = []\n    t = threading.Thread(target=lambda: r.append(1)); t.start(); t.join()\n    return r[0]",
        ),
        (
            "a large stack",
            "import threading, sys\nsys.setrecursionlimit(10**5)\nthreading.stack_size(1 << 26)\ndef f():\n    r = []\n    \
          def g(n): return 1 if n == 0 else g(n - 1)\n    t = threading.Thread(target=lambda: r.append(g(20000))); t.start(); t.join()\n    return r[0]",
        ),
        (
            "a pool of threads",
            "from concurrent.futures import ThreadPoolExecutor\ndef f():\n    with ThreadPoolExecutor(20) as p: return sum(p.map(int, '1000'))",
        ),
        (
            "fork",
            "import os\ndef f():\n    pid = os.fork()\n    if pid == 0: os._exit(1)\n    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
        ),
        (
            "subprocess",
            "import subprocess, sys\ndef f(): return int(subprocess.run([sys.executable, '-S', '-c', 'print(1)'], capture_output=True).stdout)",
        ),
        (
            "a pool of processes",
            "import os\ndef f():\n    r, w = os.pipe()\n    for _ in range(3):\n        if os.fork() == 0: os.write(w, b'x'); os._exit(0)\n    \
          for _ in range(3): os.wait()\n    return len(os.read(r, 3)) - 2",
        ),
        (
            "tempfile",
            "import tempfile\ndef f():\n    with tempfile.TemporaryFile() as t: return t.write(b'x')",
        ),
        (
            "a named temporary file",
            "import tempfile\ndef f():\n    with tempfile.NamedTemporaryFile() as t: return t.write(b'x')",
        ),
        (
            "a temporary folder",
            "import tempfile, os\ndef f():\n    with tempfile.TemporaryDirectory() as d:\n        open(d + '/x', 'w').close(); return len(os.listdir(d))",
        ),
        (
            "a file",
            "def f():\n    with open('x.txt', 'w') as t: t.write('1')\n    return int(open('x.txt').read())",
        ),
        (
            "a file in a thread",
            "from concurrent.futures import ThreadPoolExecutor\ndef g():\n    with open('/tmp/x.txt', 'w') as t: return t.write('1')\n\
          def f():\n    with ThreadPoolExecutor() as p: return p.submit(g).result()",
        ),
        ("a folder", "import os\ndef f():\n    os.mkdir('d'); return len(os.listdir())"),
        (
            "a signal to itself",
            "import os, signal\ndef f():\n    r = []\n    signal.signal(signal.SIGUSR1, lambda *_: r.append(1))\n    os.kill(os.getpid(), signal.SIGUSR1)\n    return r[0]",
        ),
        (
            "no output",
            "import os, contextlib\ndef f():\n    with open(os.devnull, 'w') as n, contextlib.redirect_stdout(n): print(2)\n    return 1",
        ),
        (
            "asyncio",
            "import asyncio\nasync def g():\n    await asyncio.sleep(0.01); return 1\ndef f(): return asyncio.run(g())",
        ),
    ];
    for tier in [Tier::Namespaces, Tier::Landlock] {
        for groups in [false, true] {
            let Some(code) = without(Without { groups, ..Without::default() }, tier) else { continue };
            for (name, program) in programs {
                let stdio =
                    json!({"kind": "stdio", "time_limit_s": 4, "tests": [{"stdin": "", "stdout": "1"}]});
                let printing = format!("{program}\nprint(f())");
                for (program, spec) in [(program, returns(&json!(1))), (&printing, stdio)] {
                    let found = verdict(&code, program, &spec);
                    let is_right = found.is_correct();
                    assert!(
                        is_right || is_unsupported(&found),
                        "{name} on {}: {}",
                        code.probe(),
                        found.reason
                    );
                    let needs = if name.contains("file") || name.contains("folder") { "files" } else { name };
                    let works = match needs {
                        "fork" | "subprocess" | "a pool of processes" => code.probe().processes,
                        "files" => tier == Tier::Namespaces,
                        _ => true,
                    };
                    assert_eq!(is_right, works, "{name} on {}: {}", code.probe(), found.reason);
                }
            }
        }
    }
}

#[test]
fn what_a_program_leaves_behind_decides_nothing_after_it() {
    let leaving = [
        "import os\nos.mkdir('x', 0)",
        "import os\nos.umask(0)\nos.mkdir('x', 0o300)\nfor n in 'abc': open('x/' + n, 'w').close()\nos.mkdir('x/d', 0o300)\nopen('x/d/e', 'w').close()",
        "import os\nfor _ in range(1000):\n    os.mkdir('x' * 200)\n    os.chdir('x' * 200)",
        "import os\nfor _ in range(1000):\n    os.mkdir('d')\n    os.chdir('d')\nopen('e', 'w').close()",
        "import os\nfor n in range(1000): open('x%d' % n, 'w').close()",
        "import os\nos.symlink('/', 'root'); os.symlink('loop', 'loop'); os.mkdir(b'\\xff\\xfe')",
        "import os\nos.mkfifo('f') if False else None\nos.link(__import__('sys').executable, 'p')",
        "import os, sys\nos.rename('.', 'y')",
    ];
    for code in tiers() {
        for program in leaving {
            let program =
                format!("try:\n    {}\nexcept OSError: pass\n{HONEST}", program.replace('\n', "\n    "));
            for _ in 0..3 {
                let found = verdict(&code, &program, &add());
                assert!(found.is_correct(), "{program} on {}: {}", code.probe(), found.reason);
                let look =
                    "import os\nLEFT = os.listdir('.') if os.getcwd() != '/' else []\ndef f(): return LEFT";
                let found = verdict(&code, look, &returns(&json!([])));
                assert!(found.is_correct(), "after {program} on {}: {}", code.probe(), found.reason);
            }
        }
    }
}

/// Uses `seconds` of processor time.
fn computing(seconds: f64) -> String {
    format!(
        "import time\ndef f():\n    while time.process_time() < {seconds}: sum(range(1000))\n    return 1"
    )
}

fn one_item(id: usize, program: &str, spec: &Value) -> String {
    let completion = format!("<answer>\n```python\n{program}\n```\n</answer>");
    format!("{}\n", json!({"id": id, "completion": completion, "spec": spec}))
}

/// The verdicts of `verify code` on so many threads.
fn verdicts(lines: &str, threads: usize) -> Vec<String> {
    let mut child = Command::new(BINARY)
        .args(["verify", "code", "--threads", &threads.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = |line: &str| {
        let found: Value = serde_json::from_str(line).unwrap();
        found["verdict"].as_str().unwrap().to_owned()
    };
    text.lines().map(verdict).collect()
}

/// A process that keeps a core busy, until it is dropped.
struct Busy(std::process::Child);

impl Busy {
    fn start() -> Self {
        Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `THINKLING_TIMED_PROGRAMS` sets how many: 1,000 in the log, fewer here to keep the tests short.
#[test]
fn verdicts_near_the_time_limit_depend_on_neither_load_nor_threads() {
    let count = std::env::var("THINKLING_TIMED_PROGRAMS").map_or(32, |count| count.parse().unwrap());
    let limit = 0.2;
    let spec = json!({"kind": "function", "entry": "f", "time_limit_s": limit, "tests": [{"expect": 1}]});
    // From 60 % to 92 % of the limit, and from 108 % to 140 %.
    let share = |id: usize| 0.6 + (id * 7 % 17) as f64 * 0.02 + if id.is_multiple_of(2) { 0.0 } else { 0.48 };
    let lines: String = (0..count).map(|id| one_item(id, &computing(limit * share(id)), &spec)).collect();
    let expected: Vec<&str> =
        (0..count).map(|id| if id.is_multiple_of(2) { "correct" } else { "timeout" }).collect();
    let _busy = Busy::start();
    for threads in [1, 2, 8] {
        assert_eq!(verdicts(&lines, threads), expected, "{threads} threads");
    }
}

#[test]
fn a_program_that_waits_is_late_after_its_limit_also_beside_load() {
    let spec = json!({"kind": "function", "entry": "f", "time_limit_s": 1, "tests": [{"expect": 1}]});
    let waiting = [
        ("correct", "import time\ndef f():\n    time.sleep(0.5)\n    return 1"),
        ("timeout", "import time\ndef f():\n    time.sleep(60)\n    return 1"),
        ("timeout", "import time\ndef f():\n    for _ in range(100000): time.sleep(0.002)\n    return 1"),
        ("timeout", "import os\ndef f():\n    return os.read(os.pipe()[0], 1)"),
        (
            "timeout",
            "import threading\ndef f():\n    lock = threading.Lock(); lock.acquire(); lock.acquire()",
        ),
        (
            "timeout",
            "import threading, time\ndef f():\n    t = threading.Thread(target=time.sleep, args=(60,)); t.start(); t.join()",
        ),
        ("timeout", "import signal\ndef f():\n    signal.pause()"),
    ];
    let lines: String =
        waiting.iter().enumerate().map(|(id, (_, program))| one_item(id, program, &spec)).collect();
    let expected: Vec<&str> = waiting.iter().map(|(verdict, _)| *verdict).collect();
    let _busy = [Busy::start(), Busy::start()];
    for threads in [1, 8] {
        assert_eq!(verdicts(&lines, threads), expected, "{threads} threads");
    }
}

#[test]
fn all_runs_and_all_children_of_a_program_share_its_time() {
    let code = judge(settings());
    let run = json!({"stdin": "", "stdout": "1"});
    let spec = |runs: usize| json!({"kind": "stdio", "time_limit_s": 0.5, "partial": "fraction", "tests": vec![&run; runs]});
    let program = format!("{}\nprint(f())", computing(0.2));
    assert!(verdict(&code, &program, &spec(2)).is_correct());
    let found = verdict(&code, &program, &spec(3));
    assert_eq!((found.outcome, found.score), (Outcome::Timeout, 2.0 / 3.0), "{}", found.reason);
    if code.probe().processes {
        // Each child alone stays within the limit.
        let forking = |children| {
            format!(
                "import os, time\ndef f():\n    for _ in range({children}):\n        if os.fork() == 0:\n            \
                 while time.process_time() < 0.2: pass\n            os._exit(0)\n        os.wait()\n    return 1"
            )
        };
        let spec = json!({"kind": "function", "entry": "f", "time_limit_s": 0.5, "tests": [{"expect": 1}]});
        assert!(verdict(&code, &forking(2), &spec).is_correct());
        assert_eq!(verdict(&code, &forking(3), &spec).outcome, Outcome::Timeout);
    }
}

#[test]
fn the_notice_says_what_is_missing() {
    for (tier, groups, partial) in [(Tier::Landlock, false, true), (Tier::Namespaces, true, true)] {
        let Some(code) = without(Without { groups, landlock_after: Some(2) }, tier) else { continue };
        let notice = code.notice().unwrap();
        assert!(notice.contains("Landlock (ABI 2)"), "{notice}");
        assert_eq!(notice.contains("; partial: "), partial, "{notice}");
        assert_eq!(notice.contains("can be probed"), tier == Tier::Landlock, "{notice}");
        assert!(notice.contains("no processes"), "{notice}");
    }
}
