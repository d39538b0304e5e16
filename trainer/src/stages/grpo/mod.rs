//! Group-relative policy optimisation: learns from verdicts on its own completions.
//!
//! Source: DeepSeekMath (arXiv 2402.03300) and DeepSeek-R1 (arXiv 2501.12948). Ratios are per token; the reference's
//! divergence is in the loss; experts chosen at rollout are taken again in the update.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::Value;
use thinkling_datasets::pool::Address;
use thinkling_datasets::{DatasetError, Domain, Question, Split};

use super::{StagePlan as Stage, evaluate_and_rise, is_due};
use crate::data::curriculum::Syllabus;
use crate::data::task::Task;
use crate::kernels::precision::Precision;
use crate::learn::advantage::is_flat;
use crate::learn::objective::{BatchSize, Measured, Objective, Tokens};
use crate::learn::reward::{Control, Rule};
use crate::learn::score::{Judged, ScoredGroup};
use crate::machine::clock::{Elapsed, Moment};
use crate::policy::gradient::{Pass, add_loads};
use crate::policy::rollout::{Limits, Request, roll_out};
use crate::policy::{Sequence, Tape, Transformer};
use crate::stages::learner::{Best, Learner, Snapshot};
use crate::stages::run::{Session, Status, TrainError};
use crate::tracking::ledger::{Spent, Work};
use settings::{FlatGroups, Grpo, ReadinessAction};

mod kind;
mod row;
pub mod settings;

/// Steps that the best mean reward is taken over where the recipe has no early stop.
const WINDOW: usize = 5;

/// The decoder and the training forward sum in another order; a greater distance is a fault of one of them.
const MAX_ROLLOUT_GAP: f64 = 1e-2;

/// A completion as an update sees it.
struct Sample<'a> {
    tokens: Vec<u32>,
    prompt_length: usize,
    routes: Option<&'a [u16]>,
    /// Log-probabilities of the completion's tokens as the decoder saw them.
    sampled: &'a [f32],
    advantage: f64,
    /// Log-probabilities of the completion's tokens under the policy that sampled; `None`: those of this very pass.
    old: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
}

impl Sample<'_> {
    fn sequence(&self) -> Sequence<'_> {
        Sequence { tokens: &self.tokens, first_target: self.prompt_length, routes: self.routes }
    }

    fn length(&self) -> usize {
        self.tokens.len() - self.prompt_length
    }
}

/// What the updates of one batch of rollouts show.
#[derive(Default)]
struct Updated {
    measured: Measured,
    entropy: f64,
    grad_norm: f64,
    tokens: u64,
    updates: u64,
    loads: Vec<Vec<u64>>,
    /// Greatest distance of a log-probability of the first update from what the decoder saw.
    rollout_gap: f64,
    is_applied: bool,
}

/// Runs the stage: ask, roll out, score, advantages, update, ledger; then, when due, evaluate and save.
///
/// # Errors
/// When questions, the update or the run folder fail.
pub fn run(session: &mut Session, stage: &Stage, settings: &Grpo) -> Result<Status, TrainError> {
    let plan = session.plan.clone();
    let rule = match session.rules.remove(&stage.name) {
        Some(rule) => rule,
        None => Rule::new(&settings.rewards, settings.max_new_tokens)?,
    };
    let mut learner = session.learner();
    let mut syllabus = Syllabus::resume(&stage.courses, settings.pool, plan.seed, &learner.syllabus)?;
    if learner.step == 0 {
        if !is_ready(session, stage, &syllabus.measured(), settings)? {
            return Ok(Status::NotReady);
        }
        if settings.kl.kl_coefficient > 0.0 {
            learner.reference = Some(Snapshot::of(&session.policy));
        }
    }
    // Asked before each step, so that a resume sees what the run saw when it stopped.
    while learner.step < settings.steps && !is_over(settings, &learner, &syllabus) {
        step(session, stage, settings, &rule, &mut learner, &mut syllabus)?;
        if is_due(learner.step, settings.evaluate_every)
            && learner.step < settings.steps
            && evaluate_and_rise(session, stage, &mut syllabus, learner.step, &settings.evaluation)?
        {
            // Rewards of easier questions say nothing about what is to come.
            learner.recent.clear();
            learner.best = None;
        }
        learner.syllabus = syllabus.state();
        let save_every = settings.save_every;
        if let Some(status) = session.finish_step(stage, &learner, save_every, settings.max_bad_steps)? {
            return Ok(status);
        }
    }
    keep_best(session, settings, &learner);
    if let Some((share, spent)) = session.ledger.account(&stage.name).verifying() {
        session.progress.note(&format!(
            "{}: verifying took {:.1} % of the stage's time ({:.1} s on the wall, {:.1} CPU-s)",
            stage.name,
            100.0 * share,
            spent.wall_s,
            spent.cpu_s
        ));
    }
    session.evaluate(stage, &syllabus.measured(), learner.step, &settings.evaluation, 1, 1.0)?;
    session.finish_stage(stage, learner.step)?;
    Ok(Status::Done)
}

