//! Keeps the records of a running run: ledger, metrics, alarms, events, completions and progress.

use std::sync::Arc;

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::alarms::Watch;
use super::checkpoint;
use super::events::EventLog;
use super::journal::{Journal, Mark};
use super::ledger::{Budget, HeldOut, Ledger, Prices, Spent};
use super::live;
use super::progress::{Log, Progress};
use super::rows::Tells;
use super::run_folder::{self, RunError, RunFolder};
use crate::machine::clock::{Elapsed, Moment};
use crate::machine::meter::Meter;
use crate::machine::work::{Amount, Costed, Work};

/// Seconds between two writings of `ledger.json`, which is for readers. The ledger for a resume is written every step.
const PUBLISH_EVERY_S: f64 = 0.5;

#[derive(Clone, Debug)]
pub struct TrackerSettings {
    /// What the run may spend.
    pub budget: Budget,
    pub prices: Prices,
    pub log: Log,
    /// Peak operations per second of all threads; `mfu` is relative to it.
    pub peak_flops: f64,
}

/// Position of a run's records, as a checkpoint stores it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Steps of all stages so far.
    pub written: u64,
    pub metrics: Mark,
    pub rollouts: Mark,
    pub wall_s: f64,
    pub ledger: Ledger,
    /// The newest row of each kind.
    pub last: Map<String, Value>,
}

/// What the end of a run writes down.
#[derive(Clone, Debug)]
pub struct Records {
    pub folder: Arc<RunFolder>,
    pub standing: Standing,
    prices: Prices,
    alarms: Value,
    /// The bar on the screen, which goes before the last lines.
    pub bar: Option<ProgressBar>,
}

impl Records {
    /// Writes the ledger and the summary of a run that has stopped in this way.
    pub fn summarise(&self, status: &str) -> Result<(), RunError> {
        let Standing { ledger, last, .. } = &self.standing;
        let books = ledger.to_json(&self.prices);
        self.folder.write(run_folder::LEDGER, &checkpoint::encode_json(&books))?;
        let mut summary = run_folder::summary(status, &Value::Object(last.clone()), &books["total"]);
        summary["verifying_share"] = json!(ledger.verifying_shares());
        summary["alarms"] = self.alarms.clone();
        self.folder.write(run_folder::SUMMARY, &checkpoint::encode_json(&summary))
    }
}

#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The fields of its row of `metrics.jsonl` that only its kind of stage has.
    pub fields: Map<String, Value>,
    /// Tokens that its speed counts: drawn or trained.
    pub tokens: u64,
    pub completions: Vec<Value>,
    pub notes: Vec<String>,
}

