//! The verifier `math`: compares an answer with the right one as mathematics.
//!
//! The answer is found ([`extract`]), brought into a uniform spelling (`normalise`), parsed (`lexer`, `parser`) and
//! compared (`equivalence`): exactly if the numbers are rational, otherwise at points and to 50 digits. Every step
//! counts against a budget, so no completion takes long and no verdict depends on a clock.

use serde::{Deserialize, Serialize};

use crate::{Item, Row, Verdict, Verifier, settings};

#[cfg(test)]
mod attack;
mod ball;
mod complex;
mod dates;
mod equivalence;
mod evaluate;
mod expression;
pub mod extract;
mod labels;
mod lexer;
mod modulo;
mod normalise;
mod number;
mod numerals;
mod numeric;
mod parser;
mod points;
mod polynomial;
mod region;
mod runs;
mod spelling;
mod units;
mod words;
mod written;

use equivalence::Judge;
use expression::Arena;
use extract::{Extraction, Found};
use lexer::Token;
use parser::Parsed;
use points::Seed;
use spelling::Respelling;

/// Answers with more bytes are not parsed.
const LENGTH: usize = 4096;
/// Answers with more deeply nested brackets are not parsed.
const DEPTH: usize = 200;
/// Expressions with more nodes are not parsed.
const NODES: usize = 5000;
/// The steps that may be spent on one completion.
const STEPS: u64 = 60_000;
/// The steps that may be spent on each further reading of a completion.
const RESPELLED_STEPS: u64 = STEPS / 4;

/// The row in [`VERIFIERS`](crate::VERIFIERS).
pub const ROW: Row = Row {
    name: "math",
    about: "the answer equals the right one as mathematics: numbers, expressions, equations, sets, matrices, text",
    build: |value| Ok(Box::new(settings::<Math>("math", value)?)),
};

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The value is undefined, for example after a division by 0.
    Undefined,
    /// The value takes too much work.
    Budget,
    /// This method cannot decide.
    Undecided,
}

/// Why a text cannot be read as an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The text is not mathematics in a known form.
    Unparsable,
    /// The text is too long, too deeply nested or too large.
    Budget,
}

/// How units are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// If both answers have known units, the units must be equal.
    #[default]
    Match,
    /// Units are ignored.
    Ignore,
}

/// How a percent sign counts in an answer that is right without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Percent {
    /// `28%` is the number 0.28. The sign may be missing only if the right answer is a percentage.
    #[default]
    Hundredth,
    /// `28%` also equals 28.
    Unit,
}

/// Compares answers as mathematics.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Math {
    /// Which places are searched for the answer: `strict` (tags, box, `####`) or `lenient` (also prose, last formula,
    /// last number).
    pub extraction: Extraction,
    /// `match` or `ignore`.
    pub units: Units,
    /// `hundredth` or `unit`.
    pub percent: Percent,
    /// Maximum error of a decimal against an exact right answer, relative to that answer.
    pub tolerance: f64,
    /// A right answer with at least this many written digits counts as rounded at its last digit.
    pub rounded_digits: u32,
    /// Whether `2,74` may mean 2.74 if the right answer is a decimal.
    pub decimal_comma: bool,
    /// Whether an inequality counts as the set of its solutions (it may only repeat the question).
    pub set_relation: bool,
    /// Whether variables may have different letters than in the right answer.
    pub any_letters: bool,
    /// Whether `{1,3}` counts as the increasing tuple `(1,3)`.
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

/// A parsed answer.
struct Reading {
    text: String,
    /// The tokens before it was decided which letters are names.
    raw: Vec<Token>,
    tokens: Vec<Token>,
    /// The letter that stands for every whole number.
    parameter: Option<char>,
    parsed: Result<Parsed, Refusal>,
}

/// The result of a comparison of two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The answers are equal, for this reason.
    Equal(&'static str),
    /// The answers are not equal.
    Different,
    /// The answer cannot be parsed.
    Unparsable,
    /// The budget ran out.
    Budget,
}

/// Reads a text. The right answer, if this is another one, decides which letters are names.
fn read(arena: &mut Arena, text: &str, gold: Option<&Reading>) -> Reading {
    let mut reading = Reading {
        text: text.to_owned(),
        raw: Vec::new(),
        tokens: Vec::new(),
        parameter: None,
        parsed: Err(Refusal::Unparsable),
    };
    let lexed = normalise::normalise(text).and_then(|text| lexer::tokens(&text));
    reading.raw = match lexed {
        Ok(tokens) => tokens,
        Err(refusal) => {
            reading.parsed = Err(refusal);
            return reading;
        }
    };
    let mut tokens = runs::resolved(&reading.raw, gold.map_or(&reading.raw, |gold| &gold.raw));
    if let Some(rest) = labels::without_lead(&tokens) {
        tokens = rest.to_vec();
    }
    if let Some((rest, parameter)) = labels::family(&tokens) {
        tokens = rest;
        reading.parameter = Some(parameter);
    }
    reading.tokens = tokens;
    reading.parsed = parser::parse(arena, reading.tokens.clone());
    reading
}

