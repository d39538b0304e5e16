//! Intervals, sets, and the solutions of inequalities, as sets of real numbers.

use std::cmp::Ordering;

use super::super::Stop;
use super::super::expression::{Binary, Constant, Function, Id, Node, Relation, Unary, holds};
use super::super::numeric::Weighed;
use super::super::region::{self, End, Limit, Span};
use super::{Answer, Judge, Part, Shape, Solutions};

impl Judge {
    /// The numbers that satisfy a chain of inequalities with one name, or a list of such chains, and the name.
    pub(super) fn solutions(&mut self, part: Part) -> Result<Option<Solutions>, Stop> {
        let (members, relations) = match self.shape(part) {
            Shape::Chain(members, relations) => (members, relations),
            Shape::List(items) if self.are_chains(&items) => {
                let either = self.arena.holds(part.id, holds::EITHER);
                return self.joint_solutions(&items, either);
            }
            _ => return Ok(None),
        };
        let at = members.iter().position(|part| {
            matches!(self.arena.node(self.arena.peel(part.id)), Node::Call(Function::Abs, _))
                || self.name_of(part.id).is_some()
        });
        let Some(at) = at else { return Ok(None) };
        if relations == [Relation::In] && at == 0 {
            return Ok(self.region(members[1])?.map(|spans| (self.name_of(members[0].id), spans)));
        }
        if relations == [Relation::NotEqual] {
            let Some(end) = self.end(members[1 - at], true)? else { return Ok(None) };
            let spans = region::difference(&[Span::all()], &[Span { low: end.clone(), high: end }]);
            return Ok(Some((self.name_of(members[at].id), spans)));
        }
        if !relations.iter().all(|relation| relation.is_inequality()) || members.len() > 3 {
            return Ok(None);
        }
        let mut spans = vec![Span::all()];
        for (side, relation) in relations.iter().enumerate() {
            let (bound, relation) = match side {
                _ if side == at => (members[at + 1], relation.flipped()),
                _ if side + 1 == at => (members[side], *relation),
                _ => return Ok(None),
            };
            let closed = matches!(relation, Relation::LessEqual | Relation::GreaterEqual);
            let Some(end) = self.end(bound, closed)? else { return Ok(None) };
            // `bound < name` keeps what is above the bound.
            let above = matches!(relation, Relation::Less | Relation::LessEqual);
            let half =
                if above { Span { low: end, ..Span::all() } } else { Span { high: end, ..Span::all() } };
            spans = region::intersection(&spans, &[half]);
        }
        let name_id = self.arena.peel(members[at].id);
        let absolute = match self.arena.node(name_id) {
            Node::Call(Function::Abs, items) => items.first().copied(),
            _ => None,
        };
        let Some(inner) = absolute else { return Ok(Some((self.name_of(name_id), spans))) };
        let Some(name) = self.name_of(inner) else { return Ok(None) };
        let zero = End { limit: Limit::zero(), expression: None, closed: true };
        let positive = region::intersection(&spans, &[Span { low: zero, ..Span::all() }]);
        let mirror = |end: &End| End {
            limit: end.limit.opposite(),
            expression: end.expression.map(|(id, sign, negative)| (id, sign, !negative)),
            closed: end.closed,
        };
        let negative = positive.iter().map(|span| Span { low: mirror(&span.high), high: mirror(&span.low) });
        let spans = positive.iter().cloned().chain(negative).collect();
        Ok(Some((Some(name), region::union(spans))))
    }

    /// Whether all members of a list are inequalities.
    pub(super) fn are_chains(&self, items: &[Part]) -> bool {
        items.iter().all(|part| match self.shape(*part) {
            Shape::Chain(_, relations) => {
                relations.iter().all(|relation| relation.is_inequality() || *relation == Relation::NotEqual)
            }
            _ => false,
        })
    }

    /// The solutions of several inequalities for one name: the numbers that satisfy all of them. After "or", or if no
    /// number satisfies all, the numbers that satisfy any of them.
    fn joint_solutions(&mut self, items: &[Part], either: bool) -> Result<Option<Solutions>, Stop> {
        let (mut all, mut any) = (vec![Span::all()], Vec::new());
        let mut known = None;
        for item in items {
            let Some((name, spans)) = self.deeper(|judge| judge.solutions(*item))? else { return Ok(None) };
            if *known.get_or_insert_with(|| name.clone()) != name {
                return Ok(None);
            }
            self.budget.spend((all.len() * spans.len()) as u64)?;
            all = region::intersection(&all, &spans);
            any.extend(spans);
        }
        let spans = if either || all.is_empty() { region::union(any) } else { all };
        Ok(known.map(|name| (name, spans)))
    }

