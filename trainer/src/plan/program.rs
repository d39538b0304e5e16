//! Tasks with questions from a user's program.

use std::sync::Arc;

use thinkling_datasets::curriculum::CurriculumSettings;
use thinkling_datasets::external::{ExternalTasks, Report, Settings};

use super::file;
use super::recipe::Recipe;
use crate::recipe::{Checker, TaskEntry};

/// A running program and the report on its first questions.
#[derive(Clone)]
pub(super) struct Opened {
    settings: Settings,
    levels: Vec<u32>,
    pub(super) tasks: Arc<ExternalTasks>,
    pub(super) report: Report,
}

/// The programs of a recipe, each with the path of its task.
pub(super) type Programs = Vec<(String, Opened)>;

/// Starts every program of the recipe, once for tasks with equal settings. Writes the hash of its first questions into
/// the recipe; a resume with a program that poses other questions is refused.
pub(super) fn open(written: &mut Recipe, checker: &mut Checker<'_>) -> Programs {
    let mut opened = Programs::new();
    for (path, task) in file::tasks(written) {
        let at = |key: &str| format!("{path}.{key}");
        if task.file.is_some() || checker.is_faulty(&at("command")) || checker.is_faulty(&at("settings")) {
            continue;
        }
        let Some(settings) = settings(task) else { continue };
        if let Err(message) = settings.program().check() {
            checker.mistake(&[&at("command")], message, []);
            continue;
        }
        let levels = levels(task);
        let known = opened.iter().find(|(_, known)| (&known.settings, &known.levels) == (&settings, &levels));
        let program = match known.map(|(_, known)| known.clone()) {
            Some(known) => known,
            None => match ExternalTasks::open(settings.clone(), &levels) {
                Ok((tasks, report)) => Opened { settings, levels, tasks: Arc::new(tasks), report },
                Err(error) => {
                    let help = "try it by hand: `thinkling generate external --count 1 --seed 1 --settings \
                                '{\"command\": […]}'`";
                    checker.mistake(&[&at("command")], error.to_string(), [help.to_owned()]);
                    continue;
                }
            },
        };
        let hash = &program.report.hash;
        if task.blake3.as_ref().is_some_and(|known| known != hash) {
            let message =
                "the program does not pose the questions that this recipe was written for".to_owned();
            let help = format!(
                "the hash of its first questions is {hash}: restore the program, or leave `blake3` out"
            );
            checker.mistake(&[&at("blake3")], message, [help]);
        }
        if let Some(reason) = &program.report.reason {
            let Report { asked, unfit, .. } = program.report;
            let message = format!("task `{}`: {unfit} of {asked} questions are skipped: {reason}", task.name);
            checker.warn(&[&at("command")], message);
        }
        task.blake3 = Some(hash.clone());
        opened.push((path, program));
    }
    opened
}

fn settings(task: &TaskEntry) -> Option<Settings> {
    let default = Settings::default();
    Some(Settings {
        command: task.command.clone()?,
        time_limit_s: task.time_limit_s.unwrap_or(default.time_limit_s),
        output_limit_bytes: task.output_limit_bytes.unwrap_or(default.output_limit_bytes),
        alphabet: task.alphabet.clone().unwrap_or_default(),
        settings: task.settings.clone(),
    })
}

/// Every level of the task; mistakes in them are reported elsewhere.
fn levels(task: &TaskEntry) -> Vec<u32> {
    let listed = task.levels.iter().flatten().copied();
    let rising = task.curriculum.iter().flat_map(CurriculumSettings::levels);
    let mut levels: Vec<u32> = task.level.into_iter().chain(listed).chain(rising).collect();
    levels.sort_unstable();
    levels.dedup();
    if levels.is_empty() { vec![0] } else { levels }
}

pub(super) fn keys(written: &TaskEntry, path: &str, checker: &mut Checker<'_>) {
    let (file, command) = (written.file.is_some(), written.command.is_some());
    let at = |key: &str| format!("{path}.{key}");
    if file && command {
        let help = "questions come from a file or from a program: give only one of the two".to_owned();
        let message = format!("`{}` excludes `{}`", at("command"), at("file"));
        checker.mistake(&[&at("command"), &at("file")], message, [help]);
        return;
    }
    let needed = [
        ("verifier", written.verifier.is_some(), file, "file"),
        ("blake3", written.blake3.is_some(), file || command, "file"),
        ("time_limit_s", written.time_limit_s.is_some(), command, "command"),
        ("output_limit_bytes", written.output_limit_bytes.is_some(), command, "command"),
        ("alphabet", written.alphabet.is_some(), command, "command"),
    ];
    for (key, is_given, has_effect, needs) in needed {
        if is_given && !has_effect {
            let judge = if command {
                "the program judges its own questions"
            } else {
                "a built-in task judges its own questions"
            };
            let help = format!("give `{needs}` too, or leave it out: {judge}");
            let message = format!("`{}` has no effect without `{}`", at(key), at(needs));
            checker.mistake(&[&at(key)], message, [help]);
        }
    }
    if command && thinkling_datasets::domains::find(&written.name).is_some() {
        let help = "give the questions of the program another name".to_owned();
        checker.mistake(&[&at("name")], file::is_taken(&written.name), [help]);
    }
}
