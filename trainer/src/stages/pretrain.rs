//! A base model: learns to continue worked solutions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thinkling_datasets::corpus::Corpus;

use super::finding::Finding;
use super::kind::{Asked, Common, Learning, MeanLengths, Rates, Rows, StageKind, StageWork, measurements};
use super::{evaluate_and_rise, is_due};
use crate::data::curriculum::Syllabus;
use crate::data::shares::Shares;
use crate::data::task::{Lengths, Task, ample, longest};
use crate::data::tokenizer::Tokenizer;
use crate::kernels::precision::Precision;
use crate::learn::evaluate::Evaluation;
use crate::machine::clock::Moment;
use crate::policy::footprint::Footprint;
use crate::policy::gradient::load_max_over_mean;
use crate::policy::optimizer::{OptimizerSettings, Schedule};
use crate::policy::{Sequence, Tape};
use crate::recipe::{Checker, StagePath};
use crate::stages::StagePlan as Stage;
use crate::stages::learner::Learner;
use crate::stages::run::{Session, Status, TrainError};
use crate::tracking::ledger::{Spent, Work};

/// Learns `settings.steps` batches of documents by predicting every next token.
///
/// # Errors
/// When the corpus or the run folder fails.
pub fn run(session: &mut Session, stage: &Stage, settings: &Pretrain) -> Result<Status, TrainError> {
    let plan = session.plan.clone();
    let corpora = corpora(stage, settings, plan.seed)?;
    let mut learner = session.learner();
    let mut syllabus = Syllabus::resume(&stage.courses, None, plan.seed, &learner.syllabus)?;
    session.settle(&stage.name, Work::Data);
    while learner.step < settings.steps {
        let writing = Moment::now();
        let longest = session.policy.config.max_position_embeddings;
        let documents = batch(&corpora, &syllabus, settings, learner.step, &session.tokenizer, longest)?;
        session.ledger.charge(&stage.name, Work::Data, Spent::new(writing.elapsed(), 0, 0));
        step(session, stage, settings, &mut learner, &syllabus, &documents)?;
        if is_due(learner.step, settings.evaluate_every) && learner.step < settings.steps {
            evaluate_and_rise(session, stage, &mut syllabus, learner.step, &settings.evaluation)?;
        }
        learner.syllabus = syllabus.state();
        if let Some(status) =
            session.finish_step(stage, &learner, settings.save_every, settings.max_bad_steps)?
        {
            return Ok(status);
        }
    }
    session.evaluate(stage, &syllabus.measured(), settings.steps, &settings.evaluation, 1, 1.0)?;
    session.finish_stage(stage, settings.steps)?;
    Ok(Status::Done)
}

/// Where documents come from: one corpus a task and level, by the task's place in the stage.
type Corpora<'a> = BTreeMap<(usize, u32), Corpus<'a>>;

fn corpora<'a>(stage: &'a Stage, settings: &Pretrain, seed: u64) -> Result<Corpora<'a>, TrainError> {
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

/// The documents of the step after `done` steps, as tokens, each with its end.
fn batch(
    corpora: &Corpora<'_>,
    syllabus: &Syllabus<'_>,
    settings: &Pretrain,
    done: u64,
    tokenizer: &Tokenizer,
    longest: usize,
) -> Result<Vec<Vec<u32>>, TrainError> {
    let first = done * settings.batch_size as u64;
    let documents: Vec<Vec<u32>> = (first..first + settings.batch_size as u64)
        .into_par_iter()
        .map(|number| {
            let at = syllabus.address(number % settings.documents());
            let document = corpora[&(at.entry, at.level)].document(at.index)?;
            let text = document.prompt + &document.completion;
            let mut tokens = tokenizer
                .encode(&text)
                .map_err(|source| TrainError::Alphabet { task: syllabus.task(&at).name.clone(), source })?;
            tokens.push(tokenizer.end());
            Ok(tokens)
        })
        .collect::<Result<_, TrainError>>()?;
    // The table of positions has room for the longest of many documents; a rare longer one is passed over.
    Ok(documents.into_iter().filter(|tokens| tokens.len() <= longest + 1).collect())
}

