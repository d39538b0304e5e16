//! Decides whether two parsed answers are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::evaluate::Budget;
use super::expression::{Arena, Binary, Constant, Id, Node, Relation, Unary, holds};
use super::modulo::Formal;
use super::number::Rational;
use super::parser::Parsed;
use super::points::Seed;
use super::region::Span;
use super::{Math, Stop, Units, units, words};

mod families;
mod names;
mod relations;
mod sets;
mod values;

/// Lists with more members are not compared.
const MEMBERS: usize = 2000;

/// Expressions with more parts are not read as a name.
const NAME_DEPTH: usize = 12;
/// Sets with more parts, or nested more deeply, are not compared.
const SET_DEPTH: usize = 100;

/// An expression and the sign chosen for its `±`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    id: Id,
    /// `None` while both signs are possible.
    sign: Option<i64>,
}

/// The kind of answer that a part is.
enum Shape {
    List(Vec<Part>),
    Set(Vec<Part>),
    Tuple(char, char, Vec<Part>),
    Matrix(Vec<Vec<Part>>),
    Chain(Vec<Part>, Vec<Relation>),
    Region,
    Cases(Vec<[Part; 2]>),
    Congruence(Option<Part>, Part, Part),
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
    /// Gives the points at which expressions are compared.
    seed: Seed,
    formal: Formal,
    /// The nesting depth in sets of sets.
    depth: usize,
    exact: BTreeMap<Part, Result<Rational, Stop>>,
}

type Answer = Result<bool, Stop>;

/// The name of the unknown, if it has one, and the numbers that it may be.
type Solutions = (Option<String>, Vec<Span>);

impl Judge {
    /// Makes a judge of the expressions in `arena` with a budget of `steps`, at points that follow from `seed`.
    pub(super) fn new(arena: Arena, settings: Math, seed: Seed, steps: u64) -> Self {
        let (budget, formal, exact) = (Budget::new(steps), Formal::new(seed), BTreeMap::new());
        Self { arena, settings, budget, seed, formal, depth: 0, exact }
    }

    /// Whether the answer equals the right one, including its units.
    pub(super) fn same(&mut self, gold: &Parsed, answer: &Parsed) -> Answer {
        // `12 pairs` is not 12, however units are treated.
        let turns = |parsed: &Parsed| -> Vec<_> {
            parsed.units.iter().flat_map(|unit| words::turns(&unit.text)).collect()
        };
        if turns(gold) != turns(answer) {
            return Ok(false);
        }
        let gold_part = Part { id: gold.root, sign: None };
        let answer_part = Part { id: answer.root, sign: None };
        if let (Some(own), Some(other)) = (self.measured_members(gold), self.measured_members(answer)) {
            let ordered = [gold, answer]
                .iter()
                .any(|parsed| matches!(self.shape(Part { id: parsed.root, sign: None }), Shape::Tuple(..)));
            return self.measured_lists(&own, &other, ordered);
        }
        let agree = self.settings.units == Units::Ignore || self.measure(gold).agrees(&self.measure(answer));
        Ok(agree && self.compare(gold_part, answer_part)?)
    }

    /// What stands beside the number of an answer. A sign of degrees is a unit.
    fn measure(&self, parsed: &Parsed) -> units::Measure {
        let mut texts: Vec<String> = parsed.units.iter().map(|unit| unit.text.clone()).collect();
        if self.in_degrees(parsed.root) {
            texts.push("degree".to_owned());
        }
        units::measure(&texts)
    }

    /// The members of a list in which each has its own unit, or `None` if all have the same or none.
    fn measured_members(&self, parsed: &Parsed) -> Option<Vec<(Part, units::Measure)>> {
        if parsed.units.len() < 2 || self.settings.units == Units::Ignore {
            return None;
        }
        let members = match self.shape(Part { id: parsed.root, sign: None }) {
            Shape::List(members) | Shape::Set(members) | Shape::Tuple(_, _, members) => members,
            _ => return None,
        };
        let measures: Vec<units::Measure> = (0..members.len())
            .map(|at| {
                let own = parsed.units.iter().filter(|unit| unit.member == at).map(|unit| unit.text.clone());
                units::measure(&own.collect::<Vec<_>>())
            })
            .collect();
        let differ = measures.iter().any(|measure| !measure.is_empty() && *measure != measures[0]);
        differ.then(|| members.into_iter().zip(measures).collect())
    }

