//! The ledger: what a run spent, by stage and kind of work.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::machine::clock::Elapsed;
use crate::machine::energy::Energy;
use crate::machine::work::{Amount, Costs, Work};

/// Limits on what a run may spend; the first one reached ends it. Absent: no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// US dollars, at the recipe's prices.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub dollars: Option<f64>,
    /// Floating-point operations.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub flops: Option<f64>,
    /// Minutes of wall time.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub minutes: Option<f64>,
    /// Tokens, trained and generated together.
    #[schemars(range(min = 1))]
    pub tokens: Option<u64>,
    /// Joules of energy, where a meter can be read or `prices.watts` is stated.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub joules: Option<f64>,
}

/// Prices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// US dollars for an hour of one processor core.
    #[schemars(range(min = 0.0))]
    pub usd_per_core_hour: f64,
    /// US dollars for an hour of one accelerator.
    #[schemars(range(min = 0.0))]
    pub usd_per_device_hour: f64,
    /// Watts that the machine draws during the run, for an estimate of energy where no meter can be read; absent: the
    /// energy is unknown there.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub watts: Option<f64>,
}

impl Default for Prices {
    fn default() -> Self {
        Self { usd_per_core_hour: 0.04, usd_per_device_hour: 2.0, watts: None }
    }
}

/// An amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Operations of the products that the model needs.
    pub flops: f64,
    /// Further operations of products: recomputed or masked.
    #[serde(default)]
    pub surplus_flops: f64,
    /// Seconds of wall time.
    pub wall_s: f64,
    /// Seconds of processor time.
    pub cpu_s: f64,
    /// Tokens that went through the policy.
    pub tokens: u64,
}

impl Spent {
    /// An amount of work that took `elapsed`.
    pub fn new(elapsed: Elapsed, amount: Amount) -> Self {
        Self {
            flops: amount.flops as f64,
            surplus_flops: amount.surplus_flops as f64,
            wall_s: elapsed.wall_s,
            cpu_s: elapsed.cpu_s,
            tokens: amount.tokens,
        }
    }

    fn add(&mut self, other: Self) {
        self.flops += other.flops;
        self.surplus_flops += other.surplus_flops;
        self.wall_s += other.wall_s;
        self.cpu_s += other.cpu_s;
        self.tokens += other.tokens;
    }

    /// The part of this amount that `earlier`, a former state of it, does not have.
    fn beyond(self, earlier: Self) -> Self {
        Self {
            flops: (self.flops - earlier.flops).max(0.0),
            surplus_flops: (self.surplus_flops - earlier.surplus_flops).max(0.0),
            wall_s: (self.wall_s - earlier.wall_s).max(0.0),
            cpu_s: (self.cpu_s - earlier.cpu_s).max(0.0),
            tokens: self.tokens.saturating_sub(earlier.tokens),
        }
    }
}

/// The account of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Amounts by kind of work.
    pub work: BTreeMap<Work, Spent>,
    /// Completions that were judged in training.
    pub verifier_calls: u64,
    /// Those among them that could not be judged.
    #[serde(default)]
    pub verifier_errors: u64,
    /// Right answers among the others.
    pub correct: u64,
    /// Tokens of the updates.
    pub tokens_trained: u64,
    /// Tokens drawn for training.
    pub tokens_generated: u64,
    /// Energy, as far as it is known.
    #[serde(default)]
    pub energy: Energy,
    /// Seconds of accelerators.
    #[serde(default)]
    pub device_s: f64,
    /// The results on each set of held-out questions.
    #[serde(default)]
    pub held_out: BTreeMap<String, HeldOut>,
}

/// Which held-out questions had right answers when a stage first and last judged them: `1` right, `0` wrong, `?` never
/// judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    first: String,
    last: String,
}

