//! Pretraining: makes a base model that continues worked solutions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thinkling_datasets::corpus::Corpus;

use super::finding::Finding;
use super::kind::{Asked, Common, Learning, MeanLengths, Rates, Rows, StageKind, StageWork, measurements};
use super::learner::{Applied, Learner, UpdateSettings};
use super::run::Run;
use super::stop::{Status, TrainError};
use super::{Schedules, StagePlan, StageRun, StepId, train};
use crate::data::shares::Shares;
use crate::data::task::{Lengths, Task, ample, longest};
use crate::kernels::precision::Precision;
use crate::learn::evaluate::Evaluation;
use crate::machine::work::{Costed, Costs, Work};
use crate::policy::Sequence;
use crate::policy::balance::load_max_over_mean;
use crate::policy::footprint::Footprint;
use crate::policy::loss::NextToken;
use crate::policy::optimizer::{OptimizerSettings, Schedule};
use crate::recipe::{Checker, StagePath};
use crate::tracking::tracker::{StepRecord, Tracker, fields};

/// Learns to continue worked solutions: makes a base model. Needs `steps` and `shares`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Pretrain {
    /// Name and tasks.
    #[serde(flatten)]
    pub common: Common,
    /// Updates.
    #[schemars(range(min = 1, max = 1000000000))]
    pub steps: u64,
    /// Documents per update.
    #[schemars(range(min = 1, max = 1000000))]
    pub batch_size: usize,
    /// How it updates weights.
    #[serde(flatten)]
    pub optimizer: OptimizerSettings,
    /// Distinct documents in the corpus; default `steps * batch_size`, so that each is seen once.
    #[schemars(range(min = 1))]
    pub documents: Option<u64>,
    /// Ratios of the kinds of document.
    pub shares: Shares,
    /// Step of the experts' load bias after each update; 0: no load balancing by bias.
    #[schemars(range(min = 0.0))]
    pub bias_update_speed: f64,
    /// Updates between two evaluations; 0: only at the end.
    pub evaluate_every: u64,
    /// The held-out questions.
    pub evaluation: Evaluation,
    /// Updates between two checkpoints.
    #[schemars(range(min = 1))]
    pub save_every: u64,
    /// Updates in a row that may be skipped because a loss or gradient is not finite; one more ends the run.
    pub max_bad_steps: u64,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            common: Common::default(),
            steps: 0,
            batch_size: 64,
            optimizer: OptimizerSettings {
                learning_rate: 3e-3,
                final_learning_rate_share: OptimizerSettings::FINAL_SHARE,
                warmup_steps: 100,
                schedule: Schedule::Cosine,
                weight_decay: 0.1,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                max_grad_norm: 1.0,
            },
            documents: None,
            shares: Shares::default(),
            bias_update_speed: 0.001,
            evaluate_every: 0,
            evaluation: Evaluation::default(),
            save_every: 100,
            max_bad_steps: 5,
        }
    }
}

impl Pretrain {
    pub fn documents(&self) -> u64 {
        self.documents.unwrap_or_else(|| self.steps.saturating_mul(self.batch_size as u64))
    }
}

/// 3e-3 works; 5e-3 still trains.
const RATES: Rates = Rates { works: 3e-3, odd: 4.0, wrong: 10.0 };

impl StageKind for Pretrain {
    fn needs(&self) -> &'static [&'static str] {
        &["steps", "shares"]
    }

    fn check(&self, at: StagePath<'_>, checker: &mut Checker<'_>) {
        if self.shares.drill == 0.0 && self.shares.solutions().all(|(_, share)| share == 0.0) {
            let path = at.key("shares");
            let help = "give at least one of direct, long, search, flawed, drill a share above 0".to_owned();
            checker.mistake(&[&path], format!("`{path}` are all 0: the corpus has no documents"), [help]);
        }
        let seen = self.steps.saturating_mul(self.batch_size as u64);
        if self.documents() > seen {
            let message =
                format!("stage `{}` sees only {seen} of its {} documents", at.name, self.documents());
            checker.warn(&[&at.key("documents"), &at.key("steps"), &at.key("batch_size")], message);
        }
    }

    fn fill(&mut self, _precision: Precision) {
        self.documents = Some(self.documents());
    }

    fn rows(&self, asked: &Asked<'_>, checker: &mut Checker<'_>) -> Rows {
        let rows = asked.tasks.iter().map(|(course, task, lengths)| {
            let shares = course.shares.as_ref().unwrap_or(&self.shares);
            has_solutions(shares, asked.at, task, lengths, checker);
            document_rows(shares, lengths)
        });
        rows.fold(Rows::default(), Rows::max)
    }

    fn learning(&self) -> Option<Learning<'_>> {
        Some(Learning {
            steps: self.steps,
            rows_per_step: self.batch_size as u64,
            updates_per_step: 1,
            questions: 0..self.documents(),
            optimizer: &self.optimizer,
            bias_update_speed: self.bias_update_speed,
            evaluate_every: self.evaluate_every,
        })
    }

    fn teaches(&self) -> Option<&Shares> {
        Some(&self.shares)
    }

    fn evaluation(&self) -> Evaluation {
        self.evaluation.clone()
    }

    fn work(&self, _stage: &StagePlan, lengths: MeanLengths, size: &Footprint) -> StageWork {
        let MeanLengths { prompt, taught, document, .. } = lengths;
        let mut work = StageWork::default();
        let documents = self.steps as f64 * self.batch_size as f64;
        work.update_flops += documents * size.train_targets(document - 1.0, document - 1.0).get();
        work.updates += self.steps as f64;
        work.trained += documents * (document - 1.0);
        for _ in 0..measurements(self.steps, self.evaluate_every) {
            work.evaluate(size, self.evaluation.count, 1, prompt, taught);
        }
        work
    }

    fn findings(&self, stage: &StagePlan, hidden_size: usize) -> Vec<Finding> {
        let all = self.batch_size as u64 * self.steps;
        let seen = format!(
            "{} documents an update, {} updates: {all} documents, {} of them different; rows of up to {} tokens",
            self.batch_size,
            self.steps,
            self.documents().min(all),
            stage.longest_row,
        );
        let rate = RATES.finding(stage, self.optimizer.learning_rate, hidden_size);
        vec![Finding::ok("batch", Some(stage), seen), rate]
    }

    fn run(&self, stage: &StagePlan, run: &mut Run) -> Result<Status, TrainError> {
        let corpora = corpora(stage, self, run.seed)?;
        run.tracker.settle(Work::Data);
        train(stage, &Pretraining { settings: self, corpora }, run)
    }
}

