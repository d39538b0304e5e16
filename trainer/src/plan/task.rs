//! The tasks of a recipe: built, in range, and measured.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use thinkling_datasets::curriculum::{CurriculumSettings, LevelCurriculum, LevelCurriculumError};
use thinkling_datasets::domains::{self, DOMAINS};
use thinkling_datasets::file::Report;
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Dataset, DatasetError, Domain, Problem, SolutionKind, Split};
use thinkling_verifiers::answer;

use super::check::Checker;
use super::{file, program};
use crate::data::tokenizer::Tokenizer;
use crate::recipe::{self, Shares, keys, values};

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

/// Builds the task written at `path` at all its levels; notes every mistake in it.
pub(super) fn build(written: &recipe::Task, path: &str, checker: &mut Checker<'_>) -> Option<Course> {
    let name = format!("{path}.name");
    let levels = levels(written, path, checker);
    // A task whose source was mended is not the one that its name means.
    if checker.is_faulty(&name) || checker.is_faulty(&format!("{path}.command")) {
        return None;
    }
    program::keys(written, path, checker);
    let (mut file, mut program, mut is_sound) = (None, None, true);
    let domain: Arc<dyn Domain> = if let Some(named) = &written.file {
        let (domain, read) = file::read(written, named, path, checker)?;
        file = Some(Arc::new(read));
        Arc::new(domain)
    } else if let Some(command) = &written.command {
        // A program that cannot be asked was told of when it was started.
        let (_, opened) = checker.programs.iter().find(|(of, _)| of == path)?;
        let (command, hash) = (command.clone(), opened.report.hash.clone());
        program = Some(Arc::new(Program { command, hash }));
        opened.tasks.clone()
    } else {
        let Some(row) = domains::find(&written.name) else {
            let names: Vec<&str> = DOMAINS.iter().map(|row| row.name).collect();
            let help = values(&written.name, &names);
            checker.mistake(&[&name], format!("there is no task `{}`", written.name), help);
            return None;
        };
        let (domain, all_sound) = with_settings(row, written, &format!("{path}.settings"), checker)?;
        is_sound = all_sound;
        domain.into()
    };
    let tasks = levels?.into_iter().map(|(level, at)| {
        let (name, settings) = (written.name.clone(), written.settings.clone());
        let task = Task {
            name,
            level,
            settings,
            domain: domain.clone(),
            file: file.clone(),
            program: program.clone(),
        };
        is_posed(&task, &at, checker).then(|| Arc::new(task))
    });
    // Every level is tried before the first mistake counts.
    let tasks: Vec<Option<Arc<Task>>> = tasks.collect();
    let tasks = tasks.into_iter().collect::<Option<Vec<_>>>()?;
    let recipe::Task { weight, curriculum, ref shares, .. } = *written;
    let course = Course { tasks, weight, curriculum, shares: shares.clone() };
    (is_sound && !checker.is_faulty(path)).then_some(course)
}

