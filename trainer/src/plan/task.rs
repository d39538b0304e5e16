//! The tasks of a recipe: builds, checks and measures them.

use std::sync::Arc;

use serde_json::{Map, Value};
use thinkling_datasets::curriculum::{LevelCurriculum, LevelCurriculumError};
use thinkling_datasets::domains::{self, DOMAINS};
use thinkling_datasets::{DatasetError, Domain, Split};

use super::program::Programs;
use super::{file, program};
use crate::data::task::{Course, Program, Task};
use crate::recipe::{Checker, TaskEntry, values};

/// Builds the task at `path` at all its levels; notes every mistake in it.
pub(super) fn build(
    written: &TaskEntry,
    path: &str,
    programs: &Programs,
    checker: &mut Checker<'_>,
) -> Option<Course> {
    let name = format!("{path}.name");
    let levels = levels(written, path, checker);
    // Without its faulty source, the name would mean a different task.
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
        // A program that did not start is already reported.
        let (_, opened) = programs.iter().find(|(of, _)| of == path)?;
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
    // Builds every level before it stops at the first mistake.
    let tasks: Vec<Option<Arc<Task>>> = tasks.collect();
    let tasks = tasks.into_iter().collect::<Option<Vec<_>>>()?;
    let TaskEntry { weight, curriculum, ref shares, .. } = *written;
    let course = Course { tasks, weight, curriculum, shares: shares.clone() };
    (is_sound && !checker.is_faulty(path)).then_some(course)
}

fn levels(written: &TaskEntry, path: &str, checker: &mut Checker<'_>) -> Option<Vec<(u32, String)>> {
    let at = |key: &str| format!("{path}.{key}");
    let (level, listed, curriculum) = (at("level"), at("levels"), at("curriculum"));
    match (written.level, &written.levels, written.curriculum) {
        (Some(number), None, None) => Some(vec![(number, level)]),
        (None, Some(numbers), None) => {
            let repeated = (1..numbers.len()).find(|at| numbers[..*at].contains(&numbers[*at]));
            if let Some(place) = repeated {
                let message = format!("`{listed}` names level {} twice", numbers[place]);
                let help = "levels are asked equally often: list each once".to_owned();
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
        // Level 0 asks all questions of a file, and gives a program no level.
        (None, None, None) if written.file.is_some() => Some(vec![(0, at("file"))]),
        (None, None, None) if written.command.is_some() => Some(vec![(0, at("command"))]),
        (None, None, None) => {
            let is_told = [&level, &listed, &curriculum].into_iter().any(|key| checker.is_faulty(key));
            if !is_told {
                let help = "give `level`, or several `levels`, or a `curriculum`".to_owned();
                checker.mistake(&[path], format!("`{path}` has no `level`"), [help]);
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
            let message = format!("`{}` excludes `{}`", given[0], given[1]);
            checker.mistake(&given, message, ["give one of `level`, `levels` and `curriculum`".to_owned()]);
            None
        }
    }
}

/// Whether the task can be asked at this level; notes a mistake at the path `at` if not.
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

/// Builds a domain without the settings that it refuses. Returns whether all were valid.
///
/// A domain reports one mistake at a time: each is placed at its key, and the other settings are tried again without
/// that key.
fn with_settings(
    row: &'static domains::Row,
    written: &TaskEntry,
    path: &str,
    checker: &mut Checker<'_>,
) -> Option<(Box<dyn Domain>, bool)> {
    let build = |settings: &Map<String, Value>| {
        (row.build)(&Value::Object(settings.clone())).map_err(|error| error.message)
    };
    checker.settled(&build, &written.settings, path, &format!("settings of task `{}`", row.name))
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

    fn painting(settings: Map<String, Value>) -> TaskEntry {
        let written = serde_json::json!({ "name": "painting", "level": 5, "settings": settings });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn every_wrong_setting_is_told_at_its_key() {
        static PAINTING: domains::Row = ROW;
        let text = "[s]\ncolour = 2\nnames = [3]\nsize = 1\ncolours = 9\n";
        let root = crate::recipe::parse(0, text).unwrap();
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
        let root = crate::recipe::parse(0, "[s]\ncolours = 1\nnames = ['a', 'b']\n").unwrap();
        let Value::Object(settings) = serde_json::json!({ "colours": 1, "names": ["a", "b"] }) else {
            panic!()
        };
        let written = painting(settings);
        let mut checker = Checker::new(&root, &[]);
        with_settings(&PAINTING, &written, "s", &mut checker).unwrap();
        assert_eq!(checker.found.len(), 1);
        assert!(checker.found[0].message.ends_with("more names than colours"));
    }
}
