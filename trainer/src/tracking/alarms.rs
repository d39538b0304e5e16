//! Problems that a run's rows of `metrics.jsonl` show, and what to do about them.
//!
//! An alarm is a pure function of the stage's rows so far. A resumed run reads its rows again and raises the same
//! alarms as a run that never stopped.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::rows::Tells;

/// Rows of a mean; one bad batch raises no alarm.
const WINDOW: usize = 5;
/// Rows of a mean for problems that pretraining fixes by itself.
const PRETRAINING_WINDOW: usize = 400;
/// Rows between the two means that show growth.
const LAG: usize = 10;
/// Rows that are remembered besides a stage's first ones: as many as any mean looks back.
const REMEMBERED: usize = PRETRAINING_WINDOW;
/// Above this accuracy little is left to learn: short answers, flat groups and low entropy are signs of success.
const SOLVED: f64 = 0.9;
/// From this accuracy on, a healthy policy is nearly certain of its tokens (addition: entropy 0.014 at 0.9).
const HALF_SOLVED: f64 = 0.8;

pub(crate) struct Alarm {
    /// Name in `metrics.jsonl` and `summary.json`.
    pub name: &'static str,
    pub rule: &'static str,
    pub fix: &'static str,
    is_on: fn(&History) -> bool,
}

pub(crate) const ALARMS: &[Alarm] = &[
    Alarm {
        name: "entropy_collapse",
        rule: "entropy over 5 steps is below 0.05 nats per token and a tenth of its first value, at an accuracy below 0.8",
        fix: "the policy has stopped exploring: lower learning_rate, raise clip_high (0.28) or temperature, or add a \
              kl_coefficient (0.01), and start again from a checkpoint before the fall",
        is_on: entropy_collapse,
    },
    Alarm {
        name: "length_without_accuracy",
        rule: "completions grew by a quarter in 10 steps and accuracy, below 0.9, did not rise",
        fix: "the policy is rewarded for length and not for right answers: use loss = \"token_mean\" or \
              \"constant_length\", overlong = \"zero\", lower max_new_tokens or learning_rate, and read rollouts.jsonl",
        is_on: length_without_accuracy,
    },
    Alarm {
        name: "clip_share",
        rule: "more than 0.2 of the tokens were clipped over 5 steps",
        fix: "updates move too far from the policy that sampled: lower learning_rate, epochs or minibatches",
        is_on: |history| history.exceeds(|row| row.clipped, 0.2),
    },
    Alarm {
        name: "kl",
        rule: "the divergence from the reference is above 0.5 nats per token over 5 steps",
        fix: "the policy has left its reference: lower learning_rate or raise kl_coefficient; if you want that \
              distance, set kl_reference_every so that the reference follows",
        is_on: |history| history.exceeds(|row| row.kl, 0.5),
    },
    Alarm {
        name: "expert_imbalance",
        rule: "the busiest expert of a layer had more than 3 times the mean load over 5 steps, in pretraining over 400",
        fix: "the router sends nearly everything to few experts: raise bias_update_speed (0.001 to 0.01) or \
              model.aux_loss_alpha (0.001), or lower learning_rate",
        is_on: expert_imbalance,
    },
    Alarm {
        name: "truncation",
        rule: "more than 0.2 of the completions reached max_new_tokens over 5 steps",
        fix: "raise max_new_tokens (doctor says what worked solutions need); if they only repeat themselves, set \
              overlong = \"zero\" and pretrain longer, so that the base ends its answers",
        is_on: |history| history.exceeds(|row| row.truncated, 0.2),
    },
    Alarm {
        name: "flat_groups",
        rule: "rewards differed in fewer than 0.25 of the groups over 5 steps, at an accuracy below 0.9",
        fix: "most questions are too hard (or rewards do not tell right from wrong): lower task.level, raise group_size \
              or temperature, use flat_groups = \"refill\", or pretrain longer",
        is_on: flat_groups,
    },
    Alarm {
        name: "verifier_errors",
        rule: "the verifier could not judge a completion in at least one of the last 5 steps",
        fix: "the cause is an item or the verifier, not the model. The log and rollouts.jsonl give the reason; try \
              `thinkling doctor RECIPE` and `thinkling verify` on that item. Such completions are left out of updates",
        is_on: verifier_errors,
    },
    Alarm {
        name: "held_out_gap",
        rule: "reward rose by 0.1 since an earlier evaluation, but held-out accuracy did not rise",
        fix: "the policy learns the reward or the training questions, not the task: read rollouts.jsonl for what earns \
              the reward, raise the weight of the term `correct`, ask more distinct questions (a higher task.level), \
              and keep the checkpoint of the best evaluation",
        is_on: held_out_gap,
    },
];

