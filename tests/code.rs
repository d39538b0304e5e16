//! Honest and hostile programs in the real sandbox.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use thinkling_verifiers::code::{Code, Credit, Executor, Settings, Tier};
use thinkling_verifiers::{Item, Outcome, Verdict, Verifier};

use crate::golden;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_thinkling");

pub(crate) fn settings() -> Settings {
    Settings { worker: Some(PathBuf::from(BINARY)), ..Settings::default() }
}

pub(crate) fn judge(settings: Settings) -> Code {
    Code::new(settings).expect("this machine isolates programs")
}

pub(crate) fn verdict(code: &Code, program: &str, spec: &Value) -> Verdict {
    let completion = format!("<think>so</think><answer>\n```python\n{program}\n```\n</answer>");
    code.verify(&Item { completion: &completion, answer: None, spec: Some(spec) })
}

pub(crate) fn add() -> Value {
    json!({"kind": "function", "entry": "add", "partial": "fraction", "time_limit_s": 2, "tests": [
        {"args": [1, 2], "expect": 3, "public": true},
        {"args": [2, 3], "expect": 5},
        {"args": ["a", "b"], "expect": "ab"},
        {"args": [], "kwargs": {"a": 0.1, "b": 0.2}, "expect": 0.3},
    ]})
}

pub(crate) const HONEST: &str = "def add(a, b):\n    return a + b";

/// The interpreters of this build.
fn executors() -> Vec<Executor> {
    let mut executors = vec![Executor::Cpython];
    executors.extend(cfg!(feature = "embedded").then_some(Executor::Embedded));
    executors
}

/// Every kind of isolation on this machine.
pub(crate) fn tiers() -> Vec<Code> {
    [Tier::Namespaces, Tier::Landlock]
        .into_iter()
        .filter_map(|tier| Code::new(Settings { isolation: Some(tier), ..settings() }).ok())
        .collect()
}

#[test]
fn functions_are_called_and_counted() {
    let code = judge(settings());
    let right = verdict(&code, HONEST, &add());
    assert_eq!((right.score, right.outcome), (1.0, Outcome::Correct), "{}", right.reason);
    assert_eq!(right.reason, "passed 3 of 3 hidden tests and 1 of 1 public ones");

    let example_only = verdict(&code, "def add(a, b):\n    return 3", &add());
    assert_eq!((example_only.score, example_only.outcome), (0.25, Outcome::Wrong));
    assert!(example_only.reason.contains("0 of 3 hidden tests and 1 of 1 public"), "{}", example_only.reason);

    let mut all = add();
    all["partial"] = json!("all");
    assert_eq!(verdict(&code, "def add(a, b):\n    return 3", &all).score, 0.0);
    all["partial"] = json!("first_failure");
    assert_eq!(verdict(&code, "def add(a, b):\n    return a + b if type(a) is int else 0", &all).score, 0.5);
}

#[test]
fn a_method_and_structured_values_are_judged() {
    let code = judge(settings());
    let spec = json!({"kind": "function", "entry": "Solution.pairs", "tests": [
        {"args": [[3, 1, 2]], "expect": {"1": [1, null], "2": [[2.5], true]}}
    ]});
    let program =
        "class Solution:\n    def pairs(self, xs):\n        return {2: ([2.5], True), 1: (1, None)}";
    assert!(verdict(&code, program, &spec).is_correct());
    assert!(!verdict(&code, &program.replace("True", "1"), &spec).is_correct());
    assert!(!verdict(&code, &program.replace("None", "0"), &spec).is_correct());
}

#[test]
fn a_crash_costs_its_own_test_only() {
    let code = judge(settings());
    let program = "import os\ndef add(a, b):\n    if a == 1: os._exit(0)\n    return a + b";
    let found = verdict(&code, program, &add());
    assert_eq!((found.score, found.outcome), (0.75, Outcome::Wrong), "{}", found.reason);
}

