//! Bracket depth: how deep brackets are nested. The level is the number of pairs.

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
    name: "bracket_depth",
    about: "how deep the brackets of a string are nested; level = pairs",
    answers: "a whole number",
    build: |value| build::<BracketDepth>("bracket_depth", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BracketDepth {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    brackets: String,
}

/// The depth after each bracket, or `None` if the brackets do not match.
fn depths(brackets: &str) -> Option<Vec<usize>> {
    let mut depth = 0usize;
    let step = |bracket| {
        depth = if bracket == '(' { depth + 1 } else { depth.checked_sub(1)? };
        Some(depth)
    };
    brackets.chars().map(step).collect::<Option<Vec<_>>>().filter(|depths| depths.last() == Some(&0))
}

/// The greatest depth, or `None` if the brackets do not match.
fn deepest(brackets: &str) -> Option<usize> {
    depths(brackets)?.into_iter().max()
}

/// Each bracket, followed by the depth after it: `(())` gives `(1(2)1)0`.
fn chain(brackets: &str) -> String {
    let depths = depths(brackets).unwrap_or_default();
    brackets.chars().zip(depths).map(|(bracket, depth)| format!("{bracket}{depth}")).collect()
}

/// The brackets of a prompt `(())=`.
fn brackets_of(problem: &Problem) -> &str {
    problem.prompt.trim_end_matches('=')
}

impl Domain for BracketDepth {
    fn levels(&self) -> RangeInclusive<u32> {
        6..=32
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let (mut unopened, mut open) = (level, 0);
        let mut brackets = String::new();
        while unopened + open > 0 {
            let opens = open == 0 || (unopened > 0 && stream.chance(0.55));
            brackets.push(if opens { '(' } else { ')' });
            if opens {
                (unopened, open) = (unopened - 1, open + 1);
            } else {
                open -= 1;
            }
        }
        let answer = deepest(&brackets).unwrap_or(0).to_string();
        Problem { prompt: format!("{brackets}="), answer, spec: json!({ "brackets": brackets }) }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, |spec: &Spec| deepest(&spec.brackets).map(|depth| depth as i128))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        match kind {
            SolutionKind::Direct => Some(Solution::sure("", &problem.answer)),
            SolutionKind::Long => Some(Solution::sure(chain(brackets_of(problem)), &problem.answer)),
            SolutionKind::Search | SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        characters("()=0123456789")
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        // A step is a bracket and the depth written after it.
        let steps = |text: &str| -> Vec<String> {
            let marked = text.replace('(', " (").replace(')', " )");
            marked.split_whitespace().map(str::to_owned).collect()
        };
        let (written, truth) = (steps(thinking), steps(&chain(brackets_of(problem))));
        let right = written.iter().zip(&truth).filter(|(written, truth)| written == truth).count();
        let false_steps = (written.len() - right) as u32;
        Behaviours { steps: written.len() as u32, false_steps, ..Behaviours::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_interleaves_brackets_and_depth() {
        assert_eq!(chain("(())()"), "(1(2)1)0(1)0");
        assert_eq!(deepest("(())()"), Some(2));
        assert_eq!([deepest("())"), deepest("(()"), deepest(")(")], [None; 3]);
    }
}
