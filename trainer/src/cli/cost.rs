//! `thinkling cost`: the past or future cost of a run, here or elsewhere.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::{Map, Value};
use thinkling::inspect::cost::devices::{self, PricedDevice};
use thinkling::inspect::cost::planner::{self, Workload};
use thinkling::inspect::cost::presets::{Preset, preset};
use thinkling::inspect::cost::{estimate, shape};
use thinkling::plan::Plan;
use thinkling::policy::Config;
use thinkling::tracking::ledger::Prices;
use thinkling::tracking::run_folder;

use super::{DONE, Failure, Outcome, print_line};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).multiple(false))]
pub(super) struct Arguments {
    /// A recipe, for an estimate, or a run folder, for its ledger.
    #[arg(group = "subject")]
    recipe_or_run: Option<PathBuf>,
    /// A published run, as `thinkling list presets` prints it.
    #[arg(long, group = "subject")]
    preset: Option<String>,
    /// Plan a training of this model: a preset, a Hugging Face `config.json`, or a folder with one.
    #[arg(long, group = "subject")]
    model: Option<String>,
    /// A device of `thinkling list devices`, or `cpu` for this machine [default: cpu for a recipe, else h800].
    #[arg(long)]
    device: Option<String>,
    /// Override a key of the recipe; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE", requires = "recipe_or_run")]
    overrides: Vec<String>,
    /// Plan: number of devices.
    #[arg(long, requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Plan: tokens of training.
    #[arg(long, requires = "model", value_parser = positive)]
    tokens: Option<f64>,
    /// Plan: tokens to generate.
    #[arg(long, requires = "model", value_parser = not_negative)]
    generated: Option<f64>,
    /// Plan: tokens per row.
    #[arg(long, requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Plan: sequences per device that are decoded together.
    #[arg(long, requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    sequences: Option<u32>,
    /// Plan: tokens per update.
    #[arg(long, requires = "model", value_parser = positive)]
    update_tokens: Option<f64>,
    /// Plan: share of the roofline that the devices reach, from 0 to 1.
    #[arg(long, requires = "model", value_parser = share)]
    efficiency: Option<f64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0, "a number above 0")
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |number| number >= 0.0, "a number of at least 0")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0 && number <= 1.0, "a number above 0 and at most 1")
}

fn number(text: &str, is_valid: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && is_valid(*number));
    number.ok_or_else(|| format!("must be {wanted}, such as 1e12"))
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let costs = if let Some(name) = &arguments.preset {
        published(preset(name).map_err(Failure::usage)?, arguments.device.as_deref())?
    } else if let Some(model) = &arguments.model {
        planned(model, arguments)?
    } else {
        // The argument group requires one of the three.
        let path = arguments.recipe_or_run.as_deref().unwrap_or(Path::new(""));
        if path.is_dir() { spent(path, arguments)? } else { estimated(path, arguments)? }
    };
    if arguments.json {
        print_line(&costs)?;
    } else {
        let mut lines = Vec::new();
        describe("", &costs, &mut lines);
        for line in lines {
            print_line(line)?;
        }
    }
    Ok(DONE)
}

/// The device called `name`; `None` for this machine's processor.
fn named(name: Option<&str>, default: &str) -> Result<Option<PricedDevice>, Failure> {
    let name = name.unwrap_or(default);
    if name.eq_ignore_ascii_case(devices::CPU) {
        return Ok(None);
    }
    devices::accelerator(name).map(Some).map_err(Failure::usage)
}

fn here(prices: &Prices) -> PricedDevice {
    estimate::this_processor(std::thread::available_parallelism().map_or(1, usize::from), prices)
}

fn published(preset: &Preset, device: Option<&str>) -> Result<Value, Failure> {
    let authors = devices::accelerator("h800").map_err(Failure::usage)?;
    let Some(name) = device else { return Ok(preset.costs(&authors, None)) };
    let other = named(Some(name), "")?.unwrap_or_else(|| here(&Prices::default()));
    Ok(preset.costs(&authors, (other.name != authors.name).then_some(&other)))
}

