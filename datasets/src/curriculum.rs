//! A curriculum over levels: the level rises when the held-out accuracy reaches a bar.
//!
//! A curriculum is a pure value: its questions depend only on what it has observed, and its state can be saved as JSON
//! without loss. So a resumed run asks the same questions as an uninterrupted one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::seed::Stream;

/// When the level rises, and which levels the questions come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumSettings {
    /// The level to start at.
    pub first: u32,
    /// The level to end at.
    pub last: u32,
    /// By how many levels each rise goes up.
    pub step: u32,
    /// The held-out accuracy, in (0, 1], that counts as a pass.
    pub bar: f64,
    /// How many passes in a row are needed for a rise.
    pub passes: u32,
    /// The share of questions, in [0, 1), from levels that are already passed.
    pub review: f64,
}

impl Default for CurriculumSettings {
    fn default() -> Self {
        Self { first: 1, last: 1, step: 1, bar: 0.9, passes: 1, review: 0.2 }
    }
}

impl CurriculumSettings {
    /// All levels that are taught, in order. Empty if a setting is out of range.
    pub fn levels(&self) -> Vec<u32> {
        if LevelCurriculum::new(*self).is_err() {
            return Vec::new();
        }
        let mut levels: Vec<u32> = (self.first..self.last).step_by(self.step as usize).collect();
        levels.push(self.last);
        levels
    }
}

/// No task has this many levels, and a typing mistake could ask for more than memory holds.
const MOST_LEVELS: u32 = 1000;

/// A rise of the level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rise {
    /// The training step after which the level rose.
    pub step: u64,
    /// The level that was passed.
    pub from: u32,
    /// The new level.
    pub to: u32,
    /// The accuracy that caused the rise.
    pub accuracy: f64,
}

/// What a curriculum has observed, as a checkpoint must save it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelCurriculumState {
    /// The level that is currently taught.
    pub level: u32,
    /// Passes in a row at this level.
    pub passes: u32,
    /// Whether the last level is also passed.
    pub is_finished: bool,
    /// Every rise so far.
    pub rises: Vec<Rise>,
}

/// The settings or the state of a curriculum are invalid.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelCurriculumError {
    /// A setting is out of range.
    #[error("curriculum: `{key}` is {value}; it must be {allowed}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: f64,
        /// The allowed values.
        allowed: &'static str,
    },
    /// A saved state does not match the settings.
    #[error(
        "the curriculum was saved at level {level}, which levels {first} to {last} in steps of {step} do not reach"
    )]
    State {
        /// The saved level.
        level: u32,
        /// The first level of the settings.
        first: u32,
        /// The last level of the settings.
        last: u32,
        /// The step of the settings.
        step: u32,
    },
}

/// The current level, and when it rises.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelCurriculum {
    settings: CurriculumSettings,
    state: LevelCurriculumState,
}

