//! Prompts to groups of completions, with log-probabilities and routes.

use rayon::prelude::*;
use thinkling_datasets::seed::Stream;

use crate::kernels::flops_executed;
use crate::policy::Transformer;
use crate::policy::decoder::{Decoder, Row};

pub mod sampling;

use sampling::Sampling;

/// Batches a thread gets, so that one with long completions does not keep the others waiting.
const BATCHES_PER_THREAD: usize = 2;

/// What a completion may look like.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most tokens of a completion, its end included.
    pub max_new_tokens: usize,
    /// The token that ends a completion.
    pub end: u32,
    /// Closes the thinking once it has this many tokens; `None` to let it run.
    pub thinking: Option<ThinkingBudget>,
}

/// A cap on the thinking, by closing it.
///
/// Source: budget forcing of s1 (arXiv 2501.19393), the capping half.
#[derive(Clone, Copy, Debug)]
pub struct ThinkingBudget {
    /// Tokens between the tags.
    pub tokens: usize,
    /// The token that opens the thinking.
    pub open: u32,
    /// The token that closes it.
    pub close: u32,
}

/// One prompt, to be answered several times.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The prompt.
    pub prompt: &'a [u32],
    /// Number of completions.
    pub samples: usize,
    /// The address of the prompt's random streams; the sample's number is added to it.
    pub address: [u64; 3],
}

/// One sampled completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The tokens, the end included where it was reached.
    pub tokens: Vec<u32>,
    /// The log-probability of each, as the decoder saw it.
    pub log_probabilities: Vec<f32>,
    /// The entropy of the distribution each was drawn from.
    pub entropies: Vec<f32>,
    /// The experts chosen for each token of prompt and completion but the last, `[tokens - 1, sparse layers, chosen]`.
    pub routes: Vec<u16>,
    /// Whether it ended by itself within the limit.
    pub is_finished: bool,
}

/// A prompt with its completions.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// In the order of their numbers.
    pub completions: Vec<Completion>,
}

/// The groups of one batch, and what they took.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// One a request, in their order.
    pub groups: Vec<Group>,
    /// Operations spent on prompts.
    pub prefill_flops: u64,
    /// Operations spent on completions.
    pub decode_flops: u64,
    /// Tokens of prompts that were run through the policy.
    pub prefill_tokens: u64,
    /// Tokens that were drawn.
    pub decode_tokens: u64,
}

impl Rollout {
    fn join(mut self, other: Self) -> Self {
        self.groups.extend(other.groups);
        self.prefill_flops += other.prefill_flops;
        self.decode_flops += other.decode_flops;
        self.prefill_tokens += other.prefill_tokens;
        self.decode_tokens += other.decode_tokens;
        self
    }
}

