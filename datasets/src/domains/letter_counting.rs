//! Counting how often a letter occurs in a word. The level is the number of letters.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::chain::{self, Chained};
use crate::judging::judge_whole;
use crate::seed::Stream;
use crate::words::{LETTERS, word};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "letter_counting",
    about: "how often a letter occurs in a word; level = letters",
    answers: "whole number",
    build: |value| build::<LetterCounting>("letter_counting", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LetterCounting {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    letter: char,
    word: String,
}

impl Spec {
    fn count(&self) -> usize {
        self.word.chars().filter(|letter| *letter == self.letter).count()
    }
}

impl Chained for Spec {
    const SYMBOLS: &'static str = "0123456789";

    /// Each letter and the count so far: `b0,a1,n1,a2`.
    fn chain(&self) -> Option<Vec<String>> {
        let mut count = 0;
        let entry = |letter| {
            count += u32::from(letter == self.letter);
            format!("{letter}{count}")
        };
        Some(self.word.chars().map(entry).collect())
    }
}

impl Domain for LetterCounting {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=30
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let word = word(stream, level);
        let letters: Vec<char> =
            if stream.chance(0.9) { word.chars().collect() } else { LETTERS.chars().collect() };
        let spec = Spec { letter: *stream.pick(&letters), word };
        Problem {
            prompt: format!("count {} in {}=", spec.letter, spec.word),
            answer: spec.count().to_string(),
            spec: json!({ "letter": spec.letter, "word": spec.word }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, |spec: &Spec| i128::try_from(spec.count()).ok())
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters(LETTERS);
        symbols.extend(["count ", " in "].map(str::to_owned));
        symbols.extend(characters("0123456789=,!"));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        chain::behaviours::<Spec>(problem, thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_runs_along_the_word() {
        let spec = Spec { letter: 'a', word: "banana".to_owned() };
        assert_eq!(spec.chain().unwrap().join(","), "b0,a1,n1,a2,n2,a3");
        assert_eq!(spec.count(), 3);
    }
}
