//! Group-relative policy optimisation: learns from verdicts on its own completions.
//!
//! Source: DeepSeekMath (arXiv 2402.03300) and DeepSeek-R1 (arXiv 2501.12948). Importance ratios are per token. The
//! divergence from the KL reference is part of the loss. The update uses the experts that the rollout chose.

use std::sync::Arc;

use serde_json::{Map, Value};
use thinkling_datasets::Split;

use super::learner::{Applied, Learner, UpdateSettings};
use super::run::Run;
use super::stop::{Status, TrainError};
use super::{Schedules, StagePlan, StageRun, StepId, is_due, train};
use crate::kernels::precision::Precision;
use crate::learn::advantage::is_flat;
use crate::learn::batch::{Batch, Group, Sample, Samples, Scored};
use crate::learn::objective::Objective;
use crate::learn::reward::{Control, RewardRule, UNASKED};
use crate::learn::score::Judged;
use crate::machine::work::Work;
use crate::policy::balance::add_loads;
use crate::policy::loss::Measured;
use crate::policy::rollout::{Completion, Limits};
use crate::policy::{Pass, Snapshot};
use crate::stages::kind::ReadinessAction;
use crate::tracking::tracker::{StepRecord, Tracker};
use settings::{FlatGroups, Grpo};

mod kind;
mod row;
pub(crate) mod settings;

/// Steps of the mean reward that chooses the best weights, if the recipe has no early stop.
const WINDOW: usize = 5;

/// The decoder and the training forward sum in different orders. A greater difference is an error in one of them.
const MAX_ROLLOUT_GAP: f64 = 1e-2;

pub(crate) fn run(stage: &StagePlan, settings: &Grpo, run: &mut Run) -> Result<Status, TrainError> {
    let rule = match run.rules.remove(&stage.name) {
        Some(rule) => rule,
        None => RewardRule::new(&settings.rewards, settings.max_new_tokens)?,
    };
    let objective = settings.objective.objective(&settings.kl, settings.max_new_tokens);
    let rollouts_per_step = run.tracker.rollouts_per_step();
    train(stage, &Reinforcement { stage, settings, rule, objective, rollouts_per_step }, run)
}

struct Reinforcement<'a> {
    stage: &'a StagePlan,
    settings: &'a Grpo,
    rule: RewardRule,
    objective: Objective,
    /// Completions per step that are written to `rollouts.jsonl`.
    rollouts_per_step: usize,
}

struct Step {
    samples: Samples,
    update: Update,
}

/// The results of all updates on one batch of rollouts.
#[derive(Default)]
struct Update {
    /// Over all updates; the loss is their sum.
    measured: Measured,
    /// Greatest norm of a gradient.
    grad_norm: f64,
    updates: u64,
    expert_loads: Vec<Vec<u64>>,
    /// Notes about skipped updates.
    notes: Vec<String>,
}

impl Update {
    fn add(&mut self, applied: Applied) {
        self.notes.extend(applied.note());
        let Applied { pass, .. } = applied;
        self.measured = self.measured.join(pass.measured);
        self.grad_norm = self.grad_norm.max(pass.norm);
        self.updates += 1;
        add_loads(&mut self.expert_loads, &pass.expert_loads);
    }
}

