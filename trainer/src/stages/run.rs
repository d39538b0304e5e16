//! A run: its stages in order, each from the weights of the one before.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::StagePlan;
use super::interrupt::{Boundary, Interrupt};
use super::learner::Learner;
use super::state::State;
use super::stop::{Status, TrainError};
use crate::data::curriculum::{Curriculum, HeldOutAccuracy, Risen};
use crate::data::task::Task;
use crate::data::tokenizer::Tokenizer;
use crate::learn::evaluate::{Evaluation, Measures, Questions, Thinking, ask};
use crate::learn::reward::RewardRule;
use crate::machine::clock::Moment;
use crate::machine::work::Work;
use crate::policy::optimizer::AdamW;
use crate::policy::sampling::Sampling;
use crate::policy::{Alone, Parameters, Policy};
use crate::tracking::checkpoint::Checkpoint;
use crate::tracking::run_folder::RunFolder;
use crate::tracking::tracker::{self, Standing, Tracker};

/// What a run does and what it starts from.
pub struct Job {
    /// The stages, in order.
    pub stages: Vec<StagePlan>,
    /// Seed of everything random.
    pub seed: u64,
    /// The policy with its initial weights.
    pub policy: Box<dyn Policy>,
    /// The alphabet of the policy.
    pub tokenizer: Tokenizer,
    /// Settings of the records.
    pub tracking: tracker::TrackerSettings,
    /// Reward rules that were built before the run, by stage name; a stage without one builds it when it starts.
    pub rules: BTreeMap<String, RewardRule>,
}

/// A running run.
pub struct Run {
    /// Seed of everything random.
    pub seed: u64,
    /// The policy and all other state that the next step depends on.
    pub learner: Learner,
    /// The records.
    pub tracker: Tracker,
    pub(super) rules: BTreeMap<String, RewardRule>,
    stages: Arc<[StagePlan]>,
    /// Index of the next or current stage.
    pub(super) stage: usize,
    /// Whether that stage continues from a checkpoint.
    is_resumed: bool,
    interrupt: Interrupt,
}

impl Run {
    /// Starts a run in `folder`, or continues it after `newest`. `started` is when this process began to count time. A
    /// signal sets `interrupt`.
    pub fn open(
        job: Job,
        folder: RunFolder,
        newest: Option<&Checkpoint>,
        started: Moment,
        interrupt: Interrupt,
    ) -> Result<Self, TrainError> {
        let Job { stages, seed, mut policy, tokenizer, tracking, rules } = job;
        let state = newest.map(State::read).transpose()?;
        if let Some(newest) = newest {
            let (config, parameters) = newest.policy()?;
            if config != *policy.config() {
                return Err(newest
                    .damaged("config.json", "describes another network than the recipe")
                    .into());
            }
            let Parameters { values, expert_biases, .. } = parameters;
            policy
                .change(&mut |mine| {
                    mine.values.clone_from(&values);
                    mine.expert_biases.clone_from(&expert_biases);
                })
                .map_err(|source| TrainError::Tensor { stage: String::new(), step: 0, source })?;
        }
        let number = state.as_ref().map_or(0, |state| state.stage);
        let at = stages.get(number).or(stages.last());
        let saved = state.as_ref().map(State::curriculum).unwrap_or_default();
        let (courses, pool) =
            at.map_or((&[][..], None), |stage| (&stage.courses[..], stage.settings.kind().pool()));
        let mut learner = Learner {
            optimizer: AdamW::new(policy.parameters().layout.len),
            curriculum: Curriculum::resume(courses, pool, seed, &saved)?,
            policy,
            ranks: Arc::new(Alone),
            tokenizer,
            step: 0,
            bad_steps: 0,
            recent: VecDeque::new(),
            best: None,
            reference: None,
        };
        if let (Some(newest), Some(state)) = (newest, &state) {
            learner.resume(state, &newest.tensors("optimizer.safetensors")?);
        }
        let is_resumed = state.is_some();
        let standing = state.map_or_else(Standing::default, State::standing);
        let tracker = Tracker::open(folder, tracking, standing, started)?;
        interrupt.begin(Boundary::new(&learner, &tracker, number));
        Ok(Self {
            seed,
            learner,
            tracker,
            rules,
            stages: stages.into(),
            stage: number,
            is_resumed,
            interrupt,
        })
    }

    /// Runs every remaining stage, and writes the summary.
    pub fn to_the_end(&mut self) -> Result<Status, TrainError> {
        let stages = self.stages.clone();
        let mut status = Status::Done;
        let name = stages.get(self.stage).or(stages.last()).map(|stage| stage.name.clone());
        self.tracker.begin(&name.unwrap_or_default())?;
        while let Some(stage) = stages.get(self.stage) {
            if self.interrupt.is_asked() {
                status = Status::Interrupted;
                break;
            }
            self.tracker.enter(&stage.name);
            if !std::mem::take(&mut self.is_resumed) {
                self.learner.begin_stage(stage, self.seed)?;
            }
            status = stage.settings.kind().run(stage, self)?;
            if status != Status::Done {
                break;
            }
            // The measurement at the end of a stage may have used up the budget.
            let is_last = self.stage >= stages.len();
            if let Some(why) = self.tracker.overspent().filter(|_| !is_last) {
                self.tracker.progress.note(&format!("budget: {why}"));
                status = Status::Budget;
                break;
            }
        }
        self.tracker.publish(true)?;
        let Self { tracker, interrupt, .. } = self;
        interrupt.at_boundary(|boundary| boundary.summarise(tracker, status)).transpose()?;
        Ok(status)
    }

