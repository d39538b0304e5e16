//! Program synthesis: a function of a few small operations from three examples. The level is the most operations.
//!
//! Some functions of two operations and more are held out: every question about them is in the test split, and they are not drilled or guessed in
//! training either. With `spares_held_out` no search of a train question meets one, so that no trace of training rejects it. Questions about the
//! other functions are told apart by their prompts.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::judging::{Check, judge};
use crate::seed::Stream;
use crate::split::Split;
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row of the table.
pub const ROW: Row = Row {
    name: "program_synthesis",
    about: "a program of +1..4 -1..4 *2 *3 s(quare) ~(negate) that fits examples; level = operations",
    answers: "program",
    build: |value| build_checked::<ProgramSynthesis>("program_synthesis", value, ProgramSynthesis::check),
};

/// Which functions the questions of the test split are about; those of the train split are about known ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Functions {
    /// All of the level.
    #[default]
    Any,
    /// Those that training asks about, too.
    Known,
    /// Those that training never asks about.
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

/// How a search is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// The proposal, then its values: `+2:1>3*3>9y4>6>18y`.
    #[default]
    Programs,
    /// Every operation beside its operand, and every expected output beside what it is compared with:
    /// `1+2>3>9*3y4+2>6*3>18=18y`. Each symbol follows from few others nearby; an operation is one symbol.
    Steps,
}

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramSynthesis {
    /// The largest constant that is added or subtracted, 1 to 9; half of it and one more is the largest factor.
    pub largest: i64,
    /// Which functions the test split asks about.
    pub test_functions: Functions,
    /// Whether the train split asks only what a search answers without trying a held-out function on the way.
    pub spares_held_out: bool,
    /// How a search is written.
    pub trace: Trace,
    /// The share of searches that go on to the end.
    pub never_gives_up: f64,
    /// How likely the others give up after an attempt that fails, and guess.
    pub gives_up: f64,
    /// The share of direct answers that are right.
    pub lucky_guess: f64,
    /// The most attempts that a search shows: of a longer one, the end.
    pub max_attempts: usize,
}

impl Default for ProgramSynthesis {
    fn default() -> Self {
        Self {
            largest: 4,
            test_functions: Functions::Any,
            spares_held_out: false,
            trace: Trace::Programs,
            never_gives_up: 0.25,
            gives_up: 0.2,
            lucky_guess: 0.2,
            max_attempts: 64,
        }
    }
}

/// Inputs and outputs.
type Example = (i64, i64);

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    shown: Vec<Example>,
    hidden: Vec<Example>,
}

/// Every value that is shown lies here; each is one symbol.
const VALUES: RangeInclusive<i64> = -20..=80;
/// The inputs that examples are drawn from.
const INPUTS: RangeInclusive<i64> = 1..=9;
/// Examples in the prompt; as many again may be hidden.
const SHOWN: usize = 3;
/// A longer answer is no program.
const MAX_OPERATIONS: usize = 16;
/// The function that a program becomes in Python.
const ENTRY: &str = "f";
/// Runs in one drill.
const DRILL: usize = 6;

/// One operation on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add(i64),
    Subtract(i64),
    Multiply(i64),
    Square,
    Negate,
}

use Operation::{Add, Multiply, Negate, Square, Subtract};

/// The operations that programs are made of.
#[derive(Clone, Debug)]
struct Grammar {
    /// In the order in which a search tries them.
    operations: Vec<Operation>,
}

impl Operation {
    fn apply(self, value: i64) -> Option<i64> {
        match self {
            Add(number) => value.checked_add(number),
            Subtract(number) => value.checked_sub(number),
            Multiply(number) => value.checked_mul(number),
            Square => value.checked_mul(value),
            Negate => value.checked_neg(),
        }
    }

    fn text(self) -> String {
        match self {
            Add(number) => format!("+{number}"),
            Subtract(number) => format!("-{number}"),
            Multiply(number) => format!("*{number}"),
            Square => "s".to_owned(),
            Negate => "~".to_owned(),
        }
    }
}

