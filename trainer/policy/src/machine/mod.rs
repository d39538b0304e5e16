//! What the operating system reports: time, child processes, energy; and the units of all quantities.

pub mod children;
pub mod clock;
pub mod energy;
pub mod meter;
pub mod units;
pub mod work;
