//! Quadratic equations with whole roots. The level sets the size of the roots.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;
use thinkling_verifiers::{Item, Verdict};

use super::{Row, build, characters};
use crate::judging::{Check, behind_unknown, entries, judge};
use crate::rational::Rational;
use crate::seed::Stream;
use crate::trace::{self, bracketed, equation};
use crate::{Behaviours, Domain, Problem, Solution, SolutionKind};

/// The row in [`DOMAINS`](super::DOMAINS).
pub const ROW: Row = Row {
    name: "quadratic_equations",
    about: "all roots of a quadratic equation in x, in any order; level = size of the roots",
    answers: "one or two numbers",
    build: |value| build::<QuadraticEquations>("quadratic_equations", value),
};

/// The domain, which has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuadraticEquations {}

/// What the judge needs: `[a, b, c]` of `ax^2+bx+c=0`.
#[derive(Deserialize)]
struct Spec {
    coefficients: [i64; 3],
}

impl Spec {
    /// The text of a polynomial, without terms that are 0 and factors that are 1.
    fn text(&self) -> String {
        let [a, b, c] = self.coefficients;
        let mut text = String::new();
        for (factor, unknown) in [(a, "x^2"), (b, "x"), (c, "")] {
            match factor {
                0 => {}
                1 | -1 if !unknown.is_empty() => {
                    text.push_str(if factor < 0 { "-" } else { "+" });
                    text.push_str(unknown);
                }
                _ => text.push_str(&format!("{factor:+}{unknown}")),
            }
        }
        text.trim_start_matches('+').to_owned()
    }

    fn discriminant(&self) -> Option<i128> {
        let [a, b, c] = self.coefficients.map(i128::from);
        b.checked_mul(b)?.checked_sub(a.checked_mul(c)?.checked_mul(4)?)
    }

    fn is_root(&self, x: Rational) -> bool {
        let [a, b, c] = self.coefficients.map(|factor| Rational::whole(factor.into()));
        let value = a.times(x).and_then(|value| value.plus(b)).and_then(|value| value.times(x)?.plus(c));
        value == Some(Rational::whole(0))
    }

    /// Both roots in order, if they are whole.
    fn roots(&self) -> Option<[i128; 2]> {
        let [a, b, _] = self.coefficients.map(i128::from);
        let discriminant = self.discriminant().filter(|value| *value >= 0)?;
        let root = discriminant.isqrt();
        let whole = |numerator: i128| Rational::new(numerator, 2 * a)?.as_whole();
        let (first, second) = (whole(-b - root)?, whole(-b + root)?);
        (root * root == discriminant).then(|| [first.min(second), first.max(second)])
    }

    /// Uses the quadratic formula, then checks the first root.
    fn formula(&self) -> Option<Vec<String>> {
        let [a, b, c] = self.coefficients.map(i128::from);
        let [first, second] = self.roots()?;
        let discriminant = self.discriminant()?;
        let root = discriminant.isqrt();
        let (square, product) = (b * b, 4 * a * c);
        let half =
            |operation: char, value: i128| format!("({}{operation}{root})/{}={value}", -b, bracketed(2 * a));
        let (lower, upper) = if a > 0 { (first, second) } else { (second, first) };
        Some(vec![
            format!("{}*{}={square}", bracketed(b), bracketed(b)),
            format!("4*{}*{}={product}", bracketed(a), bracketed(c)),
            equation(square, '-', product, discriminant),
            equation(root, '*', root, discriminant),
            half('-', lower),
            half('+', upper),
            format!("{a}*{x}*{x}{b:+}*{x}{c:+}=0y", x = bracketed(first)),
        ])
    }

    /// Tries pairs of numbers with the right product until their sum is right.
    fn pairs(&self) -> Option<String> {
        let [a, b, c] = self.coefficients.map(i128::from);
        let [first, second] = self.roots()?;
        let (sum, product) = (first + second, first * second);
        let mut trace = String::new();
        if a != 1 {
            trace = format!("{},{},", equation(-b, '/', a, sum), equation(c, '/', a, product));
        }
        let mut attempt = |p: i128, q: i128| {
            let is_found = p + q == sum;
            let mark = if is_found { 'y' } else { 'n' };
            trace.push_str(&format!("{},{}{mark}", equation(p, '*', q, product), equation(p, '+', q, p + q)));
            is_found
        };
        if product == 0 {
            attempt(0, sum);
            return Some(trace);
        }
        let candidates = (1..=product.abs()).flat_map(|p| [p, -p]);
        let mut tried = candidates.filter(|p| product % p == 0).map(|p| attempt(p, product / p));
        tried.any(|is_found| is_found).then_some(())?;
        drop(tried);
        Some(trace)
    }
}

