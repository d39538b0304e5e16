//! What can be said about a recipe or a run without training: cost, readiness, rewards, speed.

pub mod audit;
pub mod bench;
pub mod cost;
pub mod doctor;
