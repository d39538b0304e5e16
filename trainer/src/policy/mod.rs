//! The policy: a transformer in DeepSeek-V3 form, every part a setting.
//!
//! Tokens in, log-probabilities out; nothing here knows text.

mod blocks;
pub mod config;
mod cpu;
pub mod footprint;
pub mod layout;
pub mod parameters;
pub mod reference;

pub use config::{Attention, Config};
pub use cpu::decoder;
pub use cpu::forward::Tape;
pub use cpu::packed::Transformer;
pub use parameters::Parameters;

/// One sequence to be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Prompt and completion.
    pub tokens: &'a [u32],
    /// Index of the first token whose log-probability is wanted; at least 1.
    pub first_target: usize,
    /// Experts chosen at rollout, `[tokens - 1, sparse layers, chosen]`, to be taken again; `None` to choose afresh.
    pub routes: Option<&'a [u16]>,
}

impl Sequence<'_> {
    /// Rows that go through the layers: every token but the last.
    pub fn rows(&self) -> usize {
        self.tokens.len() - 1
    }

    /// Tokens whose log-probability is wanted.
    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.first_target..]
    }
}

#[cfg(test)]
pub(crate) mod tests;
