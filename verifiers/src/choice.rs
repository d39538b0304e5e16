//! The verifier `choice`: compares the letter of a multiple-choice answer.

use serde::Deserialize;

use crate::math::extract::{self, Extraction};
use crate::{Item, Row, Verdict, Verifier, answer, settings};

mod naming;

pub use naming::letter;

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "choice",
    about: "the answer names the right letter of a multiple choice: C, (C), C. 12, \\text{C}",
    build: |value| Ok(Box::new(settings::<Choice>("choice", value)?)),
};

/// Compares the letter that an answer names with the right one.
///
/// An answer names one choice clearly or none at all: `C or D`, `not B` and `C. is wrong, it is A` name none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Which places are searched for the answer: `strict` (tags, box, `####`) or `lenient` (also prose).
    pub extraction: Extraction,
}

impl Choice {
    /// The letter of the answer that was found in a completion.
    fn named(self, completion: &str, found: &extract::Found) -> Option<char> {
        let text = answer::tagged(completion).or(answer::after_thinking(completion).ok())?;
        let first = found.candidates.first()?;
        let named = letter(first).filter(|letter| {
            // What follows "The answer is C." may still take it back.
            let behind = text.rfind(first.as_str()).map_or("", |at| &text[at + first.len()..]);
            found.rule != "phrase" || !naming::takes_back(behind, *letter)
        });
        named.or_else(|| naming::only_letter(text).filter(|_| self.extraction == Extraction::Lenient))
    }
}

impl Verifier for Choice {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        let Some(gold) = item.answer.and_then(letter) else {
            return Verdict::error("the item's answer is not the letter of a choice");
        };
        let found = match extract::completion(item.completion, self.extraction) {
            Ok(found) => found,
            Err(reason) => return Verdict::malformed(reason),
        };
        match self.named(item.completion, &found) {
            Some(letter) if letter.eq_ignore_ascii_case(&gold) => {
                Verdict::correct(letter, format!("{}: the same choice", found.rule))
            }
            Some(letter) => Verdict::wrong(letter, format!("{}: a different choice", found.rule)),
            None => Verdict::malformed(format!("{}: does not name a single choice", found.rule)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letter for which a completion is paid, if it is paid for any.
    fn paid(completion: &str, extraction: Extraction) -> Option<char> {
        let judged = |gold: &char| {
            let answer = gold.to_string();
            let item = Item { completion, answer: Some(&answer), spec: None };
            Choice { extraction }.verify(&item).is_correct()
        };
        let all: Vec<char> = ('A'..='J').filter(judged).collect();
        assert!(all.len() < 2, "{completion} is paid for {all:?}");
        all.first().copied()
    }

    #[test]
    fn one_clear_choice_is_paid_and_a_hedge_is_not() {
        for (inner, letter) in [
            ("B", Some('B')),
            ("(b)", Some('B')),
            ("**B**", Some('B')),
            ("\\boxed{B}", Some('B')),
            ("Option B", Some('B')),
            ("The answer is B.", Some('B')),
            ("B) 12 apples", Some('B')),
            ("B, not C", Some('B')),
            ("B is correct", Some('B')),
            ("B because A is wrong", Some('B')),
            ("C. is wrong, it is A", None),
            ("C is wrong", None),
            ("not B", None),
            ("B is incorrect", None),
            ("A or B", None),
            ("A, B, C, D", None),
            ("I'd eliminate C; D", None),
            ("I'd eliminate C", None),
            ("B... no, C", None),
            ("It is not C", None),
            ("anything but C", None),
        ] {
            for extraction in [Extraction::Strict, Extraction::Lenient] {
                let completion = format!("<think>A? B? C? D?</think><answer>{inner}</answer>");
                assert_eq!(paid(&completion, extraction), letter, "{inner}");
            }
        }
    }

    #[test]
    fn prose_may_name_one_choice() {
        for (text, letter) in [
            ("Because of the wind the answer is C.", Some('C')),
            ("The answer is C. A and B are wrong.", Some('C')),
            ("The correct answer is (C) 12 apples", Some('C')),
            ("B. Because the sun is a star.", Some('B')),
            ("So I would choose option D.", Some('D')),
            ("A triangle has three sides, so C", Some('C')),
            ("The answer is C. But that is wrong, so A.", None),
            ("The answer is C. No wait, it is A.", None),
            ("The answer is C. That is incorrect.", None),
            ("The answer is not C.", None),
            ("Is the answer C? No.", None),
            ("The answer is C or D.", None),
            ("The answer is either C or D.", None),
            ("A, B, C, D", None),
            ("I would rule out C.", None),
            ("C cannot be it.", None),
        ] {
            assert_eq!(paid(text, Extraction::Lenient), letter, "{text}");
        }
    }
}
