//! The size of a network and its operations per token.

use serde::Serialize;

use super::blocks::{AttentionBlock, dense, experts};
use super::config::{Attention, Config};
use super::layout::Builder;
use crate::machine::units::Flops;

/// The parameters of a network and its floating-point operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// Trained parameters, without the experts' load biases.
    pub parameters_total: u64,
    /// Parameters that one token uses, without embeddings but with the output head, tied or not.
    pub parameters_active: u64,
    /// Parameters of the matrices that one token is multiplied with.
    matrix_parameters: u64,
    /// Operations of the attention of one token to another.
    flops_per_context: u64,
    /// The same in a decoder with its cache.
    flops_per_cached: u64,
    head_parameters: u64,
}

/// Counts the parameters and operations of `model`.
///
/// Source: PaLM, appendix B (6 operations per parameter and trained token), with causal attention, and with both head widths
/// of latent attention.
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
    /// Forward pass of one token that attends to `context` tokens, including itself.
    pub fn forward(&self, context: usize) -> Flops {
        Flops::new(2.0 * self.matrix_parameters as f64 + (self.flops_per_context * context as u64) as f64)
    }

    /// Forward pass of all tokens of a row of `length`.
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

    /// A decoder's pass of one token that attends to `context` cached tokens, including itself.
    ///
    /// Latent attention attends to latents, with absorbed projections of the same size as the projections.
    pub fn decode(&self, context: usize) -> Flops {
        Flops::new(2.0 * self.matrix_parameters as f64 + (self.flops_per_cached * context as u64) as f64)
    }

    /// A decoder's pass of a prompt of `length` tokens, of which the last goes through the output head.
    pub fn prefill(&self, length: f64) -> Flops {
        let matrices =
            (self.matrix_parameters - self.head_parameters) as f64 * length + self.head_parameters as f64;
        Flops::new(2.0 * matrices + self.flops_per_cached as f64 * length * (length + 1.0) / 2.0)
    }

    /// A decoder's passes for `drawn` tokens after a prompt, of which the last is not run.
    pub fn decode_run(&self, prompt: f64, drawn: f64) -> Flops {
        let rows = (drawn - 1.0).max(0.0);
        let contexts = rows * prompt + rows * (rows + 1.0) / 2.0;
        Flops::new(2.0 * self.matrix_parameters as f64 * rows + self.flops_per_cached as f64 * contexts)
    }

    /// Parameters of all routed experts of `model`.
    pub fn routed_parameters(&self, model: &Config) -> u64 {
        let expert = dense::count(model.hidden_size, model.moe_intermediate_size);
        model.sparse_layers().count() as u64 * model.n_routed_experts as u64 * expert
    }

    /// Forward and backward pass of a token, on average over a row of `length`.
    pub fn train_token(&self, length: usize) -> Flops {
        self.forward_row(length) * 3.0 * (1.0 / length.max(1) as f64)
    }
}

/// Numbers per token in a decoder's cache: latents and rotary keys, or keys and values.
pub fn cache_elements(model: &Config) -> u64 {
    let of_layer = match model.attention {
        Attention::Mla => model.kv_lora_rank + model.qk_rope_head_dim,
        Attention::Gqa => 2 * model.num_key_value_heads * model.head_dim,
    };
    (model.num_hidden_layers * of_layer) as u64
}

/// The attention of one layer, and the parameters of its matrices and of its norms.
fn attention(model: &Config) -> (AttentionBlock, u64, u64) {
    let mut builder = Builder::default();
    let attention = AttentionBlock::new(model, "self_attn", &mut builder);
    (attention, builder.count(true), builder.count(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::loss::NextToken;
    use crate::policy::rollout::{Limits, Request};
    use crate::policy::sampling::Sampling;
    use crate::policy::tests::{cpu_policy, random_tokens, settings};
    use crate::policy::{Alone, Policy, Sequence};

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
            attention: Attention::Gqa,
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
        assert_eq!(count.train_token(6).get(), 3.0 * by_token * (1.0 / 6.0));
    }

    /// Dense, experts and latent attention: what the kernels counted against what the shapes ask for.
    #[test]
    fn counts_agree_with_the_closed_forms() {
        let (prompt, drawn) = (13, 41);
        for (name, config) in settings() {
            let (mut policy, size) = (cpu_policy(&config, 3), footprint(&config));
            let near = |counted: u64, closed: f64, what: &str| {
                assert!(
                    (counted as f64 / closed - 1.0).abs() < 0.01,
                    "{name}, {what}: {counted} counted, {closed} in closed form"
                );
            };
            let tokens = random_tokens(&[prompt + drawn], config.vocab_size);
            let prompt_tokens = &tokens[0][..prompt];
            let requests = [Request { prompt: prompt_tokens, samples: 3, address: [0; 3] }];
            let limits = Limits { max_new_tokens: drawn, end: u32::MAX, thinking: None };
            let rollout = policy.roll_out(&requests, &Sampling::PLAIN, &limits, 0).unwrap();
            near(rollout.prefill.flops, size.prefill(prompt as f64).get(), "prompt, once for its group");
            near(
                rollout.decode.flops,
                3.0 * size.decode_run(prompt as f64, drawn as f64).get(),
                "completions",
            );

            let sequences = [Sequence { tokens: &tokens[0], first_target: prompt, routes: None }];
            let pass = policy.gradient(&sequences, 1.0, 0.0, &NextToken::over(drawn), &Alone).unwrap();
            let forward = size.forward_targets((prompt + drawn - 1) as f64, drawn as f64).get();
            near(pass.forward.flops, forward, "forward");
            near(pass.backward.flops, 2.0 * forward, "backward");
            assert!(pass.backward.surplus_flops > 0, "{name}: scores and logits are computed again");
        }
    }
}