/// What to change when the alarm `name` is raised.
pub(crate) fn fix(name: &str) -> Option<&'static str> {
    ALARMS.iter().find(|alarm| alarm.name == name).map(|alarm| alarm.fix)
}

/// What alarms read from a row of a learning stage.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    reward: Option<f64>,
    accuracy: Option<f64>,
    length: Option<f64>,
    truncated: Option<f64>,
    entropy: Option<f64>,
    kl: Option<f64>,
    clipped: Option<f64>,
    groups_used: Option<f64>,
    expert_load: Option<f64>,
    verifier_errors: Option<f64>,
}

impl Observation {
    fn of(row: &Map<String, Value>) -> Self {
        let number = |key: &str| row.get(key).and_then(Value::as_f64);
        let clipped = match (number("clip_low_share"), number("clip_high_share")) {
            (None, None) => None,
            (low, high) => Some(low.unwrap_or(0.0) + high.unwrap_or(0.0)),
        };
        Self {
            reward: number("reward_mean"),
            accuracy: number("accuracy"),
            length: number("length_mean"),
            truncated: number("truncated_share"),
            entropy: number("entropy"),
            kl: number("kl"),
            clipped,
            groups_used: number("groups_used_share"),
            expert_load: number("expert_load_max_over_mean"),
            verifier_errors: number("verifier_errors"),
        }
    }
}

/// Held-out accuracy at a step, over all tasks measured there.
#[derive(Clone, Copy, Debug)]
struct Held {
    step: u64,
    /// The mean reward of the last rows then; before the first row, its reward.
    reward: Option<f64>,
    sum: f64,
    tasks: u32,
}

impl Held {
    fn accuracy(&self) -> f64 {
        self.sum / f64::from(self.tasks)
    }
}

#[derive(Clone, Debug, Default)]
struct History {
    stage: String,
    is_pretraining: bool,
    /// The stage's first rows.
    first: Vec<Observation>,
    /// Its last rows.
    last: VecDeque<Observation>,
    held_out: Vec<Held>,
}

type Field = fn(&Observation) -> Option<f64>;

impl History {
    /// The mean of a field over [`WINDOW`] rows that end `back` rows before the last; `None` if one of them does not
    /// have it.
    fn mean(&self, back: usize, field: Field) -> Option<f64> {
        self.mean_of(WINDOW, back, field)
    }

    /// The mean over the stage's first rows.
    fn first(&self, field: Field) -> Option<f64> {
        window_mean(self.first.get(..WINDOW)?.iter(), field)
    }

    /// The mean of a field over `rows` rows that end `back` rows before the last.
    fn mean_of(&self, rows: usize, back: usize, field: Field) -> Option<f64> {
        let end = self.last.len().checked_sub(back)?;
        window_mean(self.last.range(end.checked_sub(rows)?..end), field)
    }

    fn add(&mut self, row: Observation) {
        if self.first.is_empty() {
            // What was measured before the first row.
            self.held_out.iter_mut().for_each(|held| held.reward = row.reward);
        }
        if self.first.len() < WINDOW {
            self.first.push(row);
        }
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(row);
    }

    fn hold_out(&mut self, step: u64, accuracy: f64) {
        match self.held_out.last_mut().filter(|held| held.step == step) {
            Some(held) => (held.sum, held.tasks) = (held.sum + accuracy, held.tasks + 1),
            None => {
                let recent = self.last.range(self.last.len().saturating_sub(WINDOW)..);
                let reward = window_mean(recent, |row| row.reward);
                self.held_out.push(Held { step, reward, sum: accuracy, tasks: 1 });
            }
        }
    }

    fn is_below(&self, limit: f64) -> bool {
        self.mean(0, |row| row.accuracy).is_some_and(|accuracy| accuracy < limit)
    }

    fn exceeds(&self, field: Field, limit: f64) -> bool {
        self.mean(0, field).is_some_and(|mean| mean > limit)
    }
}

