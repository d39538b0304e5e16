//! Sums, differences, products and quotients of fractions. The level sets the size of their parts.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::{Check, judge};
use crate::rational::{Rational, gcd};
use crate::seed::Stream;
use crate::trace::{self, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "fraction_arithmetic",
    about: "the sum, difference, product or quotient of two fractions; level = size of their parts",
    answers: "fraction",
    build: |value| build::<FractionArithmetic>("fraction_arithmetic", value),
};

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FractionArithmetic {
    /// Whether an answer must be in lowest terms. Otherwise any equal fraction is right.
    pub lowest_terms: bool,
}

/// Numerator and denominator.
type Fraction = (i64, i64);

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    left: Fraction,
    operation: char,
    right: Fraction,
}

fn rational((numerator, denominator): Fraction) -> Option<Rational> {
    Rational::new(numerator.into(), denominator.into())
}

impl Spec {
    fn value(&self) -> Option<Rational> {
        let (left, right) = (rational(self.left)?, rational(self.right)?);
        match self.operation {
            '+' => left.plus(right),
            '-' => left.minus(right),
            '*' => left.times(right),
            '/' => left.over(right),
            _ => None,
        }
    }

    /// Uses a common denominator or cross multiplication, then reduces.
    fn equations(&self) -> Option<Vec<String>> {
        let value = self.value()?;
        let ((a, b), (c, d)) = (self.left, self.right);
        if matches!(self.operation, '*' | '/') {
            let (c, d) = if self.operation == '*' { (c, d) } else { (d, c) };
            let (numerator, denominator) = (a.checked_mul(c)?, b.checked_mul(d)?);
            return Some(vec![
                equation(a, '*', c, numerator),
                equation(b, '*', d, denominator),
                equation(numerator, '/', denominator, value),
            ]);
        }
        let common = i64::try_from(gcd(b.unsigned_abs().into(), d.unsigned_abs().into())).ok()?;
        let denominator = (b / common).checked_mul(d)?;
        let (left_factor, right_factor) = (denominator / b, denominator / d);
        let (left, right) = (a.checked_mul(left_factor)?, c.checked_mul(right_factor)?);
        let numerator =
            if self.operation == '+' { left.checked_add(right)? } else { left.checked_sub(right)? };
        Some(vec![
            equation(denominator, '/', b, left_factor),
            equation(a, '*', left_factor, left),
            equation(denominator, '/', d, right_factor),
            equation(c, '*', right_factor, right),
            equation(left, self.operation, right, numerator),
            equation(numerator, '/', denominator, value),
        ])
    }
}

impl Domain for FractionArithmetic {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=20
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let most = 3 + 2 * i64::from(level);
        let mut drawn = || (stream.between(1, most), stream.between(2, most));
        let (left, right) = (drawn(), drawn());
        let operation = *stream.pick(&['+', '-', '*', '/']);
        let spec = Spec { left, operation, right };
        let prompt = if operation == '/' {
            format!("({}/{})/({}/{})=", left.0, left.1, right.0, right.1)
        } else {
            format!("{}/{}{operation}{}/{}=", left.0, left.1, right.0, right.1)
        };
        Problem {
            prompt,
            answer: spec.value().map_or_else(String::new, |value| value.to_string()),
            spec: json!({ "left": left, "operation": operation, "right": right }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| match (spec.value(), Rational::read(found)) {
            (None, _) => Check::Broken("the item has no value"),
            (_, None) => Check::Unreadable("not one fraction"),
            (Some(truth), Some(value)) if truth != value => Check::Wrong("a different value"),
            _ if self.lowest_terms && Rational::read_lowest(found).is_none() => {
                Check::Wrong("not in lowest terms")
            }
            _ => Check::Right,
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations()?, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789+-*/()=,!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(domain: FractionArithmetic, answer: &str) -> f64 {
        let spec = json!({ "left": [1, 2], "operation": "+", "right": [1, 3] });
        let completion = format!("<answer>{answer}</answer>");
        domain.judge(&Item { completion: &completion, answer: None, spec: Some(&spec) }).score
    }

    #[test]
    fn equal_fractions_are_equal() {
        let free = FractionArithmetic::default();
        let strict = FractionArithmetic { lowest_terms: true };
        assert_eq!((score(free, "10/12"), score(strict, "10/12")), (1.0, 0.0));
        for answer in ["5/6", "5 / 6", "+5/6", "05/06"] {
            assert_eq!((score(free, answer), score(strict, answer)), (1.0, 1.0), "{answer}");
        }
        for answer in ["0.8333", "5/7", "-5/6", "1/2+1/3", "5/0", "5/6/1"] {
            assert_eq!(score(free, answer), 0.0, "{answer}");
        }
    }

    #[test]
    fn the_steps_end_in_the_value() {
        let spec = Spec { left: (3, 4), operation: '-', right: (5, 6) };
        assert_eq!(spec.equations().unwrap().join(","), "12/4=3,3*3=9,12/6=2,5*2=10,9-10=-1,-1/12=-1/12");
        let spec = Spec { left: (3, 4), operation: '/', right: (1, 2) };
        assert_eq!(spec.equations().unwrap().join(","), "3*2=6,4*1=4,6/4=3/2");
    }
}
