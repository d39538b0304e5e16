//! The search that countdown and the 24 game share: combine numbers two at a time until they give a target.
//!
//! Every result is a whole number from 0 to a limit. The larger number is to the left of `-` and `/`.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::expression::{Syntax, evaluate};
use crate::seed::Stream;
use crate::trace::{Statement, count, equation, equations, holds, statements};
use crate::{Behaviours, Problem, Solution};

/// The maximum number of attempts before a search stops without a result.
const MAX_ATTEMPTS: usize = 300_000;

/// The rules for combining numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Some of `+-*/`, in the order in which they are tried.
    pub(crate) operations: Vec<char>,
    /// The maximum of any result.
    pub(crate) max_value: i64,
}

/// A combination of two of the remaining numbers, given by position, and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    first: usize,
    second: usize,
    operation: char,
    left: i64,
    right: i64,
    result: i64,
}

impl Combination {
    fn equation(&self) -> String {
        equation(self.left, self.operation, self.right, self.result)
    }
}

/// A way to use every number: its combinations in order.
pub(crate) type Attempt = Vec<Combination>;

impl Rules {
    /// The result of `left operation right`, if the rules allow it.
    pub(crate) fn apply(&self, left: i64, operation: char, right: i64) -> Option<i64> {
        let result = match operation {
            '+' => left.checked_add(right)?,
            '-' => left.checked_sub(right)?,
            '*' => left.checked_mul(right)?,
            _ => (right != 0 && left % right == 0).then(|| left / right)?,
        };
        (0..=self.max_value).contains(&result).then_some(result)
    }

    fn combine(&self, numbers: &[i64], first: usize, second: usize, operation: char) -> Option<Combination> {
        let (mut left, mut right) = (numbers[first], numbers[second]);
        if matches!(operation, '-' | '/') && left < right {
            (left, right) = (right, left);
        }
        let result = self.apply(left, operation, right)?;
        Some(Combination { first, second, operation, left, right, result })
    }

    /// Every combination of two of `numbers`: by pair, then by operation.
    fn combinations(&self, numbers: &[i64]) -> Vec<Combination> {
        let mut combinations = Vec::new();
        for first in 0..numbers.len() {
            for second in first + 1..numbers.len() {
                let combine = |operation| self.combine(numbers, first, second, operation);
                combinations.extend(self.operations.iter().filter_map(|operation| combine(*operation)));
            }
        }
        combinations
    }

    /// A random attempt, or `None` if it reaches a dead end.
    pub(crate) fn random(&self, numbers: &[i64], stream: &mut Stream) -> Option<Attempt> {
        let mut left = numbers.to_vec();
        let mut attempt = Attempt::new();
        while left.len() > 1 {
            let choices = self.combinations(&left);
            let choice = *choices.get(stream.index(choices.len()))?;
            left = after(&left, &choice);
            attempt.push(choice);
        }
        Some(attempt)
    }

    /// The attempts in order up to the first that gives `target`, but at most the last `window` of them. Empty if no
    /// attempt gives it.
    pub(crate) fn search(&self, numbers: &[i64], target: i64, window: usize) -> Vec<Attempt> {
        let mut seen = 0;
        let mut last = VecDeque::new();
        let end = self.walk(numbers, &mut Attempt::new(), &mut |attempt| {
            seen += 1;
            if last.len() == window.max(1) {
                last.pop_front();
            }
            last.push_back(attempt.clone());
            let is_found = value(attempt) == target;
            if is_found || seen == MAX_ATTEMPTS {
                ControlFlow::Break(is_found)
            } else {
                ControlFlow::Continue(())
            }
        });
        if end == ControlFlow::Break(true) { last.into() } else { Vec::new() }
    }

    /// Visits every attempt, depth first.
    fn walk(
        &self,
        numbers: &[i64],
        attempt: &mut Attempt,
        visit: &mut impl FnMut(&Attempt) -> ControlFlow<bool>,
    ) -> ControlFlow<bool> {
        for choice in self.combinations(numbers) {
            attempt.push(choice);
            if numbers.len() == 2 {
                visit(attempt)?;
            } else {
                self.walk(&after(numbers, &choice), attempt, visit)?;
            }
            attempt.pop();
        }
        ControlFlow::Continue(())
    }
}

/// The numbers that remain after a combination: the result first, then the others.
fn after(numbers: &[i64], choice: &Combination) -> Vec<i64> {
    let others = numbers.iter().enumerate().filter(|(at, _)| *at != choice.first && *at != choice.second);
    std::iter::once(choice.result).chain(others.map(|(_, number)| *number)).collect()
}

/// The final result of an attempt.
pub(crate) fn value(attempt: &Attempt) -> i64 {
    attempt.last().map_or(0, |last| last.result)
}

/// An attempt as one expression. Every part except the whole is in brackets: `13-(12-6)`.
pub(crate) fn expression(numbers: &[i64], attempt: &Attempt) -> String {
    let mut parts: Vec<(i64, String)> = numbers.iter().map(|number| (*number, number.to_string())).collect();
    for (depth, choice) in attempt.iter().enumerate() {
        let second = parts.remove(choice.second);
        let first = parts.remove(choice.first);
        let (left, right) = if first.0 == choice.left { (first, second) } else { (second, first) };
        let text = format!("{}{}{}", left.1, choice.operation, right.1);
        let is_whole = depth + 1 == attempt.len();
        parts.insert(0, (choice.result, if is_whole { text } else { format!("({text})") }));
    }
    parts.into_iter().map(|(_, text)| text).collect()
}

