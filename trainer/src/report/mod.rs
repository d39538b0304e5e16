//! The report of a run: one HTML file that needs no network, and its figures as files. It is a pure function of the
//! files of a run folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tracking::durable;
use crate::tracking::{rows, run_folder};

mod completions;
mod draw;
mod figures;
mod page;
mod record;

pub(crate) use figures::{Content, Figure, Line, figures};
use page::html;
pub use record::{ReportError, RunRecord, read_all};

/// Writes the report of the run in `folder` into that folder.
pub fn write(folder: &Path) -> Result<PathBuf, ReportError> {
    let path = folder.join(run_folder::REPORT);
    write_to(&path, &[RunRecord::read(folder)?])?;
    Ok(path)
}

/// Writes the report of `records` to `path`.
pub fn write_to(path: &Path, records: &[RunRecord]) -> Result<(), ReportError> {
    save(path, html(records).as_bytes())
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    // A device such as /dev/stdout cannot be replaced by a new file.
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes).map_err(ReportError::io(path));
    }
    durable::replace(path, bytes).map_err(ReportError::io(path))
}

/// Writes one figure, as PNG if the name ends so, else as SVG.
pub fn write_figure(path: &Path, figure: &Figure) -> Result<(), ReportError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return save(path, &draw::png(figure)?);
    }
    save(path, draw::svg(figure).as_bytes())
}

/// Writes each figure of `records` into `folder`, as SVG and as PNG; returns their names.
pub fn write_figures(folder: &Path, records: &[RunRecord]) -> Result<Vec<String>, ReportError> {
    fs::create_dir_all(folder).map_err(ReportError::io(folder))?;
    let figures = figures(records);
    for figure in &figures {
        for ending in ["svg", "png"] {
            write_figure(&folder.join(format!("{}.{ending}", figure.id)), figure)?;
        }
    }
    Ok(figures.into_iter().map(|figure| figure.id).collect())
}

/// Every row of `metrics.jsonl` as comma-separated values, with one column per scalar.
///
/// Columns: `run`, stage, kind, task and level, then the scalars by first appearance. Absent values are empty.
pub fn csv(records: &[RunRecord]) -> String {
    const NAMES: [&str; 4] = ["stage", "kind", "task", "level"];
    let mut columns: Vec<String> = vec!["step".to_owned()];
    let rows: Vec<_> = records
        .iter()
        .flat_map(|record| record.metrics.iter().map(move |row| (record, row)))
        .map(|(record, row)| {
            let step = rows::number(row, "step").map(|step| ("step".to_owned(), step));
            let scalars = rows::scalars(row).into_iter().filter(|(name, _)| !NAMES.contains(&name.as_str()));
            (record, row, step.into_iter().chain(scalars).collect::<Vec<(String, f64)>>())
        })
        .collect();
    let mut seen: std::collections::HashSet<String> = columns.iter().cloned().collect();
    for (name, _) in rows.iter().flat_map(|(.., scalars)| scalars) {
        if seen.insert(name.clone()) {
            columns.push(name.clone());
        }
    }
    let head = ["run"].into_iter().chain(NAMES).map(str::to_owned).chain(columns.iter().cloned());
    let mut text = head.map(|name| cell(&name)).collect::<Vec<_>>().join(",") + "\n";
    for (record, row, scalars) in rows {
        text.push_str(&cell(&record.label));
        for name in NAMES {
            let value = row.get(name).map_or_else(String::new, |value| {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            });
            let _ = write!(text, ",{}", cell(&value));
        }
        let by_name: std::collections::HashMap<&str, f64> =
            scalars.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        for column in &columns {
            text.push(',');
            if let Some(value) = by_name.get(column.as_str()) {
                let _ = write!(text, "{value}");
            }
        }
        text.push('\n');
    }
    text
}

/// A value of a CSV file, in quotes if needed (RFC 4180).
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Writes [`csv`] to `path`.
pub fn write_csv(path: &Path, records: &[RunRecord]) -> Result<(), ReportError> {
    save(path, csv(records).as_bytes())
}

#[cfg(test)]
mod tests;
