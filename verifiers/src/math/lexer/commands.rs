//! Reads commands: everything that begins with a backslash.

use super::super::{Refusal, words};
use super::{Lexer, Token};

/// Commands that produce no token.
const SILENT: &[&str] = &[
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "displaystyle",
    "textstyle",
    "quad",
    "qquad",
    "limits",
    "nolimits",
    "mathstrut",
    "middle",
    "boxed",
    "fbox",
    "mathbf",
    "boldsymbol",
    "bm",
    "mathit",
    "mathsf",
    "rm",
    "bf",
    "it",
    "mathbin",
    "mathrel",
    "enspace",
    "thinspace",
    "vec",
    "overrightarrow",
    "bold",
    "mathcal",
    "tiny",
    "small",
    "large",
    "normalsize",
    "scriptstyle",
    "hfill",
    "noindent",
    "centering",
    "ensuremath",
    "angle",
    "therefore",
];

/// Commands with words in their braces.
const WORDY: &[&str] = &[
    "text",
    "mathrm",
    "textbf",
    "textit",
    "mbox",
    "textnormal",
    "textrm",
    "operatorname",
    "textsf",
    "textup",
    "emph",
    "mathop",
    "texttt",
    "underline",
];

/// Signs written as commands.
const SIGNS: &[(&str, char)] = &[
    ("cdot", '*'),
    ("times", '*'),
    ("ast", '*'),
    ("div", '/'),
    ("pm", '±'),
    ("mp", '∓'),
    ("le", '≤'),
    ("leq", '≤'),
    ("leqslant", '≤'),
    ("ge", '≥'),
    ("geq", '≥'),
    ("geqslant", '≥'),
    ("lt", '<'),
    ("gt", '>'),
    ("ne", '≠'),
    ("neq", '≠'),
    ("approx", '≈'),
    ("approxeq", '≈'),
    ("simeq", '≈'),
    ("sim", '≈'),
    ("in", '∈'),
    ("cup", '∪'),
    ("cap", '∩'),
    ("setminus", '∖'),
    ("backslash", '∖'),
    ("colon", ':'),
    ("mid", '|'),
    ("vert", '|'),
    ("lvert", '⟦'),
    ("rvert", '⟧'),
    ("lfloor", '⌊'),
    ("rfloor", '⌋'),
    ("lceil", '⌈'),
    ("rceil", '⌉'),
    ("langle", '⟨'),
    ("rangle", '⟩'),
    ("lbrace", 'S'),
    ("rbrace", 's'),
    ("lbrack", '['),
    ("rbrack", ']'),
    ("land", '∧'),
    ("wedge", '∧'),
    ("circ", '°'),
    ("degree", '°'),
    ("prime", '\''),
    ("infty", '∞'),
    ("pi", 'π'),
    ("equiv", '='),
    ("iff", '⇒'),
    ("implies", '⇒'),
    ("Rightarrow", '⇒'),
    ("to", '→'),
    ("rightarrow", '→'),
    ("ldots", '…'),
    ("dots", '…'),
    ("cdots", '…'),
    ("dotsc", '…'),
    ("emptyset", '∅'),
    ("varnothing", '∅'),
    ("bmod", '%'),
    ("mod", '%'),
    ("percent", '%'),
];

/// Texts with more bytes are not read as units.
const UNITS_LENGTH: usize = 64;

impl<'a> Lexer<'a> {
    pub(super) fn meaning(&mut self, command: &str) {
        match SIGNS.iter().find(|(name, _)| *name == command) {
            Some((_, sign)) => self.sign(*sign),
            None => self.tokens.push(Token::Command(command.to_owned())),
        }
    }

