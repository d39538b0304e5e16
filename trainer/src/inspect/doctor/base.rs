//! Checks the base model: whether it ends its answers, and whether thinking helps it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{DoctorError, Finding, Patient, Severity, percent};
use crate::data::tokenizer::{END, Tokenizer};
use crate::kernels::precision::Precision;
use crate::learn::advantage::is_flat;
use crate::learn::evaluate::{EvaluateError, Means, Questions, Thinking, ask};
use crate::policy::{Config, CpuPolicy, Policy};
use crate::stages::kind::ReadinessAction;
use crate::tracking::recovery;

const QUESTIONS: u64 = 32;
const SAMPLES: usize = 8;
/// Below this share of finished completions, the policy does not know its end.
const MIN_ENDED: f64 = 0.02;
/// Above this share of cut-off completions, there is a warning.
const MAX_CUT: f64 = 0.2;
/// Above this share of flat groups, almost nothing is left to learn from.
const MAX_FLAT: f64 = 0.9;

/// The model that reinforcement learning starts from.
pub struct Base {
    /// Its folder.
    pub folder: PathBuf,
    pub(super) policy: Box<dyn Policy>,
    pub(super) tokenizer: Tokenizer,
    /// Contradictions between its files and the trainer.
    pub(super) problems: Vec<Finding>,
}

fn problem(name: &'static str, seen: String, change: &str) -> Finding {
    Finding::new(name, Severity::Error, None, seen, change.to_owned())
}

/// The finding if `tokenizer.json` or `config.json` names another end token than the trainer, which always ends a
/// completion at one id.
fn end_token(tokenizer: &Value, config: &Value, ours: u32) -> Option<Finding> {
    let named = tokenizer["model"]["vocab"][END].as_u64();
    let ends = |id: u64| id == u64::from(ours);
    let change = "the base model's tokenizer.json and config.json as the run wrote them, or a base model that was \
                  trained with this tokenizer";
    match named {
        None => {
            let seen = format!("the base model's tokenizer.json has no `{END}`: no completion can end");
            return Some(problem("end_token", seen, change));
        }
        Some(id) if !ends(id) => {
            let seen = format!(
                "the base model's tokenizer.json has `{END}` at id {id}; completions end at id {ours}, where it has \
                 another symbol"
            );
            return Some(problem("end_token", seen, change));
        }
        Some(_) => {}
    }
    let eos = match &config["eos_token_id"] {
        Value::Array(ids) => ids.iter().filter_map(Value::as_u64).collect(),
        id => id.as_u64().map_or_else(Vec::new, |id| vec![id]),
    };
    (!eos.is_empty() && !eos.iter().any(|id| ends(*id))).then(|| {
        let seen = format!(
            "the base model's config.json has eos_token_id = {}; `{END}` is {ours}",
            config["eos_token_id"]
        );
        problem("end_token", seen, change)
    })
}

impl Base {
    /// Reads a checkpoint folder, or the newest checkpoint of a run folder. Readable files that contradict each other
    /// become findings.
    pub fn load(path: &Path) -> Result<Self, DoctorError> {
        let checkpoint =
            recovery::checkpoint_at(path)?.ok_or_else(|| DoctorError::NoModel(path.to_owned()))?;
        let config: Config = checkpoint.json("config.json")?;
        let tokenizer_json: Value = checkpoint.json("tokenizer.json")?;
        let empty = Tokenizer::from_alphabets([]);
        let ours = empty.end();
        let mut problems: Vec<Finding> =
            end_token(&tokenizer_json, &checkpoint.json("config.json")?, ours).into_iter().collect();
        let tokenizer = match Tokenizer::from_json(&tokenizer_json) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                if problems.is_empty() {
                    let change = "a base model that this program has written";
                    problems.push(problem("base", error.to_string(), change));
                }
                empty
            }
        };
        if problems.is_empty() && tokenizer.size() != config.vocab_size {
            let seen = format!(
                "the base model's tokenizer has {} tokens, its config.json says {}",
                tokenizer.size(),
                config.vocab_size
            );
            problems.push(problem("base", seen, "the files of one checkpoint, not of two"));
        }
        let (config, parameters) = checkpoint.policy()?;
        let policy = Box::new(CpuPolicy::new(config, parameters, Precision::Float32));
        Ok(Self { folder: checkpoint.folder, policy, tokenizer, problems })
    }
}

/// The finding if the recipe's network differs from the base model's: the run would not start from it.
pub(super) fn another_network(patient: &Patient<'_>, base: &Base) -> Option<Finding> {
    let [recipe, base] = [&patient.plan.model, base.policy.config()]
        .map(|config| serde_json::to_value(config).unwrap_or_default());
    let differences: Vec<String> = recipe
        .as_object()?
        .iter()
        // Longest row and initial weights do not change the computation.
        .filter(|(key, _)| !["max_position_embeddings", "initializer_range"].contains(&key.as_str()))
        .filter(|(key, value)| base[key.as_str()] != **value)
        .map(|(key, value)| format!("{key} is {} and {value} in the recipe", base[key.as_str()]))
        .collect();
    (!differences.is_empty()).then(|| {
        let seen = format!("the base model is another network: {}", differences.join(", "));
        Finding::warning(
            "base",
            patient.stage,
            seen,
            "the settings of [model] from the base model".to_owned(),
        )
    })
}

