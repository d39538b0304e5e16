//! Compares numbers and expressions: exactly, at points, and to the written precision.

use super::super::ball::Ball;
use super::super::evaluate::{Points, exact, numeric};
use super::super::expression::{Binary, Constant, Node, Unary, holds};
use super::super::modulo::modulo_prime;
use super::super::number::Rational;
use super::super::{Percent, Stop};
use super::{Answer, Judge, POINTS, Part};

impl Judge {
    pub(super) fn exact(&mut self, part: Part) -> Result<Rational, Stop> {
        if let Some(known) = self.exact.get(&part) {
            return known.clone();
        }
        let value = exact(&self.arena, part.id, part.sign.unwrap_or(1), &mut self.budget);
        self.exact.insert(part, value.clone());
        value
    }

    pub(super) fn values(&mut self, gold: Part, answer: Part) -> Answer {
        if self.expressions(gold, answer)? {
            return Ok(true);
        }
        // If the right answer is a percentage, the percent sign may be missing.
        let percentage = |judge: &Self, part: Part| {
            let id = judge.arena.peel(part.id);
            let id = match judge.arena.node(id) {
                Node::Unary(Unary::Negative, item) => judge.arena.peel(*item),
                _ => id,
            };
            matches!(judge.arena.node(id), Node::Unary(Unary::Percent, _))
        };
        let (gold_percent, answer_percent) = (percentage(self, gold), percentage(self, answer));
        let times_hundred = |judge: &mut Self, part: Part| {
            let hundred =
                judge.arena.push(Node::Number { value: Rational::from(100), places: None, significant: 0 });
            let id = judge.arena.push(Node::Binary(Binary::Multiply, part.id, hundred));
            Part { id, sign: part.sign }
        };
        if gold_percent && !answer_percent {
            let gold = times_hundred(self, gold);
            return self.expressions(gold, answer);
        }
        if answer_percent && !gold_percent && self.settings.percent == Percent::Unit {
            let answer = times_hundred(self, answer);
            return self.expressions(gold, answer);
        }
        Ok(false)
    }

    pub(super) fn expressions(&mut self, gold: Part, answer: Part) -> Answer {
        let infinite = |judge: &Self, part: Part| {
            let mut id = judge.arena.peel(part.id);
            let mut negative = false;
            if let Node::Unary(Unary::Negative, item) = judge.arena.node(id) {
                negative = true;
                id = judge.arena.peel(*item);
            }
            matches!(judge.arena.node(id), Node::Constant(Constant::Infinity)).then_some(negative)
        };
        if let (Some(a), Some(b)) = (infinite(self, gold), infinite(self, answer)) {
            return Ok(a == b);
        }
        if self.names(gold) != self.names(answer) {
            return Ok(false);
        }
        if self.names(gold).is_empty() { self.closed(gold, answer) } else { self.open(gold, answer) }
    }

    /// Compares numbers.
    pub(super) fn closed(&mut self, gold: Part, answer: Part) -> Answer {
        let (exact_gold, exact_answer) = (self.exact(gold), self.exact(answer));
        if let (Ok(a), Ok(b)) = (&exact_gold, &exact_answer) {
            return Ok(a == b || self.within_tolerance(gold, &Ball::rational(a), answer, &Ball::rational(b)));
        }
        if [&exact_gold, &exact_answer].into_iter().any(|value| matches!(value, Err(Stop::Undefined))) {
            return Err(Stop::Undefined);
        }
        let mut value = |part: Part| {
            numeric(&self.arena, part.id, part.sign.unwrap_or(1), Points::Whole(0), &mut self.budget)
        };
        let values = value(gold).and_then(|a| Ok((a, value(answer)?)));
        // A number too large to write out and too large to estimate exceeds the budget.
        let too_large =
            [&exact_gold, &exact_answer].into_iter().any(|value| matches!(value, Err(Stop::Budget)));
        let (a, b) = values.map_err(|stop| if too_large { Stop::Budget } else { stop })?;
        match a.same(&b) {
            Some(true) => Ok(true),
            Some(false) => {
                Ok(a.may_be_real() && b.may_be_real() && self.within_tolerance(gold, &a.re, answer, &b.re))
            }
            None => Err(Stop::Undecided),
        }
    }

