//! Turns plain text and LaTeX into tokens.

mod bare_words;
mod commands;

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
    /// A currency sign.
    Currency(char),
    /// `and`, or `or` between alternatives.
    Conjunction {
        /// Whether it is `or`.
        either: bool,
    },
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

/// The tokens of a normalised answer.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    if text.len() > LENGTH {
        return Err(Refusal::Budget);
    }
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), brackets: 0, blank: false };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    brackets: i32,
    /// Whether white space comes directly before this position.
    blank: bool,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Refusal> {
        while let Some(first) = self.rest.chars().next() {
            if first.is_whitespace() || matches!(first, '~' | '$') {
                self.blank = true;
                self.skip(first.len_utf8());
                continue;
            }
            match first {
                '0'..='9' => self.number(),
                '.' if self.rest[1..].starts_with(|next: char| next.is_ascii_digit())
                    || repeating_digits(&self.rest[1..]).is_some() =>
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
        if let Some((pair, sign)) = PAIRS.iter().find(|(pair, _)| self.rest.starts_with(pair)) {
            self.skip(pair.len());
            self.sign(*sign);
            return Ok(());
        }
        self.skip(first.len_utf8());
        match first {
            '+' | '-' | '*' | '/' | '^' | '_' | '=' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ','
            | ';' | ':' | '|' | '!' | '%' | '\'' | '&' | '±' | '∓' | '≤' | '≥' | '≠' | '≈' | '∈' | '∪'
            | '∩' | '∖' | '⌊' | '⌋' | '⌈' | '⌉' | '⟨' | '⟩' | '°' | '∞' | '∅' | '√' | '∧' | '→' | '⇒'
            | '…' | '‖' => {
                self.sign(first);
                Ok(())
            }
            '€' | '£' | '¥' | '¢' | '₹' => {
                self.tokens.push(Token::Currency(first));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    /// The separator between groups of thousands, and its length in bytes.
    fn separator(&self, rest: &str) -> Option<(char, usize)> {
        const EXPLICIT: &[&str] = &[
            "{,}", "{,\\!}", "{, }", " {,}", " {, }", "\\,", "\\;", "\\:", "~", "\\!,\\!", "\\!,", ",\\!",
            "\\ ",
        ];
        if let Some(found) = EXPLICIT.iter().find(|found| rest.starts_with(**found)) {
            let blank = rest[found.len()..].len() - rest[found.len()..].trim_start().len();
            return Some(('!', found.len() + blank));
        }
        match rest.chars().next()? {
            ',' if self.brackets <= 0 => Some((',', 1)),
            ' ' => Some((' ', rest.len() - rest.trim_start().len())),
            _ => None,
        }
    }

    /// The digits in `rest` that continue the number before it in groups of thousands, and their length in bytes.
    fn thousands(&self, first: &str, rest: &str) -> (String, usize) {
        let mut taken = (String::new(), 0);
        if first.is_empty() || first.len() > 3 || first.starts_with('0') {
            return taken;
        }
        let mut kind = None;
        while let Some((separator, width)) = self.separator(&rest[taken.1..]) {
            let group = &rest[taken.1 + width..];
            let digits = group.bytes().take_while(u8::is_ascii_digit).count();
            if kind.is_some_and(|kind| kind != separator) {
                break;
            }
            if digits != 3 {
                // If not all groups have three digits, they are members of a list.
                return if separator == ',' && digits > 0 { (String::new(), 0) } else { taken };
            }
            kind = Some(separator);
            taken.0.push_str(&group[..3]);
            taken.1 += width + 3;
        }
        taken
    }

    fn number(&mut self) {
        let bytes = self.rest.as_bytes();
        let whole = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut digits = self.rest[..whole].to_owned();
        let (grouped, width) = self.thousands(&digits, &self.rest[whole..]);
        digits.push_str(&grouped);
        self.skip(whole + width);
        let mut places = None;
        let mut repeating = String::new();
        if self.rest.starts_with('.') && !self.rest.starts_with("..") {
            let fraction = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            digits.push_str(&self.rest[1..1 + fraction]);
            self.skip(1 + fraction);
            if let Some((period, width)) = repeating_digits(self.rest) {
                self.skip(width);
                repeating = period;
            }
            if fraction > 0 || !repeating.is_empty() {
                places = Some(fraction as u32);
            }
        }
        if digits.is_empty() {
            // `.\overline{3}`
            digits.push('0');
        }
        let power = self.power_of_ten();
        self.tokens.push(Token::Number { digits, places, power, repeating });
    }

    fn power_of_ten(&mut self) -> i32 {
        let Some(after) = self.rest.strip_prefix(['e', 'E']) else { return 0 };
        let digits = after.strip_prefix(['-', '+']).unwrap_or(after);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let followed = digits[count..].starts_with(|next: char| next.is_alphanumeric() || next == '.');
        let Ok(power) = digits[..count].parse::<i32>() else { return 0 };
        if followed || count > 6 {
            return 0;
        }
        let sign = if after.starts_with('-') { -1 } else { 1 };
        self.skip(1 + after.len() - digits.len() + count);
        sign * power
    }

    fn after_operand(&self) -> bool {
        match self.tokens.last() {
            Some(Token::Number { .. } | Token::Letter(_) | Token::Text(_) | Token::Word(_)) => true,
            Some(Token::Sign(sign)) => matches!(sign, ')' | ']' | '}' | 's' | '°' | '%' | '∞' | 'π'),
            Some(Token::Currency(_)) => true,
            _ => false,
        }
    }
}

/// A sign alone in braces, which only change the space around it: `7{:}32`, `{-}3`.
fn lone_sign(rest: &str) -> Option<(char, usize)> {
    let inner = rest.strip_prefix('{')?;
    let inner = &inner[..inner.bytes().take(4).position(|byte| byte == b'}')?];
    let mut signs = inner.trim().trim_start_matches('\\').chars();
    let sign = signs.next().filter(|sign| ":,-+*/=<>%".contains(*sign))?;
    signs.next().is_none().then_some((sign, inner.len() + 2))
}

/// The digits of `\overline{12}`, `\overline3`, `\dot{3}`, `\dot{1}4\dot{2}`, and the length in bytes.
fn repeating_digits(rest: &str) -> Option<(String, usize)> {
    let (mut digits, mut width) = marked_digits(rest)?;
    if rest.starts_with("\\dot") {
        let between = rest[width..].bytes().take_while(u8::is_ascii_digit).count();
        if let Some((last, last_width)) = marked_digits(&rest[width + between..]) {
            digits.push_str(&rest[width..width + between]);
            digits.push_str(&last);
            width += between + last_width;
        }
    }
    Some((digits, width))
}

/// The digits under one repetition mark.
fn marked_digits(rest: &str) -> Option<(String, usize)> {
    let after = ["\\overline", "\\bar", "\\dot"].iter().find_map(|mark| rest.strip_prefix(mark))?;
    let inner = after.strip_prefix('{');
    let count = inner.unwrap_or(after).bytes().take_while(u8::is_ascii_digit).count();
    let count = if inner.is_none() { count.min(1) } else { count };
    let digits = &inner.unwrap_or(after)[..count];
    let closed = inner.is_none_or(|inner| inner[count..].starts_with('}'));
    let width = rest.len() - after.len() + count + if inner.is_some() { 2 } else { 0 };
    (count > 0 && closed).then(|| (digits.to_owned(), width))
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
