//! The 24 game: countdown with four numbers and the target 24. The level is the largest number.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::countdown::Countdown;
use super::{Row, build_checked};
use crate::combine::expression;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "puzzle24",
    about: "an expression over four numbers, each once, that equals 24; level = largest number",
    answers: "expression",
    build: |value| build_checked::<Puzzle24>("puzzle24", value, |domain| domain.countdown().check()),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Puzzle24 {
    /// The share of searches that continue to the end.
    pub never_gives_up: f64,
    /// The probability that any other search gives up and guesses after a failed attempt.
    pub gives_up: f64,
    /// The share of direct answers that are right. The others are random expressions over the numbers.
    pub lucky_guess: f64,
    /// The maximum number of attempts that a search shows. For a longer search these are the last ones.
    pub max_attempts: usize,
}

impl Default for Puzzle24 {
    fn default() -> Self {
        Self { never_gives_up: 0.25, gives_up: 0.1, lucky_guess: 0.1, max_attempts: 24 }
    }
}

const TARGET: i64 = 24;
const NUMBERS: usize = 4;

impl Puzzle24 {
    /// The same game with any numbers and target.
    fn countdown(&self) -> Countdown {
        Countdown {
            operations: "+-*/".to_owned(),
            max_number: 13,
            max_value: 99,
            never_gives_up: self.never_gives_up,
            gives_up: self.gives_up,
            lucky_guess: self.lucky_guess,
            max_attempts: self.max_attempts,
            ..Countdown::default()
        }
    }
}

impl Domain for Puzzle24 {
    fn levels(&self) -> RangeInclusive<u32> {
        6..=13
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let rules = self.countdown().rules();
        // At least three of four draws have a solution in whole numbers.
        loop {
            let mut numbers: Vec<i64> = (0..NUMBERS).map(|_| stream.between(1, level.into())).collect();
            numbers.sort_unstable();
            if let Some(attempt) = rules.search(&numbers, TARGET, 1).last() {
                let listed: Vec<String> = numbers.iter().map(i64::to_string).collect();
                return Problem {
                    prompt: format!("{}:{TARGET}=", listed.join(" ")),
                    answer: expression(&numbers, attempt),
                    spec: json!({ "numbers": numbers, "target": TARGET }),
                };
            }
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        self.countdown().judge(item)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        self.countdown().solve(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        self.countdown().alphabet()
    }

    fn drill(&self, stream: &mut Stream, level: u32) -> Option<String> {
        self.countdown().drill(stream, level)
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        self.countdown().behaviours(problem, thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_checked_and_fractions_allowed() {
        let spec = json!({ "numbers": [3, 3, 8, 8], "target": 24 });
        let score = |answer: &str| {
            let completion = format!("<answer>{answer}</answer>");
            Puzzle24::default()
                .judge(&Item { completion: &completion, answer: None, spec: Some(&spec) })
                .score
        };
        assert_eq!(score("8/(3-8/3)"), 1.0);
        for answer in ["24", "3*8", "1*2*3*4", "8*3+8-8", "8*3*8/8*3/3"] {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
    }
}