/// Whether the stage may end early: not before every curriculum teaches its last level.
fn is_over(settings: &Grpo, learner: &Learner, syllabus: &Syllabus<'_>) -> bool {
    let stop = settings.early_stop.filter(|_| syllabus.is_at_the_top());
    stop.is_some_and(|stop| learner.recent.len() >= stop.window && window_mean(learner) >= stop.reward)
}

/// One batch of rollouts and its updates.
fn step(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    rule: &Rule,
    learner: &mut Learner,
    syllabus: &mut Syllabus<'_>,
) -> Result<(), TrainError> {
    let started = Moment::now();
    let flops_before = session.ledger.flops();
    // What was taught while this batch was asked.
    let taught = syllabus.fields();
    let (scored, verifying) = roll_out_and_score(session, stage, settings, rule, learner, syllabus)?;
    let advantages: Vec<Vec<Option<f64>>> = scored.iter().map(|group| advantages(settings, group)).collect();
    let used: Vec<usize> = (0..scored.len())
        .filter(|at| settings.flat_groups == FlatGroups::Keep || !is_flat(&rewards(&scored[*at])))
        .collect();
    let mean_reward = mean(scored.iter().flat_map(rewards));
    remember(session, settings, learner, mean_reward);
    let samples: Vec<Vec<Sample<'_>>> =
        used.iter().map(|at| samples(settings, &scored[*at], &advantages[*at])).collect();
    let updated = update(session, stage, settings, learner, samples)?;
    session.settle(&stage.name, Work::Optimizer);
    learner.step += 1;
    if is_due(learner.step, settings.kl.kl_reference_every) && learner.reference.is_some() {
        learner.reference = Some(Snapshot::of(&session.policy));
    }
    row::log(
        session,
        stage,
        settings,
        rule,
        learner,
        &scored,
        &advantages,
        used.len(),
        &updated,
        taught,
        (started, flops_before, verifying),
    )
}