#[test]
fn what_passed_before_the_time_ran_out_counts() {
    let code = judge(settings());
    let program = "def add(a, b):\n    while a == 'a': pass\n    return a + b";
    let found = verdict(&code, program, &add());
    assert_eq!((found.score, found.outcome), (0.5, Outcome::Timeout), "{}", found.reason);
}

#[test]
fn programs_read_and_print() {
    let code = judge(settings());
    let large = "7 ".repeat(200_000);
    let spec = json!({"kind": "stdio", "partial": "fraction", "tests": [
        {"stdin": "1 2\n", "stdout": "3\n"},
        {"stdin": "", "stdout": "0"},
        {"stdin": large, "stdout": "1400000"},
    ]});
    for program in [
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
        "print(sum(int(x) for x in open(0).read().split()))",
        "import sys, atexit\nsys.stdout.write('%d  \\n\\n' % sum(map(int, sys.stdin.buffer.read().split())))",
        "if __name__ == '__main__':\n    import os\n    s = 0\n    while True:\n        try: s += sum(map(int, input().split()))\n        \
         except EOFError: break\n    os.write(1, b'%d' % s)",
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(0)",
    ] {
        let found = verdict(&code, program, &spec);
        assert!(found.is_correct(), "{program}: {}", found.reason);
    }
    let found = verdict(&code, "print(sum(map(int, input().split())))", &spec);
    assert!((found.score - 2.0 / 3.0).abs() < 1e-12, "{}", found.reason);
    let found = verdict(&code, "while True: print('x' * 10000)", &spec);
    assert_eq!((found.score, found.outcome), (0.0, Outcome::Wrong));
    assert!(found.reason.contains("bytes of output"), "{}", found.reason);
}

#[test]
fn assertions_are_rewritten_so_that_the_expected_value_stays_outside() {
    let code = judge(settings());
    let spec = json!({"kind": "asserts", "partial": "fraction", "setup": "import math\nLIMIT = 5", "asserts": [
        "assert square(3) == 9",
        "assert 16 == square(4), 'a message'",
        "assert set(pair(1)) == set((1, 2))",
        "assert abs(square(1.5) - 2.25) < 1e-6",
        "assert math.isclose(square(2), 4.0) and square(1) == 1",
        "assert not (square(2) > LIMIT)",
        "assert isinstance(pair(square(2)), tuple)",
        "assert pair(1)[1] == 2",
        {"assert": "assert square(0) == 0", "public": true},
    ]});
    let program = "def square(x):\n    return x * x\ndef pair(x):\n    return x, x + 1";
    let found = verdict(&code, program, &spec);
    assert!(found.is_correct(), "{}", found.reason);
    // An object that equals everything, or a truth value in place of a number.
    let forged = "class T:\n    def __eq__(s, o): return True\n    __lt__ = __gt__ = __sub__ = __abs__ = lambda s, *o: T()\n\
                  def square(x):\n    return T()\npair = square";
    assert_eq!(verdict(&code, forged, &spec).score, 0.0);
    // The program sees the call of an assertion, not the expected value.
    let peeking = "import sys\ndef square(x):\n    f = sys._getframe()\n    while f:\n        for d in (f.f_locals, f.f_globals):\n            \
                   for v in list(d.values()):\n                if v == 9 or isinstance(v, str) and '== 9' in v: return 9\n        \
                   f = f.f_back\n    return -1\ndef pair(x): return ()";
    let single = json!({"kind": "asserts", "asserts": ["assert square(3) == 9"]});
    assert_eq!(verdict(&code, peeking, &single).score, 0.0);
}

#[test]
fn an_assertion_that_cannot_be_rewritten_is_the_items_fault() {
    let code = judge(settings());
    for bad in ["x = 1", "assert 1 == 1", "assert all(f(i) for i in [])", "assert (", "assert f(1) == 1 / 0"]
    {
        let spec = json!({"kind": "asserts", "asserts": [bad]});
        assert_eq!(verdict(&code, "def f(x): return x", &spec).outcome, Outcome::Error, "{bad}");
    }
    for kind in ["asserts", "asserts_untrusted"] {
        let spec = json!({"kind": kind, "asserts": ["assert all(f(i) == i for i in range(3))"]});
        assert!(verdict(&code, "def f(x): return x", &spec).is_correct());
        assert!(!verdict(&code, "def f(x): return 1", &spec).is_correct());
    }
}

