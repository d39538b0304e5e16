//! Checks that the gallery in `docs/TASKS.md` and the code in `docs/tasks/rust.md` are up to date.
//!
//! After an intended change, run `THINKLING_GALLERY=1 cargo test -p thinkling-datasets --test gallery`.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thinkling_datasets::domains::{DOMAINS, Row};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Dataset, SolutionKind, Split};

/// How many letters of a text the page shows. For a longer text it also gives their number.
const SHOWN: usize = 200;

const HEAD: &str = "# Tasks

One question of the test split for each task and level, with a worked solution (`long`) and an answer. This page is
written by `THINKLING_GALLERY=1 cargo test -p thinkling-datasets --test gallery`; `⏎` is the end of a line.
Where several answers are right, the judge accepts them all.
";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// `text` as code on one line, cut after [`SHOWN`] letters.
fn code(text: &str) -> String {
    let letters = text.chars().count();
    let shown: String = text.trim_end().chars().take(SHOWN).collect();
    let rest = if letters > SHOWN { format!(" … ({letters} letters)") } else { String::new() };
    let line = shown.replace('\n', "⏎");
    // A code span needs a longer fence than any run of backticks in it.
    let fence = if line.contains('`') { "``" } else { "`" };
    if line.is_empty() { "(nothing)".to_owned() } else { format!("{fence}{line}{fence}{rest}") }
}

fn section(row: &'static Row) -> String {
    let domain = (row.build)(&Value::Null).unwrap();
    let levels = domain.levels();
    let mut page = format!(
        "\n## {}\n{}. Answers: {}. Levels {} to {}.\n\n",
        row.name,
        row.about,
        row.answers,
        levels.start(),
        levels.end()
    );
    for level in levels {
        let Ok(dataset) = Dataset::new(row, &*domain, level, 0) else { continue };
        let problem = dataset.question(Split::Test, 0).unwrap().problem;
        let mut stream = Stream::at("gallery", 0, &[u64::from(level)]);
        let long = domain.solve(&problem, SolutionKind::Long, &mut stream).unwrap();
        let [prompt, thinking, answer] =
            [&problem.prompt, &long.thinking, &long.answer].map(|text| code(text));
        writeln!(page, "- **{level}** {prompt}\n  - thinks {thinking}\n  - answers {answer}").unwrap();
    }
    page
}

#[test]
fn the_gallery_is_up_to_date() {
    let now: String = [HEAD.to_owned()].into_iter().chain(DOMAINS.iter().map(section)).collect();
    let file = path("docs/TASKS.md");
    if std::env::var_os("THINKLING_GALLERY").is_some() {
        std::fs::write(&file, now).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&file).unwrap();
    let differs = now.lines().zip(written.lines()).find(|(now, written)| now != written);
    assert_eq!(differs, None, "docs/TASKS.md is not up to date: THINKLING_GALLERY=1 writes it");
    assert_eq!(now.len(), written.len(), "docs/TASKS.md is not up to date: THINKLING_GALLERY=1 writes it");
}

/// The code blocks of `docs/tasks/rust.md` in `language`.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(path("docs/tasks/rust.md")).unwrap();
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_walk_through_shows_the_code_that_is_tested() {
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let domain = read("datasets/src/domains/bracket_depth.rs");
    let shown = domain.split("\n#[cfg(test)]").next().unwrap().to_owned();
    assert!(blocks("rust") == [shown], "docs/tasks/rust.md does not show bracket_depth.rs as it is");
    let recipe = read("recipes/brackets.toml");
    assert!(blocks("toml") == [recipe], "docs/tasks/rust.md does not show brackets.toml as it is");
}
