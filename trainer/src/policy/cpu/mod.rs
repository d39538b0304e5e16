//! The policy that trains: forward, backward and decoder on plain slices.

pub(super) mod backward;
pub mod decoder;
pub(super) mod forward;
pub(super) mod packed;
