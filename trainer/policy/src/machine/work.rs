//! Kinds of work and amounts of it: what a rollout, a pass or a judgement reports, and what the ledger adds up.

use serde::{Deserialize, Serialize};

/// What time and operations are spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Reading the recipe and the checkpoint, making the network, measuring the machine.
    Startup,
    /// Posing questions, writing documents.
    Data,
    /// Running prompts through the policy.
    RolloutPrefill,
    /// Drawing completions.
    RolloutDecode,
    /// Log-probabilities of the KL reference, and of the policy that sampled.
    Reference,
    /// The forward of an update.
    Forward,
    /// The backward of an update.
    Backward,
    /// Advantages, and applying gradients.
    Optimizer,
    /// Judging answers, including the programs that verifiers run.
    Verifier,
    /// Measuring on held-out questions.
    Eval,
    /// Writing checkpoints.
    Checkpoint,
    /// Metrics, completions, progress and the ledger.
    Records,
    /// Everything a run did between its last checkpoint and being killed, and had to do again.
    Redone,
}

impl Work {
    /// Whether a resume does it again. What is not done again keeps its kind when a run is killed.
    pub fn is_done_again(self) -> bool {
        !matches!(self, Self::Startup | Self::Checkpoint | Self::Records)
    }
}

/// An amount of work, without its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Operations of products that the model asks for.
    pub flops: u64,
    /// Operations of products beyond those: computed again, or masked.
    pub surplus_flops: u64,
    /// Tokens that went through the policy.
    pub tokens: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.surplus_flops += other.surplus_flops;
        self.tokens += other.tokens;
    }
}

/// What something has cost, as it reports it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Amounts by kind of work. The time of the whole is divided among them by their operations.
    pub work: Vec<(Work, Amount)>,
    /// Tokens that an update has learnt from.
    pub tokens_trained: u64,
    /// Tokens that were drawn for training.
    pub tokens_generated: u64,
    /// Completions that were judged for training.
    pub verifier_calls: u64,
    /// Right answers among them.
    pub correct: u64,
}

impl Costs {
    /// The costs of one kind of work whose operations nobody counts.
    pub fn of(work: Work) -> Self {
        Self { work: vec![(work, Amount::default())], ..Self::default() }
    }
}

/// Something that reports what it has cost; the ledger only adds.
pub trait Costed {
    /// The amounts, without their time.
    fn costs(&self) -> Costs;
}
