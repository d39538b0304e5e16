//! What the specs of the verifier `code` mean: exit codes, printed text, assertions, HumanEval.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thinkling_verifiers::code::{Code, Settings};
use thinkling_verifiers::{Item, Outcome, SettingsError, Verdict, Verifier};

use crate::golden;

const BINARY: &str = env!("CARGO_BIN_EXE_thinkling");

fn judge() -> Code {
    let settings = Settings { worker: Some(PathBuf::from(BINARY)), ..Settings::default() };
    Code::new(settings).expect("this machine isolates programs")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verdict(code: &Code, row: &Value) -> Verdict {
    let completion = row["completion"].as_str().unwrap();
    code.verify(&Item { completion, answer: None, spec: Some(&row["spec"]) })
}

fn outcome(verdict: &Verdict) -> String {
    serde_json::to_value(verdict.outcome).unwrap().as_str().unwrap().to_owned()
}

/// Judges items that name the verdict they must get.
fn hold(rows: &[Value]) {
    let code = judge();
    let mut missed = Vec::new();
    for row in rows {
        let found = verdict(&code, row);
        if row["verdict"] != outcome(&found) {
            missed.push(format!(
                "{}: {} in place of {}: {}",
                row["id"],
                outcome(&found),
                row["verdict"],
                found.reason
            ));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), rows.len(), missed.join("\n"));
}

/// Endings, inputs, outputs, blocks and assertions, each honest, wrong, hostile, or at fault itself.
#[test]
fn every_kind_of_spec_gives_its_verdict() {
    let rows = rows(&fixture("code_cases.jsonl"));
    assert!(rows.len() > 100);
    hold(&rows);
}

/// Items built after reports of other graders' faults.
#[test]
fn reported_items_are_judged_as_expected_and_none_is_paid_wrongly() {
    let rows = rows(&golden::path("code_reports.jsonl"));
    let code = judge();
    let mut missed = Vec::new();
    for row in &rows {
        let (found, expected) = (verdict(&code, row), row["expected"].as_f64().unwrap());
        let told = format!("{} scores {}: {}", row["id"], found.score, found.reason);
        assert!(found.score <= expected, "paid wrongly: {told}");
        if found.score < expected {
            missed.push(told);
        }
    }
    assert!(
        missed.len() * 100 <= rows.len() * 3,
        "{} of {}:\n{}",
        missed.len(),
        rows.len(),
        missed.join("\n")
    );
}

/// Reference solutions are correct, and mutants that the data set's own test refuses are wrong.
/// `THINKLING_HUMANEVAL` names the whole set, as `examples/humaneval/items.py` writes it.
#[test]
fn humaneval_solutions_are_correct_and_their_mutants_are_wrong() {
    let vendored = rows(&fixture("humaneval.jsonl"));
    hold(&vendored);
    let every_form: Vec<Value> = vendored.iter().flat_map(forms).collect();
    hold(&every_form);
    match std::env::var_os("THINKLING_HUMANEVAL").filter(|path| !path.is_empty()) {
        Some(path) => {
            let rows = rows(Path::new(&path));
            assert_eq!(rows.len(), 328, "a reference solution and a mutant for each of 164 problems");
            hold(&rows);
        }
        None => eprintln!("skipped the whole of HumanEval: THINKLING_HUMANEVAL names no file"),
    }
}

/// The ways to write the same solution of a HumanEval problem.
fn forms(row: &Value) -> Vec<Value> {
    let (completion, prompt) = (row["completion"].as_str().unwrap(), row["spec"]["prompt"].as_str().unwrap());
    let forms = if completion.starts_with("```") {
        let whole = completion.trim_start_matches("```python\n").trim_end_matches("\n```");
        vec![
            whole.to_owned(),
            format!("<think>so</think><answer>\n{whole}\n</answer>"),
            format!(
                "<think>```python\npass\n```</think>Here:\n~~~py3\n{whole}\n~~~\nIt prints:\n```\n3\n```"
            ),
        ]
    } else {
        vec![
            format!("```python\n{completion}```"),
            format!("```python\n{prompt}{completion}```"),
            format!("<think>so</think><answer>\n{completion}</answer>"),
            format!("{completion}```\nThat is all."),
            completion.trim().to_owned(),
        ]
    };
    let with = |completion: String| {
        let mut row = row.clone();
        row["completion"] = json!(completion);
        row
    };
    forms.into_iter().map(with).collect()
}

#[test]
fn the_reason_says_what_happened() {
    let code = judge();
    let row = |program: &str, spec: Value| json!({"completion": format!("```python\n{program}\n```"), "spec": spec});
    let function =
        json!({"kind": "function", "entry": "f", "memory_mb": 256, "tests": [{"args": [1], "expect": 1}]});
    let stdio = json!({"kind": "stdio", "memory_mb": 256, "tests": [{"stdin": "", "stdout": "1"}]});
    let asserts = json!({"kind": "asserts", "memory_mb": 256, "asserts": ["assert f(1) == 1"]});
    for (program, spec, part) in [
        ("def f(x): return [0] * 10**9", &function, "memory limit of 256 MB"),
        ("x = [0] * 10**9\ndef f(x): return 1", &function, "memory limit of 256 MB"),
        ("print(1, flush=True)\nx = [0] * 10**9", &stdio, "memory limit of 256 MB"),
        ("def f(x): return [0] * 10**9", &asserts, "memory limit of 256 MB"),
        ("print(1)\nimport sys\nsys.exit(3)", &stdio, "status 3"),
        ("print(1)\n1 / 0", &stdio, "exception that nobody catches"),
        ("import os\nprint(1, flush=True)\nos.kill(os.getpid(), 9)", &stdio, "signal 9"),
        ("def f(x): return 1 / 0", &asserts, "raised ZeroDivisionError"),
        ("def f(x): return 2", &asserts, "the assertion does not hold"),
    ] {
        let found = verdict(&code, &row(program, spec.clone()));
        assert_eq!((found.score, found.outcome), (0.0, Outcome::Wrong), "{program}: {}", found.reason);
        assert!(found.reason.contains(part), "{program}: {}", found.reason);
    }
    // The name of an exception cannot change how the reason is shown.
    for spec in [&function, &asserts] {
        let name = "def f(x): raise type('\\u202etcerroc\\u202c\\x1b[2J', (Exception,), {})()";
        let found = verdict(&code, &row(name, spec.clone()));
        assert!(found.reason.contains("\\u{202e}") && found.reason.is_ascii(), "{}", found.reason);
        assert!(!found.reason.contains(char::is_control), "{}", found.reason);
    }
    let unknown = json!({"kind": "asserts", "entry": "f", "asserts": ["assert helper.near(f(1), 1)"]});
    let found = verdict(&code, &row("def f(x): return 1", unknown));
    assert_eq!(found.outcome, Outcome::Error);
    assert!(found.reason.contains("`helper`") && found.reason.contains("`entries`"), "{}", found.reason);
}

/// `THINKLING_PYTHON` names an interpreter with numpy, if the one on the path has none.
#[test]
fn programs_and_tests_import_the_packages_that_the_settings_name() {
    let python = std::env::var("THINKLING_PYTHON").unwrap_or_default();
    let with = |packages: &[&str], python: &str| {
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        Code::new(Settings {
            packages,
            python: python.to_owned(),
            worker: Some(BINARY.into()),
            ..Settings::default()
        })
    };
    let told = |result: Result<Code, _>| {
        result.err().map(|error: SettingsError| error.to_string()).unwrap_or_default()
    };
    let missing = told(with(&["no_such_package"], ""));
    assert!(missing.contains("-m pip install no_such_package"), "{missing}");
    assert!(told(with(&["num py"], "")).contains("`num py`"));
    let code = match with(&["numpy"], &python) {
        Ok(code) => code,
        Err(error) if error.to_string().contains("it has no `numpy`") => {
            eprintln!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let function = json!({"kind": "function", "entry": "f", "tests": [{"args": [[1, 2]], "expect": [2, 4]}]});
    let asserts = json!({"kind": "asserts", "setup": "import numpy as np", "asserts": [
        "assert (f([1, 2]) == np.array([2, 4])).all()", "assert f(np.array([3])) == [6]", "assert np.linalg.norm(f([3, 4])) == 10",
    ]});
    for (program, is_right) in [("np.array(x) * 2", true), ("np.array(x) * 3", false), ("[2, 4]", false)] {
        let program = format!("import numpy as np\ndef f(x): return {program}");
        for spec in [&function, &asserts] {
            let row = json!({"completion": format!("```python\n{program}\n```"), "spec": spec});
            let found = verdict(&code, &row);
            let right = is_right || program.contains("[2, 4]") && spec == &function;
            assert_eq!(found.is_correct(), right, "{program}: {}", found.reason);
            assert_ne!(found.outcome, Outcome::Error, "{}", found.reason);
        }
    }
}

/// Programs that look for the expected value in their own process find none.
#[test]
fn no_expected_value_reaches_the_program() {
    let code = judge();
    // The program knows the number only as its half, so that it does not find itself.
    let search = "import gc, sys\n\
        HALF = 4337654\n\
        def found(x):\n    \
            seen = []\n    \
            frame = sys._getframe()\n    \
            while frame:\n        \
                seen += list(frame.f_locals.values()) + list(frame.f_globals.values())\n        \
                frame = frame.f_back\n    \
            seen += gc.get_objects()\n    \
            for value in seen:\n        \
                if type(value) is str and str(HALF * 2 + 1) in value or type(value) is int and value == HALF * 2 + 1:\n            \
                    return value\n        \
                if type(value) in (list, tuple) and HALF * 2 + 1 in [v for v in value if type(v) is int]:\n            \
                    return value[0]\n    \
            return 0\n\
        f = found";
    let humaneval = json!({"kind": "humaneval", "prompt": "def f(x):\n    \"\"\"The number.\"\"\"\n", "entry_point": "f",
        "test": "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == 8675309 and candidate(x) == [8675309][0]"});
    let asserts = json!({"kind": "asserts", "entry": "f", "asserts": [
        "assert f(1) == 8675309", "assert np.allclose(f(2), 8675309)", "assert abs(f(3) - 8675309) < 1e-3",
        "assert f(4) in [8675309]", "for x in range(3): assert f(x) == 8675309",
    ], "partial": "fraction"});
    let checker = json!({"kind": "stdio", "checker": "def check(stdin, stdout, expected):\n    return stdout.strip() == expected",
        "tests": [{"stdin": "1", "stdout": "8675309"}]});
    for (program, spec) in [
        (search.to_owned(), humaneval),
        (search.to_owned(), asserts),
        (format!("{search}\nprint(f(1))"), checker),
    ] {
        let row = json!({"completion": format!("```python\n{program}\n```"), "spec": spec});
        let found = verdict(&code, &row);
        assert_eq!((found.score, found.outcome), (0.0, Outcome::Wrong), "{}", found.reason);
    }
}
