//! From an item to a verdict: what every judge here does around its own check.

use serde::Deserialize;
use thinkling_verifiers::{Item, Verdict, answer};

use crate::rational::{Rational, whole};

/// A longer answer than any right one.
const MAX_ANSWER: usize = 4096;

/// What a check says of the text between the answer tags.
pub(crate) enum Check {
    /// It is right.
    Right,
    /// It can be read and is not right.
    Wrong(&'static str),
    /// It cannot be read as an answer.
    Unreadable(&'static str),
    /// The item itself makes no sense.
    Broken(&'static str),
}

impl Check {
    /// Right or wrong.
    pub(crate) fn of(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong("not the right answer") }
    }
}

/// Judges an item by its spec, read as `S`, and the text between its answer tags.
pub(crate) fn judge<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    check: impl FnOnce(&S, &str) -> Check,
) -> Verdict {
    let spec = match read_spec(item) {
        Ok(spec) => spec,
        Err(verdict) => return verdict,
    };
    let Some(found) = answer::tagged(item.completion) else {
        return Verdict::malformed("no closed <answer> after the thinking");
    };
    if found.len() > MAX_ANSWER {
        return Verdict::malformed("the answer is longer than any right one");
    }
    match check(&spec, found) {
        Check::Right => Verdict::correct(found, "right"),
        Check::Wrong(reason) => Verdict::wrong(found, reason),
        Check::Unreadable(reason) => Verdict::malformed(reason),
        Check::Broken(reason) => Verdict::error(reason),
    }
}

/// The spec of an item, or the verdict that it has none.
pub(crate) fn read_spec<S: for<'de> Deserialize<'de>>(item: &Item<'_>) -> Result<S, Verdict> {
    let Some(spec) = item.spec else { return Err(Verdict::error("the item has no spec")) };
    S::deserialize(spec).map_err(|error| Verdict::error(format!("the item's spec: {error}")))
}

/// Judges an answer that is one whole number, which `truth` derives from the spec.
pub(crate) fn judge_whole<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<i128>,
) -> Verdict {
    judge(item, |spec, found| match (truth(spec), whole(found)) {
        (None, _) => Check::Broken("the item has no whole number as its answer"),
        (_, None) => Check::Unreadable("not one whole number"),
        (Some(truth), Some(found)) => Check::of(truth == found),
    })
}

/// Judges an answer that is one number, whole, decimal or a fraction, which `truth` derives from the spec.
pub(crate) fn judge_number<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<Rational>,
) -> Verdict {
    judge(item, |spec, found| match (truth(spec), Rational::read(found)) {
        (None, _) => Check::Broken("the item has no number as its answer"),
        (_, None) => Check::Unreadable("not one number"),
        (Some(truth), Some(found)) => Check::of(truth == found),
    })
}

/// Judges an answer that is one string, letter by letter, which `truth` derives from the spec.
pub(crate) fn judge_text<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<String>,
) -> Verdict {
    judge(item, |spec, found| match truth(spec) {
        None => Check::Broken("the item has no answer"),
        Some(truth) => Check::of(truth == found),
    })
}

/// The entries of a list that is separated by commas, spaces or both.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|entry| !entry.is_empty())
}
