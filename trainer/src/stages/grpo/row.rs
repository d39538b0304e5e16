//! What a step leaves in `metrics.jsonl` and `rollouts.jsonl`.

use serde_json::{Map, Value, json};

use super::settings::Grpo;
use super::{Updated, mean, rewards};
use crate::learn::advantage::is_flat;
use crate::learn::reward::{Control, Rule};
use crate::learn::score::{Judged, ScoredGroup};
use crate::machine::clock::{Elapsed, Moment};
use crate::policy::gradient::{load_max_over_mean, load_shares};
use crate::stages::StagePlan as Stage;
use crate::stages::learner::Learner;
use crate::stages::run::{Session, TrainError};

/// Accuracy task by task, where a stage asks several; a task that was not asked is left out.
fn by_task(stage: &Stage, scored: &[ScoredGroup]) -> Option<(String, Value)> {
    let mut names: Vec<&str> = stage.courses.iter().map(|course| course.tasks[0].name.as_str()).collect();
    names.dedup();
    let of_task = |name: &str| {
        let groups = scored.iter().filter(|group| group.task.task == name);
        let mut judged = groups.flat_map(|group| &group.judged).peekable();
        judged.peek().is_some().then(|| mean(judged.map(|one| f64::from(one.is_correct()))))
    };
    let accuracy = names.iter().filter_map(|name| Some(((*name).to_owned(), json!(of_task(name)?))));
    (names.len() > 1).then(|| ("accuracy_by_task".to_owned(), Value::Object(accuracy.collect())))
}

/// The mean of each term's unweighted score over the completions that it could judge.
fn term_means(rule: &Rule, judged: &[&Judged]) -> Map<String, Value> {
    let mut means = Map::new();
    for (at, term) in rule.terms.iter().enumerate() {
        let mut scores = judged.iter().filter_map(|one| one.earned.get(at)?.score).peekable();
        // What nobody could judge has no mean.
        if scores.peek().is_some() {
            means.insert(term.name.clone(), json!(mean(scores)));
        }
    }
    means
}

/// The unweighted score of each term; null where it could not judge.
fn term_scores(rule: &Rule, judged: &Judged) -> Map<String, Value> {
    let terms = rule.terms.iter().zip(&judged.earned);
    terms.map(|(term, earned)| (term.name.clone(), json!(earned.score))).collect()
}