    pub(super) fn command(&mut self) -> Result<(), Refusal> {
        let end = self.rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        if end == 0 {
            return self.escaped();
        }
        let name = &self.rest[..end];
        self.skip(end);
        if WORDY.contains(&name) {
            return self.wordy(name);
        }
        if SILENT.contains(&name) {
            if matches!(name, "left" | "right") && self.rest.trim_start().starts_with('.') {
                self.skip(self.rest.len() - self.rest.trim_start().len() + 1);
            }
            return Ok(());
        }
        if let Some((_, sign)) = SIGNS.iter().find(|(known, _)| *known == name) {
            self.sign(*sign);
            return Ok(());
        }
        match name {
            "begin" | "end" => self.environment(name == "begin")?,
            "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac" => self.fraction(),
            "surd" => self.sign('√'),
            "cr" => self.tokens.push(Token::Row),
            "textdollar" | "mathdollar" => self.tokens.push(Token::Currency('$')),
            "euro" | "texteuro" => self.tokens.push(Token::Currency('€')),
            "pounds" | "textsterling" => self.tokens.push(Token::Currency('£')),
            "dbinom" | "tbinom" => self.tokens.push(Token::Command("binom".to_owned())),
            "not" => self.negated(),
            "mathbb" | "R" => self.blackboard(name),
            "and" => self.tokens.push(Token::Conjunction { either: false }),
            "lor" | "vee" => self.tokens.push(Token::Conjunction { either: true }),
            // In `\quadx`, the blank between the command and the name is missing.
            _ if name.starts_with("quad") => self.bare_word(&name[4..]),
            _ => self.tokens.push(Token::Command(name.to_owned())),
        }
        Ok(())
    }

    /// `\frac`. After a number it may be the quotient of two units: `10 \frac{\text{m}}{\text{s}}`.
    fn fraction(&mut self) {
        let kept = self.rest;
        let after_number = matches!(self.tokens.last(), Some(Token::Number { .. }));
        let inner = if after_number { self.braced().zip(self.braced()) } else { None };
        // `2\frac{h}{g}` is a product. Single letters are units only next to a text command or a longer unit name.
        let names_units = |(top, bottom): &(&str, &str)| {
            [top, bottom].into_iter().any(|part| {
                part.contains('\\') || part.chars().filter(|next| next.is_alphabetic()).count() > 1
            })
        };
        let units = inner.filter(names_units).and_then(|(top, bottom)| units_in(top).zip(units_in(bottom)));
        if let Some((top, bottom)) = units {
            self.tokens.push(Token::Text(format!("{top}/{bottom}")));
        } else {
            self.rest = kept;
            self.tokens.push(Token::Command("frac".to_owned()));
        }
    }

    fn escaped(&mut self) -> Result<(), Refusal> {
        let Some(next) = self.rest.chars().next() else { return Ok(()) };
        self.skip(next.len_utf8());
        match next {
            '{' => self.sign('S'),
            '}' => self.sign('s'),
            '%' => self.sign('%'),
            '|' => self.sign('‖'),
            '$' => self.tokens.push(Token::Currency('$')),
            '&' => self.tokens.push(Token::Conjunction { either: false }),
            // A command with an extra backslash: `\\frac`.
            '\\' if self.doubled() => self.command()?,
            '\\' => {
                if let Some(rest) =
                    self.rest.strip_prefix('[').filter(|rest| rest.starts_with(char::is_numeric))
                {
                    self.rest = rest.split_once(']').map_or("", |(_, rest)| rest);
                }
                self.tokens.push(Token::Row);
            }
            '(' | ')' | '[' | ']' | ',' | ';' | ':' | '!' | ' ' | '\n' | '>' | '"' => {}
            _ => return Err(Refusal::Unparsable),
        }
        Ok(())
    }

    /// Whether the letters after a double backslash name a command.
    fn doubled(&self) -> bool {
        const COMMON: &[&str] =
            &["frac", "dfrac", "tfrac", "sqrt", "binom", "mathbb", "begin", "end", "sin", "cos", "tan"];
        let end = self.rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let name = &self.rest[..end];
        name.len() > 1
            && (COMMON.contains(&name)
                || WORDY.contains(&name)
                || SILENT.contains(&name)
                || SIGNS.iter().any(|(known, _)| *known == name))
    }

