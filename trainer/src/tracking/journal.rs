//! Journals: files with one JSON object per line, to which a run only adds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::checkpoint::hex;
use super::durable;

/// How far a journal had been written when a checkpoint was, and what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Length in bytes.
    pub bytes: u64,
    /// Its hash; absent in checkpoints of older versions.
    #[serde(default)]
    pub sha256: Option<String>,
}

impl Mark {
    /// What is wrong with the journal `path`, if it does not begin with what was written before this mark.
    pub(crate) fn problem(&self, path: &Path) -> io::Result<Option<String>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((self.bytes > 0).then(|| "is missing".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let (bytes, hash) = digest(&mut file, self.bytes)?;
        Ok(if bytes < self.bytes {
            Some(format!("has {bytes} bytes, but {} were written", self.bytes))
        } else if self.sha256.as_ref().is_some_and(|sum| *sum != hex(&hash.finalize())) {
            Some(format!("is not what was written: its first {} bytes have another hash", self.bytes))
        } else {
            None
        })
    }
}

/// The length and the hash of the first `bytes` bytes of a file, or of all if it is shorter.
fn digest(file: &mut File, bytes: u64) -> io::Result<(u64, Sha256)> {
    let (mut rest, mut hash, mut buffer) = (file.take(bytes), Sha256::new(), vec![0; 1 << 16]);
    let mut seen = 0;
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok((seen, hash)),
            read => {
                hash.update(&buffer[..read]);
                seen += read as u64;
            }
        }
    }
}

/// The bytes of a file up to the end of its last line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1))
}

/// A file with one object per line. Each line is flushed.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl Journal {
    /// Opens the journal `path` and cuts it to its first `bytes` bytes; a shorter one to its whole lines.
    pub(crate) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        if is_new {
            durable::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        let kept = if file.metadata()?.len() < bytes { whole_lines(&mut file)? } else { bytes };
        file.set_len(kept)?;
        file.seek(SeekFrom::Start(0))?;
        let (bytes, hash) = digest(&mut file, kept)?;
        Ok(Self { path: path.to_owned(), file, bytes, hash })
    }

    /// Adds one line.
    pub fn append(&mut self, value: &Value) -> io::Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes())?;
        self.hash.update(line.as_bytes());
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it is written now.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes, sha256: Some(hex(&self.hash.clone().finalize())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    #[test]
    fn a_journal_goes_on_where_the_checkpoint_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut journal = Journal::open(&path, 0).unwrap();
        journal.append(&json!({ "step": 1 })).unwrap();
        let mark = journal.mark();
        journal.append(&json!({ "step": 2 })).unwrap();
        let mut half = OpenOptions::new().append(true).open(&path).unwrap();
        half.write_all(b"{\"step\": 3, \"lo").unwrap();
        let mut again = Journal::open(&path, mark.bytes).unwrap();
        assert_eq!(again.mark(), mark);
        again.append(&json!({ "step": 2 })).unwrap();
        assert_eq!(again.mark(), journal.mark());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
        // What is lost cannot be cut: the lines that are there stay.
        half.write_all(b"{\"st").unwrap();
        assert_eq!(Journal::open(&path, 1000).unwrap().mark(), again.mark());
    }

    #[test]
    fn every_flipped_bit_before_the_mark_is_seen_and_none_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut journal = Journal::open(&path, 0).unwrap();
        (0..4).for_each(|step| journal.append(&json!({ "step": step })).unwrap());
        let mark = journal.mark();
        journal.append(&json!({ "step": 4 })).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                fs::write(&path, flipped).unwrap();
                assert_eq!(mark.problem(&path).unwrap().is_some(), (at as u64) < mark.bytes, "{at} {bit}");
            }
        }
        fs::write(&path, &whole[..20]).unwrap();
        assert!(mark.problem(&path).unwrap().unwrap().contains("has 20 bytes"));
        fs::remove_file(&path).unwrap();
        assert_eq!(mark.problem(&path).unwrap().unwrap(), "is missing");
        assert_eq!(Mark::default().problem(&path).unwrap(), None);
    }
}
