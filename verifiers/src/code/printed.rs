//! When the text that a program prints is the expected one.

use serde::Deserialize;

/// Tolerance of floats where the spec sets none.
pub(super) const TOLERANCE: f64 = 1e-9;

/// 2^53. Beyond it, not every integer is a float.
const EXACT: f64 = (1_u64 << 53) as f64;

/// How printed text is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Printed {
    /// Line by line. Spaces at the ends of lines and empty lines at the end do not count. Words are compared as in
    /// `Tokens` only if the spec sets a tolerance.
    #[default]
    Lines,
    /// Word by word. Decimal numbers are compared by value.
    Tokens,
}

impl Printed {
    /// Whether a program printed the expected text. `tolerance` is the one that the spec sets.
    pub(super) fn equal(self, expected: &str, found: &str, tolerance: Option<f64>) -> bool {
        let same = |expected: &str, found: &str| {
            all(expected.split_whitespace(), found.split_whitespace(), |a, b| words(a, b, tolerance))
        };
        match self {
            Printed::Lines => all(lines(expected), lines(found), |expected, found| {
                expected == found || tolerance.is_some() && same(expected, found)
            }),
            Printed::Tokens => same(expected, found),
        }
    }
}

fn all<'a>(
    mut expected: impl Iterator<Item = &'a str>,
    mut found: impl Iterator<Item = &'a str>,
    equal: impl Fn(&str, &str) -> bool,
) -> bool {
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return true,
            (Some(expected), Some(found)) if equal(expected, found) => {}
            _ => return false,
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().split('\n').map(str::trim_end)
}

fn words(expected: &str, found: &str, tolerance: Option<f64>) -> bool {
    if expected == found {
        return true;
    }
    let (Some(left), Some(right)) = (decimal(expected), decimal(found)) else { return false };
    if left == right {
        return true;
    }
    let is_integer = |word: &str| !word.contains(['.', 'e', 'E']);
    let (Ok(value), Ok(other)) = (expected.parse::<f64>(), found.parse::<f64>()) else { return false };
    // An integer is meant exactly, unless the spec says otherwise. Two integers always are.
    let is_exact = is_integer(expected) && (tolerance.is_none() || is_integer(found))
        || is_integer(found) && value.abs() >= EXACT;
    let limit = tolerance.unwrap_or(TOLERANCE) * value.abs().clamp(1.0, f64::MAX);
    !is_exact && other.is_finite() && (value - other).abs() <= limit
}

/// A decimal number as its sign, its digits without zeros at either end, and the exponent of its last digit.
fn decimal(word: &str) -> Option<(bool, String, i64)> {
    let (negative, unsigned) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
        None => (unsigned, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((negative, significant.to_owned(), exponent + dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_text_is_compared_without_the_spaces_nobody_sees() {
        let lines = |expected, found| Printed::Lines.equal(expected, found, None);
        assert!(lines("1 2\n3\n", "1 2  \r\n3\n\n"));
        assert!(!lines("1\n2\n", "1\n"));
        assert!(!lines("1\n", "1\n2\n"));
        assert!(!lines("1 2", "1  2"));
        assert!(!lines("0.5", "0.50"));
        let tokens = |expected, found| Printed::Tokens.equal(expected, found, None);
        assert!(tokens("1 2", "1\n2.0"));
        assert!(tokens("-0 1e3 0.50 abc", "0.0 1000 .5 abc"));
        assert!(!tokens("1 2", "1 2 3"));
        assert!(!tokens("100", "1000"));
        assert!(!tokens("1", "-1"));
        assert!(!tokens("nan", "NaN"));
    }

    #[test]
    fn floats_may_differ_by_the_tolerance_and_integers_may_not() {
        let tokens = |expected, found| Printed::Tokens.equal(expected, found, None);
        assert!(tokens("0.3333333333", "0.3333333333333333"));
        assert!(!tokens("0.3333333333", "0.334"));
        assert!(!tokens("3", "3.0000000001"));
        assert!(
            !tokens("1.5", "inf")
                && !tokens("1.5", "nan")
                && !tokens("1.5", "1e999")
                && !tokens("1.5", "1_5")
        );
        assert!(!tokens("50000000000000000.0", "50000000000000001"));
        for printed in [Printed::Lines, Printed::Tokens] {
            let close = |expected, found| printed.equal(expected, found, Some(1e-6));
            assert!(close("x = 0.333333\n2", "x = 0.3333334\n2"));
            assert!(close("3", "3.0000001") && close("1e9", "1000000001.0"));
            assert!(
                !close("0.333333", "0.33334") && !close("1000000000", "1000000001") && !close("1.5", "inf")
            );
            assert!(!close("1.5", "1.5 1.5") && !close("1.5", "") && !close("a", "b"));
        }
    }
}
