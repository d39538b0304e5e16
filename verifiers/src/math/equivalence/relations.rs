//! Equations, inequalities, and chains of them.

use super::super::Stop;
use super::super::ball::PRECISION;
use super::super::expression::{Binary, Node, Relation, holds};
use super::super::numeric::{Sample, Weighed, needed};
use super::super::points::Point;
use super::values::{merge, sides};
use super::{Answer, Judge, Part, Shape};

/// What a chain such as `x = 20/6 = 10/3 ≈ 3.33` claims.
pub(super) struct Claims {
    /// The name that gets the value.
    name: Option<String>,
    /// The members that the chain calls equal.
    exact: Vec<Part>,
    /// The members after `≈`.
    rounded: Vec<Part>,
}

impl Judge {
    /// What a chain of equalities claims, or `None` for any other chain.
    pub(super) fn claims(&self, members: &[Part], relations: &[Relation]) -> Option<Claims> {
        let exact = relations
            .iter()
            .take_while(|relation| matches!(relation, Relation::Equal | Relation::In))
            .count();
        if relations[exact..].iter().any(|relation| *relation != Relation::Approximate) {
            return None;
        }
        let name = self.name_of(members[0].id);
        if let (None, &[value, last], [Relation::Equal]) = (&name, members, relations)
            && let Some(name) = self.name_of(last.id)
        {
            return Some(Claims { name: Some(name), exact: vec![value], rounded: Vec::new() });
        }
        // `x ≈ 11` has no exact member after the name.
        let start = usize::from(name.is_some());
        let end = (exact + 1).max(start + 1);
        Some(Claims { name, exact: members[start..end].to_vec(), rounded: members[end..].to_vec() })
    }

    /// Whether a chain claims the value of `gold`: all its exact members equal it, or it is their rounded value.
    fn claimed(&mut self, gold: Part, claims: &Claims) -> Answer {
        let Claims { name, exact, rounded } = claims;
        let Some(last) = exact.last() else { return Ok(false) };
        let rounds = !rounded.is_empty() && self.all_round(*last, rounded)?;
        if self.all_equal(gold, exact)? {
            // For a name, the exact value counts. `3 ≈ 4` without a name claims nothing right.
            return Ok(name.is_some() || rounded.is_empty() || rounds);
        }
        // `x = 5+5+1 = 7 = 11` has a slip in the middle, but begins and ends with the same value.
        if let (true, &[first, _, .., last]) = (name.is_some(), exact.as_slice())
            && self.all_equal(gold, &[first, last])?
        {
            return Ok(true);
        }
        if !rounds || self.decimal(gold).is_none() || !self.all_equal(*last, exact)? {
            return Ok(false);
        }
        self.all_equal(gold, rounded)
    }

