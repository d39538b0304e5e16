//! `thinkling sample`: prints completions.

use std::path::PathBuf;

use thinkling::learn::score::judge;
use thinkling::policy::rollout::{Limits, Request};
use thinkling::policy::sampling::Sampling;
use thinkling_datasets::Split;

use super::model::LoadedModel;
use super::{DONE, Failure, Outcome, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A run folder or a checkpoint folder.
    model: PathBuf,
    /// Any prompt.
    #[arg(long, required_unless_present = "task", conflicts_with = "task")]
    prompt: Option<String>,
    /// Use questions of this task's test split, and judge the completions.
    #[arg(long)]
    task: Option<String>,
    /// Level of the task [default: the level that the model was trained at].
    #[arg(long, requires = "task")]
    level: Option<u32>,
    /// Number of completions; with a task, one per question.
    #[arg(short = 'n', default_value_t = 1)]
    count: u64,
    /// Sampling temperature; 0 always takes the most likely token.
    #[arg(long, default_value_t = 1.0, value_parser = super::eval::temperature)]
    temperature: f32,
    /// Seed of questions and samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let model = LoadedModel::load(&arguments.model)?;
    let sampling = Sampling { temperature: arguments.temperature, ..Sampling::PLAIN };
    let positions = model.policy.config().max_position_embeddings;
    let complete = |prompt: &str, index: u64| -> Result<_, Failure> {
        let tokens = model.tokenizer.encode(prompt).map_err(|error| {
            let known: Vec<&str> = model.tokenizer.symbols().iter().map(String::as_str).collect();
            usage!("prompt `{prompt}`: {error}; the model knows {}", known.join(" "))
        })?;
        if tokens.is_empty() || tokens.len() > positions {
            return Err(usage!("a prompt has 1 to {positions} tokens, but this one has {}", tokens.len()));
        }
        let limits = Limits {
            max_new_tokens: positions + 1 - tokens.len(),
            end: model.tokenizer.end(),
            thinking: None,
        };
        let request = Request { prompt: &tokens, samples: 1, address: [u64::MAX, 1, index] };
        let rollout = model.policy.roll_out(&[request], &sampling, &limits, arguments.seed)?;
        Ok(rollout.completions.into_iter().flatten().next())
    };
    if let Some(name) = &arguments.task {
        let level = match arguments.level.or_else(|| model.trained_level(name)) {
            Some(level) => level,
            None => {
                super::generate::find_task(name)?;
                return Err(usage!("give the --level of task `{name}`"));
            }
        };
        let task = model.task(name, level)?;
        let dataset = task.dataset(arguments.seed).map_err(Failure::usage)?;
        for index in 0..arguments.count {
            let question = dataset.question(Split::Test, index)?;
            let Some(completion) = complete(&question.problem.prompt, index)? else { continue };
            let judged = judge(task.domain.as_ref(), &model.tokenizer, &question, &completion);
            let outcome = serde_json::to_value(judged.verdict.outcome)?;
            print_line(format!(
                "{}{}   [{}: {}]",
                question.problem.prompt,
                judged.text,
                outcome.as_str().unwrap_or_default(),
                judged.verdict.reason
            ))?;
        }
    } else if let Some(prompt) = &arguments.prompt {
        for index in 0..arguments.count {
            let Some(completion) = complete(prompt, index)? else { continue };
            print_line(format!("{prompt}{}", model.tokenizer.decode(&completion.tokens)))?;
        }
    }
    Ok(DONE)
}
