//! Traces of thinking that consist of equations: `3+4=7,7*2=14`.
//!
//! A statement ends with `,`, `;`, a space or a mark: `y` after a check that succeeds, `n` after an attempt that fails,
//! `!` after a mistake. A mistake is followed by the corrected statement.

use std::fmt::Display;

use crate::expression::{Step, Syntax, evaluate};
use crate::seed::Stream;
use crate::{Behaviours, Problem, Solution, SolutionKind};

/// A statement of a trace and the mark after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The statement, which is never empty.
    pub(crate) text: &'a str,
    /// `y`, `n` or `!`.
    pub(crate) mark: Option<char>,
}

/// The statements of a trace.
pub(crate) fn statements(thinking: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut push = |text, mark| {
        if !str::is_empty(text) {
            statements.push(Statement { text, mark });
        }
    };
    for (at, symbol) in thinking.char_indices() {
        let mark = match symbol {
            'y' | 'n' | '!' => Some(symbol),
            ',' | ';' | ' ' | '\n' => None,
            _ => continue,
        };
        push(&thinking[start..at], mark);
        start = at + symbol.len_utf8();
    }
    push(&thinking[start..], None);
    statements
}

/// Whether `a=b` or `a=b=c` is true, or `None` if `text` is not an equation.
pub(crate) fn holds(text: &str) -> Option<bool> {
    let mut sides = text.split('=').map(|side| evaluate(side, Syntax::TRACE).and_then(|valued| valued.value));
    let first = sides.next()?;
    let mut rest = sides.peekable();
    rest.peek()?;
    Some(first.is_some() && rest.all(|side| side == first))
}

/// Counts what a trace of equations shows.
pub(crate) fn behaviours(thinking: &str) -> Behaviours {
    let mut seen = Behaviours::default();
    for statement in statements(thinking) {
        count(&mut seen, holds(statement.text), statement.mark);
    }
    seen
}

/// Counts one statement by its truth (`None` if it cannot be decided) and its mark.
pub(crate) fn count(seen: &mut Behaviours, truth: Option<bool>, mark: Option<char>) {
    seen.steps += u32::from(truth.is_some());
    seen.false_steps += u32::from(truth == Some(false));
    seen.verifications += u32::from(mark.is_some());
    seen.backtracks += u32::from(matches!(mark, Some('n' | '!')));
    seen.yeses += u32::from(mark == Some('y'));
    // A yes after a text that states nothing has no more basis than a yes after a false statement.
    seen.false_yeses += u32::from(mark == Some('y') && truth != Some(true));
}

/// `left operation right=result`, with a negative right side in brackets.
pub(crate) fn equation(
    left: impl Display,
    operation: char,
    right: impl Display,
    result: impl Display,
) -> String {
    format!("{left}{operation}{}={result}", bracketed(right))
}

/// A number to the right of an operation. A negative one is in brackets.
pub(crate) fn bracketed(number: impl Display) -> String {
    let text = number.to_string();
    if text.starts_with('-') { format!("({text})") } else { text }
}

/// The operations of an expression as equations.
pub(crate) fn equations(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| equation(step.left, step.operation, step.right, step.result)).collect()
}

/// Writes a solution as a sequence of equations: direct, long, or flawed.
pub(crate) fn solve(
    equations: &[String],
    problem: &Problem,
    kind: SolutionKind,
    stream: &mut Stream,
) -> Option<Solution> {
    let thinking = match kind {
        SolutionKind::Direct => String::new(),
        SolutionKind::Long => join(equations),
        SolutionKind::Flawed => flawed(equations, stream)?,
        SolutionKind::Search => return None,
    };
    Some(Solution::sure(thinking, &problem.answer))
}

/// Joins the equations. One that ends with a mark needs no comma.
pub(crate) fn join(equations: &[String]) -> String {
    let mut joined = String::new();
    for equation in equations {
        if !joined.is_empty() && !joined.ends_with(['y', 'n', '!']) {
            joined.push(',');
        }
        joined.push_str(equation);
    }
    joined
}

/// The equations, with one of them first written wrong, marked `!`, and written again. `None` if there are none.
pub(crate) fn flawed(equations: &[String], stream: &mut Stream) -> Option<String> {
    let at = stream.index(equations.len());
    let right = equations.get(at)?;
    let (kept, digit) =
        right.char_indices().rev().find_map(|(at, symbol)| Some((at, symbol.to_digit(10)?)))?;
    let other = (u64::from(digit) + 1 + stream.below(9)) % 10;
    let mut row = equations.to_vec();
    row.insert(at, format!("{}{other}!", &right[..kept]));
    Some(join(&row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_marks_and_separators() {
        let seen = behaviours("1+1=2,2*2=5!2*2=4 4-1=2n9/3=3y");
        assert_eq!(
            seen,
            Behaviours {
                verifications: 3,
                backtracks: 2,
                steps: 5,
                false_steps: 2,
                yeses: 1,
                ..Behaviours::default()
            }
        );
        assert_eq!(behaviours("hello there"), Behaviours { verifications: 0, ..Behaviours::default() });
    }

    #[test]
    fn a_yes_is_true_only_after_a_true_statement() {
        for (trace, false_yeses) in [("2*2=4y", 0), ("2*2=5y", 1), ("4y", 1), ("2*2=5n2*2=5!", 0)] {
            assert_eq!(behaviours(trace).false_yeses, false_yeses, "{trace}");
        }
    }

    #[test]
    fn an_equation_holds_or_not() {
        assert_eq!(holds("10/12=5/6"), Some(true));
        assert_eq!(holds("1=1=2"), Some(false));
        assert_eq!(holds("1+=1"), Some(false));
        assert_eq!(holds("1/0=1/0"), Some(false));
        assert_eq!(holds("12"), None);
    }

    #[test]
    fn a_flaw_is_one_false_step_that_is_corrected() {
        let row = ["3+4=7".to_owned(), "7*2=14".to_owned(), "14-20=-6".to_owned()];
        for seed in 0..50 {
            let trace = flawed(&row, &mut Stream::at("test", seed, &[])).unwrap();
            let seen = behaviours(&trace);
            assert_eq!((seen.steps, seen.false_steps, seen.backtracks), (4, 1, 1), "{trace}");
        }
        assert_eq!(flawed(&[], &mut Stream::at("test", 0, &[])), None);
    }
}
