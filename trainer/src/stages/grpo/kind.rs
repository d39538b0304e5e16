//! What plans, estimates, the doctor and audits know about a stage of GRPO.

use thinkling_datasets::pool::{Pool, PoolSettings, PoolState};

use super::settings::{FlatGroups, Grpo};
use crate::kernels::precision::Precision;
use crate::learn::evaluate::Evaluation;
use crate::learn::reward::Control;
use crate::policy::footprint::Footprint;
use crate::recipe::{Checker, StagePath};
use crate::stages::StagePlan;
use crate::stages::finding::{Finding, percent};
use crate::stages::kind::{
    Learning, MeanLengths, Rates, ReadinessAction, Rewarding, StageKind, StageWork, measurements,
};
use crate::stages::run::Run;
use crate::stages::stop::{Status, TrainError};

/// First index of the questions; those of a corpus start at 0.
const FIRST_QUESTION: u64 = 1 << 63;
/// 3e-4 works; 1e-3 degrades or collapses while length stays high.
const RATES: Rates = Rates { works: 3e-4, odd: 2.0, wrong: 3.0 };
/// In smaller groups most rewards are all equal, or their mean is mostly noise.
const SMALL_GROUP: usize = 4;

impl StageKind for Grpo {
    fn needs(&self) -> &'static [&'static str] {
        &["steps", "max_new_tokens"]
    }

    fn check(&self, at: StagePath<'_>, checker: &mut Checker<'_>) {
        let (prompts, minibatches) = (self.prompts, self.minibatches);
        if !prompts.is_multiple_of(minibatches) {
            let keys = (at.key("minibatches"), at.key("prompts"));
            let message = format!("{minibatches} minibatches do not divide {prompts} prompts");
            let help = format!("a group is never cut: `{}` must divide `{}`", keys.0, keys.1);
            checker.mistake(&[&keys.0, &keys.1], message, [help]);
        }
        self.check_pool(at, checker);
        let longest = self.max_new_tokens as u64;
        let highest: f64 =
            self.rewards.rewards.iter().map(|reward| reward.weight * reward.most(longest)).sum();
        if let Some(stop) = self.early_stop.filter(|stop| stop.reward > highest) {
            let message = format!(
                "stage `{}` never stops early: no reward exceeds {highest}, {} is asked",
                at.name, stop.reward
            );
            checker.warn(&[&at.key("early_stop.reward"), &at.key("rewards")], message);
        }
        if self.kl.kl_reference_every > 0 && self.kl.kl_coefficient == 0.0 {
            let every = at.key("kl_reference_every");
            let message = format!("`{every}` has no effect with kl_coefficient = 0");
            checker.warn(&[&every, &at.key("kl_coefficient")], message);
        }
        if self.refill_rounds != Self::default().refill_rounds && self.flat_groups != FlatGroups::Refill {
            let rounds = at.key("refill_rounds");
            let message = format!("`{rounds}` has no effect without flat_groups = \"refill\"");
            checker.warn(&[&rounds, &at.key("flat_groups")], message);
        }
    }

    fn fill(&mut self, precision: Precision) {
        for reward in &mut self.rewards.rewards {
            reward.name = Some(reward.name().to_owned());
        }
        self.importance_cap.get_or_insert(if precision == Precision::Bf16 { 2.0 } else { 0.0 });
    }

    fn learning(&self) -> Option<Learning<'_>> {
        let questions = self.steps.saturating_mul(self.prompts as u64);
        Some(Learning {
            steps: self.steps,
            rows_per_step: (self.prompts as u64).saturating_mul(self.group_size as u64),
            updates_per_step: (self.minibatches as u64).saturating_mul(self.epochs as u64),
            questions: FIRST_QUESTION..FIRST_QUESTION.saturating_add(questions),
            optimizer: &self.optimizer,
            bias_update_speed: self.bias_update_speed,
            evaluate_every: self.evaluate_every,
        })
    }

    fn rewards(&self) -> Option<Rewarding<'_>> {
        Some(Rewarding {
            settings: &self.rewards,
            advantage: &self.advantage,
            sampling: self.sampling.sampling(),
            max_new_tokens: self.max_new_tokens,
            prompts: self.prompts,
            group_size: self.group_size,
            readiness: self.readiness,
            may_end_early: self.early_stop.is_some(),
        })
    }

    fn evaluation(&self) -> Evaluation {
        self.evaluation.clone()
    }

    fn sampled_at_once(&self) -> (usize, usize) {
        (self.prompts, self.group_size)
    }

    fn work(&self, _stage: &StagePlan, lengths: MeanLengths, size: &Footprint) -> StageWork {
        let MeanLengths { prompt, taught, longest, .. } = lengths;
        let mut work = StageWork::default();
        // Lengths grow from those of the base model to those of the longest solutions.
        let between = f64::midpoint(taught, longest);
        let steps = self.steps as f64;
        let rows = (self.prompts * self.group_size) as f64;
        work.draw(size, steps * self.prompts as f64, self.group_size as f64, prompt, between);
        let row = prompt + between - 1.0;
        let forward = size.forward_targets(row, between).get();
        let passes = f64::from(u8::from(self.kl.kl_coefficient > 0.0))
            + f64::from(u8::from(self.epochs * self.minibatches > 1));
        if self.rewards.control != Control::NoRl {
            let trained = self.epochs as f64 * size.train_targets(row, between).get();
            work.update_flops += steps * rows * (passes * forward + trained);
            work.updates += steps * (self.minibatches * self.epochs) as f64;
            work.trained += steps * rows * self.epochs as f64 * between;
        }
        let first = self.evaluation.count.max(match self.readiness.action {
            ReadinessAction::Off => 0,
            _ => self.readiness.samples,
        });
        work.evaluate(size, first, 1, prompt, taught);
        for _ in 0..measurements(self.steps, self.evaluate_every) {
            work.evaluate(size, self.evaluation.count, 1, prompt, longest);
        }
        work
    }

    fn findings(&self, stage: &StagePlan, hidden_size: usize) -> Vec<Finding> {
        let mut findings =
            vec![self.batch(stage), RATES.finding(stage, self.optimizer.learning_rate, hidden_size)];
        if self.rewards.control != Control::None {
            let seen = "a control experiment, which is not meant to learn".to_owned();
            let change = "control = \"none\" for a run that learns".to_owned();
            findings.push(Finding::warning("control", stage, seen, change));
        }
        findings
    }

    fn pool(&self) -> Option<PoolSettings> {
        self.pool
    }

    fn run(&self, stage: &StagePlan, run: &mut Run) -> Result<Status, TrainError> {
        super::run(stage, self, run)
    }
}