/// The fields of a row, in the order of the struct. Absent fields are left out.
pub(crate) fn fields(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// When a step began, and the ledger at that time.
struct Begun {
    at: Moment,
    flops: f64,
    verifying: Elapsed,
}

/// Keeps the records of a run.
pub struct Tracker {
    pub progress: Progress,
    settings: TrackerSettings,
    folder: Arc<RunFolder>,
    metrics: Journal,
    rollouts: Journal,
    watch: Watch,
    events: EventLog,
    ledger: Ledger,
    /// Finds time that no call has charged.
    meter: Meter,
    published: Option<Moment>,
    started: Moment,
    wall_before_s: f64,
    written: u64,
    last: Map<String, Value>,
    stage: String,
    begun: Begun,
}

impl Tracker {
    /// Opens the records of a run at `standing`. Charges work that a killed process did after it as redone. `started`:
    /// when this process began to count time.
    pub fn open(
        folder: RunFolder,
        settings: TrackerSettings,
        standing: Standing,
        started: Moment,
    ) -> Result<Self, RunError> {
        let Standing { written, metrics, rollouts, wall_s, mut ledger, last } = standing;
        let killed = std::fs::read(folder.path.join(run_folder::BOOKS)).ok();
        if let Some(killed) = killed.and_then(|text| serde_json::from_slice::<Ledger>(&text).ok()) {
            ledger.charge_lost(&killed);
        }
        let metrics = folder.journal(run_folder::METRICS, metrics.bytes)?;
        let rollouts = folder.journal(run_folder::ROLLOUTS, rollouts.bytes)?;
        // Follows the metrics, which must be cut first.
        let events = EventLog::open(&folder.path, folder.started())
            .map_err(|source| events_failed(&folder.path, source))?;
        Ok(Self {
            progress: Progress::new(settings.log.every_s),
            watch: Watch::replay(&folder.read(run_folder::METRICS)?),
            meter: Meter::new(started, ledger.time(), settings.prices.watts),
            begun: Begun { at: started, flops: 0.0, verifying: Elapsed::default() },
            settings,
            folder: Arc::new(folder),
            metrics,
            rollouts,
            events,
            ledger,
            published: None,
            started,
            wall_before_s: wall_s,
            written,
            last,
            stage: String::new(),
        })
    }

    /// Charges the time of the start, and everything from now on to `stage`.
    pub fn begin(&mut self, stage: &str) -> Result<(), RunError> {
        stage.clone_into(&mut self.stage);
        // Includes programs that have run so far.
        self.meter.children(true);
        self.settle(Work::Startup);
        self.publish(true)
    }

    /// Charges everything from now on to `stage`.
    pub fn enter(&mut self, stage: &str) {
        stage.clone_into(&mut self.stage);
    }

    /// Does `work` and charges the costs that it reports, with the time that it took.
    ///
    /// Calls do not nest. [`Tracker::settle`] charges time outside calls.
    pub fn time<T: Costed, E>(&mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = Moment::now();
        let done = work()?;
        self.ledger.add(&self.stage, &done.costs(), started.elapsed());
        Ok(done)
    }

    /// Charges all time of this process that is in no account yet as `work`.
    ///
    /// Must not be called inside [`Tracker::time`].
    pub fn settle(&mut self, work: Work) {
        self.settle_with(work, Amount::default());
    }

    /// The same, with the amount of work done in that time.
    pub fn settle_with(&mut self, work: Work, amount: Amount) {
        let unbooked = self.meter.unbooked(self.ledger.time());
        self.ledger.charge(&self.stage, work, Spent::new(unbooked, amount));
    }

    /// Charges the processor time of the verifiers' programs since the last call.
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

    /// Completions per step that are written to `rollouts.jsonl`.
    pub fn rollouts_per_step(&self) -> usize {
        self.settings.log.rollouts_per_step
    }

    /// Begins a step: its speed and its verifying time count from here.
    pub fn begin_step(&mut self) {
        let verifying = self.ledger.account(&self.stage).elapsed(Work::Verifier);
        self.begun = Begun { at: Moment::now(), flops: self.ledger.flops(), verifying };
    }

    /// Records a step: row, alarms, events, progress and completions.
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
        record.notes.iter().for_each(|note| self.progress.note(&format!("{} {step}: {note}", self.stage)));
        self.progress.step(&self.stage, step, steps, &live::shown(&row));
        self.log(row)?;
        let path = self.rollouts.path().to_owned();
        let failed = |source| RunError::Io { path: path.clone(), source };
        record.completions.iter().try_for_each(|completion| self.rollouts.append(completion)).map_err(failed)
    }

    /// Records a measurement on held-out questions of a task, which took `amount`. `questions` names the set of
    /// questions; `solved` says which of them have right answers.
    pub fn record_evaluation(
        &mut self,
        step: u64,
        fields: Map<String, Value>,
        amount: Amount,
        questions: String,
        solved: &[Option<bool>],
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

    /// Adds a row with its alarms to `metrics.jsonl` and shows new alarms.
    fn log(&mut self, mut row: Map<String, Value>) -> Result<(), RunError> {
        for alarm in self.watch.see(&mut row) {
            let (stage, step) = (&self.stage, &row["step"]);
            self.progress
                .note(&format!("alarm: {stage} {step}: {}: {}. {}", alarm.name, alarm.rule, alarm.fix));
        }
        let key = if Tells::of(&row) == Tells::Measured {
            format!("{}.eval", self.stage)
        } else {
            self.stage.clone()
        };
        self.events.append(&row).map_err(|source| events_failed(&self.folder.path, source))?;
        let row = Value::Object(row);
        let path = self.metrics.path().to_owned();
        self.metrics.append(&row).map_err(|source| RunError::Io { path, source })?;
        self.last.insert(key, row);
        self.settle(Work::Records);
        Ok(())
    }

    /// Counts one more step or end of a stage. The newest checkpoint has the highest count.
    pub fn count_step(&mut self) {
        self.written += 1;
    }

    /// Writes the ledger: always for a resume; for readers if it `is_due` or some time has passed.
    pub fn publish(&mut self, is_due: bool) -> Result<(), RunError> {
        self.look_at_children(is_due);
        let energy = self.meter.energy();
        self.ledger.account(&self.stage).energy.add(energy);
        self.settle(Work::Records);
        // A resume compares it with its checkpoint to charge lost work as redone.
        self.folder.replace(run_folder::BOOKS, &serde_json::to_vec(&self.ledger).unwrap_or_default())?;
        if is_due || self.published.is_none_or(|last| last.elapsed().wall_s >= PUBLISH_EVERY_S) {
            let ledger = self.ledger.to_json(&self.settings.prices);
            self.folder.replace(run_folder::LEDGER, &checkpoint::encode_json(&ledger))?;
            self.published = Some(Moment::now());
        }
        Ok(())
    }

    fn standing(&self) -> Standing {
        Standing {
            written: self.written,
            metrics: self.metrics.mark(),
            rollouts: self.rollouts.mark(),
            wall_s: self.wall_s(),
            ledger: self.ledger.clone(),
            last: self.last.clone(),
        }
    }

    /// What the run would write down if it ended now.
    pub fn records(&self) -> Records {
        Records {
            folder: self.folder.clone(),
            standing: self.standing(),
            prices: self.settings.prices.clone(),
            alarms: self.watch.summary(),
            bar: self.progress.bar(),
        }
    }

    /// Saves the checkpoint of `step` with these files.
    pub fn save(&mut self, step: u64, files: &[(&str, Vec<u8>)]) -> Result<(), RunError> {
        let started = Moment::now();
        self.folder.save(&self.stage, step, files)?;
        let spent = Spent::new(started.elapsed(), Amount::default());
        self.ledger.charge(&self.stage, Work::Checkpoint, spent);
        Ok(())
    }

    /// Reports the share of the stage's time that verifying took, if anything was judged.
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
}

fn events_failed(folder: &std::path::Path, source: std::io::Error) -> RunError {
    RunError::Io { path: folder.join("events.out.tfevents"), source }
}
