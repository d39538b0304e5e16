//! The books: what a run spent, by stage and kind of work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::kernels::matmul::Packed;
use crate::kernels::precision::Precision;
use crate::recipe::{Budget, Prices};

pub mod children;
pub mod clock;

use clock::Elapsed;

/// What time and operations were spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Running prompts through the policy.
    RolloutPrefill,
    /// Drawing completions.
    RolloutDecode,
    /// Log-probabilities of the reference and of the policy that sampled.
    Reference,
    /// The forward of an update.
    Forward,
    /// The backward of an update.
    Backward,
    /// Applying gradients.
    Optimizer,
    /// Posing questions, writing documents, judging answers.
    Verifier,
    /// Measuring on held-out questions.
    Eval,
    /// Writing checkpoints.
    Checkpoint,
    /// Everything a run did after its last checkpoint before it was killed.
    Redone,
}

/// An amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Operations of products.
    pub flops: f64,
    /// Seconds on the wall.
    pub wall_s: f64,
    /// Seconds of processor time.
    pub cpu_s: f64,
    /// Tokens that went through the policy.
    pub tokens: u64,
}

impl Spent {
    /// The work of `elapsed`.
    pub fn new(elapsed: Elapsed, flops: u64, tokens: u64) -> Self {
        Self { flops: flops as f64, wall_s: elapsed.wall_s, cpu_s: elapsed.cpu_s, tokens }
    }

    fn add(&mut self, other: Self) {
        self.flops += other.flops;
        self.wall_s += other.wall_s;
        self.cpu_s += other.cpu_s;
        self.tokens += other.tokens;
    }

    /// The share of this work's time that `flops` of its operations took, with `tokens` tokens.
    pub fn part(&self, flops: u64, tokens: u64) -> Self {
        let share = if self.flops > 0.0 { flops as f64 / self.flops } else { 0.0 };
        Self { flops: flops as f64, wall_s: self.wall_s * share, cpu_s: self.cpu_s * share, tokens }
    }
}

/// The account of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// By kind of work.
    pub work: BTreeMap<Work, Spent>,
    /// Completions that were judged in training.
    pub verifier_calls: u64,
    /// Right answers among them.
    pub correct: u64,
    /// Tokens of the updates.
    pub tokens_trained: u64,
    /// Tokens drawn for training.
    pub tokens_generated: u64,
}

impl Account {
    fn total(&self) -> Spent {
        let mut total = Spent::default();
        for spent in self.work.values() {
            total.add(*spent);
        }
        total
    }

    /// The share of the wall time that went into posing and judging, and what that took; `None` where nothing was
    /// judged.
    pub fn verifying(&self) -> Option<(f64, Spent)> {
        let spent = *self.work.get(&Work::Verifier).filter(|_| self.verifier_calls > 0)?;
        let wall_s = self.total().wall_s;
        (wall_s > 0.0).then(|| (spent.wall_s / wall_s, spent))
    }

    fn add(&mut self, other: &Account) {
        for (work, spent) in &other.work {
            self.work.entry(*work).or_default().add(*spent);
        }
        self.verifier_calls += other.verifier_calls;
        self.correct += other.correct;
        self.tokens_trained += other.tokens_trained;
        self.tokens_generated += other.tokens_generated;
    }

    fn to_json(&self, prices: &Prices) -> Value {
        let by_kind = |number: &dyn Fn(&Spent) -> Value| -> Map<String, Value> {
            self.work.iter().map(|(work, spent)| (work.name(), number(spent))).collect()
        };
        let total = self.total();
        let cost = cost_usd(&total, prices);
        let mut value = json!({
            "flops": by_kind(&|spent| json!(spent.flops)),
            "wall_s": by_kind(&|spent| json!(spent.wall_s)),
            "cpu_s": by_kind(&|spent| json!(spent.cpu_s)),
            "tokens": by_kind(&|spent| json!(spent.tokens)),
            "core_hours": total.cpu_s / 3600.0,
            "device_hours": 0.0,
            // No meter is read yet, and what is not known is not 0.
            "energy_j": null,
            "cost_usd": cost,
            "usd_per_core_hour": prices.usd_per_core_hour,
            "tokens_trained": self.tokens_trained,
            "tokens_generated": self.tokens_generated,
            "verifier_calls": self.verifier_calls,
            "correct": self.correct,
        });
        if self.correct > 0 {
            value["cost_per_correct_usd"] = json!(cost / self.correct as f64);
        }
        value
    }
}

impl Work {
    fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => unreachable!("a unit variant is written as a string"),
        }
    }
}

fn cost_usd(spent: &Spent, prices: &Prices) -> f64 {
    spent.cpu_s / 3600.0 * prices.usd_per_core_hour
}

/// The books of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    stages: Vec<(String, Account)>,
}

impl Ledger {
    /// The account of `stage`, opened if need be.
    pub fn account(&mut self, stage: &str) -> &mut Account {
        let at = match self.stages.iter().position(|(name, _)| name == stage) {
            Some(at) => at,
            None => {
                self.stages.push((stage.to_owned(), Account::default()));
                self.stages.len() - 1
            }
        };
        &mut self.stages[at].1
    }

    /// Books work on `stage`.
    pub fn charge(&mut self, stage: &str, work: Work, spent: Spent) {
        self.account(stage).work.entry(work).or_default().add(spent);
    }