impl StageRun for Reinforcement<'_> {
    type Step = Step;

    fn schedules(&self) -> Schedules {
        let Grpo { steps, evaluate_every, ref evaluation, save_every, max_bad_steps, .. } = *self.settings;
        Schedules { steps, evaluate_every, evaluation: evaluation.clone(), save_every, max_bad_steps }
    }

    fn begin(&self, run: &mut Run) -> Result<bool, TrainError> {
        let is_ready = self.is_ready(run)?;
        if self.settings.kl.kl_coefficient > 0.0 {
            run.learner.reference = Some(Arc::new(Snapshot::of(run.learner.policy.parameters())));
        }
        Ok(is_ready)
    }

    /// Never before every rising level is at its top.
    fn is_over(&self, learner: &Learner) -> bool {
        let stop = self.settings.early_stop.filter(|_| learner.curriculum.is_at_the_top());
        stop.is_some_and(|stop| learner.recent.len() >= stop.window && learner.window_mean() >= stop.reward)
    }

    fn step(&self, at: StepId<'_>, learner: &mut Learner, tracker: &mut Tracker) -> Result<Step, TrainError> {
        let settings = self.settings;
        let failed = |source| at.failed(source);
        let (mut kept, mut pass_rates) = (Batch::default(), Vec::new());
        for round in 0..self.rounds() {
            let missing = settings.prompts - kept.groups.len();
            if missing == 0 {
                break;
            }
            let asked = tracker.time(|| ask(learner, missing, at.seed))?;
            let requests = asked.requests(settings.group_size, at.address());
            let (sampling, limits) = (settings.sampling.sampling(), self.limits(learner));
            let rollout = tracker.time(|| learner.policy.roll_out(&requests, &sampling, &limits, at.seed));
            let completed = asked.completed(rollout.map_err(failed)?);
            let is_outside = self.rule.is_outside(&completed);
            let scored = tracker.time(|| self.score(completed, learner, at, round))?;
            if is_outside {
                tracker.look_at_children(true);
            }
            pass_rates.extend(scored.pass_rates());
            kept.groups.extend(self.keep(scored, round));
        }
        learner.curriculum.observe_pass_rates(&pass_rates);
        if let Some(reward) = kept.mean_reward() {
            learner.remember(reward, self.window(), settings.keep_best);
        }
        let mut samples = self.weigh(kept);
        let mut update = Update::default();
        let temperature = settings.sampling.temperature as f32;
        if let Some(reference) = learner.reference.as_ref().filter(|_| self.learns(&samples)) {
            let mut reference = learner.policy.with_weights(reference).map_err(failed)?;
            tracker.settle(Work::Reference);
            tracker.time(|| samples.fill_reference(reference.as_mut(), temperature)).map_err(failed)?;
        }
        // A single update needs no old log-probabilities: it updates the policy that sampled.
        if self.learns(&samples) && samples.minibatch_count() * settings.epochs > 1 {
            let (policy, replay) = (learner.policy.as_mut(), settings.replay_routes);
            tracker.time(|| samples.fill_old(policy, temperature, replay)).map_err(failed)?;
        }
        for number in self.updates(&samples) {
            let minibatch = samples.minibatch(number % samples.minibatch_count());
            let is_fresh = number == 0;
            let loss = self.objective.on(&minibatch, settings.importance_cap, is_fresh);
            let sequences = minibatch.sequences(settings.replay_routes);
            let balance = learner.policy.config().aux_loss_alpha / sequences.len() as f32;
            let (policy, ranks) = (&mut learner.policy, learner.ranks.as_ref());
            let pass = tracker.time(|| policy.gradient(&sequences, temperature, balance, &loss, ranks));
            let pass = pass.map_err(failed)?;
            if is_fresh {
                self.is_fresh(&pass, learner.policy.precision(), at)?;
            }
            let (tokens, settings) = (minibatch.tokens() as u64, self.update_settings(at.done + 1));
            update.add(tracker.time(|| learner.apply(pass, tokens, &settings)).map_err(failed)?);
        }
        tracker.settle(Work::Optimizer);
        if is_due(at.done + 1, settings.kl.kl_reference_every) && learner.reference.is_some() {
            learner.reference = Some(Arc::new(Snapshot::of(learner.policy.parameters())));
        }
        Ok(Step { samples, update })
    }

    fn record(&self, step: &Step, taught: Map<String, Value>, learner: &Learner) -> StepRecord {
        self.row(step, taught, learner)
    }

    /// Rewards on easier questions do not predict those on harder ones.
    fn rise(&self, learner: &mut Learner) {
        learner.recent.clear();
        learner.best = None;
    }

    /// Restores the best weights if the last ones earned less.
    fn end(&self, run: &mut Run) -> Result<(), TrainError> {
        let (stage, step) = (self.stage.name.clone(), run.learner.step);
        let best = if self.settings.keep_best { run.learner.restore_best() } else { Ok(None) };
        if let Some(best) = best.map_err(|source| TrainError::Tensor { stage, step, source })? {
            run.tracker.progress.note(&format!(
                "the best weights are those of step {} (mean reward {:.3}): they are kept",
                best.step, best.reward
            ));
        }
        run.tracker.note_verifying();
        Ok(())
    }
}

/// The next `count` questions of the train split that the curriculum chooses.
fn ask(learner: &mut Learner, count: usize, seed: u64) -> Result<Batch<()>, TrainError> {
    // The corpus of pretraining counts from 0, so half of all numbers lie between the two.
    let number = |index: u64| (1 << 63) + index;
    let addresses = learner.curriculum.ask(count);
    let groups = addresses.iter().map(|at| {
        let task = learner.curriculum.task(at).clone();
        let question = task.dataset(seed)?.question(Split::Train, number(at.index))?;
        let prompt = learner.tokenizer.encode(&question.problem.prompt);
        let prompt = prompt.map_err(|source| TrainError::Alphabet { task: question.task.clone(), source })?;
        Ok(Group { question, task, index: at.index, prompt, members: Vec::new() })
    });
    Ok(Batch { groups: groups.collect::<Result<_, TrainError>>()? })
}

