//! Checkpoints: folders that are either complete or absent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::durable::{self, UNFINISHED};
use crate::policy::parameters::Tensors;
use crate::policy::{Config, Parameters};

/// The hashes, in the format of `sha256sum -c`.
const SUMS: &str = "SHA256SUMS";

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{action} {path}")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file differs from what was written.
    #[error("the checkpoint {folder} is damaged: {file} {problem}")]
    Damaged {
        /// The checkpoint.
        folder: PathBuf,
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}

/// `tensors` as a safetensors file; equal tensors give equal bytes.
pub fn encode_tensors(tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<(&str, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name.as_str(), shape.as_slice(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        (*name, view.expect("a tensor has as many numbers as its shape says"))
    });
    safetensors::serialize(views, None).expect("names are unique and shapes fit")
}

/// Reads a safetensors file of float32 tensors. The error describes the problem.
pub fn decode_tensors(bytes: &[u8]) -> Result<Tensors, String> {
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!("holds {name} as {:?}, not as float32", view.dtype()));
            }
            let numbers = view.data().chunks_exact(4);
            let values =
                numbers.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
            Ok((name.to_owned(), (view.shape().to_vec(), values)))
        })
        .collect()
}

/// Writes the checkpoint `name` with these files into `folder`. An interrupted write leaves no checkpoint.
pub fn write(folder: &Path, name: &str, files: &[(&str, Vec<u8>)]) -> Result<PathBuf, CheckpointError> {
    durable::create_folder(folder).map_err(io("creating", folder))?;
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let finished = folder.join(name);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(io("removing", &unfinished))?;
    }
    let sums: String =
        files.iter().map(|(name, bytes)| format!("{}  {name}\n", hex(&Sha256::digest(bytes)))).collect();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .chain([(SUMS, sums.as_bytes())])
        .collect();
    durable::write_folder(&unfinished, &files).map_err(io("writing", &unfinished))?;
    // The step was written before: at the end of a stage, or before lost work.
    remove(&finished)?;
    durable::rename(&unfinished, &finished).map_err(io("renaming", &unfinished))?;
    Ok(finished)
}

/// Removes the checkpoint `path`, if there is one. An interrupted removal leaves no checkpoint.
pub fn remove(path: &Path) -> Result<(), CheckpointError> {
    let Some(name) = path.file_name().filter(|_| path.exists()) else { return Ok(()) };
    let going = path.with_file_name(format!("{UNFINISHED}removed-{}", name.to_string_lossy()));
    if going.exists() {
        fs::remove_dir_all(&going).map_err(io("removing", &going))?;
    }
    fs::rename(path, &going).map_err(io("renaming", path))?;
    fs::remove_dir_all(&going).map_err(io("removing", &going))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes the remains of an interrupted write.
pub fn remove_unfinished(folder: &Path) -> Result<(), CheckpointError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(io("reading", folder))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(io("removing", &path))?;
        }
    }
    Ok(())
}

/// Whether a name has no part but itself, so that it cannot lead out of its folder.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name)
}

/// A checkpoint with every file verified.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its folder.
    pub folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

/// The content of a regular file: a device has no end, and a pipe waits for a writer.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is not a file"));
    }
    fs::read(path)
}

/// Whether the checkpoint, not the right to read it or the machine, is at fault.
fn is_damage(error: &io::Error) -> bool {
    /// `EIO`: the disk cannot read it.
    const UNREADABLE: i32 = 5;
    use io::ErrorKind::{InvalidData, InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidData | InvalidInput | InvalidFilename | NotADirectory)
        || (cfg!(unix) && error.raw_os_error() == Some(UNREADABLE))
}

