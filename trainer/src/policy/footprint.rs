//! What a network costs: its parameters and the work of a token.

use serde::Serialize;

use super::blocks::{Attention, dense, experts};
use super::config::{Attention as Kind, Config};
use super::layout::Builder;
use crate::machine::units::Flops;

/// Parameters of a network and the floating-point operations they take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// Trained numbers. The experts' load bias, which no gradient reaches, is not among them.
    pub parameters_total: u64,
    /// Those that one token uses, looked-up embeddings aside; the output head counts, tied or not.
    pub parameters_active: u64,
    /// Those that one token is multiplied with.
    matrix_parameters: u64,
    /// Operations of one token's scores and values, for each token it attends to.
    flops_per_context: u64,
    /// The same in a decoder, which attends to what it keeps.
    flops_per_cached: u64,
    /// Those of the output head.
    head_parameters: u64,
}

/// Counts the parameters of `model`, and the work of a token.
///
/// *Source*: PaLM, appendix B (6 operations a parameter and trained token), with attention counted causally and
/// latent attention by its two widths of heads.
pub fn footprint(model: &Config) -> Footprint {
    let (hidden, heads, layers) =
        (model.hidden_size as u64, model.num_attention_heads as u64, model.num_hidden_layers as u64);
    let (attention, attention_matrices, attention_norms) = attention(model);
    let cached = attention.cached();
    let dense = dense::count(model.hidden_size, model.intermediate_size);
    let expert_layers = model.sparse_layers().count() as u64;
    let every_expert = experts::count(model, model.n_routed_experts);
    let used_experts = experts::count(model, model.num_experts_per_tok);
    let head = hidden * model.vocab_size as u64;
    let embeddings = if model.tie_word_embeddings { 0 } else { head };
    let positions = if model.learned_positions { hidden * model.max_position_embeddings as u64 } else { 0 };
    let norms = layers * (2 * hidden + attention_norms) + hidden;
    let always = layers * attention_matrices + (layers - expert_layers) * dense + head;
    let matrix_parameters = always + expert_layers * used_experts;
    Footprint {
        parameters_total: always + expert_layers * every_expert + norms + embeddings + positions,
        parameters_active: matrix_parameters + norms,
        matrix_parameters,
        flops_per_context: layers * 2 * heads * (model.query_dim() + model.value_dim()) as u64,
        flops_per_cached: layers * 2 * heads * (cached.key + cached.value) as u64,
        head_parameters: head,
    }
}

impl Footprint {
    /// Forward pass of one token that attends to `context` tokens, itself included.
    pub fn forward(&self, context: usize) -> Flops {
        Flops::new(2.0 * self.matrix_parameters as f64 + (self.flops_per_context * context as u64) as f64)
    }

    /// Forward pass of all tokens of a row of `length`, each attending to itself and those before it.
    pub fn forward_row(&self, length: usize) -> Flops {
        let contexts = length as f64 * (length as f64 + 1.0) / 2.0;
        let matrices = 2.0 * self.matrix_parameters as f64 * length as f64;
        Flops::new(matrices + self.flops_per_context as f64 * contexts)
    }

    /// Forward pass of a row of `length` tokens of which `targets` go through the output head.
    pub fn forward_targets(&self, length: f64, targets: f64) -> Flops {
        let matrices = (self.matrix_parameters - self.head_parameters) as f64 * length;
        let head = self.head_parameters as f64 * targets;
        let contexts = length * (length + 1.0) / 2.0;
        Flops::new(2.0 * (matrices + head) + self.flops_per_context as f64 * contexts)
    }

    /// Forward and backward pass of such a row.
    pub fn train_targets(&self, length: f64, targets: f64) -> Flops {
        self.forward_targets(length, targets) * 3.0
    }

    /// A decoder's pass of one token that attends to `context` kept ones, itself included.
    ///
    /// Latent attention does not build keys and values again: its products with absorbed projections have as many
    /// parameters as the projections, and scores and values are taken of the latents.
    pub fn decode(&self, context: usize) -> Flops {
        Flops::new(2.0 * self.matrix_parameters as f64 + (self.flops_per_cached * context as u64) as f64)
    }

