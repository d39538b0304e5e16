//! Writes and reads the traces of searches.

use serde::Deserialize;

use super::ProgramSynthesis;
use super::grammar::{Example, Grammar, Operation, fits, shown_output, text, values};
use crate::Behaviours;

/// How a search is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// The proposal, then its values: `+2:1>3*3>9y4>6>18y`.
    #[default]
    Programs,
    /// Every operation next to its operand, and every expected output next to the value it is compared with:
    /// `1+2>3>9*3y4+2>6*3>18=18y`. Each symbol depends on few others near it, and an operation is one symbol.
    Steps,
}

/// An attempt of a search: it proposes all operations except the last, which it takes from the first example.
pub(super) struct Attempt {
    pub(super) proposed: Vec<Operation>,
    pub(super) last: Option<Operation>,
}

impl Attempt {
    pub(super) fn program(&self) -> Vec<Operation> {
        self.proposed.iter().copied().chain(self.last).collect()
    }

    /// The line for the first example, then a check of each other example until one fails.
    pub(super) fn trace(&self, shown: &[Example], style: Trace) -> String {
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
    pub(super) fn check(self, program: &[Operation], (input, output): Example) -> String {
        match self {
            Self::Programs => arrows(&values(program, input)),
            Self::Steps if shown_output(program, input).is_none() => steps(program, input),
            Self::Steps => format!("{}={output}", steps(program, input)),
        }
    }
}

/// Each operation between its operand and its result. If the result of the last operation cannot be shown, it is left
/// out.
pub(super) fn steps(program: &[Operation], input: i64) -> String {
    let values = values(program, input);
    let results = values[1..].iter().map(|value| format!(">{value}")).chain([String::new()]);
    let steps: String =
        program.iter().zip(results).map(|(operation, result)| operation.text() + &result).collect();
    format!("{input}{steps}")
}

pub(super) fn arrows(values: &[i64]) -> String {
    values.iter().map(i64::to_string).collect::<Vec<_>>().join(">")
}

/// Reads a trace line by line. A line ends with a mark and counts as one statement.
pub(super) struct Reader {
    grammar: Grammar,
    style: Trace,
    seen: Behaviours,
    /// The program under test, or `None` if the next line proposes one.
    tested: Option<Vec<Operation>>,
}

impl Reader {
    pub(super) fn new(domain: &ProgramSynthesis) -> Self {
        let (grammar, style) = (domain.grammar(), domain.trace);
        Self { grammar, style, seen: Behaviours::default(), tested: None }
    }

    pub(super) fn read(mut self, shown: &[Example], thinking: &str) -> Behaviours {
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

    /// Whether `+2:1>3*3>9` is true. Without the last operation, it is true if no single operation leads to the output.
    /// `None` if it cannot be read.
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

    /// Whether `1+2>3>9*3` is true. Without the last operation, it is true if no single operation leads to the output.
    /// `None` if it cannot be read.
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

    /// Whether a line such as `4>6>18` or `4+2>6*3>18=18` runs `program` correctly on a shown example and has the right
    /// mark.
    fn checks(&self, shown: &[Example], program: &[Operation], stated: &str, mark: Option<bool>) -> bool {
        let input =
            stated.split(|sign: char| !sign.is_ascii_digit()).next().and_then(|input| input.parse().ok());
        shown.iter().find(|(known, _)| Some(*known) == input).is_some_and(|example| {
            stated == self.style.check(program, *example) && mark == Some(fits(program, &[*example]))
        })
    }
}
