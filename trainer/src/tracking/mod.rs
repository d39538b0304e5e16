//! The records of a run: ledger, run folder, checkpoints, rows, alarms, events and progress.

pub(crate) mod alarms;
pub mod checkpoint;
pub mod durable;
pub(crate) mod events;
pub mod journal;
pub mod ledger;
pub mod live;
pub mod progress;
pub mod recovery;
pub mod rows;
pub mod run_folder;
pub(crate) mod tracker;