#[test]
fn strange_completions_get_a_verdict() {
    let code = judge(settings());
    let spec = add();
    let huge = "x".repeat(10_000_000);
    let fenced = format!("```python\n{huge}\n```");
    let ticks = "```\n".repeat(2_500_000);
    let nested = format!("```python\nx = {}\n```", "(".repeat(900_000));
    for completion in ["", "\0", "<answer>", "<answer></answer>", "```python\nf(", &huge, &fenced, &ticks] {
        let found = code.verify(&Item { completion, answer: None, spec: Some(&spec) });
        assert!(matches!(found.outcome, Outcome::Malformed | Outcome::Wrong), "{}", found.reason);
        assert_eq!(found.score, 0.0);
    }
    for completion in ["```python\ndef add(a, b):\n    return a \0 + b\n```", &nested] {
        let found = code.verify(&Item { completion, answer: None, spec: Some(&spec) });
        assert_eq!((found.score, found.outcome), (0.0, Outcome::Wrong), "{}", found.reason);
    }
    assert!(verdict(&code, HONEST, &spec).is_correct());
}

#[test]
fn one_program_finds_nothing_of_another() {
    for code in tiers() {
        let leave = format!(
            "import math, os\nmath.LEFT = 1\nos.environ['LEFT'] = '1'\ntry: open('left', 'w').close()\nexcept OSError: pass\n{HONEST}"
        );
        let find = "import math, os\nFOUND = hasattr(math, 'LEFT') or 'LEFT' in os.environ or os.path.exists('left')\n\
                    def add(a, b):\n    return a + b if FOUND else None";
        assert!(verdict(&code, &leave, &add()).is_correct());
        assert_eq!(verdict(&code, find, &add()).score, 0.0);
    }
}

#[test]
fn every_tier_refuses_what_reaches_the_machine() {
    let tiers = tiers();
    assert!(!tiers.is_empty(), "this machine isolates nothing");
    let probes = [
        "open('/etc/passwd').read()",
        "__import__('os').listdir('/proc')[0]",
        "__import__('socket').socket()",
        "open('/dev/shm/x', 'w')",
        "__import__('os').chmod('/', 0o777)",
        "__import__('os').execv('/bin/sh', ['sh'])",
        "__import__('os').memfd_create('x')",
        "__import__('ctypes').CDLL(None, use_errno=True).unshare(0x10000000) == -1 and 1 / 0",
        "__import__('ctypes').CDLL(None, use_errno=True).ptrace(0, 0, 0, 0) == -1 and 1 / 0",
    ];
    let signal = format!("__import__('os').kill({}, 0)", std::process::id());
    for code in &tiers {
        for probe in probes.into_iter().chain([signal.as_str()]) {
            let program = format!("{probe}\n{HONEST}");
            let found = verdict(code, &program, &add());
            assert_eq!(found.score, 0.0, "{probe} with {}: {}", code.probe(), found.reason);
            assert!(found.reason.contains("raised"), "{probe}: {}", found.reason);
        }
        assert!(verdict(code, HONEST, &add()).is_correct());
    }
}

#[test]
fn a_program_that_ends_by_itself_never_spoils_the_next() {
    for code in tiers() {
        for _ in 0..100 {
            verdict(&code, "1 / 0", &add());
            verdict(&code, "import os\nos._exit(0)", &add());
            let found = verdict(&code, HONEST, &add());
            assert!(found.is_correct(), "{}: {}", code.probe(), found.reason);
        }
    }
}

