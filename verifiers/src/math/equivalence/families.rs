//! Answers for every whole number, such as `\frac{\pi}{4} + k\pi`.

use super::super::Stop;
use super::super::expression::{Binary, Id, Node};
use super::super::number::Rational;
use super::{Answer, Judge, Part, Shape};

/// Families are compared over at most this many steps of the shortest period.
const STEPS: i64 = 64;

/// The values `offset + k · period` for every whole `k`.
#[derive(Clone, Copy)]
struct Family {
    offset: Part,
    period: Part,
    /// Both as doubles, to find the pairs that are then compared exactly.
    near: (f64, f64),
}

/// The name that an answer gives its values, if it does, and the families.
type Named = (Option<String>, Vec<Family>);

impl Judge {
    /// Whether two answers stand for the same values. Each comes with the parameter at 0, 1 and 2. `None` if they are not
    /// linear in the parameter.
    pub(in crate::math) fn families(&mut self, gold: [Id; 3], answer: [Id; 3]) -> Result<Option<bool>, Stop> {
        let (Some((name, gold)), Some((other, answer))) = (self.family(gold)?, self.family(answer)?) else {
            return Ok(None);
        };
        if name.is_some() && other.is_some() && name != other {
            return Ok(Some(false));
        }
        Ok(Some(self.covers(&gold, &answer)? && self.covers(&answer, &gold)?))
    }

    fn family(&mut self, at: [Id; 3]) -> Result<Option<Named>, Stop> {
        let mut name = None;
        let members = at.map(|id| {
            let (own, value) = self.value_of(Part { id, sign: None });
            name = own;
            match self.shape(value) {
                Shape::List(parts) | Shape::Set(parts) => {
                    parts.into_iter().map(|part| self.value_of(part).1).collect::<Vec<_>>()
                }
                _ => vec![value],
            }
        });
        let mut families = Vec::new();
        let [zero, one, two] = &members;
        if zero.len() != one.len() || zero.len() != two.len() || zero.len() > 16 {
            return Ok(None);
        }
        for at in 0..zero.len() {
            let period = self.minus(one[at], zero[at]);
            let second = self.minus(two[at], one[at]);
            if !self.names(zero[at]).is_empty() || !self.closed(period, second)? {
                return Ok(None);
            }
            let (Some(offset_near), Some(near)) = (self.double(zero[at])?, self.double(period)?) else {
                return Ok(None);
            };
            families.push(Family { offset: zero[at], period, near: (offset_near, near) });
        }
        Ok(Some((name, families)))
    }

    fn minus(&mut self, a: Part, b: Part) -> Part {
        let sign = a.sign.or(b.sign);
        let id = self.arena.push(Node::Binary(Binary::Subtract, a.id, b.id));
        Part { id, sign }
    }

    /// Whether every value of `inner` is among the values of `outer`.
    fn covers(&mut self, outer: &[Family], inner: &[Family]) -> Answer {
        for family in inner {
            // The values repeat among the outer families after some steps of this one.
            for step in 0..STEPS {
                let value = family.near.0 + step as f64 * family.near.1;
                let mut found = false;
                for other in outer {
                    found = found || self.contains(other, family, step, value)?;
                }
                if !found {
                    return Ok(false);
                }
                let all = outer.iter().all(|other| {
                    let turns = (step + 1) as f64 * family.near.1 / other.near.1;
                    other.near.1 != 0.0 && (turns - turns.round()).abs() < 1e-9
                });
                if all || family.near.1 == 0.0 {
                    break;
                }
            }
        }
        Ok(!inner.is_empty())
    }

    /// Whether the value of `family` after some steps is a value of `outer`.
    fn contains(&mut self, outer: &Family, family: &Family, step: i64, value: f64) -> Answer {
        let turns = if outer.near.1 == 0.0 { 0.0 } else { (value - outer.near.0) / outer.near.1 };
        if (turns - turns.round()).abs() > 1e-9 || turns.abs() > 1e9 {
            return Ok(false);
        }
        let own = self.value_at(family, step);
        let other = self.value_at(outer, turns.round() as i64);
        self.closed(own, other)
    }

    fn value_at(&mut self, family: &Family, step: i64) -> Part {
        let count =
            self.arena.push(Node::Number { value: Rational::from(step), places: None, significant: 0 });
        let way = self.arena.push(Node::Binary(Binary::Multiply, count, family.period.id));
        let id = self.arena.push(Node::Binary(Binary::Add, family.offset.id, way));
        Part { id, sign: family.offset.sign.or(family.period.sign) }
    }
}
