//! The run folder: the files of a run, and what a resume reads.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kernels::InstructionSet;
use crate::kernels::precision::Precision;
use crate::machine::clock;
use crate::tracking::checkpoint::{self, Checkpoint, CheckpointError};

/// The resolved recipe.
pub const RECIPE: &str = "recipe.toml";
/// Program, machine and settings of the run. A folder with this file is a run folder.
pub const MANIFEST: &str = "manifest.json";
/// One object per step.
pub const METRICS: &str = "metrics.jsonl";
/// Sampled completions.
pub const ROLLOUTS: &str = "rollouts.jsonl";
/// The ledger.
pub const LEDGER: &str = "ledger.json";
/// The ledger in full; a resume finds lost work in it.
pub const BOOKS: &str = ".books.json";
/// How the run stopped.
pub const SUMMARY: &str = "summary.json";
/// The report.
pub const REPORT: &str = "report.html";
/// Locked by the process that writes to the folder.
const LOCK: &str = ".lock";
/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// A run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder is in use or does not fit the command.
    #[error("{0}")]
    Refused(String),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file system refused.
    #[error("{path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io { path, source }
}

/// A run folder that only this process writes to.
#[derive(Debug)]
pub struct RunFolder {
    /// The folder.
    pub path: PathBuf,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    version: String,
    git_commit: Option<String>,
    name: String,
    seed: u64,
    threads: usize,
    device: String,
    cpu: String,
    instruction_set: String,
    precision: String,
    precision_instructions: String,
    started: String,
    recipe_hash: String,
    #[serde(default)]
    questions: Value,
    resumes: Vec<Resume>,
}

#[derive(Serialize, Deserialize)]
struct Resume {
    at: String,
    from: Option<String>,
    threads: usize,
    #[serde(default)]
    device: String,
    cpu: String,
    instruction_set: String,
    #[serde(default)]
    precision_instructions: String,
}

