//! Tokens to an expression: operator precedence on an explicit stack, so that no input is too deep for it.

use super::expression::{Arena, Binary, Constant, Function, Id, Node, Relation, Unary};
use super::lexer::{Token, value};
use super::number::Rational;
use super::words;
use super::{DEPTH, NODES, Refusal};

mod build;

/// How tightly an operator binds.
mod strength {
    pub(super) const ROWS: u8 = 1;
    pub(super) const LIST: u8 = 2;
    pub(super) const RELATION: u8 = 3;
    pub(super) const SET: u8 = 4;
    pub(super) const RATIO: u8 = 5;
    pub(super) const SUM: u8 = 6;
    pub(super) const PRODUCT: u8 = 7;
    pub(super) const FUNCTION: u8 = 8;
    pub(super) const MIXED: u8 = 9;
    pub(super) const POWER: u8 = 10;
    pub(super) const INDEX: u8 = 11;
}

/// An answer as it was parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The expression.
    pub(super) root: Id,
    /// The units that were dropped from it.
    pub(super) units: Vec<String>,
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
    Semicolon,
    Prefix(Unary),
    Function {
        function: Function,
        power: Option<Id>,
        subscript: Option<Id>,
    },
    Apply(usize),
    /// A command that takes `wanted` arguments in braces.
    Command {
        name: &'static str,
        wanted: usize,
        taken: Vec<Id>,
    },
    /// The next operand belongs below (`true`) or above the function under it.
    Decoration(bool),
}

impl Operator {
    fn strength(&self) -> u8 {
        match self {
            Self::Open { .. } => 0,
            Self::Semicolon => strength::ROWS,
            Self::Comma => strength::LIST,
            Self::Relation(_) => strength::RELATION,
            Self::Binary(Binary::Union | Binary::Intersection | Binary::Difference) => strength::SET,
            Self::Binary(Binary::Ratio) => strength::RATIO,
            Self::Binary(Binary::Add | Binary::Subtract | Binary::PlusMinus(_)) => strength::SUM,
            Self::Binary(Binary::Multiply | Binary::Divide | Binary::Modulo) | Self::Prefix(_) => {
                strength::PRODUCT
            }
            Self::Function { function: Function::Sum | Function::Product, .. } => strength::PRODUCT,
            Self::Function { .. } => strength::FUNCTION,
            Self::Binary(Binary::Mixed) => strength::MIXED,
            Self::Binary(Binary::Power) => strength::POWER,
            Self::Binary(Binary::Index) => strength::INDEX,
            Self::Apply(_) | Self::Command { .. } | Self::Decoration(_) => u8::MAX,
        }
    }
}

/// Chains of more members are not parsed.
const CHAIN: usize = 100;

