//! The verifier `format`: checks for thinking, then an answer, each tag once and in order.

use serde::Deserialize;

use crate::answer::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN};
use crate::{Item, Row, Verdict, Verifier, answer, settings};

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "format",
    about: "thinking and answer tags, each once, in order, nothing around them",
    build: |value| Ok(Box::new(settings::<Format>("format", value)?)),
};

/// Judges the form of a completion and ignores the content of its answer.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Format {
    /// Whether each tag that occurs exactly once earns a quarter (open-r1's `tag_count`).
    pub partial: bool,
}

/// Whether the completion is `<think>…</think><answer>…</answer>` with each tag once. White space around the parts is
/// allowed.
pub fn is_well_formed(completion: &str) -> bool {
    let tags = [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE];
    // Tags in other writings count too: where another judge finds no answer, the form is not right either.
    if tags.iter().any(|tag| completion.matches(tag).count() != 1) || answer::given(completion).is_err() {
        return false;
    }
    let Some(rest) = completion.trim().strip_prefix(THINK_OPEN) else { return false };
    let Some((_, rest)) = rest.split_once(THINK_CLOSE) else { return false };
    let Some(rest) = rest.trim_start().strip_prefix(ANSWER_OPEN) else { return false };
    rest.ends_with(ANSWER_CLOSE)
}

impl Verifier for Format {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        let found = answer::tagged(item.completion).unwrap_or_default();
        if is_well_formed(item.completion) {
            return Verdict::correct(found, "each tag once and in order");
        }
        if !self.partial {
            return Verdict::malformed("not of the form <think>…</think><answer>…</answer>");
        }
        let once = [THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE]
            .iter()
            .filter(|tag| item.completion.matches(*tag).count() == 1)
            .count();
        // Four tags in the wrong order must score less than the correct form.
        Verdict::partial(0.25 * once.min(3) as f64, found, format!("{once} of 4 tags stand exactly once"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_strict() {
        assert!(is_well_formed("<think>a</think><answer>b</answer>"));
        assert!(is_well_formed(" <think></think>\n<answer></answer>\n"));
        for bad in [
            "",
            "<answer>b</answer>",
            "<think>a</think>x<answer>b</answer>",
            "<think>a</think><answer>b</answer>x",
            "<think>a<answer>b</think></answer>",
            "<think>a</think><answer>b</answer><answer>c</answer>",
            "<answer>b</answer><think>a</think>",
            "<think>a</think><answer>b<THINK></answer>",
            "<think>a</think><answer>b</Think></answer>",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