impl HeldOut {
    /// Records which questions are solved now; `None` for one that could not be judged, whose last result stays.
    pub fn note(&mut self, solved: &[Option<bool>]) {
        // A different set of questions starts again.
        if self.first.len() != solved.len() {
            self.first = "?".repeat(solved.len());
            self.last = self.first.clone();
        }
        let now = |(known, solved): (char, &Option<bool>)| match solved {
            Some(true) => '1',
            Some(false) => '0',
            None => known,
        };
        self.last = self.last.chars().zip(solved).map(now).collect();
        let first = self.first.chars().zip(self.last.chars());
        self.first = first.map(|(first, last)| if first == '?' { last } else { first }).collect();
    }

    /// Questions that are solved at the last measurement and were not at the first.
    pub fn newly_solved(&self) -> u64 {
        self.first.bytes().zip(self.last.bytes()).filter(|pair| *pair == (b'0', b'1')).count() as u64
    }
}

impl Account {
    fn total(&self) -> Spent {
        let mut total = Spent::default();
        for spent in self.work.values() {
            total.add(*spent);
        }
        total
    }

    /// The time of one kind of work.
    pub fn elapsed(&self, work: Work) -> Elapsed {
        let spent = self.work.get(&work).copied().unwrap_or_default();
        Elapsed { wall_s: spent.wall_s, cpu_s: spent.cpu_s }
    }

    /// The share of wall time for posing and judging, and what it took; `None` if nothing was judged.
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
        self.verifier_errors += other.verifier_errors;
        self.correct += other.correct;
        self.tokens_trained += other.tokens_trained;
        self.tokens_generated += other.tokens_generated;
        self.energy.add(other.energy);
        self.device_s += other.device_s;
    }

    /// Held-out questions that this stage has learned to solve.
    fn newly_solved(&self) -> u64 {
        self.held_out.values().map(HeldOut::newly_solved).sum()
    }

    fn cost_usd(&self, prices: &Prices) -> f64 {
        self.total().cpu_s / 3600.0 * prices.usd_per_core_hour
            + self.device_s / 3600.0 * prices.usd_per_device_hour
    }

    fn to_json(&self, prices: &Prices, newly_solved: u64) -> Value {
        let by_kind = |number: &dyn Fn(&Spent) -> Value| -> Map<String, Value> {
            self.work.iter().map(|(work, spent)| (name(*work), number(spent))).collect()
        };
        let total = self.total();
        let cost = self.cost_usd(prices);
        let energy = self.energy.reported();
        let mut value = json!({
            "flops": by_kind(&|spent| json!(spent.flops)),
            "hardware_flops": by_kind(&|spent| json!(spent.flops + spent.surplus_flops)),
            "wall_s": by_kind(&|spent| json!(spent.wall_s)),
            "cpu_s": by_kind(&|spent| json!(spent.cpu_s)),
            "tokens": by_kind(&|spent| json!(spent.tokens)),
            "core_hours": total.cpu_s / 3600.0,
            "device_hours": self.device_s / 3600.0,
            "energy_j": energy.map(|(joules, _)| joules),
            "energy_source": energy.map(|(_, source)| source),
            "model_flops_total": total.flops,
            "hardware_flops_total": total.flops + total.surplus_flops,
            "wall_s_total": total.wall_s,
            "cpu_s_total": total.cpu_s,
            "cost_usd": cost,
            "usd_per_core_hour": prices.usd_per_core_hour,
            "usd_per_device_hour": prices.usd_per_device_hour,
            "tokens_trained": self.tokens_trained,
            "tokens_generated": self.tokens_generated,
            "verifier_calls": self.verifier_calls,
            "verifier_errors": self.verifier_errors,
            "correct": self.correct,
        });
        if self.correct > 0 {
            value["cost_per_correct_usd"] = json!(cost / self.correct as f64);
        }
        if newly_solved > 0 {
            value["newly_solved"] = json!(newly_solved);
            value["cost_per_newly_solved_usd"] = json!(cost / newly_solved as f64);
        }
        value
    }
}

fn name(work: Work) -> String {
    match serde_json::to_value(work) {
        Ok(Value::String(name)) => name,
        _ => unreachable!("a unit variant is written as a string"),
    }
}

/// The ledger of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    stages: Vec<(String, Account)>,
}

