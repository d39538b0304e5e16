//! The plan of a run: a checked recipe with its tasks built and all derived values filled in.

use std::path::Path;

use crate::data::tokenizer::Tokenizer;
use serde_json::Value;

use crate::kernels::peak::measured_peak;
use crate::kernels::precision::{AskedPrecision, Precision};
use crate::policy::footprint::{Footprint, footprint};
use crate::policy::{Attention, CandlePolicy, Config, CpuPolicy, Parameters, Policy};
use crate::recipe::{Checker, RecipeErrors, Sources, apply_override, conform, parse, unique_names};
use crate::tracking::ledger::{Budget, Prices};
use crate::tracking::progress::Log;
use crate::tracking::run_folder::Identity;
use crate::tracking::tracker;

mod census;
mod check;
mod file;
mod program;
mod recipe;
mod stages;
mod task;
#[cfg(test)]
mod tests;

pub use crate::data::task::Task;
pub use crate::stages::StagePlan as Stage;
pub(crate) use census::census;
pub use recipe::Recipe;
use stages::Drafts;

/// A checked run. Everything in it follows from the resolved recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the run.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads to compute with.
    pub threads: usize,
    /// Precision of products; this machine supports it.
    pub precision: Precision,
    /// The device that computes.
    pub device: Device,
    /// The network.
    pub model: Config,
    /// The special symbols, then the tasks' alphabets by first appearance.
    pub tokenizer: Tokenizer,
    /// Parameters of the network and the work of a token.
    pub footprint: Footprint,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Limits on spending.
    pub budget: Budget,
    /// Prices.
    pub prices: Prices,
    /// What the run writes while it runs.
    pub log: Log,
    /// Unusual settings that are allowed.
    pub warnings: Vec<String>,
    resolved: Recipe,
}

/// The device that computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// An accelerator if there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The processor, with plain candle operations instead of this program's kernels: slow, for comparison and other
    /// devices.
    Candle,
    /// The accelerator with this number.
    Cuda(usize),
}

impl Device {
    /// Parses a device of a recipe or the command line.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "candle" => Some(Self::Candle),
            "cuda" => Some(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:")?.parse().ok().map(Self::Cuda),
        }
    }
}

/// Reads the recipe at `path`, with overrides `PATH=VALUE`.
///
/// # Errors
/// Every mistake in the file and the overrides at once.
pub fn load(path: &Path, overrides: &[String]) -> Result<Plan, RecipeErrors> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let help = "name a recipe's file, such as recipes/quickstart.toml".to_owned();
        RecipeErrors::unreadable(format!("cannot read the recipe `{name}`: {error}"), vec![help])
    })?;
    from_text(&name, &text, overrides)
}

/// Reads the recipe `text`, with overrides `PATH=VALUE`. Mistakes call it `name`.
///
/// # Errors
/// Every mistake in the text and the overrides at once.
pub fn from_text(name: &str, text: &str, overrides: &[String]) -> Result<Plan, RecipeErrors> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let mut root = parse(file, text).map_err(|found| RecipeErrors::new(&sources, vec![found]))?;
    let mut found = Vec::new();
    for argument in overrides {
        found.extend(apply_override(&mut root, &mut sources, argument).err());
    }
    let conformed = conform(&root, &Recipe::schema(), &sources);
    found.extend(conformed.found);
    let mut written: Recipe = serde_json::from_value(conformed.value).map_err(|error| {
        RecipeErrors::unreadable(format!("the recipe `{name}` cannot be read: {error}"), Vec::new())
    })?;
    let mut checker = Checker::new(&root, &conformed.faulty);
    let names = unique_names(
        written.stage.iter().map(|stage| (stage.common().name.clone(), stage.kind_name().to_owned())),
    );
    check::check(&written, &names, &mut checker);
    file::locate(&mut written, &mut checker);
    let programs = program::open(&mut written, &mut checker);
    let drafts = stages::draft(&written, &names, &programs, &mut checker);
    found.append(&mut checker.found);
    match drafts {
        Some(drafts) if found.is_empty() => Ok(complete(written, drafts, checker.warnings)),
        _ => Err(RecipeErrors::new(&sources, found)),
    }
}

