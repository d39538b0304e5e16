//! The output of a small program. The level is the number of statements after the first two.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::chain::{self, Chained};
use crate::judging::judge_whole;
use crate::rational::digits;
use crate::seed::Stream;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "program_output",
    about: "what a program of assignments, loops and conditions prints; level = statements",
    answers: "whole number",
    build: |value| build_checked::<ProgramOutput>("program_output", value, ProgramOutput::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramOutput {
    /// The share of statements that are repeated.
    pub loops: f64,
    /// The share of statements that have a condition.
    pub conditions: f64,
    /// The maximum magnitude of any value.
    pub max_value: i64,
}

impl Default for ProgramOutput {
    fn default() -> Self {
        Self { loops: 0.2, conditions: 0.2, max_value: 999 }
    }
}

const VARIABLES: [char; 3] = ['a', 'b', 'c'];
/// Longer texts are not read as a program.
const MAX_LENGTH: usize = 1024;

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    program: String,
}

impl Chained for Spec {
    const SYMBOLS: &'static str = "0123456789";

    /// Every assignment, in the order in which it is made.
    fn chain(&self) -> Option<Vec<String>> {
        Some(run(&self.program)?.assignments)
    }
}

/// The values of the variables that have one.
type Values = BTreeMap<char, i64>;

/// A run of a program: each assignment as it happens, and the output.
struct Run {
    assignments: Vec<String>,
    printed: i64,
}

/// Runs `a=3;b=5;repeat 2:a=a+b;if a>b:b=a-1;print b`. Returns `None` if the text is not such a program, or if a value
/// is missing or too large for 64 bits.
fn run(program: &str) -> Option<Run> {
    if program.len() > MAX_LENGTH {
        return None;
    }
    let (statements, last) = program.rsplit_once(';')?;
    let mut values = Values::new();
    let mut assignments = Vec::new();
    for statement in statements.split(';') {
        let (times, assignment) = guard(statement, &values)?;
        for _ in 0..times {
            let (target, value) = assigned(assignment, &values)?;
            values.insert(target, value);
            assignments.push(format!("{target}={value}"));
        }
    }
    Some(Run { assignments, printed: operand(last.strip_prefix("print ")?, &values)? })
}

/// How often the assignment of a statement runs, and the assignment.
fn guard<'a>(statement: &'a str, values: &Values) -> Option<(i128, &'a str)> {
    if let Some(rest) = statement.strip_prefix("repeat ") {
        let (times, assignment) = rest.split_once(':')?;
        return Some((digits(times).filter(|times| *times <= 9)?, assignment));
    }
    let Some(rest) = statement.strip_prefix("if ") else { return Some((1, statement)) };
    let (condition, assignment) = rest.split_once(':')?;
    let at = condition.find(['<', '>'])?;
    let (left, right) = (operand(&condition[..at], values)?, operand(&condition[at + 1..], values)?);
    let holds = if condition[at..].starts_with('<') { left < right } else { left > right };
    Some((i128::from(holds), assignment))
}

/// The variable that `a=b+3` changes, and its new value.
fn assigned(assignment: &str, values: &Values) -> Option<(char, i64)> {
    let (target, expression) = assignment.split_once('=')?;
    let target = VARIABLES.into_iter().find(|variable| target.chars().eq([*variable]))?;
    let Some(at) = expression.find(['+', '-', '*']) else {
        return Some((target, operand(expression, values)?));
    };
    let (left, right) = (operand(&expression[..at], values)?, operand(&expression[at + 1..], values)?);
    let value = match expression.as_bytes()[at] {
        b'+' => left.checked_add(right),
        b'-' => left.checked_sub(right),
        _ => left.checked_mul(right),
    }?;
    Some((target, value))
}

fn operand(text: &str, values: &Values) -> Option<i64> {
    match text.parse::<char>().ok().and_then(|variable| values.get(&variable)) {
        Some(value) => Some(*value),
        None => digits(text)?.try_into().ok(),
    }
}

/// Two different variables.
fn two_variables(stream: &mut Stream) -> [char; 2] {
    let mut variables = VARIABLES;
    stream.shuffle(&mut variables);
    [variables[0], variables[1]]
}

impl ProgramOutput {
    fn check(&self) -> Result<(), String> {
        let are_shares = self.loops >= 0.0 && self.conditions >= 0.0 && self.loops + self.conditions <= 1.0;
        if !are_shares || !(99..=99_999).contains(&self.max_value) {
            return Err(format!(
                "loops = {}, conditions = {}, max_value = {}: give shares that sum to 1 at most, and 99 to 99999",
                self.loops, self.conditions, self.max_value
            ));
        }
        Ok(())
    }

    /// A random statement, and the variable that it changes.
    fn statement(&self, stream: &mut Stream) -> (String, char) {
        let target = *stream.pick(&VARIABLES);
        let [left, right] = two_variables(stream);
        let operation = *stream.pick(&['+', '-', '*']);
        let right = if stream.chance(0.5) { right.to_string() } else { stream.between(1, 9).to_string() };
        let assignment = format!("{target}={left}{operation}{right}");
        let kind = stream.unit();
        let statement = if kind < self.loops {
            format!("repeat {}:{assignment}", stream.between(2, 4))
        } else if kind < self.loops + self.conditions {
            let [left, right] = two_variables(stream);
            format!("if {left}{}{right}:{assignment}", stream.pick(&['<', '>']))
        } else {
            assignment
        };
        (statement, target)
    }

    fn is_small(&self, run: &Run) -> bool {
        run.assignments.iter().all(|assignment| {
            let value = assignment.split_once('=').and_then(|(_, value)| value.parse::<i64>().ok());
            value.is_some_and(|value| value.abs() <= self.max_value)
        })
    }
}

impl Domain for ProgramOutput {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=8
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let mut statements = format!("a={};b={};", stream.between(1, 9), stream.between(1, 9));
        let mut posed = None;
        let mut written = 0;
        // A statement is drawn again if it uses a variable without a value or makes a value too large.
        while written < level {
            let (statement, target) = self.statement(stream);
            let program = format!("{statements}{statement};print {target}");
            if let Some(run) = run(&program).filter(|run| self.is_small(run)) {
                statements.push_str(&statement);
                statements.push(';');
                posed = Some((program, run.printed));
                written += 1;
            }
        }
        let (program, printed) = posed.unwrap_or_default();
        Problem {
            prompt: format!("{program}:"),
            answer: printed.to_string(),
            spec: json!({ "program": program }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_whole(item, |spec: &Spec| run(&spec.program).map(|run| run.printed.into()))
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        chain::solve::<Spec>(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols = characters("abc0123456789+-*=<>:;,!");
        symbols.extend(["repeat ", "if ", "print "].map(str::to_owned));
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
    fn a_program_is_run_statement_by_statement() {
        let run = run("a=3;b=5;repeat 2:a=a+b;if a<b:b=9;if a>b:b=a-1;c=b*2;print c").unwrap();
        assert_eq!(run.assignments.join(","), "a=3,b=5,a=8,a=13,b=12,c=24");
        assert_eq!(run.printed, 24);
    }

    #[test]
    fn other_texts_are_not_run() {
        for program in [
            "",
            "print a",
            "a=1;print b",
            "a=b;print a",
            "d=1;print d",
            "a=1;repeat 99999:a=a+1;print a",
            "a=9223372036854775807;repeat 2:a=a*a;print a",
            "a=1;if a=1:a=2;print a",
            "a=1;a=--1;print a",
            "a=1;print a;print a",
            "é=1;print é",
        ] {
            assert!(run(program).is_none(), "{program}");
        }
    }
}
