//! How a run stops, and why it cannot continue.

use crate::data::curriculum::CurriculumError;
use crate::learn::evaluate::EvaluateError;
use crate::tracking::checkpoint::CheckpointError;
use crate::tracking::run_folder::RunError;

/// How a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Every stage is done.
    Done,
    /// A budget is used up.
    Budget,
    /// A signal came; a resumable checkpoint was written.
    Interrupted,
    /// Too many updates in a row were not finite.
    Diverged,
    /// The base model is not ready, and the recipe says to stop in that case.
    NotReady,
}

impl Status {
    /// The word in `summary.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Budget => "budget",
            Self::Interrupted => "interrupted",
            Self::Diverged => "diverged",
            Self::NotReady => "not_ready",
        }
    }
}

/// Why a run cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The policy cannot be measured.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The corpus cannot be written.
    #[error(transparent)]
    Corpus(#[from] thinkling_datasets::corpus::CorpusError),
    /// The next question cannot be determined.
    #[error(transparent)]
    Curriculum(#[from] CurriculumError),
    /// A question cannot be posed.
    #[error(transparent)]
    Dataset(#[from] thinkling_datasets::DatasetError),
    /// A text of the task has a symbol that is not in its alphabet.
    #[error("task `{task}` writes symbols that are not in its alphabet: {source}")]
    Alphabet {
        /// The task.
        task: String,
        /// The symbol.
        source: crate::data::tokenizer::TokenizerError,
    },
    /// A verifier of the reward cannot be built on this machine.
    #[error(transparent)]
    Reward(#[from] thinkling_verifiers::SettingsError),
    /// Candle failed.
    #[error("stage {stage}, step {step}: {source}")]
    Tensor {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// Candle's error.
        source: candle_core::Error,
    },
    /// Too many completions of a batch could not be judged.
    #[error(
        "stage {stage}, step {step}: {:.1} % of the completions could not be judged, but max_error_share allows {:.1} %. \
         First reason: {reason}. Fix the verifier and continue with --resume, or raise max_error_share; completions that \
         are not judged are left out of the update",
        100.0 * share,
        100.0 * limit
    )]
    Verifier {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// The share of completions.
        share: f64,
        /// The share that the recipe allows.
        limit: f64,
        /// The verifier's reason for the first of them.
        reason: String,
    },
    /// Rollout and update of a step do not fit together: an error in the program.
    #[error("stage {stage}, step {step}: {problem}")]
    Inconsistent {
        /// The stage.
        stage: String,
        /// Its step.
        step: u64,
        /// What differs, with numbers.
        problem: String,
    },
}
