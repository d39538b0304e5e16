//! A run while it runs: the policy, what it learnt with, the books, and the folder they are saved to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use crate::data::curriculum::{SyllabusError, SyllabusState};
use crate::data::task::Task;
use crate::data::tokenizer::Tokenizer;
use crate::kernels::peak::measured_peak;
use crate::learn::evaluate::{EvaluateError, Evaluation, Questions, Thinking, ask};
use crate::learn::reward::Rule;
use crate::machine::clock::{Elapsed, Moment};
use crate::machine::meter::Meter;
use crate::plan::Plan;
use crate::policy::gradient::{Workspace, balance_biases};
use crate::policy::optimizer::{self, AdamW};
use crate::policy::sampling::Sampling;
use crate::policy::{Parameters, Transformer};
use crate::report;
use crate::tracking::alarms::Watch;
use crate::tracking::checkpoint::{self, Checkpoint, CheckpointError};
use crate::tracking::events::EventLog;
use crate::tracking::ledger::{Ledger, Spent, Work};
use crate::tracking::progress::Progress;
use crate::tracking::run_folder::{self, Journal, Run, RunError};

use super::StagePlan;
use super::learner::{Learner, State, learner_tensors, load, model_tensors};

/// Newest checkpoints of a stage that are kept.
const CHECKPOINTS_KEPT: usize = 2;
/// Seconds between two writings of `ledger.json`, which is for people; the books for a resume are written every step.
const PUBLISH_EVERY_S: f64 = 0.5;

/// How a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Every stage is done.
    Done,
    /// A budget is spent.
    Budget,
    /// A signal came; a resumable checkpoint was written.
    Interrupted,
    /// Too many updates in a row were not finite.
    Diverged,
    /// The base model is not ready, and the recipe says to stop then.
    NotReady,
}

impl Status {
    /// The word in `summary.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Budget => "budget",
            Self::Interrupted => "interrupted",
            Self::Diverged => "diverged",
            Self::NotReady => "not_ready",
        }
    }
}

/// A run cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The policy cannot be measured.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The corpus cannot be written.
    #[error(transparent)]
    Corpus(#[from] thinkling_datasets::corpus::CorpusError),
    /// What is asked next cannot be told.
    #[error(transparent)]
    Syllabus(#[from] SyllabusError),
    /// A question cannot be posed.
    #[error(transparent)]
    Dataset(#[from] thinkling_datasets::DatasetError),
    /// A text of the task is not in its alphabet.
    #[error("task `{task}` writes what is not in its alphabet: {source}")]
    Alphabet {
        /// The task.
        task: String,
        /// Where.
        source: crate::data::tokenizer::TokenizerError,
    },
    /// A verifier of the reward cannot be built on this machine.
    #[error(transparent)]
    Reward(#[from] thinkling_verifiers::SettingsError),
    /// Candle failed.
    #[error("stage {stage}, step {step}: {source}")]
    Tensor {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// Candle's error.
        source: candle_core::Error,
    },
    /// Most of a batch could not be judged.
    #[error(
        "stage {stage}, step {step}: {:.1} % of the completions could not be judged, max_error_share allows {:.1} %. The \
         first says: {reason}. Mend the verifier and go on with --resume, or raise max_error_share: what is not judged is \
         left out of the update",
        100.0 * share,
        100.0 * limit
    )]
    Verifier {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// The share of completions.
        share: f64,
        /// The share that the recipe allows.
        limit: f64,
        /// What the verifier says of the first.
        reason: String,
    },
    /// Decoder and training forward disagree: a fault of the program.
    #[error("stage {stage}, step {step}: decoder and update differ by {gap} in a log-probability")]
    RolloutGap {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// The greatest distance.
        gap: f64,
    },
    /// The first promise of the trainer was broken: a fault of the program.
    #[error(
        "stage {stage}, step {step}: the importance ratio on fresh rollouts lies in [{low}, {high}], not at 1"
    )]
    RatioNotOne {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// The least ratio.
        low: f64,
        /// The greatest ratio.
        high: f64,
    },
}

