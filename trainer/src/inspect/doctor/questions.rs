//! Checks that held-out questions are not training questions.

use std::collections::BTreeSet;

use thinkling_datasets::{DatasetError, Split};

use super::Finding;
use crate::learn::evaluate::Evaluation;
use crate::plan::{Plan, Task};

const PROBES: u64 = 512;

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

/// Questions in both splits, and tasks with too few questions.
pub(super) fn duplicates(plan: &Plan) -> Result<Vec<Finding>, DatasetError> {
    let mut findings = Vec::new();
    let mut seen_in_training: BTreeSet<String> = BTreeSet::new();
    for stage in &plan.stages {
        let Some(questions) = stage.settings.kind().learning().map(|learning| learning.questions) else {
            continue;
        };
        let (first, count) = (questions.start, (questions.end - questions.start).min(PROBES));
        let a_batch = stage.settings.kind().rewards().map_or(0, |rewards| rewards.prompts);
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
        let Evaluation { count, seed } = stage.settings.kind().evaluation();
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
