//! What a process has spent since counting began, to find time that the ledger has not recorded.

use super::children;
use super::clock::{Elapsed, Moment};
use super::energy::{self, Energy};

/// Seconds between two readings of the children's time, which costs more than reading a clock.
const LOOK_EVERY_S: f64 = 0.1;

/// Counts what this process spends.
#[derive(Debug)]
pub struct Meter {
    started: Moment,
    /// What the ledger held when counting began.
    opening: Elapsed,
    /// The children's time before counting began, and the greatest value since.
    children_before_s: f64,
    children_s: f64,
    looked: Moment,
    energy: energy::EnergyMeter,
}

impl Meter {
    /// Counts from `started` on, for a ledger that already holds `opening`.
    pub fn new(started: Moment, opening: Elapsed, watts: Option<f64>) -> Self {
        Self {
            started,
            opening,
            children_before_s: if started.is_of_process() { 0.0 } else { children::cpu_s() },
            children_s: 0.0,
            looked: started,
            energy: energy::EnergyMeter::new(watts, started),
        }
    }

    /// Processor time of the children since the last reading; reads again if `is_due` or if some time has passed.
    pub fn children(&mut self, is_due: bool) -> f64 {
        if !is_due && self.looked.elapsed().wall_s < LOOK_EVERY_S {
            return 0.0;
        }
        self.looked = Moment::now();
        // When a program ends, its time changes from ticks to microseconds and may decrease.
        let most = (children::cpu_s() - self.children_before_s).max(self.children_s);
        let more = most - self.children_s;
        self.children_s = most;
        more
    }

    /// Energy since the last call.
    pub fn energy(&mut self) -> Energy {
        self.energy.advance()
    }

    /// The time that passed and that a ledger with `booked` does not hold.
    pub fn unbooked(&self, booked: Elapsed) -> Elapsed {
        let passed = self.started.elapsed();
        Elapsed {
            wall_s: (passed.wall_s - (booked.wall_s - self.opening.wall_s)).max(0.0),
            cpu_s: (passed.cpu_s + self.children_s - (booked.cpu_s - self.opening.cpu_s)).max(0.0),
        }
    }
}
