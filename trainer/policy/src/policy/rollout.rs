//! Rollouts: groups of completions of prompts, with log-probabilities and routes.

use thinkling_datasets::seed::Stream;

use crate::kernels::profile::{self, Part};
use crate::machine::work::{Amount, Costed, Costs, Work};

use super::sampling::{self, Sampling};

/// The limits of a completion.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of tokens, including the end.
    pub max_new_tokens: usize,
    /// The token that ends a completion.
    pub end: u32,
    /// The thinking budget; `None` for no limit.
    pub thinking: Option<ThinkingBudget>,
}

/// A limit of the thinking, which is then closed. Source: budget forcing in s1 (arXiv 2501.19393).
#[derive(Clone, Copy, Debug)]
pub struct ThinkingBudget {
    /// Tokens between the tags.
    pub tokens: usize,
    /// The token that opens the thinking.
    pub open: u32,
    /// The token that closes it.
    pub close: u32,
}

/// One prompt to complete several times.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The prompt.
    pub prompt: &'a [u32],
    /// Number of completions.
    pub samples: usize,
    /// The address of the random streams, to which the sample's number is appended.
    pub address: [u64; 3],
}

/// One sampled completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The tokens, including the end if it was reached.
    pub tokens: Vec<u32>,
    /// The log-probability of each token in the decoder.
    pub log_probabilities: Vec<f32>,
    /// The entropy of the distribution of each token.
    pub entropies: Vec<f32>,
    /// The experts of all tokens of prompt and completion except the last, `[tokens - 1, sparse layers, chosen]`.
    pub routes: Vec<u16>,
    /// Whether it ended within the limit.
    pub is_finished: bool,
}

/// The completions of one batch, and their work.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// For each request in order, its completions in the order of their numbers.
    pub completions: Vec<Vec<Completion>>,
    /// The work of running the prompts.
    pub prefill: Amount,
    /// The work of drawing the completions.
    pub decode: Amount,
}

impl Rollout {
    /// The work of both.
    pub fn amount(&self) -> Amount {
        let mut sum = self.prefill;
        sum += self.decode;
        sum
    }
}

impl Costed for Rollout {
    fn costs(&self) -> Costs {
        let work = vec![(Work::RolloutPrefill, self.prefill), (Work::RolloutDecode, self.decode)];
        Costs { work, tokens_generated: self.decode.tokens, ..Costs::default() }
    }
}

/// A completion in progress with its random stream, for every policy.
pub(super) struct Writing {
    pub(super) completion: Completion,
    stream: Stream,
    /// Tokens since the thinking was opened, while it is open.
    thought: Option<usize>,
}

impl Writing {
    /// The completion with this number of a request; `routes` are those of the prompt.
    pub(super) fn new(seed: u64, request: &Request<'_>, number: usize, routes: Vec<u16>) -> Self {
        let [a, b, c] = request.address;
        Self {
            completion: Completion { routes, ..Completion::default() },
            stream: Stream::at("rollout", seed, &[a, b, c, number as u64]),
            thought: None,
        }
    }

    pub(super) fn extend(&mut self, logits: &mut [f32], sampling: &Sampling, limits: &Limits) {
        let _scope = profile::enter(Part::Sampling);
        let mut draw = sampling::draw(logits, sampling, &mut self.stream);
        if let Some(budget) = limits.thinking {
            if self.thought.is_some_and(|tokens| tokens >= budget.tokens) && draw.token != budget.close {
                draw.token = budget.close;
                // Drawing has turned the logits into probabilities.
                draw.log_probability = logits[budget.close as usize].ln();
            }
            self.thought = match self.thought {
                None if draw.token == budget.open => Some(0),
                Some(_) if draw.token == budget.close => None,
                open => open.map(|tokens| tokens + 1),
            };
        }
        self.completion.tokens.push(draw.token);
        self.completion.log_probabilities.push(draw.log_probability);
        self.completion.entropies.push(draw.entropy);
        self.completion.is_finished = draw.token == limits.end;
    }

    pub(super) fn is_over(&self, limits: &Limits) -> bool {
        self.completion.is_finished || self.completion.tokens.len() >= limits.max_new_tokens
    }
}
