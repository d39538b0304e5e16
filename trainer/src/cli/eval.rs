//! `thinkling eval`: measures a model on held-out questions.

use std::path::PathBuf;

use serde_json::{Value, json};
use thinkling::learn::evaluate::{Questions, Thinking, ask};
use thinkling::policy::sampling::Sampling;

use super::model::LoadedModel;
use super::{DONE, Outcome, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A run folder or a checkpoint folder.
    model: PathBuf,
    /// Tasks, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    task: Vec<String>,
    /// Levels, A..B (inclusive) or one level [default: the level that the model was trained at].
    #[arg(long, value_parser = levels)]
    level: Option<(u32, u32)>,
    /// Questions of the test split, per task and level.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Completions per question.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Sampling temperature; 0 always takes the most likely token.
    #[arg(long, default_value_t = 1.0, value_parser = temperature)]
    temperature: f32,
    /// free, none, or budget=N tokens of thinking.
    #[arg(long, default_value = "free", value_parser = thinking)]
    think: Thinking,
    /// Seed of questions and samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Most tokens of a completion [default: the limit of the run].
    #[arg(long)]
    max_new_tokens: Option<usize>,
    /// Threads [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Print one JSON object per task and level.
    #[arg(long)]
    json: bool,
}

fn levels(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| {
        text.trim().parse::<u32>().map_err(|_| format!("`{text}` is not a level: write A..B or N"))
    };
    let (low, high) = match text.split_once("..") {
        Some((low, high)) => (number(low)?, number(high.trim_start_matches('='))?),
        None => (number(text)?, number(text)?),
    };
    if low > high { Err(format!("{low}..{high} contains no level")) } else { Ok((low, high)) }
}

pub(super) fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err("must be a finite number of at least 0".to_owned())
    }
}

fn thinking(text: &str) -> Result<Thinking, String> {
    match text {
        "free" => Ok(Thinking::Free),
        "none" => Ok(Thinking::None),
        _ => text
            .strip_prefix("budget=")
            .and_then(|tokens| tokens.parse().ok())
            .map(Thinking::Budget)
            .ok_or_else(|| "must be free, none or budget=N".to_owned()),
    }
}

pub(super) fn use_threads(threads: Option<u16>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    Ok(())
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    use_threads(arguments.threads)?;
    let model = LoadedModel::load(&arguments.model)?;
    let mut asked = Vec::new();
    for name in &arguments.task {
        let (low, high) = match (arguments.level, model.trained_level(name)) {
            (Some(levels), _) => levels,
            (None, Some(level)) => (level, level),
            (None, None) => {
                super::generate::find_task(name)?;
                return Err(usage!("the model was not trained on task `{name}`: give --level"));
            }
        };
        for level in low..=high {
            let task = model.task(name, level)?;
            let room = model.room(&task, arguments.seed, arguments.count)?;
            asked.push((task, room));
        }
    }
    for (task, room) in asked {
        let questions = Questions {
            count: arguments.count,
            samples: arguments.samples as usize,
            seed: arguments.seed,
            sampling: Sampling { temperature: arguments.temperature, ..Sampling::PLAIN },
            max_new_tokens: arguments.max_new_tokens.map_or(room, |limit| limit.clamp(1, room)),
            thinking: arguments.think,
        };
        let answers = ask(model.policy.as_ref(), &model.tokenizer, &task, &questions)?;
        let mut row = answers.measures(&task, &model.tokenizer).flat();
        row.insert("temperature".to_owned(), json!(arguments.temperature));
        row.insert("max_new_tokens".to_owned(), json!(questions.max_new_tokens));
        if arguments.json {
            print_line(Value::Object(row))?;
        } else {
            print_line(describe(&row))?;
        }
    }
    Ok(DONE)
}

fn describe(row: &serde_json::Map<String, Value>) -> String {
    let mut text = format!(
        "{} level {}, {} questions × {} samples",
        row["task"].as_str().unwrap_or_default(),
        row["level"],
        row["count"],
        row["samples"]
    );
    if let Some(errors) = row["errors"].as_u64().filter(|errors| *errors > 0) {
        text += &format!("; {errors} completions could not be judged and are in no mean");
    }
    let mut line = |name: &str, value: &Value, interval: Option<&Value>| {
        let Some(value) = value.as_f64() else { return };
        let interval = interval.and_then(Value::as_array).map_or(String::new(), |ends| {
            format!(
                "   95 % [{:.4}, {:.4}]",
                ends[0].as_f64().unwrap_or(0.0),
                ends[1].as_f64().unwrap_or(0.0)
            )
        });
        text += &format!("\n  {name:20} {value:.4}{interval}");
    };
    for (name, value) in row {
        let interval = row.get(&format!("{name}_ci95"));
        match value {
            Value::Object(by_k) if !name.ends_with("_ci95") => {
                for (k, value) in by_k {
                    line(
                        &format!("{}{k}", name.trim_end_matches('k').replace("_at_", "@")),
                        value,
                        interval.and_then(|it| it.get(k)),
                    );
                }
            }
            _ if interval.is_some() => line(name, value, interval),
            Value::Number(_)
                if name.ends_with("share") || name == "backtracks" || name == "verifications" =>
            {
                line(name, value, None);
            }
            _ => {}
        }
    }
    text
}
