//! The program from outside: what a user, a script or a crash sees of it.

mod program;

mod objectives;
mod same_bits;
