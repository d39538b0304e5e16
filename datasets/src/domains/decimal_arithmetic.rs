//! Sums, differences and products of decimal numbers. The level is the maximum number of decimal places.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::expression::{Syntax, evaluate};
use crate::judging::judge_number;
use crate::rational::Rational;
use crate::seed::Stream;
use crate::trace::{self, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "decimal_arithmetic",
    about: "the sum, difference or product of two decimal numbers; level = decimal places",
    answers: "decimal number",
    build: |value| build::<DecimalArithmetic>("decimal_arithmetic", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecimalArithmetic {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    left: String,
    operation: char,
    right: String,
}

/// A number as an integer divided by a power of ten.
#[derive(Clone, Copy)]
struct Decimal {
    value: i128,
    places: u32,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let (integer, places) = text.split_once('.').unwrap_or((text, ""));
        let value = crate::rational::digits(&format!("{integer}{places}"))?;
        Some(Self { value, places: places.len() as u32 })
    }

    /// The number without trailing zeros.
    fn text(self) -> String {
        let sign = if self.value < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.value.unsigned_abs(), width = self.places as usize + 1);
        let (integer, places) = digits.split_at(digits.len() - self.places as usize);
        let places = places.trim_end_matches('0');
        if places.is_empty() { format!("{sign}{integer}") } else { format!("{sign}{integer}.{places}") }
    }

    /// The same number with `places` decimal places.
    fn scaled(self, places: u32) -> Option<Self> {
        let factor = 10i128.checked_pow(places.checked_sub(self.places)?)?;
        Some(Self { value: self.value.checked_mul(factor)?, places })
    }
}

impl Spec {
    fn value(&self) -> Option<Rational> {
        evaluate(&format!("{}{}{}", self.left, self.operation, self.right), Syntax::TRACE)?.value
    }

    /// Turns both numbers into whole numbers, computes the result, and puts the point back.
    fn equations(&self) -> Option<(Vec<String>, Decimal)> {
        let (mut left, mut right) = (Decimal::read(&self.left)?, Decimal::read(&self.right)?);
        if self.operation != '*' {
            let places = left.places.max(right.places);
            (left, right) = (left.scaled(places)?, right.scaled(places)?);
        }
        let mut equations = Vec::new();
        for (text, whole) in [(&self.left, left), (&self.right, right)] {
            if whole.places > 0 {
                equations.push(equation(text, '*', 10i128.checked_pow(whole.places)?, whole.value));
            }
        }
        let result = match self.operation {
            '+' => Decimal { value: left.value.checked_add(right.value)?, ..left },
            '-' => Decimal { value: left.value.checked_sub(right.value)?, ..left },
            _ => Decimal { value: left.value.checked_mul(right.value)?, places: left.places + right.places },
        };
        equations.push(equation(left.value, self.operation, right.value, result.value));
        if result.places > 0 {
            equations.push(equation(result.value, '/', 10i128.checked_pow(result.places)?, result.text()));
        }
        Some((equations, result))
    }
}

impl Domain for DecimalArithmetic {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=6
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut drawn = |fewest: u32| {
            let places = stream.between(fewest.into(), level.into()) as u32;
            let value = stream.between(1, 10i64.pow(places + 2) - 1);
            Decimal { value: value.into(), places }.text()
        };
        let (left, right) = (drawn(1), drawn(0));
        let operation = *stream.pick(&['+', '-', '*']);
        let spec = Spec { left, operation, right };
        let answer = spec.equations().map_or_else(String::new, |(_, result)| result.text());
        Problem {
            prompt: format!("{}{operation}{}=", spec.left, spec.right),
            answer,
            spec: json!({ "left": spec.left, "operation": operation, "right": spec.right }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_number(item, Spec::value)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let (equations, _) = Spec::deserialize(&problem.spec).ok()?.equations()?;
        trace::solve(&equations, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789.+-*/()=,!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(left: &str, operation: char, right: &str) -> (String, String) {
        let spec = Spec { left: left.to_owned(), operation, right: right.to_owned() };
        let (equations, result) = spec.equations().unwrap();
        assert_eq!(Rational::read(&result.text()), spec.value());
        (equations.join(","), result.text())
    }

    #[test]
    fn the_point_is_taken_away_and_put_back() {
        assert_eq!(
            worked("1.25", '+', "0.7"),
            ("1.25*100=125,0.7*100=70,125+70=195,195/100=1.95".into(), "1.95".into())
        );
        assert_eq!(worked("1.5", '*', "0.4"), ("1.5*10=15,0.4*10=4,15*4=60,60/100=0.6".into(), "0.6".into()));
        assert_eq!(worked("0.5", '-', "3").1, "-2.5");
        assert_eq!(worked("0.5", '+', "0.5").1, "1");
    }
}