    /// The decimal places and significant digits of a decimal, ignoring its sign and powers of ten.
    pub(super) fn decimal(&self, part: Part) -> Option<(i64, u32)> {
        let mut id = self.arena.peel(part.id);
        loop {
            match self.arena.node(id) {
                Node::Number { places: Some(places), significant, .. } => {
                    return Some((*places, *significant));
                }
                Node::Unary(Unary::Negative | Unary::Degree, item) => id = self.arena.peel(*item),
                _ => return None,
            }
        }
    }

    /// Whether a decimal is close enough to the value it stands for.
    pub(super) fn within_tolerance(&mut self, gold: Part, a: &Ball, answer: Part, b: &Ball) -> bool {
        let (gold_decimal, answer_decimal) =
            (self.decimal(gold), self.arena.holds(answer.id, holds::DECIMAL));
        let whole = self.exact(gold).ok().and_then(|value| value.to_integer());
        if whole.is_some() && gold_decimal.is_none() {
            return false;
        }
        let difference = a.sub(b).abs().to_f64();
        let size = a.abs().to_f64();
        // The last factor is needed because 0.333333 differs from a third by exactly a millionth of it.
        let near = difference <= self.settings.tolerance * size * (1.0 + 1e-9);
        match gold_decimal {
            Some((places, significant)) => {
                let half_unit = 0.5 * 10f64.powi(-(places.clamp(-400, 400) as i32)) * (1.0 + 1e-12);
                let rounded = significant >= self.settings.rounded_digits && difference <= half_unit;
                if answer_decimal { near && difference <= half_unit } else { rounded }
            }
            None => answer_decimal && near,
        }
    }

    /// Compares expressions of the same variables at points.
    pub(super) fn open(&mut self, gold: Part, answer: Part) -> Answer {
        let sign = |part: Part| part.sign.unwrap_or(1);
        let mut agreed = 0;
        for point in 0..4 {
            let a = modulo_prime(&self.arena, gold.id, sign(gold), point, &mut self.budget);
            let b = modulo_prime(&self.arena, answer.id, sign(answer), point, &mut self.budget);
            match (a, b) {
                (Ok(a), Ok(b)) if a == b => agreed += 1,
                (Ok(_), Ok(_)) => return Ok(false),
                (Err(Stop::Budget), _) | (_, Err(Stop::Budget)) => return Err(Stop::Budget),
                // Undefined modulo the prime at a random point: the expression is undefined, or this is as rare as a
                // collision.
                (Err(Stop::Undefined), _) | (_, Err(Stop::Undefined)) => {}
                _ => return self.at_points(gold, answer),
            }
            if agreed == 2 {
                return Ok(true);
            }
        }
        Err(Stop::Undefined)
    }

    pub(super) fn at_points(&mut self, gold: Part, answer: Part) -> Answer {
        let discrete = [gold, answer].into_iter().any(|part| self.arena.holds(part.id, holds::DISCRETE));
        let points = if discrete { [0, 1, 2, 3, 4].map(Points::Whole) } else { POINTS };
        let mut agreed = 0;
        for points in points {
            let [a, b] = [gold, answer]
                .map(|part| numeric(&self.arena, part.id, part.sign.unwrap_or(1), points, &mut self.budget));
            let (a, b) = match (a, b) {
                (Ok(a), Ok(b)) => (a, b),
                (Err(Stop::Budget), _) | (_, Err(Stop::Budget)) => return Err(Stop::Budget),
                // Defined on one side only, so the functions differ.
                (Ok(_), Err(Stop::Undefined)) | (Err(Stop::Undefined), Ok(_)) => return Ok(false),
                _ => continue,
            };
            // Below 0, conventions differ for the branches of roots and logarithms, so only real values count there.
            if matches!(points, Points::Negative(_)) && !(a.may_be_real() && b.may_be_real()) {
                continue;
            }
            match a.same(&b) {
                Some(true) => agreed += 1,
                Some(false) => return Ok(false),
                None => {}
            }
        }
        if agreed >= 3 { Ok(true) } else { Err(Stop::Undecided) }
    }
}
