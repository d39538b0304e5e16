//! Expressions with brackets. The level is the count of numbers in the expression.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build_checked, characters};
use crate::expression::{Syntax, evaluate};
use crate::judging::judge_number;
use crate::seed::Stream;
use crate::trace::{self, equations};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "basic_arithmetic",
    about: "an expression of + - * / and brackets with a whole value; level = numbers",
    answers: "whole number",
    build: |value| build_checked::<BasicArithmetic>("basic_arithmetic", value, BasicArithmetic::check),
};

/// The domain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicArithmetic {
    /// The numbers in an expression are from 1 to this.
    pub max_number: i64,
    /// The maximum magnitude of every part of an expression.
    pub max_value: i64,
}

impl Default for BasicArithmetic {
    fn default() -> Self {
        Self { max_number: 9, max_value: 999 }
    }
}

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    expression: String,
}

/// An expression with its value and how strongly it binds: 1 for a sum, 2 for a product, 3 for a number.
struct Grown {
    text: String,
    value: i64,
    binding: u8,
}

impl Grown {
    fn bracketed(self, is_needed: bool) -> String {
        if is_needed { format!("({})", self.text) } else { self.text }
    }
}

impl BasicArithmetic {
    fn check(&self) -> Result<(), String> {
        let is_sound =
            (2..=999).contains(&self.max_number) && (self.max_number..=999_999).contains(&self.max_value);
        is_sound.then_some(()).ok_or_else(|| {
            format!(
                "max_number = {}, max_value = {}: give max_number from 2 to 999 and max_value from max_number to 999999",
                self.max_number, self.max_value
            )
        })
    }

    fn grow(&self, stream: &mut Stream, count: u32) -> Grown {
        if count <= 1 {
            let value = stream.between(1, self.max_number);
            return Grown { text: value.to_string(), value, binding: 3 };
        }
        let left_count = stream.between(1, i64::from(count) - 1) as u32;
        let left = self.grow(stream, left_count);
        let right = self.grow(stream, count - left_count);
        let (a, b) = (left.value, right.value);
        let mut choices = vec![('+', a + b, 1), ('-', a - b, 1), ('*', a * b, 2)];
        if b != 0 && a % b == 0 {
            choices.push(('/', a / b, 2));
        }
        // Either the sum or the difference is not larger than the parts, so at least one choice remains.
        choices.retain(|(_, value, _)| value.abs() <= self.max_value);
        let (operation, value, binding) = *stream.pick(&choices);
        let left_needs = left.binding < binding;
        let right_needs = right.binding <= binding;
        let text = format!("{}{operation}{}", left.bracketed(left_needs), right.bracketed(right_needs));
        Grown { text, value, binding }
    }
}

impl Domain for BasicArithmetic {
    fn levels(&self) -> RangeInclusive<u32> {
        2..=10
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let grown = self.grow(stream, level);
        Problem {
            prompt: format!("{}=", grown.text),
            answer: grown.value.to_string(),
            spec: json!({ "expression": grown.text }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge_number(item, |spec: &Spec| evaluate(&spec.expression, Syntax::TRACE)?.value)
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        let steps = evaluate(&spec.expression, Syntax::TRACE)?.steps;
        trace::solve(&equations(&steps), problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789+-*/()=,!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_does_not_answer_itself() {
        let spec = json!({ "expression": "6/3" });
        let score = |answer: &str| {
            let completion = format!("<answer>{answer}</answer>");
            BasicArithmetic::default()
                .judge(&Item { completion: &completion, answer: None, spec: Some(&spec) })
                .score
        };
        for (answer, right) in
            [("2", 1.0), ("2.0", 1.0), ("+2", 1.0), ("6/3", 0.0), ("2/1", 0.0), ("-2", 0.0)]
        {
            assert_eq!(score(answer), right, "{answer}");
        }
    }

    #[test]
    fn the_text_has_the_value_it_grew_with() {
        let domain = BasicArithmetic { max_number: 999, max_value: 999 };
        for seed in 0..500 {
            let grown = domain.grow(&mut Stream::at("test", seed, &[]), 2 + seed as u32 % 9);
            let value = evaluate(&grown.text, Syntax::TRACE).unwrap().value.unwrap().as_whole();
            assert_eq!(value, Some(grown.value.into()), "{}", grown.text);
            assert!(grown.value.abs() <= 999);
        }
    }
}
