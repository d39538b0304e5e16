//! Decides whether two parsed answers are the same.

use std::collections::BTreeMap;

use super::evaluate::Budget;
use super::expression::{Arena, Binary, Constant, Id, Node, Relation, Unary, holds};
use super::modulo::Formal;
use super::number::Rational;
use super::parser::Parsed;
use super::points::Seed;
use super::region::Span;
use super::{Math, Stop, Units, words};

mod names;
mod relations;
mod sets;
mod values;

/// Lists with more members are not compared.
const MEMBERS: usize = 400;

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
        // `42 million` is not 42, however units are treated.
        let scales = |parsed: &Parsed| -> Vec<_> {
            parsed.units.iter().flat_map(|unit| words::scales(unit)).collect()
        };
        if scales(gold) != scales(answer) {
            return Ok(false);
        }
        if self.settings.units == Units::Match && !self.units_agree(gold, answer) {
            return Ok(false);
        }
        self.compare(Part { id: gold.root, sign: None }, Part { id: answer.root, sign: None })
    }

    /// Whether both expressions have the same structure, whatever their values are.
    pub(super) fn written_alike(&self, gold: &Parsed, answer: &Parsed) -> bool {
        self.arena.alike(gold.root, answer.root)
    }

    fn units_agree(&self, gold: &Parsed, answer: &Parsed) -> bool {
        let known = |parsed: &Parsed| -> Vec<&'static str> {
            let mut names: Vec<_> = parsed.units.iter().flat_map(|unit| words::units(unit)).collect();
            if matches!(self.arena.node(self.arena.peel(parsed.root)), Node::Unary(Unary::Degree, _)) {
                names.push("degree");
            }
            if names.iter().any(|name| matches!(*name, "celsius" | "fahrenheit")) {
                names.retain(|name| *name != "degree");
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

    fn lists(&mut self, a: &[Part], b: &[Part]) -> Answer {
        if a.is_empty() || b.is_empty() {
            return Ok(a.is_empty() && b.is_empty());
        }
        if let Some((names, values)) = self.named(a) {
            return match self.named(b) {
                Some((other, other_values)) => self.by_name(&names, &values, &other, &other_values),
                None => self.in_order(&coordinates(&names, values), b),
            };
        }
        if let Some((names, values)) = self.named(b) {
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

/// Named values in the order of a tuple: coordinates in the order of their letters, others as written.
fn coordinates(names: &[String], values: Vec<Part>) -> Vec<Part> {
    let mut pairs: Vec<(&String, Part)> = names.iter().zip(values).collect();
    if names.iter().all(|name| ["x", "y", "z"].contains(&name.as_str())) {
        pairs.sort_unstable_by_key(|(name, _)| *name);
    }
    pairs.into_iter().map(|(_, value)| value).collect()
}
