//! Builds expressions from operators, commands and functions with their operands.

use super::super::expression::{Binary, Constant, Function, Id, Node, Relation, Unary, holds};
use super::super::number::Rational;
use super::super::{NODES, Refusal};
use super::{CONTINUED, DOTS, Parser};

impl Parser<'_> {
    pub(super) fn binary(&mut self, binary: Binary, left: Id, right: Id) -> Result<Id, Refusal> {
        // `101_{(2)}`, `(101)_2`
        let right = if binary == Binary::Index { self.arena.peel(right) } else { right };
        let transposes = binary == Binary::Power && ["T", "top", "intercal"].contains(&self.symbol_of(right));
        let peeled = self.arena.peel(left);
        let of_digits = binary == Binary::Index
            && matches!(self.arena.node(peeled), Node::Number { .. } | Node::Symbol(_));
        let left = if transposes || of_digits { peeled } else { left };
        let node = match (binary, self.arena.node(left), self.arena.node(right)) {
            (Binary::Mixed, Node::Number { value, .. }, Node::Binary(Binary::Divide, top, bottom)) => {
                match (self.arena.node(*top), self.arena.node(*bottom)) {
                    (Node::Number { value: top, .. }, Node::Number { value: bottom, .. }) => {
                        let part = top.div(bottom).map_err(|_| Refusal::Unparsable)?;
                        let value = value.add(&part).map_err(|_| Refusal::Budget)?;
                        Node::Number { value, places: None, significant: 0 }
                    }
                    _ => Node::Binary(Binary::Multiply, left, right),
                }
            }
            (Binary::Mixed, ..) => Node::Binary(Binary::Multiply, left, right),
            (Binary::Index, Node::Number { value, places: None, .. }, Node::Number { value: base, .. }) => {
                Node::Based(value.clone(), base.clone())
            }
            (Binary::Index, Node::Symbol(name), Node::Number { value: index, .. }) => {
                let index = index.to_integer().ok_or(Refusal::Unparsable)?;
                let spelling = format!("{}_{index}", self.arena.spelling(*name));
                let name = self.arena.name(&spelling);
                Node::Symbol(name)
            }
            (Binary::Cross, left_node, right_node) => {
                let vectors = [left_node, right_node].into_iter().any(|node| self.is_vector(node));
                return if vectors {
                    Ok(self.push(Node::Binary(Binary::Cross, left, right)))
                } else {
                    self.binary(Binary::Multiply, left, right)
                };
            }
            (Binary::Add | Binary::Subtract, Node::Matrix(a), Node::Matrix(b)) => {
                let (a, b) = (a.clone(), b.clone());
                return self.matrix_sum(binary, &a, &b);
            }
            (Binary::Multiply, Node::Matrix(a), Node::Matrix(b)) => {
                let (a, b) = (a.clone(), b.clone());
                return self.matrix_product(&a, &b);
            }
            // Tuples and columns are treated alike.
            (Binary::Power, Node::Group('(' | '[', _, Some(inner)), _)
                if transposes && matches!(self.arena.node(*inner), Node::List(_)) =>
            {
                return Ok(left);
            }
            (Binary::Power, Node::Matrix(rows), _) if transposes => {
                let columns = rows.first().map_or(0, Vec::len);
                if rows.iter().any(|row| row.len() != columns) {
                    return Err(Refusal::Unparsable);
                }
                let column = |at: usize| rows.iter().map(|row| row[at]).collect();
                Node::Matrix((0..columns).map(column).collect())
            }
            (Binary::Subtract, Node::Constant(Constant::Reals), Node::Group('S', ..)) => {
                Node::Binary(Binary::Difference, left, right)
            }
            (Binary::Multiply, _, Node::Matrix(rows)) => {
                let rows = rows.clone();
                return Ok(self.matrix_map(&rows, |entry| Node::Binary(Binary::Multiply, left, entry)));
            }
            _ => Node::Binary(binary, left, right),
        };
        Ok(self.push(node))
    }

    /// Whether the factor of a product with `×` is a vector, so that the order counts.
    fn is_vector(&self, node: &Node) -> bool {
        match node {
            Node::Apply(name, _) => self.arena.spelling(*name).starts_with('\\'),
            Node::Group('(' | '[', _, Some(inner)) => matches!(self.arena.node(*inner), Node::List(_)),
            Node::Binary(Binary::Cross, ..) => true,
            _ => false,
        }
    }

    /// The members of a list in which dots continue an arithmetic progression, or the list as it is.
    pub(super) fn continued(&mut self, items: Vec<Id>) -> Vec<Id> {
        let dots = |parser: &Self, id: Id| matches!(parser.arena.node(id), Node::Text(text) if text == DOTS);
        let Some(at) = items.iter().position(|id| dots(self, *id)) else { return items };
        if at + 1 == items.len() {
            return self.shortened(items, at);
        }
        let whole = |id: &Id| match self.arena.node(*id) {
            Node::Number { value, places: None, .. } => {
                value.to_integer().and_then(|value| i64::try_from(value).ok())
            }
            Node::Unary(Unary::Negative, item) => match self.arena.node(*item) {
                Node::Number { value, places: None, .. } => {
                    value.neg().to_integer().and_then(|value| i64::try_from(value).ok())
                }
                _ => None,
            },
            _ => None,
        };
        let numbers = |items: &[Id]| items.iter().map(whole).collect::<Option<Vec<i64>>>();
        let (Some(before), Some(after)) = (numbers(&items[..at]), numbers(&items[at + 1..])) else {
            return items;
        };
        let (Some(&last), Some(&next)) = (before.last(), after.first()) else { return items };
        let step = if before.len() > 1 { last.saturating_sub(before[before.len() - 2]) } else { 1 };
        let even = |values: &[i64]| values.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(step));
        let count = next
            .checked_sub(last)
            .filter(|_| step != 0)
            .map_or(-1, |span| if span % step == 0 { span / step } else { -1 });
        if !even(&before) || !even(&after) || !(1..=CONTINUED).contains(&count) {
            return items;
        }
        let between: Vec<Id> = (1..count).map(|turn| self.signed(last + turn * step)).collect();
        [&items[..at], &between, &items[at + 1..]].concat()
    }

    /// The first three members and the dots of an endless arithmetic progression, or the list as it is. The dots are last.
    fn shortened(&self, items: Vec<Id>, dots: usize) -> Vec<Id> {
        let number = |id: &Id| match self.arena.node(*id) {
            Node::Number { value, places: None, .. } => Some(value.clone()),
            _ => None,
        };
        let Some(values) = items[..dots].iter().map(number).collect::<Option<Vec<_>>>() else { return items };
        let steps: Option<Vec<Rational>> = values.windows(2).map(|pair| pair[1].sub(&pair[0]).ok()).collect();
        let even = steps.is_some_and(|steps| steps.len() > 1 && steps.iter().all(|step| *step == steps[0]));
        if even {
            return [&items[..3], &items[dots..]].concat();
        }
        items
    }

    /// A whole number, which may be negative.
    fn signed(&mut self, value: i64) -> Id {
        let size = self.integer(value.saturating_abs());
        if value < 0 { self.push(Node::Unary(Unary::Negative, size)) } else { size }
    }

    /// The determinant of a matrix with up to four rows.
    pub(super) fn determinant(&mut self, rows: &[Vec<Id>]) -> Result<Id, Refusal> {
        if rows.is_empty() || rows.len() > 4 || rows.iter().any(|row| row.len() != rows.len()) {
            return Err(Refusal::Unparsable);
        }
        if let [row] = rows {
            return Ok(row[0]);
        }
        let mut sum: Option<Id> = None;
        for column in 0..rows.len() {
            let minor: Vec<Vec<Id>> = rows[1..]
                .iter()
                .map(|row| {
                    row.iter().enumerate().filter(|(at, _)| *at != column).map(|(_, id)| *id).collect()
                })
                .collect();
            let minor = self.determinant(&minor)?;
            let product = self.push(Node::Binary(Binary::Multiply, rows[0][column], minor));
            let operation = if column % 2 == 0 { Binary::Add } else { Binary::Subtract };
            sum = Some(match sum {
                None => product,
                Some(sum) => self.push(Node::Binary(operation, sum, product)),
            });
        }
        sum.ok_or(Refusal::Unparsable)
    }

    /// Whether an expression names a complex number, as `z` and `w` usually do.
    fn is_complex(&self, id: Id) -> bool {
        self.arena.below(id, |_| None).iter().any(|id| match self.arena.node(*id) {
            Node::Symbol(name) => self.arena.spelling(*name).starts_with(['z', 'w']),
            Node::Constant(Constant::I) => true,
            _ => false,
        })
    }

    /// The letters of a symbol, or nothing for any other expression.
    fn symbol_of(&self, id: Id) -> &str {
        match self.arena.node(self.arena.peel(id)) {
            Node::Symbol(name) => self.arena.spelling(*name),
            _ => "",
        }
    }

    fn matrix_map(&mut self, rows: &[Vec<Id>], entry: impl Fn(Id) -> Node) -> Id {
        let rows = rows.iter().map(|row| row.iter().map(|id| self.push(entry(*id))).collect()).collect();
        self.push(Node::Matrix(rows))
    }

    fn matrix_sum(&mut self, binary: Binary, a: &[Vec<Id>], b: &[Vec<Id>]) -> Result<Id, Refusal> {
        let width = |rows: &[Vec<Id>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
        if width(a) != width(b) {
            return Err(Refusal::Unparsable);
        }
        let sum = |parser: &mut Self, (a, b): (&Vec<Id>, &Vec<Id>)| {
            a.iter().zip(b).map(|(a, b)| parser.push(Node::Binary(binary, *a, *b))).collect()
        };
        let rows = a.iter().zip(b).map(|rows| sum(self, rows)).collect();
        Ok(self.push(Node::Matrix(rows)))
    }

    fn matrix_product(&mut self, a: &[Vec<Id>], b: &[Vec<Id>]) -> Result<Id, Refusal> {
        let columns = b.first().map_or(0, Vec::len);
        let fits = a.iter().all(|row| row.len() == b.len()) && b.iter().all(|row| row.len() == columns);
        if !fits || b.is_empty() {
            return Err(Refusal::Unparsable);
        }
        if a.len() * b.len() * columns > NODES / 2 {
            return Err(Refusal::Budget);
        }
        let mut rows = Vec::new();
        for row in a {
            let mut entries = Vec::new();
            for column in 0..columns {
                let mut sum = None;
                for (left, right) in row.iter().zip(b) {
                    let product = self.push(Node::Binary(Binary::Multiply, *left, right[column]));
                    sum = Some(sum.map_or(product, |sum| self.push(Node::Binary(Binary::Add, sum, product))));
                }
                entries.extend(sum);
            }
            rows.push(entries);
        }
        Ok(self.push(Node::Matrix(rows)))
    }

    pub(super) fn finish(&mut self, name: &str, taken: Vec<Id>) -> Result<Id, Refusal> {
        let node = match (name, taken.as_slice()) {
            ("frac", [top, bottom]) => Node::Binary(Binary::Divide, *top, *bottom),
            ("binom", _) => Node::Call(Function::Binomial, taken),
            ("sqrt", [radicand]) => Node::Call(Function::Sqrt, vec![*radicand]),
            ("sqrt", [degree, radicand]) => Node::Call(Function::Root, vec![*radicand, *degree]),
            ("cbrt", [radicand]) => {
                let degree = self.integer(3);
                Node::Call(Function::Root, vec![*radicand, degree])
            }
            // A bar over a complex number is its conjugate, over other names the complement, the mean or a segment.
            ("overline", [item]) if self.arena.holds(*item, holds::NAME) && !self.is_complex(*item) => {
                Node::Apply(self.arena.name("\\overline"), *item)
            }
            // The repeating digits of a decimal belong to that decimal.
            ("overline", [item]) if !matches!(self.arena.node(*item), Node::Number { .. }) => {
                Node::Unary(Unary::Conjugate, *item)
            }
            ("det", [matrix]) => match self.arena.node(self.arena.peel(*matrix)) {
                Node::Matrix(rows) => {
                    let rows = rows.clone();
                    return self.determinant(&rows);
                }
                _ => return Err(Refusal::Unparsable),
            },
            ("builder", [condition]) => match self.arena.node(*condition) {
                Node::Group(_, _, Some(inner)) => Node::Builder(*inner),
                _ => return Err(Refusal::Unparsable),
            },
            ("residue", [residue, modulus]) => Node::Congruence(None, *residue, *modulus),
            ("congruence", [name, residue, modulus]) => Node::Congruence(Some(*name), *residue, *modulus),
            _ => return Err(Refusal::Unparsable),
        };
        Ok(self.push(node))
    }

    pub(super) fn integer(&mut self, value: i64) -> Id {
        self.push(Node::Number { value: Rational::from(value), places: None, significant: 0 })
    }

    pub(super) fn call(
        &mut self,
        function: Function,
        power: Option<Id>,
        subscript: Option<Id>,
        argument: Id,
    ) -> Result<Id, Refusal> {
        if matches!(function, Function::Sum | Function::Product) {
            return self.big(function, power, subscript, argument);
        }
        let mut arguments = match self.arena.node(argument) {
            Node::Group(_, _, Some(inner)) => match self.arena.node(*inner) {
                Node::List(items) => items.clone(),
                _ => vec![argument],
            },
            _ => vec![argument],
        };
        match (function, subscript) {
            (Function::Log, Some(base)) => arguments.push(base),
            (_, Some(_)) => return Err(Refusal::Unparsable),
            _ => {}
        }
        // `\max f` is the greatest value of a function, not `f`.
        if matches!(function, Function::Max | Function::Min)
            && power.is_none()
            && matches!(arguments.as_slice(), [single] if self.arena.holds(*single, holds::NAME))
        {
            let name = self.arena.name(if function == Function::Max { "max" } else { "min" });
            return Ok(self.push(Node::Apply(name, argument)));
        }
        let inverse = match (function, power) {
            (Function::Sin, Some(power)) if self.is_minus_one(power) => Some(Function::Arcsin),
            (Function::Cos, Some(power)) if self.is_minus_one(power) => Some(Function::Arccos),
            (Function::Tan, Some(power)) if self.is_minus_one(power) => Some(Function::Arctan),
            _ => None,
        };
        let call = self.push(Node::Call(inverse.unwrap_or(function), arguments));
        match power {
            Some(power) if inverse.is_none() => Ok(self.push(Node::Binary(Binary::Power, call, power))),
            _ => Ok(call),
        }
    }

    fn is_minus_one(&self, id: Id) -> bool {
        match self.arena.node(self.arena.peel(id)) {
            Node::Unary(Unary::Negative, one) => {
                matches!(self.arena.node(*one), Node::Number { value, .. } if *value == Rational::from(1))
            }
            _ => false,
        }
    }

    fn big(
        &mut self,
        function: Function,
        high: Option<Id>,
        low: Option<Id>,
        body: Id,
    ) -> Result<Id, Refusal> {
        let (Some(high), Some(low)) = (high, low) else { return Err(Refusal::Unparsable) };
        let Node::Chain(members, relations) = self.arena.node(self.arena.peel(low)) else {
            return Err(Refusal::Unparsable);
        };
        match (members.as_slice(), relations.as_slice()) {
            ([variable, low], [Relation::Equal]) => {
                let low = *low;
                // Under a sum, `i` is the counter.
                let variable = match self.arena.node(*variable) {
                    Node::Symbol(variable) => *variable,
                    Node::Constant(Constant::I) => self.arena.name("i"),
                    _ => return Err(Refusal::Unparsable),
                };
                Ok(self.push(Node::Big(function, variable, [low, high, body])))
            }
            _ => Err(Refusal::Unparsable),
        }
    }
}
