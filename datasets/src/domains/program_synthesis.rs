//! Program synthesis: find a function of a few small operations from three examples. The level is the maximum number of
//! operations.
//!
//! Some functions of two or more operations are held out: every question about them is in the test split, and training
//! never uses them in drills or guesses either. For the other functions, the prompt decides the split of a question.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::{Check, judge};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

use grammar::{Example, Grammar, INPUTS, Operation, VALUES, run, shown_output, text, values};
use trace::{Attempt, Reader, arrows};

pub use trace::Trace;

mod grammar;
#[cfg(test)]
mod tests;
mod trace;

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "program_synthesis",
    about: "a program of +1..4 -1..4 *2 *3 s(quare) ~(negate) that fits examples; level = operations",
    answers: "program",
    build: |value| build_checked::<ProgramSynthesis>("program_synthesis", value, ProgramSynthesis::check),
};

/// Which functions the questions of the test split are about. Those of the train split are always about known
/// functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Functions {
    /// All functions of the level.
    #[default]
    Any,
    /// Functions that training also asks about.
    Known,
    /// Functions that training never asks about.
    HeldOut,
}

impl Functions {
    fn include(self, is_held_out: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Known => !is_held_out,
            Self::HeldOut => is_held_out,
        }
    }
}

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramSynthesis {
    /// The largest constant that is added or subtracted, from 1 to 9. The largest factor is half of it plus one.
    pub largest: i64,
    /// Which functions the test split asks about.
    pub test_functions: Functions,
    /// How a search is written.
    pub trace: Trace,
    /// The share of searches that continue to the end.
    pub never_gives_up: f64,
    /// The probability that any other search gives up and guesses after a failed attempt.
    pub gives_up: f64,
    /// The share of direct answers that are right.
    pub lucky_guess: f64,
    /// The maximum number of attempts that a search shows. For a longer search these are the last ones.
    pub max_attempts: usize,
}

impl Default for ProgramSynthesis {
    fn default() -> Self {
        Self {
            largest: 4,
            test_functions: Functions::Any,
            trace: Trace::Programs,
            never_gives_up: 0.25,
            gives_up: 0.2,
            lucky_guess: 0.2,
            max_attempts: 64,
        }
    }
}

/// The number of examples in the prompt. At most as many more are hidden.
const SHOWN: usize = 3;
/// The name of the Python function that a program becomes.
const ENTRY: &str = "f";
/// The number of runs in a drill.
const DRILL: usize = 6;

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    shown: Vec<Example>,
    hidden: Vec<Example>,
}

impl ProgramSynthesis {
    fn grammar(&self) -> Grammar {
        Grammar::new(self.largest)
    }

