//! Reads commands: everything that begins with a backslash.

use super::super::expression::Direction;
use super::super::{Refusal, numerals, units, words};
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
    "mathit",
    "mathsf",
    "rm",
    "bf",
    "it",
    "mathbin",
    "mathrel",
    "enspace",
    "thinspace",
    "mathcal",
    "mathfrak",
    "mathscr",
    "mathnormal",
    "mathord",
    "mathopen",
    "mathclose",
    "mathpunct",
    "biggl",
    "biggr",
    "Biggl",
    "Biggr",
    "bigm",
    "Bigm",
    "tt",
    "sf",
    "sl",
    "cal",
    "Large",
    "LARGE",
    "huge",
    "Huge",
    "footnotesize",
    "scriptsize",
    "scriptscriptstyle",
    "normalfont",
    "bfseries",
    "nonumber",
    "notag",
    "newline",
    "linebreak",
    "strut",
    "relax",
    "tiny",
    "small",
    "large",
    "normalsize",
    "scriptstyle",
    "hfill",
    "noindent",
    "centering",
    "ensuremath",
    "therefore",
];

/// Commands that disappear with the argument in their braces.
const WITHOUT_ARGUMENT: &[&str] =
    &["color", "textcolor", "colorbox", "tag", "label", "hspace", "vspace", "mspace", "fontsize"];

/// Marks on the operand that follows.
const MARKS: &[&str] = &[
    "vec",
    "overrightarrow",
    "overleftarrow",
    "hat",
    "widehat",
    "tilde",
    "widetilde",
    "dot",
    "ddot",
    "check",
    "breve",
    "angle",
    "measuredangle",
    "triangle",
    "neg",
    "lnot",
];

/// Relations that are known by name only, with their direction.
const RELATIONS: &[(&str, &str, Direction)] = &[
    ("prec", "prec", Direction::Forward),
    ("succ", "prec", Direction::Backward),
    ("preceq", "preceq", Direction::Forward),
    ("succeq", "preceq", Direction::Backward),
    ("ll", "ll", Direction::Forward),
    ("gg", "ll", Direction::Backward),
    ("subset", "subset", Direction::Forward),
    ("supset", "subset", Direction::Backward),
    ("subseteq", "subseteq", Direction::Forward),
    ("supseteq", "subseteq", Direction::Backward),
    ("subsetneq", "subsetneq", Direction::Forward),
    ("supsetneq", "subsetneq", Direction::Backward),
    ("notin", "notin", Direction::Forward),
    ("ni", "ni", Direction::Forward),
    ("mapsto", "mapsto", Direction::Forward),
    ("longmapsto", "mapsto", Direction::Forward),
    ("to", "to", Direction::Forward),
    ("rightarrow", "to", Direction::Forward),
    ("longrightarrow", "to", Direction::Forward),
    ("leftarrow", "to", Direction::Backward),
    ("longleftarrow", "to", Direction::Backward),
    ("gets", "to", Direction::Backward),
    ("leftrightarrow", "leftrightarrow", Direction::Both),
    ("implies", "implies", Direction::Forward),
    ("Rightarrow", "implies", Direction::Forward),
    ("Longrightarrow", "implies", Direction::Forward),
    ("impliedby", "implies", Direction::Backward),
    ("Leftarrow", "implies", Direction::Backward),
    ("iff", "iff", Direction::Both),
    ("Leftrightarrow", "iff", Direction::Both),
    ("models", "models", Direction::Forward),
    ("vDash", "models", Direction::Forward),
    ("vdash", "vdash", Direction::Forward),
    ("dashv", "vdash", Direction::Backward),
    ("perp", "perp", Direction::Both),
    ("parallel", "parallel", Direction::Both),
    ("sim", "sim", Direction::Both),
    ("cong", "cong", Direction::Both),
    ("asymp", "asymp", Direction::Both),
    ("equiv", "equiv", Direction::Both),
    ("propto", "propto", Direction::Forward),
    ("nmid", "nmid", Direction::Forward),
    ("triangleleft", "triangleleft", Direction::Forward),
    ("trianglelefteq", "trianglelefteq", Direction::Forward),
];

