//! Completions to verdicts and rewards.

use std::sync::Arc;

use rayon::prelude::*;
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Behaviours, Domain, Task};
use thinkling_verifiers::{Item, Outcome, Verdict, answer, format};

use crate::recipe::{Control, Overlong, Reward, RewardTerm};
use crate::rollout::{Completion, Group};
use crate::tokenizer::Tokenizer;

/// How a verdict becomes a reward.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Weighted terms.
    pub terms: Vec<Reward>,
    /// What becomes of completions that were cut off.
    pub overlong: Overlong,
    /// A control experiment.
    pub control: Control,
}

/// What is known of one completion once it has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// As text, without the end.
    pub text: String,
    /// What the task's judge says.
    pub verdict: Verdict,
    /// Whether it has the asked form and ended by itself.
    pub is_well_formed: bool,
    /// Whether there is anything between the thinking tags.
    pub is_thinking: bool,
    /// What the thinking shows.
    pub behaviours: Behaviours,
    /// The reward; `None` for a completion that is left out: cut off under `mask`, or not judged because of an error.
    pub reward: Option<f64>,
}

impl Judged {
    /// Whether the item could not be judged.
    pub fn is_error(&self) -> bool {
        self.verdict.outcome == Outcome::Error
    }

    /// Whether it is right and ended by itself.
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}

/// A task with its completions, read and rewarded.
#[derive(Clone, Debug)]
pub struct ScoredGroup {
    /// The question.
    pub task: Task,
    /// Prompt and completions.
    pub group: Group,
    /// One a completion.
    pub judged: Vec<Judged>,
}

/// Reads one completion. One that was cut off is never right, whatever it says.
pub fn judge(domain: &dyn Domain, tokenizer: &Tokenizer, task: &Task, completion: &Completion) -> Judged {
    let end = usize::from(completion.is_finished);
    let text = tokenizer.decode(&completion.tokens[..completion.tokens.len() - end]);
    let item = Item { completion: &text, answer: Some(&task.problem.answer), spec: Some(&task.problem.spec) };
    let verdict = if completion.is_finished {
        domain.judge(&item)
    } else {
        Verdict::malformed("cut off before its end")
    };
    let thinking = answer::thinking(&text).unwrap_or_default();
    Judged {
        is_well_formed: completion.is_finished && format::is_well_formed(&text),
        is_thinking: !thinking.is_empty(),
        behaviours: domain.behaviours(&task.problem, thinking),
        verdict,
        reward: None,
        text,
    }
}

impl Rule {
    /// The reward of a completion; `stream` is its own, for the random control.
    fn reward(&self, judged: &Judged, is_finished: bool, stream: &mut Stream) -> Option<f64> {
        let is_masked = self.overlong == Overlong::Mask && !is_finished;
        if is_masked || judged.verdict.outcome == Outcome::Error {
            return None;
        }
        if self.control == Control::RandomReward {
            return Some(f64::from(stream.chance(0.5)));
        }
        let earned = |term: &Reward| match term.term {
            // Who answers nothing earns nothing, here too.
            RewardTerm::Correct if judged.verdict.outcome == Outcome::Malformed => 0.0,
            RewardTerm::Correct if self.control == Control::InvertedReward => 1.0 - judged.verdict.score,
            RewardTerm::Correct => judged.verdict.score,
            RewardTerm::Format => f64::from(judged.is_well_formed),
        };
        Some(self.terms.iter().map(|term| term.weight * earned(term)).sum())
    }

    /// Reads and rewards every completion, in order, each with the judge of its task; `address` is that of the batch.
    pub fn score(
        &self,
        domains: &[Arc<dyn Domain>],
        tokenizer: &Tokenizer,
        asked: Vec<Task>,
        groups: Vec<Group>,
        seed: u64,
        address: [u64; 2],
    ) -> Vec<ScoredGroup> {
        asked
            .into_par_iter()
            .zip(groups)
            .zip(domains)
            .enumerate()
            .map(|(number, ((task, group), domain))| {
                let score = |(sample, completion): (usize, &Completion)| {
                    let mut judged = judge(domain.as_ref(), tokenizer, &task, completion);
                    let place = [address[0], address[1], number as u64, sample as u64];
                    let mut stream = Stream::at("random reward", seed, &place);
                    judged.reward = self.reward(&judged, completion.is_finished, &mut stream);
                    judged
                };
                let judged = group.completions.iter().enumerate().map(score).collect();
                ScoredGroup { task, group, judged }
            })
            .collect()
    }
}
