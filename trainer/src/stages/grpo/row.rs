//! The records of a step of GRPO: its row of `metrics.jsonl` and completions for `rollouts.jsonl`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Reinforcement, Step, Update};
use crate::learn::advantage::is_flat;
use crate::learn::batch::{Batch, Group, Sample, mean};
use crate::learn::reward::Control;
use crate::learn::score::Judged;
use crate::policy::balance::{load_max_over_mean, load_shares};
use crate::stages::StagePlan;
use crate::stages::learner::Learner;
use crate::tracking::tracker::{StepRecord, fields};

/// The fields of a row of `metrics.jsonl`; those that do not apply are absent.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    means: Option<Means>,
    length_max: f64,
    groups: usize,
    groups_in_update: usize,
    rewards: Map<String, Value>,
    verifier_errors: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    lr: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entropy: Option<f64>,
    #[serde(flatten)]
    updated: Option<Updated>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_load_max_over_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expert_load: Option<Vec<Vec<f64>>>,
}

/// Means over the completions that could be judged.
#[derive(Serialize)]
struct Means {
    #[serde(skip_serializing_if = "Option::is_none")]
    reward_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward_std: Option<f64>,
    accuracy: f64,
    length_mean: f64,
    /// Share of completions that reached `max_new_tokens`.
    truncated_share: f64,
    /// Share of completions in the required format.
    format_rate: f64,
    groups_used_share: f64,
    /// Share of completions that verify, backtrack or restart.
    reflection_rate: f64,
    /// Abandoned attempts per completion.
    backtracks: f64,
    thinking_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_thinking: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_direct: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    false_step_share: Option<f64>,
    /// Share of checks that accept a false step.
    #[serde(skip_serializing_if = "Option::is_none")]
    false_yes_share: Option<f64>,
}

/// Fields of a step whose update was applied.
#[derive(Serialize)]
struct Updated {
    loss: f64,
    rollout_gap_max: f64,
    grad_norm: f64,
    ratio_max: f64,
    clip_low_share: f64,
    clip_high_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<f64>,
}

impl Updated {
    fn of(update: &Update, has_reference: bool) -> Option<Self> {
        let (measured, tokens) = (&update.measured, update.measured.tokens as f64);
        (update.updates > 0 && update.notes.is_empty()).then(|| Self {
            loss: measured.loss / update.updates as f64,
            rollout_gap_max: measured.rollout_gap,
            grad_norm: update.grad_norm,
            ratio_max: measured.ratio_max,
            clip_low_share: measured.clipped_low as f64 / tokens,
            clip_high_share: measured.clipped_high as f64 / tokens,
            kl: has_reference.then(|| measured.kl / tokens),
        })
    }
}

impl Means {
    /// `None` if nothing could be judged.
    fn of(batch: &Batch<Sample>) -> Option<Self> {
        let samples: Vec<&Sample> = batch.members().filter(|one| is_judged(one)).collect();
        if samples.is_empty() {
            return None;
        }
        let judged: Vec<&Judged> = samples.iter().map(|one| &one.scored.judged).collect();
        let completions = || samples.iter().map(|one| &one.scored.completion);
        let share = |is_so: &dyn Fn(&Judged) -> bool| mean(judged.iter().map(|one| f64::from(is_so(one))));
        // With `mask`, a completion that was judged may have no reward.
        let rewards: Vec<f64> = batch.groups.iter().flat_map(Group::<Sample>::rewards).collect();
        let reward_mean = (!rewards.is_empty()).then(|| mean(rewards.iter().copied()));
        let groups = batch.groups.iter().filter(|group| group.members.iter().any(is_judged));
        let reflects = |one: &Judged| {
            one.behaviours.verifications + one.behaviours.backtracks + one.behaviours.restarts > 0
        };
        let accuracy_of = |is_thinking: bool| {
            let mut of_kind = judged.iter().filter(|one| one.is_thinking == is_thinking).peekable();
            of_kind.peek().is_some().then(|| mean(of_kind.map(|one| f64::from(one.is_correct()))))
        };
        let total = |number: &dyn Fn(&Judged) -> u32| -> f64 {
            judged.iter().map(|one| f64::from(number(one))).sum()
        };
        let part = |part: f64, all: f64| (all > 0.0).then(|| part / all);
        Some(Self {
            reward_mean,
            reward_std: reward_mean
                .map(|centre| mean(rewards.iter().map(|one| (one - centre).powi(2))).sqrt()),
            accuracy: share(&Judged::is_correct),
            length_mean: mean(completions().map(|one| one.tokens.len() as f64)),
            truncated_share: mean(completions().map(|one| f64::from(!one.is_finished))),
            format_rate: share(&|one| one.is_well_formed),
            groups_used_share: mean(groups.map(|group| f64::from(!is_flat(&group.rewards())))),
            reflection_rate: share(&reflects),
            backtracks: mean(judged.iter().map(|one| f64::from(one.behaviours.backtracks))),
            thinking_share: share(&|one| one.is_thinking),
            accuracy_thinking: accuracy_of(true),
            accuracy_direct: accuracy_of(false),
            false_step_share: part(
                total(&|one| one.behaviours.false_steps),
                total(&|one| one.behaviours.steps),
            ),
            false_yes_share: part(
                total(&|one| one.behaviours.false_yeses),
                total(&|one| one.behaviours.yeses),
            ),
        })
    }
}

