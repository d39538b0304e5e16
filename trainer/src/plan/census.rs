//! Counts the different questions of a run, and checks that none is in both splits.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thinkling_datasets::{DatasetError, Split};

use super::{Plan, Task};

/// Questions that are counted per split if they are generated; those of a file are all counted.
const LOOKED_AT: u64 = 512;

/// Counts of a task's questions, for `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Census {
    pub task: String,
    pub level: u32,
    /// Questions of the train split that were counted.
    pub train: u64,
    /// How many of them repeat an earlier one.
    pub train_duplicates: u64,
    /// Questions of the test split that were counted.
    pub test: u64,
    /// How many of them repeat an earlier one.
    pub test_duplicates: u64,
    /// Training questions that are also in the test split of any task: 0 unless the program has an error.
    pub shared: u64,
    /// Questions of a program that cannot be asked, for example because of a character outside the alphabet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

type Hashes = BTreeSet<[u8; 32]>;

/// Counts the questions of every task of `plan`.
pub(crate) fn census(plan: &Plan) -> Result<Vec<Census>, DatasetError> {
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

/// How many questions were counted, and the hashes of the different ones.
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
