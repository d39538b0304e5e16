//! One token at a time, with a cache: the policy as rollouts use it.
//!
//! A group of samples shares the cache of its prompt, which is computed and stored once. Latent attention keeps only
//! the latent and the rotary key of a token (the latent twice, once for each of the two products that read it), and
//! attends to latents with absorbed projections. No row's result depends
//! on the rows that are decoded beside it, so sequences may leave a batch, and batches may be cut, at will.

use super::config::Attention;
use super::parameters::{AttentionPlaces, LayerPlaces};
use super::tape::{LayerTape, sized};
use super::transformer::{FeedForward, Layer, Projections, Transformer};
use crate::kernels::matmul::Packed;
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::{attention, rms_norm};

/// A token to be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The token.
    pub token: u32,
    /// Its place in the sequence, from 0.
    pub position: usize,
    /// The group whose prompt it follows or belongs to.
    pub group: usize,
    /// The sample it belongs to; `None` for a token of the prompt.
    pub sample: Option<usize>,
}

/// Keys and values of one stretch of a sequence in one layer: a pair of matrices for each head of keys.
struct Cache {
    /// `[key, capacity]`.
    keys: Vec<Packed>,
    /// `[capacity, value]`.
    values: Vec<Packed>,
}

/// What is kept of a prompt: a cache a layer.
struct Prompt {
    length: usize,
    layers: Vec<Cache>,
}

/// Sizes of the attention over the cache.
#[derive(Clone, Copy)]
struct Shape {
    heads: usize,
    key_heads: usize,
    key: usize,
    value: usize,
    scale: f32,
    precision: Precision,
}

impl Shape {
    fn of(policy: &Transformer) -> Self {
        let config = &policy.config;
        let heads = config.num_attention_heads;
        let scale = 1.0 / (config.query_dim() as f32).sqrt();
        let precision = policy.precision().of_cache();
        match config.attention {
            // All heads look at the same latents.
            Attention::Mla => {
                let key = config.kv_lora_rank + config.qk_rope_head_dim;
                Self { heads, key_heads: 1, key, value: config.kv_lora_rank, scale, precision }
            }
            Attention::Gqa => {
                let dim = config.head_dim;
                Self { heads, key_heads: config.num_key_value_heads, key: dim, value: dim, scale, precision }
            }
        }
    }

    fn cache(&self, capacity: usize) -> Cache {
        Cache {
            keys: (0..self.key_heads).map(|_| Packed::zeros(self.precision, self.key, capacity)).collect(),
            values: (0..self.key_heads)
                .map(|_| Packed::zeros(self.precision, capacity, self.value))
                .collect(),
        }
    }
}

/// Decodes the samples of several groups together, on one thread. Groups and samples come and go; the numbers of those
/// that left are used again, and so are the caches of samples.
pub struct Decoder<'a> {
    policy: &'a Transformer,
    shape: Shape,
    capacity: usize,
    prompts: Vec<Prompt>,
    free_prompts: Vec<usize>,
    /// `[samples][layers]`.
    samples: Vec<Vec<Cache>>,
    free_samples: Vec<usize>,
    tape: LayerTape,
    stream: Vec<f32>,
    query: Vec<f32>,
    scores: Vec<f32>,
    latents: Vec<f32>,
    routes: Vec<u16>,
    gathered: Vec<f32>,
    logits: Vec<f32>,
}

