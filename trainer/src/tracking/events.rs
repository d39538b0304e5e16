//! TensorBoard events: the scalars of `metrics.jsonl` for users of TensorBoard.
//!
//! The file follows from `metrics.jsonl` and the start of the run alone, so a resume rewrites it without gaps or
//! repeats. Source: TensorFlow's record format (length, masked crc32c, data, masked crc32c) around `Event` of
//! `event.proto`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::rows::{Row, Tells, number, parse_lines, scalars, word};
use super::run_folder;

const PREFIX: &str = "events.out.tfevents.";

#[derive(Debug)]
pub(crate) struct EventLog {
    file: File,
    /// When the run started, in seconds since 1970.
    started: f64,
}

impl EventLog {
    /// Writes the events of all rows in `folder`, in place of any older file, and stays open for more.
    ///
    /// `started` is in seconds since 1970.
    pub(crate) fn open(folder: &Path, started: f64) -> io::Result<Self> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        // TensorBoard sorts files by a number of ten digits.
        let path = folder.join(format!("{PREFIX}{started:010.0}.thinkling"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut log = Self { file, started };
        let mut events = record(&version(started));
        let metrics = fs::read(folder.join(run_folder::METRICS)).unwrap_or_default();
        let (rows, _) = parse_lines(&String::from_utf8_lossy(&metrics));
        for row in &rows {
            events.extend(log.event(row));
        }
        log.file.write_all(&events)?;
        Ok(log)
    }

    pub(crate) fn append(&mut self, row: &Row) -> io::Result<()> {
        let event = self.event(row);
        self.file.write_all(&event)
    }

    fn event(&self, row: &Row) -> Vec<u8> {
        let time = self.started + number(row, "wall_s").unwrap_or(0.0);
        let step = number(row, "step").unwrap_or(0.0) as u64;
        let mut values = Vec::new();
        for (name, value) in scalars(row) {
            values.extend(summary_value(&tag(row, &name), value as f32));
        }
        let mut event = double(1, time);
        event.extend(varint_field(2, step));
        event.extend(bytes_field(5, &values));
        record(&event)
    }
}

/// The tag of a scalar in TensorBoard: `grpo/reward_mean`, `eval.grpo/parity.16/accuracy`.
fn tag(row: &Row, name: &str) -> String {
    let stage = word(row, "stage");
    if Tells::of(row) != Tells::Measured {
        return format!("{stage}/{name}");
    }
    let level = row.get("level").map_or(String::new(), |level| format!(".{level}"));
    format!("eval.{stage}/{}{level}/{name}", word(row, "task"))
}

/// The event that states the version of the format.
fn version(time: f64) -> Vec<u8> {
    let mut event = double(1, time);
    event.extend(bytes_field(3, b"brain.Event:2"));
    event
}

/// A value of a summary: its tag and a number, as field 1 of `Summary`.
fn summary_value(tag: &str, value: f32) -> Vec<u8> {
    let mut message = bytes_field(1, tag.as_bytes());
    message.push(2 << 3 | 5);
    message.extend(value.to_le_bytes());
    bytes_field(1, &message)
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend(value.to_le_bytes());
    bytes
}

fn varint_field(field: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    varint(value, &mut bytes);
    bytes
}

fn bytes_field(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// `data` as a record: its length and its bytes, each with its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(crc32c(&length)).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(crc32c(data)).to_le_bytes());
    bytes
}

/// Rotates the checksum and adds a constant, so that checksums of data that contain checksums stay strong.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The Castagnoli cyclic redundancy check (RFC 3720, B.4), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut rest = at as u32;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest & 1 == 1 { rest >> 1 ^ 0x82f6_3b78 } else { rest >> 1 };
                bit += 1;
            }
            table[at] = rest;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| TABLE[(sum as u8 ^ byte) as usize] ^ sum >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        assert_eq!(varint_field(2, 300), [0x10, 0xac, 0x02]);
        assert_eq!(varint_field(2, 0), [0x10, 0]);
    }
}
