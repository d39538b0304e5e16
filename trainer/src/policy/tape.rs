//! The policy's training forward and backward on plain slices.
//!
//! The rows of several sequences lie behind one another without padding; only attention knows where one ends. One call
//! runs on one thread, and what the forward leaves on the [`Tape`] is what the backward reads.

use std::ops::Range;

use super::config::Attention;
use super::parameters::{AttentionPlaces, LayerPlaces};
use super::transformer::{FeedForward, Layer, Linear, Projections, Swiglu, Transformer};
use crate::kernels::attention::{self, Heads, HeadsMut};
use crate::kernels::experts::{self, Dispatch};
use crate::kernels::profile::{self, Part};
use crate::kernels::{rms_norm, swiglu};

mod backward;

/// One sequence to be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Prompt and completion.
    pub tokens: &'a [u32],
    /// Index of the first token whose log-probability is wanted; at least 1.
    pub first_target: usize,
    /// Experts chosen at rollout, `[tokens - 1, sparse layers, chosen]`, to be taken again; `None` to choose afresh.
    pub routes: Option<&'a [u16]>,
}

impl Sequence<'_> {
    /// Rows that go through the layers: every token but the last.
    pub fn rows(&self) -> usize {
        self.tokens.len() - 1
    }

    /// Tokens whose log-probability is wanted.
    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.first_target..]
    }
}

/// What a forward leaves behind: its results, and the activations that its backward needs. Kept from call to call, so
/// that its buffers are allocated once.
#[derive(Default)]
pub struct Tape {
    /// The log-probability of each target of each sequence, one behind the other.
    pub log_probabilities: Vec<f32>,
    /// The entropy of the distribution each target was drawn from.
    pub entropies: Vec<f32>,
    /// How many choices fell on each expert, a list a sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    temperature: f32,
    /// The rows of each sequence.
    spans: Vec<Range<usize>>,
    tokens: Vec<u32>,
    positions: Vec<u32>,
    targets: Vec<u32>,
    target_rows: Vec<u32>,
    layers: Vec<LayerTape>,
    stream: Vec<f32>,
    last_norm: NormTape,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    attention: attention::Scratch,
    gathered: Vec<f32>,
    logits: Vec<f32>,
    dstream: Vec<f32>,
    dnormed: Vec<f32>,
    dinner: Vec<f32>,
    dlatent: Vec<f32>,
    dquery: Vec<f32>,
    dkey: Vec<f32>,
    dkey_value: Vec<f32>,
    dgates: Vec<f32>,
    daffinities: Vec<f32>,
}

/// A norm's input, scale and output.
#[derive(Default)]
pub(super) struct NormTape {
    input: Vec<f32>,
    inverse: Vec<f32>,
    pub(super) output: Vec<f32>,
}

impl NormTape {
    pub(super) fn forward(&mut self, x: &[f32], weight: &[f32], epsilon: f32) {
        let _scope = profile::enter(Part::Norms);
        self.input.clear();
        self.input.extend_from_slice(x);
        self.inverse.resize(x.len() / weight.len(), 0.0);
        self.output.resize(x.len(), 0.0);
        rms_norm::forward(x, weight.len(), weight, epsilon, &mut self.output, &mut self.inverse);
    }

    /// Adds to `dx` and `dweight`.
    fn backward(&self, dy: &[f32], weight: &[f32], dx: &mut [f32], dweight: &mut [f32]) {
        let _scope = profile::enter(Part::Norms);
        rms_norm::backward(dy, &self.input, weight.len(), weight, &self.inverse, dx, dweight);
    }
}

#[derive(Default)]
pub(super) struct SwigluTape {
    gate_up: Vec<f32>,
    activation: Vec<f32>,
}

impl SwigluTape {
    /// Adds the feed-forward of `x` to `stream`.
    pub(super) fn forward(&mut self, swiglu: &Swiglu, x: &[f32], stream: &mut [f32], rows: usize) {
        let _scope = profile::enter(Part::FeedForward);
        let gate_up = sized(&mut self.gate_up, rows * 2 * swiglu.width);
        swiglu.gate_up.apply(x, gate_up, rows, false);
        let activation = sized(&mut self.activation, rows * swiglu.width);
        swiglu::forward(gate_up, swiglu.width, activation);
        swiglu.down.apply(activation, stream, rows, true);
    }