/// The levels that are written at `path`, each with the path that says so.
fn levels(written: &recipe::Task, path: &str, checker: &mut Checker<'_>) -> Option<Vec<(u32, String)>> {
    let at = |key: &str| format!("{path}.{key}");
    let (level, listed, curriculum) = (at("level"), at("levels"), at("curriculum"));
    match (written.level, &written.levels, written.curriculum) {
        (Some(number), None, None) => Some(vec![(number, level)]),
        (None, Some(numbers), None) => {
            let repeated = (1..numbers.len()).find(|at| numbers[..*at].contains(&numbers[*at]));
            if let Some(place) = repeated {
                let message = format!("`{listed}` names level {} twice", numbers[place]);
                let help = "levels are asked equally often: name each once".to_owned();
                checker.mistake(&[&format!("{listed}.{place}")], message, [help]);
                return None;
            }
            Some((0..).zip(numbers).map(|(place, number)| (*number, format!("{listed}.{place}"))).collect())
        }
        (None, None, Some(settings)) => match LevelCurriculum::new(settings) {
            Ok(_) => Some(settings.levels().into_iter().map(|number| (number, curriculum.clone())).collect()),
            Err(error) => {
                let key = match &error {
                    LevelCurriculumError::Setting { key, .. } => format!("{curriculum}.{key}"),
                    _ => curriculum,
                };
                checker.mistake(&[&key], error.to_string(), []);
                None
            }
        },
        // All questions of a file, and what a program poses when it is told nothing.
        (None, None, None) if written.file.is_some() => Some(vec![(0, at("file"))]),
        (None, None, None) if written.command.is_some() => Some(vec![(0, at("command"))]),
        (None, None, None) => {
            let is_told = [&level, &listed, &curriculum].into_iter().any(|key| checker.is_faulty(key));
            if !is_told {
                let help = "give `level`, or several `levels`, or a `curriculum`".to_owned();
                checker.mistake(&[path], format!("`{path}` lacks `level`"), [help]);
            }
            None
        }
        _ => {
            let given = [
                (&curriculum, written.curriculum.is_some()),
                (&listed, written.levels.is_some()),
                (&level, written.level.is_some()),
            ];
            let given: Vec<&str> =
                given.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key.as_str()).collect();
            let message = format!("`{}` cannot stand beside `{}`", given[0], given[1]);
            checker.mistake(&given, message, ["give one of `level`, `levels` and `curriculum`".to_owned()]);
            None
        }
    }
}

/// Whether the task can be asked; notes why not at the path `at`.
fn is_posed(task: &Task, at: &str, checker: &mut Checker<'_>) -> bool {
    let ask = |split| task.dataset(0).and_then(|dataset| dataset.question(split, 0));
    match [Split::Train, Split::Test].into_iter().try_for_each(|split| ask(split).map(|_| ())) {
        Ok(()) => return true,
        Err(DatasetError::Level { domain, level, low, high }) => {
            let message = format!("task `{domain}` has no level {level}");
            checker.mistake(&[at], message, [format!("its levels are {low} to {high}")]);
        }
        Err(error) => checker.mistake(&[at], error.to_string(), []),
    }
    false
}

/// Builds a domain, without those of its settings that it refuses. Answers whether all were sound.
///
/// The settings are the domain's own and it tells of one mistake at a time: each is placed at the key it is about, and
/// the rest is tried again without that key.
fn with_settings(
    row: &'static domains::Row,
    written: &recipe::Task,
    path: &str,
    checker: &mut Checker<'_>,
) -> Option<(Box<dyn Domain>, bool)> {
    let build = |settings: &Map<String, Value>| {
        (row.build)(&Value::Object(settings.clone())).map_err(|error| error.message)
    };
    settled(&build, &written.settings, path, &format!("settings of task `{}`", row.name), checker)
}

/// Makes something of settings, or tells the first mistake in them.
type Build<'a, T> = dyn Fn(&Map<String, Value>) -> Result<T, String> + 'a;

/// Builds something from `written`, without those of its settings that it refuses, each of which is told at its key
/// under `path`. Answers whether all were sound.
pub(super) fn settled<T>(
    build: &Build<'_, T>,
    written: &Map<String, Value>,
    path: &str,
    label: &str,
    checker: &mut Checker<'_>,
) -> Option<(T, bool)> {
    let mut settings = written.clone();
    loop {
        let message = match build(&settings) {
            Ok(built) => return Some((built, settings.len() == written.len())),
            Err(message) => message,
        };
        let blamed = blamed(build, &settings, &message);
        // What no key is to blame for may only follow from one that was left out.
        if blamed.is_none() && settings.len() < written.len() {
            return None;
        }
        let at = blamed.as_ref().map_or(path.to_owned(), |key| format!("{path}.{key}"));
        let help = match (&blamed, message.split_once("expected ")) {
            (Some(key), Some((_, expected))) if message.starts_with("unknown field") => {
                let valid: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
                keys(key, &valid)
            }
            _ => Vec::new(),
        };
        checker.mistake(&[&at], format!("{label}: {message}"), help);
        settings.remove(&blamed?);
    }
}