impl Grpo {
    fn check_pool(&self, at: StagePath<'_>, checker: &mut Checker<'_>) {
        let Some(settings) = self.pool else { return };
        let path = at.key("pool");
        if let Err(error) = Pool::resume(settings, PoolState::default()) {
            checker.mistake(&[&format!("{path}.{}", error.key)], error.to_string(), []);
        } else if settings.size < self.prompts {
            let help = format!("make it {} or more: each batch is drawn from the pool", self.prompts);
            let size = format!("{path}.size");
            checker.mistake(
                &[&size, &path],
                format!("`{size}` is {}, fewer than `prompts`", settings.size),
                [help],
            );
        }
    }

    /// Describes the batch; a group of one has nothing to compare itself with.
    fn batch(&self, stage: &StagePlan) -> Finding {
        let Self { prompts, group_size, minibatches, epochs, max_new_tokens, steps, .. } = *self;
        let sequences = prompts * group_size;
        if group_size < 2 {
            let seen = format!(
                "group_size = {group_size}: an advantage is the distance from the group's mean, which is always 0 in a group \
                 of one"
            );
            return Finding::error("group", stage, seen, "group_size = 16 (8 to 64 are usual)".to_owned());
        }
        if group_size < SMALL_GROUP {
            let seen = format!(
                "group_size = {group_size}: with a chance of one half, {} of the groups are all right or all wrong and \
                 teach nothing",
                percent(2.0 * 0.5_f64.powi(group_size as i32))
            );
            return Finding::warning("group", stage, seen, "group_size = 16 (8 to 64 are usual)".to_owned());
        }
        let updates = minibatches * epochs;
        let seen = format!(
            "{prompts} questions × {group_size} completions = {sequences} sequences per step; {updates} update{} per step \
             of {} sequences each; at most {} new tokens per step; {steps} steps ask {} questions",
            if updates == 1 { "" } else { "s" },
            sequences / minibatches.max(1),
            sequences * max_new_tokens,
            prompts as u64 * steps,
        );
        Finding::ok("group", Some(stage), seen)
    }
}
