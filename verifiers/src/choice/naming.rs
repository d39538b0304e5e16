//! Which choice a text names: one clearly, or none.

/// Texts of more bytes are not read as a choice.
const LENGTH: usize = 512;
/// Longer texts are not searched for their only letter, and a taking back is searched in so much.
const PROSE: usize = 4096;
/// How many words after a verb may deny it: "is surely not quite right".
const REACH: usize = 4;

/// How many words and signs after a letter are searched for what is said about it.
const LISTED: usize = 24;

/// Words and signs that may stand before the letter.
const LEAD: &[&str] = &[
    "the",
    "my",
    "final",
    "correct",
    "right",
    "best",
    "answer",
    "option",
    "choice",
    "letter",
    "is",
    "it",
    "it's",
    "that's",
    "would",
    "be",
    "so",
    "therefore",
    "thus",
    "hence",
    "i",
    "i'd",
    "i'll",
    "choose",
    "pick",
    "select",
    "go",
    "with",
    "say",
    "think",
    ":",
    "(",
    "[",
    "$",
    "*",
    "_",
    "`",
    "\"",
    "“",
    "'",
    ",",
    ".",
    "=",
];
/// Signs between a letter and what is said about it.
const SEPARATORS: &[&str] = &[")", "]", ".", ":", ",", "-", "–", "—", "$", "*", "_", "`", "\"", "”", "'"];
/// Words that join a letter to another one.
const JOINS: &[&str] =
    &["or", "and", "nor", "to", "through", "vs", "versus", "&", "/", "+", "|", "but", "maybe"];
/// Words that begin the reason for a choice.
const REASONS: &[&str] = &["because", "since", "as", "due"];
const VERBS: &[&str] = &[
    "is", "are", "was", "were", "be", "seems", "looks", "appears", "can", "could", "would", "should", "must",
    "may", "might", "does", "do", "has", "fails", "cannot", "isn't", "aren't", "wasn't", "can't", "couldn't",
    "wouldn't", "doesn't", "don't", "won't",
];
/// Words that a verb needs to confirm a choice.
const CONFIRMS: &[&str] = &["correct", "right", "answer", "best", "true", "choice", "option"];
const DENIALS: &[&str] = &[
    "not",
    "no",
    "never",
    "wrong",
    "incorrect",
    "false",
    "invalid",
    "mistaken",
    "impossible",
    "unlikely",
    "out",
    "fails",
    "cannot",
    "neither",
    "nor",
    "except",
    "eliminate",
    "eliminated",
    "exclude",
    "excluded",
    "reject",
    "rejected",
    "discard",
    "discarded",
    "unsupported",
    "but",
];
/// Words before the letter of another choice that is not meant: "B, not C".
const AWAY: &[&str] =
    &["not", "than", "of", "over", "unlike", "eliminate", "exclude", "reject", "eliminating"];
/// Words that take back what was said.
const CORRECTIONS: &[&str] = &["wait", "hmm", "sorry", "scratch", "correction", "wrong", "incorrect"];
/// Words before a letter that is part of a name: "vitamin D".
const NOUNS: &[&str] = &[
    "vitamin",
    "hepatitis",
    "influenza",
    "type",
    "class",
    "grade",
    "group",
    "figure",
    "point",
    "line",
    "segment",
    "vector",
    "matrix",
    "set",
    "event",
    "angle",
    "plan",
    "factor",
    "team",
    "box",
    "city",
    "company",
    "substance",
    "compound",
];
/// Words that begin the text of a choice about other choices: "C. Both A and B".
const ABOUT_OTHERS: &[&str] = &["both", "neither", "all", "none"];
/// Signs of a formula, in which a letter is a variable.
const OPERATORS: &[&str] = &["=", "+", "*", "×", "·", "^", "<", ">", "∪", "∩", "_", "→", "∈"];

/// A word, or a sign of one character.
#[derive(Clone, Debug)]
struct Token<'a> {
    text: &'a str,
    /// In lower case, with a plain apostrophe.
    lower: String,
    /// Whether white space or the beginning comes before it.
    is_apart: bool,
}

impl Token<'_> {
    fn is_in(&self, words: &[&str]) -> bool {
        words.contains(&self.lower.as_str())
    }

    /// The letter, if the token is a single one.
    fn letter(&self) -> Option<char> {
        let mut letters = self.text.chars();
        letters.next().filter(|first| first.is_ascii_alphabetic() && letters.next().is_none())
    }

    fn is_denial(&self) -> bool {
        self.is_in(DENIALS) || self.lower.ends_with("n't")
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(char::is_alphanumeric)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_inner = |next: char| next.is_alphanumeric() || matches!(next, '\'' | '’');
    let mut all = Vec::new();
    let (mut rest, mut is_apart) = (text, true);
    while let Some(next) = rest.chars().next() {
        let word = if next.is_alphanumeric() {
            let end = rest.find(|next| !is_inner(next)).unwrap_or(rest.len());
            // A quotation mark at the end is not an apostrophe.
            let word = rest[..end].trim_end_matches(['\'', '’']);
            if word.len() == 1 && end == 2 { &rest[..end] } else { word }
        } else {
            &rest[..next.len_utf8()]
        };
        if next.is_whitespace() {
            is_apart = true;
        } else {
            all.push(Token { text: word, lower: word.to_lowercase().replace('’', "'"), is_apart });
            is_apart = false;
        }
        rest = &rest[word.len()..];
    }
    all
}