    /// Adds to `dx` and to the weights' gradients.
    #[allow(clippy::too_many_arguments, reason = "the forward's operands and the gradients of each")]
    fn backward(
        &mut self,
        swiglu: &Swiglu,
        dout: &[f32],
        x: &[f32],
        dx: &mut [f32],
        rows: usize,
        dinner: &mut Vec<f32>,
        gradient: &mut [f32],
    ) {
        let _scope = profile::enter(Part::FeedForward);
        let dactivation = sized(dinner, rows * swiglu.width);
        swiglu.down.backward(dout, &self.activation, dactivation, rows, false, gradient);
        swiglu::backward(dactivation, swiglu.width, &mut self.gate_up);
        swiglu.gate_up.backward(&self.gate_up, x, dx, rows, true, gradient);
    }
}

#[derive(Default)]
pub(super) struct LayerTape {
    pub(super) attention_norm: NormTape,
    /// Latent attention: `[rows, query rank]`, normalised.
    pub(super) query_norm: NormTape,
    /// Latent attention: `[rows, heads · query]`. Grouped: query, key and value of each row.
    pub(super) query: Vec<f32>,
    /// Latent attention: `[rows, heads · query]`.
    key: Vec<f32>,
    /// Latent attention: latent and rotary key, `[rows, rank + rope]`.
    pub(super) latent: Vec<f32>,
    pub(super) latent_inverse: Vec<f32>,
    pub(super) latent_normed: Vec<f32>,
    /// Latent attention: `[rows, heads · (nope + value)]`.
    key_value: Vec<f32>,
    /// `[rows, heads · value]`.
    pub(super) attended: Vec<f32>,
    pub(super) feed_forward_norm: NormTape,
    /// The dense or shared feed-forward.
    pub(super) dense: SwigluTape,
    pub(super) affinities: Vec<f32>,
    pub(super) choices: Vec<u16>,
    gates: Vec<f32>,
    dispatch: Dispatch,
    saved: experts::Saved,
}

/// A buffer of `length` numbers whose content does not matter.
pub(super) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}

/// A buffer of `length` zeros.
fn zeroed(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.clear();
    buffer.resize(length, 0.0);
    buffer
}

