//! Mistakes in a recipe, each with its location and help.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    /// 0: the file; n: the nth `--set`.
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The texts of a recipe: the file, then each `--set`.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    texts: Vec<Text>,
}

#[derive(Debug)]
struct Text {
    name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Sources {
    /// Adds a text; mistakes show `name`. Returns its number.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> usize {
        let after_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_ends).collect();
        self.texts.push(Text { name: name.to_owned(), text: text.to_owned(), lines });
        self.texts.len() - 1
    }

    pub(crate) fn slice(&self, location: Location) -> &str {
        let text = self.texts.get(location.source).map_or("", |source| &source.text);
        text.get(location.start..location.end).unwrap_or_default()
    }

    fn place(&self, location: Location) -> Place {
        let (name, text, lines) = self
            .texts
            .get(location.source)
            .map_or(("", "", &[0][..]), |source| (&source.name, &source.text, &source.lines));
        let before = text.get(..location.start).unwrap_or(text);
        let number = lines.partition_point(|start| *start <= before.len()).max(1);
        let line_start = lines[number - 1];
        let line = text[line_start..].lines().next().unwrap_or_default();
        let on_line = location.end.min(line_start + line.len());
        let width = text.get(location.start..on_line).map_or(0, |marked| marked.chars().count());
        Place {
            source: name.to_owned(),
            line: number,
            column: before[line_start..].chars().count() + 1,
            text: line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect(),
            width: width.max(1),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) at: Location,
    pub(crate) message: String,
    /// What is allowed, and what was probably meant.
    pub(crate) help: Vec<String>,
}

/// The location of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, or `--set` with its argument.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// Characters of the line that are marked.
    pub width: usize,
}

/// One mistake in a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Location; none if the file could not be read.
    pub place: Option<Place>,
    /// What is wrong: the key and the value.
    pub message: String,
    /// What is allowed, and what was probably meant.
    pub help: Vec<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.message)?;
        let margin = self.place.as_ref().map_or(1, |place| place.line.to_string().len());
        if let Some(place) = &self.place {
            let Place { source, line, column, text, width } = place;
            let indent = " ".repeat(column - 1);
            write!(out, "\n{:margin$}--> {source}:{line}:{column}", "")?;
            write!(
                out,
                "\n{:margin$} |\n{line} | {text}\n{:margin$} | {indent}{}",
                "",
                "",
                "^".repeat(*width)
            )?;
        }
        for help in &self.help {
            write!(out, "\n{:margin$} = {help}", "")?;
        }
        Ok(())
    }
}

/// Every mistake in a recipe, in the order of its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipeErrors {
    /// The mistakes; never empty.
    pub mistakes: Vec<Mistake>,
}

impl RecipeErrors {
    /// The mistakes `found` in a recipe with these sources.
    pub(crate) fn new(sources: &Sources, mut found: Vec<Found>) -> Self {
        found.sort_by_key(|found| found.at);
        let told = found.into_iter().map(|Found { at, message, help }| Mistake {
            place: Some(sources.place(at)),
            message,
            help,
        });
        let mut mistakes: Vec<Mistake> = told.collect();
        mistakes.dedup();
        Self { mistakes }
    }

    /// A recipe that could not be read.
    pub(crate) fn unreadable(message: String, help: Vec<String>) -> Self {
        Self { mistakes: vec![Mistake { place: None, message, help }] }
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            write!(out, "{mistake}\n\n")?;
        }
        match self.mistakes.len() {
            1 => write!(out, "1 mistake in the recipe; nothing was started"),
            count => write!(out, "{count} mistakes in the recipe; nothing was started"),
        }
    }
}

impl std::error::Error for RecipeErrors {}

/// Least similarity (Jaro–Winkler) of a suggestion.
const ALIKE: f64 = 0.8;

/// The candidate that is most similar to `word`.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(word, candidate), candidate));
    scored
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(crate) fn keys(word: &str, valid: &[&str]) -> Vec<String> {
    remedies(word, valid, "keys")
}

pub(crate) fn values(word: &str, valid: &[&str]) -> Vec<String> {
    remedies(word, valid, "values")
}

fn remedies(word: &str, valid: &[&str], what: &str) -> Vec<String> {
    let meant = nearest(word, valid.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
    let all = if valid.is_empty() {
        format!("there are no valid {what} here")
    } else {
        format!("valid {what}: {}", valid.join(", "))
    };
    meant.into_iter().chain([all]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_at_its_place() {
        let mut sources = Sources::default();
        let text = "name = \"ü\"\nsede = 1 # é\n";
        let source = sources.add("a.toml", text);
        let start = text.find("sede").unwrap();
        let found = Found {
            at: Location { source, start, end: start + 4 },
            message: "unknown key `sede`".to_owned(),
            help: keys("sede", &["name", "seed"]),
        };
        let expected = "\
error: unknown key `sede`
 --> a.toml:2:1
  |
2 | sede = 1 # é
  | ^^^^
  = did you mean `seed`?
  = valid keys: name, seed

1 mistake in the recipe; nothing was started";
        assert_eq!(RecipeErrors::new(&sources, vec![found]).to_string(), expected);
    }

    #[test]
    fn columns_count_characters_and_marks_stay_on_their_line() {
        let mut sources = Sources::default();
        let text = "a = \"ü\"; b = [1,\n2]";
        let source = sources.add("a.toml", text);
        let start = text.find("[1").unwrap();
        let place = sources.place(Location { source, start, end: text.len() });
        assert_eq!((place.line, place.column, place.width), (1, 14, 3));
        let end = sources.place(Location { source, start: text.len(), end: text.len() });
        assert_eq!((end.line, end.column, end.width), (2, 3, 1));
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        let keys = ["learning_rate", "hidden_size", "steps"];
        assert_eq!(nearest("learing_rate", keys), Some("learning_rate"));
        assert_eq!(nearest("hidden", keys), Some("hidden_size"));
        assert_eq!(nearest("temperature", keys), None);
    }
}
