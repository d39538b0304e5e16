//! The settings of the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Checker;
use crate::policy::{Attention, Config};

/// The network, in the terms of Hugging Face's `config.json`. Its vocabulary comes from the recipe's tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 65536))]
    pub hidden_size: usize,
    /// Layers, each with attention and a feed-forward part.
    #[schemars(range(min = 1, max = 1024))]
    pub num_hidden_layers: usize,
    /// Query heads of attention.
    #[schemars(range(min = 1, max = 1024))]
    pub num_attention_heads: usize,
    /// The kind of attention.
    pub attention: Attention,
    /// Key-value heads (`gqa` only); default `num_attention_heads`, which it must divide.
    #[schemars(range(min = 1, max = 1024))]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head (`gqa` only), an even number; default `hidden_size / num_attention_heads`.
    #[schemars(range(min = 2, max = 65536))]
    pub head_dim: Option<usize>,
    /// Rank to which queries are compressed (`mla` only); absent: not compressed.
    #[schemars(range(min = 1, max = 65536))]
    pub q_lora_rank: Option<usize>,
    /// Rank to which keys and values are compressed (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub kv_lora_rank: usize,
    /// Width of the part of a head's query and key without position (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub qk_nope_head_dim: usize,
    /// Width of the part of a head's query and key that is rotated by position (`mla` only), an even number.
    #[schemars(range(min = 2, max = 65536))]
    pub qk_rope_head_dim: usize,
    /// Width of a head's value (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub v_head_dim: usize,
    /// Width inside a dense feed-forward part.
    #[schemars(range(min = 1, max = 1048576))]
    pub intermediate_size: usize,
    /// Routed experts per layer; 0: every layer is dense.
    #[schemars(range(max = 65536))]
    pub n_routed_experts: usize,
    /// Experts that process every token.
    #[schemars(range(max = 1024))]
    pub n_shared_experts: usize,
    /// Routed experts per token.
    #[schemars(range(min = 1, max = 1024))]
    pub num_experts_per_tok: usize,
    /// Width inside one expert.
    #[schemars(range(min = 1, max = 1048576))]
    pub moe_intermediate_size: usize,
    /// First layers that are dense.
    #[schemars(range(max = 1024))]
    pub first_k_dense_replace: usize,
    /// Whether the weights of a token's experts are scaled to sum to 1.
    pub norm_topk_prob: bool,
    /// Factor on the routed experts' sum.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub routed_scaling_factor: f64,
    /// Weight of the sequence-wise balance loss; 0: none.
    #[schemars(range(min = 0.0))]
    pub aux_loss_alpha: f64,
    /// Added under the root of every normalisation.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rms_norm_eps: f64,
    /// Base of the rotary positions' wavelengths.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rope_theta: f64,
    /// Whether the output head is the input embedding.
    pub tie_word_embeddings: bool,
    /// Whether a learned vector for each position is added to the embedding.
    pub learned_positions: bool,
    /// Longest row that the network reads; default the longest row of any stage.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_position_embeddings: Option<usize>,
    /// Standard deviation of the initial weights.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub initializer_range: f64,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            attention: Attention::Mla,
            num_key_value_heads: None,
            head_dim: None,
            q_lora_rank: None,
            kv_lora_rank: 32,
            qk_nope_head_dim: 16,
            qk_rope_head_dim: 8,
            v_head_dim: 16,
            intermediate_size: 168,
            n_routed_experts: 0,
            n_shared_experts: 1,
            num_experts_per_tok: 2,
            moe_intermediate_size: 64,
            first_k_dense_replace: 1,
            norm_topk_prob: true,
            routed_scaling_factor: 1.0,
            aux_loss_alpha: 0.0,
            rms_norm_eps: 1e-6,
            rope_theta: 1000.0,
            tie_word_embeddings: false,
            learned_positions: true,
            max_position_embeddings: None,
            initializer_range: 0.05,
        }
    }
}

