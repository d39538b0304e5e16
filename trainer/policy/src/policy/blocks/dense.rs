//! The dense feed-forward: one SwiGLU.

use super::{Builder, Gradients, Linear, Scratch, sized};
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part};
use crate::kernels::swiglu;
use crate::policy::Parameters;
use crate::policy::layout::Place;

pub(crate) struct Dense {
    width: usize,
    /// `[2 · width, hidden]`: gate, then up.
    gate_up: Linear,
    /// `[hidden, width]`.
    down: Linear,
}

/// The activations that the backward needs.
#[derive(Default)]
pub(super) struct Tape {
    gate_up: Vec<f32>,
    activation: Vec<f32>,
}

/// The places of gate and up together, and of down.
pub(super) fn places(hidden: usize, width: usize, prefix: &str, builder: &mut Builder) -> [Place; 2] {
    let gate = builder.matrix(&format!("{prefix}.gate_proj"), width, hidden);
    let up = builder.matrix(&format!("{prefix}.up_proj"), width, hidden);
    [gate.start..up.end, builder.matrix(&format!("{prefix}.down_proj"), hidden, width)]
}

/// Parameters of gate, up and down.
pub(crate) fn count(hidden: usize, width: usize) -> u64 {
    3 * hidden as u64 * width as u64
}

impl Dense {
    pub(super) fn new(hidden: usize, width: usize, prefix: &str, builder: &mut Builder) -> Self {
        let [gate_up, down] = places(hidden, width, prefix, builder);
        Self { width, gate_up: Linear::at(gate_up, 2 * width, hidden), down: Linear::at(down, hidden, width) }
    }

    pub(super) fn pack(&mut self, precision: Precision, parameters: &Parameters) {
        self.gate_up.pack(precision, parameters);
        self.down.pack(precision, parameters);
    }

    pub(super) fn forward(&self, x: &[f32], out: &mut [f32], tape: &mut Tape) {
        let _scope = profile::enter(Part::FeedForward);
        let rows = x.len() / self.gate_up.input;
        let gate_up = sized(&mut tape.gate_up, rows * 2 * self.width);
        self.gate_up.apply(x, gate_up, false);
        let activation = sized(&mut tape.activation, rows * self.width);
        swiglu::forward(gate_up, self.width, activation);
        self.down.apply(activation, out, true);
    }

    pub(super) fn backward(&self, gradients: Gradients<'_>, tape: &mut Tape, scratch: &mut Scratch) {
        let _scope = profile::enter(Part::FeedForward);
        let Gradients { x, dout, dx, weights } = gradients;
        let rows = x.len() / self.gate_up.input;
        let dactivation = sized(&mut scratch.inner, rows * self.width);
        self.down.backward(dout, &tape.activation, dactivation, false, weights);
        swiglu::backward(dactivation, self.width, &mut tape.gate_up);
        self.gate_up.backward(&tape.gate_up, x, dx, true, weights);
    }
}