/// Asks a batch of questions, samples a group for each and scores it; flat groups are replaced if the recipe says so.
/// Gives also what the scoring took, other processes included.
fn roll_out_and_score(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    rule: &Rule,
    learner: &mut Learner,
    syllabus: &mut Syllabus<'_>,
) -> Result<(Vec<ScoredGroup>, Elapsed), TrainError> {
    let sampling = settings.sampling.sampling();
    let limits =
        Limits { max_new_tokens: settings.max_new_tokens, end: session.tokenizer.end(), thinking: None };
    let place = [session.next_stage() as u64, learner.step];
    let mut kept: Vec<ScoredGroup> = Vec::new();
    let mut pass_rates = Vec::new();
    let mut verifying = Elapsed::default();
    let rounds = if settings.flat_groups == FlatGroups::Refill { 1 + settings.refill_rounds } else { 1 };
    for round in 0..rounds {
        let missing = settings.prompts - kept.len();
        if missing == 0 {
            break;
        }
        let posing = Moment::now();
        let addresses = syllabus.ask(missing, &mut learner.asked);
        let (tasks, domains) = questions(session, syllabus, &addresses)?;
        let prompts: Vec<Vec<u32>> = tasks
            .iter()
            .map(|task| {
                let encoded = session.tokenizer.encode(&task.problem.prompt);
                encoded.map_err(|source| TrainError::Alphabet { task: task.task.clone(), source })
            })
            .collect::<Result<_, _>>()?;
        session.ledger.charge(&stage.name, Work::Data, Spent::new(posing.elapsed(), 0, 0));
        let requests: Vec<Request<'_>> = prompts
            .iter()
            .zip(&addresses)
            .map(|(prompt, at)| Request {
                prompt,
                samples: settings.group_size,
                address: [place[0], place[1], at.index],
            })
            .collect();
        let rolling = Moment::now();
        let rollout = roll_out(&session.policy, &requests, &sampling, &limits, session.plan.seed);
        let (prefill, decode) = (rollout.prefill_flops, rollout.decode_flops);
        let spent = Spent::new(rolling.elapsed(), prefill + decode, 0);
        session.ledger.charge(&stage.name, Work::RolloutPrefill, spent.part(prefill, rollout.prefill_tokens));
        session.ledger.charge(&stage.name, Work::RolloutDecode, spent.part(decode, rollout.decode_tokens));

        let judging = Moment::now();
        let address = [place[0], (place[1] << 16) + round as u64];
        let scored =
            rule.score(&domains, &session.tokenizer, tasks, rollout.groups, session.plan.seed, address);
        let judging = judging.elapsed();
        verifying.wall_s += judging.wall_s;
        verifying.cpu_s += judging.cpu_s;
        session.ledger.charge(&stage.name, Work::Verifier, Spent::new(judging, 0, 0));
        if rule.is_outside() || domains.iter().any(|domain| domain.is_outside()) {
            verifying.cpu_s += session.charge_children(&stage.name, true);
        }
        let account = session.ledger.account(&stage.name);
        account.tokens_generated += rollout.decode_tokens;
        account.verifier_calls += (missing * settings.group_size) as u64;
        account.correct +=
            scored.iter().flat_map(|group| &group.judged).filter(|one| one.is_correct()).count() as u64;

        let errors = scored.iter().flat_map(|group| &group.judged).filter(|one| one.is_error());
        let share = errors.count() as f64 / (missing * settings.group_size) as f64;
        if share > settings.rewards.max_error_share {
            let reason = scored.iter().flat_map(|group| &group.judged).find_map(Judged::error);
            return Err(TrainError::Verifier {
                stage: stage.name.clone(),
                step: learner.step + 1,
                share,
                limit: settings.rewards.max_error_share,
                reason: reason.unwrap_or_default().to_owned(),
            });
        }
        pass_rates.extend(scored.iter().map(pass_rate));
        if round + 1 < rounds {
            kept.extend(scored.into_iter().filter(|group| !is_flat(&rewards(group))));
        } else {
            // The last round's flat groups stay, so that a batch is never empty of what was sampled.
            kept.extend(scored);
        }
    }
    syllabus.observe_pass_rates(&pass_rates);
    Ok((kept, verifying))
}

/// The share of right answers among those of a group that could be judged.
fn pass_rate(group: &ScoredGroup) -> Option<f64> {
    let judged: Vec<&Judged> = group.judged.iter().filter(|one| !one.is_error()).collect();
    (!judged.is_empty()).then(|| mean(judged.iter().map(|one| f64::from(one.is_correct()))))
}

/// Questions, and beside each the domain that judges it.
type Questions = (Vec<Question>, Vec<Arc<dyn Domain>>);

/// The questions of the train split at these addresses, each with its judge.
fn questions(
    session: &Session,
    syllabus: &Syllabus<'_>,
    addresses: &[Address],
) -> Result<Questions, TrainError> {
    // The corpus of a pretraining counts from 0; half of the numbers lie between the two.
    let number = |index: u64| (1 << 63) + index;
    let ask = |at: &Address| {
        let task = syllabus.task(at);
        let question = task.dataset(session.plan.seed)?.question(Split::Train, number(at.index))?;
        Ok((question, task.domain.clone()))
    };
    Ok(addresses.iter().map(ask).collect::<Result<Vec<_>, DatasetError>>()?.into_iter().unzip())
}

/// The rewards of those members of a group that count.
fn rewards(group: &ScoredGroup) -> Vec<f64> {
    group.judged.iter().filter_map(|judged| judged.reward).collect()
}

/// The advantage of each member of a group; `None` for those that are left out.
fn advantages(settings: &Grpo, group: &ScoredGroup) -> Vec<Option<f64>> {
    let mut counted = settings.advantage.advantages(&rewards(group)).into_iter();
    group.judged.iter().map(|judged| judged.reward.and_then(|_| counted.next())).collect()
}

