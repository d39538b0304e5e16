//! The verifier `exact`: compares the answer as a string.

use serde::Deserialize;

use crate::{Item, Row, Verdict, Verifier, answer, settings};

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "exact",
    about: "the text between the answer tags equals the answer, letter by letter",
    build: |value| Ok(Box::new(settings::<Exact>("exact", value)?)),
};

/// Compares the text between the answer tags with the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exact {
    /// Whether upper and lower case count as equal.
    pub ignore_case: bool,
}

impl Verifier for Exact {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        // Otherwise an empty answer would be paid.
        let Some(gold) = item.answer.map(str::trim).filter(|gold| !gold.is_empty()) else {
            return Verdict::error("the item has no answer to compare with");
        };
        let found = match answer::given(item.completion) {
            Ok(found) => found,
            Err(reason) => return Verdict::malformed(reason),
        };
        // How a file ends its lines says nothing about what they hold.
        let [answered, right] = [found, gold].map(|text| text.replace("\r\n", "\n"));
        let equal =
            answered == right || (self.ignore_case && answered.to_lowercase() == right.to_lowercase());
        if equal { Verdict::correct(found, "equal") } else { Verdict::wrong(found, "not equal") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn outcome(exact: Exact, completion: &str, answer: &str) -> Outcome {
        exact.verify(&Item { completion, answer: Some(answer), spec: None }).outcome
    }

    #[test]
    fn texts_are_equal_letter_by_letter() {
        let strict = Exact::default();
        for (inner, answer, expected) in [
            ("abc", "abc", Outcome::Correct),
            (" abc\n", "abc ", Outcome::Correct),
            ("a\r\nb", "a\nb", Outcome::Correct),
            ("Abc", "abc", Outcome::Wrong),
            ("a b", "a  b", Outcome::Wrong),
            ("abc or abd", "abc", Outcome::Wrong),
            ("", "abc", Outcome::Wrong),
            ("", "", Outcome::Error),
            (" ", "\n", Outcome::Error),
        ] {
            assert_eq!(outcome(strict, &format!("<answer>{inner}</answer>"), answer), expected, "{inner:?}");
        }
        let loose = Exact { ignore_case: true };
        assert_eq!(outcome(loose, "<answer>ÄBC</answer>", "äbc"), Outcome::Correct);
        assert_eq!(outcome(strict, "abc", "abc"), Outcome::Malformed);
    }
}
