//! Whether a mathematical answer equals the right one.
//!
//! The answer is found ([`extract`]), spelled in one way (`normalise`), parsed (`lexer`, `parser`) and compared
//! (`equivalence`): exactly where numbers are rational, at points and to 50 digits elsewhere. Every step is counted
//! against a budget, so that no completion takes long and none depends on a clock.

use serde::{Deserialize, Serialize};

use crate::{Item, Row, Verdict, Verifier, settings};

mod ball;
mod complex;
mod equivalence;
mod evaluate;
mod expression;
pub mod extract;
mod lexer;
mod modulo;
mod normalise;
mod number;
mod parser;
mod region;
mod spelling;
mod words;

use equivalence::Judge;
use expression::Arena;
use extract::{Extraction, Found};
use lexer::Token;
use parser::Parsed;
use spelling::Respelling;

/// Longer answers are not parsed, in bytes.
const LENGTH: usize = 4096;
/// Deeper brackets are not parsed.
const DEPTH: usize = 200;
/// Larger expressions are not parsed.
const NODES: usize = 5000;
/// The work spent on one completion.
const STEPS: u64 = 60_000;
/// The work spent on each further reading of it.
const RESPELLED_STEPS: u64 = STEPS / 4;

/// The row of the table.
pub const ROW: Row = Row {
    name: "math",
    about: "the answer equals the right one as mathematics: numbers, expressions, equations, sets, matrices, text",
    build: |value| Ok(Box::new(settings::<Math>("math", value)?)),
};

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is not defined: a division by 0.
    Undefined,
    /// It takes too much work.
    Budget,
    /// The method at hand cannot say.
    Undecided,
}

/// Why a text is no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no mathematics that is known here.
    Unparsable,
    /// It is too long, too deep or too large.
    Budget,
}

/// What becomes of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Where both answers carry known units, they must be the same.
    #[default]
    Match,
    /// Units are dropped.
    Ignore,
}

/// What becomes of a percent sign in an answer that is right without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Percent {
    /// `28%` is the number 0.28; only where the right answer is a percentage may the sign be left out.
    #[default]
    Hundredth,
    /// `28%` also equals 28.
    Unit,
}

/// Compares answers as mathematics.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Math {
    /// Where an answer may stand: `strict` (tags, box, `####`) or `lenient` (also prose, last formula, last number).
    pub extraction: Extraction,
    /// `match` or `ignore`.
    pub units: Units,
    /// `hundredth` or `unit`.
    pub percent: Percent,
    /// How far a decimal may be from an exact right answer, relative to it.
    pub tolerance: f64,
    /// A right answer with at least so many written digits is taken as rounded in its last place.
    pub rounded_digits: u32,
    /// Whether `2,74` may be the decimal 2.74 where the right answer is one.
    pub decimal_comma: bool,
    /// Whether an inequality may answer for the set of its solutions (it may restate the question).
    pub set_relation: bool,
    /// Whether variables may have other letters than in the right answer.
    pub any_letters: bool,
    /// Whether `{1,3}` answers for the increasing tuple `(1,3)`.
    pub tuple_as_set: bool,
}

impl Default for Math {
    fn default() -> Self {
        Self {
            extraction: Extraction::default(),
            units: Units::default(),
            percent: Percent::default(),
            tolerance: 1e-6,
            rounded_digits: 4,
            decimal_comma: true,
            set_relation: false,
            any_letters: false,
            tuple_as_set: true,
        }
    }
}

/// An answer after parsing.
struct Reading {
    text: String,
    tokens: Vec<Token>,
    parsed: Result<Parsed, Refusal>,
}

/// What the comparison of two answers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same, with the way it was found.
    Equal(&'static str),
    /// Not the same.
    Different,
    /// The answer cannot be parsed.
    Unparsable,
    /// The budget ran out.
    Budget,
}

fn read(arena: &mut Arena, text: &str) -> Reading {
    let mut tokens = Vec::new();
    let parsed = normalise::normalise(text).and_then(|text| {
        tokens = lexer::tokens(&text)?;
        parser::parse(arena, tokens.clone())
    });
    Reading { text: text.to_owned(), tokens, parsed }
}