/// One update on `documents`: the mean over all tokens of the loss of the next one.
fn step(
    session: &mut Session,
    stage: &Stage,
    settings: &Pretrain,
    learner: &mut Learner,
    syllabus: &Syllabus<'_>,
    documents: &[Vec<u32>],
) -> Result<(), TrainError> {
    let started = Moment::now();
    let sequences: Vec<Sequence<'_>> =
        documents.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
    let tokens: usize = sequences.iter().map(Sequence::rows).sum();
    let balance = session.policy.config.aux_loss_alpha / sequences.len() as f32;
    let next_token_loss = |_, tape: &Tape| {
        let sum: f64 = tape.log_probabilities.iter().map(|value| f64::from(*value)).sum();
        Ok((Some(vec![-1.0 / tokens as f32; tape.log_probabilities.len()]), -sum / tokens as f64))
    };
    let pass = session
        .workspace
        .run(&session.policy, &sequences, 1.0, balance, next_token_loss)
        .map_err(|source| TrainError::Tensor { stage: stage.name.clone(), step: learner.step + 1, source })?;
    let (forward, backward) = (pass.forward_flops, pass.backward_flops);
    let spent = Spent::new(started.elapsed(), forward + backward, tokens as u64);
    let (forward, backward) = (
        spent.part(forward, tokens as u64).with_surplus(pass.forward_surplus),
        spent.part(backward, 0).with_surplus(pass.backward_surplus),
    );
    session.ledger.charge(&stage.name, Work::Forward, forward);
    session.ledger.charge(&stage.name, Work::Backward, backward);

    let updating = Moment::now();
    let loss: f64 = pass.parts.iter().sum();
    let rate = settings.optimizer.rate(learner.step + 1, settings.steps);
    let adamw = settings.optimizer.adamw();
    let (norm, is_applied) =
        session.apply(learner, loss, rate, &adamw, &pass.expert_loads, settings.bias_update_speed);
    session.ledger.charge(&stage.name, Work::Optimizer, Spent::new(updating.elapsed(), 0, 0));
    session.ledger.account(&stage.name).tokens_trained += tokens as u64;
    learner.step += 1;

    let mut row = session.row(&stage.name, "pretrain", learner.step);
    session.speed(&mut row, started.elapsed().wall_s, tokens as u64, spent.flops);
    row.insert("lr".to_owned(), json!(rate));
    if is_applied {
        row.insert("loss".to_owned(), json!(loss));
        row.insert("grad_norm".to_owned(), json!(norm));
    } else {
        row.insert("skipped".to_owned(), json!(true));
    }
    if let Some(load) = load_max_over_mean(&pass.expert_loads) {
        row.insert("expert_load_max_over_mean".to_owned(), json!(load));
    }
    row.extend(syllabus.fields());
    let shown = [
        ("loss", format!("{loss:.4}")),
        ("tokens/s", format!("{:.0}", tokens as f64 / started.elapsed().wall_s)),
        ("cost", format!("${:.6}", session.ledger.cost_usd(&session.plan.prices))),
    ];
    session.progress.step(&stage.name, learner.step, settings.steps, &shown);
    session.log(row)
}

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
    /// Documents an update.
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
    /// Distinct documents in the corpus.
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

    fn work(&self, _stage: &Stage, lengths: MeanLengths, size: &Footprint) -> StageWork {
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

    fn findings(&self, stage: &Stage, hidden_size: usize) -> Vec<Finding> {
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

    fn run(&self, session: &mut Session, stage: &Stage) -> Result<Status, TrainError> {
        run(session, stage, self)
    }
}

/// Notes every kind of document that has a share and that the task cannot write.
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
