//! `thinkling doctor`: finds problems of a recipe before a run.

use std::path::PathBuf;

use serde_json::{Value, json};
use thinkling::inspect::doctor::{self, Base, DoctorError, Finding, Severity};
use thinkling::plan::Plan;
use thinkling::recipe::RecipeErrors;

use super::{DONE, FAILED, Failure, Outcome, RecipeArguments, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    recipe: RecipeArguments,
    /// Test this model as the base of the first GRPO stage: a run folder or a checkpoint folder. Without it, the recipe
    /// is judged.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let plan = match arguments.recipe.load() {
        Ok(plan) => plan,
        Err(failure) => {
            if let Some(mistakes) = failure.error.downcast_ref::<RecipeErrors>() {
                tell(arguments, None, &mistakes_as_findings(mistakes))?;
            }
            return Err(failure);
        }
    };
    rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build_global()?;
    let base = arguments.base.as_deref().map(Base::load).transpose().map_err(|error| match error {
        DoctorError::NoModel(_) => Failure::usage(error),
        error => error.into(),
    })?;
    let mut findings: Vec<Value> = Vec::new();
    let mut severities = Vec::new();
    let examined = doctor::examine(&plan, base.as_ref())?;
    for finding in examined.into_iter().chain(cost(&plan)?) {
        severities.push(finding.severity);
        findings.push(serde_json::to_value(&finding)?);
    }
    tell(arguments, Some(&plan), &findings)?;
    Ok(if severities.contains(&Severity::Error) { FAILED } else { DONE })
}

fn mistakes_as_findings(mistakes: &RecipeErrors) -> Vec<Value> {
    let finding = |mistake: &thinkling::recipe::Mistake| {
        let name = if mistake.message.contains("group_size") { "group" } else { "recipe" };
        json!({
            "name": name, "severity": "error", "stage": null, "seen": mistake.message,
            "change": mistake.help.join("; "),
        })
    };
    mistakes.mistakes.iter().map(finding).collect()
}

/// The cost of the run, and whether it fits this machine.
fn cost(plan: &Plan) -> anyhow::Result<Vec<Finding>> {
    let estimate = super::cost::estimate_on_threads(plan, None)?;
    let stages: Vec<Value> = estimate["stages"].as_array().cloned().unwrap_or_default();
    let sum = |key: &str| stages.iter().filter_map(|stage| stage[key].as_f64()).sum::<f64>();
    let memory = stages.iter().filter_map(|stage| stage["peak_memory_bytes"].as_f64()).fold(0.0, f64::max);
    let finding = |name, severity, seen, change| Finding { name, severity, stage: None, seen, change };
    let seen = format!(
        "{} parameters, {} active per token; at most {:.2e} FLOPs, {:.0} s of processor time, ${:.4}",
        plan.footprint.parameters_total,
        plan.footprint.parameters_active,
        sum("flops"),
        sum("cpu_s"),
        sum("cost_usd")
    );
    let mut findings = vec![finding("cost", Severity::Ok, seen, None)];
    let available = thinkling::inspect::cost::devices::memory("MemAvailable:");
    let seen = format!(
        "about {:.0} MB{}",
        memory / 1e6,
        available.map_or(String::new(), |bytes| format!(" of {:.0} MB free", bytes / 1e6))
    );
    findings.push(if available.is_some_and(|bytes| memory > bytes) {
        let change = "a smaller model.hidden_size or model.num_hidden_layers, or a larger machine".to_owned();
        finding("memory", Severity::Error, seen, Some(change))
    } else {
        finding("memory", Severity::Ok, seen, None)
    });
    Ok(findings)
}

fn tell(arguments: &Arguments, plan: Option<&Plan>, findings: &[Value]) -> std::io::Result<()> {
    let count = |severity: &str| findings.iter().filter(|finding| finding["severity"] == severity).count();
    let (errors, warnings) = (count("error"), count("warning"));
    if arguments.json {
        return print_line(json!({
            "recipe": plan.map_or_else(|| arguments.recipe.recipe.display().to_string(), |plan| plan.name.clone()),
            "base": arguments.base.as_ref().map(|base| base.display().to_string()),
            "errors": errors, "warnings": warnings, "findings": findings,
        }));
    }
    for finding in findings {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        let stage = finding["stage"].as_str().map_or(String::new(), |stage| format!(" ({stage})"));
        print_line(format!("{:8} {}{stage}: {}", text("severity"), text("name"), text("seen")))?;
        if !text("change").is_empty() {
            print_line(format!("         change: {}", text("change")))?;
        }
    }
    print_line(format!("{errors} errors, {warnings} warnings"))
}
