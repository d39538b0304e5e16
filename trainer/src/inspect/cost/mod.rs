//! What a run will cost, what published ones cost, and what a planned one would.

pub mod devices;
pub mod estimate;
pub mod planner;
pub mod presets;
pub mod shape;

#[cfg(test)]
mod tests;
