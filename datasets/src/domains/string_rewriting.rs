//! Rewriting a string with rules until none applies. The level is the number of letters.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::chain::{self, Chained};
use crate::judging::judge_text;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "string_rewriting",
    about: "a string rewritten at the leftmost place of the first rule that applies, until none does; level = letters",
    answers: "string",
    build: |value| build::<StringRewriting>("string_rewriting", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StringRewriting {}

const LETTERS: &str = "abc";
/// An item is broken if its rules apply more often.
const MAX_STEPS: usize = 256;
/// An item is broken if its string grows longer.
const MAX_LENGTH: usize = 1024;

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    rules: Vec<(String, String)>,
    start: String,
}

impl Spec {
    fn rewritten(&self, text: &str) -> Option<String> {
        let (at, (from, to)) = self.rules.iter().find_map(|rule| Some((text.find(&rule.0)?, rule)))?;
        Some(format!("{}{to}{}", &text[..at], &text[at + from.len()..]))
    }

    fn end(&self) -> Option<String> {
        Some(self.chain()?.pop().unwrap_or_else(|| self.start.clone()))
    }
}

impl Chained for Spec {
    const SYMBOLS: &'static str = LETTERS;

    /// The string after each rewriting, or `None` if the rewriting does not end.
    fn chain(&self) -> Option<Vec<String>> {
        let mut chain: Vec<String> = Vec::new();
        while let Some(next) = self.rewritten(chain.last().unwrap_or(&self.start)) {
            if chain.len() == MAX_STEPS || next.len() > MAX_LENGTH {
                return None;
            }
            chain.push(next);
        }
        Some(chain)
    }
}

/// Draws rules from two letters to one, so that every rewriting ends and no string becomes empty.
fn drawn(stream: &mut Stream, level: u32) -> Spec {
    let letters: Vec<char> = LETTERS.chars().collect();
    let mut pairs: Vec<String> = letters
        .iter()
        .flat_map(|first| letters.iter().map(move |second| format!("{first}{second}")))
        .collect();
    stream.shuffle(&mut pairs);
    pairs.truncate(stream.between(2, 4) as usize);
    let rules = pairs.into_iter().map(|pair| (pair, stream.pick(&letters).to_string())).collect();
    Spec { rules, start: (0..level).map(|_| *stream.pick(&letters)).collect() }
}

impl Domain for StringRewriting {
    fn levels(&self) -> RangeInclusive<u32> {
        3..=24
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        // At each place two rules of nine apply, so few strings stay unchanged.
        let (spec, end) = loop {
            let spec = drawn(stream, level);
            match spec.end() {
                Some(end) if end != spec.start => break (spec, end),
                _ => {}
            }
        };
        let rules: Vec<String> = spec.rules.iter().map(|(from, to)| format!("{from}>{to}")).collect();
        Problem {
            prompt: format!("{}:{}=", rules.join(","), spec.start),
            answer: end,
            spec: json!({ "rules": spec.rules, "start": spec.start }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_text(item, Spec::end)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters(LETTERS);
        symbols.extend(characters(">:=,!"));
        symbols
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        chain::behaviours::<Spec>(problem, thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(rules: &[(&str, &str)], start: &str) -> Spec {
        let own = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
        Spec { rules: rules.iter().map(own).collect(), start: start.to_owned() }
    }

    #[test]
    fn the_first_rule_goes_first_at_its_leftmost_place() {
        let spec = spec(&[("ba", "c"), ("ab", "a")], "abab");
        assert_eq!(spec.chain().unwrap(), ["acb"]);
        assert_eq!(spec.end().as_deref(), Some("acb"));
    }

    #[test]
    fn endless_rules_make_a_broken_item() {
        for rules in [&[("a", "a")], &[("a", "aa")], &[("", "a")]] {
            assert_eq!(spec(rules, "aé").end(), None);
        }
    }
}
