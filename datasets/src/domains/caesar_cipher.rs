//! Caesar cipher: every letter shifts by the same distance. The level is the number of letters.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::chain::{self, Chained};
use crate::judging::judge_text;
use crate::seed::Stream;
use crate::words::{LETTERS, word};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "caesar_cipher",
    about: "a word with all letters shifted by a distance, with a after z; level = letters",
    answers: "word",
    build: |value| build_checked::<CaesarCipher>("caesar_cipher", value, CaesarCipher::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaesarCipher {
    /// The distances are from 1 to this.
    pub max_shift: u8,
}

impl Default for CaesarCipher {
    fn default() -> Self {
        Self { max_shift: 25 }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    shift: u8,
    word: String,
}

impl CaesarCipher {
    fn check(&self) -> Result<(), String> {
        let is_sound = (1..=25).contains(&self.max_shift);
        is_sound.then_some(()).ok_or_else(|| format!("max_shift = {}: give 1 to 25", self.max_shift))
    }
}

impl Spec {
    /// Shifts a letter and keeps its case. Other characters do not change.
    fn moved(&self, letter: char) -> Option<char> {
        let first = match letter {
            'a'..='z' => b'a',
            'A'..='Z' => b'A',
            _ => return (!letter.is_alphabetic()).then_some(letter),
        };
        Some(char::from(first + (letter as u8 - first + self.shift % 26) % 26))
    }

    fn cipher(&self) -> Option<String> {
        self.word.chars().map(|letter| self.moved(letter)).collect()
    }
}

impl Chained for Spec {
    const SYMBOLS: &'static str = LETTERS;

    /// Letter by letter: `b>e,a>d`.
    fn chain(&self) -> Option<Vec<String>> {
        self.word.chars().map(|letter| Some(format!("{letter}>{}", self.moved(letter)?))).collect()
    }
}

impl Domain for CaesarCipher {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=20
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let spec = Spec { shift: stream.between(1, self.max_shift.into()) as u8, word: word(stream, level) };
        Problem {
            prompt: format!("shift {} {}=", spec.shift, spec.word),
            answer: spec.cipher().unwrap_or_default(),
            spec: json!({ "shift": spec.shift, "word": spec.word }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_text(item, Spec::cipher)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters(LETTERS);
        symbols.push("shift ".to_owned());
        symbols.extend((1..=self.max_shift).map(|shift| shift.to_string()));
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
    fn letters_move_round_the_end() {
        let spec = Spec { shift: 3, word: "xyza".to_owned() };
        assert_eq!(spec.cipher().as_deref(), Some("abcd"));
        assert_eq!(spec.chain().unwrap().join(","), "x>a,y>b,z>c,a>d");
        assert_eq!(Spec { shift: 255, word: "É".to_owned() }.cipher(), None);
        let spec = Spec { shift: 255, word: "NRQ, fas 2!".to_owned() };
        assert_eq!(spec.cipher().as_deref(), Some("IML, avn 2!"));
    }
}