    /// A decoder's pass of a prompt of `length` tokens, of which the last goes through the output head.
    pub fn prefill(&self, length: f64) -> Flops {
        let matrices =
            (self.matrix_parameters - self.head_parameters) as f64 * length + self.head_parameters as f64;
        Flops::new(2.0 * matrices + self.flops_per_cached as f64 * length * (length + 1.0) / 2.0)
    }

    /// A decoder's passes for `drawn` tokens after a prompt; the last one drawn is not run.
    pub fn decode_run(&self, prompt: f64, drawn: f64) -> Flops {
        let rows = (drawn - 1.0).max(0.0);
        let contexts = rows * prompt + rows * (rows + 1.0) / 2.0;
        Flops::new(2.0 * self.matrix_parameters as f64 * rows + self.flops_per_cached as f64 * contexts)
    }

    /// Parameters of all routed experts of `model`, whose footprint this is.
    pub fn routed_parameters(&self, model: &Config) -> u64 {
        let expert = dense::count(model.hidden_size, model.moe_intermediate_size);
        model.sparse_layers().count() as u64 * model.n_routed_experts as u64 * expert
    }

    /// Forward and backward pass of all tokens of a row of `length`; the backward pass is twice the forward pass.
    pub fn train_row(&self, length: usize) -> Flops {
        self.forward_row(length) * 3.0
    }

    /// Forward and backward pass of a token, on average over a row of `length`.
    pub fn train_token(&self, length: usize) -> Flops {
        self.train_row(length) * (1.0 / length.max(1) as f64)
    }
}

/// Numbers that a decoder keeps for a token: latent and rotary key of each layer, or keys and values.
pub fn cache_elements(model: &Config) -> u64 {
    let of_layer = match model.attention {
        Kind::Mla => model.kv_lora_rank + model.qk_rope_head_dim,
        Kind::Gqa => 2 * model.num_key_value_heads * model.head_dim,
    };
    (model.num_hidden_layers * of_layer) as u64
}

/// One layer's attention, with the numbers in its matrices and in its norms.
fn attention(model: &Config) -> (Attention, u64, u64) {
    let mut builder = Builder::default();
    let attention = Attention::new(model, "self_attn", &mut builder);
    (attention, builder.count(true), builder.count(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(measured: f64, published: f64) {
        assert!((measured / published - 1.0).abs() < 5e-4, "{measured:e} is not {published:e}");
    }

    #[test]
    fn deepseek_v3_comes_out_as_published() {
        let count = footprint(&Config::deepseek_v3());
        near(count.parameters_total as f64, 671.03e9);
        near(count.parameters_active as f64, 36.63e9);
        near(count.train_token(4096).get(), 250.46e9);
        near(attention(&Config::deepseek_v3()).1 as f64, 187.1e6);
    }

    #[test]
    fn more_experts_cost_a_token_only_their_router() {
        let mut model = Config::deepseek_v3();
        let before = footprint(&model);
        model.n_routed_experts *= 2;
        let after = footprint(&model);
        assert_eq!(after.parameters_active - before.parameters_active, 58 * 7168 * 256);
        assert!(after.parameters_total > 19 * before.parameters_total / 10);
    }

    #[test]
    fn a_dense_network_is_counted_by_hand() {
        let model = Config {
            vocab_size: 10,
            hidden_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            attention: Kind::Gqa,
            num_key_value_heads: 1,
            head_dim: 4,
            intermediate_size: 5,
            n_routed_experts: 0,
            learned_positions: true,
            max_position_embeddings: 7,
            tie_word_embeddings: true,
            ..Config::deepseek_v3()
        };
        let count = footprint(&model);
        // queries 64, keys 32, values 32, output 64; gate, up, down 40 each; three norms; head 80; positions 56.
        assert_eq!(count.parameters_active, 192 + 120 + 24 + 80);
        assert_eq!(count.parameters_total, 192 + 120 + 24 + 80 + 56);
        assert_eq!(count.forward(3).get(), 2.0 * 392.0 + 2.0 * 2.0 * 8.0 * 3.0);
        let by_token: f64 = (1..=6).map(|context| count.forward(context).get()).sum();
        assert_eq!(count.forward_row(6).get(), by_token);
        assert_eq!(count.train_row(6).get(), 3.0 * by_token);
    }
}
