//! `thinkling score`: computes log-probabilities of given completions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thinkling::policy::Sequence;
use thinkling_datasets::jsonl::Lines;

use super::model::LoadedModel;
use super::{DONE, FAILED, Outcome, print_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A run folder or a checkpoint folder.
    model: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    /// The text as written: a number may have more digits than any type.
    id: Box<RawValue>,
    prompt: String,
    completion: String,
}

#[derive(Serialize)]
struct ScoredLine<'a> {
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    scored: Value,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut model = LoadedModel::load(&arguments.model)?;
    let mut code = DONE;
    let mut lines = Lines::new(std::io::stdin().lock());
    let mut number = 0u64;
    while let Some(line) = lines.next_line()? {
        number += 1;
        if line.as_ref().is_ok_and(|line| line.iter().all(u8::is_ascii_whitespace)) {
            continue;
        }
        let read = |line: Vec<u8>| {
            let wrong = |error| format!("not {{\"id\", \"prompt\", \"completion\"}}: {error}");
            serde_json::from_slice::<Line>(&line).map_err(wrong)
        };
        let (id, outcome) = match line.and_then(read) {
            Ok(line) => (Some(line.id.clone()), score(&mut model, &line)),
            Err(error) => (None, Err(error)),
        };
        let scored = outcome.unwrap_or_else(|error| {
            code = FAILED;
            json!({ "line": number, "error": error })
        });
        print_line(serde_json::to_string(&ScoredLine { id: id.as_deref(), scored })?)?;
    }
    Ok(code)
}

fn score(model: &mut LoadedModel, line: &Line) -> Result<Value, String> {
    let prompt = model.tokenizer.encode(&line.prompt).map_err(|error| format!("prompt: {error}"))?;
    let completion =
        model.tokenizer.encode(&line.completion).map_err(|error| format!("completion: {error}"))?;
    if prompt.is_empty() {
        return Err("prompt: empty; it must have at least one token".to_owned());
    }
    let positions = model.policy.config().max_position_embeddings;
    let tokens = [prompt.as_slice(), completion.as_slice()].concat();
    if tokens.len() > positions + 1 {
        return Err(format!("{} tokens, but the model has {positions} positions", tokens.len()));
    }
    let names: Vec<&str> =
        completion.iter().map(|id| model.tokenizer.symbols()[*id as usize].as_str()).collect();
    if completion.is_empty() {
        return Ok(json!({ "tokens": [], "logprobs": [], "entropies": [] }));
    }
    let sequence = Sequence { tokens: &tokens, first_target: prompt.len(), routes: None };
    let scores = model.policy.scores(&[sequence], 1.0).map_err(|error| error.to_string())?;
    let (log_probabilities, entropies) = (&scores.log_probabilities[0], &scores.entropies[0]);
    Ok(json!({ "tokens": names, "logprobs": log_probabilities, "entropies": entropies }))
}
