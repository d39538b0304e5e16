//! Arithmetic expressions: a tokenizer and an exact evaluation, with limits on length, depth and digits.

use crate::rational::{Rational, decimal, digits};

/// Longer texts are not read as an expression, in bytes.
const MAX_LENGTH: usize = 1024;
/// Maximum nesting depth of brackets and signs.
const MAX_DEPTH: usize = 64;

/// Which notation is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// `-3`, `2*-3`, `-(1+2)`, and `+3`.
    pub(crate) unary_minus: bool,
    /// `×`, `÷` and `−` besides `*`, `/` and `-`.
    pub(crate) aliases: bool,
    /// `1.25` besides whole numbers.
    pub(crate) decimals: bool,
    /// `%`, the remainder, which binds as strongly as `*`.
    pub(crate) remainder: bool,
}

impl Syntax {
    /// Everything, for the statements in a trace of thinking.
    pub(crate) const TRACE: Self =
        Self { unary_minus: true, aliases: false, decimals: true, remainder: true };
}

/// An operation as it was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The number on the left.
    pub(crate) left: Rational,
    /// `+`, `-`, `*`, `/` or `%`.
    pub(crate) operation: char,
    /// The number on the right.
    pub(crate) right: Rational,
    /// The result.
    pub(crate) result: Rational,
}

/// An expression and its value.
#[derive(Clone, Debug)]
pub(crate) struct Valued {
    /// The value, or `None` after a division by 0 or if it does not fit into 128 bits.
    pub(crate) value: Option<Rational>,
    /// The whole numbers in the expression, as written, from left to right.
    pub(crate) numbers: Vec<i128>,
    /// The operations, in the order in which they were computed.
    pub(crate) steps: Vec<Step>,
}

/// Reads and evaluates `text`, or returns `None` if it is not an expression of `syntax`.
pub(crate) fn evaluate(text: &str, syntax: Syntax) -> Option<Valued> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let tokens = tokenize(text, syntax)?;
    let valued = Valued { value: None, numbers: Vec::new(), steps: Vec::new() };
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, syntax, valued };
    let value = parser.sum()?;
    (parser.at == tokens.len()).then_some(Valued { value, ..parser.valued })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Whole(i128),
    Decimal(Rational),
    Symbol(char),
}

fn tokenize(text: &str, syntax: Syntax) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next.is_ascii_digit() {
            let (token, length) = number(rest, syntax)?;
            tokens.push(token);
            rest = &rest[length..];
            continue;
        }
        rest = &rest[next.len_utf8()..];
        match next {
            ' ' | '\t' => {}
            '+' | '-' | '*' | '/' | '(' | ')' => tokens.push(Token::Symbol(next)),
            '%' if syntax.remainder => tokens.push(Token::Symbol('%')),
            '×' if syntax.aliases => tokens.push(Token::Symbol('*')),
            '÷' if syntax.aliases => tokens.push(Token::Symbol('/')),
            '\u{2212}' if syntax.aliases => tokens.push(Token::Symbol('-')),
            _ => return None,
        }
    }
    Some(tokens)
}