/// Notes every kind of document that has a share but that the task cannot write.
fn has_solutions(
    shares: &Shares,
    at: StagePath<'_>,
    task: &Task,
    lengths: &Lengths,
    checker: &mut Checker<'_>,
) {
    let mut has: Vec<(&str, f64, bool, Option<String>)> = shares
        .solutions()
        .map(|(kind, share)| {
            (kind.name(), share, lengths.completions(kind).is_some(), task.domain.lack(kind))
        })
        .collect();
    has.push(("drill", shares.drill, lengths.drills.is_some(), None));
    let valid: Vec<&str> =
        has.iter().filter(|(_, _, is_there, _)| *is_there).map(|(kind, ..)| *kind).collect();
    for (kind, share, is_there, lack) in &has {
        if *share > 0.0 && !is_there {
            let lack = lack.as_ref().map_or(String::new(), |lack| format!(": {lack}"));
            let message = format!("task `{}` has no documents of the kind `{kind}`{lack}", task.name);
            let help = format!("it has: {}", valid.join(", "));
            checker.mistake(&[&at.key(&format!("shares.{kind}"))], message, [help]);
        }
    }
}

/// Rows of worked solutions and drills.
fn document_rows(shares: &Shares, lengths: &Lengths) -> Rows {
    let shown = shares.solutions().filter(|(_, share)| *share > 0.0);
    let completions = shown.filter_map(|(kind, _)| lengths.completions(kind));
    let rows = completions
        .map(|lengths_of_kind| Rows::of(lengths, longest(lengths_of_kind), ample(lengths_of_kind)));
    let drills = lengths.drills.as_deref().filter(|_| shares.drill > 0.0).unwrap_or_default();
    rows.fold(Rows { seen: longest(drills), ample: ample(drills) }, Rows::max)
}

struct Pretraining<'a> {
    settings: &'a Pretrain,
    corpora: Corpora<'a>,
}

/// The source of documents: one corpus per task and level, in the order of the stage's tasks.
type Corpora<'a> = BTreeMap<(usize, u32), Corpus<'a>>;

/// The documents of a step as tokens, each with its end symbol.
struct Documents(Vec<Vec<u32>>);

impl Costed for Documents {
    fn costs(&self) -> Costs {
        Costs::of(Work::Data)
    }
}

/// The fields of a row of `metrics.jsonl` for a step of pretraining.
#[derive(Serialize)]
struct Row {
    lr: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grad_norm: Option<f64>,
    /// Whether the update was skipped because its loss or gradient was not finite.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_load_max_over_mean: Option<f64>,
}

fn corpora<'a>(stage: &'a StagePlan, settings: &Pretrain, seed: u64) -> Result<Corpora<'a>, TrainError> {
    let mut corpora = Corpora::new();
    for (entry, course) in stage.courses.iter().enumerate() {
        let written = course.shares.as_ref().unwrap_or(&settings.shares);
        for task in &course.tasks {
            let (domain, dataset) = (task.domain.as_ref(), task.dataset(seed)?);
            let corpus = Corpus::new(domain, dataset, written.of_corpus(), task.level, seed)?;
            corpora.insert((entry, task.level), corpus);
        }
    }
    Ok(corpora)
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
        // The model has positions for nearly all documents; a rare longer one is skipped.
        let longest = policy.config().max_position_embeddings;
        Ok(Documents(documents.into_iter().filter(|tokens| tokens.len() <= longest + 1).collect()))
    }

    fn update(&self, done: u64) -> UpdateSettings {
        let Pretrain { optimizer, steps, bias_update_speed, .. } = self.settings;
        UpdateSettings::of(optimizer, done + 1, *steps, *bias_update_speed)
    }
}

impl StageRun for Pretraining<'_> {
    type Step = Applied;

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

    fn record(&self, step: &Applied, taught: Map<String, Value>, learner: &Learner) -> StepRecord {
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
        StepRecord {
            fields,
            tokens: *tokens,
            completions: Vec::new(),
            notes: step.note().into_iter().collect(),
        }
    }
}