impl Operation {
    /// The operation on `x`, in Python.
    fn python(self) -> String {
        match self {
            Add(number) => format!("x + {number}"),
            Subtract(number) => format!("x - {number}"),
            Multiply(number) => format!("x * {number}"),
            Square => "x * x".to_owned(),
            Negate => "-x".to_owned(),
        }
    }
}

fn text(program: &[Operation]) -> String {
    program.iter().map(|operation| operation.text()).collect()
}

impl Grammar {
    fn new(largest: i64) -> Self {
        let operations = (1..=largest)
            .map(Add)
            .chain((1..=largest).map(Subtract))
            .chain((2..=largest / 2 + 1).map(Multiply))
            .chain([Square, Negate])
            .collect();
        Self { operations }
    }

    /// Reads the operation at the start of `source`; what follows it is left over.
    fn read_operation<'a>(&self, source: &'a str) -> Option<(Operation, &'a str)> {
        self.operations
            .iter()
            .find_map(|operation| Some((*operation, source.strip_prefix(&operation.text())?)))
    }

    /// Reads the operations at the start of `source`; what follows them is left over.
    fn read_operations<'a>(&self, mut source: &'a str) -> (Vec<Operation>, &'a str) {
        let mut program = Vec::new();
        while let Some((operation, rest)) = self.read_operation(source) {
            program.push(operation);
            source = rest;
        }
        (program, source)
    }

    /// Reads a whole program of the grammar: one operation at least.
    fn read_program(&self, source: &str) -> Option<Vec<Operation>> {
        if source.len() > 2 * MAX_OPERATIONS {
            return None;
        }
        let (program, rest) = self.read_operations(source);
        (rest.is_empty() && (1..=MAX_OPERATIONS).contains(&program.len())).then_some(program)
    }

    /// The operations that make `output` of `value`.
    fn leading(&self, value: i64, output: i64) -> impl Iterator<Item = Operation> {
        self.operations.iter().copied().filter(move |operation| operation.apply(value) == Some(output))
    }

    /// Every proposal of `length` operations in fixed order.
    fn proposals(&self, length: u32) -> impl Iterator<Item = Vec<Operation>> {
        let base = self.operations.len();
        (0..base.pow(length)).map(move |code| {
            (0..length).rev().map(|place| self.operations[code / base.pow(place) % base]).collect()
        })
    }

    /// The attempts in order up to the first program that fits every shown example, but at most the last `window`; empty
    /// where none of up to `most` operations fits.
    fn search(&self, shown: &[Example], most: u32, window: usize) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        let Some((input, output)) = shown.first() else { return attempts };
        for proposed in (0..most).flat_map(|length| self.proposals(length)) {
            let Some(value) = shown_output(&proposed, *input) else { continue };
            let completions: Vec<Operation> = self.leading(value, *output).collect();
            if completions.is_empty() {
                attempts.push(Attempt { proposed, last: None });
                continue;
            }
            for last in completions {
                let attempt = Attempt { proposed: proposed.clone(), last: Some(last) };
                let is_found = fits(&attempt.program(), shown);
                attempts.push(attempt);
                if is_found {
                    return attempts.split_off(attempts.len().saturating_sub(window));
                }
            }
        }
        Vec::new()
    }

    /// A random program of 1 to `most` operations.
    fn random_program(&self, most: u32, stream: &mut Stream) -> Vec<Operation> {
        let length = stream.between(1, most.into());
        (0..length).map(|_| *stream.pick(&self.operations)).collect()
    }

    /// A random program whose function is not held out.
    fn known_program(&self, most: u32, stream: &mut Stream) -> Vec<Operation> {
        // Seven functions in eight are known.
        loop {
            let program = self.random_program(most, stream);
            if !self.is_held_out(&program) {
                break program;
            }
        }
    }

    /// A program and one more operation, such that its function is not held out; any operation where there is none.
    fn completed(&self, proposed: &[Operation], stream: &mut Stream) -> Vec<Operation> {
        let with = |last: &Operation| proposed.iter().chain([last]).copied().collect::<Vec<Operation>>();
        let all: Vec<Vec<Operation>> = self.operations.iter().map(with).collect();
        let known: Vec<Vec<Operation>> =
            all.iter().filter(|program| !self.is_held_out(program)).cloned().collect();
        let choices = if known.is_empty() { all } else { known };
        stream.pick(&choices).clone()
    }

    /// Whether a program's function is held out, whichever program computes it: one in eight of those that no single
    /// operation computes.
    fn is_held_out(&self, program: &[Operation]) -> bool {
        let outputs = outputs(program);
        Split::of(&format!("function {outputs:?}")) == Split::Test
            && self.operations.iter().all(|operation| self::outputs(&[*operation]) != outputs)
    }

    /// Examples of `program`, shown and hidden; `None` where too few can be shown, or where they are as well explained by
    /// doing nothing, or the first program that a search finds is another function.
    fn examples(
        &self,
        program: &[Operation],
        most: u32,
        stream: &mut Stream,
    ) -> Option<(Vec<Operation>, Spec)> {
        let mut examples: Vec<Example> =
            INPUTS.filter_map(|input| Some((input, shown_output(program, input)?))).collect();
        stream.shuffle(&mut examples);
        examples.truncate(2 * SHOWN);
        if examples.len() < SHOWN {
            return None;
        }
        let hidden = examples.split_off(SHOWN);
        examples.sort_unstable();
        let found = self.search(&examples, most, 1).last()?.program();
        let is_identity = examples.iter().all(|(input, output)| input == output);
        (!is_identity && fits(&found, &hidden)).then_some((found, Spec { shown: examples, hidden }))
    }
}