    /// The text in the braces that follow directly.
    fn braced(&mut self) -> Option<&'a str> {
        let inner = self.rest.trim_start().strip_prefix('{')?;
        let mut depth = 1;
        let end = inner.bytes().position(|byte| {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            depth == 0
        })?;
        self.rest = &inner[end + 1..];
        Some(&inner[..end])
    }

    fn wordy(&mut self, command: &str) -> Result<(), Refusal> {
        let kept = self.rest;
        let Some(inner) = self.braced() else { return Ok(()) };
        let bare = inner.trim_matches(|next: char| next.is_whitespace() || matches!(next, '.' | ',' | '~'));
        // `2\operatorname{sec} x` names a function, but `2\text{ sec}` a unit.
        let names_function = matches!(command, "operatorname" | "mathop");
        let after_number = !names_function && matches!(self.tokens.last(), Some(Token::Number { .. }));
        if after_number && words::is_unit(bare) {
            // `5\text{ m}`: variables are not written this way, so the letter is a unit.
            self.tokens.push(Token::Text(bare.to_owned()));
        } else if let Some(half) = words::half_day(bare).filter(|_| after_number) {
            self.tokens.push(Token::Text(half.to_owned()));
        } else if let Some(units) = units_in(bare).filter(|_| after_number) {
            self.tokens.push(Token::Text(units));
        } else if let Some(sign) = self.currency(bare) {
            self.tokens.push(Token::Currency(sign));
        } else if bare.is_empty() && inner.contains(',') {
            self.sign(',');
        } else if bare == "to" && after_number {
            self.sign(':');
        } else if bare == "\\$" {
            self.tokens.push(Token::Currency('$'));
        } else if bare.eq_ignore_ascii_case("and") || bare.eq_ignore_ascii_case("or") {
            self.tokens.push(Token::Conjunction { either: bare.eq_ignore_ascii_case("or") });
        } else if let Some(command) = words::meaning(bare) {
            self.meaning(command);
        } else if bare.chars().count() == 1 && bare.starts_with(char::is_alphabetic) {
            self.bare_word(bare);
        } else if bare.chars().any(char::is_alphabetic) && !bare.contains('\\') {
            self.tokens.push(Token::Text(bare.to_owned()));
        } else if !bare.is_empty() {
            // Digits and formulas are read as if there were no command.
            self.rest = kept;
        }
        Ok(())
    }

    fn environment(&mut self, begins: bool) -> Result<(), Refusal> {
        let name = self.braced().ok_or(Refusal::Unparsable)?.trim_end_matches('*').to_owned();
        if begins && name == "array" {
            self.braced();
        }
        self.tokens.push(if begins { Token::Begin(name) } else { Token::End(name) });
        Ok(())
    }

    fn negated(&mut self) {
        let rest = self.rest.trim_start();
        if let Some(rest) = rest.strip_prefix('=') {
            self.rest = rest;
            self.sign('≠');
        } else {
            self.tokens.push(Token::Command("not".to_owned()));
        }
    }

    fn blackboard(&mut self, name: &str) {
        let set = if name == "R" { Some("R") } else { self.braced() };
        // `\mathbb R`
        let set = set.unwrap_or_else(|| {
            let rest = self.rest.trim_start();
            let width =
                rest.chars().next().filter(|next| next.is_ascii_uppercase()).map_or(0, char::len_utf8);
            self.rest = &rest[width..];
            &rest[..width]
        });
        self.tokens.push(Token::Command(format!("set{set}")));
    }
}

/// The units in `m\,s^{-1}`, `\text{s}^2` and similar texts, as words.
fn units_in(text: &str) -> Option<String> {
    if text.len() > UNITS_LENGTH {
        return None;
    }
    let mut text = text.replace("\\,", " ").replace("\\cdot", " ").replace(['~', '·', '*'], " ");
    for command in WORDY {
        text = text.replace(&format!("\\{command}{{"), " ");
    }
    let mut words = Vec::new();
    for part in text.split_whitespace() {
        let (unit, exponent) = part.split_once('^').unwrap_or((part, ""));
        let (unit, exponent) = (unit.trim_end_matches('}'), exponent.trim_matches(['{', '}', '-']));
        if !words::is_unit(unit) || !["", "1", "2", "3"].contains(&exponent) {
            return None;
        }
        words.push(if exponent > "1" { format!("{unit} ^{exponent}") } else { unit.to_owned() });
    }
    (!words.is_empty()).then(|| words.join(" "))
}