fn window_mean<'a>(rows: impl Iterator<Item = &'a Observation>, field: Field) -> Option<f64> {
    let values: Vec<f64> = rows.map(field).collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn entropy_collapse(history: &History) -> bool {
    let Some((first, now)) = history.first(|row| row.entropy).zip(history.mean(0, |row| row.entropy)) else {
        return false;
    };
    now < 0.05 && now < 0.1 * first && history.is_below(HALF_SOLVED)
}

fn length_without_accuracy(history: &History) -> bool {
    let lengths = history.mean(LAG, |row| row.length).zip(history.mean(0, |row| row.length));
    let accuracies = history.mean(LAG, |row| row.accuracy).zip(history.mean(0, |row| row.accuracy));
    let (Some((length_before, length)), Some((before, accuracy))) = (lengths, accuracies) else {
        return false;
    };
    length > 1.25 * length_before && accuracy < before + 0.02 && accuracy < SOLVED
}

fn expert_imbalance(history: &History) -> bool {
    // A new router is out of balance until its biases catch up: in quickstart for 110 to 180 updates.
    let window = if history.is_pretraining { PRETRAINING_WINDOW } else { WINDOW };
    history.mean_of(window, 0, |row| row.expert_load).is_some_and(|load| load > 3.0)
}

fn flat_groups(history: &History) -> bool {
    history.mean(0, |row| row.groups_used).is_some_and(|used| used < 0.25) && history.is_below(SOLVED)
}

fn verifier_errors(history: &History) -> bool {
    let recent = history.last.iter().rev().take(WINDOW);
    recent.filter_map(|row| row.verifier_errors).any(|errors| errors > 0.0)
}

fn held_out_gap(history: &History) -> bool {
    let Some((last, earlier)) = history.held_out.split_last() else { return false };
    let Some(reward) = last.reward else { return false };
    last.accuracy() < SOLVED
        && earlier.iter().any(|then| {
            let is_rewarded_more = then.reward.is_some_and(|before| reward >= before + 0.1);
            is_rewarded_more && last.accuracy() < then.accuracy() + 0.02
        })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Raised {
    first_step: u64,
    last_step: u64,
    onsets: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    history: History,
    on: Vec<&'static str>,
    raised: BTreeMap<(String, &'static str), Raised>,
}

impl Watch {
    /// The watch of a run with this `metrics.jsonl`.
    pub(crate) fn replay(text: &str) -> Self {
        let mut watch = Self::default();
        for line in text.lines() {
            if let Ok(Value::Object(mut row)) = serde_json::from_str(line) {
                watch.see(&mut row);
            }
        }
        watch
    }

    /// Reads the next row and writes the alarms that are on into it as `alarms`: always in rows with rewards, in others
    /// only if there are any. Returns the alarms that this row has turned on.
    pub(crate) fn see(&mut self, row: &mut Map<String, Value>) -> Vec<&'static Alarm> {
        let stage = row.get("stage").and_then(Value::as_str).unwrap_or_default();
        let tells = Tells::of(row);
        if self.history.stage != stage {
            let is_pretraining = tells == Tells::Supervised;
            self.history = History { stage: stage.to_owned(), is_pretraining, ..History::default() };
            self.on.clear();
        }
        let step = row.get("step").and_then(Value::as_u64).unwrap_or(0);
        if tells != Tells::Measured {
            self.history.add(Observation::of(row));
        } else if let Some(accuracy) = row.get("accuracy").and_then(Value::as_f64) {
            self.history.hold_out(step, accuracy);
        }
        let on: Vec<&'static Alarm> = ALARMS.iter().filter(|alarm| (alarm.is_on)(&self.history)).collect();
        let names: Vec<&'static str> = on.iter().map(|alarm| alarm.name).collect();
        if tells == Tells::Rewarded || !names.is_empty() {
            row.insert("alarms".to_owned(), json!(names));
        }
        let fresh: Vec<&'static Alarm> =
            on.into_iter().filter(|alarm| !self.on.contains(&alarm.name)).collect();
        for name in &names {
            let key = (self.history.stage.clone(), *name);
            let raised =
                self.raised.entry(key).or_insert(Raised { first_step: step, last_step: step, onsets: 0 });
            raised.last_step = step;
            raised.onsets += u64::from(fresh.iter().any(|alarm| alarm.name == *name));
        }
        self.on = names;
        fresh
    }

    pub(crate) fn summary(&self) -> Value {
        let raised = self.raised.iter().map(|((stage, name), raised)| {
            json!({
                "name": name, "stage": stage, "first_step": raised.first_step, "last_step": raised.last_step,
                "onsets": raised.onsets, "fix": fix(name),
            })
        });
        raised.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy(step: u64) -> Map<String, Value> {
        let part = (step as f64 / 40.0).min(1.0);
        let row = json!({
            "stage": "grpo", "kind": "grpo", "step": step, "reward_mean": 0.5 + 0.48 * part,
            "accuracy": 0.5 + 0.48 * part, "length_mean": 12.0 + 25.0 * part, "truncated_share": 0.01,
            "entropy": 0.4 - 0.38 * part, "kl": 0.1 * part, "clip_low_share": 0.01, "clip_high_share": 0.02,
            "groups_used_share": 1.0 - 0.8 * part, "expert_load_max_over_mean": 1.6, "verifier_errors": 0,
        });
        let Value::Object(row) = row else { panic!("an object") };
        row
    }

    fn held_out(step: u64, accuracy: f64) -> Map<String, Value> {
        let row =
            json!({"stage": "grpo", "kind": "eval", "step": step, "task": "parity", "accuracy": accuracy});
        let Value::Object(row) = row else { panic!("an object") };
        row
    }

    fn names(row: &Map<String, Value>) -> Vec<String> {
        let alarms = row.get("alarms").and_then(Value::as_array);
        alarms.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Runs 40 healthy steps, changed by `change`, between two evaluations; returns the alarms and their steps.
    fn raised(change: impl Fn(u64, &mut Map<String, Value>)) -> (Vec<(String, u64)>, Watch) {
        let mut watch = Watch::default();
        let mut onsets = Vec::new();
        watch.see(&mut held_out(0, 0.5));
        for step in 1..=40 {
            let mut row = healthy(step);
            change(step, &mut row);
            for alarm in watch.see(&mut row) {
                assert!(names(&row).contains(&alarm.name.to_owned()));
                onsets.push((alarm.name.to_owned(), step));
            }
        }
        (onsets, watch)
    }

    fn set(row: &mut Map<String, Value>, values: &[(&str, f64)]) {
        for (key, value) in values {
            row.insert((*key).to_owned(), json!(value));
        }
    }

    #[test]
    fn a_run_that_learns_raises_nothing() {
        let (onsets, mut watch) = raised(|_, _| {});
        assert_eq!(onsets, []);
        assert!(watch.see(&mut held_out(40, 0.97)).is_empty());
        assert_eq!(watch.summary(), json!([]));
        let mut row = healthy(41);
        watch.see(&mut row);
        assert_eq!(row["alarms"], json!([]), "a row of GRPO always says so");
    }

    #[test]
    fn each_alarm_is_raised_once_by_what_it_is_for_and_by_nothing_else() {
        type Spoil = fn(u64, &mut Map<String, Value>);
        let cases: [(&str, Spoil, u64); 8] = [
            (
                "entropy_collapse",
                |step, row| {
                    set(row, &[("accuracy", 0.5), ("length_mean", 12.0), ("groups_used_share", 0.6)]);
                    set(row, &[("entropy", if step < 10 { 0.4 } else { 0.01 })]);
                },
                14,
            ),
            (
                "length_without_accuracy",
                |step, row| {
                    set(row, &[("accuracy", 0.5), ("entropy", 0.3), ("groups_used_share", 0.6)]);
                    set(row, &[("length_mean", if step < 20 { 12.0 } else { 40.0 })]);
                },
                20,
            ),
            (
                "clip_share",
                |step, row| set(row, &[("clip_high_share", if step < 10 { 0.01 } else { 0.3 })]),
                13,
            ),
            ("kl", |step, row| set(row, &[("kl", if step < 10 { 0.0 } else { 1.0 })]), 12),
            (
                "expert_imbalance",
                |step, row| set(row, &[("expert_load_max_over_mean", if step < 10 { 1.5 } else { 3.5 })]),
                13,
            ),
            (
                "truncation",
                |step, row| set(row, &[("truncated_share", if step < 10 { 0.0 } else { 0.5 })]),
                12,
            ),
            (
                "flat_groups",
                |step, row| {
                    set(row, &[("accuracy", 0.1), ("length_mean", 12.0), ("entropy", 0.3)]);
                    set(row, &[("groups_used_share", if step < 10 { 0.9 } else { 0.0 })]);
                },
                13,
            ),
            (
                "verifier_errors",
                |step, row| set(row, &[("verifier_errors", if step == 10 { 3.0 } else { 0.0 })]),
                10,
            ),
        ];
        for (name, spoil, onset) in cases {
            let (onsets, watch) = raised(spoil);
            assert_eq!(onsets, [(name.to_owned(), onset)], "{name}");
            let summary = watch.summary();
            assert_eq!((&summary[0]["name"], &summary[0]["onsets"]), (&json!(name), &json!(1)));
            assert!(fix(name).is_some());
        }
    }

    #[test]
    fn one_bad_batch_is_no_alarm_and_a_solved_task_is_none_either() {
        let bad = |step: u64, row: &mut Map<String, Value>| {
            if step == 20 {
                set(row, &[("truncated_share", 0.6), ("kl", 1.5), ("clip_high_share", 0.6)]);
                set(row, &[("expert_load_max_over_mean", 6.0)]);
            }
        };
        assert_eq!(raised(bad).0, []);
        let solved = |_: u64, row: &mut Map<String, Value>| {
            set(row, &[("accuracy", 0.99), ("groups_used_share", 0.05)]);
        };
        assert_eq!(raised(solved).0, []);
    }

    #[test]
    fn reward_that_rises_without_held_out_accuracy_is_told_at_the_evaluation() {
        let (onsets, mut watch) = raised(|_, _| {});
        assert_eq!(onsets, []);
        let mut row = held_out(40, 0.51);
        let fresh = watch.see(&mut row);
        assert_eq!(fresh.iter().map(|alarm| alarm.name).collect::<Vec<_>>(), ["held_out_gap"]);
        assert_eq!(names(&row), ["held_out_gap"]);
        // It stays on until the next evaluation, and is reported once.
        let mut row = healthy(41);
        assert!(watch.see(&mut row).is_empty());
        assert_eq!(names(&row), ["held_out_gap"]);
        assert!(watch.see(&mut held_out(41, 0.8)).is_empty());
        let mut row = healthy(42);
        watch.see(&mut row);
        assert!(names(&row).is_empty());
    }

    #[test]
    fn several_tasks_of_one_evaluation_are_one_measurement() {
        let (_, mut watch) = raised(|_, _| {});
        // The means are 0.5 before (one task) and 0.6 now: better, although one task fell.
        watch.see(&mut held_out(40, 0.85));
        let mut row = held_out(40, 0.35);
        watch.see(&mut row);
        assert!(names(&row).is_empty());
    }

    #[test]
    fn a_stage_begins_with_a_clean_slate_and_pretraining_is_watched_too() {
        let mut watch = Watch::default();
        for step in 1..=410 {
            let row =
                json!({"stage": "base", "kind": "pretrain", "step": step, "expert_load_max_over_mean": 4.0});
            let Value::Object(mut row) = row else { panic!("an object") };
            assert_eq!(watch.see(&mut row).len(), usize::from(step == 400));
            assert_eq!(row.contains_key("alarms"), step >= 400);
        }
        let mut row = healthy(1);
        watch.see(&mut row);
        assert_eq!(row["alarms"], json!([]));
        assert_eq!(watch.summary()[0]["stage"], "base");
    }

    #[test]
    fn a_long_run_is_not_remembered_whole() {
        let mut watch = Watch::default();
        (1..5000).for_each(|step| drop(watch.see(&mut healthy(step))));
        assert_eq!((watch.history.first.len(), watch.history.last.len()), (WINDOW, REMEMBERED));
        assert!(watch.history.first[0].reward < watch.history.last[0].reward);
    }

    #[test]
    fn a_replay_stands_where_the_run_stood() {
        let mut live = Watch::default();
        let mut text = String::new();
        let mut later = Vec::new();
        for step in 1..=30 {
            let mut row = healthy(step);
            set(&mut row, &[("truncated_share", if step < 12 { 0.0 } else { 0.3 + 0.001 * step as f64 })]);
            if step > 16 {
                later.push(row.clone());
            }
            live.see(&mut row);
            if step <= 16 {
                text += &format!("{}\n", Value::Object(row));
            }
        }
        let mut resumed = Watch::replay(&text);
        for mut row in later {
            assert!(resumed.see(&mut row).is_empty(), "an alarm that is on is not reported again");
        }
        assert_eq!(resumed.summary(), live.summary());
    }
}
