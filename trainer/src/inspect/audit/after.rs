//! Audits a run: judges its completions again, more strictly, and looks for suspicious patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thinkling_datasets::{Problem, Split};
use thinkling_verifiers::{Item, Outcome, answer, format};

use super::{AuditFinding, Example};
use crate::learn::reward_terms::RewardEntry;
use crate::plan::{self, Plan, Stage};
use crate::tracking::run_folder;

const EXAMPLES: usize = 3;
/// Share of a stage's completions at its start, and at its end, that are searched for patterns.
const WINDOW: f64 = 0.25;
/// Least number of completions for a pattern.
const LEAST: usize = 4;
/// Least score that counts as a reward.
const PAID: f64 = 0.5;
/// Least share of the last completions for a finding.
const SHARE: f64 = 0.5;
/// Least growth of the share of right answers without thinking since the start of the stage.
const GROWN: f64 = 0.1;
/// Least share of completions with loops for a finding.
const LOOPS: f64 = 0.1;
/// Least repeats of a loop's unit, and least characters of a loop.
const TURNS: usize = 6;
const COVERED: usize = 32;
const UNIT: usize = 40;
/// Least growth of the mean reward that counts.
const GROWTH: f64 = 0.1;
/// Held-out accuracy must grow by this share of the growth of the reward.
const FOLLOWS: f64 = 0.25;
/// Most that a term's mean score may exceed the share of right answers.
const ABOVE: f64 = 0.05;

/// Why a folder cannot be audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file of the run does not exist or cannot be read.
    #[error("cannot read {}: give the folder of a run with a stage of grpo", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// A line that no run writes.
    #[error("{} line {line}: {message}", path.display())]
    Line {
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        message: String,
    },
}

/// The result of the audit of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunAudit {
    /// The run's name.
    pub run: String,
    /// Completions read.
    pub completions: usize,
    /// Completions judged again.
    pub judged_again: usize,
    /// Completions that could not be judged, in the run or again. Nothing is said of them.
    pub errors: usize,
    /// Rows of `metrics.jsonl` read.
    pub rows: usize,
    /// Problems for a person to check.
    pub findings: Vec<AuditFinding>,
}

/// The fields of a line of `rollouts.jsonl` that the audit needs.
#[derive(Deserialize)]
struct RolloutRow {
    stage: String,
    step: u64,
    task: String,
    prompt: String,
    answer: String,
    completion: String,
    finished: bool,
    verdict: String,
    score: f64,
    /// By term; absent in runs of earlier versions.
    #[serde(default)]
    rewards: Map<String, Value>,
}

/// Audits the run in `folder` with the recipe `plan`.
pub fn run(folder: &Path, plan: &Plan) -> Result<RunAudit, AuditError> {
    let rollouts: Vec<RolloutRow> = lines(&folder.join(run_folder::ROLLOUTS))?;
    let metrics: Vec<Value> = lines(&folder.join(run_folder::METRICS))?;
    let mut findings = Vec::new();
    let (mut judged_again, mut errors) = (0, 0);
    for stage in &plan.stages {
        let Some(rewards) = stage.settings.kind().rewards() else { continue };
        let rows: Vec<&RolloutRow> = rollouts.iter().filter(|row| row.stage == stage.name).collect();
        let terms = rewards.settings.rewards.iter().filter(|reward| reward.term.judges());
        let judging: Vec<&str> = terms.map(RewardEntry::name).collect();
        let again = Again::new(plan, stage, &judging, &rows);
        judged_again += again.judged;
        errors += again.errors;
        findings.extend(again.findings);
        findings.extend(patterns(&stage.name, &rows));
        let metrics: Vec<&Value> = metrics.iter().filter(|row| row["stage"] == *stage.name).collect();
        findings.extend(growth(&stage.name, &metrics));
        findings.extend(judging.iter().filter_map(|term| above(&stage.name, term, &metrics)));
    }
    let completions = rollouts.len();
    Ok(RunAudit { run: plan.name.clone(), completions, judged_again, errors, rows: metrics.len(), findings })
}

