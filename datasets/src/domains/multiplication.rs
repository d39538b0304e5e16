//! Multiplication of two whole numbers: digit products with carries, rows, column sums. The level is the number of
//! digits.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::judge_whole;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "multiplication",
    about: "the product of two whole numbers of as many digits as the level",
    answers: "whole number",
    build: |value| build::<Multiplication>("multiplication", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Multiplication {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    factors: [i64; 2],
}

impl Spec {
    fn product(&self) -> Option<i128> {
        i128::from(self.factors[0]).checked_mul(self.factors[1].into())
    }
}

/// The digits of a number, the lowest first.
fn digits(number: i64) -> Vec<u32> {
    number.to_string().chars().rev().filter_map(|digit| digit.to_digit(10)).collect()
}

/// An operation and the two digits of its result.
fn statement(operation: &str, value: u32) -> String {
    format!("{operation}={value:02}")
}

/// From the lowest digit up: the products of one digit with carries, then their row. After all rows, the sums of the
/// columns.
fn chain(a: i64, b: i64) -> String {
    let (a, b) = (digits(a), digits(b));
    let width = a.len() + b.len();
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (shift, y) in b.iter().enumerate() {
        let mut row = vec![0; shift];
        let mut carry = 0;
        let mut products = Vec::new();
        for x in &a {
            let value = x * y + carry;
            products.push(statement(&format!("{x}*{y}+{carry}"), value));
            row.push(value % 10);
            carry = value / 10;
        }
        row.push(carry);
        row.resize(width, 0);
        lines.push(products.join(","));
        lines.push(row.iter().map(u32::to_string).collect());
        rows.push(row);
    }
    let mut carry = 0;
    let mut sums = Vec::new();
    for column in 0..width {
        let terms: String = rows.iter().map(|row| format!("{}+", row[column])).collect();
        let value = rows.iter().map(|row| row[column]).sum::<u32>() + carry;
        sums.push(statement(&format!("{terms}{carry}"), value));
        carry = value / 10;
    }
    lines.push(sums.join(","));
    lines.join(";")
}

impl Domain for Multiplication {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=9
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let (low, high) = (10i64.pow(level - 1), 10i64.pow(level) - 1);
        let (a, b) = (stream.between(low, high), stream.between(low, high));
        Problem {
            prompt: format!("{a}*{b}="),
            answer: (i128::from(a) * i128::from(b)).to_string(),
            spec: json!({ "factors": [a, b] }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, Spec::product)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        match kind {
            SolutionKind::Direct => Some(Solution::sure("", &problem.answer)),
            SolutionKind::Long => {
                Some(Solution::sure(chain(spec.factors[0], spec.factors[1]), &problem.answer))
            }
            SolutionKind::Search | SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789*+=,;")
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let Ok(spec) = Spec::deserialize(&problem.spec) else { return Behaviours::default() };
        if thinking.is_empty() {
            return Behaviours::default();
        }
        let truth = chain(spec.factors[0], spec.factors[1]);
        let cut = |trace| str::split(trace, [',', ';']);
        let steps = cut(thinking).count();
        let right = cut(thinking).zip(cut(&truth)).filter(|(written, truth)| written == truth).count();
        Behaviours { steps: steps as u32, false_steps: (steps - right) as u32, ..Behaviours::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_the_written_method() {
        let expected = "7*0+0=00,9*0+0=00;0000;7*8+0=56,9*8+5=77;0677;0+0+0=00,0+6+0=06,0+7+0=07,0+7+0=07";
        assert_eq!(chain(97, 80), expected);
        assert_eq!(chain(7, 8), "7*8+0=56;65;6+0=06,5+0=05");
    }

    #[test]
    fn the_column_sums_spell_the_product_for_every_level() {
        let domain = Multiplication {};
        for level in domain.levels() {
            let problem = domain.pose(&mut Stream::at("test", u64::from(level), &[]), level);
            let solution =
                domain.solve(&problem, SolutionKind::Long, &mut Stream::at("test", 0, &[])).unwrap();
            let sums = solution.thinking.rsplit(';').next().unwrap();
            let product: String = sums.split(',').rev().map(|sum| &sum[sum.len() - 1..]).collect();
            assert_eq!(product.trim_start_matches('0'), problem.answer);
        }
    }

    #[test]
    fn false_steps_are_counted() {
        let problem =
            Problem { prompt: String::new(), answer: "56".into(), spec: json!({ "factors": [7, 8] }) };
        let seen = Multiplication {}.behaviours(&problem, "7*8+0=56;65;6+0=06,5+0=06");
        assert_eq!((seen.steps, seen.false_steps), (4, 1));
    }
}