/// The first candidate that can be parsed, or the first of all if none can.
fn read_first(arena: &mut Arena, found: &Found, gold: Option<&Reading>) -> Reading {
    let mut first: Option<Reading> = None;
    for candidate in &found.candidates {
        let reading = read(arena, candidate, gold);
        if reading.parsed.is_ok() {
            return reading;
        }
        first.get_or_insert(reading);
    }
    first.unwrap_or_else(|| read(arena, "", gold))
}

impl Math {
    /// Compares an answer with the right one. Both come without surrounding text.
    pub fn compare(&self, gold: &str, answer: &str) -> Comparison {
        let (gold, answer) = (
            Found { rule: "", candidates: vec![gold.to_owned()] },
            Found { rule: "", candidates: vec![answer.to_owned()] },
        );
        self.judge(&gold, &answer).1
    }

    /// The candidate that was judged, and the result.
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
        let gold = read_first(&mut arena, gold, None);
        // A right answer that cannot be read as mathematics is compared with the whole answer, not with a number in it.
        let answer = match &gold.parsed {
            Ok(_) => read_first(&mut arena, found, Some(&gold)),
            Err(_) => read(&mut arena, found.candidates.first().map_or("", String::as_str), Some(&gold)),
        };
        if let Some(same) = dates_or_times(&gold.text, &answer.text) {
            return (
                answer.text,
                if same { Comparison::Equal("the same time") } else { Comparison::Different },
            );
        }
        let seed = Seed::of(&gold.text, &answer.text);
        if (gold.parameter.is_some() || answer.parameter.is_some())
            && let Some(comparison) = self.families(&gold, &answer, seed)
        {
            return (answer.text, comparison);
        }
        let comparison = self.readings(arena, &gold, &answer, seed, STEPS);
        if !matches!(comparison, Comparison::Different | Comparison::Unparsable) {
            return (answer.text, comparison);
        }
        let decimal_comma: Respelling = match self.decimal_comma && !answer.text.contains(", ") {
            true => spelling::decimal_comma,
            false => |_, _| None,
        };
        let renamed: Respelling = if self.any_letters { spelling::renamed } else { |_, _| None };
        for respell in [
            spelling::products,
            spelling::common_logarithms,
            runs::separated,
            labels::unlabelled,
            labels::unconditional,
            decimal_comma,
            spelling::counting_functions,
            spelling::unmarked,
            spelling::unit_vectors,
            renamed,
        ] {
            let Some((gold, own)) = respell(&gold.tokens, &answer.tokens) else { continue };
            let mut arena = Arena::default();
            let mut reading = |tokens: Vec<Token>| {
                let parsed = parser::parse(&mut arena, tokens.clone());
                Reading { text: String::new(), raw: Vec::new(), tokens, parameter: None, parsed }
            };
            let (gold, own) = (reading(gold), reading(own));
            if let equal @ Comparison::Equal(_) = self.readings(arena, &gold, &own, seed, RESPELLED_STEPS) {
                return (answer.text, equal);
            }
        }
        (answer.text, comparison)
    }

    /// Compares answers that stand for one value per whole number: `\frac{\pi}{4} + k\pi`.
    fn families(&self, gold: &Reading, answer: &Reading, seed: Seed) -> Option<Comparison> {
        // An answer without a condition may use any letter that it has alone.
        let own = gold.parameter.or_else(|| spelling::only_letter(&gold.tokens, answer.parameter))?;
        let other = answer.parameter.or_else(|| spelling::only_letter(&answer.tokens, gold.parameter))?;
        let mut arena = Arena::default();
        let mut at = |tokens: &[Token], parameter: char, value: i64| {
            parser::parse(&mut arena, spelling::with_number(tokens, parameter, value)).ok()
        };
        let mut values = |reading: &Reading, parameter: char| {
            [0, 1, 2].map(|value| at(&reading.tokens, parameter, value).map(|parsed| parsed.root))
        };
        // The values for natural numbers are fewer. Where a condition is missing, it may be either.
        let is_natural = |reading: &Reading| {
            reading.raw.iter().any(|token| matches!(token, Token::Command(set) if set == "setN"))
        };
        if gold.parameter.is_some() && answer.parameter.is_some() && is_natural(gold) != is_natural(answer) {
            return Some(Comparison::Different);
        }
        let (golds, answers) = (values(gold, own), values(answer, other));
        let ([Some(a), Some(b), Some(c)], [Some(d), Some(e), Some(f)]) = (golds, answers) else {
            return None;
        };
        match Judge::new(arena, *self, seed, STEPS).families([a, b, c], [d, e, f]) {
            Ok(Some(true)) => return Some(Comparison::Equal("the same family")),
            Ok(Some(false)) => return Some(Comparison::Different),
            Err(Stop::Budget) => return Some(Comparison::Budget),
            _ => {}
        }
        // The parameter is not linear in both, so they are compared as expressions of it.
        let mut arena = Arena::default();
        let mut reading = |tokens: Vec<Token>, text: &str| {
            let parsed = parser::parse(&mut arena, tokens.clone());
            Reading { text: text.to_owned(), raw: Vec::new(), tokens, parameter: Some(own), parsed }
        };
        let one = reading(gold.tokens.clone(), &gold.text);
        let two = reading(spelling::with_letter(&answer.tokens, other, own), &answer.text);
        Some(self.readings(arena, &one, &two, seed, RESPELLED_STEPS))
    }

    fn readings(&self, arena: Arena, gold: &Reading, answer: &Reading, seed: Seed, steps: u64) -> Comparison {
        let (gold_words, answer_words) = (normalise::words(&gold.text), normalise::words(&answer.text));
        let wordy = |reading: &Reading| match &reading.parsed {
            Ok(parsed) => matches!(arena.node(arena.peel(parsed.root)), expression::Node::Text(_)),
            Err(_) => true,
        };
        // A right answer may say that there is no value. NaN still equals nothing.
        let is_text = wordy(gold) || wordy(answer) || gold_words.as_deref() == Some("undefined");
        if is_text && words::are_the_same_list(&gold.text, &answer.text) {
            return Comparison::Equal("the same words");
        }
        if is_text
            && let (Some(own), Some(other)) = (&gold_words, &answer_words)
            && words::say_the_same(own, other)
        {
            return Comparison::Equal("the same words");
        }
        let decimals = self.decimal_commas(gold, answer);
        if decimals == Some(true) || spelling::grouped_by_two(&gold.tokens, &answer.text) {
            return Comparison::Equal("the same decimal");
        }
        match (&gold.parsed, &answer.parsed) {
            (Ok(gold_parsed), Ok(answer_parsed)) => {
                if gold.parameter.is_some() != answer.parameter.is_some() {
                    return Comparison::Different;
                }
                let mut judge = Judge::new(arena, *self, seed, steps);
                match judge.same(gold_parsed, answer_parsed) {
                    Ok(true) => Comparison::Equal("equal"),
                    Ok(false) | Err(Stop::Undefined) => Comparison::Different,
                    // An expression that cannot be evaluated equals only one that is written the same.
                    Err(_) if judge.written_alike(gold_parsed, answer_parsed) => {
                        Comparison::Equal("written the same")
                    }
                    Err(Stop::Budget) => Comparison::Budget,
                    Err(Stop::Undecided) => Comparison::Different,
                }
            }
            // What cannot be read as mathematics is compared as it is written.
            (Err(_), _) => {
                let (own, other) = (written::pieces(&gold.text), written::pieces(&answer.text));
                if !own.is_empty() && own == other {
                    return Comparison::Equal("written the same");
                }
                Comparison::Different
            }
            (Ok(_), Err(Refusal::Budget)) => Comparison::Budget,
            (Ok(_), Err(Refusal::Unparsable)) => Comparison::Unparsable,
        }
    }

    /// Whether both answers are the same decimal if commas may be points, or `None` if this reading does not apply.
    fn decimal_commas(&self, gold: &Reading, answer: &Reading) -> Option<bool> {
        if !self.decimal_comma {
            return None;
        }
        let (left, right) = (decimal(&gold.tokens, &gold.text)?, decimal(&answer.tokens, &answer.text)?);
        // A right answer `1,2` is a list, but `1,22` may be a decimal. One of the two answers must have a point as
        // evidence.
        let short = gold.text.rsplit(',').next().is_some_and(|part| part.trim_end_matches('$').len() < 2);
        if left.1 == right.1 || (left.1 && short) {
            return None;
        }
        Some(left.0 == right.0)
    }
}

/// Whether two dates or times of day are the same, or `None` if the answers are something else.
fn dates_or_times(gold: &str, answer: &str) -> Option<bool> {
    // No date and no time is without a digit and a letter or a sign between digits.
    if !gold.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(gold) = dates::date(gold) {
        // `2024-03-05` is not 2016.
        return Some(dates::date(answer).is_some_and(|answer| gold.allows(&answer)));
    }
    let certain =
        |text: &str| dates::time(text).filter(|time| time.2).map(|(minute, second, _)| (minute, second));
    let gold = certain(gold)?;
    certain(answer).map(|answer| gold == answer)
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
        // A comma between digits, without a blank next to it.
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
            Comparison::Budget => Verdict::timeout(Some(extracted), format!("{rule}: the budget ran out")),
        }
    }
}

/// The text, cut if it is long.
fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(LENGTH)].to_owned()
}
