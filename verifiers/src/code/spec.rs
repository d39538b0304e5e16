//! The tests of an item, as given in its `spec`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::data::{Comparison, Data};
use super::{Credit, Settings};

/// The limits of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The time for all tests of the item together.
    pub(super) time: Duration,
    pub(super) memory_bytes: u64,
    pub(super) output_bytes: usize,
}

/// How printed text is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Printed {
    /// Line by line. Spaces at the ends of lines and empty lines at the end do not count.
    #[default]
    Lines,
    /// Word by word. Decimal numbers are compared by value.
    Tokens,
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

/// A run and its expected output.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Run {
    #[serde(alias = "input")]
    pub(super) stdin: String,
    #[serde(alias = "output")]
    pub(super) stdout: String,
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
    },
    Asserts(Vec<Test<String>>),
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
#[derive(Deserialize)]
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
            "stdio" => Tests::Stdio { runs: read_all(&common.tests, run)?, printed: common.printed },
            "asserts" => Tests::Asserts(read_all(&common.asserts, assertion)?),
            "asserts_untrusted" => Tests::UntrustedAsserts(read_all(&common.asserts, assertion)?),
            other => {
                let kinds = "`function`, `stdio`, `asserts` or `asserts_untrusted`";
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
        let tolerance = common.tolerance.unwrap_or(1e-9);
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

fn run(test: &Map<String, Value>) -> Result<Test<Run>, String> {
    let body = Run::deserialize(test).map_err(|error| error.to_string())?;
    Ok(Test { body, public: is_public(test)? })
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

impl Printed {
    /// Whether a program printed the expected text.
    pub(super) fn equal(self, expected: &str, found: &str) -> bool {
        match self {
            Printed::Lines => lines(expected).eq(lines(found)),
            Printed::Tokens => {
                let (mut left, mut right) = (expected.split_whitespace(), found.split_whitespace());
                loop {
                    match (left.next(), right.next()) {
                        (None, None) => return true,
                        (Some(a), Some(b)) if a == b || decimal(a).is_some_and(|a| Some(a) == decimal(b)) => {
                        }
                        _ => return false,
                    }
                }
            }
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().split('\n').map(str::trim_end)
}

/// A decimal number as its sign, its digits without zeros at either end, and the exponent of its last digit.
fn decimal(word: &str) -> Option<(bool, String, i64)> {
    let (negative, unsigned) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
        None => (unsigned, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((negative, significant.to_owned(), exponent + dropped))
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
            (json!(["stdio", "python"]), "not an object"),
        ];
        for (value, part) in cases {
            let error = Spec::read(&value, &Settings::default()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }

    #[test]
    fn printed_text_is_compared_without_the_spaces_nobody_sees() {
        assert!(Printed::Lines.equal("1 2\n3\n", "1 2  \r\n3\n\n"));
        assert!(!Printed::Lines.equal("1\n2\n", "1\n"));
        assert!(!Printed::Lines.equal("1\n", "1\n2\n"));
        assert!(!Printed::Lines.equal("1 2", "1  2"));
        assert!(Printed::Tokens.equal("1 2", "1\n2.0"));
        assert!(Printed::Tokens.equal("-0 1e3 0.50 abc", "0.0 1000 .5 abc"));
        assert!(!Printed::Tokens.equal("1 2", "1 2 3"));
        assert!(!Printed::Tokens.equal("100", "1000"));
        assert!(!Printed::Tokens.equal("1", "-1"));
        assert!(!Printed::Tokens.equal("nan", "NaN"));
    }
}