    /// Whether each of `rounded` is the number cut off or rounded at its last written digit.
    fn all_round(&mut self, number: Part, rounded: &[Part]) -> Answer {
        let Some(value) = self.double(number)? else { return Ok(false) };
        for part in rounded {
            let Some(near) = self.double(*part)? else { return Ok(false) };
            let (difference, decimal) = ((value - near).abs(), self.decimal(*part));
            let unit = decimal.map_or(1.0, |(places, _)| 10f64.powi(-(places.clamp(-300, 300) as i32)));
            let cut = decimal.is_some() && near.abs() <= value.abs() && difference < unit;
            if !(cut || difference <= 0.5 * unit * (1.0 + 1e-9)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The nearest double to a real number, or `None` for anything else.
    pub(super) fn double(&mut self, part: Part) -> Result<Option<f64>, Stop> {
        if !self.is_number(Some(part)) {
            return Ok(None);
        }
        match self.number(part) {
            Ok(Weighed { number: value, .. }) if value.may_be_real() => {
                Ok(Some(value.re.to_f64()).filter(|value| value.is_finite()))
            }
            Err(Stop::Budget) => Err(Stop::Budget),
            _ => Ok(None),
        }
    }

    pub(super) fn chain(
        &mut self,
        gold: Part,
        members: &[Part],
        relations: &[Relation],
        answer: Part,
        other: Shape,
    ) -> Answer {
        if let Some(claims) = self.claims(members, relations) {
            let Claims { name, exact, rounded } = claims;
            let value = exact.last().copied();
            if let Shape::Chain(others, other_relations) = &other {
                if let Some(other) = self.claims(others, other_relations) {
                    let same_name = name.is_some() && name == other.name;
                    if let (true, Some(value)) = (same_name, value)
                        && self.claimed(value, &other)?
                    {
                        return Ok(true);
                    }
                    if relations.contains(&Relation::In) || other_relations.contains(&Relation::In) {
                        return Ok(relations == other_relations && self.in_order(members, others)?);
                    }
                    return self.equations(members, others);
                }
                // As with an interval, an inequality may repeat the question.
                if relations == [Relation::In] && self.settings.set_relation {
                    return self.same_solutions(gold, answer);
                }
                return Ok(false);
            }
            // `AB + BC = 3 + 4 = 7` ends with the answer. In `x + y = 3` the whole equation is the answer.
            let ends = name.is_some() || ((exact.len() > 2 || !rounded.is_empty()) && self.is_number(value));
            return match value {
                Some(value) if ends => self.compare(value, answer),
                _ => Ok(false),
            };
        }
        if let Shape::Chain(others, other_relations) = &other {
            if self.inequalities(members, relations, others, other_relations)? {
                return Ok(true);
            }
            return self.same_solutions(gold, answer);
        }
        if matches!(&other, Shape::List(items) if self.are_chains(items)) {
            return self.same_solutions(gold, answer);
        }
        match (self.solutions(gold)?, self.region(answer)?) {
            (Some((_, spans)), Some(others)) => self.same_spans(&spans, &others),
            _ => Ok(false),
        }
    }

    /// Whether two inequalities, or lists of them, have the same solutions for the same name.
    pub(super) fn same_solutions(&mut self, gold: Part, answer: Part) -> Answer {
        let (Some((name, spans)), Some((other, others))) = (self.solutions(gold)?, self.solutions(answer)?)
        else {
            return Ok(false);
        };
        Ok((name.is_none() || other.is_none() || name == other) && self.same_spans(&spans, &others)?)
    }

    fn is_number(&self, part: Option<Part>) -> bool {
        part.is_some_and(|part| matches!(self.shape(part), Shape::Value) && self.names(part).is_empty())
    }

    pub(super) fn all_equal(&mut self, gold: Part, claims: &[Part]) -> Answer {
        for claim in claims {
            if !self.compare(gold, *claim)? {
                return Ok(false);
            }
        }
        Ok(!claims.is_empty())
    }

    pub(super) fn against_chain(
        &mut self,
        gold: Part,
        shape: &Shape,
        answer: Part,
        members: &[Part],
        relations: &[Relation],
    ) -> Answer {
        if let Some(claims) = self.claims(members, relations) {
            return self.claimed(gold, &claims);
        }
        let builder = matches!(self.arena.node(self.arena.peel(gold.id)), Node::Builder(_));
        if !builder && !self.settings.set_relation
            || !matches!(shape, Shape::Region | Shape::Tuple(..) | Shape::Set(_))
        {
            return Ok(false);
        }
        match (self.region(gold)?, self.solutions(answer)?) {
            (Some(spans), Some((_, others))) => self.same_spans(&spans, &others),
            _ => Ok(false),
        }
    }

    /// Whether two equations have the same solutions, that is, whether their differences are proportional.
    pub(super) fn equations(&mut self, a: &[Part], b: &[Part]) -> Answer {
        let (&[left, right], &[other_left, other_right]) = (a, b) else { return Ok(false) };
        let (gold, answer) = (self.difference(left, right), self.difference(other_left, other_right));
        let both = [gold, answer].map(|part| part.sign.is_none() && self.has_both_signs(part.id));
        if both[0] != both[1] {
            return Ok(false);
        }
        if !both[0] {
            return self.proportional(gold, answer).map(|ratio| ratio.is_some());
        }
        // `x = ±4` is two equations, and each must be among the other side's equations.
        for turn in [1, -1] {
            let mut same = true;
            for sign in [1, -1] {
                let (gold, answer) =
                    (Part { sign: Some(sign), ..gold }, Part { sign: Some(sign * turn), ..answer });
                same = same && self.proportional(gold, answer)?.is_some();
            }
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn difference(&mut self, a: Part, b: Part) -> Part {
        let id = self.arena.push(Node::Binary(Binary::Subtract, a.id, b.id));
        Part { id, sign: a.sign }
    }

    /// The constant factor between both expressions, if there is one and it is not 0.
    pub(super) fn proportional(&mut self, gold: Part, answer: Part) -> Result<Option<f64>, Stop> {
        let names = self.names(gold);
        if names.is_empty()
            || names != self.names(answer)
            || self.arena.holds(gold.id, holds::MATRIX)
            || self.arena.holds(answer.id, holds::MATRIX)
        {
            return Ok(None);
        }
        let sides = sides(gold, answer);
        let proved = match self.formal.proportional(&self.arena, sides, &mut self.budget) {
            Ok(Some(false)) => return Ok(None),
            Ok(Some(true)) => true,
            Err(Stop::Budget) => return Err(Stop::Budget),
            _ => false,
        };
        let mut ratio: Option<Weighed> = None;
        let (mut count, mut seen) = (0, Vec::new());
        for (index, place) in self.places(gold, answer).into_iter().enumerate() {
            // The ratio must be as precise as the comparison of all four numbers needs it.
            let mut sample = Sample::new(Point::new(self.seed, place, index), 2 * PRECISION);
            let values = sides.map(|(id, sign)| sample.value(&self.arena, id, sign, &mut self.budget));
            let [a, b] = match values {
                [Err(Stop::Budget), _] | [_, Err(Stop::Budget)] => return Err(Stop::Budget),
                [Ok(a), Ok(b)] => [a, b],
                _ => continue,
            };
            if a.number.may_be_zero() || b.number.may_be_zero() {
                return Ok(None);
            }
            if place.is_negative() && !(a.number.may_be_real() && b.number.may_be_real()) {
                continue;
            }
            let next = Weighed { number: b.number.div(&a.number)?, weight: a.weight + b.weight };
            match &ratio {
                None => ratio = Some(next),
                _ if proved => {}
                Some(ratio) => match ratio.number.same(&next.number, needed(ratio, &next)) {
                    Some(true) => {}
                    None if place.is_far() => continue,
                    _ => return Ok(None),
                },
            }
            count += 1;
            merge(&mut seen, &sample.seen);
            if proved {
                break;
            }
        }
        let shown = count >= 3 && [gold, answer].into_iter().all(|part| self.shows(part, &seen));
        let ratio = ratio.map(|ratio| ratio.number).filter(|ratio| (proved || shown) && ratio.may_be_real());
        Ok(ratio.map(|ratio| ratio.re.to_f64()))
    }

    /// Whether two chains of inequalities agree, member by member or as differences.
    pub(super) fn inequalities(
        &mut self,
        a: &[Part],
        relations: &[Relation],
        b: &[Part],
        others: &[Relation],
    ) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        let flipped: Vec<Relation> = others.iter().rev().map(|relation| relation.flipped()).collect();
        let reversed: Vec<Part> = b.iter().rev().copied().collect();
        if relations == others && self.in_order(a, b)?
            || relations == flipped && self.in_order(a, &reversed)?
        {
            return Ok(true);
        }
        let (&[left, right], &[other_left, other_right]) = (a, b) else { return Ok(false) };
        let (gold, answer) = (self.difference(left, right), self.difference(other_left, other_right));
        let differences =
            relations.iter().chain(others).all(|own| own.is_inequality() || *own == Relation::NotEqual);
        if !differences {
            return Ok(false);
        }
        let Some(ratio) = self.proportional(gold, answer)? else { return Ok(false) };
        Ok(relations[0] == if ratio > 0.0 { others[0] } else { others[0].flipped() })
    }
}
