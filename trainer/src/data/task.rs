//! A task as meant, with its levels, and how long its texts are.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use thinkling_datasets::curriculum::CurriculumSettings;
use thinkling_datasets::file::Report;
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Dataset, DatasetError, Domain, Problem, SolutionKind, Split};
use thinkling_verifiers::answer;

use super::shares::Shares;
use super::tokenizer::Tokenizer;

/// Questions that are posed to measure a task.
const PROBES: u64 = 256;

/// A task that can be asked: its domain is built and has the level.
#[derive(Clone)]
pub struct Task {
    /// Its name: the domain's, or what the recipe calls a file.
    pub name: String,
    /// The difficulty.
    pub level: u32,
    /// The domain's settings, as written; those of the verifier for a file.
    pub settings: Map<String, Value>,
    /// The domain, built from its settings.
    pub domain: Arc<dyn Domain>,
    /// The file that the questions are from, where they are not posed.
    pub file: Option<Arc<File>>,
    /// The program that poses the questions, where one does.
    pub program: Option<Arc<Program>>,
}

/// A program that poses questions.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The BLAKE3 hash of its first questions.
    pub hash: String,
}

/// A file of questions.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Where it was.
    pub path: String,
    /// The BLAKE3 hash of its content.
    pub hash: String,
    /// What reading it showed.
    pub report: Report,
}

/// A task with its levels, and how often it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The task at each of its levels, in the order that they are taught in; one at least.
    pub tasks: Vec<Arc<Task>>,
    /// How often it is asked, in proportion to the stage's others.
    pub weight: f64,
    /// How the level rises; absent: all levels are asked equally often.
    pub curriculum: Option<CurriculumSettings>,
    /// Ratios of the kinds of document; absent: those of the stage.
    pub shares: Option<Shares>,
}

impl Task {
    /// The task's questions, for a seed.
    ///
    /// # Errors
    /// Never for a task of a plan, whose level was checked.
    pub fn dataset(&self, seed: u64) -> Result<Dataset<'_>, DatasetError> {
        Dataset::named(&self.name, self.domain.as_ref(), self.level, seed)
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.level, &self.settings, &self.file, &self.program)
            == (&other.name, other.level, &other.settings, &other.file, &other.program)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{} {:?}", self.name, self.level, self.settings)
    }
}

/// Lengths of a task's texts in tokens, over [`PROBES`] questions of each split.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lengths {
    /// Prompts.
    pub(crate) prompts: Vec<usize>,
    /// Completions of each kind, with tags and end; none where a question has no solution of that kind.
    completions: [Option<Vec<usize>>; SolutionKind::ALL.len()],
    /// Drills, with their end; none where the task has none.
    pub(crate) drills: Option<Vec<usize>>,
}

impl Lengths {
    /// Poses questions and measures them.
    ///
    /// # Errors
    /// The first text that `tokenizer` cannot write, or a split without questions.
    pub(crate) fn measure(task: &Task, tokenizer: &Tokenizer) -> Result<Self, String> {
        let mut problems = Vec::new();
        let dataset = task.dataset(0).map_err(|error| error.to_string())?;
        for split in [Split::Train, Split::Test] {
            for index in 0..PROBES {
                problems.push(dataset.question(split, index).map_err(|error| error.to_string())?.problem);
            }
        }
        let prompts =
            problems.iter().map(|problem| length(&problem.prompt, tokenizer)).collect::<Result<_, _>>()?;
        let mut completions = [None, None, None, None];
        for (slot, kind) in completions.iter_mut().zip(SolutionKind::ALL) {
            *slot = completions_of(task, &problems, kind, tokenizer)?;
        }
        let drills = (0..PROBES)
            .map(|index| task.domain.drill(&mut Stream::at("plan/probe", 0, &[index]), task.level));
        let drills = match drills.collect::<Option<Vec<String>>>() {
            Some(drills) => Some(
                drills
                    .iter()
                    .map(|drill| Ok(length(drill, tokenizer)? + 1))
                    .collect::<Result<_, String>>()?,
            ),
            None => None,
        };
        Ok(Self { prompts, completions, drills })
    }

    /// Completions of `kind`; none where the task has none.
    pub(crate) fn completions(&self, kind: SolutionKind) -> Option<&[usize]> {
        let index = SolutionKind::ALL.iter().position(|candidate| *candidate == kind)?;
        self.completions[index].as_deref()
    }
}

fn completions_of(
    task: &Task,
    problems: &[Problem],
    kind: SolutionKind,
    tokenizer: &Tokenizer,
) -> Result<Option<Vec<usize>>, String> {
    let mut lengths = Vec::with_capacity(problems.len());
    for (index, problem) in problems.iter().enumerate() {
        let mut stream = Stream::at("plan/probe", 0, &[kind as u64, index as u64]);
        let Some(solution) = task.domain.solve(problem, kind, &mut stream) else { return Ok(None) };
        lengths.push(length(&answer::compose(&solution.thinking, &solution.answer), tokenizer)? + 1);
    }
    Ok(Some(lengths))
}

/// The longest of `lengths`.
pub(crate) fn longest(lengths: &[usize]) -> usize {
    lengths.iter().copied().max().unwrap_or(0)
}

/// A length that few texts exceed, if any: the longest of those seen, and half of how far they differ.
pub(crate) fn ample(lengths: &[usize]) -> usize {
    let shortest = lengths.iter().copied().min().unwrap_or(0);
    longest(lengths) + (longest(lengths) - shortest).div_ceil(2)
}

/// Tokens of `text`.
fn length(text: &str, tokenizer: &Tokenizer) -> Result<usize, String> {
    let tokens =
        tokenizer.encode(text).map_err(|error| format!("its alphabet cannot write `{text}`: {error}"))?;
    Ok(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_ample() {
        assert_eq!(ample(&[10, 10]), 10);
        assert_eq!(ample(&[10, 13]), 15);
    }
}
