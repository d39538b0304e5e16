//! The figures of a report. A figure without data is left out.

use serde_json::Value;

use super::record::RunRecord;
use crate::tracking::rows::{Row, Tells, interval, number, word};

/// Most points of a line; longer lines are averaged.
const POINTS: usize = 300;
/// Most columns of a heat map.
const COLUMNS: usize = 60;
/// Most rows of a heat map by expert; larger networks get one row per layer.
const EXPERT_ROWS: usize = 64;

/// A figure before it is drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of its file, and its id in the page.
    pub id: String,
    pub title: String,
    /// A note on how to read it; may be empty.
    pub note: &'static str,
    pub x_label: String,
    pub y_label: String,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Lines(Vec<Line>),
    Bars(Vec<Bar>),
    /// One cell per expert and step.
    Heat {
        steps: (f64, f64),
        /// One name per row, from the bottom.
        names: Vec<String>,
        rows: Vec<Vec<f64>>,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// The interval of each point, if it has one.
    pub band: Vec<(f64, f64)>,
    pub colour: usize,
    pub is_dashed: bool,
}

#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub colour: usize,
}

/// A figure with one line per key of the rows about `of`.
struct Plain {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    y_label: &'static str,
    of: Tells,
    keys: &'static [(&'static str, &'static str)],
}

/// Figures that only need keys of rows.
const PLAIN: [Plain; 9] = [
    rewarded(
        "reward",
        "Reward",
        "Mean over the completions of a step.",
        "mean reward",
        &[("reward_mean", "")],
    ),
    rewarded(
        "length",
        "Length",
        "Of the completions sampled in training.",
        "tokens per completion",
        &[("length_mean", "mean"), ("length_max", "longest")],
    ),
    rewarded(
        "entropy",
        "Entropy",
        "The uncertainty of the policy; at 0 it always writes the same text.",
        "nats per token",
        &[("entropy", "")],
    ),
    rewarded("kl", "Divergence from the reference", "", "KL, nats per token", &[("kl", "")]),
    rewarded(
        "clip",
        "Clipped tokens",
        "With one update per batch every ratio is 1 and nothing is clipped.",
        "share of tokens",
        &[("clip_low_share", "below"), ("clip_high_share", "above")],
    ),
    rewarded(
        "batch",
        "Use of a batch",
        "Groups whose rewards are all equal teach nothing.",
        "share",
        &[
            ("groups_used_share", "groups that differ"),
            ("format_rate", "well formed"),
            ("truncated_share", "cut off"),
        ],
    ),
    rewarded(
        "behaviours",
        "Behaviours",
        "Backtracks are a mean number; the others are shares.",
        "share, or number per completion",
        &[
            ("thinking_share", "thinks"),
            ("reflection_rate", "reflects"),
            ("backtracks", "backtracks"),
            ("false_step_share", "false steps"),
        ],
    ),
    rewarded(
        "expert-balance",
        "Expert balance",
        "1 is even.",
        "greatest load over mean",
        &[("expert_load_max_over_mean", "")],
    ),
    Plain {
        of: Tells::Supervised,
        ..rewarded(
            "pretrain-loss",
            "Loss of the base model",
            "Loss of the next token in the stages before RL.",
            "nats per token",
            &[("loss", "")],
        )
    },
];

const fn rewarded(
    id: &'static str,
    title: &'static str,
    note: &'static str,
    y_label: &'static str,
    keys: &'static [(&'static str, &'static str)],
) -> Plain {
    Plain { id, title, note, y_label, of: Tells::Rewarded, keys }
}

/// Every figure that has data in `records`, in the order of the page.
pub(crate) fn figures(records: &[RunRecord]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = vec![];
    let mut plain = PLAIN.iter().map(|figure| plain(records, figure));
    figures.extend(plain.next().flatten());
    figures.extend(reward_terms(records));
    figures.extend(accuracy(records));
    figures.extend(plain.flatten());
    figures.extend(pass_at_k(records));
    for (at, record) in records.iter().enumerate() {
        figures.extend(experts(record, at, records.len()));
    }
    figures.extend(compute(records, "flops", "reward-flops", "Reward against compute", "FLOPs of the run"));
    figures.extend(compute(records, "cost_usd", "reward-dollars", "Reward against money", "US dollars"));
    figures.extend(cost(records));
    figures
}