/// The first `runs/<name>-<n>` that does not exist.
pub fn fresh_path(name: &str) -> PathBuf {
    let numbered = |number: u32| PathBuf::from(format!("runs/{name}-{number}"));
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Whether the folder exists and is not empty.
fn holds_anything(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether the folder holds only the files of a start that was killed before it wrote its manifest.
fn is_barely_begun(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    let is_ours =
        |name: &str| [LOCK, RECIPE, CHECKPOINTS].contains(&name) || name.starts_with(checkpoint::UNFINISHED);
    path.join(LOCK).exists()
        && !holds_anything(&path.join(CHECKPOINTS))
        && entries.flatten().all(|entry| entry.file_name().to_str().is_some_and(is_ours))
}

/// What the files of a run folder say about the run.
pub struct Identity<'a> {
    /// The resolved recipe.
    pub recipe: String,
    /// Hash of everything that determines the results.
    pub recipe_hash: String,
    /// Name of the run.
    pub name: &'a str,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads to compute with.
    pub threads: usize,
    /// The device that computes the policy.
    pub device: &'static str,
    /// Precision of products with weights.
    pub precision: Precision,
    /// Counts the questions of each task; called once, when a run starts.
    pub count_questions: &'a dyn Fn() -> Result<Value, String>,
}

impl RunFolder {
    /// Creates the folder of a new run.
    pub fn create(path: &Path, run: &Identity<'_>) -> Result<Self, RunError> {
        if holds_anything(path) && !is_barely_begun(path) {
            let advice = if path.join(MANIFEST).exists() {
                "it holds another run: give --resume to continue it, or another --out"
            } else {
                "it is not empty: give another --out"
            };
            return Err(RunError::Refused(format!("{} cannot be used: {advice}", path.display())));
        }
        let questions = (run.count_questions)().map_err(RunError::Refused)?;
        let folder = path.join(CHECKPOINTS);
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        let folder = Self { path: path.to_owned(), _lock: lock(path)? };
        folder.write(RECIPE, run.recipe.as_bytes())?;
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_commit: git_commit(),
            name: run.name.to_owned(),
            seed: run.seed,
            threads: run.threads,
            device: run.device.to_owned(),
            cpu: cpu_name(),
            instruction_set: InstructionSet::detected().name().to_owned(),
            precision: run.precision.name().to_owned(),
            precision_instructions: run.precision.instructions().unwrap_or_default().to_owned(),
            started: clock::timestamp(),
            recipe_hash: run.recipe_hash.clone(),
            questions,
            resumes: Vec::new(),
        };
        folder.write(MANIFEST, &checkpoint::encode_json(&manifest))?;
        Ok(folder)
    }

    /// Opens the folder of a run that has stopped, and its newest checkpoint if there is one. Without a folder, or with
    /// an empty one, a new run starts: a job that is queued again gives the same command each time.
    pub fn resume(path: &Path, run: &Identity<'_>) -> Result<(Self, Option<Checkpoint>), RunError> {
        let manifest_path = path.join(MANIFEST);
        if !manifest_path.exists() {
            return Ok((Self::create(path, run)?, None));
        }
        let text = fs::read(&manifest_path).map_err(io(&manifest_path))?;
        let mut manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| RunError::Refused(format!("{}: {error}", manifest_path.display())))?;
        let folder = Self { path: path.to_owned(), _lock: lock(path)? };
        if manifest.recipe_hash != run.recipe_hash {
            let before = fs::read_to_string(path.join(RECIPE)).unwrap_or_default();
            return Err(RunError::Refused(format!(
                "{} was made with another recipe: {}. Resume with the same recipe and --set, or give another --out",
                path.display(),
                differences(&before, &run.recipe)
            )));
        }
        if manifest.device != run.device {
            return Err(RunError::Refused(format!(
                "{} was computed on device `{}`, and `{}` gives other bits: resume with --device {}, or give another --out",
                path.display(),
                manifest.device,
                run.device,
                manifest.device
            )));
        }
        checkpoint::remove_unfinished(path).map_err(RunError::Checkpoint)?;
        checkpoint::remove_unfinished(&path.join(CHECKPOINTS))?;
        let newest = newest_checkpoint(path).map(|folder| Checkpoint::read(&folder)).transpose()?;
        manifest.resumes.push(Resume {
            at: clock::timestamp(),
            from: newest
                .as_ref()
                .and_then(|newest| newest.folder.file_name())
                .map(|name| name.to_string_lossy().into()),
            threads: run.threads,
            device: run.device.to_owned(),
            cpu: cpu_name(),
            instruction_set: InstructionSet::detected().name().to_owned(),
            precision_instructions: run.precision.instructions().unwrap_or_default().to_owned(),
        });
        folder.write(RECIPE, run.recipe.as_bytes())?;
        folder.write(MANIFEST, &checkpoint::encode_json(&manifest))?;
        // The old summary says how the run stopped; now it continues.
        let summary = path.join(SUMMARY);
        if summary.exists() {
            fs::remove_file(&summary).map_err(io(&summary))?;
        }
        Ok((folder, newest))
    }

    /// Start of the run, seconds since 1970; 0 if the manifest does not give it.
    pub fn started(&self) -> f64 {
        let manifest = fs::read(self.path.join(MANIFEST)).ok();
        let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_slice(&text).ok());
        manifest.and_then(|manifest| clock::seconds_since_1970(&manifest.started)).unwrap_or(0.0)
    }

    /// Writes one of the run's files atomically.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        Ok(checkpoint::write_atomically(&self.path.join(name), bytes)?)
    }

    /// The text of one of the run's files; empty if it does not exist.
    pub fn read(&self, name: &str) -> Result<String, RunError> {
        let path = self.path.join(name);
        if !path.exists() {
            return Ok(String::new());
        }
        fs::read_to_string(&path).map_err(io(&path))
    }

    /// Writes a checkpoint and removes all but the newest `keep` of its stage.
    pub fn save(
        &self,
        stage: &str,
        step: u64,
        files: &[(&str, Vec<u8>)],
        keep: usize,
    ) -> Result<PathBuf, RunError> {
        let folder = self.path.join(CHECKPOINTS);
        let written = checkpoint::write(&folder, &format!("{stage}-{step}"), files)?;
        let mut steps: Vec<u64> = checkpoint_names(&self.path)
            .into_iter()
            .filter(|(name, _)| name == stage)
            .map(|(_, step)| step)
            .collect();
        steps.sort_unstable();
        for old in steps.iter().rev().skip(keep.max(1)).filter(|old| **old < step) {
            checkpoint::remove(&folder.join(format!("{stage}-{old}")))?;
        }
        Ok(written)
    }

    /// Opens a journal and cuts it to its first `bytes` bytes.
    ///
    /// # Errors
    /// If the file is shorter than that.
    pub fn journal(&self, name: &str, bytes: u64) -> Result<Journal, RunError> {
        let path = self.path.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        let length = file.metadata().map_err(io(&path))?.len();
        if length < bytes {
            return Err(RunError::Refused(format!(
                "{} has {length} bytes, the checkpoint was written after {bytes}: restore it, or start a new run",
                path.display()
            )));
        }
        file.set_len(bytes).map_err(io(&path))?;
        Ok(Journal { path, file, bytes })
    }
}

