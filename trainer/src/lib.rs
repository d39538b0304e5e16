//! How a policy learns from verdicts.
//!
//! The modules in the order of the data; each imports only those above it.

pub mod units;

pub mod recipe;

pub mod kernels;

pub mod policy;

pub mod tokenizer;

pub mod plan;

pub mod syllabus;

pub mod rollout;

pub mod score;

pub mod advantage;

pub mod objective;

pub mod optim;

pub mod update;

pub mod evaluate;

pub mod ledger;

pub mod cost;

pub mod checkpoint;

pub mod run;

pub mod alarms;

pub mod report;

pub mod events;

pub mod live;

pub mod progress;

pub mod session;

pub mod stages;

pub mod audit;

pub mod doctor;

pub mod bench;