fn run(program: &[Operation], input: i64) -> Option<i64> {
    program.iter().try_fold(input, |value, operation| operation.apply(value))
}

/// The values on the way, the input first, as far as they can be shown.
fn values(program: &[Operation], input: i64) -> Vec<i64> {
    let mut values = vec![input];
    for operation in program {
        match values.last().and_then(|value| operation.apply(*value)).filter(|value| VALUES.contains(value)) {
            Some(value) => values.push(value),
            None => break,
        }
    }
    values
}

/// The output, where every value on the way can be shown.
fn shown_output(program: &[Operation], input: i64) -> Option<i64> {
    let values = values(program, input);
    (values.len() == program.len() + 1).then(|| values[program.len()])
}

fn arrows(values: &[i64]) -> String {
    values.iter().map(i64::to_string).collect::<Vec<_>>().join(">")
}

fn fits(program: &[Operation], examples: &[Example]) -> bool {
    examples.iter().all(|(input, output)| shown_output(program, *input) == Some(*output))
}

/// One attempt of a search: all operations but the last are proposed, the last is read off the first example.
struct Attempt {
    proposed: Vec<Operation>,
    last: Option<Operation>,
}

impl Attempt {
    fn program(&self) -> Vec<Operation> {
        self.proposed.iter().copied().chain(self.last).collect()
    }

    /// The line of the first example, then a check of each other one until one fails.
    fn trace(&self, shown: &[Example], style: Trace) -> String {
        let Some((first, others)) = shown.split_first() else { return String::new() };
        let mut trace = style.proposal(&self.proposed, self.last, *first);
        trace.push(if self.last.is_some() { 'y' } else { 'n' });
        if self.last.is_none() {
            return trace;
        }
        let program = self.program();
        for example in others {
            let is_fit = fits(&program, &[*example]);
            trace.push_str(&style.check(&program, *example));
            trace.push(if is_fit { 'y' } else { 'n' });
            if !is_fit {
                break;
            }
        }
        trace
    }
}

impl Trace {
    /// The line of a proposal, without its mark.
    fn proposal(self, proposed: &[Operation], last: Option<Operation>, (input, output): Example) -> String {
        let last = last.map(Operation::text);
        match self {
            Self::Programs => {
                let reached = last.map_or(String::new(), |last| format!("{last}>{output}"));
                format!("{}:{}{reached}", text(proposed), arrows(&values(proposed, input)))
            }
            Self::Steps => format!("{}>{output}{}", steps(proposed, input), last.unwrap_or_default()),
        }
    }

