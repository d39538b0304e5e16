//! The network, every part a setting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How attention keeps what it has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Multi-head latent attention: one compressed vector a token, shared by all heads (DeepSeek-V2).
    #[default]
    Mla,
    /// Grouped-query attention: keys and values shared by groups of heads.
    Gqa,
}

/// The network, in the words of Hugging Face's `config.json`. Its vocabulary comes from the tasks of the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 65536))]
    pub hidden_size: usize,
    /// Layers, each attention and a feed-forward part.
    #[schemars(range(min = 1, max = 1024))]
    pub num_hidden_layers: usize,
    /// Heads of attention that ask.
    #[schemars(range(min = 1, max = 1024))]
    pub num_attention_heads: usize,
    /// How attention keeps what it has read.
    pub attention: Attention,
    /// Heads that answer (`gqa` only); default as many as ask. Must divide `num_attention_heads`.
    #[schemars(range(min = 1, max = 1024))]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head (`gqa` only), an even number; default `hidden_size / num_attention_heads`.
    #[schemars(range(min = 2, max = 65536))]
    pub head_dim: Option<usize>,
    /// Rank that queries are compressed to (`mla` only); absent, they are not.
    #[schemars(range(min = 1, max = 65536))]
    pub q_lora_rank: Option<usize>,
    /// Rank that keys and values are compressed to (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub kv_lora_rank: usize,
    /// Part of a head's query and key without a position (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub qk_nope_head_dim: usize,
    /// Part of a head's query and key that is rotated by position (`mla` only), an even number.
    #[schemars(range(min = 2, max = 65536))]
    pub qk_rope_head_dim: usize,
    /// Width of a head's value (`mla` only).
    #[schemars(range(min = 1, max = 65536))]
    pub v_head_dim: usize,
    /// Width inside a dense feed-forward part.
    #[schemars(range(min = 1, max = 1048576))]
    pub intermediate_size: usize,
    /// Experts a router chooses among; 0: every layer is dense.
    #[schemars(range(max = 65536))]
    pub n_routed_experts: usize,
    /// Experts that every token visits.
    #[schemars(range(max = 1024))]
    pub n_shared_experts: usize,
    /// Routed experts a token visits.
    #[schemars(range(min = 1, max = 1024))]
    pub num_experts_per_tok: usize,
    /// Width inside one expert.
    #[schemars(range(min = 1, max = 1048576))]
    pub moe_intermediate_size: usize,
    /// First layers that stay dense.
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
    /// Longest row the network reads; default the longest row of any stage.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_position_embeddings: Option<usize>,
    /// Standard deviation of the first weights.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub initializer_range: f64,
}

impl Default for Model {
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
