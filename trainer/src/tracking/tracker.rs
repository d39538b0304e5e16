//! What a run writes down while it runs: its ledger, metrics, alarms, events, completions and progress.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::alarms::Watch;
use super::checkpoint;
use super::events::EventLog;
use super::ledger::{Budget, HeldOut, Ledger, Prices, Spent};
use super::live;
use super::progress::{Log, Progress};
use super::run_folder::{self, Journal, RunError, RunFolder};
use crate::machine::clock::{Elapsed, Moment};
use crate::machine::meter::Meter;
use crate::machine::work::{Amount, Costed, Work};

/// Seconds between two writings of `ledger.json`, which is for people; the ledger for a resume is written every step.
const PUBLISH_EVERY_S: f64 = 0.5;

/// What a tracker is told once.
#[derive(Clone, Debug)]
pub struct TrackerSettings {
    /// What the run may spend.
    pub budget: Budget,
    /// What things cost.
    pub prices: Prices,
    /// What is written down.
    pub log: Log,
    /// Operations per second of all threads at their best: the yardstick of `mfu`.
    pub peak_flops: f64,
}

/// Where the records of a run stand: what a checkpoint remembers of them.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Steps of all stages so far.
    pub written: u64,
    /// Bytes of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Bytes of `rollouts.jsonl`.
    pub rollouts_bytes: u64,
    /// Seconds on the wall.
    pub wall_s: f64,
    /// What was spent.
    pub ledger: Ledger,
    /// The newest row of each kind.
    pub last: Map<String, Value>,
}

/// What a step leaves to be written down.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The kind's own fields of its row of `metrics.jsonl`.
    pub fields: Map<String, Value>,
    /// Tokens that the step's speed is told by: drawn or trained.
    pub tokens: u64,
    /// Rows of `rollouts.jsonl`.
    pub completions: Vec<Value>,
    /// What a person is told beside it.
    pub notes: Vec<String>,
}