impl Ledger {
    /// The account of `stage`; a new one if it has none.
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

    /// Charges work to `stage`.
    pub fn charge(&mut self, stage: &str, work: Work, spent: Spent) {
        self.account(stage).work.entry(work).or_default().add(spent);
    }

    /// Charges `costs` of something that took `elapsed`. Its kinds of work share the time in proportion to their
    /// operations.
    pub fn add(&mut self, stage: &str, costs: &Costs, elapsed: Elapsed) {
        let account = self.account(stage);
        let total: u64 = costs.work.iter().map(|(_, amount)| amount.flops).sum();
        for (number, (work, amount)) in costs.work.iter().enumerate() {
            let share = match total {
                0 => f64::from(u8::from(number == 0)),
                total => amount.flops as f64 / total as f64,
            };
            let part = Elapsed { wall_s: elapsed.wall_s * share, cpu_s: elapsed.cpu_s * share };
            account.work.entry(*work).or_default().add(Spent::new(part, *amount));
        }
        account.tokens_trained += costs.tokens_trained;
        account.tokens_generated += costs.tokens_generated;
        account.verifier_calls += costs.verifier_calls;
        account.verifier_errors += costs.verifier_errors;
        account.correct += costs.correct;
    }

    /// Charges what `later`, the ledger when a run was killed, has beyond this one: as redone if a resume repeats the
    /// work.
    pub fn charge_lost(&mut self, later: &Ledger) {
        for (stage, later) in &later.stages {
            let kept = self.account(stage);
            kept.energy.add(later.energy.beyond(kept.energy));
            kept.device_s = kept.device_s.max(later.device_s);
            for (work, spent) in &later.work {
                let lost = spent.beyond(kept.work.get(work).copied().unwrap_or_default());
                if lost != Spent::default() {
                    let work = if work.is_done_again() { Work::Redone } else { *work };
                    kept.work.entry(work).or_default().add(lost);
                }
            }
        }
    }

    /// Time of all accounts.
    pub fn time(&self) -> Elapsed {
        let total = self.spent();
        Elapsed { wall_s: total.wall_s, cpu_s: total.cpu_s }
    }

    fn spent(&self) -> Spent {
        let mut total = Spent::default();
        for spent in self.stages.iter().flat_map(|(_, account)| account.work.values()) {
            total.add(*spent);
        }
        total
    }

