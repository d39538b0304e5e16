//! Examines recipes and runs without training: cost, readiness, rewards, speed.

pub mod audit;
pub mod bench;
pub mod cost;
pub mod doctor;
