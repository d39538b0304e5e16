//! The training forward. Sequences have no padding between them. One call runs on one thread.

use std::ops::Range;

use super::packed::Transformer;
use crate::kernels::profile::{self, Part};
use crate::policy::Sequence;
use crate::policy::blocks::{FeedForward, LayerTape, NormTape, Routing, Scratch, Training, sized};

/// The results of a forward, and the activations that the backward needs. Reused, so that its buffers are allocated once.
#[derive(Default)]
pub struct Tape {
    /// The log-probability of each target, sequence after sequence.
    pub log_probabilities: Vec<f32>,
    /// The entropy of the distribution of each target.
    pub entropies: Vec<f32>,
    /// The number of choices of each expert: one list per sparse layer.
    pub expert_loads: Vec<Vec<u64>>,
    pub(super) temperature: f32,
    pub(super) spans: Vec<Range<usize>>,
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) target_rows: Vec<u32>,
    pub(super) layers: Vec<LayerTape>,
    stream: Vec<f32>,
    pub(super) last_norm: NormTape,
    pub(super) gathered: Vec<f32>,
    pub(super) logits: Vec<f32>,
    pub(super) dstream: Vec<f32>,
    pub(super) dnormed: Vec<f32>,
    pub(super) scratch: Scratch,
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

    /// The chosen experts of each sparse layer, `[rows, chosen]`.
    pub fn choices(&self) -> impl Iterator<Item = &[u16]> {
        let all = self.layers.iter().map(|layer| layer.experts.choices.as_slice());
        all.filter(|choices| !choices.is_empty())
    }
}

impl Transformer {
    /// Fills the tape's log-probabilities and entropies, at the temperature of sampling.
    pub fn forward(&self, batch: &[Sequence<'_>], temperature: f32, tape: &mut Tape) {
        tape.start(batch, temperature);
        let positions = tape.positions.iter().map(|position| *position as usize);
        self.embed(tape.tokens.iter().copied().zip(positions), &mut tape.stream);
        tape.layers.resize_with(self.layers.len(), LayerTape::default);
        tape.expert_loads.resize(self.config.sparse_layers().count(), Vec::new());
        let (spans, positions, scratch) = (&tape.spans, &tape.positions, &mut tape.scratch);
        let mut rows = Training { spans, positions, rotary: &self.rotary, scratch };
        let routing = Routing { sequences: batch, biases: &self.parameters.expert_biases };
        for (layer, layer_tape) in self.layers.iter().zip(&mut tape.layers) {
            layer.forward(&mut tape.stream, routing, &mut rows, layer_tape);
            if let FeedForward::Experts(experts) = &layer.feed_forward {
                let loads = &mut tape.expert_loads[experts.number];
                loads.clear();
                loads.extend(experts.loads(&layer_tape.experts));
            }
        }
        let _scope = profile::enter(Part::Head);
        let hidden = self.config.hidden_size;
        let gathered = sized(&mut tape.gathered, tape.targets.len() * hidden);
        for (row, gathered) in tape.target_rows.iter().zip(gathered.chunks_exact_mut(hidden)) {
            let at = *row as usize * hidden;
            gathered.copy_from_slice(&tape.stream[at..at + hidden]);
        }
        self.norm.forward(gathered, &mut tape.last_norm);
        let (head, targets) = (self.head_kernel(temperature), &tape.targets);
        let values = sized(&mut tape.log_probabilities, targets.len());
        let entropies = sized(&mut tape.entropies, targets.len());
        head.forward(&tape.last_norm.output, targets, values, entropies, &mut tape.logits);
    }
}