fn samples<'a>(settings: &Grpo, group: &'a ScoredGroup, advantages: &[Option<f64>]) -> Vec<Sample<'a>> {
    let prompt = &group.group.prompt;
    let members = group.group.completions.iter().zip(advantages);
    members
        .filter_map(|(completion, advantage)| {
            Some(Sample {
                tokens: prompt.iter().chain(&completion.tokens).copied().collect(),
                prompt_length: prompt.len(),
                routes: settings.replay_routes.then_some(&completion.routes[..]),
                sampled: &completion.log_probabilities,
                advantage: (*advantage)?,
                old: None,
                reference: None,
            })
        })
        .collect()
}

/// Every update that a batch of rollouts is used for.
fn update(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    learner: &mut Learner,
    groups: Vec<Vec<Sample<'_>>>,
) -> Result<Updated, TrainError> {
    let per_batch = groups.len().div_ceil(settings.minibatches).max(1);
    let mut groups = groups.into_iter();
    let mut minibatches: Vec<Vec<Sample<'_>>> = Vec::new();
    while groups.len() > 0 {
        minibatches.push(groups.by_ref().take(per_batch).flatten().collect());
    }
    minibatches.retain(|minibatch| !minibatch.is_empty());
    let mut updated = Updated { is_applied: true, ..Updated::default() };
    if settings.rewards.control == Control::NoRl || minibatches.is_empty() {
        return Ok(updated);
    }
    if let Some(reference) = &learner.reference {
        let (config, parameters) = (session.policy.config.clone(), session.policy.parameters.clone());
        let mut policy = Transformer::with_precision(config, parameters, session.plan.precision);
        reference.restore(&mut policy);
        session.settle(&stage.name, Work::Reference);
        for minibatch in &mut minibatches {
            let values = evaluate(session, stage, settings, learner, Some(&policy), minibatch)?;
            minibatch.iter_mut().zip(values).for_each(|(sample, values)| sample.reference = Some(values));
        }
    }
    // With one update a batch the policy that is updated is the one that sampled, and its own pass gives the values.
    if minibatches.len() * settings.epochs > 1 {
        for minibatch in &mut minibatches {
            let values = evaluate(session, stage, settings, learner, None, minibatch)?;
            minibatch.iter_mut().zip(values).for_each(|(sample, values)| sample.old = Some(values));
        }
    }
    for epoch in 0..settings.epochs {
        for (number, minibatch) in minibatches.iter().enumerate() {
            let is_fresh = epoch == 0 && number == 0;
            one_update(session, stage, settings, learner, minibatch, is_fresh, &mut updated)?;
        }
    }
    Ok(updated)
}

