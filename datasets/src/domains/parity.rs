//! Parity: whether the number of ones is odd. The level is the number of bits.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::judge_text;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "parity",
    about: "whether a string of bits holds an odd number of ones; level = bits",
    answers: "0 or 1",
    build: |value| build::<Parity>("parity", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parity {}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    bits: String,
}

/// 1 if the number of ones is odd, otherwise 0.
fn parity(bits: &str) -> usize {
    bits.bytes().filter(|bit| *bit == b'1').count() % 2
}

/// Each bit followed by the parity so far: `0110` gives `00111000`.
fn chain(bits: &str) -> String {
    let mut parity = 0;
    let mut chain = String::with_capacity(2 * bits.len());
    for bit in bits.chars() {
        parity ^= u8::from(bit == '1');
        chain.push(bit);
        chain.push(if parity == 1 { '1' } else { '0' });
    }
    chain
}

/// The bits of a prompt `0110=`.
fn bits_of(problem: &Problem) -> &str {
    problem.prompt.trim_end_matches('=')
}

impl Domain for Parity {
    fn levels(&self) -> RangeInclusive<u32> {
        4..=64
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let bits: String = (0..level).map(|_| if stream.chance(0.5) { '1' } else { '0' }).collect();
        let odd = parity(&bits);
        Problem { prompt: format!("{bits}="), answer: odd.to_string(), spec: json!({ "bits": bits }) }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_text(item, |spec: &Spec| Some(parity(&spec.bits).to_string()))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, _stream: &mut Stream) -> Option<Solution> {
        match kind {
            SolutionKind::Direct => Some(Solution::sure("", &problem.answer)),
            SolutionKind::Long => Some(Solution::sure(chain(bits_of(problem)), &problem.answer)),
            SolutionKind::Search | SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        characters("01=")
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        let truth = chain(bits_of(problem));
        let written = thinking.as_bytes().chunks(2);
        let steps = written.len();
        let right =
            written.zip(truth.as_bytes().chunks(2)).filter(|(written, truth)| written == truth).count();
        Behaviours { steps: steps as u32, false_steps: (steps - right) as u32, ..Behaviours::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_interleaves_bits_and_running_parity() {
        assert_eq!(chain("0110"), "00111000");
        assert_eq!(chain(""), "");
    }
}
