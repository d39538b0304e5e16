//! The greatest common divisor by Euclid's algorithm. The level is the number of digits.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::judge_whole;
use crate::rational::gcd;
use crate::seed::Stream;
use crate::trace;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "gcd",
    about: "the greatest common divisor of two whole numbers; level = digits",
    answers: "whole number",
    build: |value| build::<Gcd>("gcd", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gcd {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    numbers: [u64; 2],
}

impl Spec {
    fn value(&self) -> Option<i128> {
        let [a, b] = self.numbers;
        (a > 0 && b > 0).then(|| gcd(a.into(), b.into()) as i128)
    }

    /// `18=1*12+6,12=2*6+0`: the divisor in the last line is the answer.
    fn equations(&self) -> Vec<String> {
        let [a, b] = self.numbers;
        let (mut a, mut b) = (a.max(b), a.min(b));
        let mut lines = Vec::new();
        while b != 0 {
            lines.push(format!("{a}={}*{b}+{}", a / b, a % b));
            (a, b) = (b, a % b);
        }
        lines
    }
}

impl Domain for Gcd {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let most = 10i64.pow(level) - 1;
        let common = stream.between(1, 10i64.pow(level / 2));
        let mut drawn = || common * stream.between(1, most / common);
        let numbers = [drawn(), drawn()];
        let [a, b] = numbers;
        Problem {
            prompt: format!("gcd({a},{b})="),
            answer: gcd(a.unsigned_abs().into(), b.unsigned_abs().into()).to_string(),
            spec: json!({ "numbers": numbers }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, Spec::value)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations(), problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789(),=*+!");
        symbols.push("gcd".to_owned());
        symbols
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn euclid_ends_with_the_divisor() {
        let spec = Spec { numbers: [12, 18] };
        assert_eq!(spec.equations(), ["18=1*12+6", "12=2*6+0"]);
        assert_eq!(spec.value(), Some(6));
        assert_eq!(Spec { numbers: [0, 3] }.value(), None);
    }
}
