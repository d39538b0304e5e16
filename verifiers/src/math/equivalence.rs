//! Whether two parsed answers are the same.

use std::collections::BTreeMap;

use super::ball::Ball;
use super::complex::Complex;
use super::evaluate::{Budget, Points, exact, modulo_prime, numeric};
use super::expression::{Arena, Binary, Constant, Function, Id, Node, Relation, Unary, holds};
use super::number::Rational;
use super::parser::Parsed;
use super::region::Span;
use super::{Math, Percent, STEPS, Stop, Units, words};

mod sets;

/// Lists of more members are not compared.
const MEMBERS: usize = 400;

/// Where expressions of real variables are compared.
const POINTS: [Points; 5] =
    [Points::Positive(0), Points::Positive(1), Points::Positive(2), Points::Negative(0), Points::Negative(1)];

/// Names of more parts are none.
const NAME_DEPTH: usize = 12;
/// Sets of more parts, or deeper in one another, are not compared.
const SET_DEPTH: usize = 100;

/// An expression with a choice of sign for its `±`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    id: Id,
    /// `None` while both signs are meant.
    sign: Option<i64>,
}

/// What kind of answer a part is.
enum Shape {
    List(Vec<Part>),
    Set(Vec<Part>),
    Tuple(char, char, Vec<Part>),
    Matrix(Vec<Vec<Part>>),
    Chain(Vec<Part>, Vec<Relation>),
    Region,
    Text(String),
    Ratio(Part, Part),
    Based(Rational, Rational),
    Value,
}

/// Compares two answers of one arena within a budget.
pub(super) struct Judge {
    arena: Arena,
    settings: Math,
    budget: Budget,
    /// How deep the comparison is in sets of sets.
    depth: usize,
    exact: BTreeMap<Part, Result<Rational, Stop>>,
}

type Answer = Result<bool, Stop>;

/// The name of the unknown, where it has one, and the numbers that it may be.
type Solutions = (Option<String>, Vec<Span>);

impl Judge {
    /// A judge over the expressions of `arena`.
    pub(super) fn new(arena: Arena, settings: Math) -> Self {
        Self { arena, settings, budget: Budget::new(STEPS), depth: 0, exact: BTreeMap::new() }
    }

    /// Whether the answer is the right one, units included.
    pub(super) fn same(&mut self, gold: &Parsed, answer: &Parsed) -> Answer {
        if self.settings.units == Units::Match && !self.units_agree(gold, answer) {
            return Ok(false);
        }
        self.compare(Part { id: gold.root, sign: None }, Part { id: answer.root, sign: None })
    }

