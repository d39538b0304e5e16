//! What a process has spent since it began to count, so that what no span of time was booked for is found.

use super::children;
use super::clock::{Elapsed, Moment};
use super::energy::{self, Energy};

/// Seconds between two looks at other programs' time: finding them costs more than reading a clock.
const LOOK_EVERY_S: f64 = 0.1;

/// Counts what this process spends.
#[derive(Debug)]
pub struct Meter {
    started: Moment,
    /// What the books held when the count began.
    opening: Elapsed,
    /// Time of other programs that was there before, and the most that was seen since.
    children_before_s: f64,
    children_s: f64,
    looked: Moment,
    energy: energy::EnergyMeter,
}

impl Meter {
    /// Counts from `started` on, beside books that hold `opening` already.
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

    /// Processor time of other programs since the last call, where it is time to look again or `is_due`.
    pub fn children(&mut self, is_due: bool) -> f64 {
        if !is_due && self.looked.elapsed().wall_s < LOOK_EVERY_S {
            return 0.0;
        }
        self.looked = Moment::now();
        // A program that ends changes from ticks to microseconds, and may seem to lose some.
        let most = (children::cpu_s() - self.children_before_s).max(self.children_s);
        let more = most - self.children_s;
        self.children_s = most;
        more
    }

    /// Energy since the last call.
    pub fn energy(&mut self) -> Energy {
        self.energy.advance()
    }

    /// What has passed and is not in books that hold `booked`.
    pub fn unbooked(&self, booked: Elapsed) -> Elapsed {
        let passed = self.started.elapsed();
        Elapsed {
            wall_s: (passed.wall_s - (booked.wall_s - self.opening.wall_s)).max(0.0),
            cpu_s: (passed.cpu_s + self.children_s - (booked.cpu_s - self.opening.cpu_s)).max(0.0),
        }
    }
}
