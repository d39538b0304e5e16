//! Linear equations with one unknown. The level sets the size of the numbers; above level 1 both sides contain the
//! unknown.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::{Check, behind_unknown, judge};
use crate::rational::Rational;
use crate::seed::Stream;
use crate::trace::{self, bracketed, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "linear_equations",
    about: "a linear equation in x; level = size of its numbers, with x on both sides from level 2",
    answers: "number",
    build: |value| build::<LinearEquations>("linear_equations", value),
};

/// The domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearEquations {
    /// Whether solutions may be fractions.
    pub fractions: bool,
}

/// `(3, -5)` is `3x-5`.
type Side = (i64, i64);

/// What the judge needs.
#[derive(Deserialize)]
struct Spec {
    left: Side,
    right: Side,
}

fn text((factor, constant): Side) -> String {
    let unknown = match factor {
        0 => return constant.to_string(),
        1 => "x".to_owned(),
        -1 => "-x".to_owned(),
        _ => format!("{factor}x"),
    };
    if constant == 0 { unknown } else { format!("{unknown}{constant:+}") }
}

fn value((factor, constant): Side, unknown: Rational) -> Option<Rational> {
    Rational::whole(factor.into()).times(unknown)?.plus(Rational::whole(constant.into()))
}

/// `3*(-2)+5`, without the product if the factor is 0.
fn inserted((factor, constant): Side, unknown: Rational) -> String {
    match factor {
        0 => constant.to_string(),
        _ => format!("{factor}*{}{constant:+}", bracketed(unknown)),
    }
}

impl Spec {
    fn solution(&self) -> Option<Rational> {
        let factor = i128::from(self.left.0) - i128::from(self.right.0);
        Rational::new(i128::from(self.right.1) - i128::from(self.left.1), factor)
    }

    /// Moves the unknown to the left and the constants to the right, divides, and checks both sides.
    fn equations(&self) -> Option<Vec<String>> {
        let solution = self.solution()?;
        let factor = self.left.0.checked_sub(self.right.0)?;
        let constant = self.right.1.checked_sub(self.left.1)?;
        let mut lines = Vec::new();
        if self.right.0 != 0 {
            lines.push(equation(self.left.0, '-', self.right.0, factor));
        }
        lines.push(equation(self.right.1, '-', self.left.1, constant));
        lines.push(equation(constant, '/', factor, solution));
        lines.push(format!("{}={}y", inserted(self.left, solution), inserted(self.right, solution)));
        Some(lines)
    }
}

impl LinearEquations {
    fn sides(&self, stream: &mut Stream, level: u32) -> Spec {
        let size = 5 * i64::from(level);
        let factor = |stream: &mut Stream| stream.between(1, size) * if stream.chance(0.3) { -1 } else { 1 };
        let a = factor(stream);
        let mut c = 0;
        while level > 1 && (c == 0 || c == a) {
            c = factor(stream);
        }
        let b = stream.between(-size, size);
        let d = if self.fractions {
            stream.between(-size * size, size * size)
        } else {
            b + (a - c) * stream.between(-size, size)
        };
        Spec { left: (a, b), right: (c, d) }
    }
}

impl Domain for LinearEquations {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=10
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let spec = self.sides(stream, level);
        Problem {
            prompt: format!("{}={}:x=", text(spec.left), text(spec.right)),
            answer: spec.solution().map_or_else(String::new, |solution| solution.to_string()),
            spec: json!({ "left": spec.left, "right": spec.right }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| {
            if spec.left.0 == spec.right.0 {
                return Check::Broken("the item's equation has no single solution");
            }
            let Some(unknown) = Rational::read(behind_unknown(found)) else {
                return Check::Unreadable("not one number");
            };
            let (left, right) = (value(spec.left, unknown), value(spec.right, unknown));
            Check::of(left.is_some() && left == right)
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        trace::solve(&Spec::deserialize(&problem.spec).ok()?.equations()?, problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789x+-*/()=:,y!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equation_is_solved_and_checked() {
        let spec = Spec { left: (3, 5), right: (2, -7) };
        assert_eq!((text(spec.left), text(spec.right)), ("3x+5".into(), "2x-7".into()));
        let lines = spec.equations().unwrap();
        assert_eq!(lines.join(","), "3-2=1,-7-5=-12,-12/1=-12,3*(-12)+5=2*(-12)-7y");
        assert_eq!(text((-1, 0)), "-x");
    }

    #[test]
    fn fractions_are_exact() {
        let domain = LinearEquations { fractions: true };
        for seed in 0..300 {
            let mut stream = Stream::at("test", seed, &[]);
            let problem = domain.pose(&mut stream, 1 + seed as u32 % 10);
            let solution = domain.solve(&problem, SolutionKind::Long, &mut stream).unwrap();
            assert_eq!(
                domain.behaviours(&problem, &solution.thinking).false_steps,
                0,
                "{}",
                solution.thinking
            );
            for unknown in ["", "x=", "x = "] {
                let completion = format!("<answer>{unknown}{}</answer>", problem.answer);
                let item = Item { completion: &completion, answer: None, spec: Some(&problem.spec) };
                assert!(domain.judge(&item).is_correct());
            }
        }
    }
}