/// The letter that an answer names, as it is written, or `None` if it names no letter or more than one.
pub fn letter(text: &str) -> Option<char> {
    if text.len() > LENGTH {
        return None;
    }
    let bare = without_commands(text);
    let bare = bare.trim();
    let bare = bare.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')).unwrap_or(bare);
    let all = tokens(bare);
    let is_lead = |at: usize| {
        let is_last = |at: usize| all.get(at).is_none_or(|token| !token.is_word());
        // `I` is a choice, unless the sentence goes on.
        all[at].is_in(LEAD) && (all[at].letter().is_none() || (all[at].lower == "i" && !is_last(at + 1)))
    };
    let start = (0..all.len()).find(|at| !is_lead(*at))?;
    let letter = all[start].letter()?;
    let is_bracketed = start > 0 && ["(", "["].contains(&all[start - 1].text);
    let mut next = start + 1;
    if is_bracketed && !all.get(next).is_some_and(|token| token.is_in(&[")", "]", "*", ".", ":"])) {
        return None;
    }
    while all.get(next).is_some_and(|token| token.is_in(SEPARATORS)) {
        next += 1;
    }
    let Some(after) = all.get(next) else { return Some(letter) };
    let rest = &all[next..];
    let is_said = if next == start + 1 {
        // Nothing but white space after the letter, as in `A cat`.
        let confirms = || rest.iter().take(REACH + 2).any(|token| token.is_in(CONFIRMS));
        after.text == "(" || after.is_in(REASONS) || (after.is_in(VERBS) && confirms())
    } else {
        // `x.5` and `C.D` are no choices.
        after.is_apart || [")", "]", "*"].contains(&all[next - 1].text)
    };
    let begins = rest.iter().find(|token| token.is_word() || token.is_in(JOINS))?;
    let is_taken_back = begins.is_in(JOINS) || begins.is_in(CORRECTIONS) || is_denied(rest);
    let is_about_others = begins.is_in(ABOUT_OTHERS);
    (is_said && !is_taken_back && (is_about_others || !names_another(&all, next, letter))).then_some(letter)
}

/// Whether a text that follows an answer takes it back, or names another choice.
pub(super) fn takes_back(text: &str, letter: char) -> bool {
    let bare = without_commands(&text[..text.floor_char_boundary(PROSE)]);
    let all = tokens(&bare);
    let is_about_it = |at: usize| {
        all[at].is_in(&["it", "this", "that"])
            || all[at].letter().is_some_and(|one| one.eq_ignore_ascii_case(&letter) && is_named(&all, at))
    };
    let is_denied_later = (0..all.len()).any(|at| is_about_it(at) && is_denied(&all[at + 1..]));
    let is_corrected = all.iter().any(|token| token.is_in(&["wait", "hmm", "scratch", "correction"]));
    is_denied_later || is_corrected || names_another(&all, 0, letter)
}

/// The only letter that a text names, if it denies nothing.
pub(super) fn only_letter(text: &str) -> Option<char> {
    if text.len() > PROSE {
        return None;
    }
    let bare = without_commands(text);
    let all = tokens(&bare);
    if all.iter().any(|token| token.is_denial() || token.is_in(&["or", "rule", "?"])) {
        return None;
    }
    let mut named = (0..all.len()).filter(|at| is_named(&all, *at)).filter_map(|at| all[at].letter());
    let first = named.next()?;
    named.all(|other| other.eq_ignore_ascii_case(&first)).then_some(first)
}

/// Whether the token names a choice: a letter from A to J that is no article, no pronoun and not part of a name or a
/// formula.
fn is_named(all: &[Token<'_>], at: usize) -> bool {
    let Some(letter) = all[at].letter().filter(|letter| ('A'..='J').contains(&letter.to_ascii_uppercase()))
    else {
        return false;
    };
    let (before, after) = (at.checked_sub(1).map(|at| &all[at]), all.get(at + 1));
    if before.is_some_and(|token| token.is_in(NOUNS) || token.is_in(OPERATORS))
        || after.is_some_and(|token| token.is_in(OPERATORS) && token.text != "*")
    {
        return false;
    }
    let says_more = |token: &Token<'_>| {
        token.is_word() && !token.is_in(VERBS) && !token.is_in(JOINS) && !token.is_in(REASONS)
    };
    let is_bracketed = before.is_some_and(|token| ["(", "["].contains(&token.text));
    if letter.is_ascii_lowercase() {
        // A variable, or the article `a`, unless it is listed.
        let is_listed = before.is_some_and(|token| token.is_in(JOINS) || token.is_in(&[",", ";"]));
        return is_bracketed || (is_listed && after.is_none_or(|token| !token.is_word()));
    }
    // `A triangle` and `I think`.
    let is_plain = matches!(letter, 'A' | 'I') && !is_bracketed && after.is_some_and(says_more);
    !is_plain
}

