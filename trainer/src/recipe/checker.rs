//! Collects mistakes of meaning in a recipe with the right form.

use serde_json::{Map, Value};

use super::{Found, Node, keys};

/// Builds something from settings, or returns the first mistake in them.
type Build<'a, T> = dyn Fn(&Map<String, Value>) -> Result<T, String> + 'a;

/// Mistakes that are told about the settings of one thing. Each takes a time that grows with their number.
const MOST_MISTAKES: usize = 50;

/// Collects mistakes of meaning and warnings, each about keys of the recipe.
pub struct Checker<'a> {
    root: &'a Node,
    faulty: &'a [String],
    pub(crate) found: Vec<Found>,
    pub(crate) warnings: Vec<String>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(root: &'a Node, faulty: &'a [String]) -> Self {
        Self { root, faulty, found: Vec::new(), warnings: Vec::new() }
    }

    /// Whether the value at `path`, a part of it or a table around it is faulty.
    pub(crate) fn is_faulty(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.faulty.iter().any(|faulty| within(path, faulty) || within(faulty, path))
    }

    /// Notes a mistake in the values at `paths`; its location is the first of them in the recipe.
    pub(crate) fn mistake(
        &mut self,
        paths: &[&str],
        message: String,
        help: impl IntoIterator<Item = String>,
    ) {
        if paths.iter().any(|path| self.is_faulty(path)) {
            return;
        }
        let written = paths.iter().find_map(|path| self.root.find(path));
        let around = || self.root.find_around(paths.first().copied().unwrap_or_default());
        let at = written.unwrap_or_else(around).at;
        self.found.push(Found { at, message, help: help.into_iter().collect() });
    }

    /// Notes a warning about the values at `paths`.
    pub(crate) fn warn(&mut self, paths: &[&str], message: String) {
        if !paths.iter().any(|path| self.is_faulty(path)) {
            self.warnings.push(message);
        }
    }

    /// Builds something from `written` without the settings that it refuses. Reports each of those at its key under
    /// `path`. Returns whether all were valid.
    pub(crate) fn settled<T>(
        &mut self,
        build: &Build<'_, T>,
        written: &Map<String, Value>,
        path: &str,
        label: &str,
    ) -> Option<(T, bool)> {
        let mut settings = written.clone();
        for _ in 0..MOST_MISTAKES {
            let message = match build(&settings) {
                Ok(built) => return Some((built, settings.len() == written.len())),
                Err(message) => message,
            };
            let blamed = blamed(build, &settings, &message);
            // A mistake that no key explains may only follow from a key that was left out.
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
            self.mistake(&[&at], format!("{label}: {message}"), help);
            settings.remove(&blamed?);
        }
        self.mistake(&[path], format!("{label}: more settings are wrong than are told here"), []);
        None
    }
}

#[derive(Clone, Copy, Debug)]
pub struct StagePath<'a> {
    /// Index of the stage.
    pub index: usize,
    pub name: &'a str,
}

impl StagePath<'_> {
    pub fn key(&self, key: &str) -> String {
        format!("stage.{}.{key}", self.index)
    }
}

/// The key that a domain's complaint is about: one that it quotes, or one without which the complaint disappears.
fn blamed<T>(build: &Build<'_, T>, settings: &Map<String, Value>, message: &str) -> Option<String> {
    let quoted = message.split('`').skip(1).step_by(2).find(|word| settings.contains_key(*word));
    let is_cause = |key: &&String| {
        let rest: Map<_, _> =
            settings.iter().filter(|(other, _)| other != key).map(|(k, v)| (k.clone(), v.clone())).collect();
        build(&rest).err().is_none_or(|error| error != message)
    };
    quoted.map(str::to_owned).or_else(|| settings.keys().find(is_cause).cloned())
}
