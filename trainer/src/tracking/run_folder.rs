//! The run folder: the files of a run, and who may write to them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kernels::InstructionSet;
use crate::kernels::precision::Precision;
use crate::machine::clock;
use crate::tracking::checkpoint::{self, CheckpointError};
use crate::tracking::durable::{self, UNFINISHED};
use crate::tracking::journal::Journal;
use crate::tracking::recovery::{self, Found, checkpoint_names};

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
/// Checkpoints kept per stage, the newest ones.
const CHECKPOINTS_KEPT: usize = 2;
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
    _locks: Vec<File>,
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
    /// What was damaged or lost, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
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

/// Whether the folder holds only the files of a start that was cut short before its manifest was whole.
fn is_barely_begun(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // Older versions did not sync what they wrote: after a power failure the manifest was there, without content.
    let is_emptied = fs::metadata(path.join(MANIFEST)).is_ok_and(|manifest| manifest.len() == 0);
    let of_start = [LOCK, RECIPE, CHECKPOINTS];
    let of_run = [MANIFEST, METRICS, ROLLOUTS, LEDGER, BOOKS];
    let is_ours = |name: &str| {
        of_start.contains(&name)
            || name.starts_with(UNFINISHED)
            || is_emptied && (of_run.contains(&name) || name.starts_with("events.out."))
    };
    // Older versions made the folder of checkpoints before they locked.
    let is_of_program = names.iter().any(|name| name == LOCK) || names == [CHECKPOINTS];
    is_of_program && !holds_checkpoints(path) && names.iter().all(|name| is_ours(name))
}