/// Functions by the name of their command.
const FUNCTIONS: &[(&str, Function)] = &[
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("tg", Function::Tan),
    ("cot", Function::Cot),
    ("sec", Function::Sec),
    ("csc", Function::Csc),
    ("arcsin", Function::Arcsin),
    ("arccos", Function::Arccos),
    ("arctan", Function::Arctan),
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
const COMMANDS: &[(&str, usize)] = &[("frac", 2), ("binom", 2), ("sqrt", 1), ("cbrt", 1), ("overline", 1)];

/// Letters that name a function when a bracket follows.
const FUNCTION_LETTERS: &str = "fghFGH";

/// Commands that are no letters of an alphabet and have no meaning here.
const UNSUPPORTED: &[&str] = &["int", "iint", "oint", "lim", "partial", "nabla", "not", "exists", "forall"];

/// The expression that the tokens spell.
pub(super) fn parse(arena: &mut Arena, tokens: Vec<Token>) -> Result<Parsed, Refusal> {
    let mut parser = Parser {
        arena,
        tokens,
        at: 0,
        operands: Vec::new(),
        operators: Vec::new(),
        units: Vec::new(),
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
    units: Vec<String>,
    /// Whether an operand has just ended, so that an operator may follow.
    ready: bool,
    /// Whether that operand is a number of digits that no operator but a sign or a product precedes.
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
                Token::Currency(sign) => self.units.push(sign.to_string()),
                Token::Conjunction => self.conjunction()?,
                Token::Begin(name) => self.begin(&name)?,
                Token::End(_) => self.close('E')?,
                Token::Row => self.row()?,
                Token::Sign(sign) => self.sign(sign)?,
            }
        }
        if !self.ready && matches!(self.operators.last(), Some(Operator::Comma | Operator::Semicolon)) {
            self.operators.pop();
            self.ready = true;
        }
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        self.reduce(0, false)?;
        if self.operators.is_empty() { Ok(()) } else { Err(Refusal::Unparsable) }
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

    /// Applies operators that bind at least as tightly as `least` (more tightly, where the right one goes first).
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
            Operator::Comma => {
                Node::List(self.members(right, |operator| matches!(operator, Operator::Comma))?)
            }
            Operator::Semicolon => {
                Node::Rows(self.members(right, |operator| matches!(operator, Operator::Semicolon))?)
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

    /// The members of a list that ends in `right`, whose first separator has been taken from the stack.
    fn members(&mut self, right: Id, separates: fn(&Operator) -> bool) -> Result<Vec<Id>, Refusal> {
        let mut items = vec![right, self.pop()?];
        while self.operators.last().is_some_and(separates) {
            self.operators.pop();
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(items)
    }

    /// An operand has ended: gives it to the command or function that waits for it, else keeps it.
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
                Some(Operator::Apply(name)) => {
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

    /// Makes room for an operand: after another one, their product is meant.
    fn operand(&mut self) -> Step {
        if self.ready && self.after_text() {
            // Words before a formula are a sentence.
            return Err(Refusal::Unparsable);
        }
        if self.ready {
            // A product within the argument of a bare function stays there: `sin 2x`.
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
            Operator::Binary(Binary::Power | Binary::Mixed) | Operator::Comma | Operator::Semicolon
        );
        self.reduce(operator.strength(), from_right)?;
        self.operators.push(operator);
        self.ready = false;
        Ok(())
    }

    fn number(&mut self, after: bool, digits: &str, places: Option<u32>, power: i32, period: &str) -> Step {
        let splits = matches!(self.operators.last(), Some(Operator::Command { name: "frac" | "binom", .. }));
        if splits && digits.len() > 1 && places.is_none() && power == 0 {
            // `\frac12`: each argument is one digit.
            self.at -= 1;
            self.tokens[self.at] =
                Token::Number { digits: digits[1..].to_owned(), places, power, repeating: String::new() };
            let id = self.integer(i64::from(digits.as_bytes()[0] - b'0'));
            return self.deliver(id, false);
        }
        let value = value(digits, places, power, period).ok_or(Refusal::Budget)?;
        if self.ready && after {
            return self.mixed_in_line(&value);
        }
        self.operand()?;
        let exact = places.is_none() || !period.is_empty();
        let significant = digits.trim_start_matches('0').len() as u32;
        let places = (!exact).then(|| i64::from(places.unwrap_or(0)) - i64::from(power));
        let id = self.push(Node::Number { value, places, significant });
        self.number = !matches!(self.operators.last(), Some(Operator::Binary(Binary::Power | Binary::Index)))
            && places.is_none();
        self.deliver(id, false)
    }

    /// `3 1/2` after its `3`.
    fn mixed_in_line(&mut self, top: &Rational) -> Step {
        let (Some(Token::Sign('/')), Some(Token::Number { digits, places: None, power: 0, .. })) =
            (self.tokens.get(self.at), self.tokens.get(self.at + 1))
        else {
            return Err(Refusal::Unparsable);
        };
        let bottom = value(digits, None, 0, "").ok_or(Refusal::Budget)?;
        let whole = self.pop()?;
        let Node::Number { value: whole, .. } = self.arena.node(whole) else {
            return Err(Refusal::Unparsable);
        };
        let part = top.div(&bottom).map_err(|_| Refusal::Unparsable)?;
        let value = whole.add(&part).map_err(|_| Refusal::Budget)?;
        self.at += 2;
        let id = self.push(Node::Number { value, places: None, significant: 0 });
        self.operands.push(id);
        Ok(())
    }

    fn letter(&mut self, letter: char) -> Step {
        self.operand()?;
        let mut spelling = String::from(letter);
        while let Some(Token::Sign('\'')) = self.peek() {
            spelling.push('\'');
            self.at += 1;
        }
        let opens = matches!(self.peek(), Some(Token::Sign('(')));
        if opens && FUNCTION_LETTERS.contains(letter) {
            let name = self.arena.name(&spelling);
            self.operators.push(Operator::Apply(name));
            self.ready = false;
            return Ok(());
        }
        let node = match spelling.as_str() {
            "e" => Node::Constant(Constant::E),
            "i" => Node::Constant(Constant::I),
            "π" => Node::Constant(Constant::Pi),
            _ => Node::Symbol(self.arena.name(&spelling)),
        };
        let id = self.push(node);
        self.deliver(id, false)
    }

    fn constant(&mut self, constant: Constant) -> Step {
        self.operand()?;
        let id = self.push(Node::Constant(constant));
        self.deliver(id, false)
    }

    fn command(&mut self, name: &str, after_number: bool) -> Step {
        match name {
            "undefined" => return self.constant(Constant::Undefined),
            "setR" => return self.constant(Constant::Reals),
            "sqrt" | "cbrt" | "frac" | "binom" | "overline" => {}
            _ if name.starts_with("set") => return self.symbol(name),
            _ if UNSUPPORTED.contains(&name) => return Err(Refusal::Unparsable),
            _ => match FUNCTIONS.iter().find(|(known, _)| *known == name) {
                Some((_, function)) => return self.function(name, *function),
                None => return self.symbol(name),
            },
        }
        let Some((name, wanted)) = COMMANDS.iter().find(|(known, _)| *known == name) else {
            return Err(Refusal::Unparsable);
        };
        if self.ready && after_number && *name == "frac" {
            self.infix(Operator::Binary(Binary::Mixed))?;
        }
        self.operand()?;
        let mut wanted = *wanted;
        if *name == "sqrt" && matches!(self.peek(), Some(Token::Sign('['))) {
            wanted += 1;
        }
        self.operators.push(Operator::Command { name, wanted, taken: Vec::new() });
        self.ready = false;
        Ok(())
    }

    fn symbol(&mut self, name: &str) -> Step {
        self.operand()?;
        let name = self.arena.name(name);
        let id = self.push(Node::Symbol(name));
        self.deliver(id, false)
    }

    fn function(&mut self, name: &str, function: Function) -> Step {
        if self.ready && self.after_text() {
            return Err(Refusal::Unparsable);
        }
        if self.ready {
            // `sin x cos y`: the first function has its argument.
            self.reduce(strength::PRODUCT, false)?;
            self.operators.push(Operator::Binary(Binary::Multiply));
            self.ready = false;
        }
        let subscript = if name == "lg" { Some(self.integer(10)) } else { None };
        self.operators.push(Operator::Function { function, power: None, subscript });
        Ok(())
    }

    fn text(&mut self, text: String) -> Step {
        if !self.ready {
            let id = self.push(Node::Text(text));
            return self.deliver(id, false);
        }
        if text.split(|next: char| !next.is_alphabetic()).any(words::is_prose) {
            return Err(Refusal::Unparsable);
        }
        self.units.push(text);
        self.skip_exponent();
        Ok(())
    }

    /// The exponent of a unit goes with it.
    fn skip_exponent(&mut self) {
        if self.peek() != Some(&Token::Sign('^')) {
            return;
        }
        let braced = self.tokens.get(self.at + 1) == Some(&Token::Sign('{'));
        let exponent = self.at + if braced { 2 } else { 1 };
        if let Some(Token::Number { digits, .. }) = self.tokens.get(exponent) {
            self.units.push(format!("^{digits}"));
            self.at = exponent + if braced { 2 } else { 1 };
        }
    }

    fn word(&mut self, word: String) -> Step {
        if !self.ready {
            let mut text = word;
            while let Some(Token::Word(next) | Token::Text(next)) = self.tokens.get(self.at) {
                text = format!("{text} {next}");
                self.at += 1;
            }
            let id = self.push(Node::Text(text));
            return self.deliver(id, false);
        }
        // Words at the end say what was counted: `42 apples`.
        let rest = &self.tokens[self.at..];
        let plain = rest.iter().all(|token| matches!(token, Token::Word(_) | Token::Text(_)));
        let prose = rest.iter().any(|token| matches!(token, Token::Word(word) if words::is_prose(word)));
        if plain && !prose && rest.len() < 3 && !words::is_prose(&word) {
            self.units.push(word);
            return Ok(());
        }
        Err(Refusal::Unparsable)
    }

    fn conjunction(&mut self) -> Step {
        match self.operators.last() {
            // `1, 2, and 3`
            _ if self.ready => self.infix(Operator::Comma),
            Some(Operator::Comma | Operator::Semicolon) => Ok(()),
            _ => Err(Refusal::Unparsable),
        }
    }

    fn sign(&mut self, sign: char) -> Step {
        match sign {
            '+' | '-' | '±' | '∓' if !self.ready => match sign {
                '+' => Ok(()),
                '-' => self.prefix(Unary::Negative),
                _ => self.prefix(Unary::PlusMinus(sign == '±')),
            },
            '+' => self.infix(Operator::Binary(Binary::Add)),
            '-' => self.infix(Operator::Binary(Binary::Subtract)),
            '±' | '∓' => self.infix(Operator::Binary(Binary::PlusMinus(sign == '±'))),
            '*' => self.infix(Operator::Binary(Binary::Multiply)),
            '/' => self.infix(Operator::Binary(Binary::Divide)),
            '^' => self.power(),
            '_' => self.index(),
            '=' => self.relation(Relation::Equal),
            '≈' => self.relation(Relation::Approximate),
            '≠' => self.relation(Relation::NotEqual),
            '<' => self.relation(Relation::Less),
            '≤' => self.relation(Relation::LessEqual),
            '>' => self.relation(Relation::Greater),
            '≥' => self.relation(Relation::GreaterEqual),
            '∈' => self.relation(Relation::In),
            ',' | '∧' => self.infix(Operator::Comma),
            ';' => self.infix(Operator::Semicolon),
            ':' if self.after_text() => Err(Refusal::Unparsable),
            ':' => self.infix(Operator::Binary(Binary::Ratio)),
            '∪' => self.infix(Operator::Binary(Binary::Union)),
            '∩' => self.infix(Operator::Binary(Binary::Intersection)),
            '∖' => self.infix(Operator::Binary(Binary::Difference)),
            '!' => self.postfix(Unary::Factorial),
            '%' => self.percent(),
            '°' => self.degree(),
            '|' | '‖' => self.bar(sign),
            '√' => self.command("sqrt", false),
            'π' => self.constant(Constant::Pi),
            '∞' => self.constant(Constant::Infinity),
            '∅' => self.constant(Constant::Empty),
            '(' | '[' | '{' | 'S' | '⟨' | '⌊' | '⌈' | '⟦' => self.open(sign),
            ')' | ']' | '}' | 's' | '⟩' | '⌋' | '⌉' | '⟧' => self.close(sign),
            '&' => self.cell(),
            _ => Err(Refusal::Unparsable),
        }
    }

    fn prefix(&mut self, unary: Unary) -> Step {
        if matches!(self.operators.last(), Some(Operator::Command { .. } | Operator::Apply(_))) {
            return Err(Refusal::Unparsable);
        }
        self.operators.push(Operator::Prefix(unary));
        Ok(())
    }

    fn relation(&mut self, relation: Relation) -> Step {
        if relation == Relation::Equal && !self.ready && self.operators.is_empty() && self.operands.is_empty()
        {
            // `= 42`
            return Ok(());
        }
        self.infix(Operator::Relation(relation))
    }

    fn power(&mut self) -> Step {
        if self.ready {
            // `90^\circ`
            let mut ahead = self.tokens[self.at..].iter().filter(|token| **token != Token::Sign('{'));
            if ahead.next() == Some(&Token::Sign('°')) {
                if self.peek() == Some(&Token::Sign('{')) {
                    self.at += 1;
                    if self.tokens.get(self.at + 1) == Some(&Token::Sign('}')) {
                        self.tokens.remove(self.at + 1);
                    }
                }
                self.at += 1;
                return self.degree();
            }
            return self.infix(Operator::Binary(Binary::Power));
        }
        match self.operators.last() {
            Some(Operator::Function { power: None, .. }) => {
                self.operators.push(Operator::Decoration(false));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    fn index(&mut self) -> Step {
        if self.ready {
            return self.infix(Operator::Binary(Binary::Index));
        }
        match self.operators.last() {
            Some(Operator::Function { subscript: None, .. }) => {
                self.operators.push(Operator::Decoration(true));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    fn postfix(&mut self, unary: Unary) -> Step {
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        let item = self.pop()?;
        let id = self.push(Node::Unary(unary, item));
        self.operands.push(id);
        Ok(())
    }

    fn percent(&mut self) -> Step {
        let operand_follows =
            matches!(self.peek(), Some(Token::Number { .. } | Token::Letter(_) | Token::Sign('(')));
        if operand_follows {
            self.infix(Operator::Binary(Binary::Modulo))
        } else {
            self.postfix(Unary::Percent)
        }
    }

    fn degree(&mut self) -> Step {
        let angle = self.operators.iter().any(
            |operator| matches!(operator, Operator::Function { function, .. } if function.takes_angle()),
        );
        if !angle || !self.ready {
            return self.postfix(Unary::Degree);
        }
        let item = self.pop()?;
        let pi = self.push(Node::Constant(Constant::Pi));
        let half_turn = self.integer(180);
        let unit = self.push(Node::Binary(Binary::Divide, pi, half_turn));
        let id = self.push(Node::Binary(Binary::Multiply, item, unit));
        self.operands.push(id);
        Ok(())
    }

    fn bar(&mut self, sign: char) -> Step {
        let innermost = self.operators.iter().rev().find_map(|operator| match operator {
            Operator::Open { sign, .. } => Some(*sign),
            _ => None,
        });
        if self.ready && innermost == Some(sign) { self.close(sign) } else { self.open(sign) }
    }

    fn open(&mut self, sign: char) -> Step {
        self.operand()?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Refusal::Budget);
        }
        self.operators.push(Operator::Open { sign, rows: Vec::new(), row: Vec::new() });
        Ok(())
    }

    fn begin(&mut self, name: &str) -> Step {
        const MATRICES: &[&str] =
            &["matrix", "pmatrix", "bmatrix", "vmatrix", "Bmatrix", "Vmatrix", "array", "smallmatrix"];
        let sign = match name {
            _ if MATRICES.contains(&name) => 'M',
            "cases" | "aligned" | "align" | "gathered" | "split" => 'A',
            _ => return Err(Refusal::Unparsable),
        };
        self.open(sign)
    }

    /// Ends an entry of a matrix.
    fn cell(&mut self) -> Step {
        self.end_entry()?;
        match self.operators.last_mut() {
            Some(Operator::Open { sign: 'M' | 'A', .. }) => Ok(()),
            _ => Err(Refusal::Unparsable),
        }
    }

    fn end_entry(&mut self) -> Step {
        if !self.ready {
            // `&=` in an aligned environment, or an empty line.
            return match self.operators.last() {
                Some(Operator::Open { sign: 'A', .. }) => Ok(()),
                _ => Err(Refusal::Unparsable),
            };
        }
        self.reduce(strength::ROWS, false)?;
        let entry = self.pop()?;
        self.ready = false;
        match self.operators.last_mut() {
            Some(Operator::Open { row, .. }) => row.push(entry),
            _ => return Err(Refusal::Unparsable),
        }
        Ok(())
    }

    fn row(&mut self) -> Step {
        let in_rows =
            self.operators.iter().any(|operator| matches!(operator, Operator::Open { sign: 'M' | 'A', .. }));
        if !in_rows {
            // A line break, or a command whose backslash was doubled: nothing to parse.
            return if self.ready { self.infix(Operator::Comma) } else { Ok(()) };
        }
        self.end_entry()?;
        match self.operators.last_mut() {
            Some(Operator::Open { rows, row, .. }) => rows.push(std::mem::take(row)),
            _ => return Err(Refusal::Unparsable),
        }
        Ok(())
    }

    fn close(&mut self, sign: char) -> Step {
        if !self.ready && matches!(self.operators.last(), Some(Operator::Comma | Operator::Semicolon)) {
            self.operators.pop();
            self.ready = true;
        }
        if self.ready {
            self.reduce(strength::ROWS, false)?;
        }
        if sign == 'E' {
            return self.close_environment();
        }
        let Some(Operator::Open { sign: open, .. }) = self.operators.pop() else {
            return Err(Refusal::Unparsable);
        };
        self.depth -= 1;
        if !closes(open, sign) {
            return Err(Refusal::Unparsable);
        }
        let item = if self.ready { Some(self.pop()?) } else { None };
        let id = self.group(open, sign, item)?;
        self.deliver(id, matches!(open, '(' | '{' | '['))
    }

    fn group(&mut self, open: char, close: char, item: Option<Id>) -> Result<Id, Refusal> {
        let node = match (open, item) {
            ('|' | '‖' | '⟦', Some(item)) => Node::Call(Function::Abs, vec![item]),
            ('⌊', Some(item)) => Node::Call(Function::Floor, vec![item]),
            ('⌈', Some(item)) => Node::Call(Function::Ceiling, vec![item]),
            ('⟨', Some(item)) => Node::Group('(', ')', Some(item)),
            ('S', None) => Node::Constant(Constant::Empty),
            ('S', Some(item)) => Node::Group('S', 's', Some(item)),
            ('(' | '[', Some(item)) => Node::Group(open, close, Some(item)),
            ('{', Some(item)) => match self.arena.node(item) {
                Node::List(_) | Node::Rows(_) | Node::Unary(Unary::PlusMinus(_), _) => {
                    Node::Group('S', 's', Some(item))
                }
                Node::Number { .. } => return Ok(item),
                _ => Node::Group('{', '}', Some(item)),
            },
            _ => return Err(Refusal::Unparsable),
        };
        Ok(self.push(node))
    }

    fn close_environment(&mut self) -> Step {
        if self.ready {
            self.end_entry()?;
        }
        let Some(Operator::Open { sign, mut rows, row }) = self.operators.pop() else {
            return Err(Refusal::Unparsable);
        };
        self.depth -= 1;
        if !row.is_empty() {
            rows.push(row);
        }
        rows.retain(|row| !row.is_empty());
        if rows.is_empty() || !matches!(sign, 'M' | 'A') {
            return Err(Refusal::Unparsable);
        }
        let id = match sign {
            'M' => self.push(Node::Matrix(rows)),
            _ => self.push(Node::List(rows.concat())),
        };
        self.ready = false;
        // A matrix in brackets of its own is the matrix.
        self.deliver(id, false)
    }
}

fn closes(open: char, close: char) -> bool {
    matches!(
        (open, close),
        ('(', ')' | ']')
            | ('[', ']' | ')')
            | ('{', '}')
            | ('S', 's')
            | ('⟨', '⟩')
            | ('⌊', '⌋')
            | ('⌈', '⌉')
            | ('⟦', '⟧' | '|')
            | ('|', '|' | '⟧')
            | ('‖', '‖')
    )
}