/// A run while it runs.
pub struct Session {
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// What learns.
    pub policy: Transformer,
    /// Its alphabet.
    pub tokenizer: Tokenizer,
    /// Buffers of the updates.
    pub workspace: Workspace,
    /// The books.
    pub ledger: Ledger,
    /// What a person sees.
    pub progress: Progress,
    /// How stages reward, by their names, where that was built before the run; others build it when they start.
    pub rules: BTreeMap<String, Rule>,
    run: Run,
    metrics: Journal,
    rollouts: Journal,
    watch: Watch,
    events: EventLog,
    interrupt: Arc<AtomicBool>,
    /// The stage that is next or running.
    stage: usize,
    /// Steps of all stages so far.
    written: u64,
    resumed: Option<Learner>,
    wall_before_s: f64,
    started: Moment,
    /// Finds what no span of time was booked for.
    meter: Meter,
    /// When the books were last written for people.
    published: Option<Moment>,
    peak_flops: f64,
    /// The newest row of each kind, for the summary.
    last: Map<String, Value>,
}

impl Session {
    /// Starts a run in `run`, or goes on after `newest`. `interrupt` is set when a signal comes.
    ///
    /// # Errors
    /// When the checkpoint does not fit the plan, or the folder cannot be written.
    pub fn open(
        plan: Plan,
        run: Run,
        newest: Option<&Checkpoint>,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, TrainError> {
        let started = Moment::now();
        let tokenizer = plan.tokenizer.clone();
        let config = plan.model.clone();
        let mut parameters = Parameters::new(&config, plan.seed);
        let state = match newest {
            Some(newest) => Some(load(newest, &mut parameters)?),
            None => None,
        };
        let (state, learner) = state.map_or((None, None), |(state, learner)| (Some(state), Some(learner)));
        let offsets = state.as_ref().map_or((0, 0), |state| (state.metrics_bytes, state.rollouts_bytes));
        let killed = std::fs::read(run.path.join(run_folder::BOOKS)).ok();
        let policy = Transformer::with_precision(config, parameters, plan.precision);
        let metrics = run.journal(run_folder::METRICS, offsets.0)?;
        // After the metrics, which it is made from, have been cut.
        let events =
            EventLog::open(&run.path, run.started()).map_err(|source| events_failed(&run, source))?;
        let mut session = Self {
            metrics,
            rollouts: run.journal(run_folder::ROLLOUTS, offsets.1)?,
            events,
            peak_flops: measured_peak(policy.precision()) * rayon::current_num_threads() as f64,
            policy,
            tokenizer,
            workspace: Workspace::default(),
            ledger: Ledger::default(),
            progress: Progress::new(plan.log.every_s),
            rules: BTreeMap::new(),
            meter: Meter::new(started, Elapsed::default(), plan.prices.watts),
            published: None,
            plan: Arc::new(plan),
            watch: Watch::replay(&run.read(run_folder::METRICS)?),
            run,
            interrupt,
            stage: 0,
            written: 0,
            resumed: learner,
            wall_before_s: 0.0,
            started,
            last: Map::new(),
        };
        if let Some(state) = state {
            session.stage = state.stage;
            session.written = state.written;
            session.wall_before_s = state.wall_s;
            session.ledger = state.ledger;
            session.last = state.last;
        }
        if let Some(books) = killed.and_then(|text| serde_json::from_slice::<Ledger>(&text).ok()) {
            session.ledger.charge_lost(&books);
        }
        session.count_from(started);
        Ok(session)
    }

    /// Counts what this process spends from `started` on, a moment before this session was opened; the books have
    /// nothing of it yet.
    pub fn count_from(&mut self, started: Moment) {
        self.started = started;
        self.meter = Meter::new(started, self.ledger.time(), self.plan.prices.watts);
    }

    /// Books as `work` of `stage` all time of this process that is in no account yet, so that the books hold all of it.
    ///
    /// Not to be called within a span of time that is booked by itself.
    pub fn settle(&mut self, stage: &str, work: Work) {
        self.settle_with(stage, work, 0, 0);
    }

    fn settle_with(&mut self, stage: &str, work: Work, flops: u64, tokens: u64) {
        let unbooked = self.meter.unbooked(self.ledger.time());
        self.ledger.charge(stage, work, Spent::new(unbooked, flops, tokens));
    }

    /// Books the processor time of the programs that verifiers run, since the last look, and gives it in seconds.
    pub fn charge_children(&mut self, stage: &str, is_due: bool) -> f64 {
        let cpu_s = self.meter.children(is_due);
        if cpu_s > 0.0 {
            self.ledger.charge(stage, Work::Verifier, Spent::new(Elapsed { wall_s: 0.0, cpu_s }, 0, 0));
        }
        cpu_s
    }

    /// Books what only a look outside tells: the programs that verifiers run, and the energy.
    fn look_outside(&mut self, stage: &str, is_due: bool) {
        self.charge_children(stage, is_due);
        let energy = self.meter.energy();
        self.ledger.account(stage).energy.add(energy);
    }

    /// The name of the stage that is next or running; the last one when all are done.
    fn stage_name(&self) -> String {
        let stages = &self.plan.stages;
        stages.get(self.stage).or(stages.last()).map(|stage| stage.name.clone()).unwrap_or_default()
    }

    /// Books what it took to come here.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(&mut self) -> Result<(), TrainError> {
        // Programs that ran so far are part of it.
        self.meter.children(true);
        self.settle(&self.stage_name(), Work::Startup);
        self.write_books(true)
    }