impl Tape {
    fn start(&mut self, batch: &[Sequence<'_>], temperature: f32) {
        self.temperature = temperature;
        self.spans.clear();
        self.tokens.clear();
        self.positions.clear();
        self.targets.clear();
        self.target_rows.clear();
        for sequence in batch {
            let (start, rows) = (self.tokens.len(), sequence.rows());
            self.spans.push(start..start + rows);
            self.tokens.extend_from_slice(&sequence.tokens[..rows]);
            self.positions.extend(0..rows as u32);
            self.targets.extend_from_slice(sequence.targets());
            self.target_rows.extend((start + sequence.first_target - 1) as u32..(start + rows) as u32);
        }
    }

    fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The experts that each row of each layer chose, `[sparse layers]` of `[rows, chosen]`.
    pub fn choices(&self) -> impl Iterator<Item = &[u16]> {
        self.layers.iter().filter(|layer| !layer.choices.is_empty()).map(|layer| layer.choices.as_slice())
    }
}

impl Transformer {
    /// Evaluates the targets of every sequence: fills the tape's log-probabilities and entropies.
    ///
    /// Logits are divided by `temperature` first, as they were when the tokens were drawn.
    pub fn forward(&self, batch: &[Sequence<'_>], temperature: f32, tape: &mut Tape) {
        tape.start(batch, temperature);
        let config = &self.config;
        let hidden = config.hidden_size;
        let layout = &self.parameters.layout;
        let embedding = self.parameters.at(&layout.embedding);
        tape.stream.clear();
        for token in &tape.tokens {
            let at = *token as usize * hidden;
            tape.stream.extend_from_slice(&embedding[at..at + hidden]);
        }
        if let Some(place) = &layout.positions {
            let table = self.parameters.at(place);
            for (row, position) in tape.stream.chunks_exact_mut(hidden).zip(&tape.positions) {
                let at = *position as usize * hidden;
                for (value, learned) in row.iter_mut().zip(&table[at..at + hidden]) {
                    *value += learned;
                }
            }
        }
        tape.layers.resize_with(config.num_hidden_layers, LayerTape::default);
        tape.expert_loads.resize(config.sparse_layers().count(), Vec::new());
        let mut sparse = 0;
        for (number, (layer, places)) in self.layers.iter().zip(&layout.layers).enumerate() {
            self.attend(layer, places, number, tape);
            let mut layer_tape = std::mem::take(&mut tape.layers[number]);
            let rows = tape.rows();
            let norm = self.parameters.at(&places.feed_forward_norm);
            layer_tape.feed_forward_norm.forward(&tape.stream, norm, config.rms_norm_eps);
            match &layer.feed_forward {
                FeedForward::Dense(swiglu) => {
                    layer_tape.dense.forward(
                        swiglu,
                        &layer_tape.feed_forward_norm.output,
                        &mut tape.stream,
                        rows,
                    );
                }
                FeedForward::Experts { router, .. } => {
                    self.choose(router, sparse, batch, &mut layer_tape, rows);
                    self.apply_experts(layer, &mut layer_tape, &mut tape.stream, rows);
                    let loads = &mut tape.expert_loads[sparse];
                    loads.clear();
                    loads
                        .extend((0..config.n_routed_experts).map(|e| layer_tape.dispatch.of(e).len() as u64));
                    sparse += 1;
                }
            }
            tape.layers[number] = layer_tape;
        }
        let _scope = profile::enter(Part::Head);
        let gathered = sized(&mut tape.scratch.gathered, tape.targets.len() * hidden);
        for (row, gathered) in tape.target_rows.iter().zip(gathered.chunks_exact_mut(hidden)) {
            let at = *row as usize * hidden;
            gathered.copy_from_slice(&tape.stream[at..at + hidden]);
        }
        tape.last_norm.forward(gathered, self.parameters.at(&layout.norm), config.rms_norm_eps);
        self.head_kernel(temperature).forward(
            &tape.last_norm.output,
            &tape.targets,
            sized(&mut tape.log_probabilities, tape.targets.len()),
            sized(&mut tape.entropies, tape.targets.len()),
            &mut tape.scratch.logits,
        );
    }

    fn attend(&self, layer: &Layer, places: &LayerPlaces, number: usize, tape: &mut Tape) {
        let _scope = profile::enter(Part::Projections);
        let config = &self.config;
        let shape = self.attention_shape();
        let rows = tape.rows();
        let mut layer_tape = std::mem::take(&mut tape.layers[number]);
        let LayerTape {
            attention_norm,
            query_norm,
            query,
            key,
            latent,
            latent_inverse,
            latent_normed,
            key_value,
            attended,
            ..
        } = &mut layer_tape;
        attention_norm.forward(&tape.stream, self.parameters.at(&places.attention_norm), config.rms_norm_eps);
        let normed = &attention_norm.output;
        match (&layer.projections, &places.attention) {
            (
                Projections::Mla { query_down, query_up, key_value_down, key_value_up, .. },
                AttentionPlaces::Mla { query_down: query_places, key_value_norm, .. },
            ) => {
                let query = sized(query, rows * query_up.out);
                if let (Some(down), Some((_, norm))) = (query_down, query_places) {
                    let low = sized(&mut tape.scratch.dinner, rows * down.out);
                    down.apply(normed, low, rows, false);
                    query_norm.forward(low, self.parameters.at(norm), config.rms_norm_eps);
                    query_up.apply(&query_norm.output, query, rows, false);
                } else {
                    query_up.apply(normed, query, rows, false);
                }
                let (rank, rope, nope) =
                    (config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim);
                let latent = sized(latent, rows * key_value_down.out);
                key_value_down.apply(normed, latent, rows, false);
                let latent_normed = sized(latent_normed, rows * rank);
                rms_norm::forward(
                    latent,
                    rank + rope,
                    self.parameters.at(key_value_norm),
                    config.rms_norm_eps,
                    latent_normed,
                    sized(latent_inverse, rows),
                );
                let key_value = sized(key_value, rows * key_value_up.out);
                key_value_up.apply(latent_normed, key_value, rows, false);
                let key = sized(key, rows * query_up.out);
                let up_head = nope + config.v_head_dim;
                for row in 0..rows {
                    let position = tape.positions[row] as usize;
                    let rotary_key = &mut latent[row * (rank + rope) + rank..][..rope];
                    self.rotary.turn(rotary_key, position);
                    for head in 0..config.num_attention_heads {
                        let at = row * query_up.out + head * shape.query_dim;
                        self.rotary.turn(&mut query[at + nope..at + nope + rope], position);
                        let up_at = row * key_value_up.out + head * up_head;
                        key[at..at + nope].copy_from_slice(&key_value[up_at..up_at + nope]);
                        key[at + nope..at + nope + rope].copy_from_slice(rotary_key);
                    }
                }
            }
            (Projections::Gqa(linear), _) => {
                let query = sized(query, rows * linear.out);
                linear.apply(normed, query, rows, false);
                let turning = shape.heads + shape.key_heads;
                for (row, position) in query.chunks_exact_mut(linear.out).zip(&tape.positions) {
                    for head in row.chunks_exact_mut(shape.query_dim).take(turning) {
                        self.rotary.turn(head, *position as usize);
                    }
                }
            }
            _ => unreachable!("layers are built from the same places"),
        }
        sized(attended, rows * shape.heads * shape.value_dim);
        for span in &tape.spans {
            let operands = (&layer_tape.query[..], &layer_tape.key[..], &layer_tape.key_value[..]);
            let (query, key, value) = self.heads(operands, span.start);
            let out = HeadsMut::packed(&mut layer_tape.attended, span.start, shape.heads, shape.value_dim);
            let _scope = profile::enter(Part::Attention);
            attention::forward(shape, span.len(), query, key, value, out, &mut tape.scratch.attention);
        }
        layer.output.apply(&layer_tape.attended, &mut tape.stream, rows, true);
        tape.layers[number] = layer_tape;
    }

    /// Query, key and value of the rows from `row` on.
    fn heads<'t>(
        &self,
        (query, key, key_value): (&'t [f32], &'t [f32], &'t [f32]),
        row: usize,
    ) -> (Heads<'t>, Heads<'t>, Heads<'t>) {
        let shape = self.attention_shape();
        let at = |data: &'t [f32], width: usize, offset: usize, head: usize| Heads {
            data: &data[row * width + offset..],
            row: width,
            head,
        };
        match self.config.attention {
            Attention::Mla => {
                let width = shape.heads * shape.query_dim;
                let (nope, up_head) =
                    (self.config.qk_nope_head_dim, self.config.qk_nope_head_dim + shape.value_dim);
                (
                    at(query, width, 0, shape.query_dim),
                    at(key, width, 0, shape.query_dim),
                    at(key_value, shape.heads * up_head, nope, up_head),
                )
            }
            Attention::Gqa => {
                let dim = shape.query_dim;
                let width = (shape.heads + 2 * shape.key_heads) * dim;
                (
                    at(query, width, 0, dim),
                    at(query, width, shape.heads * dim, dim),
                    at(query, width, (shape.heads + shape.key_heads) * dim, dim),
                )
            }
        }
    }

