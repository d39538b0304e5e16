//! Tasks with questions from a file.

use std::path::Path;

use serde_json::Value;
use thinkling_datasets::file::{self, FileTasks};
use thinkling_datasets::reader::Reader;
use thinkling_verifiers::VERIFIERS;

use super::recipe::Recipe;
use crate::data::task::File;
use crate::recipe::{Checker, TaskEntry, values};
use crate::stages::kind::Common;

/// Faulty lines or rows that are shown; the others are counted.
const SHOWN: usize = 5;

pub(super) fn tasks(written: &mut Recipe) -> impl Iterator<Item = (String, &mut TaskEntry)> {
    let Recipe { task, tasks, stage, .. } = written;
    let common = [(String::new(), task, tasks)];
    let own = (0..).zip(stage).map(|(index, stage): (usize, _)| {
        let Common { task, tasks, .. } = stage.common_mut();
        (format!("stage.{index}."), task, tasks)
    });
    common.into_iter().chain(own).flat_map(|(path, task, tasks)| {
        let alone = task.iter_mut().map({
            let path = path.clone();
            move |task| (format!("{path}task"), task)
        });
        let listed = (0..).zip(tasks.iter_mut().flatten());
        alone.chain(listed.map(move |(number, task): (usize, _)| (format!("{path}tasks.{number}"), task)))
    })
}

/// Writes the path and hash of each file into the recipe, so that a resolved recipe means the same anywhere.
pub(super) fn locate(written: &mut Recipe, checker: &mut Checker<'_>) {
    for (path, task) in tasks(written) {
        let Some(file) = &mut task.file else { continue };
        let at = format!("{path}.file");
        let content = std::path::absolute(&*file).and_then(|absolute| {
            let hash = hash(&absolute)?;
            Ok((absolute.to_string_lossy().into_owned(), hash))
        });
        match content {
            Err(error) => {
                let help = "a path is relative to the current folder".to_owned();
                checker.mistake(&[&at], format!("cannot read `{file}`: {error}"), [help]);
            }
            Ok((_, hash)) if task.blake3.as_ref().is_some_and(|known| *known != hash) => {
                let message = format!("`{file}` is not the file that this recipe was written for");
                let help =
                    format!("its BLAKE3 hash is {hash}: restore the file, or leave `{path}.blake3` out");
                checker.mistake(&[&format!("{path}.blake3"), &at], message, [help]);
            }
            Ok((absolute, hash)) => {
                *file = absolute;
                task.blake3 = Some(hash);
            }
        }
    }
}

/// Removes the paths of files: only their content determines a result.
pub(super) fn forget_places(written: &mut Recipe) {
    for (_, task) in tasks(written) {
        task.file = task.file.take().map(|_| String::new());
    }
}

fn hash(path: &std::path::Path) -> std::io::Result<String> {
    let mut hash = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
    Ok(hash.finalize().to_hex().to_string())
}

/// The message for a file that takes the name of a built-in task.
pub(super) fn is_taken(name: &str) -> String {
    format!("`{name}` is a built-in task with its own questions")
}

/// Reads the file of the task at `path`; notes every mistake, and warns of lines that are left out.
pub(super) fn read(
    written: &TaskEntry,
    file: &str,
    path: &str,
    checker: &mut Checker<'_>,
) -> Option<(FileTasks, File)> {
    let (at, name, judge) = (format!("{path}.file"), format!("{path}.name"), format!("{path}.verifier"));
    if thinkling_datasets::domains::find(&written.name).is_some() {
        let help = format!("give the questions of `{file}` another name");
        checker.mistake(&[&name], is_taken(&written.name), [help]);
    }
    let names: Vec<&str> = VERIFIERS.iter().map(|row| row.name).collect();
    let Some(verifier) = &written.verifier else {
        let help = format!("add `verifier`, one of {}", names.join(", "));
        checker.mistake(&[path], format!("`{path}` does not name a verifier for its answers"), [help]);
        return None;
    };
    let Some(row) = thinkling_verifiers::find(verifier) else {
        let message = format!("there is no verifier `{verifier}`");
        checker.mistake(&[&judge], message, values(verifier, &names));
        return None;
    };
    let verifier = match file::verifier(row, &Value::Object(written.settings.clone())) {
        Ok(verifier) => verifier,
        Err(error) => {
            checker.mistake(&[&format!("{path}.settings"), &judge], error.to_string(), []);
            return None;
        }
    };
    if !Path::new(file).is_file() {
        // `locate` has reported it.
        return None;
    }
    let (tasks, report) =
        match Reader::open(Path::new(file)).and_then(|reader| FileTasks::read(reader, verifier)) {
            Ok(read) => read,
            Err(error) => {
                checker.mistake(&[&at], error.to_string(), []);
                return None;
            }
        };
    let unit = report.unit;
    if report.train == 0 || report.test == 0 {
        let message = format!(
            "`{file}` has {} questions to train on and {} to test on ({} faulty {unit}s)",
            report.train, report.test, report.counts.bad
        );
        let help = report.complaints.iter().take(SHOWN).cloned();
        let split =
            "one question in eight is for testing, chosen by the hash of its text: add questions".to_owned();
        checker.mistake(&[&at], message, help.chain([split]));
        return None;
    }
    for complaint in report.complaints.iter().take(SHOWN) {
        checker.warn(&[&at], complaint.clone());
    }
    if report.counts.bad > 0 {
        let message = format!(
            "{file}: {} of {} {unit}s are faulty and left out",
            report.counts.bad,
            report.counts.bad + report.counts.good
        );
        checker.warn(&[&at], message);
    }
    let duplicates = report.train_duplicates + report.test_duplicates;
    if duplicates > 0 {
        let message = format!(
            "{file}: {duplicates} {unit}s repeat a question ({} of the train split, {} of the test split) and are left out",
            report.train_duplicates, report.test_duplicates
        );
        checker.warn(&[&at], message);
    }
    checker.warnings.extend(tasks.notice());
    let hash = written.blake3.clone().unwrap_or_default();
    Some((tasks, File { path: file.to_owned(), hash, report }))
}