impl Domain for QuadraticEquations {
    fn levels(&self) -> RangeInclusive<u32> {
        1..=10
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        let most = 3 + 2 * i64::from(level);
        let mut roots = [stream.between(-most, most), stream.between(-most, most)];
        roots.sort_unstable();
        let [p, q] = roots;
        let a = if level < 4 { 1 } else { stream.between(1, 3) };
        let spec = Spec { coefficients: [a, -a * (p + q), a * p * q] };
        Problem {
            prompt: format!("{}=0:x=", spec.text()),
            answer: if p == q { p.to_string() } else { format!("{p},{q}") },
            spec: json!({ "coefficients": spec.coefficients }),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        judge(item, |spec: &Spec, found| {
            let count = match spec.discriminant() {
                Some(0) => 1,
                Some(1..) if spec.coefficients[0] != 0 => 2,
                _ => return Check::Broken("the item's equation is not quadratic or has no real root"),
            };
            let read = |entry: &str| Rational::read(behind_unknown(entry));
            // Blanks separate the entries, except next to an equals sign.
            let found =
                found.replace(" =", "=").replace("= ", "=").replace(" or x", ",x").replace(" and x", ",x");
            let Some(values) = entries(&found).take(3).map(read).collect::<Option<Vec<_>>>() else {
                return Check::Unreadable("not a list of numbers");
            };
            let is_each_a_root = values.iter().all(|value| spec.is_root(*value));
            match values[..] {
                [] => Check::Unreadable("no number"),
                [_] => Check::of(is_each_a_root && count == 1),
                [first, second] => Check::of(is_each_a_root && (first != second) == (count == 2)),
                _ => Check::Wrong("more than two numbers"),
            }
        })
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        let spec = Spec::deserialize(&problem.spec).ok()?;
        match kind {
            SolutionKind::Search => Some(Solution::sure(spec.pairs()?, &problem.answer)),
            _ => trace::solve(&spec.formula()?, problem, kind, stream),
        }
    }

    fn alphabet(&self) -> Vec<String> {
        characters("0123456789x^+-*/()=:,yn!")
    }

    fn behaviours(&self, _problem: &Problem, thinking: &str) -> Behaviours {
        trace::behaviours(thinking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(coefficients: [i64; 3], answer: &str) -> f64 {
        let spec = json!({ "coefficients": coefficients });
        let completion = format!("<answer>{answer}</answer>");
        QuadraticEquations {}.judge(&Item { completion: &completion, answer: None, spec: Some(&spec) }).score
    }

    #[test]
    fn all_roots_in_any_order_and_nothing_else() {
        for answer in
            ["2,3", "3, 2", "x=2,x=3", "x = 2, x = 3", "{2.0, 3.0}", "6/2 2", "x=2 or x=3", "x = 3 and x = 2"]
        {
            assert_eq!(score([1, -5, 6], answer), 1.0, "{answer}");
        }
        for answer in
            ["2", "2,2", "2,3,4", "2,3,3", "2 or 3", "x=2 or 3", "x=2 or x=4", "-2,-3", "x^2-5x+6=0:x="]
        {
            assert_eq!(score([1, -5, 6], answer), 0.0, "{answer}");
        }
        assert_eq!(
            (score([1, -6, 9], "3"), score([1, -6, 9], "3,3"), score([1, -6, 9], "3,-3")),
            (1.0, 1.0, 0.0)
        );
        assert_eq!(score([4, 0, -1], "1/2,-0.5"), 1.0);
    }

    #[test]
    fn both_ways_are_true() {
        let spec = Spec { coefficients: [1, -5, 6] };
        assert_eq!(spec.text(), "x^2-5x+6");
        assert_eq!(spec.pairs().unwrap(), "1*6=6,1+6=7n-1*(-6)=6,-1+(-6)=-7n2*3=6,2+3=5y");
        let formula = spec.formula().unwrap().join(",");
        assert_eq!(formula, "(-5)*(-5)=25,4*1*6=24,25-24=1,1*1=1,(5-1)/2=2,(5+1)/2=3,1*2*2-5*2+6=0y");
        assert_eq!(trace::behaviours(&formula).false_steps, 0);
        assert_eq!(Spec { coefficients: [2, 0, 0] }.text(), "2x^2");
        assert_eq!(Spec { coefficients: [1, 1, -1] }.text(), "x^2+x-1");
    }
}
