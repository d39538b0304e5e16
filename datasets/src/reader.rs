//! Reads the records of a file of questions: JSON lines, or the rows of a Parquet table.
//!
//! An invalid line or row is reported with the file, its number and the reason, and reading continues.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use crate::jsonl::Lines;
use crate::record::{self, Record};

/// What the places of a file are: lines or rows.
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

/// A file as a sequence of JSON texts.
pub(crate) trait Source {
    /// Whether its places are lines or rows.
    fn unit(&self) -> Unit;
    /// The text at the next place, or why it is invalid. `None` at the end of the file.
    fn next(&mut self) -> io::Result<Option<Result<String, String>>>;
}

/// A place in a file, or the whole file, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// One line or row is invalid. The next one can be read.
    #[error("{file}, {unit} {number}: {reason}")]
    Fault {
        /// The file's name as it was given.
        file: String,
        /// Whether lines or rows are counted.
        unit: Unit,
        /// The number of the line or row, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The rest of the file cannot be read.
    #[error("{file}, {unit} {number}: cannot read: {source}")]
    Read {
        /// The file's name as it was given.
        file: String,
        /// Whether lines or rows are counted.
        unit: Unit,
        /// How far the file was read, from 1.
        number: u64,
        /// The error of the operating system.
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

/// The numbers of lines or rows that have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that gave a record.
    pub good: u64,
    /// Those that are invalid.
    pub bad: u64,
    /// Those that contain only white space.
    pub blank: u64,
}

/// Reads records one at a time, until the end of the file or the first failed read.
pub struct Reader<'a> {
    source: Box<dyn Source + 'a>,
    file: String,
    number: u64,
    text: String,
    is_over: bool,
    counts: Counts,
}

impl Reader<'static> {
    /// Opens a file: a Parquet table if its name ends in `.parquet`, otherwise JSON lines.
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
    Ok(Box::new(Lines::new(BufReader::new(file))))
}

/// Whether the file is a Parquet table by its name.
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
        "this program was built without Parquet: build it with `--features parquet`, or convert the file to JSON lines, in Python: \
         pandas.read_parquet(\"x.parquet\").to_json(\"x.jsonl\", orient=\"records\", lines=True)",
    ))
}

impl<'a> Reader<'a> {
    /// Reads JSON lines from `input`. Errors call it `file`.
    pub fn lines(input: impl BufRead + 'a, file: impl Into<String>) -> Self {
        Self::new(Box::new(Lines::new(input)), file.into())
    }

    fn new(source: Box<dyn Source + 'a>, file: String) -> Self {
        Self { source, file, number: 0, text: String::new(), is_over: false, counts: Counts::default() }
    }

    /// The numbers of what has been read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the file is counted in lines or in rows.
    pub fn unit(&self) -> Unit {
        self.source.unit()
    }

    /// The number of the last line or row, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The JSON text of the last record: a line without its line break, or a row as such a line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file and the last line or row.
    pub(crate) fn place(&self) -> String {
        format!("{}, {} {}", self.file, self.unit(), self.number)
    }

    /// An error about the last line or row.
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
    fn unreadable_files_are_named() {
        let told = |path: &str| Reader::open(Path::new(path)).err().unwrap().to_string();
        assert!(told("/no/such.jsonl").starts_with("cannot read /no/such.jsonl: No such file"));
        assert_eq!(told("src"), "cannot read src: it is a folder");
    }
}