/// Samples the base model and checks its end, its thinking and its rewards, in this order; the first error ends the
/// checks.
pub(super) fn check(patient: &Patient<'_>, base: &Base) -> Result<Vec<Finding>, DoctorError> {
    let (stage, rewards) = (patient.stage, &patient.rewards);
    let questions = Questions {
        count: QUESTIONS,
        samples: SAMPLES.max(rewards.group_size.min(2 * SAMPLES)),
        seed: stage.settings.kind().evaluation().seed,
        sampling: rewards.sampling,
        max_new_tokens: stage.max_new_tokens,
        thinking: Thinking::Free,
    };
    let answers = match ask(base.policy.as_ref(), &base.tokenizer, &stage.task, &questions) {
        Ok(answers) => answers,
        Err(error @ EvaluateError::TooLong { .. }) => {
            let change = format!("stage.{}.max_new_tokens lower, or another base model", stage.name);
            return Ok(vec![Finding::error("base", stage, error.to_string(), change)]);
        }
        Err(error) => return Err(error.into()),
    };
    let measures = answers.measures(&stage.task, &base.tokenizer);
    let drawn = QUESTIONS as usize * questions.samples;
    let errors = measures.errors as usize;
    let Some(means) = measures.means else {
        let seen = format!("none of {drawn} completions of the base model could be judged");
        return Ok(vec![Finding::error("readiness", stage, seen, "the judge".to_owned())]);
    };
    let drawn = drawn - errors;
    let cut = means.truncated_share.value;
    let limit = stage.max_new_tokens;
    let mut findings = Vec::new();
    if 1.0 - cut < MIN_ENDED {
        let seen = format!(
            "{} of {drawn} completions of the base model end within {limit} tokens, although worked solutions do: it \
             never saw the end token {} (`{END}`), or ends with another",
            percent(1.0 - cut),
            base.tokenizer.end()
        );
        let change = "a base model that was trained with this tokenizer's end token".to_owned();
        return Ok(vec![Finding::error("end_token", stage, seen, change)]);
    }
    let seen = format!("{} of {drawn} completions of the base model end by themselves", percent(1.0 - cut));
    findings.push(if cut > MAX_CUT {
        let change = format!("stage.{}.max_new_tokens higher, or pretrain longer", stage.name);
        Finding::warning("end_token", stage, seen, change)
    } else {
        Finding::ok("end_token", Some(stage), seen)
    });
    if errors > 0 {
        let seen = format!("{errors} completions of the base model could not be judged");
        findings.push(Finding::warning("readiness", stage, seen, "the judge".to_owned()));
    }
    findings.push(readiness(patient, &means));
    if findings.iter().any(Finding::is_error) {
        return Ok(findings);
    }
    let scores = answers.judged.iter().map(|group| -> Vec<f64> {
        group.iter().filter(|one| !one.is_error()).map(|one| one.verdict.score).collect()
    });
    let scores: Vec<Vec<f64>> = scores.filter(|scores| !scores.is_empty()).collect();
    let flat = scores.iter().filter(|scores| is_flat(scores)).count() as f64 / scores.len() as f64;
    let seen = format!(
        "{} of {} groups of {} completions of the base model are all right or all wrong",
        percent(flat),
        scores.len(),
        questions.samples
    );
    findings.push(if flat > MAX_FLAT {
        let change = if means.accuracy.value > 0.5 {
            "a higher task.level: this one is solved"
        } else {
            "a lower task.level, a greater group_size, or more pretraining"
        };
        Finding::error("flat_rewards", stage, seen, change.to_owned())
    } else {
        Finding::ok("flat_rewards", Some(stage), seen)
    });
    Ok(findings)
}

/// Whether thinking helps the base model. Reinforcement learning only strengthens what is right more often.
fn readiness(patient: &Patient<'_>, means: &Means) -> Finding {
    let (stage, wanted) = (patient.stage, patient.rewards.readiness);
    let pretrain =
        "pretrain longer, a lower task.level, or a greater share of documents that think".to_owned();
    let Some(long) = means.accuracy_thinking else {
        let seen = "the base model never thinks".to_owned();
        return Finding::error("readiness", stage, seen, pretrain);
    };
    let direct = means.accuracy_direct;
    let seen = format!(
        "the base model thinks in {} of its answers and is right in {} of them [{}, {}]{}",
        percent(means.thinking_share.value),
        percent(long.value),
        percent(long.low),
        percent(long.high),
        direct.map_or(String::new(), |direct| format!(
            ", without thinking in {} [{}, {}]",
            percent(direct.value),
            percent(direct.low),
            percent(direct.high)
        )),
    );
    let rival = direct.map_or(0.0, |direct| direct.value + wanted.direct_margin);
    if long.low <= rival {
        let seen = format!("{seen}: thinking is not clearly better, so the policy will learn not to think");
        return Finding::error("readiness", stage, seen, pretrain);
    }
    if long.value < wanted.long_accuracy {
        let seen = format!("{seen}; the recipe asks for {}", percent(wanted.long_accuracy));
        if wanted.action == ReadinessAction::Stop {
            return Finding::error("readiness", stage, format!("{seen}, and would stop there"), pretrain);
        }
        return Finding::warning("readiness", stage, seen, pretrain);
    }
    Finding::ok("readiness", Some(stage), seen)
}
