//! Words without a backslash: units, currencies, times of day, conjunctions, names.

use super::super::{units, words};
use super::{Lexer, Token};

impl Lexer<'_> {
    pub(super) fn word(&mut self) {
        let end = self.rest.find(|next: char| !next.is_alphabetic()).unwrap_or(self.rest.len());
        let mut word = &self.rest[..end];
        let mut end = end;
        // As in TeX, an index without braces is one letter: `F_kF_n`. Capital letters are a name: `S_ABC`.
        if matches!(self.tokens.last(), Some(Token::Sign('_' | '^'))) && !word.chars().all(char::is_uppercase)
        {
            end = word.chars().next().map_or(end, char::len_utf8);
            word = &self.rest[..end];
        }
        if matches!(word, "x" | "X") && self.is_times_power_of_ten() {
            self.skip(end);
            self.sign('*');
            return;
        }
        for separator in ["and", "or"] {
            // Also `1orW(x)=-1`, where no space separates the words from their neighbours.
            let glued = word.strip_prefix(separator).is_some_and(|rest| {
                rest.is_empty()
                    || (self.after_operand() && rest.starts_with(|next: char| next.is_uppercase()))
            });
            if glued {
                self.skip(separator.len());
                self.tokens.push(Token::Conjunction { either: separator == "or", logical: false });
                return;
            }
        }
        self.skip(end);
        self.bare_word(word);
    }

    /// Whether this `x` is the multiplication sign in `6.02 x 10^{23}`.
    fn is_times_power_of_ten(&self) -> bool {
        matches!(self.tokens.last(), Some(Token::Number { .. }))
            && self.rest[1..].trim_start().strip_prefix("10").is_some_and(|rest| rest.starts_with(['^', '*']))
    }

    pub(super) fn bare_word(&mut self, word: &str) {
        if let Some(unit) = self.scale_or_half_day(word) {
            self.tokens.push(Token::Text(unit.to_owned()));
        } else if let Some(sign) = self.currency(word) {
            self.tokens.push(Token::Currency(sign));
        } else if word == "per" && self.after_operand() {
            if let Some(rest) = self.rest.trim_start().strip_prefix("cent") {
                self.rest = rest;
                self.sign('%');
            } else {
                self.tokens.push(Token::Text(word.to_owned()));
            }
        } else if self.after_operand()
            && units::is_unit(word)
            && (word.chars().count() > 1 || self.unit_ends())
            && (self.blank || !units::needs_space(word))
        {
            let mut text = word.to_owned();
            // `km/h`
            if let Some(rest) = self.rest.strip_prefix('/') {
                let end = rest.find(|next: char| !next.is_alphabetic()).unwrap_or(rest.len());
                if units::is_unit(&rest[..end]) {
                    text = format!("{text}/{}", &rest[..end]);
                    self.rest = &rest[end..];
                }
            }
            self.tokens.push(Token::Text(text));
        } else if let Some(command) = words::meaning(word) {
            self.meaning(command);
        } else if word.chars().count() == 1 {
            self.tokens.extend(word.chars().map(Token::Letter));
        } else if words::is_run(word) {
            self.tokens.push(Token::Run(word.to_owned()));
        } else {
            self.tokens.push(Token::Word(word.to_owned()));
        }
    }

    /// The currency that a code before a number stands for: `USD 5`, `US\$5`.
    pub(super) fn currency(&self, word: &str) -> Option<char> {
        let next = self.rest.trim_start_matches([' ', '~', '$', '\\']);
        if self.after_operand() || !next.starts_with(|next: char| next.is_ascii_digit()) {
            return None;
        }
        match word {
            "USD" => Some('$'),
            "US" if self.rest.contains('$') => Some('$'),
            "EUR" => Some('€'),
            "GBP" => Some('£'),
            "Rs" => Some('₹'),
            _ => None,
        }
    }

    /// The temperature scale in `25^\circ C`, or the half of the day in `8:30 a.m.`.
    fn scale_or_half_day(&mut self, word: &str) -> Option<&'static str> {
        let mut before = self.tokens.iter().rev().skip_while(|token| **token == Token::Sign('}'));
        match before.next()? {
            Token::Sign('°') => match word {
                "C" | "Celsius" | "celsius" => Some("celsius"),
                "F" | "Fahrenheit" | "fahrenheit" => Some("fahrenheit"),
                _ => None,
            },
            Token::Number { .. } => {
                let dotted = self.rest.strip_prefix(".m").filter(|_| word.len() == 1);
                let half = words::half_day(&format!("{word}{}", if dotted.is_some() { "m" } else { "" }))?;
                let rest = dotted.map_or(self.rest, |rest| rest.strip_prefix('.').unwrap_or(rest));
                let is_time =
                    before.next() == Some(&Token::Sign(':')) || (self.blank && rest.trim().is_empty());
                self.rest = if is_time { rest } else { self.rest };
                is_time.then_some(half)
            }
            _ => None,
        }
    }

    /// Whether a one-letter unit is separated from its number and ends the answer: `10 m`, not `10m + 1`.
    fn unit_ends(&self) -> bool {
        let rest = self.rest.strip_prefix('/').map_or(self.rest, |per| {
            let end = per.find(|next: char| !next.is_alphabetic()).unwrap_or(per.len());
            if units::is_unit(&per[..end]) { &per[end..] } else { self.rest }
        });
        // `2 h 30 min`
        if self.blank
            && rest
                .trim_start_matches(['\\', ' ', ',', ';', '~'])
                .starts_with(|next: char| next.is_ascii_digit())
        {
            return self.after_quantity();
        }
        let rest = rest.trim_start_matches(['^', '2', '3', '{', '}', '.', ' ', '$']);
        self.blank && rest.is_empty() && self.after_quantity()
    }
}
