//! Checks that an update reaches every parameter: one forward, backward and step on worked solutions.

use std::ops::Range;

use thinkling_datasets::seed::Stream;
use thinkling_datasets::{SolutionKind, Split};
use thinkling_verifiers::answer;

use super::{Base, DoctorError, Finding, Patient};
use crate::data::tokenizer::{END, Tokenizer};
use crate::kernels::precision::Precision;
use crate::plan::{Plan, Stage};
use crate::policy::balance::{add_loads, balance_biases};
use crate::policy::loss::NextToken;
use crate::policy::optimizer::{self, AdamW};
use crate::policy::{Alone, CpuPolicy, Parameters, Policy, Sequence, Snapshot};
use crate::stages::kind::Learning;

const DOCUMENTS: u64 = 64;
/// Passes that try the stage's load balancing on an expert without tokens.
const BALANCING_PASSES: u64 = 40;
/// Smaller probabilities never occur in a run.
const UNREACHABLE: f64 = 1e-6;
/// A tensor whose gradient per number is smaller than the whole gradient's by this factor gets none: it is rounding.
const ROUNDING: f64 = 1e-6;
const SHOWN: usize = 3;

struct Subject<'a> {
    stage: &'a Stage,
    tokenizer: &'a Tokenizer,
    policy: Box<dyn Policy>,
    updates: u64,
    bias_update_speed: f64,
    learning_rate: f64,
    adamw: optimizer::AdamWSettings,
    seed: u64,
}

/// The initial policy of the first stage, with random weights.
pub(super) fn untrained(plan: &Plan) -> Result<Vec<Finding>, DoctorError> {
    let Some(stage) = plan.stages.iter().find(|stage| stage.settings.kind().learning().is_some()) else {
        return Ok(Vec::new());
    };
    let parameters = Parameters::new(&plan.model, plan.seed);
    let policy = Box::new(CpuPolicy::new(plan.model.clone(), parameters, Precision::Float32));
    examine(plan, stage, &plan.tokenizer, policy)
}

/// The base model before the stage.
pub(super) fn of_base(patient: &Patient<'_>, base: &Base) -> Result<Vec<Finding>, DoctorError> {
    let policy = base.policy.with_weights(&Snapshot::of(base.policy.parameters()))?;
    let mut findings = examine(patient.plan, patient.stage, &base.tokenizer, policy)?;
    // Sampling the base model has checked its end.
    findings.retain(|finding| finding.name != "end_token");
    Ok(findings)
}

fn examine(
    plan: &Plan,
    stage: &Stage,
    tokenizer: &Tokenizer,
    policy: Box<dyn Policy>,
) -> Result<Vec<Finding>, DoctorError> {
    let Some(learning) = stage.settings.kind().learning() else { return Ok(Vec::new()) };
    let Learning { steps, updates_per_step, optimizer, bias_update_speed, .. } = learning;
    let (learning_rate, adamw) = (optimizer.learning_rate, optimizer.adamw());
    let updates = steps.saturating_mul(updates_per_step);
    let seed = plan.seed;
    Subject { stage, tokenizer, policy, updates, bias_update_speed, learning_rate, adamw, seed }.findings()
}

