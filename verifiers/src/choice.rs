//! The verifier `choice`: compares the letter of a multiple-choice answer.

use serde::Deserialize;

use crate::math::extract::{self, Extraction};
use crate::{Item, Row, Verdict, Verifier, settings};

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "choice",
    about: "the answer names the right letter of a multiple choice: C, (C), C. 12, \\text{C}",
    build: |value| Ok(Box::new(settings::<Choice>("choice", value)?)),
};

/// Compares the letter that an answer names with the right one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Which places are searched for the answer: `strict` (tags, box, `####`) or `lenient` (also prose).
    pub extraction: Extraction,
}

/// Texts of more bytes are not read as a choice.
const LENGTH: usize = 512;

/// The letter that an answer names, as it is written, or `None` if it names no letter or more than one.
pub fn letter(text: &str) -> Option<char> {
    if text.len() > LENGTH {
        return None;
    }
    let bare = without_commands(text);
    let bare = trim(&bare);
    // `Option C`
    let bare = ["option ", "choice ", "answer "].into_iter().fold(bare, |bare, name| {
        let named = bare.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if named { trim(&bare[name.len()..]) } else { bare }
    });
    let (inner, bracketed) = match bare.strip_prefix('(') {
        Some(inner) => (inner.trim_start(), true),
        None => (bare, false),
    };
    let mut rest = inner.chars();
    let letter = rest.next().filter(char::is_ascii_alphabetic)?;
    let rest = rest.as_str().trim_start_matches('*');
    let after = match (rest.chars().next(), bracketed) {
        (None, false) => return Some(letter),
        (Some(')' | '.' | ':'), _) => &rest[1..],
        _ if bracketed => rest.trim_start().strip_prefix(')')?,
        _ => return None,
    };
    // `x.5` and `C.D` are not choices, and `(A) or (B)` is not a single one.
    let apart = after.is_empty() || after.starts_with(|next: char| next.is_whitespace() || next == '*');
    (apart && !names_another(after)).then_some(letter)
}

/// The text without the marks around it.
fn trim(text: &str) -> &str {
    text.trim_matches(|next: char| next.is_whitespace() || matches!(next, '*' | '.' | ',' | '$' | '"'))
}

/// Whether the text after a choice joins it to another one, or names a letter in brackets.
fn names_another(text: &str) -> bool {
    let joins = text.split(|next: char| !next.is_alphanumeric()).find(|word| !word.is_empty());
    if joins.is_some_and(|word| ["or", "and"].contains(&word.to_lowercase().as_str())) {
        return true;
    }
    let bytes = text.as_bytes();
    bytes.windows(3).any(|window| window[0] == b'(' && window[1].is_ascii_uppercase() && window[2] == b')')
}

/// The text without LaTeX commands and braces.
fn without_commands(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '\\' => {
                let end = rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len());
                // In `\(`, `\ ` and `\,` the character after the backslash is part of the command.
                let sign = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
                rest = &rest[sign..];
                out.push(' ');
            }
            '{' | '}' => {}
            _ => out.push(next),
        }
    }
    out
}

impl Verifier for Choice {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        let Some(gold) = item.answer.and_then(letter) else {
            return Verdict::error("the item's answer is not the letter of a choice");
        };
        let found = match extract::completion(item.completion, self.extraction) {
            Ok(found) => found,
            Err(reason) => return Verdict::malformed(reason),
        };
        match found.candidates.iter().find_map(|text| letter(text)) {
            Some(letter) if letter.eq_ignore_ascii_case(&gold) => {
                Verdict::correct(letter, format!("{}: the same choice", found.rule))
            }
            Some(letter) => Verdict::wrong(letter, format!("{}: a different choice", found.rule)),
            None => Verdict::malformed(format!("{}: does not name a single choice", found.rule)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_is_named() {
        for text in
            ["C", "(C)", "\\text{C}", "\\textbf{(C)}\\ 12", "C.", "**C**", "C. 12 apples", "$\\text{(C)}$"]
        {
            assert_eq!(letter(text), Some('C'), "{text}");
        }
        for text in ["A, B, C, D", "(A) or (B)", "Cat", "C and D", "12", "", "x + 1", "AC", "C.D", "(A), (B)"]
        {
            assert_eq!(letter(text), None, "{text}");
        }
    }
}
