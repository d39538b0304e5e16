//! How a policy learns from verdicts.