impl<'a> Decoder<'a> {
    /// A decoder for samples of at most `capacity` tokens.
    pub fn new(policy: &'a Transformer, capacity: usize) -> Self {
        Self {
            policy,
            shape: Shape::of(policy),
            capacity,
            prompts: Vec::new(),
            free_prompts: Vec::new(),
            samples: Vec::new(),
            free_samples: Vec::new(),
            tape: LayerTape::default(),
            stream: Vec::new(),
            query: Vec::new(),
            scores: Vec::new(),
            latents: Vec::new(),
            routes: Vec::new(),
            gathered: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Makes room for a prompt of `length` tokens; gives the group's number.
    pub fn add_group(&mut self, length: usize) -> usize {
        let layers = self.policy.config.num_hidden_layers;
        let prompt = Prompt { length, layers: (0..layers).map(|_| self.shape.cache(length)).collect() };
        if let Some(number) = self.free_prompts.pop() {
            self.prompts[number] = prompt;
            return number;
        }
        self.prompts.push(prompt);
        self.prompts.len() - 1
    }

    /// Makes room for a sample; gives its number.
    pub fn add_sample(&mut self) -> usize {
        self.free_samples.pop().unwrap_or_else(|| {
            let layers = self.policy.config.num_hidden_layers;
            self.samples.push((0..layers).map(|_| self.shape.cache(self.capacity)).collect());
            self.samples.len() - 1
        })
    }

    /// Ends a group.
    pub fn remove_group(&mut self, number: usize) {
        self.free_prompts.push(number);
    }

    /// Ends a sample.
    pub fn remove_sample(&mut self, number: usize) {
        self.free_samples.push(number);
    }

    /// Runs `rows` through the policy and returns the logits after those that `wanted` names, `[wanted, vocabulary]`.
    ///
    /// Rows of one group must lie behind one another, and a token's predecessors must have been rows before it, in this
    /// call or an earlier one.
    pub fn step(&mut self, rows: &[Row], wanted: &[usize]) -> &mut [f32] {
        let policy = self.policy;
        let config = &policy.config;
        let hidden = config.hidden_size;
        let layout = &policy.parameters.layout;
        let embedding = policy.parameters.at(&layout.embedding);
        self.stream.clear();
        for row in rows {
            let at = row.token as usize * hidden;
            self.stream.extend_from_slice(&embedding[at..at + hidden]);
        }
        if let Some(place) = &layout.positions {
            let table = policy.parameters.at(place);
            for (values, row) in self.stream.chunks_exact_mut(hidden).zip(rows) {
                let learned = &table[row.position * hidden..(row.position + 1) * hidden];
                for (value, learned) in values.iter_mut().zip(learned) {
                    *value += learned;
                }
            }
        }
        self.routes.resize(rows.len() * config.choices_per_token(), 0);
        let mut sparse = 0;
        for (number, (layer, places)) in policy.layers.iter().zip(&layout.layers).enumerate() {
            self.attend(layer, places, number, rows);
            let norm = policy.parameters.at(&places.feed_forward_norm);
            self.tape.feed_forward_norm.forward(&self.stream, norm, config.rms_norm_eps);
            match &layer.feed_forward {
                FeedForward::Dense(swiglu) => {
                    let x = &self.tape.feed_forward_norm.output;
                    self.tape.dense.forward(swiglu, x, &mut self.stream, rows.len());
                }
                FeedForward::Experts { router, .. } => {
                    let scope = profile::enter(Part::Router);
                    policy.score_experts(router, &mut self.tape, rows.len());
                    let bias = &policy.parameters.expert_biases[sparse];
                    policy.rule().choose(&self.tape.affinities, bias, &mut self.tape.choices);
                    drop(scope);
                    policy.apply_experts(layer, &mut self.tape, &mut self.stream, rows.len());
                    let (chosen, all) = (config.num_experts_per_tok, config.choices_per_token());
                    for (row, choices) in self.tape.choices.chunks_exact(chosen).enumerate() {
                        let at = row * all + sparse * chosen;
                        self.routes[at..at + chosen].copy_from_slice(choices);
                    }
                    sparse += 1;
                }
            }
        }
        let _scope = profile::enter(Part::Head);
        self.gathered.clear();
        for row in wanted {
            self.gathered.extend_from_slice(&self.stream[row * hidden..(row + 1) * hidden]);
        }
        let norm = policy.parameters.at(&layout.norm);
        self.tape.attention_norm.forward(&self.gathered, norm, config.rms_norm_eps);
        let logits = sized(&mut self.logits, wanted.len() * config.vocab_size);
        policy.head.apply(&self.tape.attention_norm.output, logits, wanted.len(), false);
        logits
    }

    /// The experts that row `row` of the last step chose, `[sparse layers, chosen]`.
    pub fn routes(&self, row: usize) -> &[u16] {
        let all = self.policy.config.choices_per_token();
        &self.routes[row * all..(row + 1) * all]
    }

    fn attend(&mut self, layer: &Layer, places: &LayerPlaces, number: usize, rows: &[Row]) {
        let _scope = profile::enter(Part::Projections);
        let policy = self.policy;
        let config = &policy.config;
        let norm = policy.parameters.at(&places.attention_norm);
        self.tape.attention_norm.forward(&self.stream, norm, config.rms_norm_eps);
        self.project(layer, places, number, rows);
        let shape = self.shape;
        let longest = attention::padded(rows.iter().map(|row| row.position + 1).max().unwrap_or(0));
        self.scores.resize(rows.len() * shape.heads * longest, 0.0);
        self.latents.resize(rows.len() * shape.heads * shape.value, 0.0);
        let mut start = 0;
        for group in rows.chunk_by(|a, b| a.group == b.group && a.sample.is_some() == b.sample.is_some()) {
            self.attend_group(number, group, start, longest);
            start += group.len();
        }
        match &layer.projections {
            Projections::Mla { absorbed, .. } => {
                let value = config.v_head_dim;
                let attended = sized(&mut self.tape.attended, rows.len() * shape.heads * value);
                for (head, absorbed) in absorbed.iter().enumerate() {
                    let latents = &self.latents[head * shape.value..];
                    let out = &mut attended[head * value..];
                    let (x_stride, y_stride) = (shape.heads * shape.value, shape.heads * value);
                    absorbed.value.product(latents, x_stride, out, y_stride, rows.len(), false);
                }
                layer.output.apply(attended, &mut self.stream, rows.len(), true);
            }
            Projections::Gqa(_) => layer.output.apply(&self.latents, &mut self.stream, rows.len(), true),
        }
    }

    /// Fills the queries, `[rows, heads, key]`, and writes keys and values into the caches.
    fn project(&mut self, layer: &Layer, places: &LayerPlaces, number: usize, rows: &[Row]) {
        let policy = self.policy;
        let config = &policy.config;
        let shape = self.shape;
        let count = rows.len();
        let normed = &self.tape.attention_norm.output;
        let query = sized(&mut self.query, count * shape.heads * shape.key);
        match (&layer.projections, &places.attention) {
            (
                Projections::Mla { query_down, query_up, key_value_down, absorbed, .. },
                AttentionPlaces::Mla { query_down: query_places, key_value_norm, .. },
            ) => {
                let full = sized(&mut self.tape.query, count * query_up.out);
                if let (Some(down), Some((_, norm))) = (query_down, query_places) {
                    let low = sized(&mut self.gathered, count * down.out);
                    down.apply(normed, low, count, false);
                    self.tape.query_norm.forward(low, policy.parameters.at(norm), config.rms_norm_eps);
                    query_up.apply(&self.tape.query_norm.output, full, count, false);
                } else {
                    query_up.apply(normed, full, count, false);
                }
                let (rank, rope, nope) =
                    (config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim);
                for (head, absorbed) in absorbed.iter().enumerate() {
                    let from = &full[head * (nope + rope)..];
                    let to = &mut query[head * shape.key..];
                    absorbed.key.product(from, query_up.out, to, shape.heads * shape.key, count, false);
                }
                let latent = sized(&mut self.tape.latent, count * (rank + rope));
                key_value_down.apply(normed, latent, count, false);
                rms_norm::forward(
                    latent,
                    rank + rope,
                    policy.parameters.at(key_value_norm),
                    config.rms_norm_eps,
                    sized(&mut self.tape.latent_normed, count * rank),
                    sized(&mut self.tape.latent_inverse, count),
                );
                for (at, row) in rows.iter().enumerate() {
                    let latent = &mut latent[at * (rank + rope)..(at + 1) * (rank + rope)];
                    latent[..rank].copy_from_slice(&self.tape.latent_normed[at * rank..(at + 1) * rank]);
                    policy.rotary.turn(&mut latent[rank..], row.position);
                    for head in 0..shape.heads {
                        let turned = &full[at * query_up.out + head * (nope + rope) + nope..][..rope];
                        let place = &mut query[(at * shape.heads + head) * shape.key + rank..][..rope];
                        place.copy_from_slice(turned);
                        policy.rotary.turn(place, row.position);
                    }
                    let (cache, index) = cache_of(&mut self.prompts, &mut self.samples, number, row);
                    cache.keys[0].set_column(index, latent);
                    cache.values[0].set_row(index, &latent[..rank]);
                }
            }
            (Projections::Gqa(linear), _) => {
                let dim = shape.key;
                let joint = sized(&mut self.tape.query, count * linear.out);
                linear.apply(normed, joint, count, false);
                for (at, (row, joint)) in rows.iter().zip(joint.chunks_exact_mut(linear.out)).enumerate() {
                    for head in joint.chunks_exact_mut(dim).take(shape.heads + shape.key_heads) {
                        policy.rotary.turn(head, row.position);
                    }
                    let width = shape.heads * dim;
                    query[at * width..(at + 1) * width].copy_from_slice(&joint[..width]);
                    let (cache, index) = cache_of(&mut self.prompts, &mut self.samples, number, row);
                    for head in 0..shape.key_heads {
                        let key_at = (shape.heads + head) * dim;
                        let value_at = key_at + shape.key_heads * dim;
                        cache.keys[head].set_column(index, &joint[key_at..key_at + dim]);
                        cache.values[head].set_row(index, &joint[value_at..value_at + dim]);
                    }
                }
            }
            _ => unreachable!("layers are built from the same places"),
        }
    }

    /// Attention of rows of one group, which start at row `start` of the step: the prompt's part for all rows at once.
    fn attend_group(&mut self, number: usize, rows: &[Row], start: usize, longest: usize) {
        let _scope = profile::enter(Part::Attention);
        let shape = self.shape;
        let Shape { heads, key_heads, key, value, scale, .. } = shape;
        let per_key_head = heads / key_heads;
        let Prompt { length: prompt_length, layers } = &self.prompts[rows[0].group];
        let (prompt_length, prompt) = (*prompt_length, &layers[number]);
        let query = &self.query[start * heads * key..];
        let scores = &mut self.scores[start * heads * longest..];
        let latents = &mut self.latents[start * heads * value..];
        let is_prompt = rows[0].sample.is_none();
        if !is_prompt && key_heads == 1 {
            let (x, keys) = (query, &prompt.keys[0]);
            keys.part(key, prompt_length, x, key, scores, longest, heads * rows.len(), false);
        } else if !is_prompt {
            for head in 0..heads {
                let (x, y) = (&query[head * key..], &mut scores[head * longest..]);
                let keys = &prompt.keys[head / per_key_head];
                keys.part(key, prompt_length, x, heads * key, y, heads * longest, rows.len(), false);
            }
        }
        for (at, row) in rows.iter().enumerate() {
            let (own, offset) = match row.sample {
                Some(sample) => (&self.samples[sample][number], prompt_length),
                None => (prompt, 0),
            };
            let length = row.position + 1;
            let next = rows.get(at + 1).and_then(|next| next.sample).map(|next| &self.samples[next][number]);
            for key_head in 0..key_heads {
                if let Some(next) = next {
                    next.keys[key_head].prefetch(key, length - offset);
                    next.values[key_head].prefetch(length - offset, value);
                }
                let first = at * heads + key_head * per_key_head;
                let (x, y) = (&query[first * key..], &mut scores[first * longest + offset..]);
                own.keys[key_head].part(key, length - offset, x, key, y, longest, per_key_head, false);
            }
            let of_row = at * heads * longest..(at + 1) * heads * longest;
            attention::softmax_rows(&mut scores[of_row], longest, length, scale);
            for key_head in 0..key_heads {
                let first = at * heads + key_head * per_key_head;
                let (x, y) = (&scores[first * longest + offset..], &mut latents[first * value..]);
                own.values[key_head].part(length - offset, value, x, longest, y, value, per_key_head, false);
            }
        }
        if !is_prompt && key_heads == 1 {
            let values = &prompt.values[0];
            values.part(prompt_length, value, scores, longest, latents, value, heads * rows.len(), true);
        } else if !is_prompt {
            for head in 0..heads {
                let (x, y) = (&scores[head * longest..], &mut latents[head * value..]);
                let values = &prompt.values[head / per_key_head];
                values.part(prompt_length, value, x, heads * longest, y, heads * value, rows.len(), true);
            }
        }
    }
}

/// The cache that keeps a row's key and value, and the row's place in it.
fn cache_of<'c>(
    prompts: &'c mut [Prompt],
    samples: &'c mut [Vec<Cache>],
    layer: usize,
    row: &Row,
) -> (&'c mut Cache, usize) {
    let prompt = &mut prompts[row.group];
    match row.sample {
        Some(sample) => (&mut samples[sample][layer], row.position - prompt.length),
        None => (&mut prompt.layers[layer], row.position),
    }
}