    /// Why the run must stop, if a limit of the budget is reached.
    pub fn overspent(&mut self) -> Option<String> {
        self.settle(&self.stage_name(), Work::Records);
        self.ledger.exhausted(&self.plan.budget, &self.plan.prices)
    }

    /// The stage that is next, from 0.
    pub fn next_stage(&self) -> usize {
        self.stage
    }

    /// Whether a signal has asked the run to stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The folder of the run.
    pub fn path(&self) -> &std::path::Path {
        &self.run.path
    }

    /// What the stage learns with: as the checkpoint has it, or fresh.
    pub fn learner(&mut self) -> Learner {
        self.resumed.take().unwrap_or_else(|| Learner {
            optimizer: AdamW::new(self.policy.parameters.layout.len),
            step: 0,
            bad_steps: 0,
            asked: 0,
            recent: VecDeque::new(),
            best: None,
            reference: None,
            syllabus: SyllabusState::default(),
        })
    }

    /// Applies the workspace's gradient, unless it or the loss is not finite. Gives the gradient's norm, and whether it
    /// was applied.
    pub fn apply(
        &mut self,
        learner: &mut Learner,
        loss: f64,
        learning_rate: f64,
        settings: &optimizer::Settings,
        loads: &[Vec<u64>],
        bias_update_speed: f64,
    ) -> (f64, bool) {
        let gradient = self.workspace.gradient();
        let norm = optimizer::norm(gradient);
        if !(loss.is_finite() && norm.is_finite()) {
            learner.bad_steps += 1;
            self.progress
                .note(&format!("step {}: loss {loss}, gradient norm {norm}: not applied", learner.step + 1));
            return (norm, false);
        }
        learner.bad_steps = 0;
        let parameters = &mut self.policy.parameters;
        let layout = &parameters.layout;
        learner.optimizer.update(layout, &mut parameters.values, gradient, norm, learning_rate, settings);
        balance_biases(&mut parameters.expert_biases, loads, bias_update_speed as f32);
        self.policy.repack();
        (norm, true)
    }

    /// The fields that every row of `metrics.jsonl` has.
    pub fn row(&self, stage: &str, kind: &str, step: u64) -> Map<String, Value> {
        let total = self.ledger.total();
        let mut row = Map::new();
        row.insert("stage".to_owned(), json!(stage));
        row.insert("kind".to_owned(), json!(kind));
        row.insert("step".to_owned(), json!(step));
        row.insert("wall_s".to_owned(), json!(self.wall_s()));
        row.insert("tokens_trained".to_owned(), json!(total.tokens_trained));
        row.insert("tokens_generated".to_owned(), json!(total.tokens_generated));
        row.insert("flops".to_owned(), json!(self.ledger.flops()));
        row.insert("cost_usd".to_owned(), json!(self.ledger.cost_usd(&self.plan.prices)));
        row
    }

    /// The speed of a step, for its row: tokens a second and the share of the machine's matrix peak.
    pub fn speed(&self, row: &mut Map<String, Value>, wall_s: f64, tokens: u64, flops: f64) {
        if wall_s > 0.0 {
            row.insert("tokens_per_s".to_owned(), json!(tokens as f64 / wall_s));
            row.insert("mfu".to_owned(), json!(flops / wall_s / self.peak_flops));
        }
    }

    fn wall_s(&self) -> f64 {
        self.wall_before_s + self.started.elapsed().wall_s
    }

