//! What a run folder tells: its files as they lie there, damaged ones included.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::run;

/// A row of `metrics.jsonl` or `rollouts.jsonl`.
pub type Row = Map<String, Value>;

/// A report cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The path is no run folder.
    #[error("{path} is no run folder: {problem}")]
    NoRun {
        /// The path as given.
        path: PathBuf,
        /// What is wrong, and what to give instead.
        problem: &'static str,
    },
    /// There is nothing to show.
    #[error("{path} has no rows in metrics.jsonl yet: nothing to report")]
    Empty {
        /// The run folder.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A figure cannot be painted as pixels.
    #[error("figure {figure} cannot be painted: {problem}")]
    Paint {
        /// The figure's name.
        figure: String,
        /// What the painter says.
        problem: String,
    },
}

impl ReportError {
    /// Whether the command line is at fault, not the run.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoRun { .. })
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// One run as its files tell it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What the run is called in figures.
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
    /// What is missing or damaged, in words.
    pub problems: Vec<String>,
}

/// Complete lines of a journal as objects, and how many lines are none. What follows the last line's end is still being written.
pub fn parse_lines(text: &str) -> (Vec<Row>, usize) {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let (mut rows, mut bad) = (Vec::new(), 0);
    for line in whole.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(Value::Object(row)) => rows.push(row),
            _ => bad += 1,
        }
    }
    (rows, bad)
}

/// A file's text, whatever its bytes; `None` where there is no file.
fn text(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReportError::io(path)(error)),
    }
}

impl Record {
    /// Reads the run folder `path`.
    ///
    /// # Errors
    /// When it is no run folder, has no rows yet, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let no_run = |problem| ReportError::NoRun { path: path.to_owned(), problem };
        if !path.is_dir() {
            return Err(no_run("there is no such folder; give the folder that `train` printed"));
        }
        let mut record = Self::default();
        let Some(journal) = text(&path.join(run::METRICS))? else {
            return Err(no_run("it has no metrics.jsonl; give the folder that `train` printed"));
        };
        record.metrics = record.lines(run::METRICS, &journal);
        if record.metrics.is_empty() {
            return Err(ReportError::Empty { path: path.to_owned() });
        }
        if let Some(journal) = text(&path.join(run::ROLLOUTS))? {
            record.rollouts = record.lines(run::ROLLOUTS, &journal);
        }
        record.ledger = record.json(path, run::LEDGER)?;
        record.manifest = record.json(path, run::MANIFEST)?;
        record.summary = record.json(path, run::SUMMARY)?;
        record.recipe = text(&path.join(run::RECIPE))?.unwrap_or_else(|| {
            record.problems.push(format!("{} is missing", run::RECIPE));
            String::new()
        });
        record.label = record.called();
        Ok(record)
    }

    fn lines(&mut self, name: &str, journal: &str) -> Vec<Row> {
        let (rows, bad) = parse_lines(journal);
        if bad > 0 {
            self.problems.push(format!("{name}: {bad} damaged lines were passed over"));
        }
        if !journal.is_empty() && !journal.ends_with('\n') {
            self.problems.push(format!("{name}: its last line is cut short"));
        }
        rows
    }

    fn json(&mut self, folder: &Path, name: &str) -> Result<Value, ReportError> {
        let Some(text) = text(&folder.join(name))? else {
            let why = if name == run::SUMMARY { ": the run goes on, or was killed" } else { "" };
            self.problems.push(format!("{name} is missing{why}"));
            return Ok(Value::Null);
        };
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| {
            self.problems.push(format!("{name} is damaged"));
            Value::Null
        }))
    }

    /// The run's name and seed: not its folder, which may move.
    fn called(&self) -> String {
        let name = self.manifest["name"].as_str().unwrap_or("run");
        match self.manifest["seed"].as_u64() {
            Some(seed) => format!("{name}, seed {seed}"),
            None => name.to_owned(),
        }
    }

    /// Rows of one of `kinds`, each with its step counted over all stages of these kinds.
    pub fn rows<'a>(&'a self, kinds: &[&str]) -> Vec<(f64, &'a Row)> {
        let mut rows = Vec::new();
        let (mut stage, mut before, mut last) = ("", 0.0, 0.0);
        for row in &self.metrics {
            if !kinds.contains(&word(row, "kind")) {
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
            run::flatten("", &toml::Value::Table(table), &mut keys);
        }
        keys
    }

    /// How the run stopped, as `summary.json` has it.
    pub fn status(&self) -> &str {
        self.summary["status"].as_str().unwrap_or("not finished")
    }
}

/// The runs in `paths`, each with a label of its own.
///
/// # Errors
/// When one of them cannot be shown.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Record>, ReportError> {
    let mut records: Vec<Record> = paths.iter().map(|path| Record::read(path)).collect::<Result<_, _>>()?;
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

/// The finite number under `key`.
pub fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key).and_then(Value::as_f64).filter(|number| number.is_finite())
}

/// The text under `key`, empty without one.
pub fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The interval under `key`.
pub fn interval(row: &Row, key: &str) -> Option<(f64, f64)> {
    let ends = row.get(key)?.as_array()?;
    Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?))
}

/// Every scalar of a row: numbers, those in objects under `name/key`, the ends of intervals under `name/low` and
/// `name/high`. Where a row stands (`step`) and lists of other kinds are none.
pub fn scalars(row: &Row) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    for (name, value) in row {
        match value {
            Value::Number(number) if name != "step" => scalars.push((name.clone(), number.as_f64())),
            Value::Bool(flag) => scalars.push((name.clone(), Some(f64::from(*flag)))),
            Value::Object(parts) => {
                scalars.extend(parts.iter().map(|(key, part)| (format!("{name}/{key}"), part.as_f64())));
            }
            Value::Array(ends) if name.ends_with("_ci95") && ends.len() == 2 => {
                let named = ["low", "high"].into_iter().zip(ends);
                scalars.extend(named.map(|(end, value)| (format!("{name}/{end}"), value.as_f64())));
            }
            _ => {}
        }
    }
    scalars.into_iter().filter_map(|(name, number)| Some((name, number?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_that_is_still_written_is_no_line() {
        let (rows, bad) = parse_lines("{\"a\":1}\nnonsense\n[1]\n\n{\"a\":2}\n{\"a\":");
        assert_eq!((rows.len(), bad), (2, 2));
        assert_eq!(parse_lines("{\"a\":1}").0.len(), 0);
    }

    #[test]
    fn scalars_of_a_row_have_flat_names() {
        let Value::Object(row) = json!({
            "stage": "grpo", "step": 3, "loss": 0.5, "skipped": true, "pass_at_k": {"1": 0.25, "8": 0.5},
            "accuracy_ci95": [0.1, 0.2], "expert_load": [[0.5, 0.5]], "alarms": ["x"]
        }) else {
            panic!("an object")
        };
        let names: Vec<(String, f64)> = scalars(&row);
        let expected = [
            ("loss", 0.5),
            ("skipped", 1.0),
            ("pass_at_k/1", 0.25),
            ("pass_at_k/8", 0.5),
            ("accuracy_ci95/low", 0.1),
            ("accuracy_ci95/high", 0.2),
        ];
        assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn steps_count_on_over_stages() {
        let row = |stage: &str, step: u64| {
            let Value::Object(row) = json!({ "stage": stage, "kind": "grpo", "step": step }) else {
                panic!("an object")
            };
            row
        };
        let record =
            Record { metrics: vec![row("a", 1), row("a", 2), row("b", 1), row("b", 2)], ..Record::default() };
        let steps: Vec<f64> = record.rows(&["grpo"]).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
    }
}