    /// Fills the affinities and choices of every row; takes the recorded choices where the batch has them.
    fn choose(
        &self,
        router: &Linear,
        sparse: usize,
        batch: &[Sequence<'_>],
        tape: &mut LayerTape,
        rows: usize,
    ) {
        let _scope = profile::enter(Part::Router);
        let rule = self.rule();
        self.score_experts(router, tape, rows);
        let bias = &self.parameters.expert_biases[sparse];
        let layers = self.parameters.expert_biases.len();
        let mut start = 0;
        for sequence in batch {
            let end = start + sequence.rows();
            let choices = &mut tape.choices[start * rule.chosen..end * rule.chosen];
            match sequence.routes {
                Some(routes) => {
                    for (row, choices) in choices.chunks_exact_mut(rule.chosen).enumerate() {
                        let at = (row * layers + sparse) * rule.chosen;
                        choices.copy_from_slice(&routes[at..at + rule.chosen]);
                    }
                }
                None => {
                    rule.choose(&tape.affinities[start * rule.experts..end * rule.experts], bias, choices)
                }
            }
            start = end;
        }
    }

    /// Fills the affinities and makes room for the choices.
    pub(super) fn score_experts(&self, router: &Linear, tape: &mut LayerTape, rows: usize) {
        let _scope = profile::enter(Part::Router);
        let rule = self.rule();
        let affinities = sized(&mut tape.affinities, rows * rule.experts);
        router.apply(&tape.feed_forward_norm.output, affinities, rows, false);
        experts::affinities(affinities);
        tape.choices.resize(rows * rule.chosen, 0);
    }

    /// Adds the output of the chosen and the shared experts to `stream`.
    pub(super) fn apply_experts(&self, layer: &Layer, tape: &mut LayerTape, stream: &mut [f32], rows: usize) {
        let FeedForward::Experts { routed, shared, .. } = &layer.feed_forward else { return };
        let _scope = profile::enter(Part::Experts);
        let rule = self.rule();
        let x = &tape.feed_forward_norm.output;
        let gates = sized(&mut tape.gates, rows * rule.chosen);
        rule.gates(&tape.affinities, &tape.choices, gates);
        tape.dispatch.sort(&tape.choices, rule.experts);
        if let Some(shared) = shared {
            tape.dense.forward(shared, x, stream, rows);
        }
        experts::forward(self.expert_size(), routed, &tape.dispatch, x, gates, stream, &mut tape.saved);
    }
}