impl LevelCurriculum {
    /// Starts a curriculum at its first level.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(settings: CurriculumSettings) -> Result<Self, LevelCurriculumError> {
        let state =
            LevelCurriculumState { level: settings.first, passes: 0, is_finished: false, rises: Vec::new() };
        Self::resume(settings, state)
    }

    /// Restores a curriculum from a saved `state`.
    ///
    /// # Errors
    /// When a setting is out of range, or the state belongs to other settings.
    pub fn resume(
        settings: CurriculumSettings,
        state: LevelCurriculumState,
    ) -> Result<Self, LevelCurriculumError> {
        let CurriculumSettings { first, last, step, bar, passes, review } = settings;
        let checks = [
            ("last", f64::from(last), last >= first, "at least `first`"),
            ("step", f64::from(step), step >= 1, "1 or more"),
            (
                "last",
                f64::from(last),
                last.saturating_sub(first) / step.max(1) < MOST_LEVELS,
                "such that at most 1000 levels are taught",
            ),
            ("bar", bar, bar > 0.0 && bar <= 1.0, "above 0 and at most 1"),
            ("passes", f64::from(passes), passes >= 1, "1 or more"),
            ("review", review, (0.0..1.0).contains(&review), "at least 0 and below 1"),
        ];
        for (key, value, is_right, allowed) in checks {
            if !is_right {
                return Err(LevelCurriculumError::Setting { key, value, allowed });
            }
        }
        let level = state.level;
        let is_reached =
            (first..=last).contains(&level) && ((level - first).is_multiple_of(step) || level == last);
        if !is_reached {
            return Err(LevelCurriculumError::State { level, first, last, step });
        }
        Ok(Self { settings, state })
    }

    /// The state to save.
    pub fn state(&self) -> &LevelCurriculumState {
        &self.state
    }

    /// The level to teach and to test.
    pub fn level(&self) -> u32 {
        self.state.level
    }

    /// Whether the last level is passed.
    pub fn is_finished(&self) -> bool {
        self.state.is_finished
    }

    /// Records the held-out `accuracy` at `level` after training step `step`. Returns the rise, if it causes one.
    ///
    /// A measurement at a level other than the current one is ignored.
    pub fn observe(&mut self, step: u64, level: u32, accuracy: f64) -> Option<Rise> {
        let CurriculumSettings { last, bar, passes, .. } = self.settings;
        if level != self.state.level || self.state.is_finished {
            return None;
        }
        // A comparison with NaN is false, so a missing measurement is not a pass.
        self.state.passes = if accuracy >= bar { self.state.passes + 1 } else { 0 };
        if self.state.passes < passes {
            return None;
        }
        self.state.passes = 0;
        if level == last {
            self.state.is_finished = true;
            return None;
        }
        let to = level.saturating_add(self.settings.step).min(last);
        let rise = Rise { step, from: level, to, accuracy };
        self.state.level = to;
        self.state.rises.push(rise);
        Some(rise)
    }

    /// The level of the question at `index`: the current one, or, with the share `review`, one already passed.
    pub fn draw(&self, seed: u64, index: u64) -> u32 {
        let mut stream = Stream::at("curriculum", seed, &[u64::from(self.state.level), index]);
        match self.state.rises.len() {
            0 => self.state.level,
            _ if !stream.chance(self.settings.review) => self.state.level,
            _ => stream.pick(&self.state.rises).from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CurriculumSettings {
        CurriculumSettings { first: 2, last: 7, step: 2, bar: 0.8, passes: 2, review: 0.25 }
    }

    #[test]
    fn the_level_rises_after_passes_in_a_row_and_ends_at_the_last() {
        let mut curriculum = LevelCurriculum::new(settings()).unwrap();
        let mut levels = Vec::new();
        for (step, accuracy) in
            [0.9, 0.7, 0.8, 0.8, 1.0, f64::NAN, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0].into_iter().enumerate()
        {
            curriculum.observe(step as u64, curriculum.level(), accuracy);
            levels.push(curriculum.level());
        }
        assert_eq!(levels, [2, 2, 2, 4, 4, 4, 4, 6, 6, 7, 7, 7, 7]);
        assert!(curriculum.is_finished());
        let rises: Vec<_> =
            curriculum.state().rises.iter().map(|rise| (rise.step, rise.from, rise.to)).collect();
        assert_eq!(rises, [(3, 2, 4), (7, 4, 6), (9, 6, 7)]);
    }

    #[test]
    fn the_levels_are_those_that_it_rises_to() {
        assert_eq!(settings().levels(), [2, 4, 6, 7]);
        assert_eq!(CurriculumSettings { last: 2, ..settings() }.levels(), [2]);
        assert_eq!(CurriculumSettings { last: 1, ..settings() }.levels(), [0; 0]);
        assert_eq!(CurriculumSettings { last: u32::MAX, ..settings() }.levels(), [0; 0]);
    }

    #[test]
    fn another_level_is_ignored() {
        let mut curriculum = LevelCurriculum::new(settings()).unwrap();
        for _ in 0..5 {
            assert_eq!(curriculum.observe(0, 4, 1.0), None);
        }
        assert_eq!(curriculum.level(), 2);
    }

    #[test]
    fn a_resumed_curriculum_continues_unchanged() {
        let accuracy = |step: u64| Stream::at("accuracy", 0, &[step]).unit().sqrt();
        let mut whole = LevelCurriculum::new(settings()).unwrap();
        let mut resumed = whole.clone();
        for step in 0..60 {
            whole.observe(step, whole.level(), accuracy(step));
            resumed.observe(step, resumed.level(), accuracy(step));
            let saved = serde_json::to_string(resumed.state()).unwrap();
            resumed = LevelCurriculum::resume(settings(), serde_json::from_str(&saved).unwrap()).unwrap();
            assert_eq!(whole, resumed);
            assert_eq!(whole.draw(1, step), resumed.draw(1, step));
        }
        assert!(whole.level() > 2);
    }

    #[test]
    fn questions_of_passed_levels_come_in_their_share() {
        let mut curriculum = LevelCurriculum::new(CurriculumSettings { passes: 1, ..settings() }).unwrap();
        assert!((0..100).all(|index| curriculum.draw(0, index) == 2));
        curriculum.observe(0, 2, 1.0);
        curriculum.observe(1, 4, 1.0);
        let mut counts = [0; 8];
        for index in 0..4000 {
            counts[curriculum.draw(0, index) as usize] += 1;
        }
        assert_eq!(counts[2] + counts[4] + counts[6], 4000);
        assert!(
            (918..=1082).contains(&(counts[2] + counts[4])) && counts[2] > 400 && counts[4] > 400,
            "{counts:?}"
        );
    }

    #[test]
    fn settings_and_states_out_of_range_are_refused_by_name() {
        let refused = |settings| LevelCurriculum::new(settings).err().map(|error| error.to_string());
        let base = settings();
        assert!(refused(CurriculumSettings { last: 1, ..base }).unwrap().contains("`last` is 1"));
        assert!(refused(CurriculumSettings { bar: 1.5, ..base }).unwrap().contains("`bar` is 1.5"));
        assert!(refused(CurriculumSettings { bar: f64::NAN, ..base }).unwrap().contains("`bar`"));
        assert!(refused(CurriculumSettings { step: 0, ..base }).unwrap().contains("`step`"));
        assert!(refused(CurriculumSettings { passes: 0, ..base }).unwrap().contains("`passes`"));
        assert!(refused(CurriculumSettings { review: 1.0, ..base }).unwrap().contains("`review`"));
        let state = LevelCurriculumState { level: 3, passes: 0, is_finished: false, rises: Vec::new() };
        assert!(matches!(
            LevelCurriculum::resume(base, state),
            Err(LevelCurriculumError::State { level: 3, .. })
        ));
    }
}
