//! The batch of a step: questions, then completions, scored completions and samples. Each has its own type.

use std::sync::Arc;

use candle_core::Result;
use thinkling_datasets::Question;

use super::score::Judged;
use crate::data::task::Task;
use crate::machine::work::{Costed, Costs, Work};
use crate::policy::rollout::{Completion, Request, Rollout};
use crate::policy::{Policy, Scores, Sequence};

/// Groups of completions, one per question.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// In the order of the questions.
    pub groups: Vec<Group<T>>,
}

/// A question with the members of its group.
#[derive(Clone, Debug)]
pub struct Group<T> {
    /// The question.
    pub question: Question,
    /// Its task.
    pub task: Arc<Task>,
    /// The number of the question in its stage.
    pub index: u64,
    /// The question as tokens.
    pub prompt: Vec<u32>,
    /// In the order of their numbers.
    pub members: Vec<T>,
}

/// A completion with its verdict and reward.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The completion.
    pub completion: Completion,
    /// Verdict and reward.
    pub judged: Judged,
}

/// A scored completion with its advantage.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The completion, its verdict and reward.
    pub scored: Scored,
    /// Its advantage; `None` if it is left out of the update.
    pub advantage: Option<f64>,
    tokens: Vec<u32>,
    /// Log-probabilities of the completion's tokens under the policy that sampled, in the training forward; `None`: those of the
    /// update's forward.
    pub(super) old: Option<Vec<f32>>,
    /// The same under the KL reference.
    pub(super) reference: Option<Vec<f32>>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// All members, group by group.
    pub fn members(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| &group.members)
    }
}

impl<T> Group<T> {
    /// The same group with other members.
    pub fn with<U>(self, members: Vec<U>) -> Group<U> {
        let Self { question, task, index, prompt, .. } = self;
        Group { question, task, index, prompt, members }
    }
}

impl Batch<()> {
    /// The requests for `samples` completions of each question.
    pub fn requests(&self, samples: usize, [stage, step]: [u64; 2]) -> Vec<Request<'_>> {
        let groups = self.groups.iter();
        groups
            .map(|one| Request { prompt: &one.prompt, samples, address: [stage, step, one.index] })
            .collect()
    }

    /// The batch with its completions.
    pub fn completed(self, rollout: Rollout) -> Batch<Completion> {
        let groups = self.groups.into_iter().zip(rollout.completions);
        Batch { groups: groups.map(|(group, completions)| group.with(completions)).collect() }
    }
}

impl Costed for Batch<()> {
    fn costs(&self) -> Costs {
        Costs::of(Work::Data)
    }
}

impl Costed for Batch<Scored> {
    fn costs(&self) -> Costs {
        let verifier_calls = self.members().count() as u64;
        let errors = self.members().filter(|one| one.judged.is_error()).count() as u64;
        let is_correct = |one: &&Scored| one.judged.is_correct() && !one.judged.is_error();
        let correct = self.members().filter(is_correct).count() as u64;
        Costs { verifier_calls, verifier_errors: errors, correct, ..Costs::of(Work::Verifier) }
    }
}

impl Batch<Scored> {
    /// The share of correct answers of each group among those that could be judged.
    pub fn pass_rates(&self) -> impl Iterator<Item = Option<f64>> {
        self.groups.iter().map(|group| {
            let judged: Vec<f64> = group
                .members
                .iter()
                .filter(|one| !one.judged.is_error())
                .map(|one| f64::from(one.judged.is_correct()))
                .collect();
            (!judged.is_empty()).then(|| mean(judged))
        })
    }

    /// The mean reward of the completions that have one; `None` if no completion has.
    pub fn mean_reward(&self) -> Option<f64> {
        let rewards: Vec<f64> = self.groups.iter().flat_map(|group| group.rewards()).collect();
        (!rewards.is_empty()).then(|| mean(rewards))
    }
}

impl Group<Scored> {
    /// The rewards of the members that have one.
    pub fn rewards(&self) -> Vec<f64> {
        self.members.iter().filter_map(|one| one.judged.reward).collect()
    }
}

impl Group<Sample> {
    /// The rewards of the members that have one.
    pub fn rewards(&self) -> Vec<f64> {
        self.members.iter().filter_map(|one| one.scored.judged.reward).collect()
    }
}

