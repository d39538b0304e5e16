//! How a policy learns from verdicts.

pub mod kernels;
pub mod policy;
pub mod rollout;
