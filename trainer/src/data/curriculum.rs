//! The curriculum of a stage: tasks by weight, rising levels, and a pool of repeated questions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thinkling_datasets::curriculum::{LevelCurriculum, LevelCurriculumError, LevelCurriculumState, Rise};
use thinkling_datasets::mixture::{Mixture, MixtureError};
use thinkling_datasets::pool::{Address, Pool, PoolError, PoolSettings, PoolState};
use thinkling_datasets::seed::Stream;

use super::task::{Course, Task};

/// The state of a curriculum in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurriculumState {
    /// One entry per task, if its level rises; empty before the first step.
    pub curricula: Vec<Option<LevelCurriculumState>>,
    /// The pool, if there is one.
    pub pool: Option<PoolState>,
    /// Number of new questions so far.
    #[serde(skip)]
    pub asked: u64,
}

/// A curriculum cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurriculumError {
    /// The weights are wrong.
    #[error(transparent)]
    Mixture(#[from] MixtureError),
    /// The task does not have a level.
    #[error(transparent)]
    Level(#[from] LevelCurriculumError),
    /// The pool's settings are wrong.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// A level that has risen.
#[derive(Clone, Debug, PartialEq)]
pub struct Risen {
    /// The task.
    pub task: String,
    /// The old and the new level.
    pub rise: Rise,
}

/// The accuracy of a policy on held-out questions of a task at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutAccuracy {
    /// The task.
    pub task: String,
    /// Its level.
    pub level: u32,
    /// The share of right answers.
    pub accuracy: f64,
}

/// The choice of the next questions. Apart from its state, it follows from the plan and the seed.
pub struct Curriculum {
    courses: Vec<Course>,
    mixture: Mixture,
    levels: Vec<Option<LevelCurriculum>>,
    pool: Option<Pool>,
    seed: u64,
    asked: u64,
}

impl Curriculum {
    /// The curriculum of these courses in a saved state; the default state is the start.
    pub fn resume(
        courses: &[Course],
        pool: Option<PoolSettings>,
        seed: u64,
        state: &CurriculumState,
    ) -> Result<Self, CurriculumError> {
        // The weight of a single task does not matter.
        let weights = match courses {
            [_] => vec![1.0],
            _ => courses.iter().map(|course| course.weight).collect(),
        };
        let levels = courses.iter().enumerate().map(|(number, course)| {
            let saved = state.curricula.get(number).cloned().flatten();
            course.curriculum.map(|settings| match saved {
                Some(saved) => LevelCurriculum::resume(settings, saved),
                None => LevelCurriculum::new(settings),
            })
        });
        let saved = state.pool.clone().unwrap_or_default();
        Ok(Self {
            courses: courses.to_vec(),
            mixture: Mixture::new(weights, seed)?,
            levels: levels.map(Option::transpose).collect::<Result<_, _>>()?,
            pool: pool.map(|settings| Pool::resume(settings, saved)).transpose()?,
            seed,
            asked: state.asked,
        })
    }

    /// The state to save.
    pub fn state(&self) -> CurriculumState {
        CurriculumState {
            curricula: self.levels.iter().map(|one| one.as_ref().map(|one| one.state().clone())).collect(),
            pool: self.pool.as_ref().map(|pool| pool.state().clone()),
            asked: self.asked,
        }
    }

    /// The address of the question with this number in the current state.
    pub fn address(&self, index: u64) -> Address {
        let entry = self.mixture.entry(index);
        let level = match (&self.levels[entry], &self.courses[entry].tasks[..]) {
            (Some(rising), _) => rising.draw(self.seed, index),
            (None, [task]) => task.level,
            (None, tasks) => Stream::at("levels", self.seed, &[index]).pick(tasks).level,
        };
        Address { entry, level, index }
    }

    /// The next `count` questions: from the pool, or new ones.
    pub fn ask(&mut self, count: usize) -> Vec<Address> {
        let Some(mut pool) = self.pool.take() else {
            let first = self.asked;
            self.asked += count as u64;
            return (first..self.asked).map(|index| self.address(index)).collect();
        };
        let mut asked = self.asked;
        let addresses = pool.ask(count, || {
            asked += 1;
            self.address(asked - 1)
        });
        self.asked = asked;
        self.pool = Some(pool);
        addresses
    }

    /// Records the share of correct answers to each question of a batch, in the order of the questions.
    pub fn observe_pass_rates(&mut self, pass_rates: &[Option<f64>]) {
        if let Some(pool) = &mut self.pool {
            pool.observe(pass_rates);
        }
    }

    /// The task of an address.
    pub fn task(&self, at: &Address) -> &Arc<Task> {
        let tasks = &self.courses[at.entry].tasks;
        tasks.iter().find(|task| task.level == at.level).unwrap_or(&tasks[0])
    }

    /// The tasks to evaluate now: at the level that is taught, or at all levels.
    pub fn measured(&self) -> Vec<Arc<Task>> {
        let tasks = self.courses.iter().zip(&self.levels).flat_map(|(course, rising)| {
            let taught = rising.as_ref().map(LevelCurriculum::level);
            course.tasks.iter().filter(move |task| taught.is_none_or(|level| level == task.level))
        });
        tasks.cloned().collect()
    }

    /// Records held-out accuracies after training step `step`, and returns the levels that rise.
    pub fn observe(&mut self, step: u64, held_out: &[HeldOutAccuracy]) -> Vec<Risen> {
        let mut risen = Vec::new();
        for (course, rising) in self.courses.iter().zip(&mut self.levels) {
            let Some(rising) = rising else { continue };
            let (task, level) = (&course.tasks[0].name, rising.level());
            let measured = held_out.iter().find(|one| one.task == *task && one.level == level);
            if let Some(rise) = measured.and_then(|one| rising.observe(step, level, one.accuracy)) {
                risen.push(Risen { task: task.clone(), rise });
            }
        }
        risen
    }

    /// Whether every rising level is at its maximum.
    pub fn is_at_the_top(&self) -> bool {
        let tops = self.courses.iter().zip(&self.levels);
        tops.filter_map(|(course, rising)| Some((course.tasks.last()?.level, rising.as_ref()?)))
            .all(|(last, rising)| rising.level() == last)
    }

    /// The fields in `metrics.jsonl`: the current levels, and the state of the pool.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let taught = self.courses.iter().zip(&self.levels).filter_map(|(course, rising)| {
            Some((course.tasks[0].name.clone(), json!(rising.as_ref()?.level())))
        });
        let taught: Map<String, Value> = taught.collect();
        if !taught.is_empty() {
            fields.insert("levels".to_owned(), Value::Object(taught));
        }
        if let Some(pool) = &self.pool {
            let PoolState { solved, given_up, .. } = pool.state();
            fields.insert("pool_solved".to_owned(), json!(solved));
            fields.insert("pool_given_up".to_owned(), json!(given_up));
        }
        fields
    }
}
