//! The residual connection around a block.

use super::{Builder, Gradients, Norm, NormTape};
use crate::policy::{Config, Parameters};

/// The plain residual connection: the block reads the normalised stream and adds to the stream.
pub(super) struct Residual {
    norm: Norm,
}

impl Residual {
    pub(super) fn new(config: &Config, name: String, builder: &mut Builder) -> Self {
        Self { norm: Norm::at(builder.norm(&name, config.hidden_size), config) }
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        self.norm.pack(parameters);
    }

    /// `block` reads its first argument and adds to its second.
    pub(super) fn forward(
        &self,
        stream: &mut [f32],
        tape: &mut NormTape,
        block: impl FnOnce(&[f32], &mut [f32]),
    ) {
        self.norm.forward(stream, tape);
        block(&tape.output, stream);
    }

    /// Adds to the gradient of the stream; `dx` is a buffer for the gradient of the block's input.
    pub(super) fn backward(
        &self,
        dstream: &mut [f32],
        dx: &mut [f32],
        tape: &NormTape,
        weights: &mut [f32],
        block: impl FnOnce(Gradients<'_>),
    ) {
        block(Gradients { x: &tape.output, dout: dstream, dx, weights });
        self.norm.backward(dx, tape, dstream, weights);
    }
}
