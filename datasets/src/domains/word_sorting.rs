//! Sorting words alphabetically. The level is the count of words.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::chain::{self, Chained};
use crate::judging::{Check, entries, judge};
use crate::seed::Stream;
use crate::words::{LETTERS, word};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "word_sorting",
    about: "words sorted alphabetically; level = words",
    answers: "list of words",
    build: |value| build_checked::<WordSorting>("word_sorting", value, WordSorting::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordSorting {
    /// The number of letters in the shortest word.
    pub min_letters: u32,
    /// The number of letters in the longest word.
    pub max_letters: u32,
}

impl Default for WordSorting {
    fn default() -> Self {
        Self { min_letters: 3, max_letters: 5 }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    words: Vec<String>,
}

impl Chained for Spec {
    const SYMBOLS: &'static str = LETTERS;

    fn chain(&self) -> Option<Vec<String>> {
        Some(chain::selection(&self.words, false))
    }
}

impl WordSorting {
    fn check(&self) -> Result<(), String> {
        let is_sound =
            (2..=12).contains(&self.min_letters) && (self.min_letters..=12).contains(&self.max_letters);
        is_sound.then_some(()).ok_or_else(|| {
            format!(
                "min_letters = {}, max_letters = {}: give 2 to 12, and max_letters not below min_letters",
                self.min_letters, self.max_letters
            )
        })
    }
}

impl Domain for WordSorting {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut words: Vec<String> = Vec::with_capacity(level as usize);
        while words.len() < level as usize {
            let length = stream.between(self.min_letters.into(), self.max_letters.into()) as u32;
            let drawn = word(stream, length);
            if !words.contains(&drawn) {
                words.push(drawn);
            }
        }
        let mut sorted = words.clone();
        sorted.sort_unstable();
        Problem {
            prompt: format!("sort {}=", words.join(" ")),
            answer: sorted.join(" "),
            spec: json!({ "words": words }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| {
            let mut sorted = spec.words.clone();
            sorted.sort_unstable();
            Check::of(entries(found).eq(sorted.iter().map(String::as_str)))
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters(LETTERS);
        symbols.push("sort ".to_owned());
        symbols.extend(characters(" =>,!"));
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
    fn every_word_in_its_place() {
        let spec = json!({ "words": ["mola", "baki", "bako"] });
        let score = |answer: &str| {
            let completion = format!("<answer>{answer}</answer>");
            WordSorting::default()
                .judge(&Item { completion: &completion, answer: None, spec: Some(&spec) })
                .score
        };
        assert_eq!((score("baki bako mola"), score("baki, bako, mola")), (1.0, 1.0));
        assert_eq!((score("['baki', 'bako', 'mola']"), score("baki\nbako\nmola")), (1.0, 1.0));
        for answer in ["bako baki mola", "baki bako", "baki bako mola mola", "bakibakomola", "Baki bako mola"]
        {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
    }
}
