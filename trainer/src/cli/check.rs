//! `thinkling check`: what a recipe would do and cost, without doing it.

use std::path::PathBuf;

use serde_json::{Value, json};
use thinkling::ledger;
use thinkling::plan::{Plan, Stage};
use thinkling::recipe;

use super::{DONE, Outcome, print, print_line};

/// Arguments of `check`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The recipe's file.
    recipe: PathBuf,
    /// Override a key of the recipe; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Share of the matrix peak that small policies reach in a run; measured on quickstart.
const EXPECTED_MFU: f64 = 0.2;

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let plan = super::train::load(&arguments.recipe, &arguments.overrides)?;
    let peak = ledger::measured_peak(plan.precision);
    let stages: Vec<Value> = plan.stages.iter().map(|stage| estimate(&plan, stage, peak)).collect();
    let sum = |key: &str| stages.iter().filter_map(|stage| stage[key].as_f64()).sum::<f64>();
    let summary = json!({
        "name": plan.name,
        "parameters_total": plan.footprint.parameters_total,
        "parameters_active": plan.footprint.parameters_active,
        "vocabulary": plan.tokenizer.size(),
        "stages": stages,
        "flops": sum("flops"),
        "tokens": sum("tokens"),
        "cpu_s": sum("cpu_s"),
        "wall_s": sum("wall_s"),
        "cost_usd": sum("cost_usd"),
        "peak_memory_bytes": stages.iter().filter_map(|stage| stage["peak_memory_bytes"].as_f64()).fold(0.0, f64::max),
        "warnings": plan.warnings,
        "recipe_hash": plan.hash(),
    });
    if arguments.json {
        let mut summary = summary;
        summary["recipe"] = serde_json::to_value(plan.resolved())?;
        print_line(summary)?;
        return Ok(DONE);
    }
    print(&plan.resolved_toml())?;
    print_line(format!(
        "\n# {} parameters, {} active a token; vocabulary {}",
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
    for warning in &plan.warnings {
        print_line(format!("# warning: {warning}"))?;
    }
    Ok(DONE)
}

/// What a stage takes at most: rows as long as its longest, no early stop.
pub(super) fn estimate(plan: &Plan, stage: &Stage, peak: f64) -> Value {
    let row = stage.longest_row.min(plan.model.max_position_embeddings);
    let forward = plan.footprint.forward_row(row).get();
    let trained = plan.footprint.train_row(row).get();
    let (rows, flops) = match &stage.settings {
        recipe::Stage::Pretrain(settings) => {
            let rows = settings.steps as f64 * stage.rows_per_step as f64;
            (rows, rows * trained)
        }
        recipe::Stage::Grpo(settings) => {
            let rows = settings.steps as f64 * stage.rows_per_step as f64;
            let reference = if settings.kl_coefficient > 0.0 { forward } else { 0.0 };
            let old = if settings.epochs * settings.minibatches > 1 { forward } else { 0.0 };
            (rows, rows * (forward + reference + old + settings.epochs as f64 * trained))
        }
        recipe::Stage::Eval(settings) => {
            let rows = (settings.count * stage.measured.len() as u64) as f64 * (settings.samples + 1) as f64;
            (rows, rows * forward)
        }
    };
    let cpu_s = flops / (peak * EXPECTED_MFU);
    // Weights packed for both directions, moments, gradients of eight shards; activations of a micro-batch a thread.
    let parameters = plan.footprint.parameters_total as f64;
    let activations = plan.threads as f64
        * 1024.0
        * plan.model.num_hidden_layers as f64
        * plan.model.hidden_size as f64
        * 40.0;
    json!({
        "name": stage.name,
        "kind": stage.settings.kind(),
        "flops": flops,
        "tokens": (rows * row as f64) as u64,
        "peak_memory_bytes": 4.0 * (parameters * 15.0 + activations),
        "cpu_s": cpu_s,
        "wall_s": cpu_s / plan.threads as f64,
        "cost_usd": cpu_s / 3600.0 * plan.prices.usd_per_core_hour,
    })
}
