//! Spelling a word backward. The level is the number of letters.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::chain::{self, Chained};
use crate::judging::judge_text;
use crate::seed::Stream;
use crate::words::{LETTERS, word};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "spell_backward",
    about: "a word spelled backward; level = letters",
    answers: "word",
    build: |value| build::<SpellBackward>("spell_backward", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpellBackward {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    word: String,
}

fn backward(word: &str) -> String {
    word.chars().rev().collect()
}

impl Chained for Spec {
    const SYMBOLS: &'static str = LETTERS;

    /// The answer as it grows, one letter at its front each time: `b,ab,nab`.
    fn chain(&self) -> Option<Vec<String>> {
        let ends = self.word.char_indices().map(|(at, letter)| at + letter.len_utf8());
        Some(ends.map(|end| backward(&self.word[..end])).collect())
    }
}

impl Domain for SpellBackward {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=20
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let word = word(stream, level);
        Problem { prompt: format!("reverse {word}="), answer: backward(&word), spec: json!({ "word": word }) }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_text(item, |spec: &Spec| Some(backward(&spec.word)))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters(LETTERS);
        symbols.push("reverse ".to_owned());
        symbols.extend(characters("=,!"));
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
    fn the_answer_grows_at_its_front() {
        let spec = Spec { word: "ban".to_owned() };
        assert_eq!(spec.chain().unwrap(), ["b", "ab", "nab"]);
    }
}
