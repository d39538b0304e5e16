//! Learning from completions: verdicts, rewards, advantages and the objective; and evaluation on held-out questions.

pub mod advantage;
pub mod batch;
pub mod evaluate;
pub mod objective;
pub mod reward;
pub mod reward_terms;
pub mod score;
