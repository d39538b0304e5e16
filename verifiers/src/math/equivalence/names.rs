//! Names in expressions, and the values that equations give them.

use super::super::expression::{Binary, Constant, Function, Id, Node, Relation, holds};
use super::{Judge, NAME_DEPTH, Part, Shape};

impl Judge {
    /// The names and values of a list of two or more equations, each of which gives a value to a different name.
    pub(super) fn named(&self, items: &[Part]) -> Option<(Vec<String>, Vec<Part>)> {
        let pairs = match items {
            [single] => self.named_tuple(*single)?,
            _ => items.iter().map(|part| self.value_of(*part)).collect(),
        };
        let names: Vec<String> = pairs.iter().map_while(|(name, _)| name.clone()).collect();
        let distinct = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
        (names.len() == pairs.len() && names.len() > 1 && distinct)
            .then(|| (names, pairs.into_iter().map(|(_, value)| value).collect()))
    }

    /// The names and values in `(x, y) = (1, 2)`, member by member.
    fn named_tuple(&self, part: Part) -> Option<Vec<(Option<String>, Part)>> {
        let Shape::Chain(members, relations) = self.shape(part) else { return None };
        let ([names, values], [Relation::Equal]) = (members.as_slice(), relations.as_slice()) else {
            return None;
        };
        let (Shape::Tuple('(', ')', names), Shape::Tuple('(', ')', values)) =
            (self.shape(*names), self.shape(*values))
        else {
            return None;
        };
        let names = names.iter().map(|name| self.name_of(name.id));
        (names.len() == values.len()).then(|| names.zip(values).collect())
    }

    /// The name and value of `name = value`. For anything else, no name and the part itself.
    pub(super) fn value_of(&self, part: Part) -> (Option<String>, Part) {
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

    /// The name that an expression stands for, if it is one: `x`, `f(x)`, `AB`, `|AB|`, `(p, q)`, `S_1 : S_2`.
    pub(super) fn name_of(&self, id: Id) -> Option<String> {
        self.name_within(id, NAME_DEPTH)
    }

    pub(super) fn name_within(&self, id: Id, depth: usize) -> Option<String> {
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
            Node::Apply(name, item) => {
                let name = self.arena.spelling(*name);
                let inner = self.name_within(*item, depth);
                match name {
                    "\\vec" | "\\overrightarrow" => inner,
                    _ if name.starts_with('\\') => Some(format!("{name} {}", inner?)),
                    _ => Some(format!("{name}({}", self.number_of(*item).unwrap_or_default())),
                }
            }
            Node::Binary(Binary::Index, name, index) => {
                let index = self.name_within(*index, depth).unwrap_or_default();
                self.name_within(*name, depth).map(|name| format!("{name}_{index}"))
            }
            Node::Binary(Binary::Multiply, left, right) => match self.arena.node(*right) {
                Node::Group('(', ')', _) => match self.arena.node(*left) {
                    Node::Symbol(name) => Some(format!("{}(", self.arena.spelling(*name))),
                    _ => None,
                },
                _ => Some(upper(*left)? + &upper(*right)?),
            },
            Node::Binary(Binary::Divide, left, right) => Some(upper(*left)? + "/" + &upper(*right)?),
            Node::Binary(Binary::Ratio, left, right) => {
                Some(self.name_within(*left, depth)? + ":" + &self.name_within(*right, depth)?)
            }
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

    /// A number in brackets as text.
    fn number_of(&self, id: Id) -> Option<String> {
        match self.arena.node(self.arena.peel(id)) {
            Node::Number { value, .. } => Some(format!("{}/{}", value.numerator(), value.denominator())),
            _ => None,
        }
    }

    /// The names in an expression that need a value.
    pub(super) fn names(&self, part: Part) -> Vec<&str> {
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
}
