//! The records of a run: ledger, run folder, checkpoints, rows, alarms, events and progress.

pub mod alarms;
pub mod checkpoint;
pub mod events;
pub mod ledger;
pub mod live;
pub mod progress;
pub mod rows;
pub mod run_folder;
pub mod tracker;
