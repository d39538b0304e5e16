//! Which question a stage asks next: its tasks by weight, their levels as they rise, and questions that come again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thinkling_datasets::curriculum::{CurriculumError, CurriculumState, LevelCurriculum, Rise};
use thinkling_datasets::mixture::{Mixture, MixtureError};
use thinkling_datasets::pool::{Address, Pool, PoolError, PoolSettings, PoolState};
use thinkling_datasets::seed::Stream;

use super::task::{Course, Task};

/// What a syllabus has seen: all that a checkpoint must keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyllabusState {
    /// One a task of the stage, where it has a curriculum; empty before the first step.
    pub curricula: Vec<Option<CurriculumState>>,
    /// The pool, where there is one.
    pub pool: Option<PoolState>,
}

/// What is asked next cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyllabusError {
    /// The weights make no mixture.
    #[error(transparent)]
    Mixture(#[from] MixtureError),
    /// A level is not the curriculum's.
    #[error(transparent)]
    Curriculum(#[from] CurriculumError),
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

/// Which question a stage asks next. Everything but its state follows from the plan and the seed.
pub struct Syllabus<'a> {
    courses: &'a [Course],
    mixture: Mixture,
    curricula: Vec<Option<LevelCurriculum>>,
    pool: Option<Pool>,
    seed: u64,
}

impl<'a> Syllabus<'a> {
    /// The syllabus of a stage with these `courses`, as it was when `state` was saved; the default state is its beginning.
    ///
    /// # Errors
    /// Never for a stage of a plan and a state that it saved.
    pub fn resume(
        courses: &'a [Course],
        pool: Option<PoolSettings>,
        seed: u64,
        state: &SyllabusState,
    ) -> Result<Self, SyllabusError> {
        // A task alone is asked whatever its weight.
        let weights = match courses {
            [_] => vec![1.0],
            _ => courses.iter().map(|course| course.weight).collect(),
        };
        let curricula = courses.iter().enumerate().map(|(number, course)| {
            let saved = state.curricula.get(number).cloned().flatten();
            course.curriculum.map(|settings| match saved {
                Some(saved) => LevelCurriculum::resume(settings, saved),
                None => LevelCurriculum::new(settings),
            })
        });
        let saved = state.pool.clone().unwrap_or_default();
        Ok(Self {
            courses,
            mixture: Mixture::new(weights, seed)?,
            curricula: curricula.map(Option::transpose).collect::<Result<_, _>>()?,
            pool: pool.map(|settings| Pool::resume(settings, saved)).transpose()?,
            seed,
        })
    }

    /// What to save.
    pub fn state(&self) -> SyllabusState {
        SyllabusState {
            curricula: self.curricula.iter().map(|one| one.as_ref().map(|one| one.state().clone())).collect(),
            pool: self.pool.as_ref().map(|pool| pool.state().clone()),
        }
    }

    /// Where the question of this number comes from, as things stand.
    pub fn address(&self, index: u64) -> Address {
        let entry = self.mixture.entry(index);
        let level = match (&self.curricula[entry], &self.courses[entry].tasks[..]) {
            (Some(curriculum), _) => curriculum.draw(self.seed, index),
            (None, [task]) => task.level,
            (None, tasks) => Stream::at("levels", self.seed, &[index]).pick(tasks).level,
        };
        Address { entry, level, index }
    }

    /// The next `count` questions: those of the pool, or fresh ones. `asked` counts the fresh ones.
    pub fn ask(&mut self, count: usize, asked: &mut u64) -> Vec<Address> {
        let Some(mut pool) = self.pool.take() else {
            let first = *asked;
            *asked += count as u64;
            return (first..*asked).map(|index| self.address(index)).collect();
        };
        let addresses = pool.ask(count, || {
            *asked += 1;
            self.address(*asked - 1)
        });
        self.pool = Some(pool);
        addresses
    }

    /// Takes note of the share of right answers to each question of a batch, in the order that they were asked in.
    pub fn observe_pass_rates(&mut self, pass_rates: &[Option<f64>]) {
        if let Some(pool) = &mut self.pool {
            pool.observe(pass_rates);
        }
    }

    /// The task that an address is of.
    pub fn task(&self, at: &Address) -> &'a Arc<Task> {
        let tasks = &self.courses[at.entry].tasks;
        // Levels are the course's own, be they drawn or saved.
        tasks.iter().find(|task| task.level == at.level).unwrap_or(&tasks[0])
    }

    /// What the stage is measured on now: every task, at all its levels or at the one that is taught.
    pub fn measured(&self) -> Vec<Arc<Task>> {
        let tasks = self.courses.iter().zip(&self.curricula).flat_map(|(course, curriculum)| {
            let taught = curriculum.as_ref().map(LevelCurriculum::level);
            course.tasks.iter().filter(move |task| taught.is_none_or(|level| level == task.level))
        });
        tasks.cloned().collect()
    }

    /// Takes note of held-out measurements after training step `step`; the levels that they make rise.
    pub fn observe(&mut self, step: u64, rows: &[Map<String, Value>]) -> Vec<Risen> {
        let mut risen = Vec::new();
        for (course, curriculum) in self.courses.iter().zip(&mut self.curricula) {
            let Some(curriculum) = curriculum else { continue };
            let task = course.tasks[0].name.as_str();
            let level = curriculum.level();
            let is_its = |row: &&Map<String, Value>| {
                row.get("task") == Some(&json!(task)) && row.get("level") == Some(&json!(level))
            };
            let accuracy =
                rows.iter().find(is_its).and_then(|row| row.get("accuracy")).and_then(Value::as_f64);
            if let Some(rise) = accuracy.and_then(|accuracy| curriculum.observe(step, level, accuracy)) {
                risen.push(Risen { task: task.to_owned(), rise });
            }
        }
        risen
    }

    /// Whether every curriculum teaches its last level.
    pub fn is_at_the_top(&self) -> bool {
        let tops = self.courses.iter().zip(&self.curricula);
        tops.filter_map(|(course, curriculum)| Some((course.tasks.last()?.level, curriculum.as_ref()?)))
            .all(|(last, curriculum)| curriculum.level() == last)
    }

    /// What a row of `metrics.jsonl` says of it: the levels that are taught, and how the pool stands.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let taught = self.courses.iter().zip(&self.curricula).filter_map(|(course, curriculum)| {
            Some((course.tasks[0].name.clone(), json!(curriculum.as_ref()?.level())))
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