/// The first candidate that can be parsed, else the first.
fn read_first(arena: &mut Arena, found: &Found) -> Reading {
    let mut first: Option<Reading> = None;
    for candidate in &found.candidates {
        let reading = read(arena, candidate);
        if reading.parsed.is_ok() {
            return reading;
        }
        first.get_or_insert(reading);
    }
    first.unwrap_or_else(|| read(arena, ""))
}

impl Math {
    /// Compares an answer with the right one, both without the text around them.
    pub fn compare(&self, gold: &str, answer: &str) -> Comparison {
        let (gold, answer) = (
            Found { rule: "", candidates: vec![gold.to_owned()] },
            Found { rule: "", candidates: vec![answer.to_owned()] },
        );
        self.judge(&gold, &answer).1
    }

    /// The candidate that was judged, and the judgement.
    fn judge(&self, gold: &Found, found: &Found) -> (String, Comparison) {
        if let Some(letter) = gold.candidates.first().and_then(|gold| choice_of_gold(gold)) {
            let chosen =
                found.candidates.iter().find_map(|text| Some((text.clone(), crate::choice::letter(text)?)));
            if let Some((text, chosen)) = chosen {
                let same = chosen.eq_ignore_ascii_case(&letter);
                return (
                    text,
                    if same { Comparison::Equal("the same choice") } else { Comparison::Different },
                );
            }
        }
        let mut arena = Arena::default();
        let gold = read_first(&mut arena, gold);
        let answer = read_first(&mut arena, found);
        let comparison = self.readings(arena, &gold, &answer, STEPS);
        if comparison != Comparison::Different {
            return (answer.text, comparison);
        }
        let renamed: Respelling = if self.any_letters { spelling::renamed } else { |_, _| None };
        for respell in [spelling::products, spelling::common_logarithms, renamed] {
            let Some((gold, own)) = respell(&gold.tokens, &answer.tokens) else { continue };
            let mut arena = Arena::default();
            let mut reading = |tokens: Vec<Token>| {
                let parsed = parser::parse(&mut arena, tokens.clone());
                Reading { text: String::new(), tokens, parsed }
            };
            let (gold, own) = (reading(gold), reading(own));
            if let equal @ Comparison::Equal(_) = self.readings(arena, &gold, &own, RESPELLED_STEPS) {
                return (answer.text, equal);
            }
        }
        (answer.text, comparison)
    }

    fn readings(&self, arena: Arena, gold: &Reading, answer: &Reading, steps: u64) -> Comparison {
        let (gold_words, answer_words) = (normalise::words(&gold.text), normalise::words(&answer.text));
        let wordy = |reading: &Reading| match &reading.parsed {
            Ok(parsed) => matches!(arena.node(arena.peel(parsed.root)), expression::Node::Text(_)),
            Err(_) => true,
        };
        // A right answer may say that there is none; NaN still equals nothing.
        let is_text = wordy(gold) || wordy(answer) || gold_words.as_deref() == Some("undefined");
        if is_text && gold_words.is_some() && gold_words == answer_words {
            return Comparison::Equal("the same words");
        }
        let decimals = self.decimal_commas(gold, answer);
        if decimals == Some(true) {
            return Comparison::Equal("the same decimal");
        }
        match (&gold.parsed, &answer.parsed) {
            (Ok(gold_parsed), Ok(answer_parsed)) => {
                let mut judge = Judge::new(arena, *self, steps);
                match judge.same(gold_parsed, answer_parsed) {
                    Ok(true) => Comparison::Equal("equal"),
                    Ok(false) | Err(Stop::Undefined) => Comparison::Different,
                    // What cannot be evaluated equals only what is written the same.
                    Err(_) if judge.written_alike(gold_parsed, answer_parsed) => {
                        Comparison::Equal("written the same")
                    }
                    Err(Stop::Budget) => Comparison::Budget,
                    Err(Stop::Undecided) => Comparison::Different,
                }
            }
            (Err(_), Err(_)) => {
                let blank = |text: &str| text.split_whitespace().collect::<String>();
                if !blank(&gold.text).is_empty() && blank(&gold.text) == blank(&answer.text) {
                    return Comparison::Equal("written the same");
                }
                Comparison::Different
            }
            (Err(_), Ok(_)) => Comparison::Different,
            (Ok(_), Err(Refusal::Budget)) => Comparison::Budget,
            (Ok(_), Err(Refusal::Unparsable)) => Comparison::Unparsable,
        }
    }