    /// Whether two lists have the same members with the same units.
    fn measured_lists(
        &mut self,
        a: &[(Part, units::Measure)],
        b: &[(Part, units::Measure)],
        ordered: bool,
    ) -> Answer {
        let mut met = vec![false; b.len()];
        for (place, (part, measure)) in a.iter().enumerate() {
            let mut found = None;
            for (at, (other, other_measure)) in b.iter().enumerate() {
                if !met[at]
                    && (!ordered || at == place)
                    && measure.agrees(other_measure)
                    && self.compare(*part, *other)?
                {
                    found = Some(at);
                    break;
                }
            }
            let Some(at) = found else { return Ok(false) };
            met[at] = true;
        }
        Ok(a.len() == b.len())
    }

    fn in_degrees(&self, id: Id) -> bool {
        match self.arena.node(self.arena.peel(id)) {
            Node::Unary(Unary::Degree, _) => true,
            Node::Unary(Unary::Negative, item) => self.in_degrees(*item),
            // `\angle ABC = 45^\circ`
            Node::Chain(members, _) => members.last().is_some_and(|last| self.in_degrees(*last)),
            _ => false,
        }
    }

    /// Whether both expressions have the same structure, whatever their values are.
    pub(super) fn written_alike(&self, gold: &Parsed, answer: &Parsed) -> bool {
        self.arena.alike(gold.root, answer.root)
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
            Node::Builder(_) => Shape::Region,
            Node::Cases(rows) => Shape::Cases(rows.iter().map(|row| row.map(member)).collect()),
            Node::Congruence(name, residue, modulus) => {
                Shape::Congruence(name.map(member), member(*residue), member(*modulus))
            }
            Node::Text(text) => Shape::Text(text.clone()),
            // A point after its name: `A(2, 3)`.
            Node::Binary(Binary::Multiply, label, point)
                if self.is_label(*label) && self.is_point(*point) =>
            {
                self.shape(member(*point))
            }
            Node::Binary(Binary::Ratio, left, right) => Shape::Ratio(member(*left), member(*right)),
            Node::Based(digits, base) => Shape::Based(digits.clone(), base.clone()),
            _ if part.sign.is_none() && self.has_both_signs(id) => {
                Shape::List([1, -1].map(|sign| Part { id, sign: Some(sign) }).to_vec())
            }
            _ => Shape::Value,
        }
    }

    fn is_label(&self, id: Id) -> bool {
        match self.arena.node(id) {
            Node::Symbol(name) => self.arena.spelling(*name).starts_with(char::is_uppercase),
            _ => false,
        }
    }

    fn is_point(&self, id: Id) -> bool {
        match self.arena.node(id) {
            Node::Group('(', ')', Some(item)) => matches!(self.arena.node(*item), Node::List(_)),
            _ => false,
        }
    }

    fn has_both_signs(&self, id: Id) -> bool {
        self.arena.holds(id, holds::BOTH_SIGNS)
    }

    /// The members of a list or set. A member with `±` counts as two.
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
        // `x = 1 ∧ y = 2` is not `x = 1 ∨ y = 2`.
        let logic = |judge: &Self, part: Part| {
            let id = judge.arena.peel(part.id);
            let list = matches!(judge.arena.node(id), Node::List(_));
            (list && judge.arena.holds(id, holds::EITHER), list && judge.arena.holds(id, holds::BOTH))
        };
        let (own, other) = (logic(self, gold), logic(self, answer));
        if (own.0 && other.1) || (own.1 && other.0) {
            return Ok(false);
        }
        // `p ∨ q` is not the list `p, q`. For solutions, `x = 1 ∨ x = 2` is.
        if own != other && self.is_proposition(gold) && self.is_proposition(answer) {
            return Ok(false);
        }
        match (self.shape(gold), self.shape(answer)) {
            (Shape::Text(gold), Shape::Text(answer)) => Ok(gold.trim().eq_ignore_ascii_case(answer.trim())),
            (Shape::List(a), Shape::Chain(..)) if self.are_chains(&a) => self.same_solutions(gold, answer),
            (Shape::List(a), Shape::List(b)) if self.are_chains(&a) && self.are_chains(&b) => {
                match (self.solutions(gold)?, self.solutions(answer)?) {
                    (Some(_), Some(_)) => self.same_solutions(gold, answer),
                    _ => self.lists(&a, &b),
                }
            }
            (Shape::Chain(..), Shape::List(b)) if self.named(&[gold]).is_some() => self.lists(&[gold], &b),
            (Shape::List(a), Shape::Chain(..)) if self.named(&[answer]).is_some() => {
                self.lists(&a, &[answer])
            }
            (Shape::Chain(members, relations), other) => {
                self.chain(gold, &members, &relations, answer, other)
            }
            (other, Shape::Chain(members, relations)) => {
                self.against_chain(gold, &other, answer, &members, &relations)
            }
            (Shape::Matrix(a), Shape::Matrix(b)) => self.matrices(&a, &b),
            (Shape::Matrix(rows), Shape::Tuple('[', ']', items)) if self.row_tuples(&items).is_some() => {
                let others = self.row_tuples(&items).unwrap_or_default();
                self.matrices(&rows, &others)
            }
            (Shape::Matrix(rows), Shape::Tuple(_, _, items))
            | (Shape::Tuple(_, _, items), Shape::Matrix(rows)) => {
                let column: Vec<Part> = rows.iter().filter(|row| row.len() == 1).map(|row| row[0]).collect();
                Ok(column.len() == rows.len() && self.in_order(&column, &items)?)
            }
            (Shape::Tuple(open, close, a), Shape::Tuple(other_open, other_close, b)) => {
                // Two numbers in brackets may be an interval, so the kind of bracket matters.
                let same_brackets = (open, close) == (other_open, other_close);
                Ok((a.len() != 2 || same_brackets) && self.in_order(&a, &b)?)
            }
            (Shape::List(a), Shape::Region | Shape::Tuple(..)) if self.are_chains(&a) => {
                match (self.solutions(gold)?, self.region(answer)?) {
                    (Some((_, spans)), Some(others)) => self.same_spans(&spans, &others),
                    _ => Ok(false),
                }
            }
            // `(-∞, 1) or (2, ∞)` stands for their union.
            (Shape::Region, Shape::List(items)) => match (self.region(gold)?, self.union_of(&items)?) {
                (Some(spans), Some(others)) => self.same_spans(&spans, &others),
                _ => Ok(false),
            },
            (Shape::Region, _) | (_, Shape::Region) => self.regions(gold, answer),
            (Shape::Tuple('(', ')', a), Shape::Set(b)) if self.settings.tuple_as_set => {
                Ok(self.increases(&a)? && self.without_order(&a, &b)?)
            }
            (Shape::List(a) | Shape::Set(a), Shape::List(b) | Shape::Set(b)) => self.lists(&a, &b),
            (Shape::List(a), Shape::Tuple(_, _, b)) => Ok(self.named(&a).is_some() && self.lists(&a, &b)?),
            (Shape::Tuple(_, _, a), Shape::List(b)) => match self.named(&b) {
                Some((names, values)) if names.len() == b.len() => {
                    self.in_order(&a, &coordinates(&names, values))
                }
                _ => Ok(false),
            },
            (Shape::List(a) | Shape::Set(a), Shape::Value) if a.len() == 1 => self.compare(a[0], answer),
            (Shape::Value, Shape::Set(b)) if b.len() == 1 => self.compare(gold, b[0]),
            // `\frac12 or 0.5` is one value.
            (Shape::Value, Shape::List(b)) => self.all_equal(gold, &b),
            (Shape::Cases(a), Shape::Cases(b)) => self.piecewise(&a, &b),
            (Shape::Congruence(name, a, modulus), Shape::Congruence(other, b, other_modulus)) => {
                let named = match (name, other) {
                    (Some(name), Some(other)) => self.compare(name, other)?,
                    _ => true,
                };
                Ok(named && self.congruent(a, modulus, b, other_modulus)?)
            }
            (Shape::Ratio(a, b), Shape::Ratio(c, d)) => Ok(self.compare(a, c)? && self.compare(b, d)?),
            (Shape::Based(a, base), Shape::Based(b, other)) => Ok(a == b && base == other),
            (Shape::Value, Shape::Value) => self.values(gold, answer),
            _ => Ok(false),
        }
    }

    /// The rows of a matrix written as a list of lists: `[[1, 0], [0, 1]]`.
    fn row_tuples(&self, items: &[Part]) -> Option<Vec<Vec<Part>>> {
        let row = |part: &Part| match self.shape(*part) {
            Shape::Tuple('[', ']', row) => Some(row),
            _ => None,
        };
        items.iter().map(row).collect()
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

    /// Whether a list has only names as members.
    fn is_proposition(&self, part: Part) -> bool {
        match self.arena.node(self.arena.peel(part.id)) {
            Node::List(items) => {
                items.iter().all(|id| matches!(self.arena.node(self.arena.peel(*id)), Node::Symbol(_)))
            }
            _ => false,
        }
    }

    /// Whether two functions by cases have the same values under the same conditions, in any order.
    fn piecewise(&mut self, a: &[[Part; 2]], b: &[[Part; 2]]) -> Answer {
        if a.len() != b.len() {
            return Ok(false);
        }
        let mut met = vec![false; b.len()];
        for [value, condition] in a {
            let mut found = None;
            for (at, [other, other_condition]) in b.iter().enumerate() {
                if !met[at]
                    && self.compare(*value, *other)?
                    && self.conditions(*condition, a, *other_condition, b)?
                {
                    found = Some(at);
                    break;
                }
            }
            let Some(at) = found else { return Ok(false) };
            met[at] = true;
        }
        Ok(true)
    }

    /// Whether two conditions of cases are the same. `otherwise` is where none of the others holds.
    fn conditions(&mut self, gold: Part, golds: &[[Part; 2]], answer: Part, answers: &[[Part; 2]]) -> Answer {
        let rest = |judge: &Self, part: Part| matches!(judge.shape(part), Shape::Text(text) if ["otherwise", "else"].contains(&text.trim().to_lowercase().as_str()));
        match (rest(self, gold), rest(self, answer)) {
            (true, true) => Ok(true),
            (false, false) => self.compare(gold, answer),
            (true, false) => self.complements(golds, answer),
            (false, true) => self.complements(answers, gold),
        }
    }

    /// Whether the condition holds just where none of the other conditions does.
    fn complements(&mut self, cases: &[[Part; 2]], condition: Part) -> Answer {
        let Some((_, spans)) = self.solutions(condition)? else { return Ok(false) };
        let mut others = Vec::new();
        for [_, case] in cases {
            if !matches!(self.shape(*case), Shape::Text(_)) {
                let Some((_, own)) = self.solutions(*case)? else { return Ok(false) };
                others.extend(own);
            }
        }
        let rest = super::region::difference(&[Span::all()], &super::region::union(others));
        self.same_spans(&rest, &spans)
    }

    /// Whether two sets of residues are the same for the same modulus.
    fn congruent(&mut self, a: Part, modulus: Part, b: Part, other: Part) -> Answer {
        let (Ok(modulus), Ok(other)) = (self.exact(modulus), self.exact(other)) else {
            return Ok(self.compare(modulus, other)? && self.compare(a, b)?);
        };
        let residues = |judge: &mut Self, part: Part| -> Option<Vec<Rational>> {
            let parts = match judge.shape(part) {
                Shape::List(parts) | Shape::Set(parts) | Shape::Tuple(_, _, parts) => parts,
                _ => vec![part],
            };
            let mut residues = Vec::new();
            for part in parts {
                let value = judge.exact(part).ok()?;
                let turns = value.div(&modulus).ok()?.floor();
                residues.push(value.sub(&turns.mul(&modulus).ok()?).ok()?);
            }
            residues.sort();
            residues.dedup();
            Some(residues)
        };
        if modulus.abs() != other.abs() {
            return Ok(false);
        }
        match (residues(self, a), residues(self, b)) {
            (Some(a), Some(b)) => Ok(a == b),
            _ => self.compare(a, b),
        }
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

    /// Whether each list contains every member of the other one.
    fn without_order(&mut self, a: &[Part], b: &[Part]) -> Answer {
        if a.len() > MEMBERS || b.len() > MEMBERS {
            return Err(Stop::Budget);
        }
        if let (Some(a), Some(b)) = (self.keys(a), self.keys(b)) {
            return Ok(a == b);
        }
        let mut met = vec![false; b.len()];
        for gold in a {
            let mut found = false;
            for (at, answer) in b.iter().enumerate() {
                // A member may match more than once, but not every pair needs a comparison.
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

    /// The members of a set of exact numbers, or of tuples of them, in order and each once. With them, large sets need no
    /// comparison of every pair.
    fn keys(&mut self, items: &[Part]) -> Option<BTreeSet<Vec<Rational>>> {
        let mut keys = BTreeSet::new();
        for item in items {
            let parts = match self.shape(*item) {
                Shape::Tuple('(', ')', parts) => parts,
                Shape::Value => vec![*item],
                _ => return None,
            };
            let mut key = vec![Rational::from(parts.len() as i64)];
            for part in parts {
                if self.arena.holds(part.id, holds::DECIMAL) || !matches!(self.shape(part), Shape::Value) {
                    return None;
                }
                key.push(self.exact(part).ok()?);
            }
            keys.insert(key);
        }
        Some(keys)
    }

    fn lists(&mut self, a: &[Part], b: &[Part]) -> Answer {
        // `1, 3, 5, …`: what the dots stand for depends on the order.
        let dots = |judge: &Self, items: &[Part]| {
            items.iter().any(
                |part| matches!(judge.arena.node(part.id), Node::Text(text) if text == super::parser::DOTS),
            )
        };
        if dots(self, a) || dots(self, b) {
            return self.in_order(a, b);
        }
        if a.is_empty() || b.is_empty() {
            return Ok(a.is_empty() && b.is_empty());
        }
        if let Some((names, values)) = self.named(a) {
            return match self.named(b) {
                Some((other, other_values)) => self.by_name(&names, &values, &other, &other_values),
                None if are_numbered(&names) => self.without_order(&values, b),
                None => self.in_order(&coordinates(&names, values), b),
            };
        }
        if let Some((names, values)) = self.named(b) {
            // `x_1 = 2, x_2 = -3` are the roots in any order.
            if are_numbered(&names) {
                return self.without_order(a, &values);
            }
            return self.in_order(a, &coordinates(&names, values));
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

    fn increases(&mut self, items: &[Part]) -> Answer {
        for pair in items.windows(2) {
            match (self.exact(pair[0]), self.exact(pair[1])) {
                (Ok(a), Ok(b)) if a < b => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Whether the names are one letter with the numbers 1, 2, …
fn are_numbered(names: &[String]) -> bool {
    let parts: Option<Vec<(&str, u32)>> = names
        .iter()
        .map(|name| name.split_once('_').and_then(|(base, at)| Some((base, at.parse().ok()?))))
        .collect();
    parts.is_some_and(|parts| parts.iter().all(|(base, _)| *base == parts[0].0))
}

/// Named values in the order of a tuple: coordinates in the order of their letters, others as written.
fn coordinates(names: &[String], values: Vec<Part>) -> Vec<Part> {
    let mut pairs: Vec<(&String, Part)> = names.iter().zip(values).collect();
    if names.iter().all(|name| ["x", "y", "z"].contains(&name.as_str())) {
        pairs.sort_unstable_by_key(|(name, _)| *name);
    }
    pairs.into_iter().map(|(_, value)| value).collect()
}
