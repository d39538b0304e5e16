//! Numbers written in words: `twenty-five`, `two thirds`, `2.5 million`, `base two`.

use super::number::Rational;

const SMALL: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: &[&str] = &["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Words that multiply the number before them, and the power of ten.
const SCALES: &[(&str, u32)] = &[
    ("hundred", 2),
    ("thousand", 3),
    ("lakh", 5),
    ("million", 6),
    ("mn", 6),
    ("crore", 7),
    ("billion", 9),
    ("bn", 9),
    ("trillion", 12),
    ("tn", 12),
    ("quadrillion", 15),
];

/// Parts of one: the denominators and their names.
const PARTS: &[(&str, i64)] = &[
    ("half", 2),
    ("halve", 2),
    ("third", 3),
    ("quarter", 4),
    ("fourth", 4),
    ("fifth", 5),
    ("sixth", 6),
    ("seventh", 7),
    ("eighth", 8),
    ("ninth", 9),
    ("tenth", 10),
    ("eleventh", 11),
    ("twelfth", 12),
    ("sixteenth", 16),
    ("twentieth", 20),
    ("hundredth", 100),
    ("thousandth", 1000),
];

fn ten_to(power: u32) -> Option<Rational> {
    Rational::from(10).pow(&Rational::from(i64::from(power))).ok()?
}

/// What a word after a number multiplies it with: `million`, `dozen`, `eighths`.
pub(super) fn factor(word: &str) -> Option<Rational> {
    let word = word.to_lowercase();
    let single = word.strip_suffix('s').unwrap_or(&word);
    if let Some((_, power)) = SCALES.iter().find(|(name, _)| *name == single) {
        return ten_to(*power);
    }
    if single == "dozen" {
        return Some(Rational::from(12));
    }
    // `1 half`, but `5 third` is no fraction.
    let part = PARTS.iter().find(|(name, _)| *name == single)?;
    (word.ends_with('s')).then(|| Rational::from(1).div(&Rational::from(part.1)).ok())?
}

/// The whole number below a thousand that begins the words, and how many words it takes.
fn below_thousand(words: &[&str]) -> Option<(i64, usize)> {
    let small = |word: &str| SMALL.iter().position(|known| *known == word).map(|value| value as i64);
    let tens = |word: &str| TENS.iter().position(|known| *known == word).map(|at| 10 * (at as i64 + 2));
    let two_digits = |words: &[&str]| -> Option<(i64, usize)> {
        let first = *words.first()?;
        if let Some(value) = tens(first) {
            let unit = words.get(1).and_then(|word| small(word)).filter(|unit| (1..10).contains(unit));
            return Some((value + unit.unwrap_or(0), 1 + usize::from(unit.is_some())));
        }
        small(first).map(|value| (value, 1))
    };
    let hundreds = match words {
        [first, "hundred", ..] => {
            small(first).or((*first == "a").then_some(1)).filter(|value| (1..10).contains(value))
        }
        _ => None,
    };
    let Some(hundreds) = hundreds else { return two_digits(words) };
    let and = usize::from(words.get(2) == Some(&"and"));
    match two_digits(&words[2 + and..]) {
        Some((rest, taken)) if rest > 0 => Some((100 * hundreds + rest, 2 + and + taken)),
        _ => Some((100 * hundreds, 2)),
    }
}

/// The number that the words name, if they name one and nothing else.
pub(super) fn number(text: &str) -> Option<Rational> {
    if text.len() > 120 || !text.contains(|next: char| next.is_ascii_alphabetic()) {
        return None;
    }
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|next: char| next.is_whitespace() || matches!(next, '-' | ',' | '.' | '~'))
        .filter(|word| !word.is_empty())
        .collect();
    let (negative, words) = match words.as_slice() {
        ["negative" | "minus", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let value = positive(words)?;
    Some(if negative { value.neg() } else { value })
}

fn positive(words: &[&str]) -> Option<Rational> {
    // `two thirds`, `one half`
    if let [first, part] = words
        && let Some((_, bottom)) =
            PARTS.iter().find(|(name, _)| *name == part.strip_suffix('s').unwrap_or(part))
    {
        let (top, taken) = if matches!(*first, "a" | "an") { (1, 1) } else { below_thousand(&[*first])? };
        let single = (top == 1) != part.ends_with('s');
        return (taken == 1 && single).then(|| Rational::from(top).div(&Rational::from(*bottom)).ok())?;
    }
    let mut total = Rational::from(0);
    let mut rest = words;
    let mut last = u32::MAX;
    while !rest.is_empty() {
        let and = usize::from(rest[0] == "and" && last != u32::MAX);
        let group = &rest[and..];
        let (value, taken) = match group.first()? {
            &"a" | &"one"
                if group.get(1).is_some_and(|word| {
                    SCALES.iter().any(|(name, _)| name == word && *name != "hundred")
                }) =>
            {
                (1, 1)
            }
            _ => below_thousand(group)?,
        };
        let power = group
            .get(taken)
            .and_then(|word| SCALES.iter().find(|(name, _)| name == word))
            .map(|(_, power)| *power);
        let power = power.filter(|power| *power > 2);
        if power.unwrap_or(0) >= last {
            return None;
        }
        last = power.unwrap_or(0);
        total = total.add(&Rational::from(value).mul(&ten_to(last)?).ok()?).ok()?;
        rest = &group[taken + usize::from(power.is_some())..];
    }
    (last != u32::MAX).then_some(total)
}

/// The base in `base two`, `(base 3)` or `two`.
pub(super) fn base(text: &str) -> Option<i64> {
    let bare = text
        .trim_matches(|next: char| next.is_whitespace() || matches!(next, '(' | ')' | '.'))
        .to_lowercase();
    let named = bare.strip_prefix("base");
    let inner = named.unwrap_or(&bare).trim_matches([' ', '-', '~']);
    let value = match inner.parse::<i64>() {
        Ok(value) => named.map(|_| value)?,
        Err(_) => match inner {
            "binary" => 2,
            "octal" => 8,
            "decimal" => 10,
            "hexadecimal" | "hex" => 16,
            _ => number(inner)?.to_integer().and_then(|value| i64::try_from(value).ok())?,
        },
    };
    (2..=36).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<String> {
        number(text).map(|value| format!("{}/{}", value.numerator(), value.denominator()))
    }

    #[test]
    fn numbers_in_words() {
        for (text, expected) in [
            ("twelve", "12/1"),
            ("Twenty-five", "25/1"),
            ("one hundred and five", "105/1"),
            ("two hundred seventy-five", "275/1"),
            ("three thousand, two hundred", "3200/1"),
            ("a million", "1000000/1"),
            ("two million five hundred thousand and one", "2500001/1"),
            ("two thirds", "2/3"),
            ("one half", "1/2"),
            ("negative seven", "-7/1"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["twelve apples", "one two", "twenty eleven", "two third", "hundred", "and", "a", ""] {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(base("(base 3)"), Some(3));
        assert_eq!(base("two"), Some(2));
        assert_eq!(base("7"), None);
    }
}
