//! Expressions in an arena, where every child is created before its parent.

use super::number::Rational;

/// The place of a node in its arena.
pub(super) type Id = usize;

/// The number of a name in its arena.
pub(super) type Name = usize;

/// A named value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    /// π.
    Pi,
    /// Euler's number.
    E,
    /// The imaginary unit.
    I,
    /// Positive infinity.
    Infinity,
    /// An undefined value.
    Undefined,
    /// The empty set.
    Empty,
    /// The real numbers.
    Reals,
}

/// An operation on one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    /// The other sign.
    Negative,
    /// Both signs. With `false`, the negative one comes first.
    PlusMinus(bool),
    /// `n!`
    Factorial,
    /// A hundredth, written as a percentage.
    Percent,
    /// An angle in degrees, outside of a trigonometric function.
    Degree,
    /// The complex conjugate.
    Conjugate,
}

/// An operation on two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a ± b`, or `a ∓ b` with `false`.
    PlusMinus(bool),
    /// `a b`
    Multiply,
    /// A whole number before a fraction: their sum if both are written with digits.
    Mixed,
    /// `a / b`
    Divide,
    /// The remainder.
    Modulo,
    /// `a^b`
    Power,
    /// `a_b`
    Index,
    /// `a : b`
    Ratio,
    /// `A ∪ B`
    Union,
    /// `A ∩ B`
    Intersection,
    /// `A ∖ B`
    Difference,
    /// The cross product of two vectors, which a sign `×` may also be.
    Cross,
    /// An operation that is known by name only. It does not commute.
    Opaque(Name),
}

/// A function with a fixed meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    /// `cos + i sin`
    Cis,
    Arcsin,
    Arccos,
    Arctan,
    /// `π/2 - arctan`
    Arccot,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    Log,
    Exp,
    Sqrt,
    Root,
    Abs,
    Floor,
    Ceiling,
    Gcd,
    Lcm,
    Max,
    Min,
    Binomial,
    /// `n! / (n-k)!`
    Permutations,
    Real,
    Imaginary,
    Argument,
    Sum,
    Product,
}

impl Function {
    /// Whether the argument is an angle.
    pub(super) fn takes_angle(self) -> bool {
        matches!(self, Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc | Self::Cis)
    }
}

/// The side of a relation on which its first member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// On the left.
    Forward,
    /// On the right.
    Backward,
    /// Both sides are alike.
    Both,
}

/// The relation between two members of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Approximate,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    /// A relation that is known by name only.
    Other(Name, Direction),
}

impl Relation {
    /// The relation read from right to left.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Other(name, Direction::Forward) => Self::Other(name, Direction::Backward),
            Self::Other(name, Direction::Backward) => Self::Other(name, Direction::Forward),
            other => other,
        }
    }

    /// Whether the relation is one of `<`, `≤`, `>`, `≥`.
    pub(super) fn is_inequality(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }
}

/// A node of an expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A number written with digits.
    Number {
        /// The exact value.
        value: Rational,
        /// The position of a decimal's last written digit: the digits after the point minus its power of ten.
        places: Option<i64>,
        /// The number of digits in a decimal, counted from its first digit other than 0.
        significant: u32,
    },
    /// A number in a base other than ten: its digits and the base.
    Based(Rational, Rational),
    /// A named value.
    Constant(Constant),
    /// A variable.
    Symbol(Name),
    /// Text in words.
    Text(String),
    /// An operation on one operand.
    Unary(Unary, Id),
    /// An operation on two operands.
    Binary(Binary, Id, Id),
    /// A known function of its arguments.
    Call(Function, Vec<Id>),
    /// A sum or product over a variable: the variable, then its first value, its last value, and the body.
    Big(Function, Name, [Id; 3]),
    /// An unknown function of its arguments.
    Apply(Name, Id),
    /// Members between commas.
    List(Vec<Id>),
    /// Members between semicolons.
    Rows(Vec<Id>),
    /// An expression in brackets, with the brackets as written.
    Group(char, char, Option<Id>),
    /// Rows of entries.
    Matrix(Vec<Vec<Id>>),
    /// Members and the relations between them.
    Chain(Vec<Id>, Vec<Relation>),
    /// Values, each with its condition.
    Cases(Vec<[Id; 2]>),
    /// The numbers congruent to a residue: the name, if there is one, the residues and the modulus.
    Congruence(Option<Id>, Id, Id),
    /// The numbers that meet a condition.
    Builder(Id),
}

