//! `thinkling audit`: checks whether a reward can be trusted.

use std::path::{Path, PathBuf};

use serde_json::json;
use thinkling::inspect::audit::{self, AuditFinding, RecipeAudit, RunAudit};
use thinkling::stages;
use thinkling::tracking::run_folder;

use super::{DONE, FAILED, Failure, Outcome, print, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A recipe, to try to fool its rewards; or a run folder, to check what it rewarded.
    #[arg(value_name = "RECIPE|RUN")]
    subject: PathBuf,
    /// Override a key of the recipe; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Questions per stage of a recipe.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    questions: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    if arguments.subject.is_dir() { of_run(arguments) } else { of_recipe(arguments) }
}

fn of_recipe(arguments: &Arguments) -> Outcome {
    let plan = super::train::load(&arguments.subject, &arguments.overrides)?;
    let rules = stages::rules(&plan.stages).map_err(Failure::usage)?;
    if rules.is_empty() {
        return Err(usage!(
            "{} has no stage of kind grpo: there is no reward to audit",
            arguments.subject.display()
        ));
    }
    let audit = audit::recipe(&plan, &rules, arguments.questions)?;
    let is_clean = audit.is_clean();
    if arguments.json {
        let mut value = serde_json::to_value(&audit)?;
        value["clean"] = json!(is_clean);
        print_line(value)?;
    } else {
        print(&recipe_text(&audit))?;
    }
    Ok(if is_clean { DONE } else { FAILED })
}

fn of_run(arguments: &Arguments) -> Outcome {
    let recipe = arguments.subject.join(run_folder::RECIPE);
    if !arguments.subject.join(run_folder::MANIFEST).exists() {
        return Err(usage!(
            "{} is not a run folder: it has no {}",
            arguments.subject.display(),
            run_folder::MANIFEST
        ));
    }
    if !arguments.overrides.is_empty() {
        return Err(usage!("--set changes a recipe; a run already has its own"));
    }
    let plan = super::train::load(Path::new(&recipe), &[])?;
    let audit = audit::run(&arguments.subject, &plan).map_err(Failure::usage)?;
    let is_clean = audit.findings.is_empty();
    if arguments.json {
        let mut value = serde_json::to_value(&audit)?;
        value["clean"] = json!(is_clean);
        print_line(value)?;
    } else {
        print(&run_text(&audit))?;
    }
    Ok(if is_clean { DONE } else { FAILED })
}

fn recipe_text(audit: &RecipeAudit) -> String {
    let mut text = String::new();
    for stage in &audit.stages {
        text += &format!(
            "{}: {} level {}, {} questions; the lowest reward of right answers, the highest of hacks\n\n",
            stage.stage, stage.task, stage.level, stage.questions
        );
        let width = stage.rows.iter().map(|row| row.attempt.len()).max().unwrap_or(0);
        let columns: Vec<usize> = stage.terms.iter().map(|term| term.len().max(6)).collect();
        text += &format!("{:width$}  tried  errors", "");
        for (term, column) in stage.terms.iter().zip(&columns) {
            text += &format!("  {term:>column$}");
        }
        text += "   total\n";
        for row in &stage.rows {
            text += &format!("{:width$}  {:5}  {:6}", row.attempt, row.tried, row.errors);
            for (term, column) in stage.terms.iter().zip(&columns) {
                text += &format!(
                    "  {:>column$}",
                    number(row.scores.get(term).and_then(serde_json::Value::as_f64))
                );
            }
            text += &format!("  {:>6}\n", number(row.total));
        }
        text.push('\n');
        text += &findings_text(&stage.findings);
    }
    text
}

fn run_text(audit: &RunAudit) -> String {
    let RunAudit { run, completions, judged_again, errors, rows, findings } = audit;
    format!(
        "{run}: {completions} completions read, {judged_again} judged again, {errors} that could not be judged, {rows} rows \
         of metrics\n\n"
    ) + &findings_text(findings)
}

fn number(value: Option<f64>) -> String {
    value.map_or("error".to_owned(), |value| format!("{value:.3}"))
}

fn findings_text(findings: &[AuditFinding]) -> String {
    if findings.is_empty() {
        return "nothing found\n".to_owned();
    }
    let mut text = String::new();
    for finding in findings {
        let term = finding.term.as_ref().map_or(String::new(), |term| format!(" [{term}]"));
        text += &format!(
            "{}: {}{term}: {} ({} of {})\n",
            finding.stage, finding.kind, finding.message, finding.count, finding.of
        );
        for example in &finding.examples {
            text += &format!(
                "    {:?} -> {:?}\n      right: {:?}; {}\n",
                example.prompt, example.completion, example.answer, example.note
            );
        }
    }
    text
}
