//! Sorting numbers. The level is the count of numbers.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::chain::{self, Chained};
use crate::judging::{Check, entries, judge, whole_value};
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "number_sorting",
    about: "whole numbers sorted in ascending or descending order; level = numbers",
    answers: "list of numbers",
    build: |value| build_checked::<NumberSorting>("number_sorting", value, NumberSorting::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumberSorting {
    /// The numbers are from 0 to this. Each is one symbol.
    pub max_number: i64,
}

impl Default for NumberSorting {
    fn default() -> Self {
        Self { max_number: 99 }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    numbers: Vec<i64>,
    descending: bool,
}

impl NumberSorting {
    fn check(&self) -> Result<(), String> {
        let is_sound = (9..=999).contains(&self.max_number);
        is_sound.then_some(()).ok_or_else(|| format!("max_number = {}: give 9 to 999", self.max_number))
    }
}

impl Spec {
    fn sorted(&self) -> Vec<i64> {
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable();
        if self.descending {
            sorted.reverse();
        }
        sorted
    }
}

impl Chained for Spec {
    const SYMBOLS: &'static str = "0123456789";

    fn chain(&self) -> Option<Vec<String>> {
        Some(chain::selection(&self.numbers, self.descending))
    }
}

impl Domain for NumberSorting {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=16
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let numbers: Vec<i64> = (0..level).map(|_| stream.between(0, self.max_number)).collect();
        let spec = Spec { numbers, descending: stream.chance(0.5) };
        let order = if spec.descending { "down" } else { "up" };
        Problem {
            prompt: format!("sort {order} {}=", chain::listed(&spec.numbers)),
            answer: chain::listed(&spec.sorted()),
            spec: json!({ "numbers": spec.numbers, "descending": spec.descending }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| match entries(found).map(whole_value).collect::<Option<Vec<_>>>() {
            Some(numbers) => Check::of(numbers.into_iter().eq(spec.sorted().into_iter().map(i128::from))),
            None => Check::Unreadable("not a list of whole numbers"),
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols: Vec<String> = (0..=self.max_number).map(|number| number.to_string()).collect();
        symbols.extend(["sort up ", "sort down "].map(str::to_owned));
        symbols.extend(characters(" =>,!"));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        chain::behaviours::<Spec>(problem, thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_compared_as_numbers() {
        let spec = json!({ "numbers": [5, 30, 9, 5], "descending": false });
        let score = |answer: &str| {
            let completion = format!("<answer>{answer}</answer>");
            NumberSorting::default()
                .judge(&Item { completion: &completion, answer: None, spec: Some(&spec) })
                .score
        };
        for answer in ["5 5 9 30", "5, 5, 9, 30", "5,5,9,30", "['5', '5.0', '9', '30']", "[5, 5, 9, 30]"] {
            assert_eq!(score(answer), 1.0, "{answer}");
        }
        for answer in [
            "['5', '5', '9', '30.5']",
            "[5, 5, 9, 30",
            "5 9 30",
            "30 9 5 5",
            "5 5 9 31",
            "5 5 9 30 30",
            "5 5 30 9",
            "55930",
            "5 30 9 5",
            "",
            ",",
        ] {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
    }
}