/// Whether anything but remains lies in the folder of checkpoints.
fn holds_checkpoints(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path.join(CHECKPOINTS)) else { return false };
    entries.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with(UNFINISHED))
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
            } else if holds_checkpoints(path) {
                "it holds the checkpoints of a run, whose manifest.json is missing: give --resume to continue it, or \
                 another --out"
            } else {
                "it is not empty: give another --out"
            };
            return Err(RunError::Refused(format!("{} cannot be used: {advice}", path.display())));
        }
        let questions = (run.count_questions)().map_err(RunError::Refused)?;
        durable::create_folder(path).map_err(io(path))?;
        let folder = Self { path: path.to_owned(), _locks: lock(path)? };
        checkpoint::remove_unfinished(path)?;
        let checkpoints = path.join(CHECKPOINTS);
        durable::create_folder(&checkpoints).map_err(io(&checkpoints))?;
        folder.write(RECIPE, run.recipe.as_bytes())?;
        folder.write(MANIFEST, &checkpoint::encode_json(&Manifest::new(run, questions)))?;
        Ok(folder)
    }

    /// Opens the folder of a run that has stopped, and its newest usable checkpoint if there is one. Without a folder, or
    /// with an empty one, a new run starts: a job that is queued again gives the same command each time.
    pub fn resume(path: &Path, run: &Identity<'_>) -> Result<(Self, Option<Found>), RunError> {
        let manifest = Manifest::read(path)?;
        if manifest.is_none() && !holds_checkpoints(path) {
            return Ok((Self::create(path, run)?, None));
        }
        let folder = Self { path: path.to_owned(), _locks: lock(path)? };
        let (mut manifest, lost) = match manifest {
            Some(manifest) => (manifest, None),
            None => {
                run.is_in(path)?;
                let questions = (run.count_questions)().map_err(RunError::Refused)?;
                let manifest = path.join(MANIFEST);
                let note = format!("{} was lost: it is written anew from recipe.toml", manifest.display());
                (Manifest::new(run, questions), Some(note))
            }
        };
        if manifest.recipe_hash != run.recipe_hash {
            return Err(RunError::Refused(format!(
                "{} was made with another recipe: {}. Resume with the same recipe and --set, or give another --out",
                path.display(),
                differences(&folder.read(RECIPE).unwrap_or_default(), &run.recipe)
                    .unwrap_or_else(|| "its recipe.toml cannot be compared".to_owned())
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
        let mut found = recovery::newest_to_resume(path)?;
        if let Some(found) = &mut found {
            found.problems.extend(lost);
        }
        let newest = found.as_ref().and_then(|found| found.checkpoint.folder.file_name());
        manifest.resumes.push(Resume {
            at: clock::timestamp(),
            from: newest.map(|name| name.to_string_lossy().into()),
            threads: run.threads,
            device: run.device.to_owned(),
            cpu: cpu_name(),
            instruction_set: InstructionSet::detected().name().to_owned(),
            precision_instructions: run.precision.instructions().unwrap_or_default().to_owned(),
            problems: found.as_ref().map_or_else(Vec::new, |found| found.problems.clone()),
        });
        // The old summary says how the run stopped; now it continues.
        let summary = path.join(SUMMARY);
        if summary.exists() {
            fs::remove_file(&summary).map_err(io(&summary))?;
        }
        folder.write(RECIPE, run.recipe.as_bytes())?;
        folder.write(MANIFEST, &checkpoint::encode_json(&manifest))?;
        Ok((folder, found))
    }

    /// Start of the run, seconds since 1970; 0 if the manifest does not give it.
    pub fn started(&self) -> f64 {
        let manifest = fs::read(self.path.join(MANIFEST)).ok();
        let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_slice(&text).ok());
        manifest.and_then(|manifest| clock::seconds_since_1970(&manifest.started)).unwrap_or(0.0)
    }

    /// Writes one of the run's files; a power failure leaves the old content or the new one.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        durable::write(&path, bytes).map_err(io(&path))
    }

    /// Writes one of the files that a resume can do without; a reader sees the old content or the new one.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        durable::replace(&path, bytes).map_err(io(&path))
    }

    /// The text of one of the run's files; empty if it does not exist. Bytes that are no text are replaced.
    pub fn read(&self, name: &str) -> Result<String, RunError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(io(&path)(error)),
        }
    }

    /// Writes a checkpoint and removes all but the newest `CHECKPOINTS_KEPT` of its stage.
    pub fn save(&self, stage: &str, step: u64, files: &[(&str, Vec<u8>)]) -> Result<PathBuf, RunError> {
        // The checkpoint states what the journals hold, so that must be on disk before it.
        for journal in
            [METRICS, ROLLOUTS].map(|name| self.path.join(name)).iter().filter(|path| path.exists())
        {
            durable::sync_file(journal).map_err(io(journal))?;
        }
        let folder = self.path.join(CHECKPOINTS);
        let written = checkpoint::write(&folder, &format!("{stage}-{step}"), files)?;
        let mut steps: Vec<u64> = checkpoint_names(&self.path)
            .into_iter()
            .filter(|(name, _)| name == stage)
            .map(|(_, step)| step)
            .collect();
        steps.sort_unstable();
        for old in steps.iter().rev().skip(CHECKPOINTS_KEPT).filter(|old| **old < step) {
            checkpoint::remove(&folder.join(format!("{stage}-{old}")))?;
        }
        Ok(written)
    }

    /// Opens a journal and cuts it to its first `bytes` bytes; a shorter one to its whole lines.
    pub fn journal(&self, name: &str, bytes: u64) -> Result<Journal, RunError> {
        let path = self.path.join(name);
        Journal::open(&path, bytes).map_err(io(&path))
    }
}

impl Manifest {
    fn new(run: &Identity<'_>, questions: Value) -> Self {
        Self {
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
        }
    }

    /// The manifest of the run in `path`; `None` if it is missing or empty.
    fn read(path: &Path) -> Result<Option<Self>, RunError> {
        let path = path.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&path)(error)),
        };
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            RunError::Refused(format!(
                "{} is damaged: {error}. Put back a copy, or remove it and resume: it is then written anew from recipe.toml",
                path.display()
            ))
        })
    }
}

impl Identity<'_> {
    /// Fails unless the recipe in the run folder `path`, which has lost its manifest, is this run's.
    fn is_in(&self, path: &Path) -> Result<(), RunError> {
        let before = fs::read(path.join(RECIPE)).unwrap_or_default();
        let before = String::from_utf8_lossy(&before);
        let device =
            |text: &str| text.parse::<toml::Table>().ok()?.get("device")?.as_str().map(str::to_owned);
        let differing = if before.trim().is_empty() {
            Some("its recipe.toml is lost too".to_owned())
        } else if device(&before).is_some_and(|device| (device == "candle") != (self.device == "candle")) {
            Some("its device is another".to_owned())
        } else {
            differences(&before, &self.recipe)
        };
        differing.map_or(Ok(()), |problem| {
            Err(RunError::Refused(format!(
                "{} holds the checkpoints of a run whose manifest.json is lost, and nothing shows that this recipe made \
                 them: {problem}. Put back manifest.json or recipe.toml from a copy, or give another --out; `eval`, \
                 `sample` and `score` can use the checkpoints as they are",
                path.display()
            )))
        })
    }
}

