//! Compares numbers and expressions: exactly, at points, and to the written precision.

use super::super::ball::{Ball, MOST_PRECISION, PRECISION};
use super::super::complex::Complex;
use super::super::evaluate::{Budget, exact};
use super::super::expression::{Binary, Constant, Function, Id, Node, Unary, holds};
use super::super::modulo::Kind;
use super::super::number::Rational;
use super::super::numeric::{Sample, Weighed, branches, needed, seen};
use super::super::points::{Place, Point};
use super::super::{Percent, Stop, polynomial};
use super::{Answer, Judge, Part};

/// The first of the places that are only needed if no point has shown each branch yet.
const FURTHER: Place = Place::Far(3);

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
            return Ok(a == b
                || self.within_tolerance(
                    gold,
                    &Ball::rational(a, PRECISION),
                    answer,
                    &Ball::rational(b, PRECISION),
                ));
        }
        if [&exact_gold, &exact_answer].into_iter().any(|value| matches!(value, Err(Stop::Undefined))) {
            return Err(Stop::Undefined);
        }
        // The terms of a sum are many.
        if self.arena.holds(gold.id, holds::DISCRETE) | self.arena.holds(answer.id, holds::DISCRETE)
            && self.proved(gold, answer)
        {
            return Ok(true);
        }
        let point = Point::new(self.seed, Place::Whole, 0);
        let sampled = match self.sampled(gold, answer, point, PRECISION) {
            Ok(sampled) if sampled.same.is_none() && self.proved(gold, answer) => return Ok(true),
            Ok(sampled) if sampled.same.is_none() => self.sampled(gold, answer, point, MOST_PRECISION),
            Err(Stop::Undecided | Stop::Budget) if self.proved(gold, answer) => return Ok(true),
            sampled => sampled,
        };
        // A number too large to write out and too large to estimate exceeds the budget.
        let too_large =
            [&exact_gold, &exact_answer].into_iter().any(|value| matches!(value, Err(Stop::Budget)));
        let Sampled { values: [a, b], same, .. } =
            sampled.map_err(|stop| if too_large { Stop::Budget } else { stop })?;
        match same {
            Some(true) => Ok(true),
            Some(false) => {
                Ok(a.may_be_real() && b.may_be_real() && self.within_tolerance(gold, &a.re, answer, &b.re))
            }
            None => Err(Stop::Undecided),
        }
    }

    /// The value of an expression without names.
    pub(super) fn number(&mut self, part: Part) -> Result<Weighed, Stop> {
        let point = Point::new(self.seed, Place::Whole, 0);
        let sign = part.sign.unwrap_or(1);
        let value = Sample::new(point, PRECISION).value(&self.arena, part.id, sign, &mut self.budget)?;
        // Two such numbers are compared with each other.
        let wanted = needed(&value, &value) + value.number.re.magnitude().max(0.0) + 48.0;
        if wanted <= PRECISION as f64 || wanted > MOST_PRECISION as f64 {
            return Ok(value);
        }
        let precision = (wanted as u64).next_power_of_two();
        Sample::new(point, precision).value(&self.arena, part.id, sign, &mut self.budget)
    }

    /// Whether both expressions are the same for any values of their functions.
    fn proved(&mut self, gold: Part, answer: Part) -> bool {
        matches!(self.formal.same(&self.arena, sides(gold, answer), &mut self.budget), Ok((true, _)))
    }

    /// The values of both expressions at a point, and whether they are the same, with as much precision as it takes.
    pub(super) fn sampled(
        &mut self,
        gold: Part,
        answer: Part,
        point: Point,
        most: u64,
    ) -> Result<Sampled, Stop> {
        let mut precision = PRECISION;
        loop {
            let mut sample = Sample::new(point, precision);
            let [a, b] =
                sides(gold, answer).map(|(id, sign)| sample.value(&self.arena, id, sign, &mut self.budget));
            let wanted = match (a, b) {
                (Ok(a), Ok(b)) => {
                    let bits = needed(&a, &b);
                    let same = a.number.same(&b.number, bits);
                    let size = [&a.number.re, &a.number.im].map(Ball::magnitude);
                    let wanted = bits + size[0].max(size[1]).max(0.0) + 48.0;
                    // As an `f64`, the comparison also holds for sizes that are not finite.
                    if same.is_some() || precision >= most || wanted > most as f64 {
                        return Ok(Sampled {
                            values: [a.number, b.number],
                            same,
                            both: true,
                            real: sample.real,
                            seen: sample.seen,
                        });
                    }
                    wanted as u64
                }
                (Err(Stop::Budget), _) | (_, Err(Stop::Budget)) => return Err(Stop::Budget),
                // Defined on one side only, so the expressions differ.
                (Ok(a), Err(Stop::Undefined)) | (Err(Stop::Undefined), Ok(a)) => {
                    let values = [a.number.clone(), a.number];
                    return Ok(Sampled {
                        values,
                        same: Some(false),
                        both: false,
                        real: true,
                        seen: Vec::new(),
                    });
                }
                (Err(Stop::Undefined), Err(Stop::Undefined)) => return Err(Stop::Undefined),
                _ if sample.imprecise && precision < most => 0,
                _ => return Err(Stop::Undecided),
            };
            precision *= 2;
            while precision < wanted {
                precision *= 2;
            }
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

    /// Compares expressions of the same variables: as formal expressions, and if this cannot decide, at points.
    pub(super) fn open(&mut self, gold: Part, answer: Part) -> Answer {
        let sides = sides(gold, answer);
        match self.formal.same(&self.arena, sides, &mut self.budget) {
            Ok((true, Kind::Rational)) => {
                // Written out, both are the same beyond chance. What is too long for that stays with the primes.
                let mut part = Budget::new(self.budget.left() / 2);
                let exact = polynomial::same(&self.arena, sides, &mut part);
                self.budget.spend(self.budget.left() / 2 - part.left().min(self.budget.left() / 2))?;
                Ok(exact != Ok(false))
            }
            Ok((false, Kind::Rational | Kind::Choices)) => Ok(false),
            Ok((same, _)) => self.at_points(gold, answer, same),
            Err(Stop::Budget) => Err(Stop::Budget),
            Err(_) => self.at_points(gold, answer, false),
        }
    }

    /// Compares expressions at points. If they are `proved` to be the same, they must only be defined.
    fn at_points(&mut self, gold: Part, answer: Part, proved: bool) -> Answer {
        let (mut agreed, mut undefined, mut real) = (0, false, true);
        let (mut seen, mut shown) = (Vec::new(), false);
        let places = self.places(gold, answer);
        let far = places.iter().any(|place| place.is_far());
        let further = places.iter().position(|place| *place == FURTHER).unwrap_or(places.len());
        for (index, place) in places.into_iter().enumerate() {
            if shown && index >= further {
                break;
            }
            // A function without branches is known everywhere if it is known somewhere.
            if shown && !far && !place.is_whole() {
                break;
            }
            // What is shown can only be refuted by the points that are left.
            let most = if place.is_far() || shown || proved { PRECISION } else { MOST_PRECISION };
            let sampled = match self.sampled(gold, answer, Point::new(self.seed, place, index), most) {
                Err(Stop::Budget) if proved => break,
                Err(Stop::Budget) => return Err(Stop::Budget),
                Err(stop) => {
                    undefined |= stop == Stop::Undefined;
                    continue;
                }
                Ok(sampled) => sampled,
            };
            // What is real for positive numbers is meant for real numbers: `\sqrt{xy}` and `\sqrt{x}\sqrt{y}`.
            let is_real = (sampled.real || !real) && sampled.values.iter().all(Complex::may_be_real);
            if place.is_negative() && !is_real {
                continue;
            }
            real &= sampled.real;
            if proved && sampled.both && sampled.same != Some(false) {
                return Ok(true);
            }
            match sampled.same {
                // Beyond its range, a binomial is undefined to some and 0 to others.
                Some(false) if proved && !sampled.both && place.is_whole() => {}
                Some(false) => return Ok(false),
                Some(true) => {
                    agreed += 1;
                    merge(&mut seen, &sampled.seen);
                    shown = agreed >= 3 && [gold, answer].into_iter().all(|part| self.shows(part, &seen));
                }
                None => {}
            }
        }
        if agreed == 0 && undefined {
            return Err(Stop::Undefined);
        }
        if proved || shown { Ok(true) } else { Err(Stop::Undecided) }
    }

    /// The places of the points at which two expressions are compared.
    pub(super) fn places(&self, gold: Part, answer: Part) -> Vec<Place> {
        let has = |wanted: &dyn Fn(&Node) -> bool| {
            [gold, answer].into_iter().any(|part| {
                self.arena.below(part.id, |_| None).into_iter().any(|id| wanted(self.arena.node(id)))
            })
        };
        // `(-1)^n` has a value for whole numbers only.
        let alternates = |node: &Node| match node {
            Node::Binary(Binary::Power, base, exponent) => {
                matches!(self.arena.node(self.arena.peel(*base)), Node::Unary(Unary::Negative, number)
                    if matches!(self.arena.node(*number), Node::Number { .. }))
                    && self.arena.holds(*exponent, holds::NAME)
            }
            _ => false,
        };
        let rounds = |node: &Node| matches!(node, Node::Call(Function::Floor | Function::Ceiling, _));
        let counts = ["i", "j", "k", "m", "n"];
        let whole =
            has(&alternates) || self.names(gold).iter().all(|name| counts.contains(name)) && has(&rounds);
        if whole || [gold, answer].into_iter().any(|part| self.arena.holds(part.id, holds::DISCRETE)) {
            let grows = |node: &Node| {
                matches!(
                    node,
                    Node::Unary(Unary::Factorial, _) | Node::Big(..) | Node::Call(Function::Binomial, _)
                ) || alternates(node)
            };
            return match has(&grows) {
                true => vec![Place::Few, Place::Few, Place::Few, Place::Few, Place::Many],
                false => vec![Place::Few, Place::Many, Place::Whole, Place::Whole, Place::Whole],
            };
        }
        let complex = |node: &Node| {
            matches!(
                node,
                Node::Unary(Unary::Conjugate, _)
                    | Node::Call(Function::Real | Function::Imaginary | Function::Argument, _)
            )
        };
        if has(&complex) {
            return vec![Place::Complex, Place::Complex, Place::Complex, Place::Mixed, Place::Small];
        }
        let mut places = vec![Place::Small, Place::Medium, Place::Negative, Place::Medium, Place::Negative];
        let real = |node: &Node| {
            matches!(
                node,
                Node::Call(
                    Function::Abs | Function::Floor | Function::Ceiling | Function::Max | Function::Min,
                    _
                )
            )
        };
        // Functions with more than one branch, which may change far away.
        let branches = |node: &Node| match node {
            Node::Call(function, _) => matches!(
                function,
                Function::Sqrt
                    | Function::Root
                    | Function::Ln
                    | Function::Log
                    | Function::Arcsin
                    | Function::Arccos
                    | Function::Arctan
            ),
            Node::Binary(Binary::Power, _, exponent) => !matches!(
                self.arena.node(self.arena.peel(*exponent)),
                Node::Number { places: None, .. } | Node::Unary(Unary::Negative, _)
            ),
            _ => false,
        };
        if has(&real) {
            places.extend([Place::Mixed; 2]);
            places.extend([-12, 6, 14, 34, 520].map(Place::FarMixed));
            // The signs of those are random, so these make sure that each branch is seen.
            places.push(FURTHER);
            places.push(Place::FarNegative(3));
            for bits in [-1, 1] {
                places.extend([Place::Far(bits), Place::FarNegative(bits)]);
            }
            places.extend([Place::Mixed; 4]);
        } else if has(&branches) {
            for bits in [-12, 6, 14, 34, 520] {
                places.extend([Place::Far(bits), Place::FarNegative(bits)]);
            }
        }
        places
    }

    /// Whether the points showed all that an expression can be: no part with a name was always 0, and each branch of
    /// functions such as `|x|` was taken.
    pub(super) fn shows(&mut self, part: Part, seen: &[u32]) -> bool {
        self.arena.below(part.id, |_| None).into_iter().all(|id| {
            let seen = seen.get(id).copied().unwrap_or(0);
            if !self.arena.holds(id, holds::NAME) || seen & seen::VALUE == 0 {
                return true;
            }
            let needed = branches(self.arena.node(id)) | seen::NONZERO;
            seen & needed == needed
                || matches!(self.arena.node(id), Node::Call(Function::Abs, items)
                if seen & seen::NONZERO != 0 && items.iter().all(|item| {
                    polynomial::polynomial(&self.arena, *item, 1, &mut self.budget)
                        .is_ok_and(|polynomial| polynomial.is_never_negative())
                }))
        })
    }
}

/// The values of two expressions at a point.
pub(super) struct Sampled {
    pub(super) values: [Complex; 2],
    /// Whether they are the same, if it can be told.
    pub(super) same: Option<bool>,
    /// Whether both are defined.
    pub(super) both: bool,
    /// Whether all values on the way were real.
    pub(super) real: bool,
    /// What was seen of each node.
    pub(super) seen: Vec<u32>,
}

pub(super) fn sides(gold: Part, answer: Part) -> [(Id, i64); 2] {
    [gold, answer].map(|part| (part.id, part.sign.unwrap_or(1)))
}

/// Adds what was seen at one point.
pub(super) fn merge(all: &mut Vec<u32>, seen: &[u32]) {
    all.resize(seen.len().max(all.len()), 0);
    for (all, seen) in all.iter_mut().zip(seen) {
        *all |= seen;
    }
}
