//! Placeholder.
use super::Outcome;
#[derive(clap::Args)]
pub(super) struct Arguments {}
pub(super) fn run(_: &Arguments) -> Outcome { Ok(0) }
