//! The table of domains. Each domain has a `mod` line and a row.

use serde::Deserialize;
use serde_json::Value;

use crate::Domain;

pub mod addition;
mod assignment;
pub mod base_conversion;
pub mod basic_arithmetic;
pub mod blocks_world;
pub mod bracket_depth;
pub mod caesar_cipher;
pub mod chain_sum;
pub mod checker_jumping;
pub mod complex_arithmetic;
pub mod countdown;
pub mod decimal_arithmetic;
mod formula;
pub mod fraction_arithmetic;
pub mod gcd;
pub mod hanoi;
pub mod knights_knaves;
pub mod letter_counting;
pub mod linear_equations;
pub mod maze;
pub mod mini_sudoku;
pub mod modular_arithmetic;
mod moves;
pub mod multiplication;
pub mod n_queens;
pub mod number_sorting;
pub mod parity;
pub mod prime_factorization;
pub mod program_output;
pub mod program_synthesis;
pub mod propositional_logic;
pub mod puzzle24;
pub mod quadratic_equations;
pub mod river_crossing;
pub mod shortest_path;
pub mod spell_backward;
pub mod string_rewriting;
pub mod word_problems;
pub mod word_sorting;
pub mod zebra_puzzles;

/// A row of the table of domains.
pub struct Row {
    /// The name that recipes and the command line use.
    pub name: &'static str,
    /// The description in `thinkling list tasks`, one line.
    pub about: &'static str,
    /// What an answer looks like, in a word or two.
    pub answers: &'static str,
    /// Builds the domain from its settings. `null` and `{}` give the defaults.
    pub build: fn(&Value) -> Result<Box<dyn Domain>, SettingsError>,
}

/// The table of domains.
#[rustfmt::skip]
pub const DOMAINS: &[Row] = &[
    addition::ROW,
    base_conversion::ROW,
    basic_arithmetic::ROW,
    blocks_world::ROW,
    bracket_depth::ROW,
    caesar_cipher::ROW,
    chain_sum::ROW,
    checker_jumping::ROW,
    complex_arithmetic::ROW,
    countdown::ROW,
    decimal_arithmetic::ROW,
    fraction_arithmetic::ROW,
    gcd::ROW,
    hanoi::ROW,
    knights_knaves::ROW,
    letter_counting::ROW,
    linear_equations::ROW,
    maze::ROW,
    mini_sudoku::ROW,
    modular_arithmetic::ROW,
    multiplication::ROW,
    n_queens::ROW,
    number_sorting::ROW,
    parity::ROW,
    prime_factorization::ROW,
    program_output::ROW,
    program_synthesis::ROW,
    propositional_logic::ROW,
    puzzle24::ROW,
    quadratic_equations::ROW,
    river_crossing::ROW,
    shortest_path::ROW,
    spell_backward::ROW,
    string_rewriting::ROW,
    word_problems::ROW,
    word_sorting::ROW,
    zebra_puzzles::ROW,
];

/// Finds the row named `name`.
pub fn find(name: &str) -> Option<&'static Row> {
    DOMAINS.iter().find(|row| row.name == name)
}

/// The settings of a domain cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("settings of task `{domain}`: {message}")]
pub struct SettingsError {
    /// The domain's name in the table.
    pub domain: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Reads a domain's settings. `null` gives the defaults.
fn build<D: Domain + Default + for<'de> Deserialize<'de> + 'static>(
    domain: &'static str,
    value: &Value,
) -> Result<Box<dyn Domain>, SettingsError> {
    build_checked::<D>(domain, value, |_| Ok(()))
}

/// Reads a domain's settings and checks that they fit together.
fn build_checked<D: Domain + Default + for<'de> Deserialize<'de> + 'static>(
    domain: &'static str,
    value: &Value,
    check: fn(&D) -> Result<(), String>,
) -> Result<Box<dyn Domain>, SettingsError> {
    let refuse = |message| SettingsError { domain, message };
    let settings = match value {
        Value::Null => D::default(),
        Value::Object(_) => D::deserialize(value).map_err(|error| refuse(error.to_string()))?,
        _ => return Err(refuse(format!("{value} is not a table of settings"))),
    };
    check(&settings).map_err(refuse)?;
    Ok(Box::new(settings))
}

/// The characters of `text` as symbols of an alphabet.
fn characters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}
