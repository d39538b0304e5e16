//! What learns: a transformer with rollouts, gradients and updates at batch level.
//!
//! The folders stand in the order of the data. Each imports only from those above it.

pub mod machine;

pub mod kernels;

pub mod policy;
