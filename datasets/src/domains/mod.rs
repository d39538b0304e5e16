//! The table of domains: a `mod` line and a row each.

use serde::Deserialize;
use serde_json::Value;

use crate::Domain;

pub mod addition;
mod assignment;
pub mod blocks_world;
pub mod checker_jumping;
mod formula;
pub mod hanoi;
pub mod knights_knaves;
pub mod maze;
pub mod mini_sudoku;
mod moves;
pub mod n_queens;
pub mod parity;
pub mod propositional_logic;
pub mod river_crossing;
pub mod shortest_path;
pub mod zebra_puzzles;

/// One row of the table of domains.
pub struct Row {
    /// The name that recipes and the command line use.
    pub name: &'static str,
    /// One line for `thinkling list tasks`.
    pub about: &'static str,
    /// What an answer looks like, in a word or two.
    pub answers: &'static str,
    /// Makes the domain from its settings (`null` or `{}`: the defaults).
    pub build: fn(&Value) -> Result<Box<dyn Domain>, SettingsError>,
}

/// The table of domains: one row each.
#[rustfmt::skip]
pub const DOMAINS: &[Row] = &[
    addition::ROW,
    blocks_world::ROW,
    checker_jumping::ROW,
    hanoi::ROW,
    knights_knaves::ROW,
    maze::ROW,
    mini_sudoku::ROW,
    n_queens::ROW,
    parity::ROW,
    propositional_logic::ROW,
    river_crossing::ROW,
    shortest_path::ROW,
    zebra_puzzles::ROW,
];

/// The row named `name`.
pub fn find(name: &str) -> Option<&'static Row> {
    DOMAINS.iter().find(|row| row.name == name)
}

/// A domain's settings could not be read.
#[derive(Debug, thiserror::Error)]
#[error("settings of task `{domain}`: {message}")]
pub struct SettingsError {
    /// The domain's name in the table.
    pub domain: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Reads a domain's settings, where `null` stands for the defaults.
fn build<D: Domain + Default + for<'de> Deserialize<'de> + 'static>(
    domain: &'static str,
    value: &Value,
) -> Result<Box<dyn Domain>, SettingsError> {
    if value.is_null() {
        return Ok(Box::new(D::default()));
    }
    match D::deserialize(value) {
        Ok(domain) => Ok(Box::new(domain)),
        Err(error) => Err(SettingsError { domain, message: error.to_string() }),
    }
}

/// The characters of `text` as symbols of an alphabet.
fn characters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}
