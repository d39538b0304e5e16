//! What a run learns with: the policy and all other state that the next step depends on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StagePlan;
use super::state::State;
use super::stop::TrainError;
use crate::data::curriculum::{Curriculum, CurriculumState};
use crate::data::tokenizer::Tokenizer;
use crate::learn::batch::mean;
use crate::machine::work::{Costed, Costs, Work};
use crate::policy::optimizer::{AdamStep, AdamW, AdamWSettings, OptimizerSettings};
use crate::policy::parameters::Tensors;
use crate::policy::{Collective, Pass, Policy, Snapshot};

#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    pub reward: f64,
    /// The step that measured them.
    pub step: u64,
    pub weights: Snapshot,
}

/// The policy and all other state that the next step of a stage depends on.
pub struct Learner {
    pub policy: Box<dyn Policy>,
    /// The processes that train it together.
    pub ranks: Arc<dyn Collective>,
    pub tokenizer: Tokenizer,
    /// Chooses the next questions.
    pub curriculum: Curriculum,
    pub optimizer: AdamW,
    /// Finished steps of the stage.
    pub step: u64,
    /// Updates in a row that were skipped.
    pub bad_steps: u64,
    pub recent: VecDeque<f64>,
    pub best: Option<Arc<Best>>,
    pub reference: Option<Arc<Snapshot>>,
}

#[derive(Clone, Copy, Debug)]
pub struct UpdateSettings {
    pub learning_rate: f64,
    pub adamw: AdamWSettings,
    /// Step of the experts' load bias after the update.
    pub bias_update_speed: f64,
}

impl UpdateSettings {
    /// The settings of step `step` (from 1) of `steps`.
    pub fn of(optimizer: &OptimizerSettings, step: u64, steps: u64, bias_update_speed: f64) -> Self {
        Self { learning_rate: optimizer.rate(step, steps), adamw: optimizer.adamw(), bias_update_speed }
    }
}

/// A pass and whether its gradient was applied; it is skipped if it is not finite.
#[derive(Clone, Debug)]
pub struct Applied {
    pub pass: Pass,
    pub is_applied: bool,
    /// Target tokens of the pass.
    pub tokens: u64,
}

impl Applied {
    /// A note about an update that was skipped.
    pub fn note(&self) -> Option<String> {
        let Pass { measured, norm, .. } = &self.pass;
        let loss = measured.loss;
        (!self.is_applied)
            .then(|| format!("an update with loss {loss} and gradient norm {norm} was not applied"))
    }
}

impl Costed for Applied {
    fn costs(&self) -> Costs {
        Costs { tokens_trained: self.tokens, ..Costs::of(Work::Optimizer) }
    }
}

impl Learner {
    /// Starts `stage` with the current weights.
    pub fn begin_stage(&mut self, stage: &StagePlan, seed: u64) -> Result<(), TrainError> {
        self.curriculum = Curriculum::resume(
            &stage.courses,
            stage.settings.kind().pool(),
            seed,
            &CurriculumState::default(),
        )?;
        self.optimizer = AdamW::new(self.policy.parameters().layout.len);
        (self.step, self.bad_steps) = (0, 0);
        self.recent.clear();
        (self.best, self.reference) = (None, None);
        Ok(())
    }

    /// Continues the stage from a checkpoint.
    pub(super) fn resume(&mut self, state: &State, tensors: &Tensors) {
        let parameters = self.policy.parameters();
        let part = |name: &str| tensors.get(name).map(|(_, values)| values.as_slice());
        let snapshot = |name: &str| {
            let biases = part(&format!("{name}.expert_biases"))?;
            Snapshot::from_parts(parameters, part(&format!("{name}.values"))?, biases)
        };
        let moment = |name| part(name).map_or_else(|| vec![0.0; parameters.layout.len], <[f32]>::to_vec);
        let optimizer =
            AdamW { first: moment("first"), second: moment("second"), updates: state.optimizer_updates };
        let best = state
            .best
            .and_then(|(reward, step)| Some(Arc::new(Best { reward, step, weights: snapshot("best")? })));
        let reference = snapshot("reference").map(Arc::new);
        (self.optimizer, self.best, self.reference) = (optimizer, best, reference);
        (self.step, self.bad_steps) = (state.step, state.bad_steps);
        self.recent.clone_from(&state.recent);
    }

    /// Applies the gradient of `pass` over `tokens` target tokens, unless it or the loss is not finite.
    pub fn apply(
        &mut self,
        pass: Pass,
        tokens: u64,
        update: &UpdateSettings,
    ) -> candle_core::Result<Applied> {
        if !(pass.measured.loss.is_finite() && pass.norm.is_finite()) {
            self.bad_steps += 1;
            return Ok(Applied { pass, is_applied: false, tokens });
        }
        self.bad_steps = 0;
        let step = AdamStep {
            learning_rate: update.learning_rate,
            settings: update.adamw,
            gradient_norm: pass.norm,
            expert_loads: &pass.expert_loads,
            bias_update_speed: update.bias_update_speed,
        };
        self.policy.apply(&mut self.optimizer, &step)?;
        Ok(Applied { pass, is_applied: true, tokens })
    }

    /// Keeps the mean rewards of the last `window` steps and, with `keep_best`, the weights of the best window. These
    /// are the weights that this step sampled from.
    pub fn remember(&mut self, mean_reward: f64, window: usize, keep_best: bool) {
        self.recent.push_back(mean_reward);
        while self.recent.len() > window {
            self.recent.pop_front();
        }
        let reward = self.window_mean();
        let is_best = self.best.as_ref().is_none_or(|best| reward >= best.reward);
        if keep_best && self.recent.len() == window && is_best {
            let weights = Snapshot::of(self.policy.parameters());
            self.best = Some(Arc::new(Best { reward, step: self.step + 1, weights }));
        }
    }

    pub fn window_mean(&self) -> f64 {
        mean(self.recent.iter().copied())
    }

    /// Restores the best weights if the last ones earned less; returns them.
    pub fn restore_best(&mut self) -> candle_core::Result<Option<Arc<Best>>> {
        let reward = self.window_mean();
        let Some(best) = self.best.clone().filter(|best| reward < best.reward) else { return Ok(None) };
        self.policy.change(&mut |parameters| best.weights.restore(parameters))?;
        Ok(Some(best))
    }

    pub fn is_finite(&self) -> bool {
        self.policy.parameters().values.iter().all(|weight| weight.is_finite())
    }
}