/// Operations that are known by name only.
const OPERATIONS: &[&str] = &[
    "oplus", "ominus", "otimes", "odot", "oslash", "star", "bullet", "diamond", "amalg", "uplus", "sqcup",
    "sqcap",
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
    ("times", '×'),
    ("ast", '*'),
    ("div", '/'),
    ("pm", '±'),
    ("mp", '∓'),
    ("le", '≤'),
    ("leq", '≤'),
    ("leqslant", '≤'),
    ("leqq", '≤'),
    ("geqq", '≥'),
    ("lparen", '('),
    ("rparen", ')'),
    ("lVert", '‖'),
    ("rVert", '‖'),
    ("Vert", '‖'),
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
    ("degree", '°'),
    ("prime", '\''),
    ("infty", '∞'),
    ("pi", 'π'),
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
            if matches!(name, "left" | "right") {
                self.delimiter();
            }
            return Ok(());
        }
        if WITHOUT_ARGUMENT.contains(&name) {
            self.braced();
            return Ok(());
        }
        if let Some(mark) = MARKS.iter().find(|mark| **mark == name) {
            self.tokens.push(Token::Mark(mark));
            return Ok(());
        }
        if name == "sim"
            && self.rest.trim_start().starts_with(|next: char| next.is_ascii_digit() || next == '-')
        {
            self.sign('≈');
            return Ok(());
        }
        if let Some((_, relation, direction)) = RELATIONS.iter().find(|(known, ..)| *known == name) {
            self.tokens.push(Token::Relation(relation, *direction));
            return Ok(());
        }
        if let Some(operation) = OPERATIONS.iter().find(|known| **known == name) {
            self.tokens.push(Token::Operation(operation));
            return Ok(());
        }
        if let Some((_, sign)) = SIGNS.iter().find(|(known, _)| *known == name) {
            self.sign(*sign);
            return Ok(());
        }
        match name {
            "begin" | "end" => self.environment(name == "begin")?,
            "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac" => self.fraction(),
            "bar" => self.tokens.push(Token::Command("overline".to_owned())),
            "surd" => self.sign('√'),
            "cr" => self.tokens.push(Token::Row),
            "textdollar" | "mathdollar" => self.tokens.push(Token::Currency('$')),
            "imath" | "jmath" => self.tokens.push(Token::Letter(if name == "imath" { 'i' } else { 'j' })),
            "euro" | "texteuro" => self.tokens.push(Token::Currency('€')),
            "pounds" | "textsterling" => self.tokens.push(Token::Currency('£')),
            "dbinom" | "tbinom" => self.tokens.push(Token::Command("binom".to_owned())),
            "not" => self.negated(),
            "mathbb" | "R" => self.blackboard(name),
            "mathbf" | "boldsymbol" | "bm" | "bold" => self.bold(),
            "circ" => self.circle(),
            "root" => self.plain_root()?,
            "Omega" | "ohm" | "mu" | "micro" => self.unit_letter(name),
            "and" => self.tokens.push(Token::Conjunction { either: false, logical: false }),
            "land" | "wedge" => self.tokens.push(Token::Conjunction { either: false, logical: true }),
            "lor" | "vee" => self.tokens.push(Token::Conjunction { either: true, logical: true }),
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

    /// What follows `\left` and `\right`: a point stands for no bracket, and a brace before an environment for `cases`.
    fn delimiter(&mut self) {
        let rest = self.rest.trim_start();
        if let Some(rest) = rest.strip_prefix('.') {
            self.rest = rest;
        } else if let Some(rest) = rest.strip_prefix("\\{").or_else(|| rest.strip_prefix("\\lbrace")) {
            let rest = rest.trim_start();
            let system = ["array", "aligned", "matrix", "gathered", "split", "alignedat"]
                .iter()
                .any(|name| rest.strip_prefix("\\begin{").is_some_and(|rest| rest.starts_with(name)));
            if system {
                self.rest = rest;
                self.tokens.push(Token::Mark("system"));
            }
        }
    }

    /// `\mathbf` and its like: a bold letter is a vector, anything else is only bold.
    fn bold(&mut self) {
        let inner = self.rest.trim_start();
        let inner = inner.strip_prefix('{').unwrap_or(inner).trim_start();
        let letters = inner.bytes().take_while(u8::is_ascii_alphabetic).count();
        let ends = inner[letters..].trim_start().starts_with('}') || !self.rest.trim_start().starts_with('{');
        if letters == 1 && ends {
            self.tokens.push(Token::Mark("vec"));
        }
    }

    /// `\circ`: a degree after a number or as an exponent, otherwise the composition of two functions.
    fn circle(&mut self) {
        let exponent = |token: Option<&Token>| token == Some(&Token::Sign('^'));
        let last = self.tokens.last();
        let raised =
            exponent(last) || (last == Some(&Token::Sign('{')) && exponent(self.tokens.iter().rev().nth(1)));
        let operand = matches!(last, Some(Token::Letter(_) | Token::Run(_) | Token::Sign('}' | ')' | '\'')));
        let follows =
            self.rest.trim_start().starts_with(|next: char| next.is_alphabetic() || "(\\{".contains(next));
        if !raised && operand && follows {
            self.tokens.push(Token::Operation("composed with"));
        } else {
            self.sign('°');
        }
    }

    /// `\Omega` and `\mu` after a number are an ohm and a millionth: `5\,k\Omega`, `3\,\mu\text{m}`.
    fn unit_letter(&mut self, name: &str) {
        if matches!(name, "mu" | "micro") {
            return self.micro();
        }
        let number = |token: Option<&Token>| matches!(token, Some(Token::Number { .. }));
        let prefix = match self.tokens.as_slice() {
            [.., before, Token::Letter(letter)] if "kMmG".contains(*letter) && number(Some(before)) => {
                Some(*letter)
            }
            [.., Token::Text(text)] => {
                text.chars().next().filter(|letter| "kMmG".contains(*letter) && text.len() == 1)
            }
            _ => None,
        };
        if prefix.is_some() {
            self.tokens.pop();
        }
        if prefix.is_some() || (number(self.tokens.last()) && (self.spaced || name == "ohm")) {
            self.tokens.push(Token::Text(format!("{}Ω", prefix.map(String::from).unwrap_or_default())));
        } else {
            self.tokens.push(Token::Command("Omega".to_owned()));
        }
    }

    fn micro(&mut self) {
        let kept = self.rest;
        let rest = self.rest.trim_start();
        let command = rest.strip_prefix('\\').and_then(|rest| {
            WORDY.iter().find_map(|command| rest.strip_prefix(command).filter(|rest| rest.starts_with('{')))
        });
        let word = match command {
            Some(braces) => {
                self.rest = braces;
                self.braced()
            }
            None => {
                let end = rest.find(|next: char| !next.is_alphabetic()).unwrap_or(rest.len());
                self.rest = &rest[end..];
                Some(&rest[..end])
            }
        };
        let unit = word.map(|word| format!("μ{}", word.trim())).filter(|unit| units::is_unit(unit));
        match unit.filter(|_| matches!(self.tokens.last(), Some(Token::Number { .. }))) {
            Some(unit) => self.tokens.push(Token::Text(unit)),
            None => {
                self.rest = kept;
                self.tokens.push(Token::Command("mu".to_owned()));
            }
        }
    }

    /// TeX's `\root 3 \of 2`.
    fn plain_root(&mut self) -> Result<(), Refusal> {
        let (degree, rest) = self.rest.split_once("\\of").ok_or(Refusal::Unparsable)?;
        let degree = super::tokens(degree)?;
        self.rest = rest;
        self.tokens.push(Token::Command("sqrt".to_owned()));
        self.sign('[');
        self.tokens.extend(degree);
        self.sign(']');
        Ok(())
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
            '&' => self.tokens.push(Token::Conjunction { either: false, logical: false }),
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
            ',' | ';' | ':' | ' ' | '>' => self.spaced = true,
            '(' | ')' | '[' | ']' | '!' | '\n' | '"' => {}
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
        if command == "operatorname"
            && words::meaning(bare).is_none()
            && bare.bytes().all(|byte| byte.is_ascii_alphabetic())
        {
            self.tokens.push(Token::Command(bare.to_owned()));
            return Ok(());
        }
        // `2\operatorname{sec} x` names a function, but `2\text{ sec}` a unit.
        let names_function = matches!(command, "operatorname" | "mathop");
        let after_number = !names_function && self.after_quantity();
        let index = self.tokens.ends_with(&[Token::Sign('_')])
            || self.tokens.ends_with(&[Token::Sign('_'), Token::Sign('{')]);
        if let Some(base) = numerals::base(bare).filter(|_| after_number || index) {
            // `1011_{\text{two}}`, `12 \text{ (base 3)}`
            if !index {
                self.sign('_');
            }
            self.tokens.push(Token::whole(base));
        } else if after_number && units::is_unit(bare) {
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
            self.tokens.push(Token::Conjunction { either: bare.eq_ignore_ascii_case("or"), logical: false });
        } else if let Some(command) = words::meaning(bare) {
            self.meaning(command);
        } else if self.tokens.is_empty() && is_counted(bare) {
            // `\text{5 days}`
            self.rest = kept;
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
        if begins && matches!(name.as_str(), "array" | "alignedat") {
            self.braced();
        }
        if !begins {
            self.tokens.push(Token::End(name));
        } else if self.tokens.last() == Some(&Token::Mark("system")) {
            self.tokens.pop();
            self.tokens.push(Token::Begin("cases".to_owned()));
        } else {
            self.tokens.push(Token::Begin(name));
        }
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

/// Whether a text is a number and the words for what was counted.
fn is_counted(text: &str) -> bool {
    let digits = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    let words = text[digits..].trim_start();
    let plain = words.chars().all(|next| next.is_alphabetic() || next == ' ');
    digits > 0
        && text[digits..].starts_with(' ')
        && plain
        && !words.is_empty()
        && words.split(' ').count() <= 2
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
        let (unit, exponent) = (unit.trim_end_matches('}'), exponent.trim_matches(['{', '}']));
        if !units::is_unit(unit) || !["", "1", "2", "3", "-1", "-2", "-3"].contains(&exponent) {
            return None;
        }
        words.push(if ["", "1"].contains(&exponent) {
            unit.to_owned()
        } else {
            format!("{unit} ^{exponent}")
        });
    }
    (!words.is_empty()).then(|| words.join(" "))
}
