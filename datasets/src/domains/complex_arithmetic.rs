//! Arithmetic with complex numbers that have whole parts. The level sets the size of the parts; level 4 and above also
//! divide.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::{Check, judge};
use crate::rational::{decimal, digits};
use crate::seed::Stream;
use crate::trace::{self, bracketed, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "complex_arithmetic",
    about: "the sum, difference, product or quotient of two complex numbers; level = size of their parts",
    answers: "complex number",
    build: |value| build::<ComplexArithmetic>("complex_arithmetic", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComplexArithmetic {}

/// Real and imaginary part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Complex(i128, i128);

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    left: (i32, i32),
    operation: char,
    right: (i32, i32),
}

impl Complex {
    fn of((real, imaginary): (i32, i32)) -> Self {
        Self(real.into(), imaginary.into())
    }

    /// The product. The parts must be below 2^60.
    fn times(self, other: Self) -> Self {
        Self(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }

    fn text(self) -> String {
        let imaginary = match self.1 {
            0 => return self.0.to_string(),
            1 => "+i".to_owned(),
            -1 => "-i".to_owned(),
            part => format!("{part:+}i"),
        };
        if self.0 == 0 {
            imaginary.trim_start_matches('+').to_owned()
        } else {
            format!("{}{imaginary}", self.0)
        }
    }

    /// Reads a real part, an imaginary part, or both in any order.
    fn read(text: &str) -> Option<Self> {
        let text = text.replace('\u{2212}', "-").replace(" + ", "+").replace(" - ", "-");
        let split =
            text.char_indices().skip(1).find(|(_, symbol)| matches!(symbol, '+' | '-')).map(|(at, _)| at);
        let (first, second) = text.split_at(split.unwrap_or(text.len()));
        let first = Self::term(first)?;
        if second.is_empty() {
            return Some(first.0);
        }
        let second = Self::term(second)?;
        (first.1 != second.1).then(|| Self(first.0.0 + second.0.0, first.0.1 + second.0.1))
    }

    /// A part with its sign, and whether it is imaginary.
    fn term(text: &str) -> Option<(Self, bool)> {
        let (sign, magnitude) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        match magnitude.strip_suffix('i') {
            Some("") => Some((Self(0, sign), true)),
            Some(factor) => Some((Self(0, sign * part(factor)?), true)),
            None => Some((Self(sign * part(magnitude)?, 0), false)),
        }
    }
}

/// A whole number without a sign: `3` or `3.00`.
fn part(text: &str) -> Option<i128> {
    match text.split_once('.') {
        Some((integer, places)) => decimal(integer, places)?.as_whole(),
        None => digits(text),
    }
}

impl Spec {
    fn value(&self) -> Option<Complex> {
        let (left, right) = (Complex::of(self.left), Complex::of(self.right));
        match self.operation {
            '+' => Some(Complex(left.0 + right.0, left.1 + right.1)),
            '-' => Some(Complex(left.0 - right.0, left.1 - right.1)),
            '*' => Some(left.times(right)),
            '/' => {
                let norm = right.0 * right.0 + right.1 * right.1;
                let turned = left.times(Complex(right.0, -right.1));
                let is_whole = norm != 0 && turned.0 % norm == 0 && turned.1 % norm == 0;
                is_whole.then(|| Complex(turned.0 / norm, turned.1 / norm))
            }
            _ => None,
        }
    }

    /// Computes one part after the other, and a quotient with the conjugate.
    fn equations(&self) -> Option<Vec<String>> {
        let value = self.value()?;
        let (Complex(a, b), Complex(c, d)) = (Complex::of(self.left), Complex::of(self.right));
        let two_products = |p: i128, q: i128, operation: char, r: i128, s: i128| {
            let result = if operation == '+' { p * q + r * s } else { p * q - r * s };
            format!("{p}*{}{operation}{}*{}={result}", bracketed(q), bracketed(r), bracketed(s))
        };
        Some(match self.operation {
            '*' => vec![two_products(a, c, '-', b, d), two_products(a, d, '+', b, c)],
            '/' => {
                let norm = c * c + d * d;
                vec![
                    two_products(c, c, '+', d, d),
                    two_products(a, c, '+', b, d),
                    two_products(b, c, '-', a, d),
                    equation(value.0 * norm, '/', norm, value.0),
                    equation(value.1 * norm, '/', norm, value.1),
                ]
            }
            operation => vec![equation(a, operation, c, value.0), equation(b, operation, d, value.1)],
        })
    }
}

impl Domain for ComplexArithmetic {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=10
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let most = 2 + 3 * i64::from(level);
        let mut drawn = || (stream.between(-most, most) as i32, stream.between(-most, most) as i32);
        let (mut left, mut right) = (drawn(), drawn());
        let operations: &[char] = if level < 4 { &['+', '-', '*'] } else { &['+', '-', '*', '/'] };
        let operation = *stream.pick(operations);
        if operation == '/' {
            if right == (0, 0) {
                right = (1, 1);
            }
            let product = Complex::of(left).times(Complex::of(right));
            left = (product.0 as i32, product.1 as i32);
        }
        let spec = Spec { left, operation, right };
        let (first, second) = (Complex::of(left).text(), Complex::of(right).text());
        Problem {
            prompt: format!("({first}){operation}({second})="),
            answer: spec.value().map_or_else(String::new, Complex::text),
            spec: json!({ "left": left, "operation": operation, "right": right }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| match (spec.value(), Complex::read(found)) {
            (None, _) => Check::Broken("the item has no whole complex value"),
            (_, None) => Check::Unreadable("not one complex number"),
            (Some(truth), Some(found)) => Check::of(truth == found),
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations()?, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789i+-*/()=,!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read() {
        for (number, text) in [
            (Complex(5, 5), "5+5i"),
            (Complex(0, -1), "-i"),
            (Complex(-3, 1), "-3+i"),
            (Complex(0, 0), "0"),
            (Complex(4, 0), "4"),
        ] {
            assert_eq!(number.text(), text);
            assert_eq!(Complex::read(text), Some(number));
        }
        assert_eq!(Complex::read("5i + 2"), Some(Complex(2, 5)));
        assert_eq!(Complex::read("-15.0 + 3.00i"), Some(Complex(-15, 3)));
        assert_eq!(Complex::read("-0.00"), Some(Complex(0, 0)));
        for text in [
            "",
            "1.5",
            "1+0.000001i",
            "1.+2i",
            "1+-2i",
            "i5",
            "1+2",
            "1i+2i",
            "1+2i+3",
            "+",
            "1++i",
            "1 2i",
            "(1+i)",
            "٣i",
            "1+2j",
        ] {
            assert_eq!(Complex::read(text), None, "{text}");
        }
    }

    #[test]
    fn quotients_are_exact() {
        let spec = Spec { left: (5, 5), operation: '/', right: (1, 2) };
        assert_eq!(spec.value(), Some(Complex(3, -1)));
        assert_eq!(trace::behaviours(&spec.equations().unwrap().join(",")).false_steps, 0);
        assert_eq!(Spec { left: (1, 0), operation: '/', right: (0, 0) }.value(), None);
        assert_eq!(Spec { left: (1, 0), operation: '/', right: (2, 0) }.value(), None);
        let most = (i32::MIN, i32::MIN);
        assert!(Spec { left: most, operation: '*', right: most }.equations().is_some());
    }
}
