//! A base model: learns to continue worked solutions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;
use thinkling_datasets::corpus::{Corpus, Shares};

use super::{evaluate_and_rise, final_share, is_due};
use crate::data::curriculum::Syllabus;
use crate::data::tokenizer::Tokenizer;
use crate::machine::clock::Moment;
use crate::plan::Stage;
use crate::policy::gradient::load_max_over_mean;
use crate::policy::optimizer::{self, learning_rate};
use crate::policy::{Sequence, Tape};
use crate::recipe::{self, Pretrain};
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
    let mut syllabus = Syllabus::resume(stage, None, plan.seed, &learner.syllabus)?;
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
            let corpus = Corpus::new(domain, dataset, shares(written), task.level, seed)?;
            corpora.insert((entry, task.level), corpus);
        }
    }
    Ok(corpora)
}

fn shares(written: &recipe::Shares) -> Shares {
    Shares { solutions: written.solutions().collect(), drill: written.drill }
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
    let rate = learning_rate(
        settings.learning_rate,
        settings.warmup_steps,
        final_share(settings.schedule, settings.final_learning_rate_share),
        learner.step + 1,
        settings.steps,
    );
    let Pretrain { beta1, beta2, epsilon, weight_decay, max_grad_norm, .. } = *settings;
    let adamw = optimizer::Settings { beta1, beta2, epsilon, weight_decay, max_grad_norm };
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