/// A line with finite points, reduced to [`POINTS`]; `None` without points.
fn line(name: String, points: Vec<(f64, f64)>, colour: usize, is_dashed: bool) -> Option<Line> {
    let is_finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    let points: Vec<(f64, f64)> = points.into_iter().filter(is_finite).collect();
    let mut points = thinned(&points, POINTS);
    // A line of one point would be invisible.
    if let [(x, y)] = points[..] {
        let half = if x == 0.0 { 0.5 } else { (0.02 * x.abs()).max(0.5_f64.min(x.abs())) };
        points = vec![(x - half, y), (x + half, y)];
    }
    (!points.is_empty()).then(|| Line { name, points, colour, is_dashed, ..Line::default() })
}

/// At most `most` points: means over stretches of equal length.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(most).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(stretch).map(mean).collect()
}

/// The name of a line: its subject, and its run if there are several.
fn name(records: &[RunRecord], record: &RunRecord, what: &str) -> String {
    match (records.len() > 1, what) {
        (false, what) => what.to_owned(),
        (true, "") => record.label.clone(),
        (true, what) => format!("{}: {what}", record.label),
    }
}

fn lines_figure(
    id: &str,
    title: &str,
    note: &'static str,
    y_label: &str,
    lines: Vec<Line>,
) -> Option<Figure> {
    (!lines.is_empty()).then(|| Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        note,
        x_label: "step".to_owned(),
        y_label: y_label.to_owned(),
        content: Content::Lines(lines),
    })
}

fn series(record: &RunRecord, of: Tells, read: &dyn Fn(&Row) -> Option<f64>) -> Vec<(f64, f64)> {
    record.rows(of).into_iter().filter_map(|(step, row)| Some((step, read(row)?))).collect()
}

/// In one run, colours mark the keys. With several runs, colours mark the runs and dashes the keys after the first.
fn plain(records: &[RunRecord], figure: &Plain) -> Option<Figure> {
    let mut lines = Vec::new();
    // Several keys of several runs would be too many lines.
    let keys = if records.len() > 1 { &figure.keys[..figure.keys.len().min(2)] } else { figure.keys };
    for (run, record) in records.iter().enumerate() {
        for (at, (key, what)) in keys.iter().enumerate() {
            let points = series(record, figure.of, &|row| number(row, key));
            let colour = if records.len() > 1 { run } else { at };
            lines.extend(line(name(records, record, what), points, colour, records.len() > 1 && at > 0));
        }
    }
    lines_figure(figure.id, figure.title, figure.note, figure.y_label, lines)
}

fn reward_terms(records: &[RunRecord]) -> Option<Figure> {
    let mut lines = Vec::new();
    let mut terms: Vec<String> = Vec::new();
    for (run, record) in records.iter().enumerate() {
        for (_, row) in record.rows(Tells::Rewarded) {
            let named = row.get("rewards").and_then(Value::as_object);
            let fresh = named.into_iter().flat_map(|named| named.keys()).cloned();
            fresh.for_each(|term| {
                if !terms.contains(&term) {
                    terms.push(term);
                }
            });
        }
        for (at, term) in terms.iter().enumerate() {
            let read = |row: &Row| row.get("rewards")?.get(term)?.as_f64();
            let colour = if records.len() > 1 { run } else { at };
            let points = series(record, Tells::Rewarded, &read);
            lines.extend(line(name(records, record, term), points, colour, records.len() > 1 && at > 0));
        }
    }
    lines_figure("reward-terms", "Reward by term", "Before weighting.", "mean score", lines)
}

/// Accuracy in training, and on held-out questions of the task that was measured first.
fn accuracy(records: &[RunRecord]) -> Option<Figure> {
    let mut lines = Vec::new();
    for (run, record) in records.iter().enumerate() {
        let several = records.len() > 1;
        let colour = |at: usize| if several { run } else { at };
        if !several {
            let points = series(record, Tells::Rewarded, &|row| number(row, "accuracy"));
            lines.extend(line("training".to_owned(), points, 0, false));
        }
        for (at, (key, what)) in [("accuracy", "held out, sampled"), ("greedy_accuracy", "held out, greedy")]
            .into_iter()
            .enumerate()
        {
            let measured = held_out(record);
            let points: Vec<(f64, f64)> =
                measured.iter().filter_map(|(step, row)| Some((*step, number(row, key)?))).collect();
            let band: Vec<(f64, f64)> =
                measured.iter().filter_map(|(_, row)| interval(row, &format!("{key}_ci95"))).collect();
            if let Some(mut line) =
                line(name(records, record, what), points, colour(at + 1), several && at > 0)
            {
                if band.len() == line.points.len() && !(several && at > 0) {
                    line.band = band;
                }
                lines.push(line);
            }
        }
    }
    let note = "Bands: 95 % intervals on held-out questions.";
    lines_figure("accuracy", "Accuracy", note, "share right", lines)
}

