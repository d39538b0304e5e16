//! The records of a file of questions: JSON lines, or the rows of a Parquet table.
//!
//! A place in the file that holds no record is named with the file, its number and the reason; the rest goes on.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use crate::jsonl::Lines;
use crate::record::{self, Record};

/// What a file is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Lines of text.
    #[default]
    Line,
    /// Rows of a table.
    Row,
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Line => "line",
            Self::Row => "row",
        })
    }
}

/// A file as JSON texts, in order.
pub(crate) trait Source {
    /// What its places are called.
    fn unit(&self) -> Unit;
    /// The text at the next place, or why there is none; nothing at the end of the file.
    fn next(&mut self) -> io::Result<Option<Result<String, String>>>;
}

/// A place in a file, or the file, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// One line or row is at fault; the next one can be read.
    #[error("{file}, {unit} {number}: {reason}")]
    Fault {
        /// The file's name as it was given.
        file: String,
        /// What is counted.
        unit: Unit,
        /// Which one, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read on.
    #[error("{file}, {unit} {number}: cannot read: {source}")]
    Read {
        /// The file's name as it was given.
        file: String,
        /// What is counted.
        unit: Unit,
        /// How far it was read, from 1.
        number: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be read at all.
    #[error("cannot read {file}: {reason}")]
    Open {
        /// The file's name as it was given.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// How many lines or rows of each kind have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that gave a record.
    pub good: u64,
    /// Those at fault.
    pub bad: u64,
    /// Those of white space.
    pub blank: u64,
}

/// Reads records, one at a time; it ends at the end of the file or at the first failed read.
pub struct Reader<'a> {
    source: Box<dyn Source + 'a>,
    file: String,
    number: u64,
    text: String,
    is_over: bool,
    counts: Counts,
}

impl Reader<'static> {
    /// Opens a file: a Parquet table where its name ends in `.parquet`, else JSON lines.
    ///
    /// # Errors
    /// When there is no such file, or this program cannot read its format.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = path.display().to_string();
        match source(path) {
            Ok(source) => Ok(Self::new(source, file)),
            Err(error) => Err(ReadError::Open { file, reason: error.to_string() }),
        }
    }
}

fn source(path: &Path) -> io::Result<Box<dyn Source>> {
    if path.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let file = File::open(path)?;
    if is_parquet(path) {
        return parquet(file);
    }
    Ok(Box::new(Lines(BufReader::new(file))))
}

/// Whether a file's name says that it is a Parquet table.
pub fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

#[cfg(feature = "parquet")]
fn parquet(file: File) -> io::Result<Box<dyn Source>> {
    Ok(Box::new(crate::parquet::Rows::open(file)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_file: File) -> io::Result<Box<dyn Source>> {
    Err(io::Error::other(
        "this program was built without Parquet: build it with `--features parquet`, or make JSON lines of the file, in Python: \
         pandas.read_parquet(\"x.parquet\").to_json(\"x.jsonl\", orient=\"records\", lines=True)",
    ))
}

impl<'a> Reader<'a> {
    /// A reader of JSON lines from `input`, which is called `file` in errors.
    pub fn lines(input: impl BufRead + 'a, file: impl Into<String>) -> Self {
        Self::new(Box::new(Lines(input)), file.into())
    }

    fn new(source: Box<dyn Source + 'a>, file: String) -> Self {
        Self { source, file, number: 0, text: String::new(), is_over: false, counts: Counts::default() }
    }

    /// What has been read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the file is counted in.
    pub fn unit(&self) -> Unit {
        self.source.unit()
    }

    /// The number of the line or row that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The JSON text of the last record: a line without its end, or a row as it would be a line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file and the line or row that was read last.
    pub(crate) fn place(&self) -> String {
        format!("{}, {} {}", self.file, self.unit(), self.number)
    }

    /// What is wrong with the line or row that was read last.
    pub(crate) fn fault(&self, reason: String) -> ReadError {
        ReadError::Fault { file: self.file.clone(), unit: self.unit(), number: self.number, reason }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            self.number += 1;
            let read = match self.source.next() {
                Ok(None) => break,
                Ok(Some(Ok(text))) if text.trim().is_empty() => {
                    self.counts.blank += 1;
                    continue;
                }
                Ok(Some(text)) => text.and_then(|text| {
                    self.text = text;
                    record::parse(&self.text)
                }),
                Err(source) => {
                    self.is_over = true;
                    let (file, unit, number) = (self.file.clone(), self.unit(), self.number);
                    return Some(Err(ReadError::Read { file, unit, number, source }));
                }
            };
            return Some(match read {
                Ok(record) => {
                    self.counts.good += 1;
                    Ok(record)
                }
                Err(reason) => {
                    self.counts.bad += 1;
                    Err(self.fault(reason))
                }
            });
        }
        self.is_over = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_named() {
        let told = |path: &str| Reader::open(Path::new(path)).err().unwrap().to_string();
        assert!(told("/no/such.jsonl").starts_with("cannot read /no/such.jsonl: No such file"));
        assert_eq!(told("src"), "cannot read src: it is a folder");
    }
}
