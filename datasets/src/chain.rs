//! Traces of thinking that are a sequence of entries, each with only one right value: `b,ab,nab`.
//!
//! Commas separate the entries. An entry that ends with `!` is a mistake, and the right entry follows it.

use serde::de::DeserializeOwned;

use crate::seed::Stream;
use crate::{Behaviours, Problem, Solution, SolutionKind};

/// A spec that determines all the entries.
pub(crate) trait Chained: DeserializeOwned {
    /// The symbols that may end a false entry.
    const SYMBOLS: &'static str;

    /// The entries, or `None` if the spec makes no sense.
    fn chain(&self) -> Option<Vec<String>>;
}

/// The right entries of a problem, with its spec read as `S`.
fn truth<S: Chained>(problem: &Problem) -> Option<Vec<String>> {
    S::deserialize(&problem.spec).ok()?.chain()
}

/// Counts what a trace shows, compared with the right entries.
pub(crate) fn behaviours<S: Chained>(problem: &Problem, thinking: &str) -> Behaviours {
    truth::<S>(problem).map_or_else(Behaviours::default, |truth| beside(&truth, thinking))
}

fn beside(truth: &[String], thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    let mut expected = truth.iter();
    let mut current = expected.next();
    for written in thinking.split_inclusive([',', '!']) {
        let is_mistake = written.ends_with('!');
        let entry = written.trim_end_matches([',', '!']);
        seen.steps += 1;
        seen.false_steps += u32::from(current.is_none_or(|truth| truth != entry));
        seen.verifications += u32::from(is_mistake);
        seen.backtracks += u32::from(is_mistake);
        if !is_mistake {
            current = expected.next();
        }
    }
    seen
}

/// Writes a solution as a sequence of entries: direct, long, or flawed. A flawed solution first writes one entry with
/// another symbol at its end.
pub(crate) fn solve<S: Chained>(
    problem: &Problem,
    kind: SolutionKind,
    stream: &mut Stream,
) -> Option<Solution> {
    let truth = truth::<S>(problem)?;
    let thinking = match kind {
        SolutionKind::Direct => String::new(),
        SolutionKind::Long => truth.join(","),
        SolutionKind::Flawed => flawed(&truth, S::SYMBOLS, stream)?,
        SolutionKind::Search => return None,
    };
    Some(Solution::sure(thinking, &problem.answer))
}

fn flawed(truth: &[String], symbols: &str, stream: &mut Stream) -> Option<String> {
    let at = stream.index(truth.len());
    let mut wrong = truth.get(at)?.clone();
    let last = wrong.pop()?;
    let others: Vec<char> = symbols.chars().filter(|symbol| *symbol != last).collect();
    wrong.push(*others.get(stream.index(others.len()))?);
    let mut entries = truth.to_vec();
    entries[at] = format!("{wrong}!{}", truth[at]);
    Some(entries.join(","))
}

/// Selection sort as entries: each entry holds the remaining items and the first of them in order, `5 3 9>3`.
pub(crate) fn selection<T: Clone + Ord + ToString>(items: &[T], is_descending: bool) -> Vec<String> {
    let mut left = items.to_vec();
    let mut entries = Vec::with_capacity(items.len());
    while !left.is_empty() {
        let places = 0..left.len();
        let first = if is_descending {
            places.rev().max_by_key(|at| &left[*at])
        } else {
            places.min_by_key(|at| &left[*at])
        };
        let Some(first) = first else { break };
        entries.push(format!("{}>{}", listed(&left), left[first].to_string()));
        left.remove(first);
    }
    entries
}

/// Joins items with spaces.
pub(crate) fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Vec<String> {
        ["b", "ab", "nab"].map(str::to_owned).to_vec()
    }

    #[test]
    fn entries_are_compared_one_by_one() {
        let clean = Behaviours { steps: 3, ..Behaviours::default() };
        assert_eq!(beside(&row(), "b,ab,nab"), clean);
        let mended =
            Behaviours { steps: 4, false_steps: 1, verifications: 1, backtracks: 1, ..Behaviours::default() };
        assert_eq!(beside(&row(), "b,aa!ab,nab"), mended);
        assert_eq!(beside(&row(), "b,ab,nab,x").false_steps, 1);
        assert_eq!(beside(&row(), ""), Behaviours::default());
    }

    #[test]
    fn a_flaw_is_one_false_entry() {
        for seed in 0..30 {
            let trace = flawed(&row(), "abn", &mut Stream::at("test", seed, &[])).unwrap();
            assert_eq!(beside(&row(), &trace).false_steps, 1, "{trace}");
        }
    }

    #[test]
    fn selection_takes_the_first_in_order() {
        assert_eq!(selection(&[5, 3, 9], false), ["5 3 9>3", "5 9>5", "9>9"]);
        assert_eq!(selection(&[5, 3, 9], true), ["5 3 9>9", "5 3>5", "3>3"]);
    }
}
