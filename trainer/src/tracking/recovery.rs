//! What a resume finds in a run folder: the newest whole checkpoint, and whether the journals hold what it counts on.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::journal::Mark;
use super::run_folder::{CHECKPOINTS, METRICS, ROLLOUTS};

/// A checkpoint to continue from, and what was passed over to find it.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint, whole.
    pub checkpoint: Checkpoint,
    /// What is damaged or lost, in words; empty where nothing is.
    pub problems: Vec<String>,
}

/// The part of `state.json` that says where in the run a checkpoint stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    written: u64,
    metrics_bytes: u64,
    metrics_sha256: Option<String>,
    rollouts_bytes: u64,
    rollouts_sha256: Option<String>,
}

impl Place {
    /// What is wrong with the journals of `run`, as far as this checkpoint counts on them.
    fn journal_problem(&self, run: &Path) -> Result<Option<String>, CheckpointError> {
        let metrics = Mark { bytes: self.metrics_bytes, sha256: self.metrics_sha256.clone() };
        let rollouts = Mark { bytes: self.rollouts_bytes, sha256: self.rollouts_sha256.clone() };
        for (name, mark) in [(METRICS, metrics), (ROLLOUTS, rollouts)] {
            let path = run.join(name);
            let problem = mark.problem(&path).map_err(|source| CheckpointError::Io {
                action: "reading",
                path: path.clone(),
                source,
            })?;
            if let Some(problem) = problem {
                return Ok(Some(format!("{} {problem}", path.display())));
            }
        }
        Ok(None)
    }
}