/// Properties of an expression, as a set of bits.
pub(super) mod holds {
    /// A variable or an unknown function.
    pub(in crate::math) const NAME: u8 = 1;
    /// `±`.
    pub(in crate::math) const BOTH_SIGNS: u8 = 2;
    /// A decimal.
    pub(in crate::math) const DECIMAL: u8 = 4;
    /// A matrix.
    pub(in crate::math) const MATRIX: u8 = 8;
    /// A function of whole numbers.
    pub(in crate::math) const DISCRETE: u8 = 16;
    /// A list with members joined by "or".
    pub(in crate::math) const EITHER: u8 = 32;
    /// A list with members joined by the sign of "and".
    pub(in crate::math) const BOTH: u8 = 64;
}

/// All nodes of the expressions that are compared with each other.
#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
    /// For each node, the first node below it and its [`holds`] bits.
    facts: Vec<(Id, u8)>,
    names: Vec<String>,
}

impl Arena {
    /// Adds a node.
    pub(super) fn push(&mut self, node: Node) -> Id {
        let id = self.nodes.len();
        let own = match &node {
            Node::Symbol(_) | Node::Apply(..) => holds::NAME,
            Node::Number { places: Some(_), .. } => holds::DECIMAL,
            Node::Unary(Unary::PlusMinus(_), _) | Node::Binary(Binary::PlusMinus(_), ..) => holds::BOTH_SIGNS,
            Node::Matrix(_) => holds::MATRIX,
            Node::Unary(Unary::Factorial, _)
            | Node::Binary(Binary::Modulo, ..)
            | Node::Big(..)
            | Node::Call(Function::Binomial | Function::Permutations | Function::Gcd | Function::Lcm, _) => {
                holds::DISCRETE
            }
            _ => 0,
        };
        self.nodes.push(node);
        let facts = self.children(id).into_iter().fold((id, own), |(first, held), child| {
            let (below, holds) = self.facts[child];
            (first.min(below), held | holds)
        });
        self.facts.push(facts);
        id
    }

    /// Sets [`holds`] bits on a node that no other node contains yet.
    pub(super) fn mark(&mut self, id: Id, what: u8) {
        self.facts[id].1 |= what;
    }

    /// Whether the expression has any of these [`holds`] bits.
    pub(super) fn holds(&self, id: Id, what: u8) -> bool {
        self.facts[id].1 & what != 0
    }