impl Plan {
    /// The policy of the recipe with these weights.
    pub fn policy(&self, parameters: Parameters) -> candle_core::Result<Box<dyn Policy>> {
        Ok(match self.device {
            Device::Candle => Box::new(CandlePolicy::new(&self.model, parameters, candle_core::Device::Cpu)?),
            _ => Box::new(CpuPolicy::new(self.model.clone(), parameters, self.precision)),
        })
    }

    /// The values of the run folder's manifest. `count_questions` is [`Plan::count_questions`] of this plan.
    pub fn identity<'a>(&'a self, count_questions: &'a dyn Fn() -> Result<Value, String>) -> Identity<'a> {
        Identity {
            recipe: self.resolved_toml(),
            recipe_hash: self.hash(),
            name: &self.name,
            seed: self.seed,
            threads: self.threads,
            device: if self.device == Device::Candle { "candle" } else { "cpu" },
            precision: self.precision,
            count_questions,
        }
    }

    /// Counts the different questions of each task, for `manifest.json`.
    pub fn count_questions(&self) -> Result<Value, String> {
        let counted = census(self).map_err(|error| error.to_string())?;
        serde_json::to_value(counted).map_err(|error| error.to_string())
    }

    /// Settings of the run's records; measures this machine for some milliseconds.
    pub fn tracking(&self) -> tracker::TrackerSettings {
        tracker::TrackerSettings {
            budget: self.budget.clone(),
            prices: self.prices.clone(),
            log: self.log.clone(),
            peak_flops: measured_peak(self.precision) * rayon::current_num_threads() as f64,
        }
    }

    /// The recipe with all defaults and overrides.
    pub fn resolved(&self) -> &Recipe {
        &self.resolved
    }

    /// The resolved recipe as TOML. It loads again to an equal plan.
    pub fn resolved_toml(&self) -> String {
        as_toml(&self.resolved)
    }

    /// Hash of everything that determines the results: the resolved recipe without threads, device, budget and prices,
    /// which may change when a run is resumed.
    pub fn hash(&self) -> String {
        let mut results = Recipe {
            threads: None,
            device: String::new(),
            budget: Budget::default(),
            prices: Prices::default(),
            ..self.resolved.clone()
        };
        file::forget_places(&mut results);
        blake3::hash(as_toml(&results).as_bytes()).to_hex().to_string()
    }
}

fn as_toml(recipe: &Recipe) -> String {
    toml::to_string(recipe)
        .expect("a recipe holds strings, finite numbers, arrays and tables: TOML has them all")
}

/// The plan of a recipe without mistakes.
fn complete(mut written: Recipe, drafts: Drafts, mut warnings: Vec<String>) -> Plan {
    let Drafts { stages, tokenizer } = drafts;
    let longest_row = stages.iter().map(Stage::positions).max().unwrap_or(1);
    let model = written.model.config(tokenizer.size(), longest_row);
    written.model.max_position_embeddings = Some(model.max_position_embeddings);
    if model.attention == Attention::Gqa {
        written.model.num_key_value_heads = Some(model.num_key_value_heads);
        written.model.head_dim = Some(model.head_dim);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = *written.threads.get_or_insert(cores);
    let precision = written.precision.here();
    if written.precision == AskedPrecision::Auto {
        warnings.push(format!("precision `auto` is `{}` on this machine", precision.name()));
        written.precision = precision.into();
    }
    written.stage = stages.iter().map(|stage| stage.settings.clone()).collect();
    Plan {
        name: written.name.clone(),
        seed: written.seed,
        threads,
        precision,
        device: Device::parse(&written.device).unwrap_or(Device::Auto),
        footprint: footprint(&model),
        model,
        tokenizer,
        stages,
        budget: written.budget.clone(),
        prices: written.prices.clone(),
        log: written.log.clone(),
        warnings,
        resolved: written,
    }
}
