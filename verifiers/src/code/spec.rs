//! The tests of an item, as given in its `spec`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::data::{Comparison, Data};
use super::printed::{Printed, TOLERANCE};
use super::{Credit, Settings};

/// The limits of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The time for all tests of the item together.
    pub(super) time: Duration,
    pub(super) memory_bytes: u64,
    pub(super) output_bytes: usize,
}

/// A test, and whether the prompt shows it.
#[derive(Clone, Debug)]
pub(super) struct Test<T> {
    pub(super) body: T,
    pub(super) public: bool,
}

/// A call and its expected value.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The list of positional arguments and the dictionary of keyword arguments, as a pair.
    pub(super) arguments: Data,
    pub(super) expected: Data,
}

/// A run and the outputs that are right.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) stdin: String,
    /// Empty only if a checker judges the output.
    pub(super) accepted: Vec<String>,
}

/// The tests of one kind.
#[derive(Clone, Debug)]
pub(super) enum Tests {
    Function {
        entry: String,
        calls: Vec<Test<Call>>,
    },
    Stdio {
        runs: Vec<Test<Run>>,
        printed: Printed,
        /// The tolerance that the spec sets for numbers in the output.
        tolerance: Option<f64>,
        /// Source with a function `check(stdin, stdout, expected)`, which judges in place of the comparison.
        checker: Option<String>,
    },
    Asserts {
        /// The names that stand for calls of the program. If empty, they are inferred.
        entries: Vec<String>,
        asserts: Vec<Test<String>>,
    },
    /// A problem of the data set HumanEval, in its own fields.
    HumanEval {
        prompt: String,
        entry: String,
        /// Source with a function `check(candidate)`.
        test: String,
    },
    /// Evaluated in the program's own process, where the program can forge the result.
    UntrustedAsserts(Vec<Test<String>>),
}

/// The tests and limits that an item sets for a program.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) tests: Tests,
    pub(super) setup: String,
    pub(super) credit: Credit,
    pub(super) limits: Limits,
    pub(super) comparison: Comparison,
}

/// The keys that all kinds share.
#[derive(Clone, Deserialize)]
struct Common {
    kind: String,
    language: Option<String>,
    partial: Option<Credit>,
    time_limit_s: Option<f64>,
    memory_mb: Option<u64>,
    output_limit_bytes: Option<usize>,
    tolerance: Option<f64>,
    #[serde(default)]
    setup: String,
    entry: Option<String>,
    #[serde(default)]
    entries: Vec<String>,
    prompt: Option<String>,
    entry_point: Option<String>,
    test: Option<String>,
    checker: Option<String>,
    #[serde(default)]
    printed: Printed,
    #[serde(default)]
    tests: Vec<Map<String, Value>>,
    #[serde(default)]
    asserts: Vec<Value>,
}

