//! Parses tokens into an expression: operator precedence with an explicit stack, so that deep input cannot overflow the
//! call stack.

use super::expression::{Arena, Binary, Function, Id, Node, Relation, Unary, holds};
use super::lexer::Token;
use super::{NODES, Refusal};

mod brackets;
mod build;
mod operands;
mod signs;

/// How strongly an operator binds.
mod strength {
    pub(super) const ROWS: u8 = 1;
    pub(super) const LIST: u8 = 2;
    pub(super) const RELATION: u8 = 3;
    pub(super) const SET: u8 = 4;
    pub(super) const RATIO: u8 = 5;
    pub(super) const OVER: u8 = 6;
    pub(super) const SUM: u8 = 7;
    pub(super) const PRODUCT: u8 = 8;
    pub(super) const FUNCTION: u8 = 9;
    pub(super) const MIXED: u8 = 10;
    pub(super) const POWER: u8 = 11;
    pub(super) const INDEX: u8 = 12;
}

/// A parsed answer.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The expression.
    pub(super) root: Id,
    /// The units that were removed from it.
    pub(super) units: Vec<Unit>,
}

/// Words or signs beside a number.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// How many separators of members come before.
    pub(super) member: usize,
    /// The words as written.
    pub(super) text: String,
}

#[derive(Debug)]
enum Operator {
    Open {
        sign: char,
        rows: Vec<Vec<Id>>,
        row: Vec<Id>,
    },
    Binary(Binary),
    Relation(Relation),
    Comma,
    /// A comma written as "or".
    Or,
    /// A comma written as the sign of "and".
    Both,
    Semicolon,
    /// TeX's `\over`, or `\choose` with `false`.
    Over(bool),
    Prefix(Unary),
    Function {
        function: Function,
        power: Option<Id>,
        subscript: Option<Id>,
    },
    Apply(usize),
    /// A mark on the operand that follows.
    Mark(usize),
    /// A command that takes `wanted` arguments in braces.
    Command {
        name: &'static str,
        wanted: usize,
        taken: Vec<Id>,
    },
    /// The next operand goes below (`true`) or above the function under it on the stack.
    Decoration(bool),
}

impl Operator {
    fn strength(&self) -> u8 {
        match self {
            Self::Open { .. } => 0,
            Self::Semicolon => strength::ROWS,
            Self::Comma | Self::Or | Self::Both => strength::LIST,
            Self::Over(_) => strength::OVER,
            Self::Relation(_) => strength::RELATION,
            Self::Binary(Binary::Union | Binary::Intersection | Binary::Difference) => strength::SET,
            Self::Binary(Binary::Ratio) => strength::RATIO,
            Self::Binary(Binary::Add | Binary::Subtract | Binary::PlusMinus(_)) => strength::SUM,
            Self::Binary(
                Binary::Multiply | Binary::Divide | Binary::Modulo | Binary::Cross | Binary::Opaque(_),
            )
            | Self::Prefix(_) => strength::PRODUCT,
            Self::Function { function: Function::Sum | Function::Product, .. } => strength::PRODUCT,
            Self::Function { .. } => strength::FUNCTION,
            Self::Binary(Binary::Mixed) => strength::MIXED,
            Self::Binary(Binary::Power) => strength::POWER,
            Self::Binary(Binary::Index) => strength::INDEX,
            Self::Apply(_) | Self::Mark(_) | Self::Command { .. } | Self::Decoration(_) => u8::MAX,
        }
    }
}

/// The text of a member that stands for others: `1, 2, …, 9`.
pub(super) const DOTS: &str = "…";

/// Lists with dots are written out up to this many members.
const CONTINUED: i64 = 400;

/// Chains with more members are not parsed.
const CHAIN: usize = 100;