    fn check(&self) -> Result<(), String> {
        for (name, share) in [
            ("never_gives_up", self.never_gives_up),
            ("gives_up", self.gives_up),
            ("lucky_guess", self.lucky_guess),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} = {share}: give a share from 0 to 1"));
            }
        }
        if !(1..=9).contains(&self.largest) {
            return Err(format!("largest = {}: give 1 to 9", self.largest));
        }
        if self.max_attempts == 0 {
            return Err("max_attempts = 0: give at least 1".to_owned());
        }
        Ok(())
    }

    fn searched(&self, problem: &Problem, spec: &Spec, stream: &mut Stream) -> Option<Solution> {
        let grammar = self.grammar();
        let most = grammar.read_program(&problem.answer)?.len() as u32;
        let attempts = grammar.search(&spec.shown, most, self.max_attempts);
        let failing = attempts.len().checked_sub(1)?;
        let never = stream.chance(self.never_gives_up);
        let shown = (0..failing).find(|_| !never && stream.chance(self.gives_up)).unwrap_or(failing);
        let attempt = &attempts[shown];
        let is_fit_to_guess = attempt.last.is_some() && !grammar.is_held_out(&attempt.program());
        let answer = if shown == failing || is_fit_to_guess {
            attempt.program()
        } else {
            grammar.completed(&attempt.proposed, stream)
        };
        Some(Solution {
            thinking: attempts[..=shown]
                .iter()
                .map(|attempt| attempt.trace(&spec.shown, self.trace))
                .collect(),
            answer: text(&answer),
            is_guess: shown < failing,
        })
    }

    /// A question and one attempt at it. Half of the time an output is changed so that the attempt fails. In searches
    /// the last check nearly always succeeds, so searches alone would teach a model to say yes.
    fn tested(&self, grammar: &Grammar, stream: &mut Stream) -> String {
        loop {
            let program = grammar.known_program(3, stream);
            let mut shown: Vec<Example> =
                INPUTS.filter_map(|input| Some((input, shown_output(&program, input)?))).collect();
            stream.shuffle(&mut shown);
            shown.truncate(SHOWN);
            shown.sort_unstable();
            let Some((last, proposed)) = program.split_last().filter(|_| shown.len() == SHOWN) else {
                continue;
            };
            if stream.chance(0.5) {
                let changed = &mut shown[if stream.chance(0.7) { 2 } else { 1 }].1;
                *changed = other_value(*changed, stream);
            }
            let attempt = Attempt { proposed: proposed.to_vec(), last: Some(*last) };
            break prompt(&shown) + &attempt.trace(&shown, self.trace);
        }
    }

    /// A drill in the notation of `Trace::Steps`: a comparison of two values, an operation on any value, or the
    /// operation between two values.
    fn step(&self, grammar: &Grammar, stream: &mut Stream) -> String {
        loop {
            let value = stream.between(*VALUES.start(), *VALUES.end());
            if stream.chance(0.4) {
                let program = grammar.known_program(3, stream);
                let input = stream.between(*INPUTS.start(), *INPUTS.end());
                let Some(result) = shown_output(&program, input) else { continue };
                let expected = if stream.chance(0.5) { result } else { other_value(result, stream) };
                break self.trace.check(&program, (input, expected))
                    + if expected == result { "y" } else { "n" };
            }
            let operation = *stream.pick(&grammar.operations);
            if stream.chance(0.5) {
                let Some(result) = shown_output(&[operation], value) else { continue };
                break format!("{value}{}>{result}", operation.text());
            }
            let output = if stream.chance(0.3) {
                Some(stream.between(*VALUES.start(), *VALUES.end()))
            } else {
                shown_output(&[operation], value)
            };
            let Some(output) = output else { continue };
            let leading: Vec<Operation> = grammar.leading(value, output).collect();
            let found = if leading.is_empty() { "n".to_owned() } else { stream.pick(&leading).text() + "y" };
            break format!("{value}>{output}{found}");
        }
    }
}

/// Another value to show instead of `value`. Half of the time it is close to it.
fn other_value(value: i64, stream: &mut Stream) -> i64 {
    if stream.chance(0.5) {
        (value + stream.between(-4, 4)).clamp(*VALUES.start(), *VALUES.end())
    } else {
        stream.between(*VALUES.start(), *VALUES.end())
    }
}

fn prompt(shown: &[Example]) -> String {
    let listed: Vec<String> = shown.iter().map(|(input, output)| format!("{input}>{output}")).collect();
    format!("{}=", listed.join(","))
}

/// The question with the answer `program`.
fn problem(program: &[Operation], spec: &Spec) -> Problem {
    Problem {
        prompt: prompt(&spec.shown),
        answer: text(program),
        spec: json!({ "shown": spec.shown, "hidden": spec.hidden }),
    }
}