impl Reinforcement<'_> {
    fn rounds(&self) -> usize {
        if self.settings.flat_groups == FlatGroups::Refill { 1 + self.settings.refill_rounds } else { 1 }
    }

    fn limits(&self, learner: &Learner) -> Limits {
        Limits { max_new_tokens: self.settings.max_new_tokens, end: learner.tokenizer.end(), thinking: None }
    }

    /// Judges and rewards the completions; fails if verifiers failed on too many of them.
    fn score(
        &self,
        batch: Batch<Completion>,
        learner: &Learner,
        at: StepId<'_>,
        round: usize,
    ) -> Result<Batch<Scored>, TrainError> {
        let [stage, step] = at.address();
        let address = [stage, (step << 16) + round as u64];
        let scored = self.rule.score(batch, &learner.tokenizer, at.seed, address);
        let errors = scored.members().map(|one| &one.judged).filter(|one| one.is_error());
        let errors: Vec<&Judged> = errors.filter(|one| one.error() != Some(UNASKED)).collect();
        let share = errors.len() as f64 / scored.members().count() as f64;
        let limit = self.settings.rewards.max_error_share;
        if share > limit {
            let reason = errors.iter().find_map(|one| one.error()).unwrap_or_default().to_owned();
            let (stage, step) = (at.name.to_owned(), at.done + 1);
            return Err(TrainError::Verifier { stage, step, share, limit, reason });
        }
        Ok(scored)
    }

    /// The groups of a round that the batch keeps. It keeps the flat groups of the last round, so that it is never
    /// empty.
    fn keep(&self, scored: Batch<Scored>, round: usize) -> Vec<Group<Scored>> {
        let is_last = round + 1 == self.rounds();
        scored.groups.into_iter().filter(|group| is_last || !is_flat(&group.rewards())).collect()
    }

    fn window(&self) -> usize {
        self.settings.early_stop.map_or(WINDOW, |stop| stop.window)
    }

    /// The advantage of each completion, and the minibatches of the groups that are used.
    fn weigh(&self, kept: Batch<Scored>) -> Samples {
        let settings = self.settings;
        let is_used =
            |group: &Group<Scored>| settings.flat_groups == FlatGroups::Keep || !is_flat(&group.rewards());
        let used: Vec<usize> = (0..kept.groups.len()).filter(|group| is_used(&kept.groups[*group])).collect();
        let groups = kept.groups.into_iter().map(|mut group| {
            let advantages = settings.advantage.advantages(&group.rewards());
            let mut advantages = advantages.into_iter();
            let scored = std::mem::take(&mut group.members);
            let sample = |one: Scored| {
                let advantage = one.judged.reward.and_then(|_| advantages.next());
                Sample::new(&group.prompt, one, advantage)
            };
            let samples = scored.into_iter().map(sample).collect();
            group.with(samples)
        });
        Samples::new(Batch { groups: groups.collect() }, &used, settings.minibatches)
    }

    fn learns(&self, samples: &Samples) -> bool {
        self.settings.rewards.control != Control::NoRl && samples.minibatch_count() > 0
    }

    /// The indices of a step's updates: every minibatch, once per epoch.
    fn updates(&self, samples: &Samples) -> std::ops::Range<usize> {
        0..if self.learns(samples) { samples.minibatch_count() * self.settings.epochs } else { 0 }
    }

    fn update_settings(&self, step: u64) -> UpdateSettings {
        let Grpo { optimizer, steps, bias_update_speed, .. } = self.settings;
        UpdateSettings::of(optimizer, step, *steps, *bias_update_speed)
    }

    /// Checks that the importance ratio on fresh rollouts is 1, and that the decoder agrees with the training forward.
    fn is_fresh(&self, pass: &Pass, precision: Precision, at: StepId<'_>) -> Result<(), TrainError> {
        let Measured { ratio_min: low, ratio_max: high, loss, rollout_gap: gap, .. } = pass.measured;
        let problem = if (low != 1.0 || high != 1.0) && loss.is_finite() {
            format!("the importance ratio on fresh rollouts is between {low} and {high}, not 1")
        // In bfloat16 the two differ by more than an error would; there the difference is measured and corrected.
        } else if precision != Precision::Bf16 && self.settings.replay_routes && gap > MAX_ROLLOUT_GAP {
            format!("decoder and update differ by {gap} in a log-probability")
        } else {
            return Ok(());
        };
        Err(TrainError::Inconsistent { stage: at.name.to_owned(), step: at.done + 1, problem })
    }

    /// Measures the base model; returns whether the stage may begin.
    fn is_ready(&self, run: &mut Run) -> Result<bool, TrainError> {
        let readiness = self.settings.readiness;
        let mut evaluation = self.settings.evaluation.clone();
        if readiness.action != ReadinessAction::Off {
            evaluation.count = evaluation.count.max(readiness.samples);
        }
        let tasks: Vec<Arc<_>> = run.learner.curriculum.measured();
        let measured = run.evaluate(self.stage, &tasks, &evaluation, 1, 1.0)?;
        if readiness.action == ReadinessAction::Off {
            return Ok(true);
        }
        let mut is_ready = true;
        for measures in measured {
            let Some(means) = measures.means else {
                is_ready = false;
                run.tracker
                    .progress
                    .note("the base model is not ready: none of its completions could be judged");
                continue;
            };
            let direct = means.accuracy_direct.map_or(0.0, |share| share.value);
            let problem = match means.accuracy_thinking.map(|share| share.value) {
                None => Some("it never thinks: raise the share of long solutions in its corpus".to_owned()),
                Some(long) if long < readiness.long_accuracy => Some(format!(
                    "it is right in {:.0} % of the completions that think, below {:.0} %: pretrain longer, or lower the \
                     level",
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
                run.tracker.progress.note(&format!("the base model is not ready: {problem}"));
            }
        }
        Ok(is_ready || readiness.action != ReadinessAction::Stop)
    }
}