fn is_judged(one: &Sample) -> bool {
    !one.scored.judged.is_error()
}

/// Accuracy per task, for a stage with several; tasks that were not asked are absent.
fn by_task(stage: &StagePlan, batch: &Batch<Sample>) -> Option<Map<String, Value>> {
    let mut names: Vec<&str> = stage.courses.iter().map(|course| course.tasks[0].name.as_str()).collect();
    names.dedup();
    let of_task = |name: &str| {
        let groups = batch.groups.iter().filter(|group| group.question.task == name);
        let mut members = groups.flat_map(|group| &group.members).filter(|one| is_judged(one)).peekable();
        let is_correct = |one: &Sample| f64::from(one.scored.judged.is_correct());
        members.peek().is_some().then(|| mean(members.map(is_correct)))
    };
    let accuracy = names.iter().filter_map(|name| Some(((*name).to_owned(), json!(of_task(name)?))));
    (names.len() > 1).then(|| accuracy.collect())
}

impl Reinforcement<'_> {
    pub(super) fn row(&self, step: &Step, taught: Map<String, Value>, learner: &Learner) -> StepRecord {
        let Step { samples, update } = step;
        let batch = &samples.batch;
        let judged: Vec<&Judged> = batch.members().map(|one| &one.scored.judged).collect();
        let completions = || batch.members().map(|one| &one.scored.completion);
        let lengths: Vec<usize> = completions().map(|one| one.tokens.len()).collect();
        let updated = Updated::of(update, learner.reference.is_some());
        let has_pass = update.updates > 0;
        let row = Row {
            means: Means::of(batch),
            length_max: lengths.iter().copied().max().unwrap_or(0) as f64,
            groups: batch.groups.len(),
            groups_in_update: samples.groups_used,
            rewards: self.term_means(&judged),
            verifier_errors: judged.iter().filter(|one| one.is_error()).count(),
            // A batch without an update still has a learning rate; a stage that never updates has none.
            lr: (self.settings.rewards.control != Control::NoRl)
                .then(|| self.update_settings(learner.step).learning_rate),
            entropy: match &updated {
                Some(_) => Some(update.measured.entropy / update.measured.tokens as f64),
                // The sampling distributions give the entropy.
                None if !has_pass => Some(mean(
                    completions().flat_map(|one| &one.entropies).map(|entropy| f64::from(*entropy)),
                )),
                None => None,
            },
            skipped: has_pass && updated.is_none(),
            updated,
            expert_load_max_over_mean: load_max_over_mean(&update.expert_loads),
            expert_load: has_pass
                .then(|| load_shares(&update.expert_loads))
                .filter(|shares| !shares.is_empty()),
        };
        let mut all = taught;
        all.extend(by_task(self.stage, batch).map(|of| ("accuracy_by_task".to_owned(), Value::Object(of))));
        all.extend(fields(&row));
        StepRecord {
            fields: all,
            tokens: lengths.iter().sum::<usize>() as u64,
            completions: self.completions(batch, learner.step),
            notes: update.notes.clone(),
        }
    }

    /// The mean unweighted score of each term over the completions that it could judge.
    fn term_means(&self, judged: &[&Judged]) -> Map<String, Value> {
        let mut means = Map::new();
        for (at, term) in self.rule.terms.iter().enumerate() {
            let mut scores = judged.iter().filter_map(|one| one.earned.get(at)?.score).peekable();
            // A term that judged nothing has no mean.
            if scores.peek().is_some() {
                means.insert(term.name.clone(), json!(mean(scores)));
            }
        }
        means
    }

    /// Some completions, spread over the batch so that a reader sees several questions.
    fn completions(&self, batch: &Batch<Sample>, step: u64) -> Vec<Value> {
        let shown = self.rollouts_per_step;
        let members = batch.groups.iter().flat_map(|group| group.members.iter().map(move |one| (group, one)));
        let every = (batch.members().count() / shown.max(1)).max(1);
        let row = |(group, sample): (&Group<Sample>, &Sample)| {
            let Sample { scored, advantage, .. } = sample;
            let (judged, completion, problem) = (&scored.judged, &scored.completion, &group.question.problem);
            let terms = self.rule.terms.iter().zip(&judged.earned);
            let scores: Map<String, Value> =
                terms.map(|(term, earned)| (term.name.clone(), json!(earned.score))).collect();
            json!({
                "stage": self.stage.name, "step": step, "task": group.question.id,
                "prompt": problem.prompt, "answer": problem.answer,
                "completion": judged.text, "finished": completion.is_finished, "length": completion.tokens.len(),
                "verdict": judged.verdict.outcome, "reason": judged.verdict.reason, "score": judged.verdict.score,
                "reward": judged.reward, "advantage": advantage, "rewards": scores,
            })
        };
        members.step_by(every).take(shown).map(row).collect()
    }
}
