//! Whether what is measured was learnt by heart.

use std::collections::BTreeSet;

use thinkling_datasets::{DatasetError, Split};

use super::Finding;
use crate::plan::{Plan, Stage, Task};
use crate::recipe;

/// Questions that are posed of each split and stage.
const PROBES: u64 = 512;
/// Where GRPO's numbers of questions start, half of all after those of a corpus.
const REINFORCED: u64 = 1 << 63;

/// Prompts of the first questions of a split.
fn prompts(
    task: &Task,
    seed: u64,
    split: Split,
    first: u64,
    count: u64,
) -> Result<BTreeSet<String>, DatasetError> {
    let dataset = task.dataset(seed)?;
    (first..first + count).map(|index| Ok(dataset.question(split, index)?.problem.prompt)).collect()
}

/// The questions a stage learns from, as many as are looked at: how many, from which number on.
fn learnt(stage: &Stage) -> Option<(u64, u64)> {
    match &stage.settings {
        recipe::Stage::Pretrain(settings) => Some((0, settings.documents().min(PROBES))),
        recipe::Stage::Grpo(settings) => {
            Some((REINFORCED, settings.steps.saturating_mul(settings.prompts as u64).min(PROBES)))
        }
        _ => None,
    }
}

/// The questions a stage is measured on: how many, of which seed.
fn measured(stage: &Stage) -> (u64, u64) {
    match &stage.settings {
        recipe::Stage::Pretrain(settings) => (settings.evaluation.count, settings.evaluation.seed),
        recipe::Stage::Grpo(settings) => (settings.evaluation.count, settings.evaluation.seed),
        recipe::Stage::Eval(settings) => (settings.count, settings.seed),
    }
}

/// Questions that are both learnt and measured, and tasks with too few questions to tell.
pub(super) fn duplicates(plan: &Plan) -> Result<Vec<Finding>, DatasetError> {
    let mut findings = Vec::new();
    let mut seen_in_training: BTreeSet<String> = BTreeSet::new();
    for stage in &plan.stages {
        let Some((first, count)) = learnt(stage) else { continue };
        let a_batch = match &stage.settings {
            recipe::Stage::Grpo(settings) => settings.prompts,
            _ => 0,
        };
        for task in &stage.measured {
            let distinct = prompts(task, plan.seed, Split::Train, first, count)?;
            if stage.measured.len() == 1 && distinct.len() < a_batch && count >= a_batch as u64 {
                let seen = format!(
                    "task `{}` at level {} has only {} different training questions: each batch of {a_batch} repeats \
                     them",
                    task.name,
                    task.level,
                    distinct.len()
                );
                let change = "a higher task.level, or fewer prompts".to_owned();
                findings.push(Finding::error("duplicates", stage, seen, change));
            }
            seen_in_training.extend(distinct);
        }
    }
    let mut known: Vec<(&Task, u64, u64)> = Vec::new();
    for stage in &plan.stages {
        let (count, seed) = measured(stage);
        for task in &stage.measured {
            if known.contains(&(task.as_ref(), count, seed)) {
                continue;
            }
            known.push((task, count, seed));
            let asked = count.min(PROBES);
            let distinct = prompts(task, seed, Split::Test, 0, asked)?;
            let shared = distinct.intersection(&seen_in_training).count();
            let of = format!("{} test questions of task `{}`", distinct.len(), task.name);
            if shared > 0 {
                let seen = format!("{shared} of {of} are training questions too: accuracy on them is memory");
                let change = "other questions for one of the two: another file or split, then \
                              `thinkling data decontaminate`";
                findings.push(Finding::error("duplicates", stage, seen, change.to_owned()));
            } else if (distinct.len() as u64) * 2 < asked {
                let seen = format!("only {} of {asked} test questions differ", distinct.len());
                let change = format!("a higher task.level, or a count of {}", distinct.len());
                findings.push(Finding::warning("duplicates", stage, seen, change));
            } else {
                let seen = format!("none of {of} is among {} training questions", seen_in_training.len());
                findings.push(Finding::ok("duplicates", Some(stage), seen));
            }
        }
    }
    Ok(findings)
}
