//! Parses operands and what begins them: numbers, letters, commands, functions, words.

use super::super::expression::{Binary, Constant, Function, Node};
use super::super::lexer::{Token, value};
use super::super::number::Rational;
use super::super::{Refusal, words};
use super::{COMMANDS, FUNCTION_LETTERS, FUNCTIONS, Operator, Parser, Step, UNSUPPORTED, strength};

impl Parser<'_> {
    pub(super) fn number(
        &mut self,
        after: bool,
        digits: &str,
        places: Option<u32>,
        power: i32,
        period: &str,
    ) -> Step {
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

    /// The rest of `3 1/2` after its `3`.
    pub(super) fn mixed_in_line(&mut self, top: &Rational) -> Step {
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

    pub(super) fn letter(&mut self, letter: char) -> Step {
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

    pub(super) fn constant(&mut self, constant: Constant) -> Step {
        self.operand()?;
        let id = self.push(Node::Constant(constant));
        self.deliver(id, false)
    }

    pub(super) fn command(&mut self, name: &str, after_number: bool) -> Step {
        match name {
            "undefined" => return self.constant(Constant::Undefined),
            "over" | "choose" => return self.infix(Operator::Over(name == "over")),
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

    pub(super) fn symbol(&mut self, name: &str) -> Step {
        self.operand()?;
        let name = self.arena.name(name);
        let id = self.push(Node::Symbol(name));
        self.deliver(id, false)
    }

    pub(super) fn function(&mut self, name: &str, function: Function) -> Step {
        if self.ready && self.after_text() {
            return Err(Refusal::Unparsable);
        }
        if self.ready {
            // `sin x cos y`: the first function already has its argument.
            self.reduce(strength::PRODUCT, false)?;
            self.operators.push(Operator::Binary(Binary::Multiply));
            self.ready = false;
        }
        let subscript = if name == "lg" { Some(self.integer(10)) } else { None };
        self.operators.push(Operator::Function { function, power: None, subscript });
        Ok(())
    }

    pub(super) fn text(&mut self, text: String) -> Step {
        if !self.ready {
            return self.words(text);
        }
        if text.split(|next: char| !next.is_alphabetic()).any(words::is_prose) {
            return Err(Refusal::Unparsable);
        }
        self.units.push(text);
        self.skip_exponent();
        Ok(())
    }

    /// Words in place of an operand: the set that they name, or the words themselves.
    fn words(&mut self, text: String) -> Step {
        let id = match words::named_set(&text) {
            Some(set) => self.push(Node::Constant(set)),
            None => self.push(Node::Text(text)),
        };
        self.deliver(id, false)
    }

    /// Skips the exponent of a unit.
    pub(super) fn skip_exponent(&mut self) {
        if self.peek() != Some(&Token::Sign('^')) {
            return;
        }
        let braced = self.tokens.get(self.at + 1) == Some(&Token::Sign('{'));
        let negative = braced && self.tokens.get(self.at + 2) == Some(&Token::Sign('-'));
        let exponent = self.at + 1 + usize::from(braced) + usize::from(negative);
        if let Some(Token::Number { digits, .. }) = self.tokens.get(exponent) {
            self.units.push(format!("^{digits}"));
            self.at = exponent + if braced { 2 } else { 1 };
        }
    }

    pub(super) fn word(&mut self, word: String) -> Step {
        if !self.ready {
            let mut text = word;
            while let Some(Token::Word(next) | Token::Text(next)) = self.tokens.get(self.at) {
                text = format!("{text} {next}");
                self.at += 1;
            }
            return self.words(text);
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

    pub(super) fn conjunction(&mut self, either: bool) -> Step {
        let separator = if either { Operator::Or } else { Operator::Comma };
        if self.ready {
            return self.infix(separator);
        }
        match self.operators.last_mut() {
            // `1, 2, and 3`
            Some(last @ Operator::Comma) => {
                *last = separator;
                Ok(())
            }
            Some(Operator::Semicolon) => Ok(()),
            _ => Err(Refusal::Unparsable),
        }
    }
}