/// Held-out measurements of the task that was measured last, each at its step of RL.
fn held_out(record: &RunRecord) -> Vec<(f64, &Row)> {
    let evals: Vec<&Row> = record.metrics.iter().filter(|row| Tells::of(row) == Tells::Measured).collect();
    let Some(task) = evals.last().map(|row| (word(row, "task"), row.get("level"))) else { return Vec::new() };
    let learning: Vec<(f64, &Row)> = record.rows(Tells::Rewarded);
    let first = learning.first().map(|(_, row)| word(row, "stage"));
    let mut steps = learning.iter().map(|(step, _)| *step);
    let mut measured: Vec<(f64, &Row)> = Vec::new();
    let mut at = 0.0;
    let mut has_begun = first.is_none();
    for row in &record.metrics {
        let stage = word(row, "stage");
        has_begun |= Some(stage) == first;
        if Tells::of(row) == Tells::Rewarded {
            at = steps.next().unwrap_or(at);
        } else if first.is_none() && Tells::of(row) == Tells::Supervised {
            at = number(row, "step").unwrap_or(at);
        } else if Tells::of(row) == Tells::Measured
            && has_begun
            && (word(row, "task"), row.get("level")) == task
        {
            // An eval stage measures the same weights again, with more questions.
            if measured.last().is_some_and(|(step, _)| *step == at) {
                measured.pop();
            }
            measured.push((at, row));
        }
    }
    measured
}

/// First and last held-out measurement of each task and level. The first is the base model, if RL began with one.
pub(super) fn before_and_after(record: &RunRecord) -> Vec<(Option<&Row>, &Row)> {
    let evals: Vec<&Row> = record.metrics.iter().filter(|row| Tells::of(row) == Tells::Measured).collect();
    let has_learnt = record.metrics.iter().any(|row| Tells::of(row) == Tells::Rewarded);
    let place = |row: &Row| (word(row, "task").to_owned(), row.get("level").cloned());
    let mut places = Vec::new();
    for row in &evals {
        if !places.contains(&place(row)) {
            places.push(place(row));
        }
    }
    places
        .into_iter()
        .filter_map(|here| {
            let mut same = evals.iter().filter(|row| place(row) == here).copied();
            let base = same.clone().find(|row| number(row, "step") == Some(0.0));
            let first = base.or_else(|| same.next());
            let last = evals.iter().rev().find(|row| place(row) == here).copied()?;
            Some((first.filter(|first| has_learnt && !std::ptr::eq(*first, last)), last))
        })
        .collect()
}