    /// Books as redone what `later`, the books at the moment a run was killed, has beyond these.
    pub fn charge_lost(&mut self, later: &Ledger) {
        for (stage, account) in &later.stages {
            // A checkpoint's own cost is booked once it is written, so it is never in it.
            let without_checkpoints = |account: &Account| {
                let work = account.work.iter().filter(|(work, _)| **work != Work::Checkpoint);
                Account { work: work.map(|(work, spent)| (*work, *spent)).collect(), ..Account::default() }
                    .total()
            };
            let (kept, lost) = (without_checkpoints(self.account(stage)), without_checkpoints(account));
            let spent = Spent {
                flops: lost.flops - kept.flops,
                wall_s: lost.wall_s - kept.wall_s,
                cpu_s: lost.cpu_s - kept.cpu_s,
                tokens: lost.tokens.saturating_sub(kept.tokens),
            };
            if spent.cpu_s > 0.0 {
                self.charge(stage, Work::Redone, spent);
            }
        }
    }

    /// Everything.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        for (_, account) in &self.stages {
            total.add(account);
        }
        total
    }

    /// Operations so far.
    pub fn flops(&self) -> f64 {
        self.total().total().flops
    }

    /// Dollars so far.
    pub fn cost_usd(&self, prices: &Prices) -> f64 {
        cost_usd(&self.total().total(), prices)
    }

    /// Which limit of `budget` is spent, in words.
    pub fn exhausted(&self, budget: &Budget, prices: &Prices) -> Option<String> {
        let total = self.total();
        let spent = total.total();
        let tokens = total.tokens_trained + total.tokens_generated;
        let over = |limit: Option<f64>, spent: f64, unit: &str| {
            let limit = limit?;
            (spent >= limit).then(|| format!("{spent:.6} of {limit} {unit} spent"))
        };
        over(budget.dollars, cost_usd(&spent, prices), "dollars")
            .or_else(|| over(budget.flops, spent.flops, "FLOPs"))
            .or_else(|| over(budget.minutes, spent.wall_s / 60.0, "minutes"))
            .or_else(|| over(budget.tokens.map(|limit| limit as f64), tokens as f64, "tokens"))
    }

    /// The share of the wall time of each stage that judges which went into that.
    pub fn verifying_shares(&self) -> BTreeMap<&str, f64> {
        let shares = self.stages.iter();
        shares.filter_map(|(name, account)| Some((name.as_str(), account.verifying()?.0))).collect()
    }

    /// `ledger.json`.
    pub fn to_json(&self, prices: &Prices) -> Value {
        let stages: Map<String, Value> =
            self.stages.iter().map(|(name, account)| (name.clone(), account.to_json(prices))).collect();
        json!({ "total": self.total().to_json(prices), "stages": stages })
    }
}

/// The operations a second that one thread's products reach on matrices that fit the cache; takes some milliseconds.
///
/// The yardstick of `mfu`: measured, since the rated peak of an unknown processor is not known.
pub fn measured_peak(precision: Precision) -> f64 {
    let (rows, k, n) = (128, 256, 256);
    let x = vec![1.0; rows * k];
    let mut y = vec![0.0; rows * n];
    let mut packed = Packed::default();
    packed.pack_transposed(precision, &vec![1.0; n * k], n, k);
    let rates = (0..8).map(|_| {
        let started = clock::Moment::now();
        for _ in 0..4 {
            packed.product(&x, k, &mut y, n, rows, false);
        }
        (4 * 2 * rows * k * n) as f64 / started.elapsed().wall_s
    });
    rates.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(cpu_s: f64, flops: f64) -> Spent {
        Spent { flops, wall_s: cpu_s / 2.0, cpu_s, tokens: 10 }
    }

    #[test]
    fn the_total_is_the_sum_and_costs_what_the_cores_cost() {
        let prices = Prices { usd_per_core_hour: 0.36, ..Prices::default() };
        let mut ledger = Ledger::default();
        ledger.charge("a", Work::Forward, spent(10.0, 5.0));
        ledger.charge("a", Work::Forward, spent(10.0, 5.0));
        ledger.charge("b", Work::Eval, spent(20.0, 1.0));
        assert_eq!(ledger.flops(), 11.0);
        assert!((ledger.cost_usd(&prices) - 0.004).abs() < 1e-12);
        let json = ledger.to_json(&prices);
        assert_eq!(json["stages"]["a"]["flops"]["forward"], 10.0);
        assert_eq!(json["total"]["tokens"]["eval"], 10);
        assert!(json["total"].get("cost_per_correct_usd").is_none());
    }

    #[test]
    fn work_lost_to_a_crash_is_booked_as_redone() {
        let mut kept = Ledger::default();
        kept.charge("a", Work::Forward, spent(10.0, 5.0));
        let mut killed = kept.clone();
        killed.charge("a", Work::Forward, spent(4.0, 2.0));
        kept.charge_lost(&killed);
        assert_eq!(kept.account("a").work[&Work::Redone].flops, 2.0);
        assert_eq!(kept.total().total(), killed.total().total());
    }

    #[test]
    fn a_budget_is_exhausted_by_its_own_measure() {
        let mut ledger = Ledger::default();
        ledger.charge("a", Work::Forward, spent(3600.0, 5.0));
        let prices = Prices::default();
        let budget = Budget { dollars: Some(0.05), ..Budget::default() };
        assert!(ledger.exhausted(&budget, &prices).is_none());
        let budget = Budget { dollars: Some(0.03), ..Budget::default() };
        assert!(ledger.exhausted(&budget, &prices).is_some_and(|why| why.contains("dollars")));
        assert!(ledger.exhausted(&Budget { flops: Some(5.0), ..Budget::default() }, &prices).is_some());
    }
}
