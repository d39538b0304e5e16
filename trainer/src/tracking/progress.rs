//! Progress of a run: a bar on a terminal, else lines of text.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::clock::Moment;
use crate::tracking::live::History;

/// What a run writes while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Sampled completions that each step adds to `rollouts.jsonl`.
    pub rollouts_per_step: usize,
    /// Seconds between two progress lines if standard error is not a terminal.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub every_s: f64,
}

impl Default for Log {
    fn default() -> Self {
        Self { rollouts_per_step: 4, every_s: 5.0 }
    }
}

/// Shows progress on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    every_s: f64,
    last: Option<Moment>,
    stage: String,
    history: History,
    /// A line that was not due yet; shown before the next note, so that the last step of a stage always appears.
    pending: Option<String>,
}

impl Progress {
    /// A bar if standard error is a terminal, else a line at most every `every_s` seconds.
    pub fn new(every_s: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{prefix:>12} {bar:28} {pos}/{len} [{elapsed}, {eta} left]\n{msg}";
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, every_s, last: None, stage: String::new(), history: History::default(), pending: None }
    }

    /// Shows step `step` of `steps`; always shows the last one.
    pub fn step(&mut self, stage: &str, step: u64, steps: u64, numbers: &[(&str, String)]) {
        let text: Vec<String> = numbers.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if let Some(bar) = &self.bar {
            if self.stage != stage {
                stage.clone_into(&mut self.stage);
                self.history = History::default();
                bar.reset();
            }
            self.history.add(numbers);
            bar.set_prefix(stage.to_owned());
            bar.set_length(steps);
            bar.set_position(step);
            bar.set_message(self.history.table(numbers));
            return;
        }
        let is_new = self.stage != stage;
        let is_due = is_new || self.last.is_none_or(|last| last.elapsed().wall_s >= self.every_s);
        // A short stage ends before the usual pause is over.
        let is_tenth = step.is_multiple_of((steps / 10).max(1));
        let line = format!("{stage} {step}/{steps}  {}", text.join("  "));
        self.pending = None;
        if is_due || is_tenth || step == steps {
            stage.clone_into(&mut self.stage);
            self.last = Some(Moment::now());
            say(&line);
        } else {
            self.pending = Some(line);
        }
    }

    /// The bar on the screen, if there is one.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }

    /// Shows a message that stays on the screen.
    pub fn note(&mut self, text: &str) {
        if let Some(line) = self.pending.take() {
            say(&line);
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

/// A line on standard error. The run continues if nobody reads it.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says, while it lives, that something takes long: after 5 seconds and every minute from then on.
pub struct Patience {
    /// Closed when the wait is over.
    _over: mpsc::Sender<()>,
}

impl Patience {
    /// Begins a wait for `what`.
    pub fn with(what: &'static str) -> Self {
        const FIRST_S: u64 = 5;
        const NEXT_S: u64 = 60;
        let (over, wait) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            let mut waited_s = 0;
            let mut pause_s = FIRST_S;
            while wait.recv_timeout(Duration::from_secs(pause_s)) == Err(mpsc::RecvTimeoutError::Timeout) {
                waited_s += pause_s;
                pause_s = NEXT_S;
                say(&format!("{what}: {waited_s} s so far"));
            }
        });
        Self { _over: over }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