/// Writes attempts as a trace: the equations that differ from the attempt before, then `y` or `n`.
pub(crate) fn trace(attempts: &[Attempt], target: i64) -> String {
    let mut trace = String::new();
    let mut before: &[Combination] = &[];
    for attempt in attempts {
        let shared = attempt.iter().zip(before).take_while(|(now, then)| now == then).count();
        let equations: Vec<String> = attempt[shared..].iter().map(Combination::equation).collect();
        trace.push_str(&equations.join(" "));
        trace.push(if value(attempt) == target { 'y' } else { 'n' });
        before = attempt;
    }
    trace
}

/// The steps to the answer of `problem`, without failed attempts.
pub(crate) fn straight_solution(problem: &Problem) -> Option<Solution> {
    let steps = evaluate(&problem.answer, Syntax::TRACE)?.steps;
    Some(Solution::sure(equations(&steps).join(" ") + "y", &problem.answer))
}

/// A search as a solution. After each failed attempt it gives up with probability `gives_up` and guesses. Without any
/// attempts it is the straight solution.
pub(crate) fn search_solution(
    problem: &Problem,
    numbers: &[i64],
    target: i64,
    attempts: &[Attempt],
    gives_up: f64,
    stream: &mut Stream,
) -> Option<Solution> {
    if attempts.is_empty() {
        return straight_solution(problem);
    }
    let failing = attempts.len() - 1;
    let shown = (0..failing).find(|_| stream.chance(gives_up)).unwrap_or(failing);
    Some(Solution {
        thinking: trace(&attempts[..=shown], target),
        answer: expression(numbers, &attempts[shown]),
        is_guess: shown < failing,
    })
}

/// Counts what the trace of a search shows. An equation also counts as false if its mark is wrong. A restart is a
/// return to the given numbers.
pub(crate) fn search_behaviours(numbers: &[i64], target: i64, thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    let mut is_after_mark = false;
    for Statement { text, mark } in statements(thinking) {
        let reaches_target = text.rsplit('=').next().and_then(|value| value.parse().ok()) == Some(target);
        let is_marked_right = match mark {
            Some('y') => reaches_target,
            Some('n') => !reaches_target,
            _ => true,
        };
        count(&mut seen, holds(text).map(|is_true| is_true && is_marked_right), mark);
        seen.restarts += u32::from(is_after_mark && starts_from(numbers, text));
        is_after_mark = mark.is_some();
    }
    seen
}

/// Whether both sides of an operation are given numbers.
fn starts_from(numbers: &[i64], statement: &str) -> bool {
    let operation = statement.split('=').next().unwrap_or_default();
    let mut operands = operation.split(['+', '-', '*', '/']).map(|operand| operand.parse().ok());
    operands.all(|operand: Option<i64>| operand.is_some_and(|operand| numbers.contains(&operand)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(operations: &str, max_value: i64) -> Rules {
        Rules { operations: operations.chars().collect(), max_value }
    }

    #[test]
    fn the_tree_is_searched_in_fixed_order() {
        let attempts = rules("+-", 60).search(&[12, 15, 19], 16, 100);
        assert_eq!(trace(&attempts, 16), "12+15=27 27+19=46n27-19=8n15-12=3 3+19=22n19-3=16y");
        assert_eq!(expression(&[12, 15, 19], &attempts[2]), "(15-12)+19");
        assert_eq!(expression(&[12, 15, 19], &attempts[3]), "19-(15-12)");
    }

    #[test]
    fn a_trace_is_read_back() {
        let seen = search_behaviours(&[12, 15, 19], 16, "12+15=27 27+19=46n27-19=8n15-12=3 3+19=22n19-3=16y");
        assert_eq!(
            seen,
            Behaviours {
                verifications: 4,
                backtracks: 3,
                restarts: 1,
                steps: 6,
                yeses: 1,
                ..Behaviours::default()
            }
        );
        // A false sum, a false `y` and a false `n`.
        let seen = search_behaviours(&[12, 15, 19], 16, "12+15=28 28-19=9y19-3=16n");
        assert_eq!((seen.steps, seen.false_steps), (3, 3));
        assert_eq!((seen.yeses, seen.false_yeses), (1, 1));
    }

    #[test]
    fn a_window_keeps_the_end_of_the_search() {
        let attempts = rules("+-", 60).search(&[12, 15, 19], 16, 2);
        assert_eq!(trace(&attempts, 16), "15-12=3 3+19=22n19-3=16y");
        assert!(rules("+-", 60).search(&[1, 1], 60, 9).is_empty());
    }

    #[test]
    fn results_stay_whole_and_small() {
        let rules = rules("+-*/", 99);
        assert_eq!(rules.apply(50, '+', 50), None);
        assert_eq!(rules.apply(3, '-', 5), None);
        assert_eq!(rules.apply(7, '/', 2), None);
        assert_eq!(rules.apply(7, '/', 0), None);
        assert_eq!(rules.apply(i64::MAX, '*', 2), None);
        assert_eq!(rules.apply(8, '/', 2), Some(4));
    }

    #[test]
    fn equal_numbers_are_told_apart_by_place() {
        let attempts = rules("+-*/", 99).search(&[4, 4, 4, 6], 24, 1);
        let text = expression(&[4, 4, 4, 6], &attempts[0]);
        let valued = evaluate(&text, Syntax::TRACE).unwrap();
        assert_eq!(valued.value.and_then(crate::rational::Rational::as_whole), Some(24));
        let mut numbers = valued.numbers;
        numbers.sort_unstable();
        assert_eq!(numbers, [4, 4, 4, 6]);
    }
}
