//! The cost of runs: estimates for recipes, published runs, and plans for other devices.

pub mod devices;
pub mod estimate;
pub mod memory;
pub mod planner;
pub mod presets;
pub mod shape;

#[cfg(test)]
mod tests;
