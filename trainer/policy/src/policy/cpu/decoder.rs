//! Decoding: one token at a time, with a cache.
//!
//! The samples of a group share the cache of their prompt. The result of a row does not depend on the other rows, so sequences
//! may join and leave at any time.

use super::packed::Transformer;
use crate::kernels::profile::{self, Part};
pub use crate::policy::blocks::attention::DecodeRow;
use crate::policy::blocks::attention::{Cache, Caches, Decoding, Prompt};
use crate::policy::blocks::{FeedForward, LayerTape, NormTape, Routing, Scratch, sized};

/// Decodes the samples of several groups together, on one thread. The numbers of removed groups and samples, and the caches of
/// samples, are used again.
pub struct Decoder<'a> {
    policy: &'a Transformer,
    capacity: usize,
    caches: Caches,
    free_prompts: Vec<usize>,
    free_samples: Vec<usize>,
    tape: LayerTape,
    last_norm: NormTape,
    scratch: Scratch,
    stream: Vec<f32>,
    routes: Vec<u16>,
    gathered: Vec<f32>,
    logits: Vec<f32>,
}

impl<'a> Decoder<'a> {
    /// A decoder for samples of at most `capacity` tokens.
    pub fn new(policy: &'a Transformer, capacity: usize) -> Self {
        Self {
            policy,
            capacity,
            caches: Caches::default(),
            free_prompts: Vec::new(),
            free_samples: Vec::new(),
            tape: LayerTape::default(),
            last_norm: NormTape::default(),
            scratch: Scratch::default(),
            stream: Vec::new(),
            routes: Vec::new(),
            gathered: Vec::new(),
            logits: Vec::new(),
        }
    }

    fn layers(&self, capacity: usize) -> Vec<Cache> {
        let precision = self.policy.precision().of_cache();
        let layers = self.policy.layers.iter();
        layers.map(|layer| layer.attention.cached().cache(precision, capacity)).collect()
    }

    /// Adds a group with a prompt of `length` tokens, and returns its number.
    pub fn add_group(&mut self, length: usize) -> usize {
        let prompt = Prompt { length, layers: self.layers(length) };
        if let Some(number) = self.free_prompts.pop() {
            self.caches.prompts[number] = prompt;
            return number;
        }
        self.caches.prompts.push(prompt);
        self.caches.prompts.len() - 1
    }

    /// Adds a sample, and returns its number.
    pub fn add_sample(&mut self) -> usize {
        self.free_samples.pop().unwrap_or_else(|| {
            self.caches.samples.push(self.layers(self.capacity));
            self.caches.samples.len() - 1
        })
    }

    /// Removes a group.
    pub fn remove_group(&mut self, number: usize) {
        self.free_prompts.push(number);
    }

    /// Removes a sample.
    pub fn remove_sample(&mut self, number: usize) {
        self.free_samples.push(number);
    }

    /// Runs `rows` through the policy and returns the logits of the rows `wanted`, `[wanted, vocabulary]`.
    ///
    /// The rows of a group must be adjacent, and a token must come after all its predecessors, in this or an earlier call.
    pub fn step(&mut self, rows: &[DecodeRow], wanted: &[usize]) -> &mut [f32] {
        let policy = self.policy;
        let config = &policy.config;
        let hidden = config.hidden_size;
        policy.embed(rows.iter().map(|row| (row.token, row.position)), &mut self.stream);
        let (chosen, all) = (config.num_experts_per_tok, config.choices_per_token());
        self.routes.resize(rows.len() * all, 0);
        let (caches, scratch) = (&mut self.caches, &mut self.scratch);
        let mut step = Decoding { rows, layer: 0, rotary: &policy.rotary, caches, scratch };
        let routing = Routing { sequences: &[], biases: &policy.parameters.expert_biases };
        for (number, layer) in policy.layers.iter().enumerate() {
            step.layer = number;
            layer.decode(&mut self.stream, routing, &mut step, &mut self.tape);
            if let FeedForward::Experts(experts) = &layer.feed_forward {
                let choices = self.tape.experts.choices.chunks_exact(chosen);
                for (choices, routes) in choices.zip(self.routes.chunks_exact_mut(all)) {
                    routes[experts.number * chosen..][..chosen].copy_from_slice(choices);
                }
            }
        }
        let _scope = profile::enter(Part::Head);
        self.gathered.clear();
        for row in wanted {
            self.gathered.extend_from_slice(&self.stream[row * hidden..(row + 1) * hidden]);
        }
        policy.norm.forward(&self.gathered, &mut self.last_norm);
        let logits = sized(&mut self.logits, wanted.len() * config.vocab_size);
        policy.head.apply(&self.last_norm.output, logits, false);
        logits
    }

    /// The experts of row `row` in the last step, `[sparse layers, chosen]`.
    pub fn routes(&self, row: usize) -> &[u16] {
        let all = self.policy.config.choices_per_token();
        &self.routes[row * all..(row + 1) * all]
    }
}
