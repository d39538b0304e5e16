//! The program from outside: what a user, a script or a crash sees of it.

mod program;

mod commands;
mod contract;
mod divergence;
mod emergence;
mod mistakes;
mod objectives;
mod resume;
mod same_bits;
mod settings;