    /// Whether both answers are the same decimal when commas may be points; `None` where none is.
    fn decimal_commas(&self, gold: &Reading, answer: &Reading) -> Option<bool> {
        if !self.decimal_comma {
            return None;
        }
        let (left, right) = (decimal(&gold.tokens, &gold.text)?, decimal(&answer.tokens, &answer.text)?);
        // A right answer `1,2` is a list, `1,22` may be a decimal; one of both has a point to tell.
        let short = gold.text.rsplit(',').next().is_some_and(|part| part.trim_end_matches('$').len() < 2);
        if left.1 == right.1 || (left.1 && short) {
            return None;
        }
        Some(left.0 == right.0)
    }
}

/// The value of a decimal, and whether it was written with a comma.
fn decimal(tokens: &[Token], text: &str) -> Option<(number::Rational, bool)> {
    let sign = usize::from(tokens.first() == Some(&Token::Sign('-')));
    let tokens: Vec<&Token> =
        tokens[sign..].iter().filter(|token| !matches!(token, Token::Currency(_) | Token::Text(_))).collect();
    let (value, comma) = match tokens.as_slice() {
        [Token::Number { digits, places: Some(places), power: 0, repeating }] if repeating.is_empty() => {
            (number::Rational::decimal(digits, *places)?, false)
        }
        // A comma between digits, no blank beside it.
        [
            Token::Number { digits: whole, places: None, power: 0, .. },
            Token::Sign(','),
            Token::Number { digits: part, places: None, power: 0, .. },
        ] if text.replace("{,}", ",").contains(&format!("{whole},{part}")) => {
            (number::Rational::decimal(&format!("{whole}{part}"), part.len() as u32)?, true)
        }
        _ => return None,
    };
    Some((if sign == 1 { value.neg() } else { value }, comma))
}

/// The letter of a right answer that is a choice: `C`, `\text{(C)}`, `\textbf{(C)}\ 12`.
fn choice_of_gold(text: &str) -> Option<char> {
    let letter = crate::choice::letter(text).filter(|letter| ('A'..='E').contains(letter))?;
    let alone = text.chars().filter(char::is_ascii_uppercase).count() == 1
        && normalise::words(&text.replace(['(', ')'], "")).is_some_and(|words| words.len() == 1);
    (alone || text.contains(&format!("({letter})"))).then_some(letter)
}

impl Verifier for Math {
    fn verify(&self, item: &Item<'_>) -> Verdict {
        let Some(gold) = item.answer.filter(|gold| !gold.trim().is_empty()) else {
            return Verdict::error("the item has no answer to compare with");
        };
        let found = match extract::completion(item.completion, self.extraction) {
            Ok(found) => found,
            Err(reason) => return Verdict::malformed(reason),
        };
        let (text, comparison) = self.judge(&extract::gold(gold), &found);
        let extracted = shortened(&text);
        let rule = found.rule;
        match comparison {
            Comparison::Equal(how) => Verdict::correct(extracted, format!("{rule}: {how}")),
            Comparison::Different => Verdict::wrong(extracted, format!("{rule}: not equal")),
            Comparison::Unparsable => Verdict {
                extracted: Some(extracted),
                ..Verdict::malformed(format!("{rule}: cannot be parsed"))
            },
            Comparison::Budget => Verdict::timeout(Some(extracted), format!("{rule}: budget")),
        }
    }
}

/// The text, cut where it is long.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(LENGTH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