/// The number at the start of `text` and its length in bytes.
fn number(text: &str, syntax: Syntax) -> Option<(Token, usize)> {
    let run = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let length = run(text);
    let integer = &text[..length];
    if length > 1 && integer.starts_with('0') {
        return None;
    }
    match text[length..].strip_prefix('.') {
        Some(_) if !syntax.decimals => None,
        Some(rest) => {
            let places = run(rest);
            Some((Token::Decimal(decimal(integer, &rest[..places])?), length + 1 + places))
        }
        None => Some((Token::Whole(digits(integer)?), length)),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    syntax: Syntax,
    valued: Valued,
}

/// The outer `None` means that the text is not an expression, the inner `None` that the expression has no value.
type Part = Option<Option<Rational>>;

impl Parser<'_> {
    fn sum(&mut self) -> Part {
        self.row(&['+', '-'], Self::product)
    }

    fn product(&mut self) -> Part {
        self.row(&['*', '/', '%'], Self::factor)
    }

    fn row(&mut self, operations: &[char], operand: fn(&mut Self) -> Part) -> Part {
        let mut left = operand(self)?;
        while let Some(Token::Symbol(operation)) = self.tokens.get(self.at).copied() {
            if !operations.contains(&operation) {
                break;
            }
            self.at += 1;
            let right = operand(self)?;
            left = match (left, right) {
                (Some(left), Some(right)) => self.carry_out(left, operation, right),
                _ => None,
            };
        }
        Some(left)
    }

    fn carry_out(&mut self, left: Rational, operation: char, right: Rational) -> Option<Rational> {
        let result = match operation {
            '+' => left.plus(right),
            '-' => left.minus(right),
            '*' => left.times(right),
            '/' => left.over(right),
            _ => left.modulo(right),
        }?;
        self.valued.steps.push(Step { left, operation, right, result });
        Some(result)
    }

    fn factor(&mut self) -> Part {
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Whole(value) => {
                self.valued.numbers.push(value);
                Some(Some(Rational::whole(value)))
            }
            Token::Decimal(value) => Some(Some(value)),
            Token::Symbol('-') if self.syntax.unary_minus => {
                let value = self.nested(Self::factor)?;
                Some(value.and_then(Rational::negated))
            }
            Token::Symbol('+') if self.syntax.unary_minus => self.nested(Self::factor),
            Token::Symbol('(') => {
                let value = self.nested(Self::sum)?;
                let is_closed = self.tokens.get(self.at) == Some(&Token::Symbol(')'));
                self.at += 1;
                is_closed.then_some(value)
            }
            Token::Symbol(_) => None,
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Part) -> Part {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = inner(self)?;
        self.depth -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Option<Rational>> {
        evaluate(text, Syntax::TRACE).map(|valued| valued.value)
    }

    #[test]
    fn precedence_and_brackets() {
        for (text, numerator, denominator) in [
            ("1+2*3", 7, 1),
            ("(1+2)*3", 9, 1),
            ("8-3-2", 3, 1),
            ("8/3/2", 4, 3),
            ("-2*-3", 6, 1),
            ("+2-+3", -1, 1),
            ("1\t+ 2", 3, 1),
            ("17%5*2", 4, 1),
            ("0.5+1", 3, 2),
        ] {
            assert_eq!(value(text), Some(Rational::new(numerator, denominator)), "{text}");
        }
    }

    #[test]
    fn a_division_by_zero_is_an_expression_without_a_value() {
        assert_eq!(value("1/(2-2)+3"), Some(None));
        assert_eq!(value(&["9".repeat(30), "9".repeat(30)].join("*")), Some(None));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "1+", "*1", "(1", "1)", "()", "1 2", "2**3", "7//2", "9**9**9", "01", "1.", ".5", "1e3",
            "1,2", "٣+1", "1=1", "1\0",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(value(&("(".repeat(65) + "1" + &")".repeat(65))), None);
        assert_eq!(value(&("-".repeat(65) + "1")), None);
        assert_eq!(value(&("+".repeat(65) + "1")), None);
        assert_eq!(value(&"(".repeat(1 << 20)), None);
        let plain = Syntax { unary_minus: false, aliases: false, decimals: false, remainder: false };
        for text in ["-1", "+1", "2*-1", "1.5", "5%3", "2×3", "5−3", "6÷3"] {
            assert!(evaluate(text, plain).is_none(), "{text}");
            assert!(evaluate(text, Syntax { aliases: true, ..Syntax::TRACE }).is_some(), "{text}");
        }
    }

    #[test]
    fn numbers_and_steps_are_kept_in_order() {
        let valued = evaluate("13-(12-6)", Syntax::TRACE).unwrap();
        assert_eq!(valued.numbers, [13, 12, 6]);
        let steps: Vec<String> = valued.steps.iter().map(|step| step.result.to_string()).collect();
        assert_eq!(steps, ["6", "7"]);
    }
}