impl Checkpoint {
    /// Reads and checks the checkpoint in `folder`.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let mut checkpoint = Self { folder: folder.to_owned(), files: BTreeMap::new() };
        let sums = String::from_utf8(checkpoint.read_listed(SUMS)?)
            .map_err(|_| checkpoint.damaged(SUMS, "is not a list of hashes"))?;
        for line in sums.lines() {
            let listed = line.split_once("  ").filter(|(_, name)| is_plain_name(name));
            let (sum, name) = listed.ok_or_else(|| {
                checkpoint.damaged(SUMS, "is not a list of hashes and names of files beside it")
            })?;
            let bytes = checkpoint.read_listed(name)?;
            if hex(&Sha256::digest(&bytes)) != sum {
                return Err(checkpoint.damaged(name, "is not what was written"));
            }
            checkpoint.files.insert(name.to_owned(), bytes);
        }
        if checkpoint.files.is_empty() {
            return Err(checkpoint.damaged(SUMS, "lists no files"));
        }
        Ok(checkpoint)
    }

    fn read_listed(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let path = self.folder.join(name);
        read_regular(&path).map_err(|error| match is_damage(&error) {
            true if error.kind() == io::ErrorKind::NotFound => self.damaged(name, "is missing"),
            true => self.damaged(name, &error.to_string()),
            false => io("reading", &path)(error),
        })
    }

    /// The file `name`.
    pub fn file(&self, name: &str) -> Result<&[u8], CheckpointError> {
        self.files.get(name).map(Vec::as_slice).ok_or_else(|| self.damaged(name, "is missing"))
    }

    /// The JSON file `name`.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, CheckpointError> {
        serde_json::from_slice(self.file(name)?).map_err(|error| self.damaged(name, &error.to_string()))
    }

    /// The tensors of the file `name`.
    pub fn tensors(&self, name: &str) -> Result<Tensors, CheckpointError> {
        decode_tensors(self.file(name)?).map_err(|error| self.damaged(name, &error))
    }

    /// The network and its weights.
    pub fn policy(&self) -> Result<(Config, Parameters), CheckpointError> {
        let config: Config = self.json("config.json")?;
        let name = "model.safetensors";
        let parameters = Parameters::from_tensors(&config, &self.tensors(name)?);
        Ok((config, parameters.map_err(|problem| self.damaged(name, &problem))?))
    }

    /// The error that `file` cannot be used.
    pub fn damaged(&self, file: &str, problem: &str) -> CheckpointError {
        CheckpointError::Damaged {
            folder: self.folder.clone(),
            file: file.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

/// `value` as an indented JSON file.
pub fn encode_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("keys are strings");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Tensors {
        let odd = [f32::NAN, -0.0, f32::INFINITY, f32::from_bits(0x7fc0_1234), 1e-45, 2.5];
        BTreeMap::from([("b".to_owned(), (vec![2, 3], odd.to_vec())), ("a".to_owned(), (vec![1], vec![1.0]))])
    }

    #[test]
    fn tensors_come_back_bit_by_bit() {
        let bytes = encode_tensors(&tensors());
        assert_eq!(bytes, encode_tensors(&tensors()));
        let back = decode_tensors(&bytes).unwrap();
        let bits =
            |tensors: &Tensors| -> Vec<u32> { tensors["b"].1.iter().map(|value| value.to_bits()).collect() };
        assert_eq!((bits(&back), &back["b"].0), (bits(&tensors()), &vec![2, 3]));
        assert!(decode_tensors(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode_tensors(b"").is_err());
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("model.safetensors", encode_tensors(&tensors())), ("state.json", encode_json(&[1, 2]))];
        let write = || write(folder.path(), "grpo-3", &files).unwrap();
        let at = write();
        assert_eq!(Checkpoint::read(&at).unwrap().json::<Vec<u8>>("state.json").unwrap(), [1, 2]);
        assert!(Checkpoint::read(&at).unwrap().file("other").is_err());

        let path = at.join("model.safetensors");
        let whole = fs::read(&path).unwrap();
        for damage in 0..3 {
            write();
            match damage {
                0 => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
                1 => {
                    let mut flipped = whole.clone();
                    flipped[whole.len() - 1] ^= 1;
                    fs::write(&path, flipped).unwrap();
                }
                _ => fs::remove_file(&path).unwrap(),
            }
            let error = Checkpoint::read(&at).unwrap_err().to_string();
            assert!(error.contains("model.safetensors") && error.contains("damaged"), "{error}");
        }
        fs::remove_file(at.join(SUMS)).unwrap();
        assert!(Checkpoint::read(&at).is_err());
    }

    #[test]
    fn a_list_of_hashes_leads_nowhere_but_to_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = write(folder.path(), "grpo-3", &[("state.json", encode_json(&1))]).unwrap();
        fs::write(folder.path().join("secret"), "mine").unwrap();
        fs::create_dir(at.join("inside")).unwrap();
        #[cfg(unix)]
        assert!(std::process::Command::new("mkfifo").arg(at.join("pipe")).status().unwrap().success());
        let sum = hex(&Sha256::digest(b"mine"));
        for name in [
            "../secret",
            "..",
            ".",
            "",
            "/dev/zero",
            "inside/../state.json",
            "./state.json",
            "inside",
            "pipe",
        ] {
            fs::write(at.join(SUMS), format!("{sum}  {name}\n")).unwrap();
            let error = Checkpoint::read(&at).unwrap_err();
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{name}: {error}");
        }
        fs::remove_file(at.join(SUMS)).unwrap();
        fs::create_dir(at.join(SUMS)).unwrap();
        assert!(Checkpoint::read(&at).is_err());
    }

    #[test]
    fn a_write_that_was_cut_short_is_no_checkpoint_and_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join(format!("{UNFINISHED}grpo-5"));
        fs::create_dir(&half).unwrap();
        fs::write(half.join("model.safetensors"), b"half").unwrap();
        fs::write(folder.path().join(format!("{UNFINISHED}summary")), b"{").unwrap();
        let at = write(folder.path(), "grpo-5", &[("state.json", encode_json(&1))]).unwrap();
        assert!(Checkpoint::read(&at).is_ok() && !half.exists());
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
