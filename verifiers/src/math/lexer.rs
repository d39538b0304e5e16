//! Turns plain text and LaTeX into tokens.

mod arrange;
mod bare_words;
mod commands;
mod numbers;

use super::expression::Direction;
use super::number::Rational;
use super::{LENGTH, Refusal};

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number as written.
    Number {
        /// The digits without the point and without separators.
        digits: String,
        /// How many of the digits are after the point, if there is one.
        places: Option<u32>,
        /// The power of ten after `e`.
        power: i32,
        /// The repeating digits.
        repeating: String,
    },
    /// A variable or constant of one letter.
    Letter(char),
    /// A LaTeX command without its backslash, or a word with a meaning.
    Command(String),
    /// Words in a text command.
    Text(String),
    /// A bare word.
    Word(String),
    /// Several letters in a row. Whether they are a name or a product is decided when both answers are known.
    Run(String),
    /// A name of several letters.
    Name(String),
    /// A currency sign.
    Currency(char),
    /// `and`, or `or` between alternatives.
    Conjunction {
        /// Whether it is `or`.
        either: bool,
        /// Whether it is the sign of logic, not a word.
        logical: bool,
    },
    /// A relation that has no meaning here beyond its name.
    Relation(&'static str, Direction),
    /// An operation on two operands that has no meaning here beyond its name. It does not commute.
    Operation(&'static str),
    /// A mark on the next operand, such as an arrow or the sign of an angle.
    Mark(&'static str),
    /// An operator, bracket or separator. `{` and `}` group; `⟨`, `⟩`, `⌊` and so on are brackets; `S` and `s` are set
    /// braces.
    Sign(char),
    /// The beginning of an environment.
    Begin(String),
    /// The end of an environment.
    End(String),
    /// The end of a row.
    Row,
}

impl Token {
    /// A whole number.
    pub(super) fn whole(value: i64) -> Self {
        Self::Number { digits: value.to_string(), places: None, power: 0, repeating: String::new() }
    }
}

/// The tokens of a normalised answer.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    if text.len() > LENGTH {
        return Err(Refusal::Budget);
    }
    let mut lexer =
        Lexer { rest: text, tokens: Vec::new(), brackets: 0, decimal_commas: 0, blank: false, spaced: false };
    lexer.run()?;
    arrange::arranged(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    brackets: i32,
    /// The depth of the bracket whose members are separated by semicolons, so that a comma is a decimal point.
    decimal_commas: i32,
    /// Whether white space comes directly before this position.
    blank: bool,
    /// Whether white space or a command for it comes directly before this position.
    spaced: bool,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Refusal> {
        while let Some(first) = self.rest.chars().next() {
            if first.is_whitespace() || matches!(first, '~' | '$') {
                self.blank = true;
                self.spaced = true;
                self.skip(first.len_utf8());
                continue;
            }
            let before = self.tokens.len();
            match first {
                '0'..='9' => self.number(),
                '.' if self.rest[1..].starts_with(|next: char| next.is_ascii_digit())
                    || numbers::repeating_digits(&self.rest[1..]).is_some() =>
                {
                    self.number();
                }
                '.' if self.rest.starts_with("...") => {
                    self.skip(3);
                    self.sign('…');
                }
                '.' => return Err(Refusal::Unparsable),
                '\\' => {
                    self.skip(1);
                    self.command()?;
                }
                _ if first.is_alphabetic() => self.word(),
                _ => self.plain_sign(first)?,
            }
            self.blank = false;
            let kept = self.tokens.len() == before;
            self.spaced = self.spaced && kept;
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn sign(&mut self, sign: char) {
        self.brackets += match sign {
            '(' | '[' | 'S' | '⟨' => 1,
            ')' | ']' | 's' | '⟩' => -1,
            _ => 0,
        };
        if self.decimal_commas == 0 && self.brackets > 0 && matches!(sign, '(' | '[' | 'S') {
            self.decimal_commas = if separated_by_semicolons(self.rest) { self.brackets } else { 0 };
        } else if self.brackets < self.decimal_commas {
            self.decimal_commas = 0;
        }
        self.tokens.push(Token::Sign(sign));
    }

    fn plain_sign(&mut self, first: char) -> Result<(), Refusal> {
        const PAIRS: &[(&str, char)] = &[
            ("**", '^'),
            ("<=", '≤'),
            (">=", '≥'),
            ("!=", '≠'),
            ("==", '='),
            ("=>", '⇒'),
            ("->", '→'),
            ("||", '‖'),
        ];
        if let Some((sign, width)) = lone_sign(self.rest) {
            self.skip(width);
            self.sign(sign);
            return Ok(());
        }
        let pair = PAIRS.iter().find(|(pair, _)| self.rest.starts_with(pair));
        self.skip(pair.map_or(first.len_utf8(), |(pair, _)| pair.len()));
        let first = pair.map_or(first, |(_, sign)| *sign);
        match first {
            '+' | '-' | '*' | '/' | '^' | '_' | '=' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ','
            | ';' | ':' | '|' | '!' | '%' | '\'' | '&' | '±' | '∓' | '≤' | '≥' | '≠' | '≈' | '∈' | '∪'
            | '∩' | '∖' | '⌊' | '⌋' | '⌈' | '⌉' | '⟨' | '⟩' | '°' | '∞' | '∅' | '√' | '…' | '‖' =>
            {
                self.sign(first);
                Ok(())
            }
            '∧' => {
                self.tokens.push(Token::Conjunction { either: false, logical: true });
                Ok(())
            }
            '→' | '⇒' => {
                let name = if first == '→' { "to" } else { "implies" };
                self.tokens.push(Token::Relation(name, Direction::Forward));
                Ok(())
            }
            '€' | '£' | '¥' | '¢' | '₹' => {
                self.tokens.push(Token::Currency(first));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    /// Whether what was read so far is a number, possibly with a power of ten.
    fn after_quantity(&self) -> bool {
        let numeric = |token: &Token| match token {
            Token::Number { .. } => true,
            Token::Sign(sign) => "+-*×/^{}()".contains(*sign),
            Token::Command(name) => name == "frac",
            _ => false,
        };
        match self.tokens.last() {
            Some(Token::Number { .. }) => true,
            Some(Token::Sign('}' | ')')) => self.tokens.iter().all(numeric),
            _ => false,
        }
    }

    fn after_operand(&self) -> bool {
        match self.tokens.last() {
            Some(
                Token::Number { .. }
                | Token::Letter(_)
                | Token::Run(_)
                | Token::Name(_)
                | Token::Text(_)
                | Token::Word(_),
            ) => true,
            Some(Token::Sign(sign)) => matches!(sign, ')' | ']' | '}' | 's' | '°' | '%' | '∞' | 'π'),
            Some(Token::Currency(_)) => true,
            _ => false,
        }
    }
}

/// Whether a semicolon comes before the bracket that closes first.
fn separated_by_semicolons(rest: &str) -> bool {
    let end = rest.find([')', ']', '[', '}']).unwrap_or(0);
    rest[..end].contains(';')
}

/// A sign alone in braces, which only change the space around it: `7{:}32`, `{-}3`.
fn lone_sign(rest: &str) -> Option<(char, usize)> {
    let inner = rest.strip_prefix('{')?;
    let inner = &inner[..inner.bytes().take(4).position(|byte| byte == b'}')?];
    let mut signs = inner.trim().trim_start_matches('\\').chars();
    let sign = signs.next().filter(|sign| ":,-+*/=<>%()[]".contains(*sign))?;
    signs.next().is_none().then_some((sign, inner.len() + 2))
}

/// The exact value of a number token.
pub(super) fn value(digits: &str, places: Option<u32>, power: i32, repeating: &str) -> Option<Rational> {
    let mut value = Rational::decimal(digits, places.unwrap_or(0))?;
    if !repeating.is_empty() {
        let width = repeating.len() as i64;
        let period = Rational::decimal(repeating, places.unwrap_or(0))?;
        let nines = Rational::from(10).pow(&Rational::from(width)).ok()??.sub(&Rational::from(1)).ok()?;
        value = value.add(&period.div(&nines).ok()?).ok()?;
    }
    let scale = Rational::from(10).pow(&Rational::from(i64::from(power))).ok()??;
    value.mul(&scale).ok()
}