impl Domain for ProgramSynthesis {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=3
    }

    fn refusal(&self, level: u32) -> Option<String> {
        (level == 1 && self.test_functions == Functions::HeldOut).then(|| {
            "no function of one operation is held out; use level 2 or 3, or test_functions = \"any\""
                .to_owned()
        })
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        // The loop ends with probability 1, after two rounds on average: most programs give examples, and most of these
        // belong to the train split.
        let grammar = self.grammar();
        loop {
            let program = grammar.random_program(level, stream);
            let Some((found, spec)) = grammar.examples(&program, level, stream) else { continue };
            let problem = problem(&found, &spec);
            if self.split(&problem) == Split::Train
                || self.test_functions.include(grammar.is_held_out(&found))
            {
                break problem;
            }
        }
    }

    fn split(&self, problem: &Problem) -> Split {
        // The answer is the first program that fits the prompt, so a prompt has the same function at every level.
        let grammar = self.grammar();
        if grammar.read_program(&problem.answer).is_some_and(|program| grammar.is_held_out(&program)) {
            Split::Test
        } else {
            Split::of(&problem.prompt)
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        let grammar = self.grammar();
        judge(item, |spec: &Spec, found| {
            if spec.shown.is_empty() {
                return Check::Broken("the item shows no example");
            }
            let Some(program) = grammar.read_program(found) else {
                return Check::Unreadable(
                    "not a program of the operations + - * s ~ with the task's constants",
                );
            };
            let mut examples = spec.shown.iter().chain(&spec.hidden);
            Check::of(examples.all(|(input, output)| run(&program, *input) == Some(*output)))
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        let grammar = self.grammar();
        let program = grammar.read_program(&problem.answer)?;
        match kind {
            SolutionKind::Direct => {
                let is_lucky = stream.chance(self.lucky_guess);
                let guess =
                    if is_lucky { program } else { grammar.known_program(program.len() as u32, stream) };
                Some(Solution { thinking: String::new(), answer: text(&guess), is_guess: true })
            }
            SolutionKind::Long => {
                let (last, proposed) = program.split_last()?;
                let attempt = Attempt { proposed: proposed.to_vec(), last: Some(*last) };
                Some(Solution::sure(attempt.trace(&spec.shown, self.trace), &problem.answer))
            }
            SolutionKind::Search => self.searched(problem, &spec, stream),
            SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols: Vec<String> = VALUES.map(|value| value.to_string()).collect();
        symbols.extend(characters("+*s~>,=:ny;"));
        if self.trace == Trace::Steps {
            // A subtraction is the same symbol as a negative value, so duplicates are removed.
            symbols.extend(self.grammar().operations.into_iter().map(Operation::text));
            symbols.sort_unstable();
            symbols.dedup();
        }
        symbols
    }

    fn tests(&self, problem: &Problem) -> Option<Value> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        let program = self.grammar().read_program(&problem.answer)?;
        let test = |(input, output): &Example, public: bool| json!({ "args": [input], "expect": output, "public": public });
        // If few outputs can be shown, few are hidden. Other inputs than those in prompts need not be shown.
        let known: Vec<i64> = spec.shown.iter().chain(&spec.hidden).map(|(input, _)| *input).collect();
        let more = (*INPUTS.start()..)
            .filter(|input| !known.contains(input))
            .map_while(|input| Some((input, run(&program, input)?)))
            .take(SHOWN.saturating_sub(spec.hidden.len()));
        let hidden: Vec<Example> = spec.hidden.iter().copied().chain(more).collect();
        let shown = spec.shown.iter().map(|example| test(example, true));
        let tests: Vec<Value> = shown.chain(hidden.iter().map(|example| test(example, false))).collect();
        Some(json!({ "kind": "function", "entry": ENTRY, "tests": tests }))
    }

    fn python(&self, answer: &str) -> Option<String> {
        let steps: String = self
            .grammar()
            .read_program(answer)?
            .iter()
            .map(|step| format!("    x = {}\n", step.python()))
            .collect();
        Some(format!("def {ENTRY}(x):\n{steps}    return x\n"))
    }

    fn drill(&self, stream: &mut Stream, level: u32) -> Option<String> {
        let grammar = self.grammar();
        if self.trace == Trace::Steps && stream.chance(0.5) {
            return Some(self.tested(&grammar, stream));
        }
        if self.trace == Trace::Steps {
            let steps: Vec<String> = (0..DRILL).map(|_| self.step(&grammar, stream)).collect();
            return Some(steps.join(";"));
        }
        let mut runs = Vec::with_capacity(DRILL);
        while runs.len() < DRILL {
            let program = grammar.known_program(level, stream);
            let input = stream.between(*INPUTS.start(), *INPUTS.end());
            if shown_output(&program, input).is_some() {
                runs.push(format!("{}:{}", text(&program), arrows(&values(&program, input))));
            }
        }
        Some(runs.join(";"))
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        match Spec::deserialize(&problem.spec) {
            Ok(spec) => Reader::new(self).read(&spec.shown, thinking),
            Err(_) => Behaviours::default(),
        }
    }
}
