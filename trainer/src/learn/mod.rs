//! From completions to a gradient: verdicts, rewards, advantages, the objective; and measures on held-out questions.

pub mod advantage;
pub mod batch;
pub mod evaluate;
pub mod objective;
pub mod reward;
pub mod reward_terms;
pub mod score;
