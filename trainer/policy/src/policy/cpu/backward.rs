//! The training backward, from the tape of the forward.

use super::forward::Tape;
use super::packed::Transformer;
use crate::kernels::profile::{self, Part};
use crate::policy::blocks::{Training, sized, zeroed};

impl Transformer {
    /// Adds to the gradient of all weights, given the gradient of the log-probabilities of the last forward.
    ///
    /// `balance_weight` is the weight of the sequence-wise balance loss; 0 turns it off.
    pub fn backward(
        &self,
        dlog_probabilities: &[f32],
        balance_weight: f32,
        tape: &mut Tape,
        gradient: &mut [f32],
    ) {
        let hidden = self.config.hidden_size;
        let layout = &self.parameters.layout;
        let targets = tape.targets.len();
        assert_eq!(dlog_probabilities.len(), targets);
        let scope = profile::enter(Part::Head);
        let dnormed = sized(&mut tape.dnormed, targets * hidden);
        let (head, dhead) = (self.head_kernel(tape.temperature), &mut gradient[layout.head.clone()]);
        let (normed, logits) = (&tape.last_norm.output, &mut tape.logits);
        head.backward(normed, &tape.targets, dlog_probabilities, dnormed, dhead, logits);
        let dgathered = zeroed(&mut tape.gathered, targets * hidden);
        self.norm.backward(dnormed, &tape.last_norm, dgathered, gradient);
        let dstream = zeroed(&mut tape.dstream, tape.tokens.len() * hidden);
        for (row, dgathered) in tape.target_rows.iter().zip(dgathered.chunks_exact(hidden)) {
            let at = *row as usize * hidden;
            dstream[at..at + hidden].copy_from_slice(dgathered);
        }
        drop(scope);
        let (spans, positions, scratch) = (&tape.spans, &tape.positions, &mut tape.scratch);
        let mut rows = Training { spans, positions, rotary: &self.rotary, scratch };
        let dx = sized(&mut tape.dnormed, dstream.len());
        for (layer, layer_tape) in self.layers.iter().zip(&mut tape.layers).rev() {
            layer.backward(dstream, dx, balance_weight, &mut rows, layer_tape, gradient);
        }
        add_rows(dstream, &tape.tokens, &mut gradient[layout.embedding.clone()], hidden);
        if let Some(place) = &layout.positions {
            add_rows(dstream, &tape.positions, &mut gradient[place.clone()], hidden);
        }
    }
}

/// Adds each row to the row of `table` with its index.
fn add_rows(rows: &[f32], indices: &[u32], table: &mut [f32], width: usize) {
    for (row, index) in rows.chunks_exact(width).zip(indices) {
        let at = *index as usize * width;
        for (sum, value) in table[at..at + width].iter_mut().zip(row) {
            *sum += value;
        }
    }
}