    /// Adds a row to `metrics.jsonl`, with the alarms that are on, and says which it raises.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn log(&mut self, mut row: Map<String, Value>) -> Result<(), TrainError> {
        let raised = self.watch.see(&mut row);
        let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default();
        let stage = row.get("stage").and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = if kind == "eval" { format!("{stage}.eval") } else { stage.clone() };
        for alarm in raised {
            let step = row.get("step").and_then(Value::as_u64).unwrap_or_default();
            self.progress
                .note(&format!("alarm: {stage} {step}: {}: {}. {}", alarm.name, alarm.rule, alarm.fix));
        }
        self.events.append(&row).map_err(|source| events_failed(&self.run, source))?;
        let row = Value::Object(row);
        self.metrics.append(&row)?;
        self.last.insert(key, row);
        self.settle(&stage, Work::Records);
        Ok(())
    }

    /// Adds a completion to `rollouts.jsonl`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn log_rollout(&mut self, row: &Value) -> Result<(), TrainError> {
        Ok(self.rollouts.append(row)?)
    }

    /// Closes a step: the books are written, a checkpoint where one is due, and the reason to stop, if there is one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn finish_step(
        &mut self,
        stage: &StagePlan,
        learner: &Learner,
        save_every: u64,
        max_bad_steps: u64,
    ) -> Result<Option<Status>, TrainError> {
        self.written += 1;
        self.write_books(false)?;
        if learner.bad_steps > max_bad_steps {
            self.progress.note(&format!("{} updates in a row were not finite: stopped", learner.bad_steps));
            return Ok(Some(Status::Diverged));
        }
        // No later step mends these, and no checkpoint may hold them.
        if self.policy.parameters.values.iter().any(|weight| !weight.is_finite()) {
            self.progress.note(&format!("step {}: weights are not finite: stopped", learner.step));
            return Ok(Some(Status::Diverged));
        }
        let status = if self.is_interrupted() {
            Some(Status::Interrupted)
        } else if let Some(why) = self.ledger.exhausted(&self.plan.budget, &self.plan.prices) {
            self.progress.note(&format!("budget: {why}"));
            Some(Status::Budget)
        } else {
            None
        };
        if status.is_some() || (learner.step.is_multiple_of(save_every) && learner.bad_steps == 0) {
            self.save(&stage.name, learner.step, Some(learner))?;
        }
        Ok(status)
    }

    /// Closes a stage: the next one starts afresh from these weights.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn finish_stage(&mut self, stage: &StagePlan, steps: u64) -> Result<(), TrainError> {
        self.settle(&stage.name, Work::Records);
        self.stage += 1;
        self.written += 1;
        self.save(&stage.name, steps, None)?;
        self.write_books(true)
    }

    /// Writes the books: those for a resume always, those for people where they `are_due` or a while ago.
    fn write_books(&mut self, are_due: bool) -> Result<(), TrainError> {
        let stage = self.stage_name();
        self.look_outside(&stage, are_due);
        self.settle(&stage, Work::Records);
        // What a resume compares with its checkpoint, to book what was lost as redone.
        self.run.write(run_folder::BOOKS, &serde_json::to_vec(&self.ledger).unwrap_or_default())?;
        if are_due || self.published.is_none_or(|last| last.elapsed().wall_s >= PUBLISH_EVERY_S) {
            let books = self.ledger.to_json(&self.plan.prices);
            self.run.write(run_folder::LEDGER, &checkpoint::encode_json(&books))?;
            self.published = Some(Moment::now());
        }
        Ok(())
    }

    fn save(&mut self, stage: &str, step: u64, learner: Option<&Learner>) -> Result<(), TrainError> {
        self.settle(stage, Work::Records);
        let started = Moment::now();
        // The checkpoint says how long the journals are: they must be on the disk before it.
        self.metrics.sync()?;
        self.rollouts.sync()?;
        let state = State {
            written: self.written,
            stage: self.stage,
            step: learner.map_or(0, |learner| learner.step),
            optimizer_updates: learner.map_or(0, |learner| learner.optimizer.updates),
            bad_steps: learner.map_or(0, |learner| learner.bad_steps),
            asked: learner.map_or(0, |learner| learner.asked),
            recent: learner.map(|learner| learner.recent.clone()).unwrap_or_default(),
            best: learner
                .and_then(|learner| Some((learner.best.as_ref()?.reward, learner.best.as_ref()?.step))),
            syllabus: learner.map(|learner| learner.syllabus.clone()).unwrap_or_default(),
            metrics_bytes: self.metrics.bytes(),
            rollouts_bytes: self.rollouts.bytes(),
            wall_s: self.wall_s(),
            ledger: self.ledger.clone(),
            last: self.last.clone(),
        };
        let files = [
            ("config.json", checkpoint::encode_json(&self.policy.config)),
            ("tokenizer.json", checkpoint::encode_json(&self.tokenizer.to_json())),
            ("model.safetensors", checkpoint::encode_tensors(&model_tensors(&self.policy))),
            ("optimizer.safetensors", checkpoint::encode_tensors(&learner_tensors(learner))),
            ("state.json", checkpoint::encode_json(&state)),
        ];
        self.run.save(stage, step, &files, CHECKPOINTS_KEPT)?;
        self.ledger.charge(stage, Work::Checkpoint, Spent::new(started.elapsed(), 0, 0));
        Ok(())
    }

    /// Measures the policy on held-out questions of `tasks`, sampled and greedy, and logs a row for each.
    ///
    /// # Errors
    /// When the policy cannot be asked, or the row cannot be written.
    pub fn evaluate(
        &mut self,
        stage: &StagePlan,
        tasks: &[Arc<Task>],
        step: u64,
        evaluation: &Evaluation,
        samples: usize,
        temperature: f32,
    ) -> Result<Vec<Map<String, Value>>, TrainError> {
        let mut rows = Vec::new();
        self.settle(&stage.name, Work::Records);
        for task in tasks {
            let questions = Questions {
                count: evaluation.count,
                samples,
                seed: evaluation.seed,
                sampling: Sampling { temperature, ..Sampling::PLAIN },
                max_new_tokens: stage.max_new_tokens,
                thinking: Thinking::Free,
            };
            let sampled = ask(&self.policy, &self.tokenizer, task, &questions)?;
            let greedy = Questions { samples: 1, sampling: Sampling::GREEDY, ..questions };
            let greedy = ask(&self.policy, &self.tokenizer, task, &greedy)?;
            let (mut flops, mut tokens) = (0, 0);
            for rollout in [&sampled.rollout, &greedy.rollout] {
                flops += rollout.prefill_flops + rollout.decode_flops;
                tokens += rollout.prefill_tokens + rollout.decode_tokens;
            }
            let solved = greedy.solved();
            let sampled = sampled.measures(task, &self.tokenizer);
            let greedy = greedy.measures(task, &self.tokenizer);
            self.settle_with(&stage.name, Work::Eval, flops, tokens);
            let questions = format!("{}/{}/{}", task.name, task.level, evaluation.seed);
            self.ledger.account(&stage.name).held_out.entry(questions).or_default().note(&solved);
            let mut row = self.row(&stage.name, "eval", step);
            row.extend(sampled.flat());
            row.insert("greedy_accuracy".to_owned(), json!(greedy.accuracy.value));
            row.insert("greedy_accuracy_ci95".to_owned(), json!([greedy.accuracy.low, greedy.accuracy.high]));
            row.insert("greedy_length_mean".to_owned(), json!(greedy.length.value));
            self.progress.note(&format!(
                "{} {step}: {} level {}: accuracy {} sampled, {} greedy; mean length {:.1}",
                stage.name,
                task.name,
                task.level,
                percent(&row, "accuracy"),
                percent(&row, "greedy_accuracy"),
                row.get("length_mean").and_then(Value::as_f64).unwrap_or_default(),
            ));
            self.log(row.clone())?;
            rows.push(row);
        }
        self.write_books(true)?;
        Ok(rows)
    }

    /// Writes `summary.json` and `report.html`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn summarise(&mut self, status: Status) -> Result<(), TrainError> {
        self.write_books(true)?;
        let books = self.ledger.to_json(&self.plan.prices);
        let mut summary =
            run_folder::summary(status.name(), &Value::Object(self.last.clone()), &books["total"]);
        summary["verifying_share"] = json!(self.ledger.verifying_shares());
        summary["alarms"] = self.watch.summary();
        self.run.write(run_folder::SUMMARY, &checkpoint::encode_json(&summary))?;
        // A picture that cannot be made costs no run: it can be made again from the folder.
        match report::write(self.path()) {
            Ok(path) => self.progress.note(&format!("report: {}", path.display())),
            Err(report::ReportError::Empty { .. }) => {}
            Err(error) => self.progress.note(&format!("warning: no report: {error}")),
        }
        Ok(())
    }
}

fn events_failed(run: &Run, source: std::io::Error) -> RunError {
    RunError::Io { path: run.path.join("events.out.tfevents"), source }
}

/// A share with its interval, as `97.3 % [95.1, 98.6]`.
fn percent(row: &Map<String, Value>, key: &str) -> String {
    let number = |value: Option<&Value>| 100.0 * value.and_then(Value::as_f64).unwrap_or_default();
    let interval = row.get(&format!("{key}_ci95"));
    let end = |at: usize| number(interval.and_then(|interval| interval.get(at)));
    format!("{:.1} % [{:.1}, {:.1}]", number(row.get(key)), end(0), end(1))
}