/// Whether the tokens from this one on name a choice besides `letter` that is meant.
fn names_another(all: &[Token<'_>], start: usize, letter: char) -> bool {
    (start..all.len()).any(|at| {
        let is_other = all[at].letter().is_some_and(|other| !other.eq_ignore_ascii_case(&letter));
        let words = || all[..at].iter().rev().filter(|token| token.is_word());
        let is_away = words().next().is_some_and(|token| token.is_in(AWAY));
        is_other && is_named(all, at) && !is_away && !is_denied(&all[at + 1..])
    })
}

/// Whether what is said about a choice, directly after it, denies it: "is wrong", "and B cannot be right".
fn is_denied(rest: &[Token<'_>]) -> bool {
    let skips = |token: &&Token<'_>| {
        !token.is_word()
            || token.letter().is_some()
            || token.is_in(&["and", "it", "this", "that", "which", "both"])
    };
    let said: Vec<&Token<'_>> = rest.iter().take(LISTED).skip_while(skips).take(REACH + 1).collect();
    let Some((verb, said)) = said.split_first() else { return false };
    let clause = || said.iter().take_while(|token| !token.is_in(&[".", ";", ","]));
    verb.is_in(VERBS) && (verb.is_denial() || clause().any(|token| token.is_denial()))
}

/// The text without LaTeX commands and braces, and with plain letters and brackets for those of double width.
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
            '\u{ff01}'..='\u{ff5e}' => out.extend(char::from_u32(next as u32 - 0xfee0)),
            _ => out.push(next),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_is_named() {
        for text in [
            "C",
            "c",
            "(C)",
            "( C )",
            "[C]",
            "\\text{C}",
            "\\textbf{(C)}\\ 12",
            "C.",
            "C)",
            "**C**",
            "**C.** 12",
            "__C__",
            "`C`",
            "\"C\"",
            "“C”",
            "'C'",
            "C. 12 apples",
            "C: 12",
            "C) 12",
            "(C) 12",
            "(C)12",
            "C, 12",
            "C - 12",
            "C (12)",
            "$\\text{(C)}$",
            "Option C",
            "option (C)",
            "Choice C.",
            "Answer: C",
            "The correct answer is C",
            "It is C.",
            "the answer is (C) 12",
            "I choose C",
            "I'd go with C",
            "C is correct",
            "C is the right answer",
            "C because it fits",
            "C, because B is wrong",
            "C, not D",
            "C. A triangle",
            "C. Vitamin D",
            "C. Both A and B",
            "C. None of the above",
            "C. Not enough information",
            "C. False",
            "（Ｃ）",
            "C. I think so",
            "C. x = A + B",
            "(C) is right",
            "C.\n",
            " C ",
        ] {
            assert_eq!(letter(text).map(|letter| letter.to_ascii_uppercase()), Some('C'), "{text}");
        }
        assert_eq!(
            (letter("A"), letter("I"), letter("i"), letter("(a)")),
            (Some('A'), Some('I'), Some('i'), Some('a'))
        );
    }

    #[test]
    fn what_is_no_clear_choice_names_none() {
        for text in [
            "A, B, C, D",
            "A B C D",
            "ABCD",
            "A/B/C/D",
            "(A) or (B)",
            "(A), (B)",
            "(A)(B)",
            "A. 1 B. 2 C. 3",
            "a) or b)",
            "a, b",
            "c or d",
            "A or B",
            "A and B",
            "C; D",
            "C | D",
            "C & D",
            "C-D",
            "A to D",
            "A - D",
            "C or none",
            "C, D",
            "C then D",
            "C (or D)",
            "C, or maybe D",
            "C? D",
            "C. is wrong, it is A",
            "C is wrong",
            "C. is not right",
            "(C) is incorrect",
            "C: wrong",
            "C isn't right",
            "C cannot be right",
            "C, no, D",
            "C... no, D",
            "C. No wait, D",
            "C. Actually D",
            "C, but D is right too",
            "C is correct and D is correct",
            "C. I meant D",
            "not C",
            "never C",
            "neither C nor D",
            "anything but C",
            "I'd eliminate C",
            "Cat",
            "A cat",
            "12",
            "",
            "x + 1",
            "AC",
            "C.D",
            "C'",
            "C = 5",
            "C+1",
            "C!",
            "C?",
            "(C",
            "the",
            "it is",
            "(",
            "C. D",
            "C. hmm D",
            "all",
            "Both A and B",
            "the answer is not C",
            "C.5",
        ] {
            assert_eq!(letter(text), None, "{text}");
        }
    }

    #[test]
    fn long_and_odd_texts_end() {
        for text in
            ["C. ".repeat(100_000), "(".repeat(500), "\\".repeat(500), "C é ".repeat(100), "’".repeat(300)]
        {
            letter(&text);
            only_letter(&text);
            takes_back(&text, 'C');
        }
    }
}