fn pass_at_k(records: &[RunRecord]) -> Option<Figure> {
    let curve = |row: &Row| -> Vec<(f64, f64)> {
        let by_k = row.get("pass_at_k").and_then(Value::as_object);
        let mut points: Vec<(f64, f64)> = by_k
            .into_iter()
            .flatten()
            .filter_map(|(k, share)| Some((k.parse().ok()?, share.as_f64()?)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let mut lines = Vec::new();
    for (run, record) in records.iter().enumerate() {
        let Some((before, after)) = before_and_after(record).into_iter().next_back() else { continue };
        for (at, (row, what)) in [(Some(after), "trained"), (before, "base")].into_iter().enumerate() {
            let points = row.map(curve).unwrap_or_default();
            if points.len() > 1 {
                let colour = if records.len() > 1 { run } else { at };
                lines.extend(line(name(records, record, what), points, colour, at > 0));
            }
        }
    }
    let note = "Probability that at least one of k completions is right.";
    let mut figure = lines_figure("pass-at-k", "Pass@k", note, "share solved", lines)?;
    figure.x_label = "k, completions per question".to_owned();
    Some(figure)
}

fn experts(record: &RunRecord, at: usize, of: usize) -> Option<Figure> {
    let loads: Vec<(f64, Vec<Vec<f64>>)> = record
        .rows(Tells::Rewarded)
        .into_iter()
        .filter_map(|(step, row)| Some((step, serde_json::from_value(row.get("expert_load")?.clone()).ok()?)))
        .collect();
    let (first, shape) = loads.first().map(|(step, loads)| (*step, loads))?;
    let shape: Vec<usize> = shape.iter().map(Vec::len).collect();
    let fits = |loads: &Vec<Vec<f64>>| loads.iter().map(Vec::len).eq(shape.iter().copied());
    let loads: Vec<(f64, Vec<Vec<f64>>)> = loads.into_iter().filter(|(_, loads)| fits(loads)).collect();
    let last = loads.last()?.0;
    let is_by_expert = shape.iter().sum::<usize>() <= EXPERT_ROWS;
    // Share times number of experts: 1 is an even load.
    let cells = |layer: &[f64]| -> Vec<f64> {
        let even: Vec<f64> = layer.iter().map(|share| share * layer.len() as f64).collect();
        if is_by_expert { even } else { vec![even.into_iter().fold(0.0, f64::max)] }
    };
    let columns: Vec<Vec<f64>> =
        loads.iter().map(|(_, layers)| layers.iter().flat_map(|layer| cells(layer)).collect()).collect();
    let height = columns.first()?.len();
    let stretch = columns.len().div_ceil(COLUMNS).max(1);
    let rows: Vec<Vec<f64>> = (0..height)
        .map(|row| {
            let mean =
                |part: &[Vec<f64>]| part.iter().map(|column| column[row]).sum::<f64>() / part.len() as f64;
            columns.chunks(stretch).map(mean).collect()
        })
        .collect();
    let names: Vec<String> = shape
        .iter()
        .enumerate()
        .flat_map(|(layer, experts)| {
            let of_layer = if is_by_expert { *experts } else { 1 };
            (0..of_layer).map(move |expert| {
                if is_by_expert { format!("{}.{}", layer + 1, expert + 1) } else { format!("{}", layer + 1) }
            })
        })
        .collect();
    if height == 0 || rows[0].is_empty() {
        return None;
    }
    let whose = if of > 1 { format!(": {}", record.label) } else { String::new() };
    Some(Figure {
        id: if of > 1 { format!("experts-{}", at + 1) } else { "experts".to_owned() },
        title: format!("Expert load{whose}"),
        note: if is_by_expert {
            "Load of each expert relative to an even load. Rows: sparse layer and expert."
        } else {
            "Load of the busiest expert of each sparse layer relative to an even load."
        },
        x_label: "step".to_owned(),
        y_label: if is_by_expert { "layer.expert" } else { "sparse layer" }.to_owned(),
        content: Content::Heat { steps: (first, last), names, rows },
    })
}

fn compute(records: &[RunRecord], key: &str, id: &str, title: &str, x_label: &str) -> Option<Figure> {
    let mut lines = Vec::new();
    for (run, record) in records.iter().enumerate() {
        let rows = record.rows(Tells::Rewarded);
        let points: Vec<(f64, f64)> = rows
            .iter()
            .filter_map(|(_, row)| Some((number(row, key)?, number(row, "reward_mean")?)))
            .collect();
        // Without prices the cost is 0 at every step, so there is nothing to plot.
        if points.windows(2).any(|pair| pair[0].0 != pair[1].0) {
            lines.extend(line(name(records, record, ""), points, run, false));
        }
    }
    let note = "Includes the base model, so a line begins where RL began.";
    let mut figure = lines_figure(id, title, note, "mean reward", lines)?;
    figure.x_label = x_label.to_owned();
    Some(figure)
}

fn cost(records: &[RunRecord]) -> Option<Figure> {
    let mut bars = Vec::new();
    let mut unit = "seconds of wall time";
    for (run, record) in records.iter().enumerate() {
        let total = &record.ledger["total"];
        let by_work = if total["cpu_s"].is_object() {
            unit = "CPU-seconds";
            &total["cpu_s"]
        } else {
            &total["wall_s"]
        };
        let spent: Vec<(String, f64)> = by_work
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(work, value)| Some((work.replace('_', " "), value.as_f64()?)))
            .filter(|(_, value)| value.is_finite() && *value > 0.0)
            .collect();
        bars.extend(spent.into_iter().map(|(work, value)| Bar {
            name: if records.len() > 1 { format!("{work} ({})", run + 1) } else { work },
            value,
            colour: run,
        }));
    }
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    (!bars.is_empty()).then(|| Figure {
        id: "cost".to_owned(),
        title: "Where the time went".to_owned(),
        note: if records.len() > 1 {
            "The number in brackets is the number of the run in the legend."
        } else {
            ""
        },
        x_label: unit.to_owned(),
        y_label: String::new(),
        content: Content::Bars(bars),
    })
}
