//! How a policy learns from verdicts.

pub mod kernels;
pub mod policy;
pub mod rollout;
pub mod advantage;
pub mod objective;
pub mod optim;
pub mod update;
