//! The policy: a transformer in DeepSeek-V3 form, every part a setting.
//!
//! Tokens in, log-probabilities out; nothing here knows text.

pub mod config;
pub mod decoder;
pub mod footprint;
pub mod gradient;
pub mod optimizer;
pub mod parameters;
pub mod reference;
pub mod rollout;
pub mod sampling;
pub mod tape;
pub mod transformer;

pub use config::{Attention, Config};
pub use parameters::Parameters;
pub use tape::{Sequence, Tape};
pub use transformer::Transformer;

#[cfg(test)]
pub(crate) mod tests;
