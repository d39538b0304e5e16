//! How a policy learns from verdicts.
//!
//! The folders stand in the order of the data. Each imports only from those above it.

pub mod machine;

pub mod kernels;

pub mod policy;

pub mod data;

pub mod learn;

pub mod recipe;

pub mod tracking;

pub mod stages;

pub mod plan;

pub mod report;

pub mod inspect;
