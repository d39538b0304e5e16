//! Judges JSON lines: the loop behind `thinkling verify`.

use std::io::{self, BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Item, Verdict, Verifier};

mod parallel;

pub use parallel::run_in_parallel;

/// The longest line that is read, in bytes. A longer line is a bad line.
pub const MAX_LINE_BYTES: usize = 1 << 30;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of lines that got a verdict.
    pub judged: u64,
    /// The number of lines that are not such an object. The exit code is 1 if there are any.
    pub bad: u64,
}

/// The fields of a line as written, because a number may have more digits than any type holds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    completion: Option<&'a RawValue>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Judged<'a> {
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Serialize)]
struct Bad<'a> {
    id: Option<&'a RawValue>,
    line: u64,
    error: String,
}

/// Reads one object per line and writes one verdict per line, in the same order and flushed. Empty lines are skipped.
///
/// A line that is not such an object gives `{"id": …, "line": N, "error": …}`, where `N` counts from 1 and blank lines too,
/// and the run continues. The id is null if the line has none that can be read.
///
/// # Errors
/// When reading or writing fails.
pub fn run(verifier: &dyn Verifier, mut reader: impl BufRead, mut writer: impl Write) -> io::Result<Summary> {
    let mut summary = Summary::default();
    for question in (Questions { reader: &mut reader, number: 0 }) {
        summary.write(&mut writer, &answer(verifier, &question?)?)?;
    }
    Ok(summary)
}

impl Summary {
    fn write(&mut self, writer: &mut impl Write, answer: &Answer) -> io::Result<()> {
        writer.write_all(&answer.text)?;
        writer.flush()?;
        *(if answer.judged { &mut self.judged } else { &mut self.bad }) += 1;
        Ok(())
    }
}

/// A line that is not empty.
struct Question {
    number: u64,
    /// The line, cut if it is too long.
    bytes: Vec<u8>,
    length: usize,
}

/// What is written for a line, with its line break, and whether it is a verdict.
struct Answer {
    text: Vec<u8>,
    judged: bool,
}

/// The non-empty lines of a reader.
struct Questions<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Iterator for Questions<R> {
    type Item = io::Result<Question>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bytes = Vec::new();
            let length = match read_line(&mut self.reader, &mut bytes) {
                Ok(0) => return None,
                Ok(length) => length,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            // Some editors put a byte-order mark at the start of a file.
            if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
            if length > MAX_LINE_BYTES || !bytes.trim_ascii().is_empty() {
                return Some(Ok(Question { number: self.number, bytes, length }));
            }
        }
    }
}

fn answer(verifier: &dyn Verifier, question: &Question) -> io::Result<Answer> {
    let line = parse(&question.bytes, question.length);
    let id = line.as_ref().ok().and_then(|line| line.id);
    let (mut text, judged) = match line.and_then(|line| judge(verifier, &line)) {
        Ok(verdict) => (serde_json::to_vec(&Judged { id, verdict })?, true),
        Err(error) => (serde_json::to_vec(&Bad { id, line: question.number, error })?, false),
    };
    text.push(b'\n');
    Ok(Answer { text, judged })
}

fn judge(verifier: &dyn Verifier, line: &Line<'_>) -> Result<Verdict, String> {
    let completion: String = line.completion.map_or_else(
        || Err("`completion` is missing".to_owned()),
        |raw| read(raw).map_err(|error| format!("`completion`: {error}")),
    )?;
    let answer = line.answer.map(text_or_number).transpose().map_err(|error| format!("`answer`: {error}"))?;
    let spec = line.spec.map(read).transpose().map_err(|error| format!("`spec`: {error}"))?.map(from_text);
    Ok(verifier.verify(&Item { completion: &completion, answer: answer.as_deref(), spec: spec.as_ref() }))
}

/// A text, or the digits of a number as they are written.
fn text_or_number(raw: &RawValue) -> Result<String, String> {
    let written = raw.get();
    if written.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(written.to_owned());
    }
    read(raw)
}