    fn units_agree(&self, gold: &Parsed, answer: &Parsed) -> bool {
        let known = |parsed: &Parsed| -> Vec<&'static str> {
            let mut names: Vec<_> = parsed.units.iter().flat_map(|unit| words::units(unit)).collect();
            if matches!(self.arena.node(self.arena.peel(parsed.root)), Node::Unary(Unary::Degree, _)) {
                names.push("degree");
            }
            names.sort_unstable();
            names.dedup();
            names
        };
        let (gold, answer) = (known(gold), known(answer));
        gold.is_empty() || answer.is_empty() || gold == answer
    }

    fn shape(&self, part: Part) -> Shape {
        let id = self.arena.peel(part.id);
        let member = |id: Id| Part { id, sign: part.sign };
        match self.arena.node(id) {
            Node::List(items) => Shape::List(self.members(items, part.sign)),
            Node::Rows(items) => Shape::List(self.rows(items, part.sign)),
            Node::Group('S', _, Some(item)) => Shape::Set(match self.arena.node(*item) {
                Node::List(items) => self.members(items, part.sign),
                Node::Rows(items) => self.rows(items, part.sign),
                _ => self.members(&[*item], part.sign),
            }),
            Node::Group(open, close, Some(item)) => match self.arena.node(*item) {
                Node::List(items) | Node::Rows(items) => {
                    Shape::Tuple(*open, *close, items.iter().map(|id| member(*id)).collect())
                }
                _ => Shape::Value,
            },
            Node::Matrix(rows) => {
                Shape::Matrix(rows.iter().map(|row| row.iter().map(|id| member(*id)).collect()).collect())
            }
            Node::Chain(members, relations) => {
                Shape::Chain(members.iter().map(|id| member(*id)).collect(), relations.clone())
            }
            Node::Binary(Binary::Union | Binary::Intersection | Binary::Difference, ..)
            | Node::Constant(Constant::Reals | Constant::Empty) => Shape::Region,
            Node::Text(text) => Shape::Text(text.clone()),
            Node::Binary(Binary::Ratio, left, right) => Shape::Ratio(member(*left), member(*right)),
            Node::Based(digits, base) => Shape::Based(digits.clone(), base.clone()),
            _ if part.sign.is_none() && self.has_both_signs(id) => {
                Shape::List([1, -1].map(|sign| Part { id, sign: Some(sign) }).to_vec())
            }
            _ => Shape::Value,
        }
    }

    fn has_both_signs(&self, id: Id) -> bool {
        self.arena.holds(id, holds::BOTH_SIGNS)
    }

    /// The members of a list or set, each `±` as two of them.
    fn members(&self, items: &[Id], sign: Option<i64>) -> Vec<Part> {
        let mut parts = Vec::new();
        for id in items {
            let part = Part { id: *id, sign };
            let simple = matches!(self.arena.node(*id), Node::Number { .. } | Node::Symbol(_));
            match if simple { Shape::Value } else { self.shape(part) } {
                Shape::List(inner) if inner.len() == 2 && inner[0].sign != part.sign => parts.extend(inner),
                Shape::Chain(..) if sign.is_none() && self.has_both_signs(*id) => {
                    parts.extend([1, -1].map(|sign| Part { id: *id, sign: Some(sign) }));
                }
                _ => parts.push(part),
            }
        }
        parts
    }

    /// The members between semicolons.
    fn rows(&self, items: &[Id], sign: Option<i64>) -> Vec<Part> {
        self.members(items, sign)
    }

    fn compare(&mut self, gold: Part, answer: Part) -> Answer {
        self.budget.spend(4)?;
        self.deeper(|judge| judge.compare_shapes(gold, answer))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth >= SET_DEPTH {
            return Err(Stop::Budget);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn compare_shapes(&mut self, gold: Part, answer: Part) -> Answer {
        match (self.shape(gold), self.shape(answer)) {
            (Shape::Text(gold), Shape::Text(answer)) => Ok(gold.trim().eq_ignore_ascii_case(answer.trim())),
            (Shape::Chain(members, relations), other) => {
                self.chain(gold, &members, &relations, answer, other)
            }
            (other, Shape::Chain(members, relations)) => {
                self.against_chain(gold, &other, answer, &members, &relations)
            }
            (Shape::Matrix(a), Shape::Matrix(b)) => self.matrices(&a, &b),
            (Shape::Matrix(rows), Shape::Tuple(_, _, items))
            | (Shape::Tuple(_, _, items), Shape::Matrix(rows)) => {
                let column: Vec<Part> = rows.iter().filter(|row| row.len() == 1).map(|row| row[0]).collect();
                Ok(column.len() == rows.len() && self.in_order(&column, &items)?)
            }
            (Shape::Tuple(open, close, a), Shape::Tuple(other_open, other_close, b)) => {
                // Two numbers in brackets may be an interval, whose brackets mean something.
                let same_brackets = (open, close) == (other_open, other_close);
                Ok((a.len() != 2 || same_brackets) && self.in_order(&a, &b)?)
            }
            (Shape::Region, _) | (_, Shape::Region) => self.regions(gold, answer),
            (Shape::Tuple('(', ')', a), Shape::Set(b)) if self.settings.tuple_as_set => {
                Ok(self.increases(&a)? && self.without_order(&a, &b)?)
            }
            (Shape::List(a) | Shape::Set(a), Shape::List(b) | Shape::Set(b)) => self.lists(&a, &b),
            (Shape::List(a), Shape::Tuple(_, _, b)) => Ok(self.named(&a).is_some() && self.lists(&a, &b)?),
            (Shape::Tuple(_, _, a), Shape::List(b)) => {
                Ok(self.named(&b).is_some_and(|(names, _)| names.len() == b.len()) && {
                    let values: Vec<Part> = b.iter().map(|part| self.value_of(*part).1).collect();
                    self.in_order(&a, &values)?
                })
            }
            (Shape::List(a) | Shape::Set(a), Shape::Value) if a.len() == 1 => self.compare(a[0], answer),
            (Shape::Value, Shape::Set(b)) if b.len() == 1 => self.compare(gold, b[0]),
            // `\frac12 or 0.5` is one value.
            (Shape::Value, Shape::List(b)) => self.all_equal(gold, &b),
            (Shape::Ratio(a, b), Shape::Ratio(c, d)) => Ok(self.compare(a, c)? && self.compare(b, d)?),
            (Shape::Based(a, base), Shape::Based(b, other)) => Ok(a == b && base == other),
            (Shape::Value, Shape::Value) => self.values(gold, answer),
            _ => Ok(false),
        }
    }

    fn matrices(&mut self, a: &[Vec<Part>], b: &[Vec<Part>]) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !self.in_order(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn in_order(&mut self, a: &[Part], b: &[Part]) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !self.compare(*a, *b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether each member of one list is in the other.
    fn without_order(&mut self, a: &[Part], b: &[Part]) -> Answer {
        if a.len() > MEMBERS || b.len() > MEMBERS {
            return Err(Stop::Budget);
        }
        let mut met = vec![false; b.len()];
        for gold in a {
            let mut found = false;
            for (at, answer) in b.iter().enumerate() {
                // A member that is met already may be met again, but not every pair need be compared.
                if (!found || !met[at]) && self.compare(*gold, *answer)? {
                    met[at] = true;
                    found = true;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(met.into_iter().all(|met| met))
    }

    fn lists(&mut self, a: &[Part], b: &[Part]) -> Answer {
        if a.is_empty() || b.is_empty() {
            return Ok(a.is_empty() && b.is_empty());
        }
        if let Some((names, values)) = self.named(a) {
            return match self.named(b) {
                Some((other, other_values)) => self.by_name(&names, &values, &other, &other_values),
                None => self.in_order(&values, b),
            };
        }
        if let Some((_, values)) = self.named(b) {
            return self.in_order(a, &values);
        }
        // Rows of several values are tuples: `p=5,q=2;p=7,q=2`.
        let a: Vec<Part> = a.iter().map(|part| self.value_of(*part).1).collect();
        let b: Vec<Part> = b.iter().map(|part| self.value_of(*part).1).collect();
        self.without_order(&a, &b)
    }

    fn by_name(&mut self, names: &[String], a: &[Part], others: &[String], b: &[Part]) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (name, gold) in names.iter().zip(a) {
            let Some(at) = others.iter().position(|other| other == name) else { return Ok(false) };
            if !self.compare(*gold, b[at])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The names and values of a list of two or more equations that each give another name a value.
    fn named(&self, items: &[Part]) -> Option<(Vec<String>, Vec<Part>)> {
        let pairs: Vec<(Option<String>, Part)> = items.iter().map(|part| self.value_of(*part)).collect();
        let names: Vec<String> = pairs.iter().map_while(|(name, _)| name.clone()).collect();
        let distinct = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
        (names.len() == items.len() && names.len() > 1 && distinct)
            .then(|| (names, pairs.into_iter().map(|(_, value)| value).collect()))
    }

    /// The name and the value of `name = value`, or the part itself.
    fn value_of(&self, part: Part) -> (Option<String>, Part) {
        if let Shape::Chain(members, relations) = self.shape(part) {
            let gives = relations.iter().all(|relation| matches!(relation, Relation::Equal | Relation::In));
            if let (true, [name, value]) = (gives, members.as_slice())
                && let Some(name) = self.name_of(name.id)
            {
                return (Some(name), *value);
            }
        }
        (None, part)
    }

    /// The name that an expression is, where it is one: `x`, `f(x)`, `AB`, `|AB|`, `(p, q)`, `S_1 : S_2`.
    fn name_of(&self, id: Id) -> Option<String> {
        self.name_within(id, NAME_DEPTH)
    }

    fn name_within(&self, id: Id, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let id = self.arena.peel(id);
        let upper = |id: Id| {
            self.name_within(id, depth).filter(|name| name.starts_with(|first: char| first.is_uppercase()))
        };
        match self.arena.node(id) {
            Node::Symbol(name) => Some(self.arena.spelling(*name).to_owned()),
            Node::Constant(Constant::E) => Some("e".to_owned()),
            Node::Constant(Constant::I) => Some("i".to_owned()),
            Node::Text(text) => Some(text.trim().to_lowercase()),
            Node::Apply(name, _) => Some(format!("{}(", self.arena.spelling(*name))),
            Node::Binary(Binary::Index, name, _) => {
                self.name_within(*name, depth).map(|name| format!("{name}_"))
            }
            Node::Binary(Binary::Multiply, left, right) => match self.arena.node(*right) {
                Node::Group('(', ')', _) => match self.arena.node(*left) {
                    Node::Symbol(name) => Some(format!("{}(", self.arena.spelling(*name))),
                    _ => None,
                },
                _ => Some(upper(*left)? + &upper(*right)?),
            },
            Node::Binary(Binary::Divide, left, right) => Some(upper(*left)? + "/" + &upper(*right)?),
            Node::Binary(Binary::Ratio, left, right) => Some(upper(*left)? + ":" + &upper(*right)?),
            Node::Call(Function::Abs, items) => items.first().and_then(|item| upper(*item)),
            Node::Group('(', ')', Some(item)) => match self.arena.node(*item) {
                Node::List(items) => {
                    let names: Option<Vec<String>> =
                        items.iter().map(|id| self.name_within(*id, depth)).collect();
                    names.map(|names| format!("({})", names.join(",")))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The members of a chain that its right side claims to be equal, and the name that is given this value.
    fn claims(&self, members: &[Part], relations: &[Relation]) -> Option<(Option<String>, Vec<Part>)> {
        let exact = relations
            .iter()
            .take_while(|relation| matches!(relation, Relation::Equal | Relation::In))
            .count();
        if relations[exact..].iter().any(|relation| *relation != Relation::Approximate) {
            return None;
        }
        let name = self.name_of(members[0].id);
        // `x ≈ 11` has nothing exact to its right.
        let end = if exact == 0 { 2 } else { exact + 1 };
        let start = usize::from(name.is_some());
        Some((name, members[start..end].to_vec()))
    }

    fn chain(
        &mut self,
        gold: Part,
        members: &[Part],
        relations: &[Relation],
        answer: Part,
        other: Shape,
    ) -> Answer {
        if let Some((name, values)) = self.claims(members, relations) {
            let value = values.last().copied();
            if let Shape::Chain(others, other_relations) = &other {
                if let Some((other_name, other_values)) = self.claims(others, other_relations) {
                    let same_name = name.is_some() && name == other_name;
                    if let (true, Some(value)) = (same_name, value)
                        && self.all_equal(value, &other_values)?
                    {
                        return Ok(true);
                    }
                    return self.equations(members, others);
                }
                return Ok(false);
            }
            return match (name, value) {
                (Some(_), Some(value)) => self.compare(value, answer),
                _ => Ok(false),
            };
        }
        if let Shape::Chain(others, other_relations) = &other {
            if self.inequalities(members, relations, others, other_relations)? {
                return Ok(true);
            }
            let (Some((name, spans)), Some((other, others))) =
                (self.solutions(gold)?, self.solutions(answer)?)
            else {
                return Ok(false);
            };
            return Ok(
                (name.is_none() || other.is_none() || name == other) && self.same_spans(&spans, &others)?
            );
        }
        match (self.solutions(gold)?, self.region(answer)?) {
            (Some((_, spans)), Some(others)) => self.same_spans(&spans, &others),
            _ => Ok(false),
        }
    }

    fn all_equal(&mut self, gold: Part, claims: &[Part]) -> Answer {
        for claim in claims {
            if !self.compare(gold, *claim)? {
                return Ok(false);
            }
        }
        Ok(!claims.is_empty())
    }

    fn against_chain(
        &mut self,
        gold: Part,
        shape: &Shape,
        answer: Part,
        members: &[Part],
        relations: &[Relation],
    ) -> Answer {
        if let Some((_, values)) = self.claims(members, relations) {
            return self.all_equal(gold, &values);
        }
        if !self.settings.set_relation || !matches!(shape, Shape::Region | Shape::Tuple(..) | Shape::Set(_)) {
            return Ok(false);
        }
        match (self.region(gold)?, self.solutions(answer)?) {
            (Some(spans), Some((_, others))) => self.same_spans(&spans, &others),
            _ => Ok(false),
        }
    }

    /// Whether two equations have the same solutions: their differences are proportional.
    fn equations(&mut self, a: &[Part], b: &[Part]) -> Answer {
        let (&[left, right], &[other_left, other_right]) = (a, b) else { return Ok(false) };
        let difference = |judge: &mut Self, a: Part, b: Part| {
            let id = judge.arena.push(Node::Binary(Binary::Subtract, a.id, b.id));
            Part { id, sign: a.sign }
        };
        let (gold, answer) = (difference(self, left, right), difference(self, other_left, other_right));
        self.proportional(gold, answer).map(|ratio| ratio.is_some())
    }

    /// The constant that the second expression is of the first, if it is one and not 0.
    fn proportional(&mut self, gold: Part, answer: Part) -> Result<Option<f64>, Stop> {
        let names = self.names(gold);
        if names.is_empty()
            || names != self.names(answer)
            || self.arena.holds(gold.id, holds::MATRIX)
            || self.arena.holds(answer.id, holds::MATRIX)
        {
            return Ok(None);
        }
        let mut ratio: Option<Complex> = None;
        let mut count = 0;
        for points in POINTS {
            let values = [gold, answer]
                .map(|part| numeric(&self.arena, part.id, part.sign.unwrap_or(1), points, &mut self.budget));
            let [a, b] = match values {
                [Err(Stop::Budget), _] | [_, Err(Stop::Budget)] => return Err(Stop::Budget),
                [Ok(a), Ok(b)] => [a, b],
                _ => continue,
            };
            if a.may_be_zero() || b.may_be_zero() {
                return Ok(None);
            }
            if matches!(points, Points::Negative(_)) && !(a.may_be_real() && b.may_be_real()) {
                continue;
            }
            let next = b.div(&a)?;
            match &ratio {
                None => ratio = Some(next),
                Some(ratio) if ratio.same(&next) != Some(true) => return Ok(None),
                Some(_) => {}
            }
            count += 1;
        }
        Ok(ratio.filter(|ratio| count >= 3 && ratio.may_be_real()).map(|ratio| ratio.re.to_f64()))
    }

    /// Whether two chains of inequalities say the same, member by member or as differences.
    fn inequalities(
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
        let mut difference = |a: Part, b: Part| {
            let id = self.arena.push(Node::Binary(Binary::Subtract, a.id, b.id));
            Part { id, sign: a.sign }
        };
        let (gold, answer) = (difference(left, right), difference(other_left, other_right));
        let Some(ratio) = self.proportional(gold, answer)? else { return Ok(false) };
        Ok(relations[0] == if ratio > 0.0 { others[0] } else { others[0].flipped() })
    }

    fn increases(&mut self, items: &[Part]) -> Answer {
        for pair in items.windows(2) {
            match (self.exact(pair[0]), self.exact(pair[1])) {
                (Ok(a), Ok(b)) if a < b => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The names in an expression that a value must be given to.
    fn names(&self, part: Part) -> Vec<&str> {
        if !self.arena.holds(part.id, holds::NAME) {
            return Vec::new();
        }
        let below = self.arena.below(part.id, |_| None);
        let bound: Vec<&str> = below
            .iter()
            .filter_map(|id| match self.arena.node(*id) {
                Node::Big(_, name, _) => Some(self.arena.spelling(*name)),
                _ => None,
            })
            .collect();
        let mut names: Vec<&str> = below
            .iter()
            .filter_map(|id| match self.arena.node(*id) {
                Node::Symbol(name) | Node::Apply(name, _) => Some(self.arena.spelling(*name)),
                _ => None,
            })
            .filter(|name| !bound.contains(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn exact(&mut self, part: Part) -> Result<Rational, Stop> {
        if let Some(known) = self.exact.get(&part) {
            return known.clone();
        }
        let value = exact(&self.arena, part.id, part.sign.unwrap_or(1), &mut self.budget);
        self.exact.insert(part, value.clone());
        value
    }

    fn values(&mut self, gold: Part, answer: Part) -> Answer {
        if self.expressions(gold, answer)? {
            return Ok(true);
        }
        // Where the right answer is a percentage, its sign may be missing.
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

    fn expressions(&mut self, gold: Part, answer: Part) -> Answer {
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
    fn closed(&mut self, gold: Part, answer: Part) -> Answer {
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
        // What is too large to be written out, and too large to be estimated, is over the budget.
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

    /// The places and digits of a decimal that an expression is, signs and powers of ten aside.
    fn decimal(&self, part: Part) -> Option<(i64, u32)> {
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

    /// Whether a decimal is near enough to what it is a decimal of.
    fn within_tolerance(&mut self, gold: Part, a: &Ball, answer: Part, b: &Ball) -> bool {
        let (gold_decimal, answer_decimal) =
            (self.decimal(gold), self.arena.holds(answer.id, holds::DECIMAL));
        let whole = self.exact(gold).ok().and_then(|value| value.to_integer());
        if whole.is_some() && gold_decimal.is_none() {
            return false;
        }
        let difference = a.sub(b).abs().to_f64();
        let size = a.abs().to_f64();
        // 0.333333 is a millionth off a third to the last bit.
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
    fn open(&mut self, gold: Part, answer: Part) -> Answer {
        let sign = |part: Part| part.sign.unwrap_or(1);
        let mut agreed = 0;
        for point in 0..4 {
            let a = modulo_prime(&self.arena, gold.id, sign(gold), point, &mut self.budget);
            let b = modulo_prime(&self.arena, answer.id, sign(answer), point, &mut self.budget);
            match (a, b) {
                (Ok(a), Ok(b)) if a == b => agreed += 1,
                (Ok(_), Ok(_)) => return Ok(false),
                (Err(Stop::Budget), _) | (_, Err(Stop::Budget)) => return Err(Stop::Budget),
                // Undefined modulo the prime at a random point: undefined, or as rare as a collision.
                (Err(Stop::Undefined), _) | (_, Err(Stop::Undefined)) => {}
                _ => return self.at_points(gold, answer),
            }
            if agreed == 2 {
                return Ok(true);
            }
        }
        Err(Stop::Undefined)
    }

    fn at_points(&mut self, gold: Part, answer: Part) -> Answer {
        let discrete = [gold, answer].into_iter().any(|part| self.arena.holds(part.id, holds::DISCRETE));
        let points = if discrete { [0, 1, 2, 3, 4].map(Points::Whole) } else { POINTS };
        let mut agreed = 0;
        for points in points {
            let [a, b] = [gold, answer]
                .map(|part| numeric(&self.arena, part.id, part.sign.unwrap_or(1), points, &mut self.budget));
            let (a, b) = match (a, b) {
                (Ok(a), Ok(b)) => (a, b),
                (Err(Stop::Budget), _) | (_, Err(Stop::Budget)) => return Err(Stop::Budget),
                // Defined on one side only: not the same function.
                (Ok(_), Err(Stop::Undefined)) | (Err(Stop::Undefined), Ok(_)) => return Ok(false),
                _ => continue,
            };
            // Below 0 the branches of roots and logarithms differ by convention: only real values count there.
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