impl ModelSettings {
    /// The network of these settings, for a vocabulary and a longest row.
    pub fn config(&self, vocab_size: usize, longest_row: usize) -> Config {
        Config {
            vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            attention: self.attention,
            num_key_value_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            q_lora_rank: self.q_lora_rank,
            kv_lora_rank: self.kv_lora_rank,
            qk_nope_head_dim: self.qk_nope_head_dim,
            qk_rope_head_dim: self.qk_rope_head_dim,
            v_head_dim: self.v_head_dim,
            intermediate_size: self.intermediate_size,
            n_routed_experts: self.n_routed_experts,
            n_shared_experts: self.n_shared_experts,
            num_experts_per_tok: self.num_experts_per_tok,
            moe_intermediate_size: self.moe_intermediate_size,
            first_k_dense_replace: self.first_k_dense_replace,
            norm_topk_prob: self.norm_topk_prob,
            routed_scaling_factor: self.routed_scaling_factor as f32,
            aux_loss_alpha: self.aux_loss_alpha as f32,
            rms_norm_eps: self.rms_norm_eps as f32,
            rope_theta: self.rope_theta as f32,
            tie_word_embeddings: self.tie_word_embeddings,
            learned_positions: self.learned_positions,
            max_position_embeddings: self.max_position_embeddings.unwrap_or(longest_row),
            initializer_range: self.initializer_range as f32,
        }
    }

    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        let heads = self.num_attention_heads;
        match self.attention {
            Attention::Mla => {
                even(self.qk_rope_head_dim, &["model.qk_rope_head_dim"], checker);
                let given = [("num_key_value_heads", self.num_key_value_heads), ("head_dim", self.head_dim)];
                has_no_effect(&given, "mla", checker);
            }
            Attention::Gqa => {
                has_no_effect(&[("q_lora_rank", self.q_lora_rank)], "gqa", checker);
                let answering = self.num_key_value_heads.unwrap_or(self.num_attention_heads);
                if !heads.is_multiple_of(answering) {
                    let message =
                        format!("{answering} key-value heads do not divide {heads} attention heads");
                    let divisors: Vec<String> = (1..=heads)
                        .filter(|count| heads.is_multiple_of(*count))
                        .map(|count| count.to_string())
                        .collect();
                    let help = format!("`model.num_key_value_heads` may be {}", divisors.join(", "));
                    checker.mistake(
                        &["model.num_key_value_heads", "model.num_attention_heads"],
                        message,
                        [help],
                    );
                }
                if self.head_dim.is_none() && !self.hidden_size.is_multiple_of(heads) {
                    let message = format!(
                        "{heads} attention heads do not divide a hidden size of {}",
                        self.hidden_size
                    );
                    let help = "change one of them or set `model.head_dim`".to_owned();
                    checker.mistake(&["model.hidden_size", "model.num_attention_heads"], message, [help]);
                } else {
                    even(
                        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
                        &["model.head_dim", "model.hidden_size", "model.num_attention_heads"],
                        checker,
                    );
                }
            }
        }
        if self.n_routed_experts == 0 {
            return;
        }
        if self.num_experts_per_tok > self.n_routed_experts {
            let message = format!(
                "a token cannot use {} of {} routed experts",
                self.num_experts_per_tok, self.n_routed_experts
            );
            let help = format!("`model.num_experts_per_tok` may be 1 to {}", self.n_routed_experts);
            checker.mistake(&["model.num_experts_per_tok", "model.n_routed_experts"], message, [help]);
        }
        if self.first_k_dense_replace > self.num_hidden_layers {
            let message = format!(
                "`model.first_k_dense_replace` is {}, of {} layers",
                self.first_k_dense_replace, self.num_hidden_layers
            );
            let help = format!("it may be 0 to {}", self.num_hidden_layers);
            checker.mistake(&["model.first_k_dense_replace", "model.num_hidden_layers"], message, [help]);
        } else if self.first_k_dense_replace == self.num_hidden_layers {
            let message =
                "`model.first_k_dense_replace` leaves no layer for the experts: the network is dense"
                    .to_owned();
            checker.warn(
                &["model.first_k_dense_replace", "model.num_hidden_layers", "model.n_routed_experts"],
                message,
            );
        }
    }
}

fn has_no_effect(given: &[(&str, Option<usize>)], attention: &str, checker: &mut Checker<'_>) {
    for (key, value) in given {
        if value.is_some() {
            let path = format!("model.{key}");
            checker.warn(
                &[&path, "model.attention"],
                format!("`{path}` has no effect with attention = \"{attention}\""),
            );
        }
    }
}

fn even(width: usize, paths: &[&str], checker: &mut Checker<'_>) {
    if !width.is_multiple_of(2) {
        let help = "rotary positions rotate pairs of numbers, so it must be even".to_owned();
        checker.mistake(paths, format!("`{}` is {width}", paths[0]), [help]);
    }
}
