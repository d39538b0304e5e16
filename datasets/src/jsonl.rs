//! Reads and writes JSON lines, one object per line.

use std::io::{self, BufRead, Read, Write};

use serde::Serialize;

use crate::reader::{Source, Unit};

/// Longer lines are refused, because a line must fit into memory as a whole.
const LONGEST_LINE: u64 = 64 << 20;

/// The lines of a text.
pub struct Lines<R> {
    input: R,
    /// Whether the rest of a line that is too long still has to be skipped.
    is_within: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Self {
        Self { input, is_within: false }
    }

    /// The next line with its end, or why it cannot be read; `None` at the end.
    ///
    /// # Errors
    /// When the input fails.
    pub fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, String>>> {
        // Not before the line was refused: its end may never come.
        if std::mem::take(&mut self.is_within) {
            skip_line(&mut self.input)?;
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.is_within = bytes.len() as u64 > LONGEST_LINE && bytes.last() != Some(&b'\n');
        let refused = || format!("longer than {} MiB", LONGEST_LINE >> 20);
        Ok(Some(if self.is_within { Err(refused()) } else { Ok(bytes) }))
    }
}

impl<R: BufRead> Source for Lines<R> {
    fn unit(&self) -> Unit {
        Unit::Line
    }

    fn next(&mut self) -> io::Result<Option<Result<String, String>>> {
        let bytes = match self.next_line()? {
            None => return Ok(None),
            Some(Err(refused)) => return Ok(Some(Err(refused))),
            Some(Ok(bytes)) => bytes,
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("not UTF-8: byte {} is out of place", error.utf8_error().valid_up_to() + 1)
        });
        // Some editors put a byte-order mark at the start of a file.
        let bare = |text: String| {
            text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end_matches(['\n', '\r']).to_owned()
        };
        Ok(Some(text.map(bare)))
    }
}

/// Reads to the end of the line and drops what it reads.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Writes `value` as one line.
///
/// # Errors
/// When the value cannot be written as JSON, or the output fails.
pub fn write_line(output: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use serde_json::Value;

    use super::*;
    use crate::domains;
    use crate::reader::{Counts, Reader};
    use crate::record::Record;
    use crate::split::{Dataset, Split};

    fn read(text: &[u8]) -> (Vec<Record>, Vec<String>, Counts) {
        // With a small buffer, lines must be assembled from pieces.
        let mut reader = Reader::lines(BufReader::with_capacity(7, text), "x.jsonl");
        let (mut records, mut errors) = (Vec::new(), Vec::new());
        for line in reader.by_ref() {
            match line {
                Ok(record) => records.push(record),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (records, errors, reader.counts())
    }

    #[test]
    fn bad_lines_are_named_and_counted_and_the_rest_goes_on() {
        let mut text = Vec::new();
        text.extend_from_slice(b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n\n[1]\n{\"prompt\":\n");
        text.extend_from_slice(b"{\"prompt\":\"\xff\"}\n{\"prompt\":\"b\"}");
        let (records, errors, counts) = read(&text);
        assert_eq!(records.iter().map(|record| record.prompt.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(counts, Counts { good: 2, bad: 3, blank: 1 });
        assert!(errors[0].starts_with("x.jsonl, line 3: not a JSON object"), "{errors:?}");
        assert!(errors[1].starts_with("x.jsonl, line 4: not JSON: EOF"), "{errors:?}");
        assert_eq!(errors[2], "x.jsonl, line 5: not UTF-8: byte 12 is out of place");
    }

    #[test]
    fn a_line_too_long_is_skipped_whole() {
        let mut text = vec![b'x'; LONGEST_LINE as usize + 10];
        text.extend_from_slice(b"\n{\"prompt\":\"a\"}\n");
        let mut reader = Reader::lines(text.as_slice(), "x");
        assert_eq!(reader.next().unwrap().unwrap_err().to_string(), "x, line 1: longer than 64 MiB");
        assert_eq!(reader.next().unwrap().unwrap().prompt, "a");
        assert!(reader.next().is_none());
    }

    #[test]
    fn a_failing_input_ends_the_reading() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        let mut reader = Reader::lines(BufReader::new(Broken), "x");
        assert_eq!(reader.next().unwrap().unwrap_err().to_string(), "x, line 1: cannot read: gone");
        assert!(reader.next().is_none());
    }

    #[test]
    fn questions_go_out_and_come_back() {
        for row in domains::DOMAINS {
            let domain = (row.build)(&Value::Null).unwrap();
            let level = *domain.levels().start();
            let question =
                Dataset::new(row, domain.as_ref(), level, 0).unwrap().question(Split::Train, 0).unwrap();
            let mut line = Vec::new();
            write_line(&mut line, &question).unwrap();
            let record = read(&line).0.remove(0);
            assert_eq!(record.problem().as_ref(), Some(&question.problem));
            assert_eq!(
                (record.id, record.level, record.task),
                (Some(question.id), Some(level), Some(question.task))
            );
        }
    }
}