/// Stage and step of every checkpoint of a run.
pub(crate) fn checkpoint_names(run: &Path) -> Vec<(String, u64)> {
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

/// The name of the stage of a checkpoint's folder.
fn stage_of(folder: &Path) -> Option<&str> {
    Some(folder.file_name()?.to_str()?.rsplit_once('-')?.0)
}

/// The checkpoints of a run: first those whose place cannot be read, since they may be the newest, then the one with the
/// most steps before it.
fn newest_first(run: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<(u64, PathBuf)> = checkpoint_names(run)
        .into_iter()
        .map(|(stage, step)| {
            let folder = run.join(CHECKPOINTS).join(format!("{stage}-{step}"));
            let text = checkpoint::read_regular(&folder.join("state.json")).ok();
            let place: Option<Place> = text.and_then(|text| serde_json::from_slice(&text).ok());
            (place.map_or(u64::MAX, |place| place.written), folder)
        })
        .collect();
    folders.sort_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

/// The checkpoint from which a run goes on: the newest whole one. If the journals are not as they were written before it, an
/// older one of its stage before which they are, so that the rows are made again. No rows are worth a stage, so where there
/// is none, they stay lost.
pub fn newest_to_resume(run: &Path) -> Result<Option<Found>, CheckpointError> {
    let (mut problems, mut damage) = (Vec::new(), None);
    let mut with_lost_rows: Option<Checkpoint> = None;
    for folder in newest_first(run) {
        if with_lost_rows.as_ref().is_some_and(|newer| stage_of(&newer.folder) != stage_of(&folder)) {
            continue;
        }
        let read = Checkpoint::read(&folder)
            .and_then(|checkpoint| Ok((checkpoint.json::<Place>("state.json")?, checkpoint)));
        let (place, checkpoint) = match read {
            Ok(read) => read,
            Err(error @ CheckpointError::Damaged { .. }) => {
                problems.push(format!("{error}; it is passed over"));
                damage.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match place.journal_problem(run)? {
            None => {
                if with_lost_rows.is_some() || damage.is_some() {
                    problems.push(format!(
                        "the run goes on from checkpoint {name}, and makes again what came after it"
                    ));
                }
                return Ok(Some(Found { checkpoint, problems }));
            }
            Some(problem) => {
                problems.push(format!("{problem}, before checkpoint {name}"));
                with_lost_rows.get_or_insert(checkpoint);
            }
        }
    }
    if let Some(checkpoint) = with_lost_rows {
        let name = checkpoint.folder.file_name().unwrap_or_default().to_string_lossy();
        problems.push(format!(
            "no checkpoint of this stage is older than that, so the run goes on from {name}, whose weights are whole. Rows \
             that are lost or changed stay so: if you have a copy of the file, stop, put it back and resume again"
        ));
        return Ok(Some(Found { checkpoint, problems }));
    }
    let advice = ", and no other checkpoint of the run is whole: restore one from a copy, or begin again with another --out";
    damage.map_or(Ok(None), |error| Err(advised(error, advice)))
}

/// `error` with what to do about damage.
fn advised(error: CheckpointError, advice: &str) -> CheckpointError {
    match error {
        CheckpointError::Damaged { folder, file, problem } => {
            CheckpointError::Damaged { folder, file, problem: problem + advice }
        }
        other => other,
    }
}

/// Reads the checkpoint at `path`: that folder itself, or the newest checkpoint of a run folder. A damaged one is an
/// error: nobody should measure another checkpoint than they meant.
pub fn checkpoint_at(path: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    if path.join("state.json").exists() {
        return Checkpoint::read(path).map(Some);
    }
    let newest = newest_first(path).first().map(|folder| Checkpoint::read(folder));
    newest.transpose().map_err(|error| advised(error, "; remove this folder to use the one before it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::journal::Journal;
    use serde_json::json;

    /// A run folder with a checkpoint after each row of its journal.
    fn run(steps: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join(METRICS), 0).unwrap();
        for step in 1..=steps {
            journal.append(&json!({ "step": step })).unwrap();
            let Mark { bytes, sha256 } = journal.mark();
            let state = json!({ "written": step, "metrics_bytes": bytes, "metrics_sha256": sha256 });
            let files = [("state.json", checkpoint::encode_json(&state))];
            checkpoint::write(&folder.path().join(CHECKPOINTS), &format!("a-b-{step}"), &files).unwrap();
        }
        folder
    }

    fn found(run: &Path) -> (String, String) {
        let found = newest_to_resume(run).unwrap().unwrap();
        let name = found.checkpoint.folder.file_name().unwrap().to_string_lossy().into_owned();
        (name, found.problems.join("\n"))
    }

    #[test]
    fn damage_is_passed_over_and_named() {
        let run = run(3);
        let path = run.path();
        assert_eq!(found(path), ("a-b-3".to_owned(), String::new()));
        // The place of a checkpoint that cannot be read is unknown, so it is named even if it is an old one.
        fs::write(path.join("checkpoints/a-b-1/state.json"), "{").unwrap();
        let (name, problems) = found(path);
        assert_eq!(name, "a-b-3");
        assert!(problems.contains("a-b-1") && problems.contains("passed over"), "{problems}");
        fs::remove_file(path.join("checkpoints/a-b-3/SHA256SUMS")).unwrap();
        let (name, problems) = found(path);
        assert_eq!(name, "a-b-2");
        assert!(
            problems.contains("a-b-3") && problems.contains("goes on from checkpoint a-b-2"),
            "{problems}"
        );
        assert!(checkpoint_at(path).unwrap_err().to_string().contains("remove this folder"));
        fs::write(path.join("checkpoints/a-b-2/state.json"), "").unwrap();
        let error = newest_to_resume(path).unwrap_err().to_string();
        assert!(error.contains("no other checkpoint"), "{error}");
        assert!(newest_to_resume(&path.join("absent")).unwrap().is_none());
    }

    #[test]
    fn a_journal_that_changed_costs_the_rows_after_the_change_and_is_never_overlooked() {
        let run = run(3);
        let metrics = run.path().join(METRICS);
        let whole = fs::read(&metrics).unwrap();
        let row = whole.len() / 3;
        for (bytes, expected, words) in [
            (whole.clone(), "a-b-3", ""),
            ([&whole[..2 * row + 3], b"#", &whole[2 * row + 4..]].concat(), "a-b-2", "not what was written"),
            (whole[..2 * row + 1].to_vec(), "a-b-2", "were written"),
            ([b"#", &whole[1..]].concat(), "a-b-3", "put it back"),
            (Vec::new(), "a-b-3", "has 0 bytes"),
        ] {
            fs::write(&metrics, bytes).unwrap();
            let (name, problems) = found(run.path());
            assert_eq!(name, expected, "{problems}");
            assert!(problems.contains(words) && problems.is_empty() == words.is_empty(), "{problems}");
            assert!(checkpoint_at(run.path()).unwrap().unwrap().folder.ends_with("a-b-3"));
        }
        fs::remove_file(&metrics).unwrap();
        assert!(found(run.path()).1.contains("is missing"));
        // An older stage is not done again.
        fs::write(&metrics, [&whole[..2 * row + 3], b"#", &whole[2 * row + 4..]].concat()).unwrap();
        fs::rename(run.path().join("checkpoints/a-b-2"), run.path().join("checkpoints/a-2")).unwrap();
        fs::remove_dir_all(run.path().join("checkpoints/a-b-1")).unwrap();
        assert_eq!(found(run.path()).0, "a-b-3");
    }
}
