//! Tasks, curricula and the tokenizer.

pub mod curriculum;
pub mod shares;
pub mod task;
pub mod tokenizer;
