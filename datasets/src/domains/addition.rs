//! Addition of two whole numbers, from the lowest digit up, with carries. The level is the number of digits.

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
    name: "addition",
    about: "the sum of two whole numbers of as many digits as the level",
    answers: "whole number",
    build: |value| build::<Addition>("addition", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addition {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    terms: [i64; 2],
}

/// The two numbers of a prompt `12+34=`.
fn terms_of(problem: &Problem) -> Option<(&str, &str)> {
    problem.prompt.trim_end_matches('=').split_once('+')
}

/// One step per digit, from the lowest up: `a+b+carry=`, then the two digits of the result.
fn chain(a: &str, b: &str) -> String {
    let mut carry = 0;
    let mut steps = Vec::with_capacity(a.len());
    for (x, y) in a.bytes().rev().zip(b.bytes().rev()) {
        let (x, y) = (x - b'0', y - b'0');
        let sum = x + y + carry;
        steps.push(format!("{x}+{y}+{carry}={}{}", sum / 10, sum % 10));
        carry = sum / 10;
    }
    steps.join(",")
}

impl Domain for Addition {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=18
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let (low, high) = (10i64.pow(level - 1), 10i64.pow(level) - 1);
        let (a, b) = (stream.between(low, high), stream.between(low, high));
        Problem {
            prompt: format!("{a}+{b}="),
            answer: (i128::from(a) + i128::from(b)).to_string(),
            spec: json!({ "terms": [a, b] }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, |spec: &Spec| i128::from(spec.terms[0]).checked_add(spec.terms[1].into()))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        match kind {
            SolutionKind::Direct => Some(Solution::sure("", &problem.answer)),
            SolutionKind::Long => {
                let (a, b) = terms_of(problem)?;
                Some(Solution::sure(chain(a, b), &problem.answer))
            }
            SolutionKind::Search | SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789+=,")
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let Some((a, b)) = terms_of(problem) else { return Behaviours::default() };
        if thinking.is_empty() {
            return Behaviours::default();
        }
        let truth = chain(a, b);
        let steps = thinking.split(',').count();
        let right =
            thinking.split(',').zip(truth.split(',')).filter(|(written, truth)| written == truth).count();
        Behaviours { steps: steps as u32, false_steps: (steps - right) as u32, ..Behaviours::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_carries() {
        assert_eq!(chain("80471", "80966"), "1+6+0=07,7+6+0=13,4+9+1=14,0+0+1=01,8+8+0=16");
    }

    #[test]
    fn the_longest_sum_does_not_overflow() {
        let problem = Addition {}.pose(&mut Stream::at("test", 0, &[]), 18);
        assert!(problem.answer.len() >= 18);
    }
}