#[test]
fn settings_are_checked() {
    let missing = Settings { python: "/nonexistent/python3".into(), ..settings() };
    let Err(error) = Code::new(missing) else { panic!("accepted an interpreter that is not there") };
    assert!(error.to_string().contains("/nonexistent/python3"), "{error}");
    assert!(Code::new(Settings { isolation: Some(Tier::Limits), ..settings() }).is_err());
    let stranger = Settings { worker: Some("/bin/cat".into()), ..settings() };
    let Err(error) = Code::new(stranger) else { panic!("accepted a stranger as worker") };
    assert!(error.to_string().contains("main_if_worker"), "{error}");
    let code = judge(Settings { partial: Credit::Fraction, ..settings() });
    let item = Item { completion: "```\nx\n```", answer: None, spec: None };
    assert_eq!(code.verify(&item).outcome, Outcome::Error);
}

/// `verify code` on one thread, so that its processes are known.
fn batch(executor: Executor, tier: Option<Tier>, input: &[Value]) -> (Child, Vec<u8>) {
    let name = if executor == Executor::Embedded { "embedded" } else { "cpython" };
    let config = json!({"executor": name, "isolation": tier}).to_string();
    let child = Command::new(BINARY)
        .args(["verify", "code", "--threads", "1", "--config", &config])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    let lines = input.iter().map(|item| format!("{item}\n")).collect::<String>();
    (child, lines.into_bytes())
}

fn item(id: usize, program: &str) -> Value {
    json!({"id": id, "completion": format!("<answer>\n```python\n{program}\n```\n</answer>"), "spec": add()})
}

/// All descendants of the process `pid`.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    let mut children: Vec<u32> = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children.iter().flat_map(|child| std::iter::once(*child).chain(below(*child))).collect()
}

pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain: {what}");
}

/// Runs long enough for the test to find its processes.
const SLOW: &str = "def add(a, b):\n    x = 0\n    for i in range(1500000): x = x + 1\n    return a + b";

