//! `thinkling report`: writes one HTML file about runs, figures and a table.

use std::path::PathBuf;

use thinkling::report::{self, ReportError};
use thinkling::tracking::run_folder::REPORT;

use super::{DONE, Failure, Outcome, note, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Run folders; the figures of several runs are combined.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The HTML file [default: report.html in the run folder, or here for several runs].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write each figure as PNG and SVG into this folder.
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Also write the metrics as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

fn failed(error: ReportError) -> Failure {
    if error.is_usage() { Failure::usage(error) } else { error.into() }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let records = report::read_all(&arguments.runs).map_err(failed)?;
    for (record, path) in records.iter().zip(&arguments.runs) {
        for problem in &record.problems {
            note(&format!("{}: {problem}", path.display()));
        }
    }
    let out = match (&arguments.out, &arguments.runs[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.join(REPORT),
        (None, _) => PathBuf::from(REPORT),
    };
    report::write_to(&out, &records).map_err(failed)?;
    print_line(out.display())?;
    if let Some(folder) = &arguments.png {
        for id in report::write_figures(folder, &records).map_err(failed)? {
            for kind in ["svg", "png"] {
                print_line(folder.join(format!("{id}.{kind}")).display())?;
            }
        }
    }
    if let Some(file) = &arguments.csv {
        report::write_csv(file, &records).map_err(failed)?;
        print_line(file.display())?;
    }
    Ok(DONE)
}
