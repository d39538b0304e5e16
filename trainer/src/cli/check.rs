//! `thinkling check`: what a recipe would do and cost.

use serde_json::{Value, json};
use thinkling::inspect::cost::memory;

use super::{DONE, Outcome, RecipeArguments, print, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    recipe: RecipeArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let plan = arguments.recipe.load()?;
    let mut summary = super::cost::estimate_on_threads(&plan, None)?;
    summary["vocabulary"] = json!(plan.tokenizer.size());
    let misfit = memory::misfit(&plan).map(|misfit| format!("`train` will refuse this here: {misfit}"));
    let warnings: Vec<&String> = misfit.iter().chain(&plan.warnings).collect();
    summary["warnings"] = json!(warnings);
    summary["recipe_hash"] = json!(plan.hash());
    let stages: Vec<Value> = summary["stages"].as_array().cloned().unwrap_or_default();
    if arguments.json {
        summary["recipe"] = serde_json::to_value(plan.resolved())?;
        print_line(summary)?;
        return Ok(DONE);
    }
    print(&plan.resolved_toml())?;
    print_line(format!(
        "\n# {} parameters, {} active per token; vocabulary {}",
        plan.footprint.parameters_total,
        plan.footprint.parameters_active,
        plan.tokenizer.size()
    ))?;
    for stage in &stages {
        print_line(format!(
            "# {:12} {:.3e} FLOPs  {} tokens  {:.0} MB  about {:.0} CPU-s  ${:.6}",
            stage["name"].as_str().unwrap_or_default(),
            stage["flops"].as_f64().unwrap_or(0.0),
            stage["tokens"],
            stage["peak_memory_bytes"].as_f64().unwrap_or(0.0) / 1e6,
            stage["cpu_s"].as_f64().unwrap_or(0.0),
            stage["cost_usd"].as_f64().unwrap_or(0.0)
        ))?;
    }
    for warning in warnings {
        print_line(format!("# warning: {warning}"))?;
    }
    Ok(DONE)
}