/// Function names and their functions.
const FUNCTIONS: &[(&str, Function)] = &[
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("tg", Function::Tan),
    ("cot", Function::Cot),
    ("ctg", Function::Cot),
    ("cotg", Function::Cot),
    ("cosec", Function::Csc),
    ("arctg", Function::Arctan),
    ("sh", Function::Sinh),
    ("ch", Function::Cosh),
    ("th", Function::Tanh),
    ("perm", Function::Permutations),
    ("comb", Function::Binomial),
    ("sec", Function::Sec),
    ("csc", Function::Csc),
    ("cis", Function::Cis),
    ("arcsin", Function::Arcsin),
    ("arccos", Function::Arccos),
    ("arctan", Function::Arctan),
    ("arccot", Function::Arccot),
    ("arcctg", Function::Arccot),
    ("sinh", Function::Sinh),
    ("cosh", Function::Cosh),
    ("tanh", Function::Tanh),
    ("ln", Function::Ln),
    ("log", Function::Log),
    ("lg", Function::Log),
    ("exp", Function::Exp),
    ("abs", Function::Abs),
    ("floor", Function::Floor),
    ("ceil", Function::Ceiling),
    ("gcd", Function::Gcd),
    ("lcm", Function::Lcm),
    ("max", Function::Max),
    ("min", Function::Min),
    ("Re", Function::Real),
    ("Im", Function::Imaginary),
    ("arg", Function::Argument),
    ("sum", Function::Sum),
    ("prod", Function::Product),
];

/// Commands with arguments in braces.
const COMMANDS: &[(&str, usize)] = &[
    ("frac", 2),
    ("binom", 2),
    ("sqrt", 1),
    ("cbrt", 1),
    ("overline", 1),
    ("builder", 1),
    ("residue", 2),
    ("congruence", 3),
    ("det", 1),
];

/// Commands that are letters.
pub(super) const LETTERS: &[&str] = &[
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "varrho",
    "sigma",
    "varsigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
    "ell",
    "hbar",
    "aleph",
    "imath",
    "jmath",
    "top",
    "bot",
    "intercal",
    "square",
    "Box",
    "blacksquare",
    "bigstar",
    "heartsuit",
    "diamondsuit",
    "clubsuit",
    "spadesuit",
    "checkmark",
    "dagger",
    "wp",
];

/// Letters that name a function if a bracket follows.
const FUNCTION_LETTERS: &str = "fghFGH";

/// Parses the tokens into an expression.
pub(super) fn parse(arena: &mut Arena, tokens: Vec<Token>) -> Result<Parsed, Refusal> {
    let mut parser = Parser {
        arena,
        tokens,
        at: 0,
        operands: Vec::new(),
        operators: Vec::new(),
        units: Vec::new(),
        separators: 0,
        ready: false,
        number: false,
        depth: 0,
    };
    parser.run()?;
    let root = parser.operands.pop().ok_or(Refusal::Unparsable)?;
    let units = std::mem::take(&mut parser.units);
    if parser.operands.is_empty() { Ok(Parsed { root, units }) } else { Err(Refusal::Unparsable) }
}

struct Parser<'a> {
    arena: &'a mut Arena,
    tokens: Vec<Token>,
    at: usize,
    operands: Vec<Id>,
    operators: Vec<Operator>,
    units: Vec<Unit>,
    /// How many separators of members were read.
    separators: usize,
    /// Whether an operand has just ended, so an operator may follow.
    ready: bool,
    /// Whether that operand is a number written with digits, with only signs or products before it.
    number: bool,
    depth: usize,
}

type Step = Result<(), Refusal>;