    /// An end of a span: a real number or an infinity.
    fn end(&mut self, part: Part, closed: bool) -> Result<Option<End>, Stop> {
        let id = self.arena.peel(part.id);
        match self.arena.node(id) {
            Node::Constant(Constant::Infinity) => return Ok(Some(End::infinite(Limit::High))),
            Node::Unary(Unary::Negative, item)
                if matches!(self.arena.node(self.arena.peel(*item)), Node::Constant(Constant::Infinity)) =>
            {
                return Ok(Some(End::infinite(Limit::Low)));
            }
            _ => {}
        }
        if !self.names(part).is_empty() || !matches!(self.shape(part), Shape::Value) {
            return Ok(None);
        }
        let sign = part.sign.unwrap_or(1);
        match self.number(Part { id, sign: part.sign }) {
            Ok(Weighed { number, weight }) if number.may_be_real() => {
                let limit = Limit::Number(number.re, weight);
                Ok(Some(End { limit, expression: Some((id, sign, false)), closed }))
            }
            Err(Stop::Budget) => Err(Stop::Budget),
            _ => Ok(None),
        }
    }

    /// The set of numbers that an interval, a set or a combination of them stands for.
    pub(super) fn region(&mut self, part: Part) -> Result<Option<Vec<Span>>, Stop> {
        self.deeper(|judge| judge.region_of_shape(part))
    }

    fn region_of_shape(&mut self, part: Part) -> Result<Option<Vec<Span>>, Stop> {
        match self.shape(part) {
            Shape::Tuple(open, close, items) => {
                let &[low, high] = items.as_slice() else { return Ok(None) };
                let (Some(low), Some(high)) = (self.end(low, open == '[')?, self.end(high, close == ']')?)
                else {
                    return Ok(None);
                };
                Ok((low.order(&high) != Ordering::Greater).then(|| region::union(vec![Span { low, high }])))
            }
            Shape::Set(items) => {
                let mut spans = Vec::new();
                for item in items {
                    let Some(end) = self.end(item, true)? else { return Ok(None) };
                    spans.push(Span { low: end.clone(), high: end });
                }
                Ok(Some(region::union(spans)))
            }
            Shape::Region => match *self.arena.node(self.arena.peel(part.id)) {
                Node::Constant(Constant::Reals) => Ok(Some(vec![Span::all()])),
                Node::Constant(Constant::Empty) => Ok(Some(Vec::new())),
                Node::Builder(condition) => {
                    Ok(self.solutions(Part { id: condition, sign: part.sign })?.map(|(_, spans)| spans))
                }
                Node::Binary(operation, left, right) => {
                    let side = |id| Part { id, sign: part.sign };
                    let (Some(left), Some(right)) = (self.region(side(left))?, self.region(side(right))?)
                    else {
                        return Ok(None);
                    };
                    self.budget.spend((left.len() * right.len()) as u64)?;
                    Ok(Some(match operation {
                        Binary::Union => region::union([left, right].concat()),
                        Binary::Intersection => region::intersection(&left, &right),
                        _ => region::difference(&left, &right),
                    }))
                }
                _ => Ok(None),
            },
            // A chain in a union: `x < 1 ∪ x > 2`.
            Shape::Chain(..) => Ok(self.solutions(part)?.map(|(_, spans)| spans)),
            _ => Ok(None),
        }
    }

    /// The union of several intervals, or `None` if one of the parts is not an interval.
    pub(super) fn union_of(&mut self, items: &[Part]) -> Result<Option<Vec<Span>>, Stop> {
        let mut spans = Vec::new();
        for item in items {
            match self.shape(*item) {
                Shape::Tuple(..) | Shape::Region => {}
                _ => return Ok(None),
            }
            let Some(own) = self.region(*item)? else { return Ok(None) };
            spans.extend(own);
        }
        Ok(Some(region::union(spans)))
    }

    pub(super) fn regions(&mut self, gold: Part, answer: Part) -> Answer {
        match (self.region(gold)?, self.region(answer)?) {
            (Some(spans), Some(others)) => self.same_spans(&spans, &others),
            // The ends are not numbers, so the operands are compared in order.
            _ => {
                match (self.arena.node(self.arena.peel(gold.id)), self.arena.node(self.arena.peel(answer.id)))
                {
                    (&Node::Builder(a), &Node::Builder(b)) => {
                        let part = |id, sign| Part { id, sign };
                        self.compare(part(a, gold.sign), part(b, answer.sign))
                    }
                    (&Node::Binary(operation, a, b), &Node::Binary(other, c, d)) if operation == other => {
                        let part = |id, sign| Part { id, sign };
                        let (a, b) = (part(a, gold.sign), part(b, gold.sign));
                        let (c, d) = (part(c, answer.sign), part(d, answer.sign));
                        let commutes = operation != Binary::Difference;
                        Ok(self.compare(a, c)? && self.compare(b, d)?
                            || commutes && self.compare(a, d)? && self.compare(b, c)?)
                    }
                    _ => Ok(false),
                }
            }
        }
    }

    pub(super) fn same_spans(&mut self, a: &[Span], b: &[Span]) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !(self.same_ends(&a.low, &b.low)? && self.same_ends(&a.high, &b.high)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn same_ends(&mut self, a: &End, b: &End) -> Answer {
        if a.closed != b.closed {
            return Ok(false);
        }
        let (Some(left), Some(right)) = (a.expression, b.expression) else {
            return Ok(a.order(b) == Ordering::Equal);
        };
        let mut part = |(id, sign, negative): (Id, i64, bool)| {
            let id = if negative { self.arena.push(Node::Unary(Unary::Negative, id)) } else { id };
            Part { id, sign: Some(sign) }
        };
        let (left, right) = (part(left), part(right));
        self.values(left, right)
    }
}