/// Every complete line of a file. A killed run may have left half a line at the end.
fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, AuditError> {
    let text = std::fs::read(path).map_err(|source| AuditError::Io { path: path.to_owned(), source })?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|error| AuditError::Line {
                path: path.to_owned(),
                line: at + 1,
                message: error.to_string(),
            })
        })
        .collect()
}

#[derive(Default)]
struct Again {
    judged: usize,
    errors: usize,
    findings: Vec<AuditFinding>,
}

impl Again {
    /// Judges every completion again with the task's judge. Only a finished completion in the required format is right.
    fn new(plan: &Plan, stage: &Stage, judging: &[&str], rows: &[&RolloutRow]) -> Self {
        let mut again = Self::default();
        // Scores by reward term; `correct` is the verdict of the task's judge.
        let mut differ: BTreeMap<String, Vec<(&RolloutRow, String)>> = BTreeMap::new();
        for row in rows {
            if row.verdict == "error" {
                again.errors += 1;
                continue;
            }
            let Some((problem, task)) = question(plan, stage, row) else { continue };
            let Some(strict) = strictly(task, &problem, row) else {
                again.errors += 1;
                continue;
            };
            again.judged += 1;
            let recorded = std::iter::once(("verdict", Some(row.score)))
                .chain(judging.iter().map(|term| (*term, row.rewards.get(*term).and_then(Value::as_f64))));
            for (name, score) in recorded {
                let Some(score) = score else { continue };
                if (score >= PAID) != strict.is_ok() {
                    let why = match &strict {
                        Ok(()) => "judged again: correct".to_owned(),
                        Err(why) => format!("judged again: {why}"),
                    };
                    differ.entry(name.to_owned()).or_default().push((row, format!("{name} {score}; {why}")));
                }
            }
        }
        for (name, cases) in differ {
            let paid = cases.iter().filter(|(_, note)| !note.ends_with("correct")).count();
            let message = format!(
                "`{name}` and a stricter second judgement disagree: the second refuses {paid} completions that were \
                 rewarded, and accepts {} that were not",
                cases.len() - paid
            );
            let finding = AuditFinding::new(&stage.name, "disagreement", message, cases.len(), rows.len());
            let examples = examples(cases.iter().map(|(row, note)| (*row, note.as_str())));
            let term = (name != "verdict").then_some(name);
            again.findings.push(AuditFinding { term, examples, ..finding });
        }
        again
    }
}

/// Whether a completion is right by the strict rule; the error is the reason. `None` if it cannot be judged.
fn strictly(task: &plan::Task, problem: &Problem, row: &RolloutRow) -> Option<Result<(), String>> {
    if !row.finished {
        return Some(Err("cut off before its end".to_owned()));
    }
    let tags = [answer::ANSWER_OPEN, answer::ANSWER_CLOSE];
    if !format::is_well_formed(&row.completion)
        && tags.iter().any(|tag| row.completion.matches(tag).count() != 1)
    {
        return Some(Err("not one answer in tags".to_owned()));
    }
    let item = Item { completion: &row.completion, answer: Some(&problem.answer), spec: Some(&problem.spec) };
    let verdict = task.domain.judge(&item);
    let strict = if verdict.score >= PAID { Ok(()) } else { Err(verdict.reason) };
    (verdict.outcome != Outcome::Error).then_some(strict)
}

/// The task and question of a row; `None` if no task of the recipe gives it.
fn question<'p>(plan: &Plan, stage: &'p Stage, row: &RolloutRow) -> Option<(Problem, &'p plan::Task)> {
    let mut address = row.task.rsplit('/');
    let index = address.next()?.parse().ok()?;
    let seed = address.next()?.parse().unwrap_or(plan.seed);
    let split =
        [Split::Train, Split::Test].into_iter().find(|split| Some(split.name()) == address.clone().next())?;
    stage.measured.iter().find_map(|task| {
        let problem = task.dataset(seed).ok()?.question(split, index).ok()?.problem;
        (problem.prompt == row.prompt && problem.answer == row.answer).then_some((problem, task.as_ref()))
    })
}