/// The fields of a row, in the order of the struct; what does not apply is left out.
pub fn fields(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// When a step began, and what the ledger held then.
struct Begun {
    at: Moment,
    flops: f64,
    verifying: Elapsed,
}

/// Keeps the records of a run.
pub struct Tracker {
    /// What a person sees.
    pub progress: Progress,
    settings: TrackerSettings,
    folder: RunFolder,
    metrics: Journal,
    rollouts: Journal,
    watch: Watch,
    events: EventLog,
    interrupt: Arc<AtomicBool>,
    ledger: Ledger,
    /// Finds time that no span has booked.
    meter: Meter,
    /// When `ledger.json` was last written.
    published: Option<Moment>,
    started: Moment,
    wall_before_s: f64,
    written: u64,
    last: Map<String, Value>,
    stage: String,
    begun: Begun,
}

impl Tracker {
    /// Opens the records of a run where `standing` left them; what a killed process had beyond that is booked as redone.
    /// `started`: since when this process counts. `interrupt` is set when a signal comes.
    ///
    /// # Errors
    /// When a file is shorter than it was, or the folder cannot be written.
    pub fn open(
        folder: RunFolder,
        settings: TrackerSettings,
        standing: Standing,
        started: Moment,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, RunError> {
        let Standing { written, metrics_bytes, rollouts_bytes, wall_s, mut ledger, last } = standing;
        let killed = std::fs::read(folder.path.join(run_folder::BOOKS)).ok();
        if let Some(killed) = killed.and_then(|text| serde_json::from_slice::<Ledger>(&text).ok()) {
            ledger.charge_lost(&killed);
        }
        let metrics = folder.journal(run_folder::METRICS, metrics_bytes)?;
        let rollouts = folder.journal(run_folder::ROLLOUTS, rollouts_bytes)?;
        // After the metrics, from which it is made, have been cut.
        let events = EventLog::open(&folder.path, folder.started())
            .map_err(|source| events_failed(&folder.path, source))?;
        Ok(Self {
            progress: Progress::new(settings.log.every_s),
            watch: Watch::replay(&folder.read(run_folder::METRICS)?),
            meter: Meter::new(started, ledger.time(), settings.prices.watts),
            begun: Begun { at: started, flops: 0.0, verifying: Elapsed::default() },
            settings,
            folder,
            metrics,
            rollouts,
            events,
            interrupt,
            ledger,
            published: None,
            started,
            wall_before_s: wall_s,
            written,
            last,
            stage: String::new(),
        })
    }

    /// Books what it took to come here, and from now on everything on `stage`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(&mut self, stage: &str) -> Result<(), RunError> {
        stage.clone_into(&mut self.stage);
        // Programs that ran so far are part of it.
        self.meter.children(true);
        self.settle(Work::Startup);
        self.publish(true)
    }

    /// Books everything from now on on `stage`.
    pub fn enter(&mut self, stage: &str) {
        stage.clone_into(&mut self.stage);
    }

    /// Does some work, and books what it reports of itself with the time that it took.
    ///
    /// Calls do not nest. Time that no call covers is booked by [`Tracker::settle`].
    ///
    /// # Errors
    /// Those of the work.
    pub fn time<T: Costed, E>(&mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = Moment::now();
        let done = work()?;
        self.ledger.add(&self.stage, &done.costs(), started.elapsed());
        Ok(done)
    }

    /// Books as `work` all time of this process that is in no account yet, so that the ledger holds all of it.
    ///
    /// Must not be called within [`Tracker::time`].
    pub fn settle(&mut self, work: Work) {
        self.settle_with(work, Amount::default());
    }

    /// The same with an amount of work that was done in that time.
    pub fn settle_with(&mut self, work: Work, amount: Amount) {
        let unbooked = self.meter.unbooked(self.ledger.time());
        self.ledger.charge(&self.stage, work, Spent::new(unbooked, amount));
    }

    /// Books the processor time of the programs that verifiers run, since the last look.
    pub fn look_at_children(&mut self, is_due: bool) {
        let cpu_s = self.meter.children(is_due);
        if cpu_s > 0.0 {
            let spent = Spent::new(Elapsed { wall_s: 0.0, cpu_s }, Amount::default());
            self.ledger.charge(&self.stage, Work::Verifier, spent);
        }
    }

    /// Why the run must stop, if a limit of the budget is reached.
    pub fn overspent(&mut self) -> Option<String> {
        self.settle(Work::Records);
        self.ledger.exhausted(&self.settings.budget, &self.settings.prices)
    }

    /// Completions of a step that are written down.
    pub fn rollouts_per_step(&self) -> usize {
        self.settings.log.rollouts_per_step
    }

    /// Whether a signal has asked the run to stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The folder of the run.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Begins a step: its speed and what its verifying took count from here.
    pub fn begin_step(&mut self) {
        let verifying = self.ledger.account(&self.stage).elapsed(Work::Verifier);
        self.begun = Begun { at: Moment::now(), flops: self.ledger.flops(), verifying };
    }

    /// Writes down a step: row, alarms, events, progress and completions.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record(&mut self, kind: &str, step: u64, steps: u64, record: StepRecord) -> Result<(), RunError> {
        let mut row = self.row(kind, step);
        let wall_s = self.begun.at.elapsed().wall_s;
        if wall_s > 0.0 {
            let flops = self.ledger.flops() - self.begun.flops;
            row.insert("tokens_per_s".to_owned(), json!(record.tokens as f64 / wall_s));
            row.insert("mfu".to_owned(), json!(flops / wall_s / self.settings.peak_flops));
        }
        let account = self.ledger.account(&self.stage);
        if account.verifier_calls > 0 {
            let now = account.elapsed(Work::Verifier);
            let verifying_s = now.wall_s - self.begun.verifying.wall_s;
            row.insert("verifying_s".to_owned(), json!(verifying_s));
            row.insert("verifying_cpu_s".to_owned(), json!(now.cpu_s - self.begun.verifying.cpu_s));
            row.insert("verifying_share".to_owned(), json!(verifying_s / wall_s));
        }
        row.extend(record.fields);
        record.notes.iter().for_each(|note| self.progress.note(note));
        self.progress.step(&self.stage, step, steps, &live::shown(&row));
        self.log(row)?;
        record.completions.iter().try_for_each(|completion| self.rollouts.append(completion))
    }

    /// Writes down a measurement on held-out questions of a task, which took `amount`. `solved` says which of the
    /// questions called `questions` were answered rightly.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record_evaluation(
        &mut self,
        step: u64,
        fields: Map<String, Value>,
        amount: Amount,
        questions: String,
        solved: &[bool],
    ) -> Result<(), RunError> {
        self.settle_with(Work::Eval, amount);
        let held_out: &mut HeldOut = self.ledger.account(&self.stage).held_out.entry(questions).or_default();
        held_out.note(solved);
        let mut row = self.row("eval", step);
        row.extend(fields);
        self.progress.note(&live::measured(&row));
        self.log(row)
    }

    /// The fields that every row of `metrics.jsonl` has.
    fn row(&self, kind: &str, step: u64) -> Map<String, Value> {
        #[derive(Serialize)]
        struct Always<'a> {
            stage: &'a str,
            kind: &'a str,
            step: u64,
            wall_s: f64,
            tokens_trained: u64,
            tokens_generated: u64,
            flops: f64,
            cost_usd: f64,
        }
        let total = self.ledger.total();
        fields(&Always {
            stage: &self.stage,
            kind,
            step,
            wall_s: self.wall_s(),
            tokens_trained: total.tokens_trained,
            tokens_generated: total.tokens_generated,
            flops: self.ledger.flops(),
            cost_usd: self.ledger.cost_usd(&self.settings.prices),
        })
    }

    fn wall_s(&self) -> f64 {
        self.wall_before_s + self.started.elapsed().wall_s
    }

    /// Adds a row to `metrics.jsonl`, with the alarms that are on, and says which it raises.
    fn log(&mut self, mut row: Map<String, Value>) -> Result<(), RunError> {
        for alarm in self.watch.see(&mut row) {
            let (stage, step) = (&self.stage, &row["step"]);
            self.progress
                .note(&format!("alarm: {stage} {step}: {}: {}. {}", alarm.name, alarm.rule, alarm.fix));
        }
        let key = if row["kind"] == "eval" { format!("{}.eval", self.stage) } else { self.stage.clone() };
        self.events.append(&row).map_err(|source| events_failed(&self.folder.path, source))?;
        let row = Value::Object(row);
        self.metrics.append(&row)?;
        self.last.insert(key, row);
        self.settle(Work::Records);
        Ok(())
    }

    /// Counts one more step or end of a stage: the newest checkpoint is the one that has counted most.
    pub fn count_step(&mut self) {
        self.written += 1;
    }

    /// Writes the ledger: for a resume always, for people where it `is_due` or a while ago.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn publish(&mut self, is_due: bool) -> Result<(), RunError> {
        self.look_at_children(is_due);
        let energy = self.meter.energy();
        self.ledger.account(&self.stage).energy.add(energy);
        self.settle(Work::Records);
        // A resume compares it with its checkpoint, to book what was lost as redone.
        self.folder.write(run_folder::BOOKS, &serde_json::to_vec(&self.ledger).unwrap_or_default())?;
        if is_due || self.published.is_none_or(|last| last.elapsed().wall_s >= PUBLISH_EVERY_S) {
            let ledger = self.ledger.to_json(&self.settings.prices);
            self.folder.write(run_folder::LEDGER, &checkpoint::encode_json(&ledger))?;
            self.published = Some(Moment::now());
        }
        Ok(())
    }

    /// Saves the checkpoint of `step`, whose files follow from where the records stand; keeps `keep` of the stage.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(
        &mut self,
        step: u64,
        keep: usize,
        files: impl FnOnce(Standing) -> Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), RunError> {
        self.settle(Work::Records);
        let started = Moment::now();
        // The checkpoint says how long the journals are: they must be on the disk before it.
        self.metrics.sync()?;
        self.rollouts.sync()?;
        let standing = Standing {
            written: self.written,
            metrics_bytes: self.metrics.bytes(),
            rollouts_bytes: self.rollouts.bytes(),
            wall_s: self.wall_s(),
            ledger: self.ledger.clone(),
            last: self.last.clone(),
        };
        self.folder.save(&self.stage, step, &files(standing), keep)?;
        let spent = Spent::new(started.elapsed(), Amount::default());
        self.ledger.charge(&self.stage, Work::Checkpoint, spent);
        Ok(())
    }

    /// Says what share of the stage's time went into verifying, where anything was judged.
    pub fn note_verifying(&mut self) {
        if let Some((share, spent)) = self.ledger.account(&self.stage).verifying() {
            self.progress.note(&format!(
                "{}: verifying took {:.1} % of the stage's time ({:.1} s on the wall, {:.1} CPU-s)",
                self.stage,
                100.0 * share,
                spent.wall_s,
                spent.cpu_s
            ));
        }
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn summarise(&mut self, status: &str) -> Result<(), RunError> {
        self.publish(true)?;
        let ledger = self.ledger.to_json(&self.settings.prices);
        let mut summary = run_folder::summary(status, &Value::Object(self.last.clone()), &ledger["total"]);
        summary["verifying_share"] = json!(self.ledger.verifying_shares());
        summary["alarms"] = self.watch.summary();
        self.folder.write(run_folder::SUMMARY, &checkpoint::encode_json(&summary))
    }
}

fn events_failed(folder: &Path, source: std::io::Error) -> RunError {
    RunError::Io { path: folder.join("events.out.tfevents"), source }
}
