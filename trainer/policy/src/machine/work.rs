//! Kinds and amounts of work, which the parts of a run report and the ledger adds up.

use serde::{Deserialize, Serialize};

/// A kind of work.
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
    /// Whether a resumed run does it again. Other work keeps its kind when a run is killed.
    pub fn is_done_again(self) -> bool {
        !matches!(self, Self::Startup | Self::Checkpoint | Self::Records)
    }
}

/// An amount of work, without its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Operations of products that the model requires.
    pub flops: u64,
    /// Further operations of products: computed again, or masked.
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

/// The reported costs of a part of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Amounts by kind of work. The total time is divided in proportion to their operations.
    pub work: Vec<(Work, Amount)>,
    /// Tokens in updates.
    pub tokens_trained: u64,
    /// Tokens that were drawn for training.
    pub tokens_generated: u64,
    /// Completions that were judged for training.
    pub verifier_calls: u64,
    /// Those among them that could not be judged.
    pub verifier_errors: u64,
    /// Correct answers among the others.
    pub correct: u64,
}

impl Costs {
    /// The costs of one kind of work, without operations.
    pub fn of(work: Work) -> Self {
        Self { work: vec![(work, Amount::default())], ..Self::default() }
    }
}

/// A result that reports its costs.
pub trait Costed {
    /// The amounts, without their time.
    fn costs(&self) -> Costs;
}
