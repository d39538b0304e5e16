//! The stages of a recipe: builds their tasks and measures their rows.

use std::sync::Arc;

use thinkling_datasets::SolutionKind;

use super::program::Programs;
use super::recipe::Recipe;
use super::task;
use crate::data::task::{Course, Lengths, Task, ample};
use crate::data::tokenizer::Tokenizer;
use crate::recipe::{Checker, StagePath, TaskEntry};
use crate::stages::kind::{Asked, Common};
use crate::stages::{Stage, StagePlan};

/// The checked stages, and the alphabet of their texts.
pub(super) struct Drafts {
    pub(super) stages: Vec<StagePlan>,
    pub(super) tokenizer: Tokenizer,
}

/// The tasks of a stage, each with its path in the recipe; `None` if one was wrong.
type Courses = Vec<(String, Option<Course>)>;

struct MeasuredTask {
    task: Arc<Task>,
    lengths: Lengths,
}

/// Builds the tasks of all stages and measures them; `None` if one is wrong.
pub(super) fn draft(
    written: &Recipe,
    names: &[String],
    programs: &Programs,
    checker: &mut Checker<'_>,
) -> Option<Drafts> {
    let asks = ask(written, names, programs, checker);
    let all = || asks.iter().flatten().filter_map(|(path, course)| Some((path, course.as_ref()?)));
    let alphabets = all().map(|(_, course)| course.tasks[0].domain.alphabet());
    let tokenizer = Tokenizer::from_alphabets(alphabets);
    let mut measured: Vec<MeasuredTask> = Vec::new();
    for (path, course) in all() {
        for task in &course.tasks {
            if measured.iter().any(|known| known.task == *task) {
                continue;
            }
            match Lengths::measure(task, &tokenizer) {
                Ok(lengths) => measured.push(MeasuredTask { task: task.clone(), lengths }),
                Err(message) => checker.mistake(&[path], format!("task `{}`: {message}", task.name), []),
            }
        }
    }
    let drafter = Drafter { written, measured, taught: taught(written) };
    let stages: Vec<Option<(StagePlan, usize)>> = asks
        .into_iter()
        .enumerate()
        .map(|(index, asks)| drafter.stage(index, &names[index], asks, checker))
        .collect();
    let longest = (0usize..).zip(&stages).filter_map(|(index, stage)| Some((index, stage.as_ref()?)));
    let longest = longest.max_by_key(|(_, (_, seen))| *seen);
    if let (Some((index, (stage, seen))), Some(limit)) = (longest, written.model.max_position_embeddings)
        && limit < *seen
    {
        let key = "model.max_position_embeddings";
        let message = format!("`{key}` is {limit}: stage `{}` has rows of {seen} tokens", stage.name);
        let help = format!("leave `{key}` out, or make it at least {seen}");
        checker.mistake(&[key, &format!("stage.{index}.max_new_tokens")], message, [help]);
    }
    let stages = stages.into_iter().map(|stage| stage.map(|(stage, _)| stage));
    Some(Drafts { stages: stages.collect::<Option<_>>()?, tokenizer })
}

fn ask(written: &Recipe, names: &[String], programs: &Programs, checker: &mut Checker<'_>) -> Vec<Courses> {
    let common = courses(&written.task, &written.tasks, "", programs, checker);
    let mut asks = Vec::with_capacity(written.stage.len());
    let mut without = Vec::new();
    for (index, stage) in written.stage.iter().enumerate() {
        let Common { task, tasks, .. } = stage.common();
        let path = format!("stage.{index}.");
        let own = courses(task, tasks, &path, programs, checker);
        let asked = if own.is_empty() { common.clone() } else { own };
        let is_told = ["task", "tasks"].iter().any(|key| checker.is_faulty(&format!("{path}{key}")));
        if asked.is_empty() && !is_told {
            without.push(index);
        }
        can_rise(stage, &path, &names[index], &asked, checker);
        asks.push(asked);
    }
    if let Some(first) = without.first() {
        let names: Vec<&str> = without.iter().map(|index| names[*index].as_str()).collect();
        let message = format!("no task for stage {}", names.join(", "));
        let help =
            "add [task] with `name` and `level` for all stages, or add `task` to each stage".to_owned();
        checker.mistake(&[&format!("stage.{first}.task"), "task"], message, [help]);
    }
    asks
}

