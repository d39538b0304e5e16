//! Chains of sums and differences. The level is the number of terms.

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
    name: "chain_sum",
    about: "a chain of sums and differences; level = terms",
    answers: "whole number",
    build: |value| build_checked::<ChainSum>("chain_sum", value, ChainSum::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainSum {
    /// The number of digits in each term.
    pub digits: u32,
}

impl Default for ChainSum {
    fn default() -> Self {
        Self { digits: 2 }
    }
}

impl ChainSum {
    fn check(&self) -> Result<(), String> {
        if (1..=9).contains(&self.digits) {
            Ok(())
        } else {
            Err(format!("digits = {}: give 1 to 9", self.digits))
        }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    terms: Vec<i64>,
}

impl Spec {
    fn sum(&self) -> Option<i128> {
        self.terms.iter().try_fold(0i128, |sum, term| sum.checked_add((*term).into()))
    }

    fn equations(&self) -> Vec<String> {
        let mut terms = self.terms.iter().copied().map(i128::from);
        let mut sum = terms.next().unwrap_or_default();
        terms
            .map(|term| {
                let before = sum;
                sum += term;
                equation(before, if term < 0 { '-' } else { '+' }, term.abs(), sum)
            })
            .collect()
    }
}

impl Domain for ChainSum {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let (low, high) = (10i64.pow(self.digits - 1), 10i64.pow(self.digits) - 1);
        let mut terms = vec![stream.between(low, high)];
        let mut prompt = terms[0].to_string();
        for _ in 1..level {
            let magnitude = stream.between(low, high);
            let is_negative = stream.chance(0.5);
            terms.push(if is_negative { -magnitude } else { magnitude });
            prompt.push_str(&format!("{}{magnitude}", if is_negative { '-' } else { '+' }));
        }
        Problem {
            prompt: prompt + "=",
            answer: terms.iter().sum::<i64>().to_string(),
            spec: json!({ "terms": terms }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, Spec::sum)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations(), problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789+-=,!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_runs_from_left_to_right() {
        let spec = Spec { terms: vec![12, -20, 5] };
        assert_eq!(spec.equations(), ["12-20=-8", "-8+5=-3"]);
        assert_eq!(spec.sum(), Some(-3));
    }
}
