//! Parses operands and what begins them: numbers, letters, commands, functions, words.

use super::super::expression::{Binary, Constant, Function, Node};
use super::super::lexer::{Token, value};
use super::super::number::Rational;
use super::super::{Refusal, numerals, words};
use super::{COMMANDS, FUNCTION_LETTERS, FUNCTIONS, LETTERS, Operator, Parser, Step, strength};

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
            "permille" => return self.per_mille(),
            _ if name.starts_with("set") || LETTERS.contains(&name) => return self.symbol(name),
            _ => {}
        }
        if let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            return self.function(name, *function);
        }
        // What an unknown command means is not known, so the answer is compared as it is written.
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
        let in_cases =
            self.operators.iter().any(|operator| matches!(operator, Operator::Open { sign: 'C', .. }));
        if in_cases {
            // `n \text{ even}` is a condition.
            self.reduce(strength::SUM, false)?;
            let item = self.pop()?;
            let name = self.arena.name(&format!("\\{}", text.trim().to_lowercase()));
            let id = self.push(Node::Apply(name, item));
            self.operands.push(id);
            return Ok(());
        }
        if text.split(|next: char| !next.is_alphabetic()).any(words::is_prose) {
            return Err(Refusal::Unparsable);
        }
        let text = self.scaled(text)?;
        if !text.is_empty() {
            self.unit(text);
            self.skip_exponent();
        }
        Ok(())
    }

    /// Multiplies the number before words such as `million dollars` and gives the words that are left.
    fn scaled(&mut self, text: String) -> Result<String, Refusal> {
        let trimmed = text.trim_start();
        let end = trimmed.find(|next: char| !next.is_alphabetic()).unwrap_or(trimmed.len());
        let number =
            self.operands.last().is_some_and(|id| matches!(self.arena.node(*id), Node::Number { .. }));
        let Some(factor) = numerals::factor(&trimmed[..end]).filter(|_| number) else { return Ok(text) };
        let rest = trimmed[end..].trim_start();
        let rest = rest.strip_prefix("of ").unwrap_or(rest).to_owned();
        let id = self.pop()?;
        let Node::Number { value, places, significant } = self.arena.node(id) else { return Ok(text) };
        let value = value.mul(&factor).map_err(|_| Refusal::Budget)?;
        let places = places.filter(|_| value.to_integer().is_none());
        let significant = *significant;
        let id = self.push(Node::Number { value, places, significant });
        self.operands.push(id);
        // `2 hundred million`
        if rest.is_empty() { Ok(rest) } else { self.scaled(rest) }
    }

    fn per_mille(&mut self) -> Step {
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        let item = self.pop()?;
        let thousand = self.integer(1000);
        let id = self.push(Node::Binary(Binary::Divide, item, thousand));
        self.operands.push(id);
        Ok(())
    }

    pub(super) fn mark(&mut self, mark: &str) -> Step {
        self.operand()?;
        let name = self.arena.name(&format!("\\{mark}"));
        self.operators.push(Operator::Mark(name));
        self.ready = false;
        Ok(())
    }

    /// Words in place of an operand: the set that they name, or the words themselves.
    fn words(&mut self, text: String) -> Step {
        let id = match words::named_set(&text) {
            Some(set) => self.push(Node::Constant(set)),
            None => match numerals::number(&text) {
                Some(value) => self.push(Node::Number { value, places: None, significant: 0 }),
                None => self.push(Node::Text(text)),
            },
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
            let text = format!("^{}{digits}", if negative { "-" } else { "" });
            self.unit(text);
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
            let word = self.scaled(word)?;
            if !word.is_empty() {
                self.unit(word);
            }
            return Ok(());
        }
        Err(Refusal::Unparsable)
    }

    pub(super) fn conjunction(&mut self, either: bool, logical: bool) -> Step {
        let separator = match (either, logical) {
            (true, _) => Operator::Or,
            (false, true) => Operator::Both,
            (false, false) => Operator::Comma,
        };
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