/// An object whose JSON text stands in a string, as a column of a table holds it. Any other value stays as it is.
fn from_text(spec: Value) -> Value {
    let object = spec.as_str().and_then(|text| serde_json::from_str(text).ok()).filter(Value::is_object);
    object.unwrap_or(spec)
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    let text = raw.get();
    serde_json::from_str(text)
        .or_else(|error| without_lone_surrogates(text).map_or(Err(error), |text| serde_json::from_str(&text)))
        .map_err(|error| without_line(&error))
}

/// The message of an error in a JSON text of one line. The line's number in its file says where, so the message has only
/// the column.
pub fn without_line(error: &serde_json::Error) -> String {
    let told = error.to_string();
    match told.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())) {
        Some(reason) => format!("{reason}, at column {}", error.column()),
        None => told,
    }
}

fn parse(bytes: &[u8], length: usize) -> Result<Line<'_>, String> {
    if length > MAX_LINE_BYTES {
        return Err(format!("a line of more than {MAX_LINE_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    // Otherwise a list of the same values in the same order would be accepted.
    if !text.trim_start().starts_with('{') {
        return Err("not a JSON object".into());
    }
    serde_json::from_str(text).map_err(|error| without_line(&error))
}

/// The text with `\ufffd{dcff}` for each escape `\udcff` that is half of a character, or `None` if there is no such
/// escape. Python writes such escapes for bytes that are not UTF-8. Different halves stay different.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let half = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..=0xdfff).contains(unit))
    };
    let (mut repaired, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match (half(at), half(at + 6)) {
            (Some(..=0xdbff), Some(0xdc00..)) => at += 12,
            (Some(_), _) => {
                repaired.push_str(&text[kept..at]);
                repaired.push_str("\\ufffd{");
                repaired.push_str(&text[at + 2..at + 6].to_ascii_lowercase());
                repaired.push('}');
                at += 6;
                kept = at;
            }
            // A backslash after an escaped backslash starts no escape.
            (None, _) => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    repaired.push_str(&text[kept..]);
    (kept > 0).then_some(repaired)
}

/// Reads to the end of the line, keeps at most one byte more than [`MAX_LINE_BYTES`], and returns the line's length.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    let mut length = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(length);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |at| at + 1);
        let kept = taken.min((MAX_LINE_BYTES + 1).saturating_sub(line.len()));
        line.extend_from_slice(&available[..kept]);
        length += taken;
        reader.consume(taken);
        if end.is_some() {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::Exact;

    fn judge(input: &[u8]) -> (Summary, Vec<Value>) {
        let mut output = Vec::new();
        let summary = run(&Exact::default(), input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        (summary, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_goes_on_in_order() {
        let input = b"{\"id\": [1], \"completion\": \"<answer>a</answer>\", \"answer\": \"a\"}\n\
            nonsense\n\xff\xfe\n\n[1, \"a\"]\n{\"id\": 2}\n\
            {\"id\": \"x\", \"completion\": \"\\u0000\", \"answer\": null, \"spec\": null, \"prompt\": 1}";
        let (summary, lines) = judge(input);
        assert_eq!(summary, Summary { judged: 2, bad: 4 });
        assert_eq!(lines[0]["id"], serde_json::json!([1]));
        assert_eq!(lines[0]["verdict"], "correct");
        let numbers: Vec<_> = lines[1..5].iter().map(|line| line["line"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [2, 3, 5, 6]);
        assert!(lines[1..5].iter().all(|line| line["error"].is_string()));
        let ids: Vec<_> = lines[1..5].iter().map(|line| line["id"].clone()).collect();
        assert_eq!(ids, [Value::Null, Value::Null, Value::Null, 2.into()]);
        assert_eq!(lines[1]["error"], "not a JSON object");
        assert_eq!(lines[4]["error"], "`completion` is missing");
        assert_eq!(lines[5]["id"], "x");
        assert_eq!(lines[5]["verdict"], "error");
    }

    #[test]
    fn answers_and_specs_come_in_every_form() {
        let told = |line: &str| judge(line.as_bytes()).1.remove(0);
        for (answer, text) in [
            ("42", "42"),
            ("-1.50", "-1.50"),
            ("1e400", "1e400"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("\"42\"", "42"),
        ] {
            let line = format!("{{\"completion\": \"<answer>{text}</answer>\", \"answer\": {answer}}}");
            assert_eq!(told(&line)["verdict"], "correct", "{line}");
        }
        for (wrong, reason) in [
            (r#"{"id": "i", "completion": "a", "answer": [1]}"#, "`answer`: invalid type: sequence"),
            (r#"{"id": "i", "completion": "a", "answer": true}"#, "`answer`: invalid type: boolean"),
            (r#"{"id": "i", "completion": 5}"#, "`completion`: invalid type: integer"),
            (r#"{"id": "i", "completion": null}"#, "`completion` is missing"),
            (r#"{"completion": "a" "id": "i"}"#, "expected `,` or `}`, at column 20"),
        ] {
            let told = told(wrong);
            assert!(told["error"].as_str().is_some_and(|error| error.starts_with(reason)), "{wrong}: {told}");
            assert!(told["id"] == "i" || reason.starts_with("expected"), "{wrong}: {told}");
        }
        struct Shown;
        impl Verifier for Shown {
            fn verify(&self, item: &Item<'_>) -> Verdict {
                Verdict::correct(item.spec.map(Value::to_string).unwrap_or_default(), "")
            }
        }
        for (spec, seen) in [
            (r#"{"a": 1}"#, r#"{"a":1}"#),
            (r#""{\"a\": [1]}""#, r#"{"a":[1]}"#),
            (r#""[1]""#, r#""[1]""#),
            ("null", ""),
        ] {
            let line = format!("\u{feff}{{\"completion\": \"\", \"spec\": {spec}}}\n");
            let mut output = Vec::new();
            run(&Shown, line.as_bytes(), &mut output).unwrap();
            let told: Value = serde_json::from_slice(&output).unwrap();
            assert_eq!(told["extracted"], seen, "{line}");
        }
    }

    #[test]
    fn different_halves_of_characters_differ() {
        let line = |answer: &str| {
            format!(
                "{{\"id\": \"\\udcfe\", \"completion\": \"<answer>\\udcfe</answer>\", \"answer\": \"{answer}\"}}\n"
            )
        };
        let input = ["\\udcfe", "\\uDCFE", "\\udcff", "\\ufffd"].map(line).concat();
        let mut output = Vec::new();
        run(&Exact::default(), input.as_bytes(), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let outcomes: Vec<bool> = text.lines().map(|line| line.contains("\"correct\"")).collect();
        assert_eq!(outcomes, [true, true, false, false]);
        assert!(text.lines().all(|line| line.starts_with("{\"id\":\"\\udcfe\",")), "{text}");
    }

    #[test]
    fn half_a_character_is_accepted() {
        let input =
            br#"{"completion": "\ud83d\ude00 \\ud800 \ud800<answer>\ud800a\udcfe</answer>", "answer": "a"}
{"completion": "<answer>\ud83d\ude00</answer>\ud8", "answer": "a"}"#;
        let (summary, lines) = judge(input);
        assert_eq!(summary, Summary { judged: 1, bad: 1 });
        assert_eq!(lines[0]["extracted"], "\u{fffd}{d800}a\u{fffd}{dcfe}");
        assert_eq!(lines[0]["verdict"], "wrong");
    }

    #[test]
    fn deep_and_long_lines_are_survived() {
        let deep = format!("{{\"completion\": \"\", \"spec\": {}", "[".repeat(1_000_000));
        let (summary, _) = judge(deep.as_bytes());
        assert_eq!(summary, Summary { judged: 0, bad: 1 });
        let long = format!("{{\"completion\": \"{}\", \"answer\": \"a\"}}\n", "x".repeat(10_000_000));
        let (summary, lines) = judge(long.as_bytes());
        assert_eq!(summary, Summary { judged: 1, bad: 0 });
        assert_eq!(lines[0]["verdict"], "malformed");
    }
}
