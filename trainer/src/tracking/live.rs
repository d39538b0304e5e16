//! Terminal views of a run: the numbers of a row, sparklines, and a table of the stages.

use std::fmt::Write as _;

use super::rows::{Row, Tells, interval, number, word};

const WIDTH: usize = 28;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of a step's row: key, label, digits after the point.
const SHOWN: [(&str, &str, usize); 5] = [
    ("reward_mean", "reward", 3),
    ("accuracy", "accuracy", 3),
    ("length_mean", "length", 1),
    ("loss", "loss", 4),
    ("tokens_per_s", "tokens/s", 0),
];
/// Labels that get a sparkline.
const DRAWN: [&str; 4] = ["reward", "accuracy", "length", "loss"];

/// The main numbers of a step's row.
pub fn shown(row: &Row) -> Vec<(&'static str, String)> {
    // In reinforcement learning the loss has no meaning: it is 0 except for the clip.
    let is_rewarded = Tells::of(row) == Tells::Rewarded;
    let keys = SHOWN.into_iter().filter(|(key, ..)| !(is_rewarded && *key == "loss"));
    let mut numbers: Vec<(&str, String)> = keys
        .filter_map(|(key, name, digits)| Some((name, format!("{:.digits$}", number(row, key)?))))
        .collect();
    numbers.extend(number(row, "cost_usd").map(|cost| ("cost", format!("${cost:.6}"))));
    numbers
}

/// A measurement on held-out questions as one line.
pub fn measured(row: &Row) -> String {
    let share = |key: &str| {
        let ends = interval(row, &format!("{key}_ci95"))
            .map_or(String::new(), |(low, high)| format!(" [{:.1}, {:.1}]", 100.0 * low, 100.0 * high));
        Some(format!("{:.1} %{ends}", 100.0 * number(row, key)?))
    };
    let mut line = format!("{} {}", word(row, "stage"), number(row, "step").unwrap_or(0.0));
    let _ = write!(line, ": {}", word(row, "task"));
    if let Some(level) = number(row, "level") {
        let _ = write!(line, " level {level}");
    }
    for (key, name) in [("accuracy", "sampled"), ("greedy_accuracy", "greedy")] {
        if let Some(share) = share(key) {
            let _ = write!(line, ", {share} {name}");
        }
    }
    if let Some(length) = number(row, "length_mean") {
        let _ = write!(line, ", mean length {length:.1}");
    }
    let errors = number(row, "errors").unwrap_or(0.0) + number(row, "greedy_errors").unwrap_or(0.0);
    if errors > 0.0 {
        let _ = write!(line, "; {errors} completions could not be judged and are in no mean");
    }
    line
}

/// The values as up to 28 blocks between their lowest and highest; longer series are averaged.
pub fn sparkline(values: &[f64]) -> String {
    let stretch = values.len().div_ceil(WIDTH).max(1);
    let means: Vec<f64> =
        values.chunks(stretch).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect();
    let finite = means.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let block = |value: f64| {
        if !value.is_finite() {
            return ' ';
        }
        let place = if high > low { (value - low) / (high - low) } else { 0.0 };
        BLOCKS[((place * 7.0).round() as usize).min(7)]
    };
    means.into_iter().map(block).collect()
}

/// The earlier values of a stage's numbers.
#[derive(Clone, Debug, Default)]
pub struct History {
    series: Vec<(String, Vec<f64>)>,
}

impl History {
    /// Adds those of `numbers` that are drawn.
    pub fn add(&mut self, numbers: &[(&str, String)]) {
        for (name, text) in numbers.iter().filter(|(name, _)| DRAWN.contains(name)) {
            let Ok(value) = text.parse() else { continue };
            match self.series.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None => self.series.push(((*name).to_owned(), vec![value])),
            }
        }
    }

    /// `numbers` as a table: a line with a sparkline for each, then one line of those without.
    pub fn table(&self, numbers: &[(&str, String)]) -> String {
        let past = |name: &str| self.series.iter().find(|(known, _)| known == name);
        let mut text = String::new();
        for (name, value) in numbers {
            if let Some((_, values)) = past(name) {
                let _ = writeln!(text, "{name:>12} {value:>9}  {}", sparkline(values));
            }
        }
        let others: Vec<String> = numbers
            .iter()
            .filter(|(name, _)| past(name).is_none())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let _ = write!(text, "{:>12} {}", "", others.join("  "));
        text.truncate(text.trim_end().len());
        text
    }
}

/// A summary of a run from its metrics: each stage with its last numbers and their history.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    stages: Vec<StageView>,
}

#[derive(Clone, Debug, Default)]
struct StageView {
    name: String,
    step: u64,
    numbers: Vec<(&'static str, String)>,
    history: History,
    measured: Vec<String>,
}

impl Overview {
    /// Adds a row of `metrics.jsonl`.
    pub fn add(&mut self, row: &Row) {
        let name = word(row, "stage");
        if self.stages.last().is_none_or(|stage| stage.name != name) {
            self.stages.push(StageView { name: name.to_owned(), ..StageView::default() });
        }
        let Some(stage) = self.stages.last_mut() else { return };
        if Tells::of(row) == Tells::Measured {
            stage.measured.push(measured(row));
            return;
        }
        stage.step = number(row, "step").unwrap_or(0.0) as u64;
        stage.numbers = shown(row);
        stage.history.add(&stage.numbers);
    }

    /// The overview as text.
    pub fn text(&self, steps_of: impl Fn(&str) -> Option<u64>) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            if stage.step > 0 {
                let of = steps_of(&stage.name).map_or(String::new(), |steps| format!("/{steps}"));
                let _ = writeln!(text, "{} {}{of}", stage.name, stage.step);
                let _ = writeln!(text, "{}", stage.history.table(&stage.numbers));
            }
            for line in &stage.measured {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_sparkline_goes_from_the_lowest_to_the_highest() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0]), "▁▅█");
        assert_eq!(sparkline(&[2.0, 2.0]), "▁▁");
        assert_eq!(sparkline(&[f64::NAN, 1.0]), " ▁");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&vec![1.0; 1000]).chars().count(), 28);
    }

    #[test]
    fn the_overview_tells_each_stage_apart() {
        let mut overview = Overview::default();
        let rows = [
            json!({"stage": "base", "kind": "pretrain", "step": 1, "loss": 2.5, "cost_usd": 0.001}),
            json!({"stage": "rl", "kind": "eval", "step": 0, "task": "parity", "level": 4, "accuracy": 0.5}),
            json!({"stage": "rl", "kind": "grpo", "step": 1, "reward_mean": 0.25, "accuracy": 0.5, "loss": 0.0}),
            json!({"stage": "rl", "kind": "grpo", "step": 2, "reward_mean": 0.75, "accuracy": 0.6, "loss": 0.0}),
        ];
        for row in rows {
            let Value::Object(row) = row else { panic!("an object") };
            overview.add(&row);
        }
        let text = overview.text(|name| (name == "rl").then_some(9));
        let expected = [
            "base 1",
            "        loss    2.5000  ▁",
            "             cost $0.001000",
            "rl 2/9",
            "      reward     0.750  ▁█",
            "    accuracy     0.600  ▁█",
            "rl 0: parity level 4, 50.0 % sampled",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