/// The key that a domain's complaint is about: one it quotes, or else one without which it does not complain so.
fn blamed<T>(build: &Build<'_, T>, settings: &Map<String, Value>, message: &str) -> Option<String> {
    let quoted = message.split('`').skip(1).step_by(2).find(|word| settings.contains_key(*word));
    let is_cause = |key: &&String| {
        let rest: Map<_, _> =
            settings.iter().filter(|(other, _)| other != key).map(|(k, v)| (k.clone(), v.clone())).collect();
        build(&rest).err().is_none_or(|error| error != message)
    };
    quoted.map(str::to_owned).or_else(|| settings.keys().find(is_cause).cloned())
}

/// Lengths of a task's texts in tokens, over [`PROBES`] questions of each split.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lengths {
    /// Prompts.
    pub(super) prompts: Vec<usize>,
    /// Completions of each kind, with tags and end; none where a question has no solution of that kind.
    completions: [Option<Vec<usize>>; SolutionKind::ALL.len()],
    /// Drills, with their end; none where the task has none.
    pub(super) drills: Option<Vec<usize>>,
}

impl Lengths {
    /// Poses questions and measures them.
    ///
    /// # Errors
    /// The first text that `tokenizer` cannot write, or a split without questions.
    pub(super) fn measure(task: &Task, tokenizer: &Tokenizer) -> Result<Self, String> {
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
    pub(super) fn completions(&self, kind: SolutionKind) -> Option<&[usize]> {
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
pub(super) fn longest(lengths: &[usize]) -> usize {
    lengths.iter().copied().max().unwrap_or(0)
}

/// A length that few texts exceed, if any: the longest of those seen, and half of how far they differ.
pub(super) fn ample(lengths: &[usize]) -> usize {
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

    #[derive(serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        colours: u32,
        names: Vec<String>,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { colours: 3, names: Vec::new() }
        }
    }

    const ROW: domains::Row = domains::Row {
        name: "painting",
        about: "",
        answers: "",
        build: |value| match <Settings as serde::Deserialize>::deserialize(value) {
            Ok(settings) if settings.colours < settings.names.len() as u32 => Err(domains::SettingsError {
                domain: "painting",
                message: "more names than colours".to_owned(),
            }),
            Ok(_) => Ok(Box::new(domains::parity::Parity {})),
            Err(error) => Err(domains::SettingsError { domain: "painting", message: error.to_string() }),
        },
    };

    fn painting(settings: Map<String, Value>) -> recipe::Task {
        let written = serde_json::json!({ "name": "painting", "level": 5, "settings": settings });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn every_wrong_setting_is_told_at_its_key() {
        static PAINTING: domains::Row = ROW;
        let text = "[s]\ncolour = 2\nnames = [3]\nsize = 1\ncolours = 9\n";
        let root = recipe::parse(0, text).unwrap();
        let settings = serde_json::json!({ "colour": 2, "names": [3], "size": 1, "colours": 9 });
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let written = painting(settings);
        let mut checker = Checker::new(&root, &[]);
        let (_, is_sound) = with_settings(&PAINTING, &written, "s", &mut checker).unwrap();
        assert!(!is_sound);
        let marked: Vec<&str> =
            checker.found.iter().map(|found| &text[found.at.start..found.at.end]).collect();
        assert_eq!(marked, ["2", "[3]", "1"]);
        assert_eq!(checker.found[0].help, ["did you mean `colours`?", "valid keys: colours, names"]);
        assert!(checker.found[1].message.ends_with("invalid type: integer `3`, expected a string"));
    }

    #[test]
    fn settings_that_do_not_go_together_are_told_once() {
        static PAINTING: domains::Row = ROW;
        let root = recipe::parse(0, "[s]\ncolours = 1\nnames = ['a', 'b']\n").unwrap();
        let Value::Object(settings) = serde_json::json!({ "colours": 1, "names": ["a", "b"] }) else {
            panic!()
        };
        let written = painting(settings);
        let mut checker = Checker::new(&root, &[]);
        with_settings(&PAINTING, &written, "s", &mut checker).unwrap();
        assert_eq!(checker.found.len(), 1);
        assert!(checker.found[0].message.ends_with("more names than colours"));
    }

    #[test]
    fn lengths_are_ample() {
        assert_eq!(ample(&[10, 10]), 10);
        assert_eq!(ample(&[10, 13]), 15);
    }
}