    /// The sum of all accounts.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        for (_, account) in &self.stages {
            total.add(account);
        }
        total
    }

    /// Operations so far that the model needed.
    pub fn flops(&self) -> f64 {
        self.spent().flops
    }

    /// Cost so far, US dollars.
    pub fn cost_usd(&self, prices: &Prices) -> f64 {
        self.stages.iter().map(|(_, account)| account.cost_usd(prices)).sum()
    }

    /// The limit of `budget` that is reached, in words.
    pub fn exhausted(&self, budget: &Budget, prices: &Prices) -> Option<String> {
        let total = self.total();
        let spent = total.total();
        let tokens = total.tokens_trained + total.tokens_generated;
        let over = |limit: Option<f64>, spent: f64, unit: &str| {
            let limit = limit?;
            // Dollars are small and operations many: show only the digits that are needed.
            let shown = if spent >= 1e6 { format!("{spent:.4e}") } else { format!("{spent:.7}") };
            let shown = if shown.contains('e') {
                shown
            } else {
                shown.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            (spent >= limit).then(|| format!("{shown} of {limit} {unit} spent"))
        };
        over(budget.dollars, total.cost_usd(prices), "dollars")
            .or_else(|| over(budget.flops, spent.flops, "FLOPs"))
            .or_else(|| over(budget.minutes, spent.wall_s / 60.0, "minutes"))
            .or_else(|| over(budget.tokens.map(|limit| limit as f64), tokens as f64, "tokens"))
            .or_else(|| {
                over(budget.joules, total.energy.reported().map_or(0.0, |(joules, _)| joules), "joules")
            })
    }

    /// The share of wall time for posing and judging in each stage that judges.
    pub fn verifying_shares(&self) -> BTreeMap<&str, f64> {
        let shares = self.stages.iter();
        shares.filter_map(|(name, account)| Some((name.as_str(), account.verifying()?.0))).collect()
    }

    /// `ledger.json`.
    pub fn to_json(&self, prices: &Prices) -> Value {
        let stages: Map<String, Value> = self
            .stages
            .iter()
            .map(|(name, account)| (name.clone(), account.to_json(prices, account.newly_solved())))
            .collect();
        let newly_solved = self.stages.iter().map(|(_, account)| account.newly_solved()).sum();
        json!({ "total": self.total().to_json(prices, newly_solved), "stages": stages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::energy::EnergySource;

    fn spent(cpu_s: f64, flops: f64) -> Spent {
        Spent { flops, surplus_flops: 1.0, wall_s: cpu_s / 2.0, cpu_s, tokens: 10 }
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
        let budget = Budget { joules: Some(7.0), ..Budget::default() };
        assert!(ledger.exhausted(&budget, &prices).is_none());
        ledger.account("a").energy = Energy::known(7.0, EnergySource::Rapl);
        assert!(ledger.exhausted(&budget, &prices).is_some_and(|why| why.contains("joules")));
    }

    #[test]
    fn what_is_not_done_again_is_paid_but_not_redone() {
        let mut kept = Ledger::default();
        kept.charge("a", Work::Forward, spent(10.0, 5.0));
        let mut killed = kept.clone();
        killed.charge("a", Work::Checkpoint, spent(1.0, 0.0));
        killed.charge("a", Work::Records, spent(2.0, 0.0));
        killed.account("a").energy = Energy::known(3.0, EnergySource::TdpEstimate);
        kept.charge_lost(&killed);
        assert!(!kept.account("a").work.contains_key(&Work::Redone));
        assert_eq!(kept, killed);
    }

    #[test]
    fn newly_solved_questions_share_what_their_stage_cost() {
        let prices = Prices { usd_per_core_hour: 3600.0, ..Prices::default() };
        let mut ledger = Ledger::default();
        ledger.charge("a", Work::Forward, spent(6.0, 5.0));
        let questions = ledger.account("a").held_out.entry("q".to_owned()).or_default();
        questions.note(&[Some(false), Some(true), Some(false), None]);
        questions.note(&[Some(true), Some(false), Some(true), Some(true)]);
        assert_eq!(questions.newly_solved(), 2);
        let json = ledger.to_json(&prices);
        assert_eq!(json["stages"]["a"]["cost_per_newly_solved_usd"], 3.0);
        assert_eq!(json["total"]["newly_solved"], 2);
        assert!(json["total"].get("cost_per_correct_usd").is_none());
        let other = ledger.account("a").held_out.entry("q".to_owned()).or_default();
        other.note(&[Some(true)]);
        assert_eq!(other.newly_solved(), 0, "a different set of questions starts again");
    }

    #[test]
    fn model_and_hardware_operations_are_two_figures_and_energy_may_be_unknown() {
        let mut ledger = Ledger::default();
        ledger.charge("a", Work::Backward, spent(1.0, 5.0));
        let total = &ledger.to_json(&Prices::default())["total"];
        assert_eq!(
            (&total["flops"]["backward"], &total["hardware_flops"]["backward"]),
            (&json!(5.0), &json!(6.0))
        );
        assert_eq!((&total["energy_j"], &total["energy_source"]), (&Value::Null, &Value::Null));
        ledger.account("a").energy = Energy::known(3.0, EnergySource::TdpEstimate);
        ledger.account("a").device_s = 7200.0;
        let total = &ledger.to_json(&Prices { usd_per_device_hour: 2.0, ..Prices::default() })["total"];
        assert_eq!((&total["energy_j"], &total["energy_source"]), (&json!(3.0), &json!("tdp_estimate")));
        assert_eq!(total["device_hours"], 2.0);
        assert!((total["cost_usd"].as_f64().unwrap() - 4.0 - 0.04 / 3600.0).abs() < 1e-9);
    }
}
