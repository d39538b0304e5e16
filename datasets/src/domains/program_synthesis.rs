//! Program synthesis: a function of a few small operations from three examples. The level is the most operations.
//!
//! Some functions of two operations and more are held out: every question about them is in the test split, and they are not drilled or guessed in
//! training either. Questions about the other functions are told apart by their prompts.

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
    fn include(self, program: &[Operation]) -> bool {
        match self {
            Self::Any => true,
            Self::Known => !is_held_out(program),
            Self::HeldOut => is_held_out(program),
        }
    }
}

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramSynthesis {
    /// Which functions the test split asks about.
    pub test_functions: Functions,
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
            test_functions: Functions::Any,
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

/// Every operation, in the order in which a search tries them.
const OPERATIONS: [Operation; 12] = [
    Add(1),
    Add(2),
    Add(3),
    Add(4),
    Subtract(1),
    Subtract(2),
    Subtract(3),
    Subtract(4),
    Multiply(2),
    Multiply(3),
    Square,
    Negate,
];

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

/// Reads the operations at the start of `source`; what follows them is left over.
fn read_operations(mut source: &str) -> (Vec<Operation>, &str) {
    let mut program = Vec::new();
    while let Some(operation) = OPERATIONS.into_iter().find(|operation| source.starts_with(&operation.text()))
    {
        source = &source[operation.text().len()..];
        program.push(operation);
    }
    (program, source)
}

/// Reads a whole program of the grammar: one operation at least.
fn read_program(source: &str) -> Option<Vec<Operation>> {
    if source.len() > 2 * MAX_OPERATIONS {
        return None;
    }
    let (program, rest) = read_operations(source);
    (rest.is_empty() && (1..=MAX_OPERATIONS).contains(&program.len())).then_some(program)
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
    fn trace(&self, shown: &[Example]) -> String {
        let Some(((input, output), others)) = shown.split_first() else { return String::new() };
        let head = format!("{}:{}", text(&self.proposed), arrows(&values(&self.proposed, *input)));
        let Some(last) = self.last else { return head + "n" };
        let mut trace = format!("{head}{}>{output}y", last.text());
        let program = self.program();
        for (input, output) in others {
            trace.push_str(&arrows(&values(&program, *input)));
            if shown_output(&program, *input) != Some(*output) {
                trace.push('n');
                break;
            }
            trace.push('y');
        }
        trace
    }
}

/// Every proposal of `length` operations in fixed order.
fn proposals(length: u32) -> impl Iterator<Item = Vec<Operation>> {
    let base = OPERATIONS.len();
    (0..base.pow(length))
        .map(move |code| (0..length).rev().map(|place| OPERATIONS[code / base.pow(place) % base]).collect())
}

/// The attempts in order up to the first program that fits every shown example, but at most the last `window`; empty
/// where none of up to `most` operations fits.
fn search(shown: &[Example], most: u32, window: usize) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let Some((input, output)) = shown.first() else { return attempts };
    for proposed in (0..most).flat_map(proposals) {
        let Some(value) = shown_output(&proposed, *input) else { continue };
        let completions: Vec<Operation> =
            OPERATIONS.into_iter().filter(|last| last.apply(value) == Some(*output)).collect();
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

impl ProgramSynthesis {
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
        if self.max_attempts == 0 {
            return Err("max_attempts = 0: give at least 1".to_owned());
        }
        Ok(())
    }

    fn searched(&self, problem: &Problem, spec: &Spec, stream: &mut Stream) -> Option<Solution> {
        let most = read_program(&problem.answer)?.len() as u32;
        let attempts = search(&spec.shown, most, self.max_attempts);
        let failing = attempts.len().checked_sub(1)?;
        let never = stream.chance(self.never_gives_up);
        let shown = (0..failing).find(|_| !never && stream.chance(self.gives_up)).unwrap_or(failing);
        let attempt = &attempts[shown];
        let is_fit_to_guess = attempt.last.is_some() && !is_held_out(&attempt.program());
        let answer = if shown == failing || is_fit_to_guess {
            attempt.program()
        } else {
            completed(&attempt.proposed, stream)
        };
        Some(Solution {
            thinking: attempts[..=shown].iter().map(|attempt| attempt.trace(&spec.shown)).collect(),
            answer: text(&answer),
            is_guess: shown < failing,
        })
    }
}

/// A random program of 1 to `most` operations.
fn random_program(most: u32, stream: &mut Stream) -> Vec<Operation> {
    let length = stream.between(1, most.into());
    (0..length).map(|_| *stream.pick(&OPERATIONS)).collect()
}

/// A random program whose function is not held out.
fn known_program(most: u32, stream: &mut Stream) -> Vec<Operation> {
    // Seven functions in eight are known.
    loop {
        let program = random_program(most, stream);
        if !is_held_out(&program) {
            break program;
        }
    }
}

/// A program and one more operation, such that its function is not held out; any operation where there is none.
fn completed(proposed: &[Operation], stream: &mut Stream) -> Vec<Operation> {
    let with = |last: Operation| proposed.iter().copied().chain([last]).collect::<Vec<Operation>>();
    let all: Vec<Vec<Operation>> = OPERATIONS.into_iter().map(with).collect();
    let known: Vec<Vec<Operation>> = all.iter().filter(|program| !is_held_out(program)).cloned().collect();
    let choices = if known.is_empty() { all } else { known };
    stream.pick(&choices).clone()
}

/// Whether a program's function is held out, whichever program computes it: one in eight of those that no single
/// operation computes.
fn is_held_out(program: &[Operation]) -> bool {
    let outputs = outputs(program);
    let is_composed = OPERATIONS.iter().all(|operation| self::outputs(&[*operation]) != outputs);
    is_composed && Split::of(&format!("function {outputs:?}")) == Split::Test
}

/// What a program makes of every input: the same for every program of one function.
fn outputs(program: &[Operation]) -> Vec<Option<i64>> {
    INPUTS.map(|input| run(program, input)).collect()
}

/// Examples of `program`, shown and hidden; `None` where too few can be shown, or where they are as well explained by
/// doing nothing, or the first program that a search finds is another function.
fn examples(program: &[Operation], most: u32, stream: &mut Stream) -> Option<(Vec<Operation>, Spec)> {
    let mut examples: Vec<Example> =
        INPUTS.filter_map(|input| Some((input, shown_output(program, input)?))).collect();
    stream.shuffle(&mut examples);
    examples.truncate(2 * SHOWN);
    if examples.len() < SHOWN {
        return None;
    }
    let hidden = examples.split_off(SHOWN);
    examples.sort_unstable();
    let found = search(&examples, most, 1).last()?.program();
    let is_identity = examples.iter().all(|(input, output)| input == output);
    (!is_identity && fits(&found, &hidden)).then_some((found, Spec { shown: examples, hidden }))
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
        loop {
            let program = random_program(level, stream);
            let Some((found, spec)) = examples(&program, level, stream) else { continue };
            let problem = problem(&found, &spec);
            if self.split(&problem) == Split::Train || self.test_functions.include(&found) {
                break problem;
            }
        }
    }

    fn split(&self, problem: &Problem) -> Split {
        // The answer is the first program that fits the prompt, so a prompt has one function at every level.
        if read_program(&problem.answer).is_some_and(|program| is_held_out(&program)) {
            Split::Test
        } else {
            Split::of(&problem.prompt)
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| {
            if spec.shown.is_empty() {
                return Check::Broken("the item shows no example");
            }
            let Some(program) = read_program(found) else {
                return Check::Unreadable("not a program of +1..4 -1..4 *2 *3 s ~");
            };
            let mut examples = spec.shown.iter().chain(&spec.hidden);
            Check::of(examples.all(|(input, output)| run(&program, *input) == Some(*output)))
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        let program = read_program(&problem.answer)?;
        match kind {
            SolutionKind::Direct => {
                let is_lucky = stream.chance(self.lucky_guess);
                let guess = if is_lucky { program } else { known_program(program.len() as u32, stream) };
                Some(Solution { thinking: String::new(), answer: text(&guess), is_guess: true })
            }
            SolutionKind::Long => {
                let (last, proposed) = program.split_last()?;
                let attempt = Attempt { proposed: proposed.to_vec(), last: Some(*last) };
                Some(Solution::sure(attempt.trace(&spec.shown), &problem.answer))
            }
            SolutionKind::Search => self.searched(problem, &spec, stream),
            SolutionKind::Flawed => None,
        }
    }

    fn alphabet(&self) -> Vec<String> {
        let mut symbols: Vec<String> = VALUES.map(|value| value.to_string()).collect();
        symbols.extend(characters("+*s~>,=:ny;"));
        symbols
    }

    fn tests(&self, problem: &Problem) -> Option<Value> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        let program = read_program(&problem.answer)?;
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
        let steps: String =
            read_program(answer)?.iter().map(|step| format!("    x = {}\n", step.python())).collect();
        Some(format!("def {ENTRY}(x):\n{steps}    return x\n"))
    }

    fn drill(&self, stream: &mut Stream, level: u32) -> Option<String> {
        let mut runs = Vec::with_capacity(DRILL);
        while runs.len() < DRILL {
            let program = known_program(level, stream);
            let input = stream.between(*INPUTS.start(), *INPUTS.end());
            if shown_output(&program, input).is_some() {
                runs.push(format!("{}:{}", text(&program), arrows(&values(&program, input))));
            }
        }
        Some(runs.join(";"))
    }

    fn behaviours(&self, problem: &Problem, thinking: &str) -> Behaviours {
        match Spec::deserialize(&problem.spec) {
            Ok(spec) => Reader::default().read(&spec.shown, thinking),
            Err(_) => Behaviours::default(),
        }
    }
}

/// Reads a trace line by line: a line ends with a mark, and is one statement with it.
#[derive(Default)]
struct Reader {
    seen: Behaviours,
    /// The program under test; `None` where the next line proposes one.
    tested: Option<Vec<Operation>>,
}

impl Reader {
    fn read(mut self, shown: &[Example], thinking: &str) -> Behaviours {
        for line in thinking.split_inclusive(['y', 'n']) {
            let holds = line.ends_with('y');
            let stated = line.trim_end_matches(['y', 'n']);
            let is_marked = stated.len() < line.len();
            let is_true = match self.tested.take() {
                None => self.proposal(shown, stated, is_marked.then_some(holds)),
                Some(program) => {
                    let is_true = checks(shown, &program, stated, is_marked.then_some(holds));
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

    /// `+2:1>3*3>9`, or without the last operation where no single one leads to the output.
    fn proposal(&mut self, shown: &[Example], stated: &str, mark: Option<bool>) -> bool {
        let (Some((proposed, rest)), Some((input, output))) = (stated.split_once(':'), shown.first()) else {
            return false;
        };
        let (program, left) = read_operations(proposed);
        let Some(rest) = rest.strip_prefix(&arrows(&values(&program, *input))).filter(|_| left.is_empty())
        else {
            return false;
        };
        let Some(value) = shown_output(&program, *input) else { return false };
        let (last, rest) = read_operations(rest);
        let [last] = last[..] else {
            let is_hopeless = !OPERATIONS.iter().any(|last| last.apply(value) == Some(*output));
            return rest.is_empty() && mark == Some(false) && is_hopeless;
        };
        let result = rest.strip_prefix('>').and_then(|result| result.parse().ok());
        self.tested = Some(program.into_iter().chain([last]).collect());
        result.is_some() && result == last.apply(value) && mark == Some(result == Some(*output))
    }
}

/// Whether a line such as `4>6>18` runs `program` truly on a shown example and its mark is right.
fn checks(shown: &[Example], program: &[Operation], stated: &str, mark: Option<bool>) -> bool {
    let input = stated.split('>').next().and_then(|input| input.parse().ok());
    shown.iter().find(|(known, _)| Some(*known) == input).is_some_and(|(input, output)| {
        stated == arrows(&values(program, *input))
            && mark == Some(shown_output(program, *input) == Some(*output))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::split::{Dataset, DatasetError};

    const SHOWN_EXAMPLES: [Example; 3] = [(1, 9), (4, 18), (6, 24)];

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
        let of = |text: &str| outputs(&read_program(text).unwrap());
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
                assert!(!is_held_out(&read_program(run.split_once(':').unwrap().0).unwrap()), "{run}");
            }
            let problem = dataset.task(Split::Train, index).unwrap().problem;
            for kind in [SolutionKind::Direct, SolutionKind::Search] {
                let answer = domain.solve(&problem, kind, &mut stream).unwrap().answer;
                assert!(!is_held_out(&read_program(&answer).unwrap()), "{answer}");
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
            let program = read_program(&problem.answer).unwrap();
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
        let domain = ProgramSynthesis { never_gives_up: 1.0, ..ProgramSynthesis::default() };
        for seed in 0..300 {
            let mut stream = Stream::at("test", seed, &[]);
            let problem = domain.pose(&mut stream, 1 + seed as u32 % 3);
            let solution = domain.solve(&problem, SolutionKind::Search, &mut stream).unwrap();
            let seen = domain.behaviours(&problem, &solution.thinking);
            assert_eq!(seen.false_steps, 0, "{} {}", problem.prompt, solution.thinking);
        }
    }
}