impl Parser<'_> {
    fn run(&mut self) -> Step {
        while let Some(token) = self.tokens.get(self.at) {
            let token = token.clone();
            self.at += 1;
            if self.arena.len() > NODES || self.operators.len() > NODES {
                return Err(Refusal::Budget);
            }
            let number = self.number;
            self.number = false;
            match token {
                Token::Number { digits, places, power, repeating } => {
                    self.number(number, &digits, places, power, &repeating)?;
                }
                Token::Letter(letter) => self.letter(letter)?,
                Token::Command(name) => self.command(&name, number)?,
                Token::Text(text) => self.text(text)?,
                Token::Word(word) => self.word(word)?,
                Token::Run(name) | Token::Name(name) => self.symbol(&name)?,
                Token::Mark(mark) => self.mark(mark)?,
                Token::Relation(name, direction) => {
                    let name = self.arena.name(name);
                    self.relation(Relation::Other(name, direction))?;
                }
                Token::Operation(name) => {
                    let name = self.arena.name(name);
                    self.infix(Operator::Binary(Binary::Opaque(name)))?;
                }
                Token::Currency(sign) => self.unit(sign.to_string()),
                Token::Conjunction { either, logical } => self.conjunction(either, logical)?,
                Token::Begin(name) => self.begin(&name)?,
                Token::End(_) => self.close('E')?,
                Token::Row => self.row()?,
                Token::Sign(sign) => self.sign(sign)?,
            }
        }
        if !self.ready
            && matches!(
                self.operators.last(),
                Some(Operator::Comma | Operator::Or | Operator::Both | Operator::Semicolon)
            )
        {
            self.operators.pop();
            self.ready = true;
        }
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        self.reduce(0, false)?;
        if self.operators.is_empty() { Ok(()) } else { Err(Refusal::Unparsable) }
    }

    fn unit(&mut self, text: String) {
        self.units.push(Unit { member: self.separators, text });
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn push(&mut self, node: Node) -> Id {
        self.arena.push(node)
    }

    fn pop(&mut self) -> Result<Id, Refusal> {
        self.operands.pop().ok_or(Refusal::Unparsable)
    }

    /// Applies the operators on the stack that bind at least as strongly as `least` (more strongly, if `from_right`).
    fn reduce(&mut self, least: u8, from_right: bool) -> Step {
        while let Some(top) = self.operators.last() {
            let strength = top.strength();
            if strength == 0 || strength < least || (from_right && strength == least) {
                break;
            }
            let Some(operator) = self.operators.pop() else { break };
            self.apply(operator)?;
        }
        Ok(())
    }

    fn apply(&mut self, operator: Operator) -> Step {
        let right = self.pop()?;
        let node = match operator {
            Operator::Prefix(unary) => Node::Unary(unary, right),
            Operator::Binary(binary) => {
                let left = self.pop()?;
                let id = self.binary(binary, left, right)?;
                self.operands.push(id);
                return Ok(());
            }
            Operator::Relation(relation) => {
                let left = self.pop()?;
                match self.arena.node(left) {
                    Node::Chain(members, _) if members.len() >= CHAIN => return Err(Refusal::Budget),
                    Node::Chain(members, relations) => Node::Chain(
                        members.iter().copied().chain([right]).collect(),
                        relations.iter().copied().chain([relation]).collect(),
                    ),
                    _ => Node::Chain(vec![left, right], vec![relation]),
                }
            }
            Operator::Comma | Operator::Or | Operator::Both => {
                let separates =
                    |operator: &Operator| matches!(operator, Operator::Comma | Operator::Or | Operator::Both);
                let separators: Vec<&Operator> = self
                    .operators
                    .iter()
                    .rev()
                    .take_while(|operator| separates(operator))
                    .chain([&operator])
                    .collect();
                let either = separators.iter().any(|operator| matches!(operator, Operator::Or));
                let both = separators.iter().any(|operator| matches!(operator, Operator::Both));
                let items = self.members(right, separates)?;
                let items = self.continued(items);
                let id = self.push(Node::List(items));
                if either {
                    self.arena.mark(id, holds::EITHER);
                }
                if both {
                    self.arena.mark(id, holds::BOTH);
                }
                self.operands.push(id);
                return Ok(());
            }
            Operator::Semicolon => {
                Node::Rows(self.members(right, |operator| matches!(operator, Operator::Semicolon))?)
            }
            Operator::Over(divides) => {
                let left = self.pop()?;
                if divides {
                    Node::Binary(Binary::Divide, left, right)
                } else {
                    Node::Call(Function::Binomial, vec![left, right])
                }
            }
            Operator::Function { function, power, subscript } => {
                let id = self.call(function, power, subscript, right)?;
                self.operands.push(id);
                return Ok(());
            }
            _ => return Err(Refusal::Unparsable),
        };
        let id = self.push(node);
        self.operands.push(id);
        Ok(())
    }

    /// The members of a list that ends with `right`. Its first separator was already removed from the stack.
    fn members(&mut self, right: Id, separates: fn(&Operator) -> bool) -> Result<Vec<Id>, Refusal> {
        let mut items = vec![right, self.pop()?];
        while self.operators.last().is_some_and(separates) {
            self.operators.pop();
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(items)
    }

    /// Handles the end of an operand: gives it to the command or function that waits for it, or keeps it.
    fn deliver(&mut self, mut id: Id, bracketed: bool) -> Step {
        loop {
            self.ready = true;
            match self.operators.last_mut() {
                Some(Operator::Command { wanted, taken, .. }) => {
                    taken.push(id);
                    if taken.len() < *wanted {
                        self.ready = false;
                        return Ok(());
                    }
                    let Some(Operator::Command { name, taken, .. }) = self.operators.pop() else { break };
                    id = self.finish(name, taken)?;
                }
                Some(Operator::Decoration(below)) => {
                    let below = *below;
                    self.operators.pop();
                    self.ready = false;
                    if let Some(Operator::Function { power, subscript, .. }) = self.operators.last_mut() {
                        *(if below { subscript } else { power }) = Some(id);
                    }
                    return Ok(());
                }
                Some(Operator::Apply(name) | Operator::Mark(name)) => {
                    let name = *name;
                    self.operators.pop();
                    id = self.push(Node::Apply(name, id));
                }
                Some(Operator::Function { function, power, subscript })
                    if bracketed && !matches!(function, Function::Sum | Function::Product) =>
                {
                    let (function, power, subscript) = (*function, *power, *subscript);
                    self.operators.pop();
                    id = self.call(function, power, subscript, id)?;
                }
                _ => break,
            }
        }
        self.operands.push(id);
        Ok(())
    }

    /// Prepares for an operand. Directly after another operand it is multiplied with that one.
    fn operand(&mut self) -> Step {
        if self.ready && self.after_text() {
            // Words before a formula form a sentence.
            return Err(Refusal::Unparsable);
        }
        if self.ready {
            // A product in the argument of a function without brackets stays there: `sin 2x`.
            while let Some(top) = self.operators.last() {
                let strength = top.strength();
                if strength < strength::PRODUCT || strength == strength::FUNCTION || strength == u8::MAX {
                    break;
                }
                if matches!(top, Operator::Function { .. }) {
                    break;
                }
                self.reduce_one()?;
            }
            self.operators.push(Operator::Binary(Binary::Multiply));
            self.ready = false;
        }
        Ok(())
    }

    fn after_text(&self) -> bool {
        self.operands.last().is_some_and(|id| matches!(self.arena.node(*id), Node::Text(_)))
    }

    fn reduce_one(&mut self) -> Step {
        match self.operators.pop() {
            Some(operator) => self.apply(operator),
            None => Err(Refusal::Unparsable),
        }
    }

    fn infix(&mut self, operator: Operator) -> Step {
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        let from_right = matches!(
            operator,
            Operator::Binary(Binary::Power | Binary::Mixed)
                | Operator::Comma
                | Operator::Or
                | Operator::Both
                | Operator::Semicolon
        );
        let separates =
            matches!(operator, Operator::Comma | Operator::Or | Operator::Both | Operator::Semicolon);
        self.separators += usize::from(separates);
        self.reduce(operator.strength(), from_right)?;
        self.operators.push(operator);
        self.ready = false;
        Ok(())
    }
}
