//! Which question a stage asks next: its tasks by weight, their levels as they rise, and questions that come again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thinkling_datasets::curriculum::{LevelCurriculum, LevelCurriculumError, LevelCurriculumState, Rise};
use thinkling_datasets::mixture::{Mixture, MixtureError};
use thinkling_datasets::pool::{Address, Pool, PoolError, PoolSettings, PoolState};
use thinkling_datasets::seed::Stream;

use super::task::{Course, Task};

/// What a curriculum has seen: all that a checkpoint must keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurriculumState {
    /// One entry per task of the stage, where its level rises; empty before the first step.
    pub curricula: Vec<Option<LevelCurriculumState>>,
    /// The pool, where there is one.
    pub pool: Option<PoolState>,
    /// Fresh questions asked so far.
    #[serde(skip)]
    pub asked: u64,
}

/// A curriculum cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurriculumError {
    /// The weights make no mixture.
    #[error(transparent)]
    Mixture(#[from] MixtureError),
    /// A level is not the task's.
    #[error(transparent)]
    Level(#[from] LevelCurriculumError),
    /// The pool's settings make no sense.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// A level that has risen.
#[derive(Clone, Debug, PartialEq)]
pub struct Risen {
    /// The task.
    pub task: String,
    /// From where to where.
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

/// Which question a stage asks next. Everything but its state follows from the plan and the seed.
pub struct Curriculum {
    courses: Vec<Course>,
    mixture: Mixture,
    levels: Vec<Option<LevelCurriculum>>,
    pool: Option<Pool>,
    seed: u64,
    asked: u64,
}

impl Curriculum {
    /// The curriculum of these courses, as it was when `state` was saved; the default state is its beginning.
    ///
    /// # Errors
    /// Never for the courses of a plan and a state that was saved for them.
    pub fn resume(
        courses: &[Course],
        pool: Option<PoolSettings>,
        seed: u64,
        state: &CurriculumState,
    ) -> Result<Self, CurriculumError> {
        // A task alone is asked whatever its weight.
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

    /// What to save.
    pub fn state(&self) -> CurriculumState {
        CurriculumState {
            curricula: self.levels.iter().map(|one| one.as_ref().map(|one| one.state().clone())).collect(),
            pool: self.pool.as_ref().map(|pool| pool.state().clone()),
            asked: self.asked,
        }
    }

    /// Where the question with this number comes from, as things stand.
    pub fn address(&self, index: u64) -> Address {
        let entry = self.mixture.entry(index);
        let level = match (&self.levels[entry], &self.courses[entry].tasks[..]) {
            (Some(rising), _) => rising.draw(self.seed, index),
            (None, [task]) => task.level,
            (None, tasks) => Stream::at("levels", self.seed, &[index]).pick(tasks).level,
        };
        Address { entry, level, index }
    }

    /// The next `count` questions: those of the pool, or fresh ones.
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

    /// Takes note of the share of right answers to each question of a batch, in the order in which they were asked.
    pub fn observe_pass_rates(&mut self, pass_rates: &[Option<f64>]) {
        if let Some(pool) = &mut self.pool {
            pool.observe(pass_rates);
        }
    }

    /// The task that an address belongs to.
    pub fn task(&self, at: &Address) -> &Arc<Task> {
        let tasks = &self.courses[at.entry].tasks;
        // Levels are the course's own, whether they were drawn or saved.
        tasks.iter().find(|task| task.level == at.level).unwrap_or(&tasks[0])
    }

    /// What the stage is measured on now: every task, at all its levels or at the one that is taught.
    pub fn measured(&self) -> Vec<Arc<Task>> {
        let tasks = self.courses.iter().zip(&self.levels).flat_map(|(course, rising)| {
            let taught = rising.as_ref().map(LevelCurriculum::level);
            course.tasks.iter().filter(move |task| taught.is_none_or(|level| level == task.level))
        });
        tasks.cloned().collect()
    }

    /// Takes note of held-out accuracies after training step `step`; gives the levels that they make rise.
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

    /// Whether every rising level is at its top.
    pub fn is_at_the_top(&self) -> bool {
        let tops = self.courses.iter().zip(&self.levels);
        tops.filter_map(|(course, rising)| Some((course.tasks.last()?.level, rising.as_ref()?)))
            .all(|(last, rising)| rising.level() == last)
    }

    /// What a row of `metrics.jsonl` says of it: the levels that are taught, and how the pool stands.
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