/// Writes the step's row and its sampled completions.
#[allow(clippy::too_many_arguments, reason = "everything that a step has produced is reported")]
pub(super) fn log(
    session: &mut Session,
    stage: &Stage,
    settings: &Grpo,
    rule: &Rule,
    learner: &Learner,
    scored: &[ScoredGroup],
    advantages: &[Vec<Option<f64>>],
    used: usize,
    updated: &Updated,
    taught: Map<String, Value>,
    (started, flops_before, verifying): (Moment, f64, Elapsed),
) -> Result<(), TrainError> {
    let judged: Vec<&Judged> = scored.iter().flat_map(|group| &group.judged).collect();
    let completions: Vec<_> = scored.iter().flat_map(|group| &group.group.completions).collect();
    let share = |is_so: &dyn Fn(&Judged) -> bool| mean(judged.iter().map(|one| f64::from(is_so(one))));
    let accuracy_of = |is_thinking: bool| {
        let mut of_kind = judged.iter().filter(|one| one.is_thinking == is_thinking).peekable();
        of_kind.peek().is_some().then(|| mean(of_kind.map(|one| f64::from(one.is_correct()))))
    };
    let all_rewards: Vec<f64> = scored.iter().flat_map(rewards).collect();
    let reward = mean(all_rewards.iter().copied());
    let variance = mean(all_rewards.iter().map(|one| (one - reward).powi(2)));
    let lengths: Vec<f64> = completions.iter().map(|one| one.tokens.len() as f64).collect();
    let accuracy = share(&|one| one.is_correct());
    let total =
        |number: &dyn Fn(&Judged) -> u32| -> f64 { judged.iter().map(|one| f64::from(number(one))).sum() };
    let wall_s = started.elapsed().wall_s;
    let drawn: f64 = lengths.iter().sum();

    let mut row = session.row(&stage.name, "grpo", learner.step);
    session.speed(&mut row, wall_s, drawn as u64, session.ledger.flops() - flops_before);
    row.extend(taught);
    row.extend(by_task(stage, scored));
    let mut set = |name: &str, value: Value| row.insert(name.to_owned(), value);
    set("reward_mean", json!(reward));
    set("reward_std", json!(variance.sqrt()));
    set("accuracy", json!(accuracy));
    set("length_mean", json!(mean(lengths.iter().copied())));
    set("length_max", json!(lengths.iter().copied().fold(0.0, f64::max)));
    set("truncated_share", json!(mean(completions.iter().map(|one| f64::from(!one.is_finished)))));
    set("format_rate", json!(share(&|one| one.is_well_formed)));
    set(
        "groups_used_share",
        json!(scored.iter().filter(|group| !is_flat(&rewards(group))).count() as f64 / scored.len() as f64),
    );
    set("groups", json!(scored.len()));
    set("groups_in_update", json!(used));
    let reflects =
        |one: &Judged| one.behaviours.verifications + one.behaviours.backtracks + one.behaviours.restarts > 0;
    set("reflection_rate", json!(share(&reflects)));
    set("backtracks", json!(mean(judged.iter().map(|one| f64::from(one.behaviours.backtracks)))));
    set("thinking_share", json!(share(&|one| one.is_thinking)));
    set("rewards", Value::Object(term_means(rule, &judged)));
    set("verifying_s", json!(verifying.wall_s));
    set("verifying_cpu_s", json!(verifying.cpu_s));
    set("verifying_share", json!(verifying.wall_s / wall_s));
    set("verifier_errors", json!(judged.iter().filter(|one| one.is_error()).count()));
    for (name, value) in [("accuracy_thinking", accuracy_of(true)), ("accuracy_direct", accuracy_of(false))] {
        if let Some(value) = value {
            set(name, json!(value));
        }
    }
    for (name, wrong, all) in [
        ("false_step_share", total(&|one| one.behaviours.false_steps), total(&|one| one.behaviours.steps)),
        ("false_yes_share", total(&|one| one.behaviours.false_yeses), total(&|one| one.behaviours.yeses)),
    ] {
        if all > 0.0 {
            set(name, json!(wrong / all));
        }
    }
    // A batch without an update still stands somewhere in the schedule; a stage that never updates has none.
    if settings.rewards.control != Control::NoRl {
        set("lr", json!(settings.optimizer.rate(learner.step, settings.steps)));
    }
    if updated.tokens == 0 {
        // Without an update, the distributions that were sampled from tell it.
        let entropies = completions.iter().flat_map(|one| &one.entropies);
        set("entropy", json!(mean(entropies.map(|entropy| f64::from(*entropy)))));
    } else {
        let tokens = updated.tokens as f64;
        if updated.is_applied {
            set("loss", json!(updated.measured.loss / updated.updates as f64));
            set("rollout_gap_max", json!(updated.rollout_gap));
            set("grad_norm", json!(updated.grad_norm));
            set("entropy", json!(updated.entropy / tokens));
            set("ratio_max", json!(updated.measured.ratio_max));
            set("clip_low_share", json!(updated.measured.clipped_low as f64 / tokens));
            set("clip_high_share", json!(updated.measured.clipped_high as f64 / tokens));
            if learner.reference.is_some() {
                set("kl", json!(updated.measured.kl / tokens));
            }
        } else {
            set("skipped", json!(true));
        }
        if let Some(load) = load_max_over_mean(&updated.loads) {
            set("expert_load_max_over_mean", json!(load));
            set("expert_load", json!(load_shares(&updated.loads)));
        }
    }
    let length = mean(lengths.iter().copied());
    let shown = [
        ("reward", format!("{reward:.3}")),
        ("accuracy", format!("{accuracy:.3}")),
        ("length", format!("{length:.1}")),
        ("tokens/s", format!("{:.0}", drawn / wall_s)),
        ("cost", format!("${:.6}", session.ledger.cost_usd(&session.plan.prices))),
    ];
    session.progress.step(&stage.name, learner.step, settings.steps, &shown);
    session.log(row)?;
    let members = scored.iter().zip(advantages).flat_map(|(group, advantages)| {
        group.judged.iter().zip(&group.group.completions).zip(advantages).map(move |member| (group, member))
    });
    // Spread over the batch, so that a reader sees several questions.
    let every = (judged.len() / session.plan.log.rollouts_per_step.max(1)).max(1);
    let chosen: Vec<Value> = members
        .step_by(every)
        .take(session.plan.log.rollouts_per_step)
        .map(|(group, ((judged, completion), advantage))| {
            json!({
                "stage": stage.name, "step": learner.step, "task": group.task.id,
                "prompt": group.task.problem.prompt, "answer": group.task.problem.answer,
                "completion": judged.text, "finished": completion.is_finished, "length": completion.tokens.len(),
                "verdict": judged.verdict.outcome, "reason": judged.verdict.reason, "score": judged.verdict.score,
                "reward": judged.reward, "advantage": advantage, "rewards": term_scores(rule, judged),
            })
        })
        .collect();
    for row in &chosen {
        session.log_rollout(row)?;
    }
    Ok(())
}