#[test]
fn a_killed_worker_costs_at_most_its_item() {
    // First the worker, then its children (the interpreter, its attempt).
    for (executor, depth) in executors().into_iter().flat_map(|executor| [0, 1, 2].map(|at| (executor, at))) {
        let mut items: Vec<Value> = (0..8).map(|id| item(id, if id == 2 { SLOW } else { HONEST })).collect();
        items[2]["spec"]["time_limit_s"] = json!(60);
        let (mut child, lines) = batch(executor, None, &items);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut verdicts: Vec<Value> = Vec::new();
        let mut line = String::new();
        let mut read = |verdicts: &mut Vec<Value>| {
            line.clear();
            let length = stdout.read_line(&mut line).unwrap();
            if length > 0 {
                verdicts.push(serde_json::from_str(&line).unwrap());
            }
            length > 0
        };
        let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
        stdin.write_all(&lines[..2].concat()).unwrap();
        read(&mut verdicts);
        read(&mut verdicts);
        // The attempts of the first two items have ended; that of the third follows.
        wait_until("the second item's attempt to go", || below(child.id()).len() == 2);
        stdin.write_all(&lines[2..].concat()).unwrap();
        drop(stdin);
        wait_until("the third item's processes", || below(child.id()).len() == 3);
        let processes = below(child.id());
        assert!(Command::new("kill").args(["-9", &processes[depth].to_string()]).status().unwrap().success());
        while read(&mut verdicts) {}
        assert!(child.wait().unwrap().success());
        assert_eq!(verdicts.len(), 8);
        for (id, found) in verdicts.iter().enumerate() {
            assert_eq!(found["id"], id);
            // The attempt belongs to the program: if it is killed, it fails that test.
            let spared = id != 2 || depth != 2;
            assert!(
                found["score"] == 1.0 || found["verdict"] == "error" || !spared,
                "{executor:?} {depth}: {found}"
            );
        }
        wait_until("the processes to go", || !processes.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn a_worker_that_gives_no_sign_of_life_is_replaced() {
    let (mut child, lines) = batch(Executor::Cpython, None, &[item(0, HONEST)]);
    // The notice comes when the worker is ready.
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
    let worker = below(child.id())[0];
    let stop = |signal: &str| Command::new("kill").args([signal, &worker.to_string()]).status().unwrap();
    assert!(stop("-STOP").success());
    child.stdin.take().unwrap().write_all(&lines).unwrap();
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["score"], 1.0, "{found}");
    assert!(!is_alive(worker));
}

#[test]
fn nothing_is_left_when_the_verifier_or_its_worker_is_killed() {
    let busy = "def add(a, b):\n    while True: pass";
    let asleep = "import time\ndef add(a, b):\n    time.sleep(60)";
    for code in tiers() {
        let tier = Some(code.probe().tier);
        for (executor, program) in executors().into_iter().flat_map(|executor| {
            let programs = if executor == Executor::Embedded { vec![busy] } else { vec![busy, asleep] };
            programs.into_iter().map(move |program| (executor, program))
        }) {
            for worker_too in [false, true] {
                let mut endless = item(0, program);
                endless["spec"]["time_limit_s"] = json!(60);
                let (mut child, lines) = batch(executor, tier, &[endless]);
                child.stdin.take().unwrap().write_all(&lines).unwrap();
                wait_until("the attempt", || below(child.id()).len() == 3);
                let processes = below(child.id());
                let mut killed = vec![child.id().to_string()];
                killed.extend(worker_too.then(|| processes[0].to_string()));
                assert!(Command::new("kill").arg("-9").args(killed).status().unwrap().success());
                child.wait().unwrap();
                wait_until("the processes to go", || !processes.iter().any(|pid| is_alive(*pid)));
            }
        }
    }
}

#[test]
fn an_external_judge_dies_with_its_verifier() {
    let config = json!({"command": ["python3", "-c", "import time; time.sleep(300)"]}).to_string();
    for signal in ["-TERM", "-KILL"] {
        let mut child = Command::new(BINARY)
            .args(["verify", "external", "--config", &config])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"{\"completion\": \"c\", \"answer\": \"1\"}\n").unwrap();
        wait_until("the judge", || below(child.id()).len() == 1);
        let judges = below(child.id());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap();
        wait_until("the judge to go", || !judges.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn more_threads_than_allowed_are_refused_with_a_reason() {
    for (threads, allowed) in [("0", false), ("1024", true), ("1025", false), ("100000", false)] {
        let output = Command::new(BINARY)
            .args(["verify", "exact", "--threads", threads])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if allowed { 0 } else { 2 }), "{threads}: {error}");
        assert!(allowed || error.contains("1..=1024"), "{threads}: {error}");
    }
}

#[test]
fn lines_are_answered_in_their_order_whatever_they_hold() {
    let hang = "def add(a, b):\n    while True: pass";
    let lines: Vec<String> = (0..100)
        .map(|id| match id % 10 {
            3 => "no JSON".to_owned(),
            7 => item(id, "def add(a, b):\n    return a - b").to_string(),
            9 if id < 30 => item(id, hang).to_string(),
            _ => item(id, HONEST).to_string(),
        })
        .collect();
    let mut child = Command::new(BINARY)
        .args(["verify", "code", "--threads", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = lines.join("\n");
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let verdicts: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(verdicts.len(), 100);
    for (id, found) in verdicts.iter().enumerate() {
        let verdict = match id % 10 {
            3 => {
                assert_eq!((&found["id"], &found["line"]), (&Value::Null, &json!(id + 1)));
                continue;
            }
            7 => "wrong",
            9 if id < 30 => "timeout",
            _ => "correct",
        };
        assert_eq!((&found["id"], &found["verdict"]), (&json!(id), &json!(verdict)), "{found}");
    }
}

fn fixture(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Programs that forge, search, break out, flood, hang or exit; an honest one follows each.
#[test]
fn no_hostile_program_is_rewarded_or_spoils_the_next() {
    let mut spec = add();
    spec["time_limit_s"] = json!(1);
    spec["memory_mb"] = json!(256);
    // A constant that is right by chance is not an attack.
    spec["partial"] = json!("all");
    let large = "x".repeat(200_000);
    let mut after = spec.clone();
    // More than the capacity of a pipe.
    after["tests"][1] = json!({"args": [large, large], "expect": format!("{large}{large}")});
    after["time_limit_s"] = json!(5);
    for executor in executors() {
        let code = judge(Settings { executor, ..settings() });
        for attack in fixture("programs.jsonl") {
            let name = attack["name"].as_str().unwrap();
            let found = verdict(&code, attack["program"].as_str().unwrap(), &spec);
            assert_eq!(found.score, 0.0, "{name}: {}", found.reason);
            // Without a limit on the memory of all processes together, a program may start none.
            let has_gaps = executor == Executor::Embedded || !code.probe().processes;
            let is_gap = has_gaps && found.reason.starts_with("unsupported: ");
            assert!(found.outcome != Outcome::Error || is_gap, "{name}: {}", found.reason);
            let found = verdict(&code, HONEST, &after);
            assert!(found.is_correct(), "after {name}: {}", found.reason);
        }
    }
}

/// Programs that use features of Python; the embedded interpreter may report that it has no such feature.
#[test]
fn honest_programs_are_right() {
    let spec = json!({"kind": "function", "entry": "add", "tests": [
        {"args": [1, 2], "expect": 3},
        {"args": [-5, 7], "expect": 2},
        {"args": [1_000_000_000_000_i64, 1], "expect": 1_000_000_000_001_i64},
        {"args": [2.5, 0.25], "expect": 2.75},
    ]});
    for executor in executors() {
        let code = judge(Settings { executor, ..settings() });
        for honest in fixture("honest_programs.jsonl") {
            let (name, program) = (honest["name"].as_str().unwrap(), honest["program"].as_str().unwrap());
            let found = verdict(&code, program, &spec);
            let is_gap = executor == Executor::Embedded && found.reason.starts_with("unsupported: ");
            assert!(found.is_correct() || is_gap, "{executor:?}, {name}: {}", found.reason);
            assert_eq!(found.is_correct(), found.outcome != Outcome::Error, "{name}");
        }
    }
}

/// The golden attacks, in one stream.
#[test]
fn no_attack_is_rewarded_and_every_control_passes() {
    let folder = golden::path("attacks");
    let manifest = std::fs::read(folder.join("manifest.json")).expect("a set of attacks has a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut spec = manifest["task"].clone();
    spec["kind"] = json!("function");
    for executor in executors() {
        let code = judge(Settings { executor, ..settings() });
        let attacks = manifest["attacks"].as_array().unwrap();
        assert!(!attacks.is_empty());
        for attack in attacks {
            let name = attack["file"].as_str().unwrap();
            let source = std::fs::read(folder.join(name)).unwrap();
            let found = verdict(&code, &String::from_utf8_lossy(&source), &spec);
            let has_gaps = executor == Executor::Embedded || !code.probe().processes;
            if has_gaps && found.reason.starts_with("unsupported: ") {
                assert_eq!((found.score, found.outcome), (0.0, Outcome::Error), "{name}");
                continue;
            }
            assert_ne!(found.outcome, Outcome::Error, "{name}: {}", found.reason);
            if attack["category"] == "control" {
                assert_eq!(found.score, attack["score"].as_f64().unwrap(), "{name}: {}", found.reason);
            } else {
                assert!(
                    found.score <= attack["max_score"].as_f64().unwrap_or(0.0),
                    "{name}: {}",
                    found.reason
                );
            }
        }
    }
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;

    fn judge() -> Code {
        super::judge(Settings { executor: Executor::Embedded, ..settings() })
    }

    #[test]
    fn functions_are_judged_without_python() {
        let code = judge();
        assert!(code.probe().embedded);
        let found = verdict(&code, HONEST, &add());
        assert!(found.is_correct(), "{}", found.reason);
        assert_eq!(verdict(&code, "def add(a, b):\n    return 3", &add()).score, 0.25);
        let large = json!({"kind": "function", "entry": "f", "tests": [
            {"args": [[1, 2.5, "x", null, true, {"k": [9_000_000_000_000_000_000_i64]}]],
             "expect": [1, 2.5, "x", null, true, {"k": [9_000_000_000_000_000_000_i64]}]}
        ]});
        assert!(verdict(&code, "def f(x):\n    return x", &large).is_correct());
        assert!(!verdict(&code, "def f(x):\n    return x[:-1]", &large).is_correct());
    }

    #[test]
    fn what_it_lacks_is_an_error_and_what_is_wrong_is_wrong() {
        let code = judge();
        for lacking in [
            "def add(a, b):\n    yield a",
            "class A(int): pass\ndef add(a, b):\n    return a + b",
            "import heapq\ndef add(a, b):\n    return a + b",
            "def add(a, b):\n    return int('%d' % (a + b))",
            "def add(a, b):\n    return int(input())",
            "def add(a, b):\n    x = [a, b]\n    del x[0]\n    return sum(x) + a",
            // A handler must not hide the gap.
            "try:\n    import heapq\nexcept ImportError:\n    heapq = None\ndef add(a, b):\n    return heapq and a + b",
            "def add(a, b):\n    try:\n        return int('%d' % (a + b))\n    except:\n        return None",
            "def add(a, b):\n    try: return frozenset([a + b]).pop()\n    except Exception: pass",
        ] {
            let found = verdict(&code, lacking, &add());
            assert_eq!(found.outcome, Outcome::Error, "{lacking}: {}", found.reason);
            assert!(found.reason.starts_with("unsupported: "), "{}", found.reason);
        }
        for wrong in [
            "def add(a, b):\n    return 1 // 0",
            "def add(a, b:",
            "def sub(a, b): return 0",
            "x = [",
            "def add(a, b):\n    return a + None",
            "def add(a):\n    return a",
            "def add(a, b):\n    return a.append(b)",
            "def add(a, b):\n    try:\n        return a[b]\n    except TypeError:\n        return 0",
        ] {
            assert_eq!(verdict(&code, wrong, &add()).outcome, Outcome::Wrong, "{wrong}");
        }
        for right in [
            "def add(a, b):\n    return a + b\nif __name__ == '__main__':\n    raise SystemExit(3)",
            "try:\n    from heapq import heappop\nexcept ImportError:\n    pass\ndef add(a, b):\n    return a + b",
            "def add(a, b):\n    try:\n        return a[0] + b\n    except (TypeError, KeyError) as e:\n        return a + b",
        ] {
            let found = verdict(
                &code,
                right,
                &json!({"kind": "function", "entry": "add", "tests": [
                    {"args": [1, 2], "expect": 3}, {"args": [2.5, 1], "expect": 3.5}
                ]}),
            );
            assert!(found.is_correct(), "{right}: {}", found.reason);
        }
        let spec = json!({"kind": "asserts", "asserts": ["assert f(1) == 1"]});
        assert_eq!(verdict(&code, "def f(x): return x", &spec).outcome, Outcome::Error);
    }

    #[test]
    fn it_is_bounded_from_outside() {
        let code = judge();
        let endless = verdict(&code, "def add(a, b):\n    while True: pass", &add());
        assert_eq!(endless.outcome, Outcome::Timeout);
        let huge = verdict(&code, "def add(a, b):\n    x = 3\n    while True: x = x * x", &add());
        assert!(matches!(huge.outcome, Outcome::Timeout | Outcome::Wrong), "{}", huge.reason);
        let memory = verdict(&code, "def add(a, b):\n    x = [1]\n    while True: x = x + x", &add());
        assert!(matches!(memory.outcome, Outcome::Timeout | Outcome::Wrong), "{}", memory.reason);
        assert_eq!(memory.score, 0.0);
        assert!(verdict(&code, HONEST, &add()).is_correct());
    }
}