    /// Measures the policy on held-out questions of `tasks`, sampled and greedy. Writes a row for each task.
    pub fn evaluate(
        &mut self,
        stage: &StagePlan,
        tasks: &[Arc<Task>],
        evaluation: &Evaluation,
        samples: usize,
        temperature: f32,
    ) -> Result<Vec<Measures>, TrainError> {
        let mut all = Vec::new();
        self.tracker.settle(Work::Records);
        let (policy, tokenizer) = (self.learner.policy.as_ref(), &self.learner.tokenizer);
        for task in tasks {
            let questions = Questions {
                count: evaluation.count,
                samples,
                seed: evaluation.seed,
                sampling: Sampling { temperature, ..Sampling::PLAIN },
                max_new_tokens: stage.max_new_tokens,
                thinking: Thinking::Free,
            };
            let sampled = ask(policy, tokenizer, task, &questions)?;
            let greedy = Questions { samples: 1, sampling: Sampling::GREEDY, ..questions };
            let greedy = ask(policy, tokenizer, task, &greedy)?;
            let mut amount = sampled.rollout.amount();
            amount += greedy.rollout.amount();
            let measures = sampled.measures(task, tokenizer);
            let fields = measures.with_greedy(&greedy.measures(task, tokenizer));
            let questions = format!("{}/{}/{}", task.name, task.level, evaluation.seed);
            let step = self.learner.step;
            self.tracker.record_evaluation(step, fields, amount, questions, &greedy.solved())?;
            all.push(measures);
        }
        self.tracker.publish(true)?;
        Ok(all)
    }

    /// Measures the policy at the curriculum's levels and lets levels rise; returns whether one did.
    pub(super) fn evaluate_and_rise(
        &mut self,
        stage: &StagePlan,
        evaluation: &Evaluation,
    ) -> Result<bool, TrainError> {
        let measured = self.evaluate(stage, &self.learner.curriculum.measured(), evaluation, 1, 1.0)?;
        let accuracy = |one: Measures| {
            let accuracy = one.means?.accuracy.value;
            Some(HeldOutAccuracy { task: one.task, level: one.level, accuracy })
        };
        let step = self.learner.step;
        let measured: Vec<HeldOutAccuracy> = measured.into_iter().filter_map(accuracy).collect();
        let risen = self.learner.curriculum.observe(step, &measured);
        for Risen { task, rise } in &risen {
            self.tracker.progress.note(&format!(
                "{} {step}: {task} rises from level {} to {}: {:.1} % right",
                stage.name,
                rise.from,
                rise.to,
                100.0 * rise.accuracy
            ));
        }
        Ok(!risen.is_empty())
    }

    /// Finishes a step: writes the ledger and a checkpoint if one is due. Returns the reason to stop, if there is one.
    pub(super) fn finish_step(
        &mut self,
        save_every: u64,
        max_bad_steps: u64,
    ) -> Result<Option<Status>, TrainError> {
        self.tracker.count_step();
        self.tracker.publish(false)?;
        let learner = &self.learner;
        if learner.bad_steps > max_bad_steps {
            let note = format!("{} updates in a row were not finite: stopped", learner.bad_steps);
            self.tracker.progress.note(&note);
            return Ok(Some(Status::Diverged));
        }
        // No later step can fix such weights, and no checkpoint may hold them.
        if !learner.is_finite() {
            self.tracker.progress.note(&format!("step {}: weights are not finite: stopped", learner.step));
            return Ok(Some(Status::Diverged));
        }
        let status = if self.interrupt.is_asked() {
            Some(Status::Interrupted)
        } else if let Some(why) = self.tracker.overspent() {
            self.tracker.progress.note(&format!("budget: {why}"));
            Some(Status::Budget)
        } else {
            None
        };
        let is_due = status.is_some() || (learner.step.is_multiple_of(save_every) && learner.bad_steps == 0);
        self.advance(false, is_due)?;
        Ok(status)
    }

    /// Finishes a stage: the next one starts from these weights.
    pub(super) fn finish_stage(&mut self) -> Result<(), TrainError> {
        self.tracker.settle(Work::Records);
        self.tracker.count_step();
        self.advance(true, true)?;
        self.stage += 1;
        Ok(self.tracker.publish(true)?)
    }

    /// Says that a step or, if it `is_over`, a stage has ended here; saves it if that `is_due`.
    fn advance(&mut self, is_over: bool, is_due: bool) -> Result<(), TrainError> {
        let Self { learner, tracker, stage, stages, interrupt, .. } = self;
        let place = (*stage, stages[*stage].name.as_str());
        let advanced =
            interrupt.at_boundary(|boundary| boundary.advance(learner, tracker, place, is_over, is_due));
        Ok(advanced.transpose().map(|_| ())?)
    }
}
