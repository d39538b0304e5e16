//! Answers to tokens: plain text and LaTeX alike.

use super::number::Rational;
use super::words;
use super::{LENGTH, Refusal};

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Digits as written, with `places` of them after the point and a power of ten.
    Number {
        /// The digits without point and separators.
        digits: String,
        /// How many of them stand after the point, where there is one.
        places: Option<u32>,
        /// The power of ten after `e`.
        power: i32,
        /// The repeating digits.
        repeating: String,
    },
    /// A variable or constant of one letter.
    Letter(char),
    /// A LaTeX command or a word with a meaning, without its backslash.
    Command(String),
    /// Words in a text command.
    Text(String),
    /// A bare word.
    Word(String),
    /// The sign of a currency.
    Currency(char),
    /// `and`, or `or` between things of which either may be meant.
    Conjunction {
        /// Whether it is `or`.
        either: bool,
    },
    /// An operator, a bracket, a separator; `{` and `}` group, `⟨`, `⟩`, `⌊`… are brackets, `S`/`s` set braces.
    Sign(char),
    /// The begin of an environment.
    Begin(String),
    /// The end of an environment.
    End(String),
    /// The end of a row.
    Row,
}

/// Commands that leave no trace.
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

/// Commands whose braces hold words.
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

/// Longer texts are no units, in bytes.
const UNITS_LENGTH: usize = 64;

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
    /// Whether white space stands right before here.
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

    /// What separates a thousand from the next, and how many bytes it takes.
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

    /// The bytes of `rest` that are thousands after the digits before it, and their digits.
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
                // Groups that are not all of three digits are members of a list.
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

    fn word(&mut self) {
        let end = self.rest.find(|next: char| !next.is_alphabetic()).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        if matches!(word, "x" | "X") && self.is_times_power_of_ten() {
            self.skip(end);
            self.sign('*');
            return;
        }
        for separator in ["and", "or"] {
            // Also `1orW(x)=-1`, where the words touch their neighbours.
            let glued = word.strip_prefix(separator).is_some_and(|rest| {
                rest.is_empty()
                    || (self.after_operand() && rest.starts_with(|next: char| next.is_uppercase()))
            });
            if glued {
                self.skip(separator.len());
                self.tokens.push(Token::Conjunction { either: separator == "or" });
                return;
            }
        }
        self.skip(end);
        self.bare_word(word);
    }

    /// Whether the `x` here is the sign of `6.02 x 10^{23}`.
    fn is_times_power_of_ten(&self) -> bool {
        matches!(self.tokens.last(), Some(Token::Number { .. }))
            && self.rest[1..].trim_start().strip_prefix("10").is_some_and(|rest| rest.starts_with(['^', '*']))
    }

    fn bare_word(&mut self, word: &str) {
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
            && words::is_unit(word)
            && (word.chars().count() > 1 || self.unit_ends())
        {
            let mut text = word.to_owned();
            // `km/h`
            if let Some(rest) = self.rest.strip_prefix('/') {
                let end = rest.find(|next: char| !next.is_alphabetic()).unwrap_or(rest.len());
                if words::is_unit(&rest[..end]) {
                    text = format!("{text}/{}", &rest[..end]);
                    self.rest = &rest[end..];
                }
            }
            self.tokens.push(Token::Text(text));
        } else if let Some(command) = words::meaning(word) {
            self.meaning(command);
        } else if word.chars().count() == 1 || words::is_product(word) {
            self.tokens.extend(word.chars().map(Token::Letter));
        } else {
            self.tokens.push(Token::Word(word.to_owned()));
        }
    }

    /// The currency that a code before a number names: `USD 5`, `US\$5`.
    fn currency(&self, word: &str) -> Option<char> {
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

    /// The scale of a temperature, `25^\circ C`, or the half of a day, `8:30 a.m.`.
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

    /// Whether a unit of one letter stands apart from its number and ends the answer: `10 m`, not `10m + 1`.
    fn unit_ends(&self) -> bool {
        let rest = self.rest.strip_prefix('/').map_or(self.rest, |per| {
            let end = per.find(|next: char| !next.is_alphabetic()).unwrap_or(per.len());
            if words::is_unit(&per[..end]) { &per[end..] } else { self.rest }
        });
        let rest = rest.trim_start_matches(['^', '2', '3', '{', '}', '.', ' ', '$']);
        self.blank && rest.is_empty() && matches!(self.tokens.last(), Some(Token::Number { .. }))
    }

    fn meaning(&mut self, command: &str) {
        match SIGNS.iter().find(|(name, _)| *name == command) {
            Some((_, sign)) => self.sign(*sign),
            None => self.tokens.push(Token::Command(command.to_owned())),
        }
    }

    fn command(&mut self) -> Result<(), Refusal> {
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
            // `\quadx` has lost the blank between the space and the name.
            _ if name.starts_with("quad") => self.bare_word(&name[4..]),
            _ => self.tokens.push(Token::Command(name.to_owned())),
        }
        Ok(())
    }

    /// `\frac`, or after a number the quotient of two units: `10 \frac{\text{m}}{\text{s}}`.
    fn fraction(&mut self) {
        let kept = self.rest;
        let after_number = matches!(self.tokens.last(), Some(Token::Number { .. }));
        let inner = if after_number { self.braced().zip(self.braced()) } else { None };
        // `2\frac{h}{g}` is a product: letters alone are units only where a text command or a longer name beside them says so.
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
            // A command whose backslash was escaped once more: `\\frac`.
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

    /// Whether the letters after a doubled backslash name a command.
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

    /// The text in braces right after here.
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
        // `2\operatorname{sec} x` names a function, `2\text{ sec}` a unit.
        let names_function = matches!(command, "operatorname" | "mathop");
        let after_number = !names_function && matches!(self.tokens.last(), Some(Token::Number { .. }));
        if after_number && words::is_unit(bare) {
            // `5\text{ m}`: a unit of one letter that no variable is written as.
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
            // Digits and formulas are read as if the command were not there.
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

/// The units in `m\,s^{-1}`, `\text{s}^2` and the like, as words.
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

/// A sign that stands alone in braces, which only change the space around it: `7{:}32`, `{-}3`.
fn lone_sign(rest: &str) -> Option<(char, usize)> {
    let inner = rest.strip_prefix('{')?;
    let inner = &inner[..inner.bytes().take(4).position(|byte| byte == b'}')?];
    let mut signs = inner.trim().trim_start_matches('\\').chars();
    let sign = signs.next().filter(|sign| ":,-+*/=<>%".contains(*sign))?;
    signs.next().is_none().then_some((sign, inner.len() + 2))
}

/// The digits of `\overline{12}`, `\overline3`, `\dot{3}`, `\dot{1}4\dot{2}` and how many bytes that is.
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

/// The digits under one mark of repetition.
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
