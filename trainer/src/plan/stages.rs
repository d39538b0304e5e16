//! The stages of a recipe: what each asks, how long its rows are, how many it takes.

use std::sync::Arc;

use thinkling_datasets::SolutionKind;

use super::Stage;
use super::check::Checker;
use super::rewards;
use super::task::{self, Course, Lengths, Task, ample, longest};
use crate::data::tokenizer::Tokenizer;
use crate::kernels::precision::Precision;
use crate::recipe::{self, Grpo, Recipe, Shares};

/// The stages as meant, and the symbols that their texts are written in.
pub(super) struct Drafts {
    pub(super) stages: Vec<Stage>,
    pub(super) tokenizer: Tokenizer,
}

/// The tasks that a stage asks, each with the path where the recipe says so; none where one was wrong.
type Asked = Vec<(String, Option<Course>)>;

/// A task's measures.
struct Measured {
    task: Arc<Task>,
    lengths: Lengths,
}

/// Builds the tasks of all stages and measures them; none where one is wrong.
pub(super) fn draft(written: &Recipe, names: &[String], checker: &mut Checker<'_>) -> Option<Drafts> {
    let asks = ask(written, names, checker);
    let all = || asks.iter().flatten().filter_map(|(path, course)| Some((path, course.as_ref()?)));
    let alphabets = all().map(|(_, course)| course.tasks[0].domain.alphabet());
    let tokenizer = Tokenizer::from_alphabets(alphabets);
    let mut measured: Vec<Measured> = Vec::new();
    for (path, course) in all() {
        for task in &course.tasks {
            if measured.iter().any(|known| known.task == *task) {
                continue;
            }
            match Lengths::measure(task, &tokenizer) {
                Ok(lengths) => measured.push(Measured { task: task.clone(), lengths }),
                Err(message) => checker.mistake(&[path], format!("task `{}`: {message}", task.name), []),
            }
        }
    }
    let drafter = Drafter { written, measured, taught: taught(written) };
    let stages: Vec<Option<(Stage, usize)>> = asks
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

/// Builds every task, in the order of the recipe.
fn ask(written: &Recipe, names: &[String], checker: &mut Checker<'_>) -> Vec<Asked> {
    let common = courses(&written.task, &written.tasks, "", checker);
    let mut asks = Vec::with_capacity(written.stage.len());
    let mut without = Vec::new();
    for (index, stage) in written.stage.iter().enumerate() {
        let (task, tasks) = stage.tasks();
        let path = format!("stage.{index}.");
        let own = courses(task, tasks, &path, checker);
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
        let help = "add [task] with `name` and `level` for all stages, or `task` to each".to_owned();
        checker.mistake(&[&format!("stage.{first}.task"), "task"], message, [help]);
    }
    asks
}

/// Builds a task that stands alone, or those of a list.
fn courses(
    task: &Option<recipe::Task>,
    tasks: &Option<Vec<recipe::Task>>,
    path: &str,
    checker: &mut Checker<'_>,
) -> Asked {
    let (alone, list) = (format!("{path}task"), format!("{path}tasks"));
    if task.is_some() && tasks.is_some() {
        let help = format!("put the task of `{alone}` into the list, or leave one of the two out");
        checker.mistake(&[&list, &alone], format!("`{list}` cannot stand beside `{alone}`"), [help]);
    }
    let written = task.iter().map(|task| (alone.clone(), task));
    // What stands beside a list is told once: the list is not built then.
    let listed = (0..).zip(tasks.iter().flatten().filter(|_| task.is_none()));
    let listed = listed.map(|(number, task): (usize, _)| (format!("{list}.{number}"), task));
    let mut asked = Asked::new();
    for (path, task) in written.chain(listed) {
        let course = task::build(task, &path, checker);
        let before = asked.iter().filter_map(|(_, course)| course.as_ref()).flat_map(|course| &course.tasks);
        let before: Vec<(&str, u32)> = before.map(|task| (task.name.as_str(), task.level)).collect();
        let mut now = course.iter().flat_map(|course| &course.tasks);
        if let Some(again) = now.find(|task| before.contains(&(task.name.as_str(), task.level))) {
            let message = format!("task `{}` has level {} twice in `{list}`", again.name, again.level);
            let help =
                "measurements are told apart by task and level: name each once, with its whole `weight`";
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

/// Notes a curriculum whose level can never rise.
fn can_rise(stage: &recipe::Stage, path: &str, name: &str, asked: &Asked, checker: &mut Checker<'_>) {
    let rising = asked.iter().find(|(_, course)| course.as_ref().is_some_and(|one| one.curriculum.is_some()));
    if let (Some((task, _)), Some(0)) = (rising, stage.evaluate_every()) {
        let key = format!("{path}evaluate_every");
        let message =
            format!("the level of `{task}` cannot rise: stage `{name}` is only measured at its end");
        let help = format!("set `{key}`, the steps between two evaluations");
        checker.mistake(&[&key, task], message, [help]);
    }
}

/// The kinds of solution that the recipe shows its network; all of them where it shows none.
fn taught(written: &Recipe) -> Vec<SolutionKind> {
    let shown = |kind: &SolutionKind| {
        written.stage.iter().any(|stage| match stage {
            recipe::Stage::Pretrain(pretrain) => {
                let (task, tasks) = stage.tasks();
                let own = task.iter().chain(tasks.iter().flatten());
                let common = written.task.iter().chain(written.tasks.iter().flatten());
                let shares = own.chain(common).filter_map(|task| task.shares.as_ref());
                shares.chain([&pretrain.shares]).any(|shares| shares.of(*kind) > 0.0)
            }
            _ => false,
        })
    };
    let taught: Vec<SolutionKind> = SolutionKind::ALL.into_iter().filter(shown).collect();
    if taught.is_empty() { SolutionKind::ALL.to_vec() } else { taught }
}

struct Drafter<'a> {
    written: &'a Recipe,
    measured: Vec<Measured>,
    taught: Vec<SolutionKind>,
}

/// Tokens of a stage's longest row: at least (seen), and with room to spare.
struct Rows {
    seen: usize,
    ample: usize,
}

impl Drafter<'_> {
    fn lengths(&self, task: &Arc<Task>) -> Option<&Lengths> {
        self.measured.iter().find(|known| known.task == *task).map(|known| &known.lengths)
    }

    /// The stage as meant, and the tokens of the longest row that was seen.
    fn stage(
        &self,
        index: usize,
        name: &str,
        asked: Asked,
        checker: &mut Checker<'_>,
    ) -> Option<(Stage, usize)> {
        let path = format!("stage.{index}");
        let courses = asked.into_iter().map(|(_, course)| course).collect::<Option<Vec<Course>>>()?;
        let tasks: Vec<Arc<Task>> = courses.iter().flat_map(|course| course.tasks.iter().cloned()).collect();
        let task = tasks.first()?.clone();
        let measured: Vec<&Lengths> = tasks.iter().map(|task| self.lengths(task)).collect::<Option<_>>()?;
        let (rows, rows_per_step, updates_per_step) = match &self.written.stage[index] {
            recipe::Stage::Pretrain(stage) => {
                let mut rows = Rows { seen: 0, ample: 0 };
                for course in &courses {
                    let shares = course.shares.as_ref().unwrap_or(&stage.shares);
                    for task in &course.tasks {
                        let lengths = self.lengths(task)?;
                        has_solutions(shares, &path, task, lengths, checker);
                        rows = rows.max(document_rows(shares, lengths));
                    }
                }
                (rows, stage.batch_size as u64, 1)
            }
            recipe::Stage::Grpo(stage) => {
                let mut rows = Rows { seen: 0, ample: 0 };
                for (task, lengths) in tasks.iter().zip(&measured) {
                    let which = if tasks.len() > 1 {
                        format!("task `{}`, level {}: ", task.name, task.level)
                    } else {
                        String::new()
                    };
                    self.warn_of_cuts(stage, &path, &format!("stage `{name}`: {which}"), lengths, checker);
                    rewards::suit(stage, &path, task, checker);
                    rows = rows.max(completion_rows(lengths, stage.max_new_tokens, stage.max_new_tokens));
                }
                let rows_per_step = (stage.prompts as u64).saturating_mul(stage.group_size as u64);
                (rows, rows_per_step, (stage.minibatches as u64).saturating_mul(stage.epochs as u64))
            }
            recipe::Stage::Eval(_) => {
                let rows = measured.iter().map(|lengths| {
                    let seen = self.completions(lengths).map(longest).max().unwrap_or(0);
                    completion_rows(lengths, seen, self.room(lengths))
                });
                (rows.reduce(Rows::max)?, 0, 0)
            }
        };
        let room = match &self.written.stage[index] {
            recipe::Stage::Grpo(stage) => stage.max_new_tokens,
            _ => measured.iter().map(|lengths| self.room(lengths)).max()?,
        };
        let limit = self.written.model.max_position_embeddings.unwrap_or(usize::MAX);
        let prompts = measured.iter().map(|lengths| ample(&lengths.prompts));
        let longest_prompt = prompts.max().unwrap_or(0).min(limit);
        let mut settings = self.written.stage[index].clone();
        settings.fill(name);
        if let recipe::Stage::Grpo(grpo) = &mut settings {
            let is_rounded = super::precision(self.written.precision) == Precision::Bf16;
            grpo.importance_cap.get_or_insert(if is_rounded { 2.0 } else { 0.0 });
        }
        let stage = Stage {
            name: name.to_owned(),
            task,
            courses,
            measured: tasks,
            settings,
            longest_prompt,
            longest_row: rows.ample.min(limit),
            max_new_tokens: room.min(limit - longest_prompt),
            rows_per_step,
            updates_per_step,
        };
        Some((stage, rows.seen))
    }

    /// Lengths of the solutions that the network was shown, kind by kind.
    fn completions<'l>(&self, lengths: &'l Lengths) -> impl Iterator<Item = &'l [usize]> {
        self.taught.iter().filter_map(|kind| lengths.completions(*kind))
    }

    /// Tokens a completion may have where it is only measured: room for what was taught, and for what reinforcement
    /// learning allows.
    fn room(&self, lengths: &Lengths) -> usize {
        let allowed = self.written.stage.iter().filter_map(|stage| match stage {
            recipe::Stage::Grpo(stage) => Some(stage.max_new_tokens),
            _ => None,
        });
        allowed.chain(self.completions(lengths).map(ample)).max().unwrap_or(0)
    }

    fn warn_of_cuts(
        &self,
        stage: &Grpo,
        path: &str,
        whose: &str,
        lengths: &Lengths,
        checker: &mut Checker<'_>,
    ) {
        let key = format!("{path}.max_new_tokens");
        for kind in &self.taught {
            let Some(completions) = lengths.completions(*kind) else { continue };
            let cut = completions.iter().filter(|length| **length > stage.max_new_tokens).count();
            if cut > 0 {
                let message = format!(
                    "{whose}max_new_tokens = {} cuts off {:.0} % of the {} solutions; the longest seen has {} tokens",
                    stage.max_new_tokens,
                    (100.0 * cut as f64 / completions.len() as f64).ceil(),
                    kind.name(),
                    longest(completions),
                );
                checker.warn(&[&key], message);
            }
        }
    }
}

