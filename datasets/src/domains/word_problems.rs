//! Short stories about counting things. The level is the number of operations.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::judge_whole;
use crate::seed::Stream;
use crate::trace::{self, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "word_problems",
    about: "a short story about counting things; level = operations",
    answers: "whole number",
    build: |value| build_checked::<WordProblems>("word_problems", value, WordProblems::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordProblems {
    /// The share of stories with an irrelevant sentence.
    pub distraction: f64,
    /// The maximum of every number in a solution.
    pub max_value: i64,
}

impl Default for WordProblems {
    fn default() -> Self {
        Self { distraction: 0.25, max_value: 300 }
    }
}

const NAMES: &[&str] = &["Ann", "Ben", "Eva", "Ivo", "Mia", "Sam", "Tom", "Zoe"];
const THINGS: &[&str] = &["apples", "books", "cards", "eggs", "nuts", "pens", "shells", "stamps"];

/// The beginning of a story, without an operation.
const START: &[&str] = &["{name} has {n} {things}."];
/// Irrelevant sentences.
const DISTRACTIONS: &[&str] = &["{other} has {n} {others}.", "{name} is {n} years old."];
/// The end of a story.
const QUESTIONS: &[&str] = &["How many {things} has {name} now?", "How many {things} are left?"];

/// A way to tell an operation.
struct Telling {
    operation: char,
    place: Place,
    sentences: &'static [&'static str],
}

/// Where in a story an operation may be told.
#[derive(PartialEq, Eq)]
enum Place {
    /// First, together with the number that the story starts with.
    Start,
    /// After the start.
    Middle,
    /// Last, together with the question.
    End,
}

const TELLINGS: &[Telling] = &[
    Telling {
        operation: '*',
        place: Place::Start,
        sentences: &["{name} has {m} boxes with {n} {things} in each."],
    },
    Telling {
        operation: '+',
        place: Place::Start,
        sentences: &["{name} finds {m} {things} and then {n} more."],
    },
    Telling {
        operation: '+',
        place: Place::Middle,
        sentences: &["{name} buys {n} more.", "{other} gives {name} {n} more.", "Then come {n} more."],
    },
    Telling {
        operation: '-',
        place: Place::Middle,
        sentences: &["{name} loses {n}.", "{name} gives {n} to {other}.", "{name} sells {n} of them."],
    },
    Telling {
        operation: '*',
        place: Place::Middle,
        sentences: &["A month later {name} has {n} times as many.", "By magic there are {n} times as many."],
    },
    Telling {
        operation: '/',
        place: Place::Middle,
        sentences: &["{name} makes {n} equal piles and keeps only one.", "Only one of every {n} is kept."],
    },
    Telling {
        operation: '*',
        place: Place::End,
        sentences: &["Each of the {things} costs {n} coins. How many coins do all of them cost?"],
    },
    Telling {
        operation: '/',
        place: Place::End,
        sentences: &["{n} friends share all of the {things}. How many does each friend get?"],
    },
];

/// What the judge needs: a number, and the operations on it in order.
#[derive(Deserialize)]
struct Spec {
    start: i64,
    steps: Vec<(char, i64)>,
}

fn apply(value: i64, operation: char, number: i64) -> Option<i64> {
    match operation {
        '+' => value.checked_add(number),
        '-' => value.checked_sub(number),
        '*' => value.checked_mul(number),
        '/' => (number > 0 && value % number == 0).then(|| value / number),
        _ => None,
    }
}

impl Spec {
    fn value(&self) -> Option<i64> {
        self.steps.iter().try_fold(self.start, |value, (operation, number)| apply(value, *operation, *number))
    }

    fn equations(&self) -> Option<Vec<String>> {
        let mut value = self.start;
        let mut lines = Vec::with_capacity(self.steps.len());
        for (operation, number) in &self.steps {
            let next = apply(value, *operation, *number)?;
            lines.push(equation(value, *operation, number, next));
            value = next;
        }
        Some(lines)
    }
}

/// The people in a story, and the things that are counted.
struct Story<'a> {
    stream: &'a mut Stream,
    name: &'static str,
    other: &'static str,
    things: &'static str,
    others: &'static str,
}

impl<'a> Story<'a> {
    fn new(stream: &'a mut Stream) -> Self {
        let (mut names, mut things) = (NAMES.to_vec(), THINGS.to_vec());
        stream.shuffle(&mut names);
        stream.shuffle(&mut things);
        Self { name: names[0], other: names[1], things: things[0], others: things[1], stream }
    }

    fn tell(&mut self, sentences: &[&str], m: i64, n: i64) -> String {
        let sentence = *self.stream.pick(sentences);
        sentence
            .replace("{name}", self.name)
            .replace("{other}", self.other)
            .replace("{things}", self.things)
            .replace("{others}", self.others)
            .replace("{m}", &m.to_string())
            .replace("{n}", &n.to_string())
    }

    /// A number for which the operation gives a whole number from 1 to `most`.
    fn number(&mut self, value: i64, operation: char, most: i64) -> Option<i64> {
        let numbers = match operation {
            '+' => 1..=20.min(most - value),
            '-' => 1..=20.min(value - 1),
            '*' => 2..=5.min(most / value),
            _ => 2..=9,
        };
        let fitting: Vec<i64> = numbers.filter(|number| apply(value, operation, *number).is_some()).collect();
        fitting.get(self.stream.index(fitting.len())).copied()
    }

