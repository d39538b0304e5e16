//! Sums, differences, products and powers modulo a number. The level is the number of digits.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::judge_whole;
use crate::seed::Stream;
use crate::trace::{self, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "modular_arithmetic",
    about: "the smallest non-negative remainder of a sum, difference, product or power; level = digits",
    answers: "whole number",
    build: |value| build_checked::<ModularArithmetic>("modular_arithmetic", value, ModularArithmetic::check),
};

/// The domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModularArithmetic {
    /// Some of `+-*^`.
    pub operations: String,
}

impl Default for ModularArithmetic {
    fn default() -> Self {
        Self { operations: "+-*^".to_owned() }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    left: i64,
    operation: char,
    right: i64,
    modulus: i64,
}

impl ModularArithmetic {
    fn check(&self) -> Result<(), String> {
        if self.operations.is_empty() || !self.operations.chars().all(|operation| "+-*^".contains(operation))
        {
            return Err(format!("operations = {:?}: give some of + - * ^", self.operations));
        }
        Ok(())
    }
}

impl Spec {
    fn value(&self) -> Option<i128> {
        if self.modulus < 1 {
            return None;
        }
        let (left, right, modulus) =
            (i128::from(self.left), i128::from(self.right), i128::from(self.modulus));
        let value = match self.operation {
            '+' => left + right,
            '-' => left - right,
            '*' => left * right,
            '^' => power(left, u64::try_from(self.right).ok()?, modulus),
            _ => return None,
        };
        Some(value.rem_euclid(modulus))
    }

    /// Reduces both sides, applies the operation, and reduces the result. A power is computed by squaring.
    fn equations(&self) -> Vec<String> {
        let (left, right, modulus) =
            (i128::from(self.left), i128::from(self.right), i128::from(self.modulus));
        let a = left.rem_euclid(modulus);
        let mut lines = vec![equation(left, '%', modulus, a)];
        if self.operation == '^' {
            let mut value = a;
            let mut multiply = |value: i128, by: i128| {
                let next = (value * by).rem_euclid(modulus);
                lines.push(format!("{value}*{by}%{modulus}={next}"));
                next
            };
            for bit in (0..right.max(1).ilog2()).rev() {
                value = multiply(value, value);
                if right >> bit & 1 == 1 {
                    value = multiply(value, a);
                }
            }
            return lines;
        }
        let b = right.rem_euclid(modulus);
        let result = match self.operation {
            '+' => a + b,
            '-' => a - b,
            _ => a * b,
        };
        lines.push(equation(right, '%', modulus, b));
        lines.push(equation(a, self.operation, b, result));
        lines.push(equation(result, '%', modulus, result.rem_euclid(modulus)));
        lines
    }
}

fn power(base: i128, mut exponent: u64, modulus: i128) -> i128 {
    let (mut value, mut square) = (1, base.rem_euclid(modulus));
    while exponent > 0 {
        if exponent % 2 == 1 {
            value = value * square % modulus;
        }
        square = square * square % modulus;
        exponent /= 2;
    }
    value
}

impl Domain for ModularArithmetic {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=6
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let most = 10i64.pow(level) - 1;
        let operations: Vec<char> = self.operations.chars().collect();
        let operation = *stream.pick(&operations);
        let modulus = stream.between(2, most.min(99));
        let left = stream.between(2, most);
        let right = stream.between(2, if operation == '^' { 9 * i64::from(level) } else { most });
        let spec = Spec { left, operation, right, modulus };
        Problem {
            prompt: format!("({left}{operation}{right}) mod {modulus}="),
            answer: spec.value().unwrap_or_default().to_string(),
            spec: json!({ "left": left, "operation": operation, "right": right, "modulus": modulus }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, Spec::value)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok().filter(|spec| spec.value().is_some())?;
        trace::solve(&spec.equations(), problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789+-*^%()=,!");
        symbols.push(" mod ".to_owned());
        symbols
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(left: i64, operation: char, right: i64, modulus: i64) -> Spec {
        Spec { left, operation, right, modulus }
    }

    #[test]
    fn remainders_are_never_negative() {
        assert_eq!(spec(3, '-', 8, 5).value(), Some(0));
        assert_eq!(spec(3, '-', 7, 9).value(), Some(5));
        assert_eq!(spec(7, '^', 13, 11).value(), Some(2));
        assert_eq!(spec(i64::MIN, '*', i64::MIN, i64::MAX).value(), Some(1));
        assert_eq!(spec(1, '+', 1, 0).value(), None);
        assert_eq!(spec(2, '^', -1, 5).value(), None);
    }

    #[test]
    fn every_step_holds_and_the_last_is_the_answer() {
        for operation in ['+', '-', '*', '^'] {
            for right in 2..40 {
                let spec = spec(23, operation, right, 17);
                let lines = spec.equations();
                assert_eq!(trace::behaviours(&lines.join(",")).false_steps, 0, "{lines:?}");
                let last = lines[lines.len() - 1].rsplit('=').next().unwrap().parse().ok();
                assert_eq!(last, spec.value(), "{lines:?}");
            }
        }
    }
}
