//! A task with its levels, and the lengths of its texts.

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

/// Number of questions that measure the lengths of a task.
const PROBES: u64 = 256;

/// A task at a level, with its domain.
#[derive(Clone)]
pub struct Task {
    /// The name of the domain, or the recipe's name for a file.
    pub name: String,
    /// The difficulty.
    pub level: u32,
    /// The settings of the domain, or of the verifier for a file.
    pub settings: Map<String, Value>,
    /// The domain, built from its settings.
    pub domain: Arc<dyn Domain>,
    /// The file with the questions, if there is one.
    pub file: Option<Arc<File>>,
    /// The program that generates the questions, if there is one.
    pub program: Option<Arc<Program>>,
}

/// A program that generates questions.
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
    /// Its path.
    pub path: String,
    /// The BLAKE3 hash of its content.
    pub hash: String,
    /// The report of reading it.
    pub report: Report,
}

/// A task with its levels and its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The task at each level, in the order of teaching; at least one.
    pub tasks: Vec<Arc<Task>>,
    /// How often it occurs, relative to the other tasks of the stage.
    pub weight: f64,
    /// The curriculum; absent: all levels occur equally often.
    pub curriculum: Option<CurriculumSettings>,
    /// Ratios of the kinds of document; absent: those of the stage.
    pub shares: Option<Shares>,
}

impl Task {
    /// The questions of a seed.
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
    pub(crate) prompts: Vec<usize>,
    /// Completions of each kind, with tags and end; `None` if a question has no solution of that kind.
    completions: [Option<Vec<usize>>; SolutionKind::ALL.len()],
    /// Drills, with their end; `None` if the task has none.
    pub(crate) drills: Option<Vec<usize>>,
}

impl Lengths {
    /// Measures questions of both splits. A text outside the tokenizer's alphabet is an error.
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
        let lengths = |drills: Vec<String>| -> Result<Vec<usize>, String> {
            drills.iter().map(|drill| Ok(length(drill, tokenizer)? + 1)).collect()
        };
        let drills = drills.collect::<Option<_>>().map(lengths).transpose()?;
        Ok(Self { prompts, completions, drills })
    }

    /// Completions of `kind`; `None` if the task has none.
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

pub(crate) fn longest(lengths: &[usize]) -> usize {
    lengths.iter().copied().max().unwrap_or(0)
}

/// A length that hardly any text exceeds: the greatest measured length plus half of the range.
pub(crate) fn ample(lengths: &[usize]) -> usize {
    let shortest = lengths.iter().copied().min().unwrap_or(0);
    longest(lengths) + (longest(lengths) - shortest).div_ceil(2)
}

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