/// One update on one minibatch.
fn one_update(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    learner: &mut Learner,
    minibatch: &[Sample<'_>],
    is_fresh: bool,
    updated: &mut Updated,
) -> Result<(), TrainError> {
    let started = Moment::now();
    let place = (stage.name.clone(), learner.step + 1);
    let objective = settings.objective.objective(&settings.kl, settings.max_new_tokens);
    let size = BatchSize { sequences: minibatch.len(), tokens: minibatch.iter().map(Sample::length).sum() };
    let sequences: Vec<Sequence<'_>> = minibatch.iter().map(Sample::sequence).collect();
    let rows: u64 = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
    let balance = session.policy.config.aux_loss_alpha / sequences.len() as f32;
    let cap = settings.importance_cap.filter(|cap| *cap > 0.0);
    let loss = |range: std::ops::Range<usize>, tape: &Tape| {
        let samples = &minibatch[range.clone()];
        let (gradient, measured) = objective_gradient(&objective, size, cap, samples, tape)?;
        let gap = if is_fresh { rollout_gap(&minibatch[range], tape) } else { 0.0 };
        Ok((Some(gradient), (measured, sum(&tape.entropies), gap)))
    };
    let temperature = settings.sampling.temperature as f32;
    let pass = session
        .workspace
        .run(&session.policy, &sequences, temperature, balance, loss)
        .map_err(|source| TrainError::Tensor { stage: place.0.clone(), step: place.1, source })?;
    let Pass { parts, expert_loads, forward_flops, backward_flops, forward_surplus, backward_surplus } = pass;
    let spent = Spent::new(started.elapsed(), forward_flops + backward_flops, rows);
    let forward = spent.part(forward_flops, rows).with_surplus(forward_surplus);
    let backward = spent.part(backward_flops, 0).with_surplus(backward_surplus);
    session.ledger.charge(&stage.name, Work::Forward, forward);
    session.ledger.charge(&stage.name, Work::Backward, backward);

    let measured = parts.iter().fold(Measured::default(), |sum, (part, ..)| sum.join(*part));
    let is_one = measured.ratio_min == 1.0 && measured.ratio_max == 1.0;
    if is_fresh && !is_one && measured.loss.is_finite() {
        let (low, high) = (measured.ratio_min, measured.ratio_max);
        return Err(TrainError::RatioNotOne { stage: place.0, step: place.1, low, high });
    }
    let gap = parts.iter().map(|(.., gap)| *gap).fold(0.0, f64::max);
    // Rounded to bfloat16 the two differ by more than a fault would; there the difference is measured and corrected.
    let is_exact = session.plan.precision != Precision::Bf16;
    if is_exact && settings.replay_routes && gap > MAX_ROLLOUT_GAP {
        return Err(TrainError::RolloutGap { stage: place.0, step: place.1, gap });
    }
    updated.rollout_gap = updated.rollout_gap.max(gap);
    let updating = Moment::now();
    let rate = settings.optimizer.rate(place.1, settings.steps);
    let adamw = settings.optimizer.adamw();
    let (norm, is_applied) =
        session.apply(learner, measured.loss, rate, &adamw, &expert_loads, settings.bias_update_speed);
    session.ledger.charge(&stage.name, Work::Optimizer, Spent::new(updating.elapsed(), 0, 0));
    session.ledger.account(&stage.name).tokens_trained += size.tokens as u64;
    updated.measured = updated.measured.join(measured);
    updated.entropy += parts.iter().map(|(_, entropy, _)| entropy).sum::<f64>();
    updated.grad_norm = updated.grad_norm.max(norm);
    updated.tokens += size.tokens as u64;
    updated.updates += 1;
    add_loads(&mut updated.loads, &expert_loads);
    updated.is_applied &= is_applied;
    Ok(())
}

/// The objective on one micro-batch.
///
/// With `importance_cap` each token's weight is multiplied by how much likelier the training forward found it than the
/// decoder that drew it, at most the cap: truncated importance sampling (Yao et al. 2025, "Your efficient RL framework
/// secretly brings you off-policy RL training").
fn objective_gradient(
    objective: &Objective,
    size: BatchSize,
    importance_cap: Option<f64>,
    samples: &[Sample<'_>],
    tape: &Tape,
) -> candle_core::Result<(Vec<f32>, Measured)> {
    let tensor = |values: Vec<f32>| {
        let length = values.len();
        Tensor::from_vec(values, length, &Device::Cpu)
    };
    let lengths: Vec<usize> = samples.iter().map(Sample::length).collect();
    let mut weights = objective.aggregation.weights(&lengths, size);
    let advantages =
        samples.iter().flat_map(|sample| std::iter::repeat_n(sample.advantage as f32, sample.length()));
    let old: Option<Vec<&[f32]>> = samples.iter().map(|sample| sample.old.as_deref()).collect();
    let old = old.map_or_else(|| tape.log_probabilities.clone(), |old| old.concat());
    if let Some(cap) = importance_cap {
        let sampled = samples.iter().flat_map(|sample| sample.sampled);
        for ((weight, old), sampled) in weights.iter_mut().zip(&old).zip(sampled) {
            *weight *= f64::from(old - sampled).exp().min(cap);
        }
    }
    let reference: Option<Vec<&[f32]>> = samples.iter().map(|sample| sample.reference.as_deref()).collect();
    let reference = reference.map(|reference| tensor(reference.concat())).transpose()?;
    let tokens = Tokens {
        advantages: &tensor(advantages.collect())?,
        weights: &tensor(weights.into_iter().map(|weight| weight as f32).collect())?,
        old: &tensor(old)?,
        reference: reference.as_ref(),
    };
    objective.gradient(&tape.log_probabilities, &tokens)
}

/// The greatest distance of the tape's log-probabilities from those that the decoder saw.
fn rollout_gap(samples: &[Sample<'_>], tape: &Tape) -> f64 {
    let sampled = samples.iter().flat_map(|sample| sample.sampled);
    let gaps = tape.log_probabilities.iter().zip(sampled).map(|(ours, seen)| f64::from((ours - seen).abs()));
    gaps.fold(0.0, f64::max)
}

/// The log-probabilities of each sample of `minibatch` under `policy`, by default the one that learns.
fn evaluate(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    learner: &Learner,
    policy: Option<&Transformer>,
    minibatch: &[Sample<'_>],
) -> Result<Vec<Vec<f32>>, TrainError> {
    let started = Moment::now();
    let sequences: Vec<Sequence<'_>> = minibatch
        .iter()
        // Another policy chooses its own experts.
        .map(|sample| Sequence { routes: sample.routes.filter(|_| policy.is_none()), ..sample.sequence() })
        .collect();
    let rows: u64 = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
    let policy = policy.unwrap_or(&session.policy);
    let values = |_, tape: &Tape| Ok((None, tape.log_probabilities.clone()));
    let pass = session
        .workspace
        .run(policy, &sequences, settings.sampling.temperature as f32, 0.0, values)
        .map_err(|source| TrainError::Tensor {
        stage: stage.name.clone(),
        step: learner.step + 1,
        source,
    })?;
    let spent = Spent::new(started.elapsed(), pass.forward_flops, rows).with_surplus(pass.forward_surplus);
    session.ledger.charge(&stage.name, Work::Reference, spent);
    let mut all = pass.parts.into_iter().flatten();
    Ok(minibatch.iter().map(|sample| all.by_ref().take(sample.length()).collect()).collect())
}

/// Keeps the last mean rewards, and the weights that had the best mean over the window.
fn remember(session: &Session, settings: &Grpo, learner: &mut Learner, mean_reward: f64) {
    let window = settings.early_stop.map_or(WINDOW, |stop| stop.window);
    learner.recent.push_back(mean_reward);
    while learner.recent.len() > window {
        learner.recent.pop_front();
    }
    let mean = window_mean(learner);
    let is_best = learner.best.as_ref().is_none_or(|best| mean >= best.reward);
    if settings.keep_best && learner.recent.len() == window && is_best {
        let weights = Snapshot::of(&session.policy);
        learner.best = Some(Best { reward: mean, step: learner.step + 1, weights });
    }
}

fn window_mean(learner: &Learner) -> f64 {
    mean(learner.recent.iter().copied())
}

/// Ends with the best weights where the last ones earned less.
fn keep_best(session: &mut Session, settings: &Grpo, learner: &Learner) {
    let Some(best) = learner.best.as_ref().filter(|_| settings.keep_best) else { return };
    if window_mean(learner) < best.reward {
        session.progress.note(&format!(
            "the best weights are those of step {} (mean reward {:.3}): they are kept",
            best.step, best.reward
        ));
        best.weights.restore(&mut session.policy);
    }
}

/// Measures the base model; says whether the stage may begin.
fn is_ready(
    session: &mut Session,
    stage: &Stage,
    tasks: &[Arc<Task>],
    settings: &Grpo,
) -> Result<bool, TrainError> {
    let readiness = settings.readiness;
    let mut evaluation = settings.evaluation.clone();
    if readiness.action != ReadinessAction::Off {
        evaluation.count = evaluation.count.max(readiness.samples);
    }
    let rows = session.evaluate(stage, tasks, 0, &evaluation, 1, 1.0)?;
    if readiness.action == ReadinessAction::Off {
        return Ok(true);
    }
    let mut is_ready = true;
    for row in rows {
        let number = |key: &str| row.get(key).and_then(Value::as_f64);
        let direct = number("accuracy_direct").unwrap_or(0.0);
        let problem = match number("accuracy_thinking") {
            None => Some("it never thinks: raise the share of long solutions in its corpus".to_owned()),
            Some(long) if long < readiness.long_accuracy => Some(format!(
                "it is right in {:.0} % of the completions that think, below {:.0} %: pretrain longer, or lower the level",
                100.0 * long,
                100.0 * readiness.long_accuracy
            )),
            Some(long) if long < direct + readiness.direct_margin => Some(format!(
                "thinking ({:.0} % right) does not beat direct answers ({:.0} %): the policy will learn not to think",
                100.0 * long,
                100.0 * direct
            )),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            is_ready = false;
            session.progress.note(&format!("the base model is not ready: {problem}"));
        }
    }
    Ok(is_ready || readiness.action != ReadinessAction::Stop)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum()
}