impl Spec {
    /// Reads a spec. The error says what is wrong with it.
    pub(super) fn read(value: &Value, settings: &Settings) -> Result<Self, String> {
        if !value.is_object() {
            return Err("the spec is not an object".into());
        }
        let common = Common::deserialize(value).map_err(|error| format!("the spec: {error}"))?;
        if let Some(language) = &common.language
            && !language.eq_ignore_ascii_case("python")
        {
            return Err(format!("the spec's language is `{language}`; only `python` is judged"));
        }
        let tests = match common.kind.as_str() {
            "function" => Tests::Function {
                entry: common
                    .entry
                    .clone()
                    .ok_or("a spec of kind `function` needs `entry`, the function's name")?,
                calls: read_all(&common.tests, call)?,
            },
            "stdio" => {
                let runs = read_all(&common.tests, run)?;
                let lacking = runs.iter().position(|run| run.body.accepted.is_empty());
                if let (Some(at), None) = (lacking, &common.checker) {
                    return Err(format!(
                        "test {} of the spec: `stdout`, the expected output, is missing",
                        at + 1
                    ));
                }
                let Common { printed, tolerance, checker, .. } = common.clone();
                Tests::Stdio { runs, printed, tolerance, checker }
            }
            "asserts" => Tests::Asserts {
                entries: common.entry.iter().chain(&common.entries).map(|name| head(name)).collect(),
                asserts: read_all(&common.asserts, assertion)?,
            },
            "humaneval" => {
                let field = |value: &Option<String>, name: &str| {
                    value.clone().ok_or(format!("a spec of kind `humaneval` needs `{name}`"))
                };
                Tests::HumanEval {
                    prompt: field(&common.prompt, "prompt")?,
                    entry: field(&common.entry_point, "entry_point")?,
                    test: field(&common.test, "test")?,
                }
            }
            "asserts_untrusted" => Tests::UntrustedAsserts(read_all(&common.asserts, assertion)?),
            other => {
                let kinds = "`function`, `stdio`, `asserts`, `humaneval` or `asserts_untrusted`";
                return Err(format!("the spec's kind is `{other}`; it must be {kinds}"));
            }
        };
        let seconds = common.time_limit_s.unwrap_or(settings.time_limit_s);
        if !(seconds > 0.0 && seconds <= 3600.0) {
            return Err(format!("the spec's time_limit_s is {seconds}; it must be above 0 and at most 3600"));
        }
        let memory_mb = common.memory_mb.unwrap_or(settings.memory_mb);
        if !(64..=1 << 20).contains(&memory_mb) {
            return Err(format!("the spec's memory_mb is {memory_mb}; it must be 64 to 1048576"));
        }
        let output_bytes = common.output_limit_bytes.unwrap_or(settings.output_limit_bytes);
        if !(1..=64 << 20).contains(&output_bytes) {
            return Err(format!("the spec's output_limit_bytes is {output_bytes}; it must be 1 to 67108864"));
        }
        let tolerance = common.tolerance.unwrap_or(TOLERANCE);
        if !(0.0..1.0).contains(&tolerance) {
            return Err(format!("the spec's tolerance is {tolerance}; it must be at least 0 and below 1"));
        }
        let json = matches!(tests, Tests::Function { .. });
        Ok(Self {
            tests,
            setup: common.setup,
            credit: common.partial.unwrap_or(settings.partial),
            limits: Limits {
                time: Duration::from_secs_f64(seconds),
                memory_bytes: memory_mb << 20,
                output_bytes,
            },
            comparison: Comparison { json, tolerance },
        })
    }
}

impl Tests {
    /// Whether the tests have code of their own, which runs apart from the program.
    pub(super) fn have_code(&self) -> bool {
        matches!(
            self,
            Tests::Asserts { .. } | Tests::HumanEval { .. } | Tests::Stdio { checker: Some(_), .. }
        )
    }

    /// The names that the tests call, as far as the spec alone tells.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Tests::Function { entry, .. } => vec![head(entry)],
            Tests::HumanEval { entry, .. } => vec![entry.clone()],
            Tests::Asserts { entries, .. } if !entries.is_empty() => entries.clone(),
            Tests::Asserts { asserts, .. } | Tests::UntrustedAsserts(asserts) => {
                asserts.iter().flat_map(|test| called(&test.body)).collect()
            }
            Tests::Stdio { .. } => Vec::new(),
        }
    }
}

/// The names in front of an opening bracket.
fn called(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices('(').filter_map(move |(at, _)| {
        let before = &text[..at];
        let name = &before[before.trim_end_matches(is_part).len()..];
        (!name.is_empty()).then(|| name.to_owned())
    })
}

fn read_all<V, T>(tests: &[V], read: fn(&V) -> Result<Test<T>, String>) -> Result<Vec<Test<T>>, String> {
    if tests.is_empty() {
        return Err("the spec has no tests".into());
    }
    let tests: Vec<Test<T>> = tests
        .iter()
        .enumerate()
        .map(|(at, test)| read(test).map_err(|why| format!("test {} of the spec: {why}", at + 1)))
        .collect::<Result<_, _>>()?;
    if tests.iter().all(|test| test.public) {
        return Err(
            "every test of the spec is public: a program can contain their answers; add a hidden test".into(),
        );
    }
    Ok(tests)
}

