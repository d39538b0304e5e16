//! Tests of the program from outside, as a user, a script or a crash sees it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits for a bounded time")]

mod audit;
mod program;
mod rewards;

mod books;
#[cfg(target_os = "linux")]
mod code;
#[cfg(target_os = "linux")]
mod code_specs;
mod commands;
mod contract;
mod data;
mod divergence;
mod doctor;
mod emergence;
mod frozen;
mod golden;
mod mistakes;
mod mixtures;
mod objectives;
#[cfg(unix)]
mod poser;
mod report;
mod resume;
mod same_bits;
#[cfg(target_os = "linux")]
mod sandbox;
mod settings;
mod torture;
