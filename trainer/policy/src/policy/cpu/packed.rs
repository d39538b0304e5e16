//! The policy's weights, packed for products.

use crate::kernels::likelihood::Head;
use crate::kernels::precision::Precision;
use crate::kernels::rotary::Rotary;
use crate::policy::blocks::{AttentionBlock, Layer, Linear, Norm};
use crate::policy::layout::Layout;
use crate::policy::{Config, Parameters};

/// A policy: its weights, and the same weights packed for products.
pub struct Transformer {
    /// Its shape.
    pub config: Config,
    /// Its weights. After a change, call [`Transformer::repack`].
    pub parameters: Parameters,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Norm,
    pub(super) head: Linear,
    pub(super) rotary: Rotary,
    precision: Precision,
}

impl Transformer {
    /// A policy with these weights. Router, head and the training forward's attention are float32 in every precision, as in
    /// DeepSeek-V3 §3.3.
    pub fn with_precision(config: Config, parameters: Parameters, precision: Precision) -> Self {
        let (Layout { norm, head, .. }, layers) = Layout::with_layers(&config);
        let norm = Norm::at(norm, &config);
        let head = Linear::at(head, config.vocab_size, config.hidden_size);
        let rotary = AttentionBlock::rotary(&config);
        let mut transformer = Self { config, parameters, layers, norm, head, rotary, precision };
        transformer.repack();
        transformer
    }

    /// The precision of its products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Packs the weights again after they have changed.
    pub fn repack(&mut self) {
        for layer in &mut self.layers {
            layer.pack(self.precision, &self.parameters);
        }
        self.norm.pack(&self.parameters);
        self.head.pack(Precision::Float32, &self.parameters);
    }

    /// Fills the residual stream, `[rows, hidden]`, with the embeddings of tokens at their positions.
    pub(super) fn embed(&self, rows: impl Iterator<Item = (u32, usize)>, stream: &mut Vec<f32>) {
        let (hidden, layout) = (self.config.hidden_size, &self.parameters.layout);
        let embedding = self.parameters.at(&layout.embedding);
        let positions = layout.positions.as_ref().map(|place| self.parameters.at(place));
        stream.clear();
        for (token, position) in rows {
            let start = stream.len();
            stream.extend_from_slice(&embedding[token as usize * hidden..][..hidden]);
            if let Some(table) = positions {
                let learned = &table[position * hidden..][..hidden];
                for (value, learned) in stream[start..].iter_mut().zip(learned) {
                    *value += learned;
                }
            }
        }
    }

    pub(super) fn head_kernel(&self, temperature: f32) -> Head<'_> {
        Head {
            forward: &self.head.forward,
            backward: &self.head.backward,
            vocabulary: self.config.vocab_size,
            hidden: self.config.hidden_size,
            inverse_temperature: 1.0 / temperature,
        }
    }
}