/// A file with one object per line. Each line is flushed.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Journal {
    /// Adds one line.
    pub fn append(&mut self, value: &Value) -> Result<(), RunError> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(io(&self.path))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Makes the added lines survive a power failure.
    pub fn sync(&self) -> Result<(), RunError> {
        self.file.sync_data().map_err(io(&self.path))
    }

    /// Length in bytes; a checkpoint stores it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn lock(path: &Path) -> Result<File, RunError> {
    let file = path.join(LOCK);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(io(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(RunError::Refused(format!(
            "another process is writing to {}: wait for it, or give another --out",
            path.display()
        ))),
        Err(fs::TryLockError::Error(source)) => Err(io(&file)(source)),
    }
}

/// Stage and step of every checkpoint of a run.
fn checkpoint_names(run: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(run.join(CHECKPOINTS)) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let (stage, step) = name.rsplit_once('-')?;
            (!name.starts_with('.')).then_some((stage.to_owned(), step.parse().ok()?))
        })
        .collect()
}

/// The checkpoint at `path`: that folder itself, or the newest checkpoint of a run folder.
pub fn checkpoint_at(path: &Path) -> Option<PathBuf> {
    if path.join("state.json").exists() { Some(path.to_owned()) } else { newest_checkpoint(path) }
}

/// The folder of a run's newest checkpoint: the one with the most steps before it.
pub fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Place {
        written: u64,
    }
    let folders = checkpoint_names(run).into_iter().map(|(stage, step)| {
        let folder = run.join(CHECKPOINTS).join(format!("{stage}-{step}"));
        let place =
            fs::read(folder.join("state.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        // An unreadable checkpoint counts as the newest, so that its damage is reported.
        (place.map_or(u64::MAX, |place: Place| place.written), folder)
    });
    folders.max().map(|(_, folder)| folder)
}

/// The keys in which two recipes differ.
fn differences(before: &str, after: &str) -> String {
    let flat = |text: &str| {
        let mut keys = BTreeMap::new();
        if let Ok(table) = text.parse::<toml::Table>() {
            flatten("", &toml::Value::Table(table), &mut keys);
        }
        keys.retain(|key: &String, _: &mut String| {
            !["threads", "device"].contains(&key.as_str())
                && !key.starts_with("budget.")
                && !key.starts_with("prices.")
        });
        keys
    };
    let (before, after) = (flat(before), flat(after));
    let absent = "absent".to_owned();
    let differing: Vec<String> = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)))
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let of = |keys: &BTreeMap<String, String>| keys.get(key).unwrap_or(&absent).clone();
            format!("{key} was {} and is {}", of(&before), of(&after))
        })
        .collect();
    if differing.is_empty() { "its recipe.toml cannot be compared".to_owned() } else { differing.join("; ") }
}

/// Every value of a table under its path; tables in an array count from 1.
pub(crate) fn flatten(prefix: &str, value: &toml::Value, keys: &mut BTreeMap<String, String>) {
    let place = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&place(key), value, keys)),
        toml::Value::Array(array) if array.iter().any(toml::Value::is_table) => {
            array
                .iter()
                .enumerate()
                .for_each(|(at, value)| flatten(&place(&(at + 1).to_string()), value, keys));
        }
        other => {
            keys.insert(prefix.to_owned(), other.to_string());
        }
    }
}

fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The commit of the repository that contains the program, if git reports one.
///
/// Never the commit of the working folder, which may be any project. An installed program has only its version.
fn git_commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(program.parent()?)
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `summary.json`.
pub fn summary(status: &str, metrics: &Value, ledger: &Value) -> Value {
    json!({ "status": status, "finished": clock::timestamp(), "metrics": metrics, "ledger": ledger })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of `steps` steps.
    fn identity(steps: u32) -> Identity<'static> {
        Identity {
            recipe: format!("[[stage]]\nsteps = {steps}\n"),
            recipe_hash: steps.to_string(),
            name: "t",
            seed: 1,
            threads: 1,
            device: "cpu",
            precision: Precision::Float32,
            count_questions: &|| Ok(json!([])),
        }
    }

    fn checkpoint(run: &RunFolder, stage: &str, step: u64, written: u64) {
        let state = checkpoint::encode_json(&json!({ "written": written }));
        run.save(stage, step, &[("state.json", state)], 2).unwrap();
    }

    #[test]
    fn nothing_overwrites_a_run_and_only_one_process_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&path, &identity(5)).unwrap();
        assert!(RunFolder::create(&path, &identity(5)).unwrap_err().to_string().contains("--resume"));
        assert!(RunFolder::resume(&path, &identity(5)).unwrap_err().to_string().contains("another process"));
        drop(run);
        let error = RunFolder::resume(&path, &identity(6)).unwrap_err().to_string();
        assert!(error.contains("stage.1.steps was 5 and is 6"), "{error}");
        assert!(RunFolder::resume(&path, &identity(5)).unwrap().1.is_none());
        assert!(RunFolder::resume(&folder.path().join("fresh"), &identity(5)).unwrap().1.is_none());
        // The run was killed before it wrote the manifest: a new start loses nothing.
        fs::remove_file(path.join(MANIFEST)).unwrap();
        assert!(RunFolder::create(&path, &identity(5)).is_ok());
        fs::remove_file(path.join(MANIFEST)).unwrap();
        assert!(RunFolder::resume(&path, &identity(5)).unwrap().1.is_none());
        fs::remove_file(path.join(MANIFEST)).unwrap();
        fs::write(path.join("note"), "mine").unwrap();
        assert!(RunFolder::resume(&path, &identity(5)).unwrap_err().to_string().contains("not empty"));
        fs::write(folder.path().join("note"), "mine").unwrap();
        assert!(
            RunFolder::resume(folder.path(), &identity(5)).unwrap_err().to_string().contains("not empty")
        );
        assert!(
            RunFolder::create(folder.path(), &identity(5)).unwrap_err().to_string().contains("not empty")
        );
    }

    #[test]
    fn the_newest_checkpoint_is_the_one_written_last_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&path, &identity(5)).unwrap();
        for (stage, step, written) in
            [("pretrain", 10, 1), ("pretrain", 20, 2), ("pretrain", 30, 3), ("a-b", 5, 4)]
        {
            checkpoint(&run, stage, step, written);
        }
        let mut names = checkpoint_names(&path);
        names.sort();
        let expected =
            [("a-b", 5), ("pretrain", 20), ("pretrain", 30)].map(|(name, step)| (name.to_owned(), step));
        assert_eq!(names, expected);
        drop(run);
        let (_, newest) = RunFolder::resume(&path, &identity(5)).unwrap();
        assert!(newest.unwrap().folder.ends_with("a-b-5"));
        fs::write(path.join("checkpoints/pretrain-20/state.json"), "{").unwrap();
        assert!(RunFolder::resume(&path, &identity(5)).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_journal_goes_on_where_the_checkpoint_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&folder.path().join("run"), &identity(5)).unwrap();
        let mut journal = run.journal(METRICS, 0).unwrap();
        journal.append(&json!({ "step": 1 })).unwrap();
        let kept = journal.bytes();
        journal.append(&json!({ "step": 2 })).unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(run.path.join(METRICS))
            .unwrap()
            .write_all(b"{\"step\": 3, \"lo")
            .unwrap();
        let mut journal = run.journal(METRICS, kept).unwrap();
        journal.append(&json!({ "step": 2 })).unwrap();
        assert_eq!(fs::read_to_string(run.path.join(METRICS)).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
        assert!(run.journal(METRICS, 1000).unwrap_err().to_string().contains("1000"));
    }
}