fn courses(
    task: &Option<TaskEntry>,
    tasks: &Option<Vec<TaskEntry>>,
    path: &str,
    programs: &Programs,
    checker: &mut Checker<'_>,
) -> Courses {
    let (alone, list) = (format!("{path}task"), format!("{path}tasks"));
    if task.is_some() && tasks.is_some() {
        let help = format!("put the task of `{alone}` into the list, or leave one of the two out");
        checker.mistake(&[&list, &alone], format!("`{list}` excludes `{alone}`"), [help]);
    }
    let written = task.iter().map(|task| (alone.clone(), task));
    // A list beside a single task is reported once, and not built.
    let listed = (0..).zip(tasks.iter().flatten().filter(|_| task.is_none()));
    let listed = listed.map(|(number, task): (usize, _)| (format!("{list}.{number}"), task));
    let mut asked = Courses::new();
    for (path, task) in written.chain(listed) {
        let course = task::build(task, &path, programs, checker);
        let before = asked.iter().filter_map(|(_, course)| course.as_ref()).flat_map(|course| &course.tasks);
        let before: Vec<(&str, u32)> = before.map(|task| (task.name.as_str(), task.level)).collect();
        let mut now = course.iter().flat_map(|course| &course.tasks);
        if let Some(again) = now.find(|task| before.contains(&(task.name.as_str(), task.level))) {
            let message = format!("task `{}` has level {} twice in `{list}`", again.name, again.level);
            let help =
                "measurements are named by task and level: list each pair once, with its total `weight`";
            checker.mistake(&[&path], message, [help.to_owned()]);
        }
        asked.push((path, course));
    }
    if asked.len() > 1 && asked.iter().all(|(_, course)| course.as_ref().is_some_and(|one| one.weight == 0.0))
    {
        let help = "give at least one of its tasks a `weight` above 0".to_owned();
        checker.mistake(&[&list], format!("no task of `{list}` is ever asked"), [help]);
    }
    asked
}

/// Notes a curriculum with a level that can never rise.
fn can_rise(stage: &Stage, path: &str, name: &str, asked: &Courses, checker: &mut Checker<'_>) {
    let rising = asked.iter().find(|(_, course)| course.as_ref().is_some_and(|one| one.curriculum.is_some()));
    if let (Some((task, _)), Some(0)) =
        (rising, stage.kind().learning().map(|learning| learning.evaluate_every))
    {
        let key = format!("{path}evaluate_every");
        let message =
            format!("the level of `{task}` cannot rise: stage `{name}` is only measured at its end");
        let help = format!("set `{key}`, the steps between two evaluations");
        checker.mistake(&[&key, task], message, [help]);
    }
}

/// The kinds of solution in the recipe's corpora; all kinds if it has none.
fn taught(written: &Recipe) -> Vec<SolutionKind> {
    let shown = |kind: &SolutionKind| {
        written.stage.iter().any(|stage| {
            let Some(taught) = stage.kind().teaches() else { return false };
            let Common { task, tasks, .. } = stage.common();
            let own = task.iter().chain(tasks.iter().flatten());
            let common = written.task.iter().chain(written.tasks.iter().flatten());
            let shares = own.chain(common).filter_map(|task| task.shares.as_ref());
            shares.chain([taught]).any(|shares| shares.of(*kind) > 0.0)
        })
    };
    let taught: Vec<SolutionKind> = SolutionKind::ALL.into_iter().filter(shown).collect();
    if taught.is_empty() { SolutionKind::ALL.to_vec() } else { taught }
}

struct Drafter<'a> {
    written: &'a Recipe,
    measured: Vec<MeasuredTask>,
    taught: Vec<SolutionKind>,
}

impl Drafter<'_> {
    /// The checked stage, and the tokens of its longest row.
    fn stage(
        &self,
        index: usize,
        name: &str,
        asked: Courses,
        checker: &mut Checker<'_>,
    ) -> Option<(StagePlan, usize)> {
        let courses = asked.into_iter().map(|(_, course)| course).collect::<Option<Vec<Course>>>()?;
        let tasks = courses.iter().flat_map(|course| course.tasks.iter().map(move |task| (course, task)));
        let tasks = tasks.map(|(course, task)| {
            let known = self.measured.iter().find(|known| known.task == *task)?;
            Some((course, task, &known.lengths))
        });
        let rewarded = self.written.stage.iter().filter_map(|stage| stage.kind().rewards());
        let asked = Asked {
            at: StagePath { index, name },
            tasks: tasks.collect::<Option<_>>()?,
            taught: &self.taught,
            most_rewarded: rewarded.map(|rewards| rewards.max_new_tokens).max().unwrap_or(0),
        };
        let measured: Vec<Arc<Task>> = asked.tasks.iter().map(|(_, task, _)| (*task).clone()).collect();
        let task = measured.first()?.clone();
        let mut settings = self.written.stage[index].clone();
        let rows = settings.kind().rows(&asked, checker);
        let room = match settings.kind().rewards() {
            Some(rewards) => rewards.max_new_tokens,
            None => asked.tasks.iter().map(|(.., lengths)| asked.room(lengths)).max()?,
        };
        let limit = self.written.model.max_position_embeddings.unwrap_or(usize::MAX);
        let prompts = asked.tasks.iter().map(|(.., lengths)| ample(&lengths.prompts));
        let longest_prompt = prompts.max().unwrap_or(0).min(limit);
        settings.common_mut().name = Some(name.to_owned());
        settings.kind_mut().fill(self.written.precision.here());
        let stage = StagePlan {
            name: name.to_owned(),
            task,
            courses,
            measured,
            settings,
            longest_prompt,
            longest_row: rows.ample.min(limit),
            max_new_tokens: room.min(limit - longest_prompt),
        };
        Some((stage, rows.seen))
    }
}