/// Patterns in the last completions of a stage.
fn patterns(stage: &str, rows: &[&RolloutRow]) -> Vec<AuditFinding> {
    let size = ((rows.len() as f64 * WINDOW).ceil() as usize).max(LEAST).min(rows.len());
    let (first, last) = (&rows[..size], &rows[rows.len() - size..]);
    let found = [thoughtless(stage, first, last), looping(stage, last), same_thinking(stage, last)];
    if rows.len() < LEAST { Vec::new() } else { found.into_iter().flatten().collect() }
}

/// Right answers without any thinking, from a policy whose base did think.
fn thoughtless(stage: &str, first: &[&RolloutRow], last: &[&RolloutRow]) -> Option<AuditFinding> {
    let is_bare =
        |row: &&RolloutRow| answer::thinking(&row.completion).is_none_or(|text| text.trim().is_empty());
    let right = |rows: &[&RolloutRow]| rows.iter().filter(|row| row.verdict == "correct").count();
    let bare: Vec<&RolloutRow> =
        last.iter().filter(|row| row.verdict == "correct" && is_bare(row)).copied().collect();
    let share = bare.len() as f64 / right(last).max(1) as f64;
    let before = first.iter().filter(|row| row.verdict == "correct" && is_bare(row)).count() as f64
        / right(first).max(1) as f64;
    (bare.len() >= LEAST && share >= SHARE && share >= before + GROWN).then(|| AuditFinding::new(stage, "answers_without_thinking", format!(
            "{:.0} % of the right answers at the end come without thinking, {:.0} % at the start: check whether they \
             are guesses, or do not need the question",
            100.0 * share,
            100.0 * before
        ), bare.len(), last.len()).with(examples(bare.iter().map(|row| (*row, "no thinking")))))
}

fn looping(stage: &str, last: &[&RolloutRow]) -> Option<AuditFinding> {
    let loops: Vec<(&RolloutRow, String)> = last
        .iter()
        .filter_map(|row| {
            let (unit, turns) = repeated(answer::thinking(&row.completion).unwrap_or(&row.completion))
                .or_else(|| repeated(&row.completion))?;
            Some((*row, format!("`{unit}` {turns} times")))
        })
        .collect();
    (loops.len() >= 2 && loops.len() as f64 >= LOOPS * last.len() as f64).then(|| {
        AuditFinding::new(stage, "repeated_text", "completions repeat themselves", loops.len(), last.len())
            .with(examples(loops.iter().map(|(row, note)| (*row, note.as_str()))))
    })
}

/// The unit that the end of a text repeats, and how often; `None` if the loop is only a small part of the text.
fn repeated(text: &str) -> Option<(String, usize)> {
    let letters: Vec<char> = text.trim_end().chars().collect();
    (1..=UNIT.min(letters.len())).find_map(|unit| {
        let end = &letters[letters.len() - unit..];
        let turns = letters.rchunks(unit).take_while(|part| *part == end).count();
        let covered = unit * turns;
        (turns >= TURNS && covered >= COVERED && 2 * covered >= letters.len())
            .then(|| (end.iter().collect(), turns))
    })
}

