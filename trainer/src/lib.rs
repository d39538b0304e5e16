//! How a policy learns from verdicts.
//!
//! The folders stand in the order of the data. Each imports only from those above it. The first three are the crate
//! `thinkling-policy`, so that a change in the rest does not compile them again.

pub use thinkling_policy::{kernels, machine, policy};

pub mod data;

pub mod learn;

pub mod recipe;

pub mod tracking;

pub mod stages;

pub mod plan;

pub mod report;

pub mod inspect;
