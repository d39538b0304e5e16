//! Judges JSON lines: the loop behind `thinkling verify`.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Item, Verdict, Verifier};

mod parallel;

pub use parallel::run_in_parallel;

/// The longest line that is read, in bytes. A longer line is a bad line.
pub const MAX_LINE_BYTES: usize = 1 << 30;

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of lines that got a verdict.
    pub judged: u64,
    /// The number of lines that are not such an object. The exit code is 1 if there are any.
    pub bad: u64,
}

#[derive(Deserialize)]
struct Line {
    /// The id as written, because a number may have more digits than any type holds.
    #[serde(default)]
    id: Option<Box<RawValue>>,
    completion: String,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    spec: Option<Value>,
}

#[derive(Serialize)]
struct Judged<'a> {
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Serialize)]
struct Bad {
    id: Value,
    line: u64,
    error: String,
}

/// Reads one object per line and writes one verdict per line, in the same order and flushed. Empty lines are skipped.
///
/// A line that is not such an object gives `{"id": null, "line": N, "error": …}`, where `N` counts from 1, and the run
/// continues.
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
            if length > MAX_LINE_BYTES || !bytes.trim_ascii().is_empty() {
                return Some(Ok(Question { number: self.number, bytes, length }));
            }
        }
    }
}

fn answer(verifier: &dyn Verifier, question: &Question) -> io::Result<Answer> {
    let (mut text, judged) = match parse(&question.bytes, question.length) {
        Ok(Line { id, completion, answer, spec }) => {
            let item = Item { completion: &completion, answer: answer.as_deref(), spec: spec.as_ref() };
            (serde_json::to_vec(&Judged { id: id.as_deref(), verdict: verifier.verify(&item) })?, true)
        }
        Err(error) => (serde_json::to_vec(&Bad { id: Value::Null, line: question.number, error })?, false),
    };
    text.push(b'\n');
    Ok(Answer { text, judged })
}

fn parse(bytes: &[u8], length: usize) -> Result<Line, String> {
    if length > MAX_LINE_BYTES {
        return Err(format!("a line of more than {MAX_LINE_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    // Otherwise a list of the same values in the same order would be accepted.
    if !text.trim_start().starts_with('{') {
        return Err("not a JSON object".into());
    }
    serde_json::from_str(text)
        .or_else(|error| without_lone_surrogates(text).map_or(Err(error), |text| serde_json::from_str(&text)))
        .map_err(|error| error.to_string())
}

/// The text with `\ufffd` for each escape that is half of a character, or `None` if there is no such escape. Python
/// writes such escapes for bytes that are not UTF-8.
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
                repaired.push_str("\\ufffd");
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
        assert!(lines[1..5].iter().all(|line| line["id"].is_null() && line["error"].is_string()));
        assert_eq!(lines[5]["id"], "x");
        assert_eq!(lines[5]["verdict"], "error");
    }

    #[test]
    fn half_a_character_is_accepted() {
        let input = br#"{"id": "\udcff", "completion": "\ud83d\ude00 \\ud800 \ud800<answer>\ud800a\udcfe</answer>", "answer": "a"}
{"completion": "<answer>\ud83d\ude00</answer>\ud8", "answer": "a"}"#;
        let (summary, lines) = judge(input);
        assert_eq!(summary, Summary { judged: 1, bad: 1 });
        assert_eq!(lines[0]["id"], "\u{fffd}");
        assert_eq!(lines[0]["extracted"], "\u{fffd}a\u{fffd}");
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