    /// An operation that can be told at `place`, with its number and its telling.
    fn step(&mut self, value: i64, place: &Place, most: i64) -> Option<(char, i64, &'static Telling)> {
        let mut tellings: Vec<&'static Telling> =
            TELLINGS.iter().filter(|telling| telling.place == *place).collect();
        self.stream.shuffle(&mut tellings);
        tellings.into_iter().find_map(|telling| {
            let number = self.number(value, telling.operation, most)?;
            Some((telling.operation, number, telling))
        })
    }
}

impl WordProblems {
    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.distraction) || !(50..=9999).contains(&self.max_value) {
            return Err(format!(
                "distraction = {}, max_value = {}: give a share from 0 to 1 and a number from 50 to 9999",
                self.distraction, self.max_value
            ));
        }
        Ok(())
    }

    /// The sentences of a story with `level` operations, and its spec.
    fn story(&self, stream: &mut Stream, level: u32) -> (Vec<String>, Spec) {
        let mut story = Story::new(stream);
        let mut value = story.stream.between(2, 20);
        let mut spec = Spec { start: value, steps: Vec::new() };
        let mut sentences = Vec::new();
        let mut asks_already = false;
        let starts_at_once = story.stream.chance(0.5);
        let ends_with_operation = story.stream.chance(0.4);
        for at in 0..level {
            let is_last = at + 1 == level;
            let place = match at {
                0 if starts_at_once => Place::Start,
                _ if is_last && ends_with_operation => Place::End,
                _ => Place::Middle,
            };
            if at == 0 && place != Place::Start {
                sentences.push(story.tell(START, 0, value));
            }
            let found = story.step(value, &place, self.max_value);
            // At the end a price may become too large. A loss never does, and every value except 1 can shrink.
            let found = found.or_else(|| story.step(value, &Place::Middle, self.max_value));
            let Some((operation, number, telling)) = found else { break };
            sentences.push(story.tell(telling.sentences, value, number));
            value = apply(value, operation, number).unwrap_or(value);
            spec.steps.push((operation, number));
            asks_already = telling.place == Place::End;
        }
        if !asks_already {
            sentences.push(story.tell(QUESTIONS, 0, 0));
        }
        // Before the end, because the end names what is counted. Elsewhere "more" could refer to the wrong things.
        if story.stream.chance(self.distraction) {
            let number = story.stream.between(2, 20);
            let distraction = story.tell(DISTRACTIONS, 0, number);
            sentences.insert(sentences.len() - 1, distraction);
        }
        (sentences, spec)
    }
}

/// All words in the templates, including names and things.
fn vocabulary() -> Vec<String> {
    let templates = TELLINGS.iter().flat_map(|telling| telling.sentences).chain(START).chain(DISTRACTIONS);
    let words = templates.chain(QUESTIONS).flat_map(|template| template.split(' '));
    let plain =
        words.filter(|word| !word.starts_with('{')).map(|word| word.trim_end_matches(['.', '?', ',']));
    let mut vocabulary: Vec<String> =
        plain.chain(NAMES.iter().chain(THINGS).copied()).map(str::to_owned).collect();
    vocabulary.sort_unstable();
    vocabulary.dedup();
    vocabulary
}

impl Domain for WordProblems {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=8
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let (sentences, spec) = self.story(stream, level);
        Problem {
            prompt: sentences.join(" "),
            answer: spec.value().map_or_else(String::new, |value| value.to_string()),
            spec: json!({ "start": spec.start, "steps": spec.steps }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, |spec: &Spec| spec.value().map(i128::from))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations()?, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = vocabulary();
        symbols.extend(characters("0123456789 .?+-*/=,!"));
        symbols
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_says_what_is_counted() {
        for seed in 0..2000 {
            let level = 1 + seed as u32 % 8;
            let domain = WordProblems { distraction: 0.0, ..WordProblems::default() };
            let (sentences, spec) = domain.story(&mut Stream::at("test", seed, &[]), level);
            assert_eq!(spec.steps.len(), level as usize, "{sentences:?}");
            assert!(spec.value().is_some_and(|value| (1..=300).contains(&value)), "{sentences:?}");
            // The story tells every number of the spec, in order.
            let told: Vec<i64> = sentences
                .join(" ")
                .split(|symbol: char| !symbol.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            let meant: Vec<i64> =
                [spec.start].into_iter().chain(spec.steps.iter().map(|(_, number)| *number)).collect();
            assert_eq!(told, meant, "{sentences:?}");
            assert!(sentences.join(" ").ends_with('?'), "{sentences:?}");
        }
    }

    #[test]
    fn a_division_with_a_remainder_makes_a_broken_item() {
        assert_eq!(Spec { start: 7, steps: vec![('/', 2)] }.value(), None);
        assert_eq!(Spec { start: 7, steps: vec![('/', 0)] }.value(), None);
        assert_eq!(Spec { start: i64::MAX, steps: vec![('*', 2)] }.value(), None);
    }
}