impl Sample {
    /// The sample of a scored completion.
    pub fn new(prompt: &[u32], scored: Scored, advantage: Option<f64>) -> Self {
        let tokens = prompt.iter().chain(&scored.completion.tokens).copied().collect();
        Self { scored, advantage, tokens, old: None, reference: None }
    }

    /// Tokens of the completion.
    pub fn length(&self) -> usize {
        self.scored.completion.tokens.len()
    }

    /// The sequence to evaluate; `replay` uses the experts of the rollout again.
    fn sequence(&self, replay: bool) -> Sequence<'_> {
        let routes = replay.then_some(&self.scored.completion.routes[..]);
        Sequence { tokens: &self.tokens, first_target: self.tokens.len() - self.length(), routes }
    }
}

/// The samples of a step, and the minibatches of its updates.
#[derive(Clone, Debug)]
pub struct Samples {
    /// All completions, including those that are left out.
    pub batch: Batch<Sample>,
    /// Number of groups in updates.
    pub groups_used: usize,
    /// The samples of each minibatch: group and member.
    minibatches: Vec<Vec<(usize, usize)>>,
}

impl Samples {
    /// Splits the groups `used` into at most `count` minibatches of whole groups.
    pub fn new(batch: Batch<Sample>, used: &[usize], count: usize) -> Self {
        let in_update = |group: usize| {
            let members = (0..).zip(&batch.groups[group].members);
            let counted = members.filter(|(_, member)| member.advantage.is_some());
            counted.map(move |(member, _): (usize, _)| (group, member)).collect::<Vec<_>>()
        };
        let per_minibatch = used.len().div_ceil(count).max(1);
        let minibatches =
            used.chunks(per_minibatch).map(|part| part.iter().copied().flat_map(in_update).collect());
        let minibatches = minibatches.filter(|minibatch: &Vec<_>| !minibatch.is_empty()).collect();
        Self { groups_used: used.len(), minibatches, batch }
    }

    /// The number of minibatches.
    pub fn minibatch_count(&self) -> usize {
        self.minibatches.len()
    }

    /// The minibatch with this number.
    pub fn minibatch(&self, number: usize) -> Minibatch<'_> {
        let sample = |(group, member): &(usize, usize)| &self.batch.groups[*group].members[*member];
        Minibatch { samples: self.minibatches[number].iter().map(sample).collect() }
    }

    /// Stores the log-probabilities under the KL reference. It chooses its own experts.
    pub fn fill_reference(&mut self, policy: &mut dyn Policy, temperature: f32) -> Result<Scores> {
        self.fill(policy, temperature, false, |sample, values| sample.reference = Some(values))
    }

    /// Stores the log-probabilities under the policy that sampled.
    pub fn fill_old(&mut self, policy: &mut dyn Policy, temperature: f32, replay: bool) -> Result<Scores> {
        self.fill(policy, temperature, replay, |sample, values| sample.old = Some(values))
    }

    /// Returns the work of the passes, without their values.
    fn fill(
        &mut self,
        policy: &mut dyn Policy,
        temperature: f32,
        replay: bool,
        keep: impl Fn(&mut Sample, Vec<f32>),
    ) -> Result<Scores> {
        let mut all = Scores::default();
        for number in 0..self.minibatches.len() {
            let minibatch = self.minibatch(number);
            let scores = policy.scores(&minibatch.sequences(replay), temperature)?;
            all.forward += scores.forward;
            for ((group, member), values) in self.minibatches[number].iter().zip(scores.log_probabilities) {
                keep(&mut self.batch.groups[*group].members[*member], values);
            }
        }
        Ok(all)
    }
}

/// The samples of one update.
#[derive(Clone, Debug)]
pub struct Minibatch<'a> {
    /// Group by group.
    pub samples: Vec<&'a Sample>,
}

impl Minibatch<'_> {
    /// The sequences to evaluate; `replay` uses the experts of the rollout again.
    pub fn sequences(&self, replay: bool) -> Vec<Sequence<'_>> {
        self.samples.iter().map(|sample| sample.sequence(replay)).collect()
    }

    /// Tokens of the completions.
    pub fn tokens(&self) -> usize {
        self.samples.iter().map(|sample| sample.length()).sum()
    }
}

/// The mean, or 0 without values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}