impl Rows {
    fn max(self, other: Self) -> Self {
        Self { seen: self.seen.max(other.seen), ample: self.ample.max(other.ample) }
    }
}

/// Notes every kind of document that has a share and that the task cannot write.
fn has_solutions(shares: &Shares, path: &str, task: &Task, lengths: &Lengths, checker: &mut Checker<'_>) {
    let mut has: Vec<(&str, f64, bool, Option<String>)> = shares
        .solutions()
        .map(|(kind, share)| {
            (kind.name(), share, lengths.completions(kind).is_some(), task.domain.lack(kind))
        })
        .collect();
    has.push(("drill", shares.drill, lengths.drills.is_some(), None));
    let valid: Vec<&str> =
        has.iter().filter(|(_, _, is_there, _)| *is_there).map(|(kind, ..)| *kind).collect();
    for (kind, share, is_there, lack) in &has {
        if *share > 0.0 && !is_there {
            let lack = lack.as_ref().map_or(String::new(), |lack| format!(": {lack}"));
            let message = format!("task `{}` has no documents of the kind `{kind}`{lack}", task.name);
            let help = format!("it has: {}", valid.join(", "));
            checker.mistake(&[&format!("{path}.shares.{kind}")], message, [help]);
        }
    }
}

/// Rows of worked solutions and drills.
fn document_rows(shares: &Shares, lengths: &Lengths) -> Rows {
    let shown = shares.solutions().filter(|(_, share)| *share > 0.0);
    let completions = shown.filter_map(|(kind, _)| lengths.completions(kind));
    let rows = completions
        .map(|lengths_of_kind| completion_rows(lengths, longest(lengths_of_kind), ample(lengths_of_kind)));
    let drills = lengths.drills.as_deref().filter(|_| shares.drill > 0.0).unwrap_or_default();
    rows.fold(Rows { seen: longest(drills), ample: ample(drills) }, Rows::max)
}

/// Rows of a prompt and a completion of so many tokens.
fn completion_rows(lengths: &Lengths, seen: usize, roomy: usize) -> Rows {
    Rows { seen: longest(&lengths.prompts) + seen, ample: ample(&lengths.prompts) + roomy }
}