    /// The line of a check, without its mark.
    fn check(self, program: &[Operation], (input, output): Example) -> String {
        match self {
            Self::Programs => arrows(&values(program, input)),
            Self::Steps if shown_output(program, input).is_none() => steps(program, input),
            Self::Steps => format!("{}={output}", steps(program, input)),
        }
    }
}

/// Every operation between what it is applied to and what it gives; a last one whose result cannot be shown stands bare.
fn steps(program: &[Operation], input: i64) -> String {
    let values = values(program, input);
    let results = values[1..].iter().map(|value| format!(">{value}")).chain([String::new()]);
    let steps: String =
        program.iter().zip(results).map(|(operation, result)| operation.text() + &result).collect();
    format!("{input}{steps}")
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

    /// Whether the train split asks this question.
    fn trains_on(&self, grammar: &Grammar, found: &[Operation], shown: &[Example]) -> bool {
        !self.spares_held_out
            || grammar
                .search(shown, found.len() as u32, usize::MAX)
                .iter()
                .all(|attempt| attempt.last.is_none() || !grammar.is_held_out(&attempt.program()))
    }

    /// Practice in the notation of `Trace::Steps`: two values compared, an operation on any value, or the operation between
    /// two values.
    fn step(&self, grammar: &Grammar, stream: &mut Stream) -> String {
        loop {
            let value = stream.between(*VALUES.start(), *VALUES.end());
            if stream.chance(0.3) {
                let is_same = stream.chance(0.5);
                let other = if is_same { value } else { stream.between(*VALUES.start(), *VALUES.end()) };
                break format!("{value}={other}{}", if value == other { 'y' } else { 'n' });
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

/// What a program makes of every input: the same for every program of one function.
fn outputs(program: &[Operation]) -> Vec<Option<i64>> {
    INPUTS.map(|input| run(program, input)).collect()
}

/// The question whose answer is `program`.
fn problem(program: &[Operation], spec: &Spec) -> Problem {
    let listed: Vec<String> = spec.shown.iter().map(|(input, output)| format!("{input}>{output}")).collect();
    Problem {
        prompt: format!("{}=", listed.join(",")),
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
        // Most programs give examples, and most of those are questions of the train split: the loop ends with probability 1
        // and after two rounds on average.
        let grammar = self.grammar();
        loop {
            let program = grammar.random_program(level, stream);
            let Some((found, spec)) = grammar.examples(&program, level, stream) else { continue };
            let problem = problem(&found, &spec);
            let is_asked = match self.split(&problem) {
                Split::Train => self.trains_on(&grammar, &found, &spec.shown),
                Split::Test => self.test_functions.include(grammar.is_held_out(&found)),
            };
            if is_asked {
                break problem;
            }
        }
    }

    fn split(&self, problem: &Problem) -> Split {
        // The answer is the first program that fits the prompt, so a prompt has one function at every level.
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
            // A subtraction is a symbol already: a negative value.
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
        // Where few outputs can be shown, few are hidden; inputs beyond those of the prompts need not be shown.
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

/// Reads a trace line by line: a line ends with a mark, and is one statement with it.
struct Reader {
    grammar: Grammar,
    style: Trace,
    seen: Behaviours,
    /// The program under test; `None` where the next line proposes one.
    tested: Option<Vec<Operation>>,
}

impl Reader {
    fn new(domain: &ProgramSynthesis) -> Self {
        let (grammar, style) = (domain.grammar(), domain.trace);
        Self { grammar, style, seen: Behaviours::default(), tested: None }
    }

    fn read(mut self, shown: &[Example], thinking: &str) -> Behaviours {
        for line in thinking.split_inclusive(['y', 'n']) {
            let holds = line.ends_with('y');
            let stated = line.trim_end_matches(['y', 'n']);
            let is_marked = stated.len() < line.len();
            let is_true = match self.tested.take() {
                None => self.proposal(shown, stated, is_marked.then_some(holds)),
                Some(program) => {
                    let is_true = self.checks(shown, &program, stated, is_marked.then_some(holds));
                    self.tested = Some(program);
                    is_true
                }
            };
            if is_marked && !holds {
                self.tested = None;
            }
            self.seen.steps += 1;
            self.seen.false_steps += u32::from(!is_true);
            self.seen.verifications += u32::from(is_marked);
            self.seen.backtracks += u32::from(is_marked && !holds);
            self.seen.yeses += u32::from(is_marked && holds);
            self.seen.false_yeses += u32::from(is_marked && holds && !is_true);
        }
        self.seen
    }

    fn proposal(&mut self, shown: &[Example], stated: &str, mark: Option<bool>) -> bool {
        let is_true = shown.first().and_then(|first| match self.style {
            Trace::Programs => self.named(*first, stated, mark),
            Trace::Steps => self.stepped(*first, stated, mark),
        });
        is_true.unwrap_or(false)
    }

    /// Whether `+2:1>3*3>9` is true, or the same without the last operation where no single one leads to the output; `None`
    /// where it cannot be read.
    fn named(&mut self, (input, output): Example, stated: &str, mark: Option<bool>) -> Option<bool> {
        let (proposed, rest) = stated.split_once(':')?;
        let (program, left) = self.grammar.read_operations(proposed);
        let rest = rest.strip_prefix(&arrows(&values(&program, input))).filter(|_| left.is_empty())?;
        let value = shown_output(&program, input)?;
        let (last, rest) = self.grammar.read_operations(rest);
        let [last] = last[..] else {
            let is_hopeless = self.grammar.leading(value, output).next().is_none();
            return Some(rest.is_empty() && mark == Some(false) && is_hopeless);
        };
        let result = rest.strip_prefix('>').and_then(|result| result.parse().ok());
        self.tested = Some(program.into_iter().chain([last]).collect());
        Some(result.is_some() && result == last.apply(value) && mark == Some(result == Some(output)))
    }

    /// Whether `1+2>3>9*3` is true, or the same without the last operation where no single one leads to the output; `None`
    /// where it cannot be read.
    fn stepped(&mut self, (input, output): Example, stated: &str, mark: Option<bool>) -> Option<bool> {
        let mut rest = stated.strip_prefix(&input.to_string())?;
        let (mut program, mut value) = (Vec::new(), input);
        while let Some((operation, after)) = self.grammar.read_operation(rest) {
            value = shown_output(&[operation], value)?;
            rest = after.strip_prefix(&format!(">{value}"))?;
            program.push(operation);
        }
        let last = rest.strip_prefix(&format!(">{output}"))?;
        if last.is_empty() {
            return Some(mark == Some(false) && self.grammar.leading(value, output).next().is_none());
        }
        let (last, rest) = self.grammar.read_operation(last)?;
        self.tested = Some(program.into_iter().chain([last]).collect());
        Some(rest.is_empty() && mark == Some(last.apply(value) == Some(output)))
    }

    /// Whether a line such as `4>6>18` or `4+2>6*3>18=18` runs `program` truly on a shown example and its mark is right.
    fn checks(&self, shown: &[Example], program: &[Operation], stated: &str, mark: Option<bool>) -> bool {
        let input =
            stated.split(|sign: char| !sign.is_ascii_digit()).next().and_then(|input| input.parse().ok());
        shown.iter().find(|(known, _)| Some(*known) == input).is_some_and(|example| {
            stated == self.style.check(program, *example) && mark == Some(fits(program, &[*example]))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::split::{Dataset, DatasetError};

    const SHOWN_EXAMPLES: [Example; 3] = [(1, 9), (4, 18), (6, 24)];

    fn grammar() -> Grammar {
        ProgramSynthesis::default().grammar()
    }

    fn problem() -> Problem {
        Problem {
            prompt: "1>9,4>18,6>24=".to_owned(),
            answer: "+2*3".to_owned(),
            spec: json!({ "shown": SHOWN_EXAMPLES, "hidden": [(2, 12)] }),
        }
    }

    fn score(answer: &str) -> f64 {
        let (problem, completion) = (problem(), format!("<answer>{answer}</answer>"));
        let item = Item { completion: &completion, answer: None, spec: Some(&problem.spec) };
        ProgramSynthesis::default().judge(&item).score
    }

    #[test]
    fn the_search_is_as_described() {
        let domain = ProgramSynthesis { never_gives_up: 1.0, ..ProgramSynthesis::default() };
        let solution =
            domain.solve(&problem(), SolutionKind::Search, &mut Stream::at("test", 0, &[])).unwrap();
        assert_eq!(solution.thinking, ":1n+1:1>2n+2:1>3*3>9y4>6>18y6>8>24y");
        assert_eq!(solution.answer, "+2*3");
        let seen = domain.behaviours(&problem(), &solution.thinking);
        assert_eq!(
            seen,
            Behaviours { verifications: 5, backtracks: 2, steps: 5, yeses: 3, ..Behaviours::default() }
        );
    }

    #[test]
    fn false_lines_are_counted() {
        for (trace, steps, yeses) in [
            (":2n", 1, (0, 0)),
            ("+1:1>3n", 1, (0, 0)),
            ("+2:1>3*3>9n", 1, (0, 0)),
            ("+2:1>3*3>9y4>6>18n", 2, (1, 0)),
            ("+2:1>3*3>9y4>7>18y", 2, (2, 1)),
            ("+2:1>3n", 1, (0, 0)),
            ("gibberish", 1, (0, 0)),
            ("gibberishy", 1, (1, 1)),
        ] {
            let seen = ProgramSynthesis::default().behaviours(&problem(), trace);
            assert_eq!((seen.steps, seen.false_steps), (steps, 1), "{trace}");
            assert_eq!((seen.yeses, seen.false_yeses), yeses, "{trace}");
        }
    }

    fn in_steps() -> ProgramSynthesis {
        ProgramSynthesis {
            never_gives_up: 1.0,
            trace: Trace::Steps,
            spares_held_out: true,
            ..ProgramSynthesis::default()
        }
    }

    #[test]
    fn steps_show_every_operation_beside_its_operand() {
        let mut stream = Stream::at("test", 0, &[]);
        let solution = in_steps().solve(&problem(), SolutionKind::Search, &mut stream).unwrap();
        let expected = "1>9n1+1>2>9n1+2>3>9*3y4+2>6*3>18=18y6+2>8*3>24=24y";
        assert_eq!((solution.thinking.as_str(), solution.answer.as_str()), (expected, "+2*3"));
        let seen = in_steps().behaviours(&problem(), expected);
        let truth =
            Behaviours { verifications: 5, backtracks: 2, steps: 5, yeses: 3, ..Behaviours::default() };
        assert_eq!(seen, truth);
        // With a larger grammar there is more to try, and `9*9` is past what can be shown.
        let attempt = Attempt { proposed: vec![Add(3)], last: Some(Square) };
        let trace = attempt.trace(&[(1, 16), (6, 18)], Trace::Steps);
        assert_eq!(trace, "1+3>4>16sy6+3>9sn");
        assert_eq!(in_steps().behaviours(&problem(), "1+3>4>9n").false_steps, 0);
        let wider = ProgramSynthesis { largest: 5, ..in_steps() };
        assert_eq!(wider.behaviours(&problem(), "1+3>4>9n").false_steps, 1);
    }

    #[test]
    fn false_steps_are_counted() {
        for (trace, steps, yeses) in [
            ("1>8n", 1, (0, 0)),
            ("1+1>3>9n", 1, (0, 0)),
            ("1+2>3>9n", 1, (0, 0)),
            ("1+2>3>9*2y", 1, (1, 1)),
            ("1+2>3>9*3n", 1, (0, 0)),
            ("1+2>3>9*3y4+2>6*3>18=18n", 2, (1, 0)),
            ("1+2>3>9*3y4+2>6*3>18=17y", 2, (2, 1)),
            ("1+2>3>9*3y4+2>7*3>21=18n", 2, (1, 0)),
            ("1+2>3>9*3y4*3>12*3>36=18n", 2, (1, 0)),
            ("1+2>3>9*3y5+2>7*3>21=21y", 2, (2, 1)),
            ("+2:1>3*3>9y", 1, (1, 1)),
            ("gibberish", 1, (0, 0)),
        ] {
            let seen = in_steps().behaviours(&problem(), trace);
            assert_eq!((seen.steps, seen.false_steps), (steps, 1), "{trace}");
            assert_eq!((seen.yeses, seen.false_yeses), yeses, "{trace}");
        }
    }

    #[test]
    fn spared_functions_appear_in_no_trace_of_training() {
        for largest in [4, 6, 9] {
            let domain = ProgramSynthesis { largest, ..in_steps() };
            let grammar = domain.grammar();
            let dataset = Dataset::new(&ROW, &domain, 2, 1).unwrap();
            for index in 0..200 {
                let problem = dataset.task(Split::Train, index).unwrap().problem;
                let shown = Spec::deserialize(&problem.spec).unwrap().shown;
                let most = grammar.read_program(&problem.answer).unwrap().len() as u32;
                for attempt in grammar.search(&shown, most, usize::MAX) {
                    let is_tested = attempt.last.is_some() && grammar.is_held_out(&attempt.program());
                    assert!(!is_tested, "{} {}", problem.prompt, text(&attempt.program()));
                }
                for step in domain.drill(&mut Stream::at("test", index, &[]), 2).unwrap().split(';') {
                    // A comparison has no operation, every other item one, and no single operation is held out.
                    assert_eq!(step.matches('>').count(), usize::from(!step.contains('=')), "{step}");
                }
            }
        }
    }

    #[test]
    fn constants_are_one_digit() {
        let build = |largest: i64| (ROW.build)(&json!({ "largest": largest }));
        assert!(build(0).is_err() && build(10).is_err());
        for (largest, factor) in [(1, 1), (4, 3), (9, 5)] {
            let domain = build(largest).unwrap();
            let score = |answer: String| {
                let spec = json!({ "shown": [(1, 1), (2, 2), (3, 3)], "hidden": [] });
                let completion = format!("<answer>{answer}</answer>");
                domain.judge(&Item { completion: &completion, answer: None, spec: Some(&spec) }).score
            };
            assert_eq!(score(format!("+{largest}-{largest}")), 1.0);
            assert_eq!(score(format!("+{0}-{0}", largest + 1)), 0.0);
            assert_eq!(score(format!("*{}-1+1", factor + 1)), 0.0);
        }
    }

    #[test]
    fn every_program_of_the_same_function_is_right() {
        for answer in ["+2*3", "*3+2+4", "+1+1*3", "~-2*3~"] {
            assert_eq!(score(answer), 1.0, "{answer}");
        }
        for answer in [
            "",
            "*3",
            "+2*3 or *3",
            "+2,*3",
            "x",
            "+5",
            "+2*30",
            "+02*3",
            "ssssssssssssssss",
            "1>9,4>18,6>24=",
        ] {
            assert_eq!(score(answer), 0.0, "{answer}");
        }
    }

    #[test]
    fn a_function_that_fits_only_what_is_shown_is_wrong() {
        let spec = json!({ "shown": [(1, 2), (2, 4), (3, 6)], "hidden": [(4, 16)] });
        let item = Item { completion: "<answer>*2</answer>", answer: None, spec: Some(&spec) };
        assert_eq!(ProgramSynthesis::default().judge(&item).score, 0.0);
    }

    /// The answers to the first questions of a split.
    fn answers(test_functions: Functions, level: u32, split: Split) -> BTreeSet<String> {
        let domain = ProgramSynthesis { test_functions, ..ProgramSynthesis::default() };
        let dataset = Dataset::new(&ROW, &domain, level, 0).unwrap();
        (0..300).map(|index| dataset.task(split, index).unwrap().problem.answer).collect()
    }

    #[test]
    fn held_out_functions_are_never_trained_on_at_any_level() {
        let held_out: Vec<BTreeSet<String>> =
            (2..=3).map(|level| answers(Functions::HeldOut, level, Split::Test)).collect();
        assert!(held_out[0].len() >= 5 && held_out[1].len() > held_out[0].len(), "{held_out:?}");
        for functions in [Functions::Any, Functions::Known, Functions::HeldOut] {
            let lowest = if functions == Functions::HeldOut { 2 } else { 1 };
            for level in lowest..=3 {
                let trained = answers(functions, level, Split::Train);
                assert!(held_out.iter().all(|held_out| held_out.is_disjoint(&trained)), "{level}");
            }
        }
        assert!(answers(Functions::Known, 2, Split::Test).is_disjoint(&held_out[0]));
        assert!(!answers(Functions::Any, 2, Split::Test).is_disjoint(&held_out[0]));
        let held_out = ProgramSynthesis { test_functions: Functions::HeldOut, ..ProgramSynthesis::default() };
        assert!(matches!(Dataset::new(&ROW, &held_out, 1, 0), Err(DatasetError::Refused { .. })));
        assert!((ROW.build)(&json!({ "test_functions": "held_out" })).is_ok());
        assert!((ROW.build)(&json!({ "test_functions": "hidden" })).is_err());
        // Two programs of one function are one function.
        let of = |text: &str| outputs(&grammar().read_program(text).unwrap());
        for (one, other) in [("+1+2", "+3"), ("+2*3", "*3+2+4"), ("~s", "s"), ("+1+3", "+4")] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn training_texts_neither_drill_nor_guess_held_out_functions() {
        let domain = ProgramSynthesis::default();
        let dataset = Dataset::new(&ROW, &domain, 2, 1).unwrap();
        for index in 0..300 {
            let mut stream = Stream::at("test", index, &[]);
            for run in domain.drill(&mut stream, 2).unwrap().split(';') {
                assert!(
                    !grammar().is_held_out(&grammar().read_program(run.split_once(':').unwrap().0).unwrap()),
                    "{run}"
                );
            }
            let problem = dataset.task(Split::Train, index).unwrap().problem;
            for kind in [SolutionKind::Direct, SolutionKind::Search] {
                let answer = domain.solve(&problem, kind, &mut stream).unwrap().answer;
                assert!(!grammar().is_held_out(&grammar().read_program(&answer).unwrap()), "{answer}");
            }
        }
    }

    #[test]
    fn an_answer_becomes_python_with_three_shown_and_three_hidden_tests() {
        let domain = ProgramSynthesis::default();
        let source = "def f(x):\n    x = x + 2\n    x = x * 3\n    x = x * x\n    x = -x\n    return x\n";
        assert_eq!(domain.python("+2*3s~").as_deref(), Some(source));
        assert_eq!(domain.python("x"), None);
        for seed in 0..300 {
            let problem = domain.pose(&mut Stream::at("test", seed, &[]), 1 + seed as u32 % 3);
            let program = grammar().read_program(&problem.answer).unwrap();
            let tests = domain.tests(&problem).unwrap();
            let tests = tests["tests"].as_array().unwrap();
            assert_eq!(
                tests.iter().filter(|test| test["public"] == true).count(),
                SHOWN,
                "{}",
                problem.prompt
            );
            assert_eq!(tests.len(), 2 * SHOWN, "{}", problem.prompt);
            let inputs: std::collections::BTreeSet<i64> =
                tests.iter().map(|test| test["args"][0].as_i64().unwrap()).collect();
            assert_eq!(inputs.len(), tests.len(), "an input is tested once");
            for test in tests {
                assert_eq!(run(&program, test["args"][0].as_i64().unwrap()), test["expect"].as_i64());
            }
        }
    }

    #[test]
    fn searched_programs_are_right_for_every_level() {
        let plain = ProgramSynthesis { never_gives_up: 1.0, ..ProgramSynthesis::default() };
        for seed in 0..300 {
            let domain = if seed % 2 == 0 { plain } else { in_steps() };
            let mut stream = Stream::at("test", seed, &[]);
            let problem = domain.pose(&mut stream, 1 + seed as u32 % 3);
            let solution = domain.solve(&problem, SolutionKind::Search, &mut stream).unwrap();
            let seen = domain.behaviours(&problem, &solution.thinking);
            assert_eq!(seen.false_steps, 0, "{} {}", problem.prompt, solution.thinking);
        }
    }
}
