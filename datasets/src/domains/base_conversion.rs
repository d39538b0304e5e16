//! Writing a number in another base. The level is the number of digits.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::{Check, judge};
use crate::seed::Stream;
use crate::trace;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "base_conversion",
    about: "a whole number in another base; level = digits",
    answers: "digits",
    build: |value| build_checked::<BaseConversion>("base_conversion", value, BaseConversion::check),
};

/// The domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaseConversion {
    /// The bases that questions convert from and to, each from 2 to 16.
    pub bases: Vec<u32>,
}

impl Default for BaseConversion {
    fn default() -> Self {
        Self { bases: vec![2, 3, 4, 8, 10, 16] }
    }
}

const BASES: RangeInclusive<u32> = 2..=16;

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    digits: String,
    from: u32,
    to: u32,
}

impl BaseConversion {
    fn check(&self) -> Result<(), String> {
        let is_repeated = (1..self.bases.len()).any(|at| self.bases[..at].contains(&self.bases[at]));
        if self.bases.len() < 2 || is_repeated || !self.bases.iter().all(|base| BASES.contains(base)) {
            return Err(format!("bases = {:?}: give at least two different ones from 2 to 16", self.bases));
        }
        Ok(())
    }
}

/// The value of a sequence of digits, in lower or upper case.
fn value(digits: &str, base: u32) -> Option<u128> {
    if digits.is_empty() || !BASES.contains(&base) {
        return None;
    }
    digits.chars().try_fold(0u128, |value, digit| {
        value.checked_mul(base.into())?.checked_add(digit.to_digit(base)?.into())
    })
}

/// The digits of a number in a base.
fn written(mut value: u128, base: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((value % u128::from(base)) as u32, base));
        value /= u128::from(base);
        if value == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

impl Spec {
    fn value(&self) -> Option<u128> {
        BASES.contains(&self.to).then(|| value(&self.digits, self.from))?
    }

    /// Converts to base ten digit by digit, then from base ten by division.
    fn equations(&self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let target = self.value()?;
        if self.from != 10 {
            let mut digits =
                self.digits.chars().filter_map(|digit| digit.to_digit(self.from)).map(u128::from);
            let mut value = digits.next()?;
            for digit in digits {
                let next = value * u128::from(self.from) + digit;
                lines.push(format!("{value}*{}+{digit}={next}", self.from));
                value = next;
            }
        }
        if self.to != 10 {
            let (mut left, base) = (target, u128::from(self.to));
            while left > 0 {
                lines.push(format!("{left}={}*{base}+{}", left / base, left % base));
                left /= base;
            }
        }
        Some(lines)
    }
}

impl Domain for BaseConversion {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=12
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut bases = self.bases.clone();
        stream.shuffle(&mut bases);
        let (from, to) = (bases[0], bases[1]);
        let least = u64::from(from).pow(level - 1);
        let value = u128::from(least + stream.below(least * u64::from(from - 1)));
        let digits = written(value, from);
        Problem {
            prompt: format!("{digits} base {from} to base {to}="),
            answer: written(value, to),
            spec: json!({ "digits": digits, "from": from, "to": to }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| match (spec.value(), value(found, spec.to)) {
            (None, _) => Check::Broken("the item's digits do not fit its base"),
            (_, None) => Check::Unreadable("not a number in this base"),
            (Some(truth), Some(found)) => Check::of(truth == found),
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations()?, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("0123456789abcdef*+=,!");
        symbols.extend([" base ", " to base "].map(str::to_owned));
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
    fn there_and_back() {
        for (digits, from, to, expected) in
            [("1f", 16, 2, "11111"), ("101", 2, 10, "5"), ("255", 10, 16, "ff")]
        {
            assert_eq!(written(value(digits, from).unwrap(), to), expected);
        }
        assert_eq!(value("FF", 16), Some(255));
        for (digits, base) in [("12", 2), ("", 10), ("g", 16), ("-1", 10), ("١", 10), ("1 0", 2), ("1", 17)]
        {
            assert_eq!(value(digits, base), None, "{digits}");
        }
        assert_eq!(value(&"f".repeat(33), 16), None);
    }

    #[test]
    fn the_way_leads_through_base_ten() {
        let spec = Spec { digits: "1f".into(), from: 16, to: 8 };
        assert_eq!(spec.equations().unwrap(), ["1*16+15=31", "31=3*8+7", "3=0*8+3"]);
    }
}
