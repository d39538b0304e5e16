//! A pool of questions that are asked again until their pass rate shows that they no longer teach anything.
//!
//! A pool is a pure value, like a curriculum: its state can be saved as JSON without loss, so a resumed run asks the
//! same questions as an uninterrupted one.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When questions leave the pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// The number of questions in the pool, at least as many as in a batch.
    #[schemars(range(min = 1, max = 1000000000))]
    pub size: usize,
    /// A question leaves when at least this share of its group is right, in (0, 1].
    pub easy: f64,
    /// A question that no completion solves leaves after this many visits.
    pub tries: u32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { size: 256, easy: 0.9, tries: 3 }
    }
}

/// Where a question comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The position of the task in the mixture.
    pub entry: usize,
    /// The level of the question.
    pub level: u32,
    /// The index of the question at that level.
    pub index: u64,
}

/// A question, and how often it was asked without a right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    at: Address,
    tries: u32,
}

/// The content of a pool, as a checkpoint must save it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolState {
    /// The questions that wait, the next one first.
    waiting: VecDeque<Kept>,
    /// The number of questions that left because they were solved.
    pub solved: u64,
    /// The number of questions that left because nothing solved them.
    pub given_up: u64,
}

/// A setting is invalid.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("pool: `{key}` is {value}; it must be {allowed}")]
pub struct PoolError {
    /// Which setting.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// The allowed values.
    pub allowed: &'static str,
}

/// Questions that are asked in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    settings: PoolSettings,
    state: PoolState,
    /// The questions that are currently asked, in order.
    asked: Vec<Kept>,
}

impl Pool {
    /// Restores a pool from a saved `state`. The default state is an empty pool.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn resume(settings: PoolSettings, state: PoolState) -> Result<Self, PoolError> {
        let PoolSettings { size, easy, tries } = settings;
        let checks = [
            ("size", size as f64, size >= 1, "1 or more"),
            ("easy", easy, easy > 0.0 && easy <= 1.0, "above 0 and at most 1"),
            ("tries", f64::from(tries), tries >= 1, "1 or more"),
        ];
        match checks.into_iter().find(|(_, _, is_right, _)| !is_right) {
            Some((key, value, _, allowed)) => Err(PoolError { key, value, allowed }),
            None => Ok(Self { settings, state, asked: Vec::new() }),
        }
    }

    /// The state to save between two batches.
    pub fn state(&self) -> &PoolState {
        &self.state
    }

    /// The next `count` questions. `fresh` gives new ones if the pool has room.
    pub fn ask(&mut self, count: usize, mut fresh: impl FnMut() -> Address) -> Vec<Address> {
        while self.state.waiting.len() + self.asked.len() < self.settings.size.max(count) {
            self.state.waiting.push_back(Kept { at: fresh(), tries: 0 });
        }
        let first = self.asked.len();
        // A refill of a batch may already have taken the rest of the pool.
        for _ in 0..count {
            let next = self.state.waiting.pop_front().unwrap_or_else(|| Kept { at: fresh(), tries: 0 });
            self.asked.push(next);
        }
        self.asked[first..].iter().map(|kept| kept.at).collect()
    }

    /// Records the share of right answers for each question asked since the last call, in order. A question that can
    /// still teach goes to the end of the queue. A rate of `None` means that nothing could be judged, and has no
    /// effect.
    pub fn observe(&mut self, pass_rates: &[Option<f64>]) {
        for (mut kept, rate) in std::mem::take(&mut self.asked).into_iter().zip(pass_rates) {
            kept.tries += u32::from(*rate == Some(0.0));
            if rate.is_some_and(|rate| rate >= self.settings.easy) {
                self.state.solved += 1;
            } else if kept.tries >= self.settings.tries {
                self.state.given_up += 1;
            } else {
                self.state.waiting.push_back(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> impl FnMut() -> Address {
        let mut next = 0;
        move || {
            next += 1;
            Address { entry: 0, level: 1, index: next }
        }
    }

    fn indices(asked: &[Address]) -> Vec<u64> {
        asked.iter().map(|at| at.index).collect()
    }

    #[test]
    fn a_question_stays_until_it_is_solved_or_given_up() {
        let mut fresh = numbers();
        let settings = PoolSettings { size: 3, easy: 0.75, tries: 2 };
        let mut pool = Pool::resume(settings, PoolState::default()).unwrap();
        assert_eq!(indices(&pool.ask(2, &mut fresh)), [1, 2]);
        pool.observe(&[Some(0.8), Some(0.0)]);
        assert_eq!(indices(&pool.ask(2, &mut fresh)), [3, 2]);
        pool.observe(&[Some(0.5), Some(0.0)]);
        assert_eq!(indices(&pool.ask(3, &mut fresh)), [4, 3, 5]);
        pool.observe(&[None, Some(0.75), Some(0.74)]);
        assert_eq!(indices(&pool.ask(2, &mut fresh)), [4, 5]);
        assert_eq!((pool.state().solved, pool.state().given_up), (2, 1));
    }

    #[test]
    fn a_batch_may_be_larger_than_the_pool() {
        let mut fresh = numbers();
        let mut pool =
            Pool::resume(PoolSettings { size: 1, ..PoolSettings::default() }, PoolState::default());
        let pool = pool.as_mut().unwrap();
        assert_eq!(indices(&pool.ask(2, &mut fresh)), [1, 2]);
        // A second round of the same batch.
        assert_eq!(indices(&pool.ask(2, &mut fresh)), [3, 4]);
        pool.observe(&[Some(0.5); 4]);
        assert_eq!(indices(&pool.ask(4, &mut fresh)), [1, 2, 3, 4]);
    }

    #[test]
    fn a_resumed_pool_continues_unchanged() {
        let settings = PoolSettings { size: 5, easy: 0.9, tries: 2 };
        let mut whole = Pool::resume(settings, PoolState::default()).unwrap();
        let mut resumed = whole.clone();
        let (mut one, mut other) = (numbers(), numbers());
        for step in 0..40u32 {
            // One question in four is never solved, one always, and the others sometimes.
            let rate = |at: &Address| Some([0.0, 1.0, 0.5, f64::from(step % 2)][at.index as usize % 4]);
            let asked = whole.ask(3, &mut one);
            assert_eq!(asked, resumed.ask(3, &mut other));
            let rates: Vec<_> = asked.iter().map(rate).collect();
            whole.observe(&rates);
            resumed.observe(&rates);
            let saved = serde_json::to_string(resumed.state()).unwrap();
            resumed = Pool::resume(settings, serde_json::from_str(&saved).unwrap()).unwrap();
            assert_eq!(whole, resumed);
        }
        assert!(whole.state().solved > 0 && whole.state().given_up > 0);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |settings| Pool::resume(settings, PoolState::default()).unwrap_err().to_string();
        let base = PoolSettings::default();
        assert!(refused(PoolSettings { size: 0, ..base }).contains("`size` is 0"));
        assert!(refused(PoolSettings { easy: 1.5, ..base }).contains("`easy` is 1.5"));
        assert!(refused(PoolSettings { easy: f64::NAN, ..base }).contains("`easy`"));
        assert!(refused(PoolSettings { tries: 0, ..base }).contains("`tries`"));
    }
}