    /// The first node below `id`.
    pub(super) fn first(&self, id: Id) -> Id {
        self.facts[id].0
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at `id`.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The number of a name, which is added if it is new.
    pub(super) fn name(&mut self, name: &str) -> Name {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// The letters of a name.
    pub(super) fn spelling(&self, name: Name) -> &str {
        &self.names[name]
    }

    /// The direct children of `id`.
    pub(super) fn children(&self, id: Id) -> Vec<Id> {
        match &self.nodes[id] {
            Node::Number { .. } | Node::Based(..) | Node::Constant(_) | Node::Symbol(_) | Node::Text(_) => {
                Vec::new()
            }
            Node::Unary(_, item) | Node::Apply(_, item) => vec![*item],
            Node::Binary(_, left, right) => vec![*left, *right],
            Node::Call(_, items) | Node::List(items) | Node::Rows(items) | Node::Chain(items, _) => {
                items.clone()
            }
            Node::Big(_, _, parts) => parts.to_vec(),
            Node::Group(_, _, item) => item.iter().copied().collect(),
            Node::Matrix(rows) => rows.concat(),
            Node::Cases(rows) => rows.concat(),
            Node::Congruence(name, residue, modulus) => {
                name.iter().copied().chain([*residue, *modulus]).collect()
            }
            Node::Builder(condition) => vec![*condition],
        }
    }

    /// All nodes below `id`, and `id` itself, children first. `enters` may select the children of a node.
    pub(super) fn below(&self, id: Id, enters: impl Fn(&Node) -> Option<Vec<Id>>) -> Vec<Id> {
        let first = self.first(id);
        let mut seen = vec![false; id - first + 1];
        seen[id - first] = true;
        for at in (first..=id).rev() {
            if seen[at - first] {
                for child in enters(&self.nodes[at]).unwrap_or_else(|| self.children(at)) {
                    seen[child - first] = true;
                }
            }
        }
        (first..=id).filter(|at| seen[at - first]).collect()
    }

    /// Whether two expressions have the same structure, ignoring brackets that only group.
    pub(super) fn alike(&self, a: Id, b: Id) -> bool {
        let mut pairs = vec![(a, b)];
        let mut left = super::NODES;
        while let Some((a, b)) = pairs.pop() {
            let (a, b) = (self.peel(a), self.peel(b));
            let same = match (&self.nodes[a], &self.nodes[b]) {
                (Node::Number { value, .. }, Node::Number { value: other, .. }) => value == other,
                (Node::Based(digits, base), Node::Based(other, other_base)) => {
                    digits == other && base == other_base
                }
                (Node::Constant(constant), Node::Constant(other)) => constant == other,
                (Node::Symbol(name), Node::Symbol(other)) => name == other,
                (Node::Text(text), Node::Text(other)) => text == other,
                (Node::Unary(unary, _), Node::Unary(other, _)) => unary == other,
                (Node::Binary(binary, ..), Node::Binary(other, ..)) => binary == other,
                (Node::Call(function, _), Node::Call(other, _)) => function == other,
                (Node::Big(function, name, _), Node::Big(other, bound, _)) => {
                    function == other && name == bound
                }
                (Node::Apply(name, _), Node::Apply(other, _)) => name == other,
                (Node::Group(open, close, _), Node::Group(other, other_close, _)) => {
                    (open, close) == (other, other_close)
                }
                (Node::Matrix(rows), Node::Matrix(others)) => {
                    rows.iter().map(Vec::len).eq(others.iter().map(Vec::len))
                }
                (Node::Chain(_, relations), Node::Chain(_, others)) => relations == others,
                (Node::List(_), Node::List(_))
                | (Node::Rows(_), Node::Rows(_))
                | (Node::Cases(_), Node::Cases(_))
                | (Node::Congruence(..), Node::Congruence(..))
                | (Node::Builder(_), Node::Builder(_)) => true,
                _ => false,
            };
            let (below, others) = (self.children(a), self.children(b));
            left = match left.checked_sub(1 + below.len()) {
                Some(left) if same && below.len() == others.len() => left,
                _ => return false,
            };
            pairs.extend(below.into_iter().zip(others));
        }
        true
    }

    /// The node inside brackets that only group.
    pub(super) fn peel(&self, mut id: Id) -> Id {
        while let Node::Group('(' | '{' | '[', ')' | '}' | ']', Some(item)) = self.nodes[id] {
            if matches!(self.nodes[item], Node::List(_) | Node::Rows(_))
                || matches!(self.nodes[id], Node::Group(open, close, _) if !pairs(open, close))
            {
                break;
            }
            id = item;
        }
        id
    }
}

/// Whether the brackets are a matching pair.
fn pairs(open: char, close: char) -> bool {
    matches!((open, close), ('(', ')') | ('[', ']') | ('{', '}'))
}
