//! How many questions a run can tell apart, and that none is asked in both splits.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thinkling_datasets::{DatasetError, Split};

use super::{Plan, Task};

/// Questions of each split that are looked at where they are posed; those of a file are all looked at.
const LOOKED_AT: u64 = 512;

/// What was found among the questions of a task, for `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Census {
    /// The task.
    pub task: String,
    /// Its level.
    pub level: u32,
    /// Questions of the train split that were looked at.
    pub train: u64,
    /// Those of them that repeat an earlier one.
    pub train_duplicates: u64,
    /// Questions of the test split that were looked at.
    pub test: u64,
    /// Those of them that repeat an earlier one.
    pub test_duplicates: u64,
    /// Questions to train on that any task of the run tests with: 0, or the program is at fault.
    pub shared: u64,
    /// Questions of a program that were met while looking and cannot be asked: the alphabet lacks a character, say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

type Hashes = BTreeSet<[u8; 32]>;

/// Looks at the questions of every task of `plan`.
///
/// # Errors
/// Never for the tasks of a plan, whose levels were checked.
pub fn census(plan: &Plan) -> Result<Vec<Census>, DatasetError> {
    let mut tasks: Vec<&Arc<Task>> = Vec::new();
    for task in plan.stages.iter().flat_map(|stage| &stage.measured) {
        if !tasks.contains(&task) {
            tasks.push(task);
        }
    }
    let looked = tasks
        .iter()
        .map(|task| {
            let before = task.domain.passed_over();
            let (train, test) = (look(task, Split::Train, plan.seed)?, look(task, Split::Test, 0)?);
            Ok((train, test, task.domain.passed_over() - before))
        })
        .collect::<Result<Vec<_>, DatasetError>>()?;
    let tested: Hashes = looked.iter().flat_map(|(_, (_, test), _)| test).copied().collect();
    let counted =
        tasks.iter().zip(&looked).map(|(task, ((train, trained), (test, own), passed_over))| Census {
            task: task.name.clone(),
            level: task.level,
            train: *train,
            train_duplicates: train - trained.len() as u64,
            test: *test,
            test_duplicates: test - own.len() as u64,
            shared: trained.intersection(&tested).count() as u64,
            passed_over: *passed_over,
        });
    Ok(counted.collect())
}

/// How many questions were looked at, and those that differ.
fn look(task: &Task, split: Split, seed: u64) -> Result<(u64, Hashes), DatasetError> {
    let dataset = task.dataset(seed)?;
    let hash = |prompt: &str| *blake3::hash(prompt.as_bytes()).as_bytes();
    if let Some(list) = task.domain.listed(split, task.level) {
        let hashes = list.iter().map(|problem| hash(&problem.prompt)).collect();
        let left_out = task.file.as_ref().map_or(0, |file| match split {
            Split::Train => file.report.train_duplicates,
            Split::Test => file.report.test_duplicates,
        });
        return Ok((list.len() as u64 + if task.level == 0 { left_out } else { 0 }, hashes));
    }
    let ask = |index| Ok(hash(&dataset.question(split, index)?.problem.prompt));
    let hashes = (0..LOOKED_AT).map(ask).collect::<Result<_, _>>()?;
    Ok((LOOKED_AT, hashes))
}