/// Locks the folder, and a file in it: whoever removes that file still meets the first lock, and a file system that locks
/// no folders has the second.
fn lock(path: &Path) -> Result<Vec<File>, RunError> {
    let file = path.join(LOCK);
    let opened =
        OpenOptions::new().create(true).truncate(false).write(true).open(&file).map_err(io(&file))?;
    let taken = || {
        let path = path.display();
        RunError::Refused(format!("another process is writing to {path}: wait for it, or give another --out"))
    };
    match opened.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(taken()),
        Err(fs::TryLockError::Error(source)) => return Err(io(&file)(source)),
    }
    let mut locks = vec![opened];
    if cfg!(unix) {
        let folder = File::open(path).map_err(io(path))?;
        match folder.try_lock() {
            Ok(()) => locks.push(folder),
            Err(fs::TryLockError::WouldBlock) => return Err(taken()),
            // Some network file systems lock files only.
            Err(fs::TryLockError::Error(_)) => {}
        }
    }
    Ok(locks)
}

/// The keys in which two recipes differ, as far as they change results; `None` if there are none.
fn differences(before: &str, after: &str) -> Option<String> {
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
    (!differing.is_empty()).then(|| differing.join("; "))
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
        run.save(stage, step, &[("state.json", state)]).unwrap();
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
        fs::write(path.join(format!("{UNFINISHED}x")), "half").unwrap();
        assert!(RunFolder::create(&path, &identity(5)).is_ok());
        assert!(!path.join(format!("{UNFINISHED}x")).exists());
        for name in [RECIPE, MANIFEST, METRICS] {
            fs::write(path.join(name), "").unwrap();
        }
        assert!(RunFolder::resume(&path, &identity(5)).unwrap().1.is_none());
        let locked_late = folder.path().join("locked-late");
        fs::create_dir_all(locked_late.join(CHECKPOINTS)).unwrap();
        assert!(RunFolder::create(&locked_late, &identity(5)).is_ok());
        fs::remove_file(path.join(MANIFEST)).unwrap();
        fs::remove_file(path.join(METRICS)).unwrap();
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
        assert!(newest.unwrap().checkpoint.folder.ends_with("a-b-5"));
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_that_is_removed_still_keeps_others_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&path, &identity(5)).unwrap();
        fs::remove_file(path.join(LOCK)).unwrap();
        assert!(RunFolder::resume(&path, &identity(5)).unwrap_err().to_string().contains("another process"));
        drop(run);
        assert!(RunFolder::resume(&path, &identity(5)).is_ok());
    }

    #[test]
    fn a_run_without_its_manifest_goes_on_if_its_recipe_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        checkpoint(&RunFolder::create(&path, &identity(5)).unwrap(), "pretrain", 10, 1);
        for lost in [false, true] {
            if lost {
                fs::remove_file(path.join(MANIFEST)).unwrap();
            } else {
                fs::write(path.join(MANIFEST), "").unwrap();
            }
            assert!(RunFolder::resume(&path, &identity(6)).unwrap_err().to_string().contains("steps was 5"));
            let found = RunFolder::resume(&path, &identity(5)).unwrap().1.unwrap();
            assert!(found.problems.join("").contains("manifest.json was lost"), "{:?}", found.problems);
            assert!(RunFolder::resume(&path, &identity(5)).unwrap().1.unwrap().problems.is_empty());
        }
        fs::remove_file(path.join(MANIFEST)).unwrap();
        assert!(RunFolder::create(&path, &identity(5)).unwrap_err().to_string().contains("--resume"));
        fs::write(path.join(RECIPE), "").unwrap();
        let error = RunFolder::resume(&path, &identity(5)).unwrap_err().to_string();
        assert!(error.contains("recipe.toml is lost too"), "{error}");
    }
}