impl Subject<'_> {
    fn findings(mut self) -> Result<Vec<Finding>, DoctorError> {
        let documents = self.documents()?;
        let sequences: Vec<Sequence<'_>> =
            documents.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
        let targets: usize = sequences.iter().map(|sequence| sequence.targets().len()).sum();
        if targets == 0 {
            let seen = "no worked solution fits into the policy's positions".to_owned();
            let change = "model.max_position_embeddings left out".to_owned();
            return Ok(vec![Finding::error("gradient", self.stage, seen, change)]);
        }
        let balance = self.policy.config().aux_loss_alpha / sequences.len() as f32;
        let scores = self.policy.scores(&sequences, 1.0)?;
        let ends = scores.log_probabilities.iter().filter_map(|values| values.last());
        let end = ends.map(|value| f64::from(*value).exp()).sum::<f64>() / sequences.len() as f64;
        let pass = self.policy.gradient(&sequences, 1.0, balance, &NextToken::over(targets), &Alone)?;
        let gradient = self.policy.last_gradient().to_vec();
        let mut findings = vec![self.gradient(&gradient, &pass.expert_loads, pass.measured.loss)];
        // No probability exists if the weights are not finite.
        if !findings[0].is_error() {
            findings.push(self.end_token(end));
        }
        if self.policy.config().has_experts() {
            findings.push(self.experts(&sequences, pass.expert_loads)?);
        }
        Ok(findings)
    }

    /// Whether the end of a worked solution can be sampled; `end` is its mean probability.
    fn end_token(&self, end: f64) -> Finding {
        let seen = format!(
            "after a worked solution the policy ends with probability {end:.2e} (token {}, `{END}`)",
            self.tokenizer.end()
        );
        if end < UNREACHABLE {
            let change = "model.initializer_range = 0.05, or another base model".to_owned();
            return Finding::error("end_token", self.stage, seen, change);
        }
        Finding::ok("end_token", Some(self.stage), seen)
    }

    /// Worked solutions of every kind of the task, as tokens with the end symbol; those that do not fit are left out.
    fn documents(&self) -> Result<Vec<Vec<u32>>, DoctorError> {
        let task = &self.stage.task;
        let dataset = task.dataset(self.seed)?;
        let longest = self.policy.config().max_position_embeddings + 1;
        let mut documents = Vec::new();
        for index in 0..DOCUMENTS {
            let problem = dataset.question(Split::Train, index)?.problem;
            let kinds = SolutionKind::ALL.into_iter().cycle().skip(index as usize % SolutionKind::ALL.len());
            let mut stream = Stream::at("doctor/document", self.seed, &[index]);
            let solution = kinds
                .take(SolutionKind::ALL.len())
                .find_map(|kind| task.domain.solve(&problem, kind, &mut stream));
            let completion = solution.map_or_else(
                || answer::compose("", &problem.answer),
                |solution| answer::compose(&solution.thinking, &solution.answer),
            );
            if let Ok(mut tokens) = self.tokenizer.encode(&(problem.prompt + &completion)) {
                tokens.push(self.tokenizer.end());
                if tokens.len() <= longest {
                    documents.push(tokens);
                }
            }
        }
        Ok(documents)
    }

    /// Whether every tensor gets a finite gradient other than 0, and one step leaves finite weights. Experts without
    /// tokens have their own check.
    fn gradient(&mut self, gradient: &[f32], loads: &[Vec<u64>], loss: f64) -> Finding {
        let layers: Vec<usize> = self.policy.config().sparse_layers().collect();
        let is_unchosen = |name: &str| {
            layers.iter().zip(loads).any(|(layer, loads)| {
                loads.iter().enumerate().any(|(expert, load)| {
                    *load == 0 && name.starts_with(&format!("model.layers.{layer}.mlp.experts.{expert}."))
                })
            })
        };
        let slots = &self.policy.parameters().layout.slots;
        let of = |range: &Range<usize>| &gradient[range.clone()];
        let names = |is_bad: &dyn Fn(&[f32]) -> bool| -> Vec<&str> {
            let bad = slots.iter().filter(|slot| is_bad(of(&slot.range)) && !is_unchosen(&slot.name));
            bad.map(|slot| slot.name.as_str()).collect()
        };
        let shown = |names: &[&str]| {
            let more = if names.len() > SHOWN { ", …" } else { "" };
            format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
        };
        let broken = names(&|values| values.iter().any(|value| !value.is_finite()));
        if !broken.is_empty() || !loss.is_finite() {
            let seen = format!(
                "a loss of {loss}; the gradient of {} of {} tensors is not finite: {}",
                broken.len(),
                slots.len(),
                shown(&broken)
            );
            let change = "model.initializer_range = 0.05, or another base model".to_owned();
            return Finding::error("gradient", self.stage, seen, change);
        }
        let scale = optimizer::norm(gradient) / (gradient.len() as f64).sqrt();
        let cut = names(&|values| optimizer::norm(values) <= ROUNDING * scale * (values.len() as f64).sqrt());
        if !cut.is_empty() {
            let config = self.policy.config();
            let is_router = cut.iter().all(|name| name.ends_with("mlp.gate.weight"));
            let change = if is_router && config.num_experts_per_tok == 1 && config.norm_topk_prob {
                "model.num_experts_per_tok = 2, or model.norm_topk_prob = false: with one expert and a gate \
                 scaled to 1 the router learns nothing"
            } else {
                "model settings that leave these tensors something to do"
            };
            let seen =
                format!("no gradient reaches {} of {} tensors: {}", cut.len(), slots.len(), shown(&cut));
            return Finding::error("gradient", self.stage, seen, change.to_owned());
        }
        let count = slots.len();
        let norm = optimizer::norm(gradient);
        let mut weights = self.policy.parameters().values.clone();
        let mut optimizer = AdamW::new(weights.len());
        let layout = &self.policy.parameters().layout;
        optimizer.update(layout, &mut weights, gradient, norm, self.learning_rate, &self.adamw);
        if weights.iter().any(|weight| !weight.is_finite()) {
            let seen =
                format!("one update with a gradient of norm {norm:.3e} leaves weights that are not finite");
            let change = format!("stage.{}.learning_rate lower, or epsilon = 1e-8", self.stage.name);
            return Finding::error("gradient", self.stage, seen, change);
        }
        let seen = format!(
            "a finite gradient, not 0, reaches each of {count} tensors except those of unused experts; loss {loss:.3}, \
             norm {norm:.3}"
        );
        Finding::ok("gradient", Some(self.stage), seen)
    }

    /// Whether some token chooses each expert, now or after the recipe's load balancing.
    fn experts(
        &mut self,
        sequences: &[Sequence<'_>],
        mut loads: Vec<Vec<u64>>,
    ) -> Result<Finding, DoctorError> {
        let unchosen = |loads: &[Vec<u64>]| loads.iter().flatten().filter(|load| **load == 0).count();
        let all: usize = loads.iter().map(Vec::len).sum();
        let tokens: usize = sequences.iter().map(Sequence::rows).sum();
        let at_first = unchosen(&loads);
        let mut passes = self.updates.min(BALANCING_PASSES);
        let speed = self.bias_update_speed * self.updates as f64 / passes.max(1) as f64;
        let mut biases = self.policy.parameters().expert_biases.clone();
        let mut latest = loads.clone();
        while unchosen(&loads) > 0 && passes > 0 && speed > 0.0 {
            balance_biases(&mut biases, &latest, speed as f32);
            self.policy.change(&mut |parameters| parameters.expert_biases.clone_from(&biases))?;
            latest = self.policy.scores(sequences, 1.0)?.expert_loads;
            add_loads(&mut loads, &latest);
            passes -= 1;
        }
        let dead = unchosen(&loads);
        if dead == 0 {
            let later = if at_first > 0 {
                format!("; {at_first} of them only once their bias has risen")
            } else {
                String::new()
            };
            let seen = format!("each of {all} routed experts is chosen by some of {tokens} tokens{later}");
            return Ok(Finding::ok("experts", Some(self.stage), seen));
        }
        let balancing = if speed > 0.0 {
            format!(
                "bias_update_speed = {} does not fix it in {} updates",
                self.bias_update_speed, self.updates
            )
        } else {
            "bias_update_speed = 0 leaves them so".to_owned()
        };
        let seen = format!(
            "{dead} of {all} routed experts are chosen by none of {tokens} tokens (dead), and {balancing}"
        );
        let change = format!(
            "stage.{}.bias_update_speed = 0.001 or more, model.n_routed_experts at most {}, or another base model",
            self.stage.name,
            (all / loads.len().max(1)).saturating_sub(dead.div_ceil(loads.len().max(1))).max(1)
        );
        Ok(Finding::error("experts", self.stage, seen, change))
    }
}
