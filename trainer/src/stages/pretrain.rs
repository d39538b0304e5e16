//! A base model: learns to continue worked solutions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use thinkling_datasets::corpus::{Corpus, Shares};

use super::learner::{Applied, Learner, UpdateSettings};
use super::run::Run;
use super::stop::{Status, TrainError};
use super::{Schedules, StageRun, StepId, final_share, train};
use crate::machine::work::{Costed, Costs, Work};
use crate::plan::Stage;
use crate::policy::Sequence;
use crate::policy::balance::load_max_over_mean;
use crate::policy::loss::NextToken;
use crate::policy::optimizer::{self, learning_rate};
use crate::recipe::{self, Pretrain};
use crate::tracking::tracker::{Record, Tracker, fields};

/// Learns `settings.steps` batches of documents by predicting every next token.
///
/// # Errors
/// When the corpus or the run folder fails.
pub fn run(stage: &Stage, settings: &Pretrain, run: &mut Run) -> Result<Status, TrainError> {
    let corpora = corpora(stage, settings, run.seed)?;
    run.tracker.settle(Work::Data);
    train(stage, &Pretraining { settings, corpora }, run)
}

/// A stage of pretraining while it runs.
struct Pretraining<'a> {
    settings: &'a Pretrain,
    corpora: Corpora<'a>,
}

/// Where documents come from: one corpus per task and level, by the task's place in the stage.
type Corpora<'a> = BTreeMap<(usize, u32), Corpus<'a>>;

/// The documents of a step as tokens, each with its end.
struct Documents(Vec<Vec<u32>>);

impl Costed for Documents {
    fn costs(&self) -> Costs {
        Costs::of(Work::Data)
    }
}

/// What a row of `metrics.jsonl` says of a step of pretraining.
#[derive(Serialize)]
struct Row {
    lr: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_norm: Option<f64>,
    /// Whether the update was left out because its loss or gradient was not finite.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_load_max_over_mean: Option<f64>,
}

fn corpora<'a>(stage: &'a Stage, settings: &Pretrain, seed: u64) -> Result<Corpora<'a>, TrainError> {
    let mut corpora = Corpora::new();
    for (entry, course) in stage.courses.iter().enumerate() {
        let written = course.shares.as_ref().unwrap_or(&settings.shares);
        for task in &course.tasks {
            let (domain, dataset) = (task.domain.as_ref(), task.dataset(seed)?);
            let corpus = Corpus::new(domain, dataset, shares(written), task.level, seed)?;
            corpora.insert((entry, task.level), corpus);
        }
    }
    Ok(corpora)
}

fn shares(written: &recipe::Shares) -> Shares {
    Shares { solutions: written.solutions().collect(), drill: written.drill }
}

impl Pretraining<'_> {
    fn documents(&self, learner: &Learner) -> Result<Documents, TrainError> {
        let Learner { tokenizer, curriculum, policy, step, .. } = learner;
        let first = step * self.settings.batch_size as u64;
        let documents: Vec<Vec<u32>> = (first..first + self.settings.batch_size as u64)
            .into_par_iter()
            .map(|number| {
                let at = curriculum.address(number % self.settings.documents());
                let document = self.corpora[&(at.entry, at.level)].document(at.index)?;
                let text = document.prompt + &document.completion;
                let mut tokens = tokenizer.encode(&text).map_err(|source| TrainError::Alphabet {
                    task: curriculum.task(&at).name.clone(),
                    source,
                })?;
                tokens.push(tokenizer.end());
                Ok(tokens)
            })
            .collect::<Result<_, TrainError>>()?;
        // The positions have room for the longest of many documents; a rare longer one is passed over.
        let longest = policy.config().max_position_embeddings;
        Ok(Documents(documents.into_iter().filter(|tokens| tokens.len() <= longest + 1).collect()))
    }

    fn update(&self, done: u64) -> UpdateSettings {
        let settings = self.settings;
        let Pretrain { beta1, beta2, epsilon, weight_decay, max_grad_norm, .. } = *settings;
        UpdateSettings {
            learning_rate: learning_rate(
                settings.learning_rate,
                settings.warmup_steps,
                final_share(settings.schedule, settings.final_learning_rate_share),
                done + 1,
                settings.steps,
            ),
            adamw: optimizer::Settings { beta1, beta2, epsilon, weight_decay, max_grad_norm },
            bias_update_speed: settings.bias_update_speed,
        }
    }
}

impl StageRun for Pretraining<'_> {
    type Step = Applied;

    const KIND: &'static str = "pretrain";

    fn schedules(&self) -> Schedules {
        let Pretrain { steps, evaluate_every, ref evaluation, save_every, max_bad_steps, .. } =
            *self.settings;
        Schedules { steps, evaluate_every, evaluation: evaluation.clone(), save_every, max_bad_steps }
    }

    fn step(
        &self,
        at: StepId<'_>,
        learner: &mut Learner,
        tracker: &mut Tracker,
    ) -> Result<Applied, TrainError> {
        let Documents(documents) = tracker.time(|| self.documents(learner))?;
        let sequences: Vec<Sequence<'_>> =
            documents.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
        let tokens: usize = sequences.iter().map(Sequence::rows).sum();
        let balance = learner.policy.config().aux_loss_alpha / sequences.len() as f32;
        let loss = NextToken::over(tokens);
        let ranks = learner.ranks.as_ref();
        let pass = tracker.time(|| learner.policy.gradient(&sequences, 1.0, balance, &loss, ranks));
        let pass = pass.map_err(|source| at.failed(source))?;
        let applied = tracker.time(|| learner.apply(pass, tokens as u64, &self.update(at.done)));
        applied.map_err(|source| at.failed(source))
    }

    fn record(&self, step: &Applied, taught: Map<String, Value>, learner: &Learner) -> Record {
        let Applied { pass, is_applied, tokens } = step;
        let row = Row {
            lr: self.update(learner.step - 1).learning_rate,
            loss: is_applied.then_some(pass.measured.loss),
            grad_norm: is_applied.then_some(pass.norm),
            skipped: !is_applied,
            expert_load_max_over_mean: load_max_over_mean(&pass.expert_loads),
        };
        let mut fields = fields(&row);
        fields.extend(taught);
        Record { fields, tokens: *tokens, completions: Vec::new(), notes: step.note().into_iter().collect() }
    }
}
