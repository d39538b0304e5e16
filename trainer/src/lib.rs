//! How a policy learns from verdicts.

pub mod units;

pub mod recipe;

pub mod plan;
