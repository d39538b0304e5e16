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
        let Some(gold) = item.answer else {
            return Verdict::error("the item has no answer to compare with");
        };
        let found = match answer::given(item.completion) {
            Ok(found) => found,
            Err(reason) => return Verdict::malformed(reason),
        };
        let equal =
            found == gold.trim() || (self.ignore_case && found.to_lowercase() == gold.trim().to_lowercase());
        if equal { Verdict::correct(found, "equal") } else { Verdict::wrong(found, "not equal") }
    }
}
