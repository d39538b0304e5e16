//! The shape of a policy, under the names of Hugging Face's configurations.

use serde::{Deserialize, Serialize};

use crate::recipe;
pub use crate::recipe::Attention;

/// The shape of a policy.
///
/// Source: DeepSeek-V3 (arXiv 2412.19437 §2.1) for attention and experts. Learned absolute positions are ours: with
/// rotary positions alone, models of this size do not learn to address by place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Number of tokens that exist.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Latent or grouped.
    pub attention: Attention,
    /// Grouped attention: heads of keys and values.
    pub num_key_value_heads: usize,
    /// Grouped attention: width of a head.
    pub head_dim: usize,
    /// Latent attention: rank of the query; `None` for a full projection.
    pub q_lora_rank: Option<usize>,
    /// Latent attention: rank of keys and values.
    pub kv_lora_rank: usize,
    /// Latent attention: width of a head's key without position.
    pub qk_nope_head_dim: usize,
    /// Latent attention: width of the rotary key that all heads share.
    pub qk_rope_head_dim: usize,
    /// Latent attention: width of a head's value.
    pub v_head_dim: usize,
    /// Width of a dense feed-forward.
    pub intermediate_size: usize,
    /// Number of routed experts; 0 for dense layers only.
    pub n_routed_experts: usize,
    /// Number of shared experts, which see every token.
    pub n_shared_experts: usize,
    /// Routed experts a token goes to.
    pub num_experts_per_tok: usize,
    /// Width of one expert.
    pub moe_intermediate_size: usize,
    /// The first layers, which have a dense feed-forward.
    pub first_k_dense_replace: usize,
    /// Whether the gates of the chosen experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// Factor on the gates, after normalisation.
    pub routed_scaling_factor: f32,
    /// Weight of the sequence-wise balance loss.
    pub aux_loss_alpha: f32,
    /// Added under the root of RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Whether the head is the embedding, transposed.
    pub tie_word_embeddings: bool,
    /// Whether a learned vector is added for each absolute position.
    pub learned_positions: bool,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Deviation of the initial weights.
    pub initializer_range: f32,
}

impl Config {
    /// The policy that a checked recipe means, for a vocabulary and a longest row.
    pub fn new(written: &recipe::Model, vocab_size: usize, longest_row: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: written.hidden_size,
            num_hidden_layers: written.num_hidden_layers,
            num_attention_heads: written.num_attention_heads,
            attention: written.attention,
            num_key_value_heads: written.num_key_value_heads.unwrap_or(written.num_attention_heads),
            head_dim: written.head_dim.unwrap_or(written.hidden_size / written.num_attention_heads.max(1)),
            q_lora_rank: written.q_lora_rank,
            kv_lora_rank: written.kv_lora_rank,
            qk_nope_head_dim: written.qk_nope_head_dim,
            qk_rope_head_dim: written.qk_rope_head_dim,
            v_head_dim: written.v_head_dim,
            intermediate_size: written.intermediate_size,
            n_routed_experts: written.n_routed_experts,
            n_shared_experts: written.n_shared_experts,
            num_experts_per_tok: written.num_experts_per_tok,
            moe_intermediate_size: written.moe_intermediate_size,
            first_k_dense_replace: written.first_k_dense_replace,
            norm_topk_prob: written.norm_topk_prob,
            routed_scaling_factor: written.routed_scaling_factor as f32,
            aux_loss_alpha: written.aux_loss_alpha as f32,
            rms_norm_eps: written.rms_norm_eps as f32,
            rope_theta: written.rope_theta as f32,
            tie_word_embeddings: written.tie_word_embeddings,
            learned_positions: written.learned_positions,
            max_position_embeddings: written.max_position_embeddings.unwrap_or(longest_row),
            initializer_range: written.initializer_range as f32,
        }
    }

    /// Whether layer `layer` has experts.
    pub fn is_sparse(&self, layer: usize) -> bool {
        self.n_routed_experts > 0 && layer >= self.first_k_dense_replace
    }

    /// The layers that have experts, in order.
    pub fn sparse_layers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.num_hidden_layers).filter(|layer| self.is_sparse(*layer))
    }

    /// Whether any layer has experts.
    pub fn has_experts(&self) -> bool {
        self.sparse_layers().next().is_some()
    }

    /// Routed expert choices a token makes in all layers together.
    pub fn choices_per_token(&self) -> usize {
        self.sparse_layers().count() * self.num_experts_per_tok
    }

    /// Width of one head's query and key.
    pub fn query_dim(&self) -> usize {
        match self.attention {
            Attention::Mla => self.qk_nope_head_dim + self.qk_rope_head_dim,
            Attention::Gqa => self.head_dim,
        }
    }

    /// Width of one head's value.
    pub fn value_dim(&self) -> usize {
        match self.attention {
            Attention::Mla => self.v_head_dim,
            Attention::Gqa => self.head_dim,
        }
    }
}