/// Answers every request. The result depends on (`seed`, each request's address, the sample's number) and the policy,
/// not on the threads of the pool it is called in.
pub fn roll_out(
    policy: &Transformer,
    requests: &[Request<'_>],
    sampling: &Sampling,
    limits: &Limits,
    seed: u64,
) -> Rollout {
    let batches = (rayon::current_num_threads() * BATCHES_PER_THREAD).min(requests.len()).max(1);
    let batch = requests.len().div_ceil(batches).max(1);
    let parts: Vec<Rollout> = requests
        .par_chunks(batch)
        .map(|requests| roll_out_batch(policy, requests, sampling, limits, seed))
        .collect();
    parts.into_iter().fold(Rollout::default(), Rollout::join)
}

/// A sample that is being written.
struct Live {
    group: usize,
    sample: usize,
    stream: Stream,
    completion: Completion,
    /// Tokens since the thinking was opened, while it is open.
    thought: Option<usize>,
}

impl Live {
    /// Draws the next token; the completion may be over after it.
    fn extend(&mut self, logits: &mut [f32], sampling: &Sampling, limits: &Limits) {
        let mut draw = sampling::draw(logits, sampling, &mut self.stream);
        if let Some(budget) = limits.thinking {
            if self.thought.is_some_and(|tokens| tokens >= budget.tokens) && draw.token != budget.close {
                draw.token = budget.close;
                // The row holds probabilities now.
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

    fn is_over(&self, limits: &Limits) -> bool {
        self.completion.is_finished || self.completion.tokens.len() >= limits.max_new_tokens
    }
}

fn roll_out_batch(
    policy: &Transformer,
    requests: &[Request<'_>],
    sampling: &Sampling,
    limits: &Limits,
    seed: u64,
) -> Rollout {
    let prompt_lengths: Vec<usize> = requests.iter().map(|request| request.prompt.len()).collect();
    let samples = requests.iter().map(|request| request.samples).sum();
    let mut decoder = Decoder::new(policy, &prompt_lengths, samples, limits.max_new_tokens);
    let vocabulary = policy.config.vocab_size;
    let started = flops_executed();

    let mut rows = Vec::new();
    let mut wanted = Vec::new();
    for (group, request) in requests.iter().enumerate() {
        let prompt = request.prompt.iter().enumerate();
        rows.extend(prompt.map(|(position, token)| Row { token: *token, position, group, sample: None }));
        wanted.push(rows.len() - 1);
    }
    let logits = decoder.step(&rows, &wanted).to_vec();
    let prefilled = flops_executed();
    let mut live = Vec::with_capacity(samples);
    let mut first_row = 0;
    for (group, (request, logits)) in requests.iter().zip(logits.chunks_exact(vocabulary)).enumerate() {
        let prompt_rows = first_row..first_row + request.prompt.len();
        first_row = prompt_rows.end;
        let routes: Vec<u16> = prompt_rows.flat_map(|row| decoder.routes(row).iter().copied()).collect();
        for number in 0..request.samples {
            let [a, b, c] = request.address;
            let mut sample = Live {
                group,
                sample: live.len(),
                stream: Stream::at("rollout", seed, &[a, b, c, number as u64]),
                completion: Completion { routes: routes.clone(), ..Completion::default() },
                thought: None,
            };
            sample.extend(&mut logits.to_vec(), sampling, limits);
            live.push(sample);
        }
    }

    let mut over: Vec<Option<Completion>> = vec![None; samples];
    let retire = |live: &mut Vec<Live>, over: &mut Vec<Option<Completion>>| {
        live.retain_mut(|sample| {
            let is_over = sample.is_over(limits);
            if is_over {
                over[sample.sample] = Some(std::mem::take(&mut sample.completion));
            }
            !is_over
        });
    };
    retire(&mut live, &mut over);
    while !live.is_empty() {
        rows.clear();
        rows.extend(live.iter().map(|sample| Row {
            token: *sample.completion.tokens.last().expect("a live sample has drawn a token"),
            position: prompt_lengths[sample.group] + sample.completion.tokens.len() - 1,
            group: sample.group,
            sample: Some(sample.sample),
        }));
        wanted.clear();
        wanted.extend(0..rows.len());
        let logits = decoder.step(&rows, &wanted);
        for (sample, logits) in live.iter_mut().zip(logits.chunks_exact_mut(vocabulary)) {
            sample.extend(logits, sampling, limits);
        }
        for (row, sample) in live.iter_mut().enumerate() {
            sample.completion.routes.extend_from_slice(decoder.routes(row));
        }
        retire(&mut live, &mut over);
    }

    let mut completions = over.into_iter().map(|completion| completion.expect("every sample has ended"));
    let groups: Vec<Group> = requests
        .iter()
        .map(|request| Group {
            prompt: request.prompt.to_vec(),
            completions: completions.by_ref().take(request.samples).collect(),
        })
        .collect();
    let drawn = |group: &Group| group.completions.iter().map(|one| one.tokens.len() as u64).sum::<u64>();
    Rollout {
        prefill_flops: prefilled - started,
        decode_flops: flops_executed() - prefilled,
        prefill_tokens: prompt_lengths.iter().map(|length| *length as u64).sum(),
        decode_tokens: groups.iter().map(drawn).sum(),
        groups,
    }
}
