//! What the operating system reports: time, memory, child processes, energy; and the units of all quantities.

pub mod children;
pub mod clock;
pub mod energy;
pub mod memory;
pub mod meter;
pub mod units;
pub mod work;