fn is_public(test: &Map<String, Value>) -> Result<bool, String> {
    match test.get("public") {
        None => Ok(false),
        Some(Value::Bool(public)) => Ok(*public),
        Some(other) => Err(format!("`public` is {other}; it must be true or false")),
    }
}

fn call(test: &Map<String, Value>) -> Result<Test<Call>, String> {
    let arguments = match test.get("args") {
        None => Data::List(Vec::new()),
        Some(list @ Value::Array(_)) => Data::from_json(list),
        Some(_) => return Err("`args` must be a list".into()),
    };
    let named = match test.get("kwargs") {
        None => Data::Dict(Vec::new()),
        Some(object @ Value::Object(_)) => Data::from_json(object),
        Some(_) => return Err("`kwargs` must be an object".into()),
    };
    let expected = test.get("expect").ok_or("`expect`, the expected value, is missing")?;
    let body = Call { arguments: Data::Tuple(vec![arguments, named]), expected: Data::from_json(expected) };
    Ok(Test { body, public: is_public(test)? })
}

/// The first part of a dotted name.
fn head(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

fn run(test: &Map<String, Value>) -> Result<Test<Run>, String> {
    let text = |value: &Value, key: &str| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("`{key}` holds {other}; it must be text")),
    };
    let stdin = test.get("stdin").or(test.get("input")).ok_or("`stdin`, the input, is missing")?;
    let accepted = match test.get("stdout").or(test.get("output")) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(outputs)) if outputs.is_empty() => {
            return Err("`stdout` is an empty list; it must hold the outputs that are right".into());
        }
        Some(Value::Array(outputs)) => {
            outputs.iter().map(|output| text(output, "stdout")).collect::<Result<_, _>>()?
        }
        Some(output) => vec![text(output, "stdout")?],
    };
    Ok(Test { body: Run { stdin: text(stdin, "stdin")?, accepted }, public: is_public(test)? })
}

fn assertion(test: &Value) -> Result<Test<String>, String> {
    match test {
        Value::String(text) => Ok(Test { body: text.clone(), public: false }),
        Value::Object(object) => match object.get("assert") {
            Some(Value::String(text)) => Ok(Test { body: text.clone(), public: is_public(object)? }),
            _ => Err("`assert` must be a string".into()),
        },
        _ => Err("an assertion must be a string or an object with `assert`".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_spec_says_what_is_wrong() {
        let cases = [
            (json!({}), "kind"),
            (json!({"kind": "function", "entry": "f", "tests": []}), "no tests"),
            (json!({"kind": "function", "tests": [{"args": [], "expect": 1}]}), "entry"),
            (json!({"kind": "function", "entry": "f", "tests": [{"args": []}]}), "expect"),
            (json!({"kind": "function", "entry": "f", "tests": [{"expect": 1, "public": true}]}), "public"),
            (json!({"kind": "stdio", "tests": [{"stdin": ""}]}), "stdout"),
            (json!({"kind": "asserts", "asserts": [1]}), "assertion"),
            (json!({"kind": "stdio", "language": "c", "tests": []}), "python"),
            (json!({"kind": "asserts", "asserts": ["assert f()"], "time_limit_s": 0}), "time_limit_s"),
            (json!({"kind": "asserts", "asserts": ["assert f()"], "memory_mb": 1}), "memory_mb"),
            (json!({"kind": "pytest"}), "kind"),
            (json!({"kind": "stdio", "tests": [{"stdin": 1, "stdout": ""}]}), "must be text"),
            (json!({"kind": "stdio", "tests": [{"stdin": "", "stdout": []}]}), "empty list"),
            (json!({"kind": "humaneval", "prompt": "", "test": ""}), "entry_point"),
            (json!(["stdio", "python"]), "not an object"),
        ];
        for (value, part) in cases {
            let error = Spec::read(&value, &Settings::default()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
