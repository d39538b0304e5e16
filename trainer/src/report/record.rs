//! Reads the files of a run folder, even damaged ones.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tracking::rows::{Row, Tells, number, parse_lines, word};
use crate::tracking::run_folder;

/// A report cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The path is not a run folder.
    #[error("{path} is not a run folder: {problem}")]
    NoRun {
        /// The path.
        path: PathBuf,
        /// What is wrong, and the help.
        problem: &'static str,
    },
    /// There is nothing to show.
    #[error("{path} has no rows in metrics.jsonl yet: nothing to report")]
    Empty {
        /// The run folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A figure cannot be drawn as pixels.
    #[error("figure {figure} cannot be drawn: {problem}")]
    Paint {
        /// The figure's name.
        figure: String,
        /// The error of the library.
        problem: String,
    },
}

impl ReportError {
    /// Whether the command line is wrong, not the run.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoRun { .. })
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// The files of one run.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    /// Name of the run in figures.
    pub label: String,
    /// `metrics.jsonl`.
    pub metrics: Vec<Row>,
    /// `rollouts.jsonl`.
    pub rollouts: Vec<Row>,
    /// `ledger.json`, null without one.
    pub ledger: Value,
    /// `manifest.json`, null without one.
    pub manifest: Value,
    /// `summary.json`, null without one.
    pub summary: Value,
    /// `recipe.toml`, empty without one.
    pub recipe: String,
    /// Missing or damaged files, in words.
    pub problems: Vec<String>,
}

fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReportError::io(path)(error)),
    }
}

impl RunRecord {
    /// Reads the run folder `path`.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let no_run = |problem| ReportError::NoRun { path: path.to_owned(), problem };
        if !path.is_dir() {
            return Err(no_run("there is no such folder; give the folder that `train` printed"));
        }
        let mut record = Self::default();
        let Some(journal) = text(&path.join(run_folder::METRICS))? else {
            return Err(no_run("it has no metrics.jsonl; give the folder that `train` printed"));
        };
        record.metrics = record.lines(run_folder::METRICS, &journal);
        if record.metrics.is_empty() {
            return Err(ReportError::Empty { path: path.to_owned() });
        }
        if let Some(journal) = text(&path.join(run_folder::ROLLOUTS))? {
            record.rollouts = record.lines(run_folder::ROLLOUTS, &journal);
        }
        record.ledger = record.json(path, run_folder::LEDGER)?;
        record.manifest = record.json(path, run_folder::MANIFEST)?;
        record.summary = record.json(path, run_folder::SUMMARY)?;
        record.recipe = text(&path.join(run_folder::RECIPE))?.unwrap_or_else(|| {
            record.problems.push(format!("{} is missing", run_folder::RECIPE));
            String::new()
        });
        record.label = record.called();
        Ok(record)
    }

    fn lines(&mut self, name: &str, journal: &str) -> Vec<Row> {
        let (rows, bad) = parse_lines(journal);
        if bad > 0 {
            self.problems.push(format!("{name}: {bad} damaged lines were skipped"));
        }
        if !journal.is_empty() && !journal.ends_with('\n') {
            self.problems.push(format!("{name}: its last line is incomplete"));
        }
        rows
    }

    fn json(&mut self, folder: &Path, name: &str) -> Result<Value, ReportError> {
        let Some(text) = text(&folder.join(name))? else {
            let why =
                if name == run_folder::SUMMARY { ": the run has not finished, or was killed" } else { "" };
            self.problems.push(format!("{name} is missing{why}"));
            return Ok(Value::Null);
        };
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| {
            self.problems.push(format!("{name} is damaged"));
            Value::Null
        }))
    }

    /// The run's name and seed. The folder is not part of it, since it may move.
    fn called(&self) -> String {
        let name = self.manifest["name"].as_str().unwrap_or("run");
        match self.manifest["seed"].as_u64() {
            Some(seed) => format!("{name}, seed {seed}"),
            None => name.to_owned(),
        }
    }

    /// Rows about `what`, each with its step counted over all stages that have such rows.
    pub fn rows(&self, what: Tells) -> Vec<(f64, &Row)> {
        let mut rows = Vec::new();
        let (mut stage, mut before, mut last) = ("", 0.0, 0.0);
        for row in &self.metrics {
            if Tells::of(row) != what {
                continue;
            }
            if word(row, "stage") != stage {
                stage = word(row, "stage");
                before = last;
            }
            last = before + number(row, "step").unwrap_or(0.0);
            rows.push((last, row));
        }
        rows
    }

    /// Every key of the recipe under its path.
    pub fn recipe_keys(&self) -> BTreeMap<String, String> {
        let mut keys = BTreeMap::new();
        if let Ok(table) = self.recipe.parse::<toml::Table>() {
            run_folder::flatten("", &toml::Value::Table(table), &mut keys);
        }
        keys
    }

    /// How the run stopped, from `summary.json`.
    pub fn status(&self) -> &str {
        self.summary["status"].as_str().unwrap_or("not finished")
    }
}

/// The runs in `paths`, each with its own label.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<RunRecord>, ReportError> {
    let mut records: Vec<RunRecord> =
        paths.iter().map(|path| RunRecord::read(path)).collect::<Result<_, _>>()?;
    let labels: Vec<String> = records.iter().map(|record| record.label.clone()).collect();
    for (at, record) in records.iter_mut().enumerate() {
        if labels.iter().filter(|label| **label == record.label).count() > 1 {
            let folder = paths[at].canonicalize().unwrap_or_else(|_| paths[at].clone());
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            record.label = format!("{} ({}: {name})", record.label, at + 1);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_count_on_over_stages() {
        let row = |stage: &str, step: u64| {
            let Value::Object(row) = json!({ "stage": stage, "step": step }) else { panic!("an object") };
            row
        };
        let record = RunRecord {
            metrics: vec![row("a", 1), row("a", 2), row("b", 1), row("b", 2)],
            ..RunRecord::default()
        };
        let steps: Vec<f64> = record.rows(Tells::Supervised).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
    }
}
