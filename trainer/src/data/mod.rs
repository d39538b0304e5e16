//! What is asked, in which order, and as which tokens.

pub mod curriculum;
pub mod shares;
pub mod task;
pub mod tokenizer;