fn planned(model: &str, arguments: &Arguments) -> Result<Value, Failure> {
    let config = shape_of(model)?;
    let device = named(arguments.device.as_deref(), "h800")?.unwrap_or_else(|| here(&Prices::default()));
    let trained_tokens = arguments.tokens.unwrap_or(1e9);
    let job = Workload {
        count: f64::from(arguments.count.unwrap_or(8)),
        trained_tokens,
        generated_tokens: arguments.generated.unwrap_or(trained_tokens),
        context: arguments.context.unwrap_or(4096) as usize,
        update_tokens: arguments.update_tokens.unwrap_or(4e6).min(trained_tokens),
        sequences: f64::from(arguments.sequences.unwrap_or(32)),
        efficiency: arguments.efficiency.unwrap_or(0.39),
    };
    let mut costs = planner::plan(&config, &device, &job);
    costs["model"] = model.into();
    Ok(costs)
}

fn shape_of(model: &str) -> Result<Config, Failure> {
    let path = Path::new(model);
    let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    if !path.is_file() {
        return preset(model)
            .map(Preset::model)
            .map_err(|error| usage!("{}: no such file, and {error}", path.display()));
    }
    let text = std::fs::read_to_string(&path)?;
    let config: Value = serde_json::from_str(&text).map_err(|error| usage!("{}: {error}", path.display()))?;
    shape::from_huggingface(&config).map_err(|error| usage!("{}: {error}", path.display()))
}

fn spent(path: &Path, arguments: &Arguments) -> Result<Value, Failure> {
    if arguments.device.is_some() || !arguments.overrides.is_empty() {
        let message = "the cost of a run is final: use --device and --set with its recipe.toml";
        return Err(usage!("{}: {message}", path.display()));
    }
    let ledger = path.join(run_folder::LEDGER);
    let text = std::fs::read_to_string(&ledger)
        .map_err(|error| usage!("{}: {error}; give a run folder or a recipe", ledger.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| anyhow!("{} is damaged: {error}", ledger.display()))?)
}

fn estimated(path: &Path, arguments: &Arguments) -> Result<Value, Failure> {
    let plan = super::train::load(path, &arguments.overrides)?;
    let device = named(arguments.device.as_deref(), devices::CPU)?;
    Ok(estimate_on_threads(&plan, device.as_ref())?)
}

/// The estimate, with this machine's speed measured on the plan's number of threads.
pub(super) fn estimate_on_threads(plan: &Plan, device: Option<&PricedDevice>) -> anyhow::Result<Value> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build()?;
    let speed = pool.install(|| estimate::measure(plan));
    Ok(estimate::estimate(plan, &speed, device))
}

fn describe(path: &str, value: &Value, lines: &mut Vec<String>) {
    let joined = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| describe(&joined(key), value, lines)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (at, item) in items.iter().enumerate() {
                let name =
                    item.get("name").and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
                describe(&joined(&name), item, lines);
            }
        }
        Value::Array(items) => {
            for item in items {
                lines.push(format!("{path:<44} {}", shown(path, item)));
            }
        }
        other => lines.push(format!("{path:<44} {}", shown(path, other))),
    }
}

fn shown(path: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let is_money = path.contains("usd");
            match number.abs() {
                size if size >= 1e9 && !is_money => format!("{number:.4e}"),
                size if size >= 1000.0 => grouped(number),
                size if is_money && size >= 1.0 => format!("{number:.2}"),
                size if size >= 1.0 || size == 0.0 => format!("{number:.3}"),
                _ => format!("{number:.6}"),
            }
        }
        other => other.to_string(),
    }
}

/// A whole number with commas between groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 { format!("-{text}") } else { text }
}

pub(super) fn presets() -> Vec<Value> {
    let row = |preset: &Preset| {
        let mut row = Map::new();
        row.insert("name".to_owned(), preset.name.into());
        row.insert("about".to_owned(), preset.about.into());
        Value::Object(row)
    };
    thinkling::inspect::cost::presets::PRESETS.iter().map(row).collect()
}

pub(super) fn all_devices() -> Vec<Value> {
    devices::accelerators().iter().chain([&here(&Prices::default())]).map(devices::listed).collect()
}
