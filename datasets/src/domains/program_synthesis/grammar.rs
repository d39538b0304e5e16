//! The operations that programs consist of, and how programs run.

use std::ops::RangeInclusive;

use super::trace::Attempt;
use super::{SHOWN, Spec};
use crate::seed::Stream;
use crate::split::Split;

/// An input and its output.
pub(super) type Example = (i64, i64);

/// The range of all values that can be shown. Each is one symbol.
pub(super) const VALUES: RangeInclusive<i64> = -20..=80;
/// The inputs of examples.
pub(super) const INPUTS: RangeInclusive<i64> = 1..=9;
/// Longer answers are not read as a program.
pub(super) const MAX_OPERATIONS: usize = 16;

/// One operation on a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add(i64),
    Subtract(i64),
    Multiply(i64),
    Square,
    Negate,
}

use self::Operation::{Add, Multiply, Negate, Square, Subtract};

/// The operations that programs consist of.
#[derive(Clone, Debug)]
pub(super) struct Grammar {
    /// The operations, in the order in which a search tries them.
    pub(super) operations: Vec<Operation>,
}

impl Operation {
    pub(super) fn apply(self, value: i64) -> Option<i64> {
        match self {
            Add(number) => value.checked_add(number),
            Subtract(number) => value.checked_sub(number),
            Multiply(number) => value.checked_mul(number),
            Square => value.checked_mul(value),
            Negate => value.checked_neg(),
        }
    }

    pub(super) fn text(self) -> String {
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
    /// The operation on `x` as Python source.
    pub(super) fn python(self) -> String {
        match self {
            Add(number) => format!("x + {number}"),
            Subtract(number) => format!("x - {number}"),
            Multiply(number) => format!("x * {number}"),
            Square => "x * x".to_owned(),
            Negate => "-x".to_owned(),
        }
    }
}

pub(super) fn text(program: &[Operation]) -> String {
    program.iter().map(|operation| operation.text()).collect()
}

impl Grammar {
    pub(super) fn new(largest: i64) -> Self {
        let operations = (1..=largest)
            .map(Add)
            .chain((1..=largest).map(Subtract))
            .chain((2..=largest / 2 + 1).map(Multiply))
            .chain([Square, Negate])
            .collect();
        Self { operations }
    }

    /// Reads the operation at the start of `source`. Returns it with the rest.
    pub(super) fn read_operation<'a>(&self, source: &'a str) -> Option<(Operation, &'a str)> {
        self.operations
            .iter()
            .find_map(|operation| Some((*operation, source.strip_prefix(&operation.text())?)))
    }

    /// Reads the operations at the start of `source`. Returns them with the rest.
    pub(super) fn read_operations<'a>(&self, mut source: &'a str) -> (Vec<Operation>, &'a str) {
        let mut program = Vec::new();
        while let Some((operation, rest)) = self.read_operation(source) {
            program.push(operation);
            source = rest;
        }
        (program, source)
    }

    /// Reads a whole program of this grammar, with at least one operation.
    pub(super) fn read_program(&self, source: &str) -> Option<Vec<Operation>> {
        if source.len() > 2 * MAX_OPERATIONS {
            return None;
        }
        let (program, rest) = self.read_operations(source);
        (rest.is_empty() && (1..=MAX_OPERATIONS).contains(&program.len())).then_some(program)
    }

    /// The operations that turn `value` into `output`.
    pub(super) fn leading(&self, value: i64, output: i64) -> impl Iterator<Item = Operation> {
        self.operations.iter().copied().filter(move |operation| operation.apply(value) == Some(output))
    }

    /// Every proposal of `length` operations, in a fixed order.
    fn proposals(&self, length: u32) -> impl Iterator<Item = Vec<Operation>> {
        let base = self.operations.len();
        (0..base.pow(length)).map(move |code| {
            (0..length).rev().map(|place| self.operations[code / base.pow(place) % base]).collect()
        })
    }

    /// The attempts in order up to the first program that fits every shown example, but at most the last `window` of
    /// them. Empty if no program of up to `most` operations fits.
    pub(super) fn search(&self, shown: &[Example], most: u32, window: usize) -> Vec<Attempt> {
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

    /// A random program with 1 to `most` operations.
    pub(super) fn random_program(&self, most: u32, stream: &mut Stream) -> Vec<Operation> {
        let length = stream.between(1, most.into());
        (0..length).map(|_| *stream.pick(&self.operations)).collect()
    }

    /// A random program whose function is not held out.
    pub(super) fn known_program(&self, most: u32, stream: &mut Stream) -> Vec<Operation> {
        // Seven of eight functions are known.
        loop {
            let program = self.random_program(most, stream);
            if !self.is_held_out(&program) {
                break program;
            }
        }
    }

    /// A program with one more operation, so that its function is not held out. If that is not possible, any operation
    /// is added.
    pub(super) fn completed(&self, proposed: &[Operation], stream: &mut Stream) -> Vec<Operation> {
        let with = |last: &Operation| proposed.iter().chain([last]).copied().collect::<Vec<Operation>>();
        let all: Vec<Vec<Operation>> = self.operations.iter().map(with).collect();
        let known: Vec<Vec<Operation>> =
            all.iter().filter(|program| !self.is_held_out(program)).cloned().collect();
        let choices = if known.is_empty() { all } else { known };
        stream.pick(&choices).clone()
    }

    /// Whether a program's function is held out, for every program of that function. One in eight of the functions that
    /// no single operation computes is held out.
    pub(super) fn is_held_out(&self, program: &[Operation]) -> bool {
        let outputs = outputs(program);
        Split::of(&format!("function {outputs:?}")) == Split::Test
            && self.operations.iter().all(|operation| self::outputs(&[*operation]) != outputs)
    }

    /// Shown and hidden examples of `program`. `None` if too few can be shown, if doing nothing also explains them, or
    /// if a search first finds a program with another function.
    pub(super) fn examples(
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

pub(super) fn run(program: &[Operation], input: i64) -> Option<i64> {
    program.iter().try_fold(input, |value, operation| operation.apply(value))
}

/// The input and the intermediate values, up to the first that cannot be shown.
pub(super) fn values(program: &[Operation], input: i64) -> Vec<i64> {
    let mut values = vec![input];
    for operation in program {
        match values.last().and_then(|value| operation.apply(*value)).filter(|value| VALUES.contains(value)) {
            Some(value) => values.push(value),
            None => break,
        }
    }
    values
}

/// The output, if every intermediate value can be shown.
pub(super) fn shown_output(program: &[Operation], input: i64) -> Option<i64> {
    let values = values(program, input);
    (values.len() == program.len() + 1).then(|| values[program.len()])
}

pub(super) fn fits(program: &[Operation], examples: &[Example]) -> bool {
    examples.iter().all(|(input, output)| shown_output(program, *input) == Some(*output))
}

/// The outputs of a program for every input. They are equal for all programs of one function.
pub(super) fn outputs(program: &[Operation]) -> Vec<Option<i64>> {
    INPUTS.map(|input| run(program, input)).collect()
}
