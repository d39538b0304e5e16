//! What is asked, in which order, and as which tokens.

pub mod curriculum;
pub mod tokenizer;
