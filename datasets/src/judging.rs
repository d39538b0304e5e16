//! From an item to a verdict: what all judges of this crate share.

use std::borrow::Cow;

use serde::Deserialize;
use thinkling_verifiers::{Item, Verdict, answer};

use crate::rational::Rational;

/// The maximum bytes in an answer. No right answer is longer.
const MAX_ANSWER: usize = 4096;

/// The result of checking the text between the answer tags.
pub(crate) enum Check {
    /// The answer is right.
    Right,
    /// The answer can be read but is not right.
    Wrong(&'static str),
    /// The text cannot be read as an answer.
    Unreadable(&'static str),
    /// The item itself is invalid.
    Broken(&'static str),
}

impl Check {
    /// Right or wrong, without a special reason.
    pub(crate) fn of(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong("not the right answer") }
    }
}

/// Judges the text between the answer tags with the item's spec, read as `S`.
pub(crate) fn judge<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    check: impl FnOnce(&S, &str) -> Check,
) -> Verdict {
    let spec = match read_spec(item) {
        Ok(spec) => spec,
        Err(verdict) => return verdict,
    };
    let found = match answer::given(item.completion) {
        Ok(found) => found,
        Err(reason) => return Verdict::malformed(reason),
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

/// Reads the spec of an item. The error is the verdict on an item without a valid spec.
pub(crate) fn read_spec<S: for<'de> Deserialize<'de>>(item: &Item<'_>) -> Result<S, Verdict> {
    let Some(spec) = item.spec else { return Err(Verdict::error("the item has no spec")) };
    S::deserialize(spec).map_err(|error| Verdict::error(format!("the item's spec: {error}")))
}

/// Judges an answer that must be one whole number. `truth` gets the right one from the spec.
pub(crate) fn judge_whole<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<i128>,
) -> Verdict {
    judge(item, |spec, found| match (truth(spec), whole_value(&ungrouped(found))) {
        (None, _) => Check::Broken("the item has no whole number as its answer"),
        (_, None) => Check::Unreadable("not one whole number"),
        (Some(truth), Some(found)) => Check::of(truth == found),
    })
}

/// Judges an answer that must be one number: whole, decimal, or a fraction in lowest terms. `truth` gets the right one
/// from the spec.
///
/// A quotient that can still be computed, such as `6/3`, is not an answer.
pub(crate) fn judge_number<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<Rational>,
) -> Verdict {
    judge(item, |spec, found| match (truth(spec), number(&ungrouped(found))) {
        (None, _) => Check::Broken("the item has no number as its answer"),
        (_, None) => Check::Unreadable("not one number"),
        (Some(truth), Some(found)) => Check::of(truth == found),
    })
}

/// Judges an answer that must be one string, compared exactly. `truth` gets the right one from the spec.
pub(crate) fn judge_text<S: for<'de> Deserialize<'de>>(
    item: &Item<'_>,
    truth: impl FnOnce(&S) -> Option<String>,
) -> Verdict {
    judge(item, |spec, found| match truth(spec) {
        None => Check::Broken("the item has no answer"),
        Some(truth) => Check::of(truth == found),
    })
}

/// Reads a whole number in its usual forms: `12`, `-12`, `12.00`.
pub(crate) fn whole_value(text: &str) -> Option<i128> {
    if text.contains('/') { None } else { Rational::read(text)?.as_whole() }
}

fn number(text: &str) -> Option<Rational> {
    Rational::read_lowest(text).filter(|value| value.as_whole().is_none() || !text.contains('/'))
}

/// Removes the commas from `1,234,567`. Any other text stays as it is.
fn ungrouped(text: &str) -> Cow<'_, str> {
    let digits = text.trim_start_matches(['+', '-', '\u{2212}']);
    let mut groups = digits.split('.').next().unwrap_or_default().split(',');
    let is_first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    let is_grouped = is_first && digits.contains(',') && groups.all(|group| group.len() == 3);
    if is_grouped { Cow::Owned(text.replace(',', "")) } else { Cow::Borrowed(text) }
}

/// The entries of a list, separated by commas, blanks or both, without quotes around them; see [`unbracketed`].
pub(crate) fn entries(text: &str) -> impl Iterator<Item = &str> {
    let parts = unbracketed(text).split(|letter: char| letter == ',' || letter.is_ascii_whitespace());
    parts.filter(|entry| !entry.is_empty()).map(|entry| {
        let within = |quote| entry.strip_prefix(quote)?.strip_suffix(quote);
        within('"').or_else(|| within('\'')).unwrap_or(entry)
    })
}

/// A list without brackets or braces around it.
pub(crate) fn unbracketed(text: &str) -> &str {
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    within('[', ']').or_else(|| within('{', '}')).unwrap_or(text).trim_ascii()
}

/// The text after `x=` or `x =`, or the whole text if it starts with neither.
pub(crate) fn behind_unknown(text: &str) -> &str {
    let behind = text.strip_prefix('x').and_then(|rest| rest.trim_ascii_start().strip_prefix('='));
    behind.map_or(text, str::trim_ascii_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_has_several_ways_to_be_written() {
        let read = |text: &str| whole_value(&ungrouped(text));
        for text in ["1234", "+1234", "01234", "1234.0", "1,234", "1,234.00"] {
            assert_eq!(read(text), Some(1234), "{text}");
        }
        assert_eq!(read("\u{2212}1,234,567"), Some(-1_234_567));
        for text in [
            "1,23",
            "12,34",
            "1234,567",
            ",234",
            "1,234,",
            "1,,234",
            "1,234.5",
            "1234.",
            "2468/2",
            "1 234",
            "1234.000001",
            "1,234 apples",
            "1e3",
            "x=1234",
            "1,2 34",
            "",
            ",",
            "1.234,000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_quotient_is_not_a_number() {
        assert!(number("1/2").is_some() && number("-0.5").is_some() && number("7").is_some());
        for text in ["6/3", "2/4", "7/1", "0/5", "1/0"] {
            assert!(number(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_list_may_have_brackets_quotes_and_lines() {
        for text in ["a b", "a, b", "a,b", "[a, b]", "['a', 'b']", "[\"a\",\"b\"]", "a\nb", "{a; b}"] {
            let is_list = !text.contains(';');
            assert_eq!(entries(text).eq(["a", "b"]), is_list, "{text}");
        }
        for text in ["[a, b", "a, b]", "[[a, b]]", "['a', 'b]", "a, b, ''"] {
            assert!(!entries(text).eq(["a", "b"]), "{text}");
        }
        assert_eq!(entries("[]").count() + entries(" , ").count() + entries("").count(), 0);
        assert_eq!((behind_unknown("x = 3"), behind_unknown("x=3"), behind_unknown("x3")), ("3", "3", "x3"));
    }
}