fn same_thinking(stage: &str, last: &[&RolloutRow]) -> Option<AuditFinding> {
    let mut prompts: BTreeMap<&str, Vec<&RolloutRow>> = BTreeMap::new();
    for row in last {
        let thinking = answer::thinking(&row.completion).unwrap_or_default().trim();
        let known = prompts.entry(thinking).or_default();
        if !thinking.is_empty() && known.iter().all(|other| other.prompt != row.prompt) {
            known.push(row);
        }
    }
    let (thinking, rows) = prompts.into_iter().max_by_key(|(_, rows)| rows.len())?;
    let questions: BTreeSet<&str> = last.iter().map(|row| row.prompt.as_str()).collect();
    (rows.len() >= LEAST && rows.len() as f64 >= SHARE * questions.len() as f64).then(|| {
        AuditFinding::new(
            stage,
            "same_thinking",
            format!("{} different questions get the same thinking", rows.len()),
            rows.len(),
            questions.len(),
        )
        .with(examples(rows.iter().map(|row| (*row, thinking))))
    })
}

/// Growth of the reward without growth of held-out accuracy.
fn growth(stage: &str, metrics: &[&Value]) -> Option<AuditFinding> {
    let rewards: Vec<f64> = metrics.iter().filter_map(|row| row["reward_mean"].as_f64()).collect();
    let measured = metrics.iter().filter(|row| row["task"].is_string());
    let evals: Vec<(f64, f64)> =
        measured.filter_map(|row| Some((row["step"].as_f64()?, row["accuracy"].as_f64()?))).collect();
    let size = ((rewards.len() as f64 * WINDOW).ceil() as usize).max(1);
    let (first, last) = (rewards.get(..size)?, rewards.get(rewards.len().checked_sub(size)?..)?);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let grown = mean(last) - mean(first);
    let (before, after) = (evals.first()?, evals.last()?);
    let followed = after.1 - before.1;
    (after.0 > before.0 && grown >= GROWTH && followed < FOLLOWS * grown).then(|| AuditFinding::new(stage, "reward_without_accuracy", format!(
            "the mean reward went from {:.3} to {:.3}, held-out accuracy from {:.3} to {:.3}: the reward pays for \
             something else than right answers",
            mean(first),
            mean(last),
            before.1,
            after.1
        ), rewards.len(), rewards.len()))
}

/// A term that finally rewards more than the task's judge finds right.
fn above(stage: &str, term: &str, metrics: &[&Value]) -> Option<AuditFinding> {
    let rows: Vec<(f64, f64)> = metrics
        .iter()
        .filter_map(|row| Some((row["rewards"][term].as_f64()?, row["accuracy"].as_f64()?)))
        .collect();
    let size = ((rows.len() as f64 * WINDOW).ceil() as usize).max(1);
    let last = rows.get(rows.len().checked_sub(size)?..)?;
    let mean = |of: fn(&(f64, f64)) -> f64| last.iter().map(of).sum::<f64>() / last.len() as f64;
    let (paid, right) = (mean(|row| row.0), mean(|row| row.1));
    (paid > right + ABOVE).then(|| {
        let message = format!(
            "at the end `{term}` scores {paid:.3} on average, but {right:.3} of the answers are right"
        );
        let finding = AuditFinding::new(stage, "term_against_judge", message, last.len(), rows.len());
        AuditFinding { term: Some(term.to_owned()), ..finding }
    })
}

fn examples<'a>(cases: impl DoubleEndedIterator<Item = (&'a RolloutRow, &'a str)>) -> Vec<Example> {
    let cases = cases.rev().take(EXAMPLES);
    cases
        .map(|(row, note)| {
            Example::new(&row.prompt, &row.answer, &row.completion, format!("step {}: {note}", row.step))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_told_from_a_chain_of_steps() {
        assert_eq!(repeated(&"wait, no; ".repeat(10)), Some((" wait, no;".to_owned(), 9)));
        assert!(repeated(&("1+6+0=07,".to_owned() + &"7+6+0=13,".repeat(8))).is_some());
        assert!(repeated("1+6+0=07,7+6+0=13,4+9+1=14,0+0+1=01,8+8+0=16").is_none());
        assert!(
            repeated("00111100000000000000111101010101").is_none(),
            "a run of zeros is not a loop over half the text"
        );
        assert!(repeated("").is_none());
    }
}
