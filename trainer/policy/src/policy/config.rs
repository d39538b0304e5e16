//! The shape of a policy, with the names of Hugging Face's configurations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Multi-head latent attention: one compressed vector per token for all heads (DeepSeek-V2).
    #[default]
    Mla,
    /// Grouped-query attention: keys and values shared by groups of heads.
    Gqa,
}

/// The shape of a policy.
///
/// Source: DeepSeek-V3 (arXiv 2412.19437 §2.1) for attention and experts. Learned absolute positions are an addition: with
/// rotary positions alone, models of this size do not learn to address by position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Size of the vocabulary.
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
    /// Number of shared experts, which process every token.
    pub n_shared_experts: usize,
    /// Routed experts per token.
    pub num_experts_per_tok: usize,
    /// Width of one expert.
    pub moe_intermediate_size: usize,
    /// Number of first layers with a dense feed-forward.
    pub first_k_dense_replace: usize,
    /// Whether the gates of the chosen experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// Factor of the gates, after normalisation.
    pub routed_scaling_factor: f32,
    /// Weight of the sequence-wise balance loss.
    pub aux_loss_alpha: f32,
    /// Added under the square root of RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Whether the output head shares the embedding's weights.
    pub tie_word_embeddings: bool,
    /// Whether a learned vector is added for each absolute position.
    pub learned_positions: bool,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f32,
}

impl Config {
    /// The shape of DeepSeek-V3 and the models based on it.
    pub fn deepseek_v3() -> Self {
        Self {
            vocab_size: 129_280,
            hidden_size: 7168,
            num_hidden_layers: 61,
            num_attention_heads: 128,
            attention: Attention::Mla,
            num_key_value_heads: 128,
            head_dim: 56,
            q_lora_rank: Some(1536),
            kv_lora_rank: 512,
            qk_nope_head_dim: 128,
            qk_rope_head_dim: 64,
            v_head_dim: 128,
            intermediate_size: 18_432,
            n_routed_experts: 256,
            n_shared_experts: 1,
            num_experts_per_tok: 8,
            moe_intermediate_size: 2048,
            first_k_dense_replace: 3,
            norm_topk_prob: true,
            routed_scaling_factor: 2.5,
            aux_loss_alpha: 1e-4,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            learned_positions: false,
            max_position_embeddings: 4096,
            initializer_range: 0.006,
        }
    }

    /// Why no network has this shape; one read from a file may say anything.
    pub fn check(&self) -> Result<(), String> {
        const WIDTH: (usize, usize) = (1, 1 << 20);
        let mut sizes = vec![
            ("vocab_size", self.vocab_size, WIDTH),
            ("hidden_size", self.hidden_size, WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, (1, 1024)),
            ("num_attention_heads", self.num_attention_heads, (1, 1024)),
            ("intermediate_size", self.intermediate_size, WIDTH),
            ("max_position_embeddings", self.max_position_embeddings, WIDTH),
            ("n_routed_experts", self.n_routed_experts, (0, 1 << 16)),
        ];
        match self.attention {
            Attention::Mla => sizes.extend([
                ("q_lora_rank", self.q_lora_rank.unwrap_or(1), WIDTH),
                ("kv_lora_rank", self.kv_lora_rank, WIDTH),
                ("qk_nope_head_dim", self.qk_nope_head_dim, WIDTH),
                ("qk_rope_head_dim", self.qk_rope_head_dim, WIDTH),
                ("v_head_dim", self.v_head_dim, WIDTH),
            ]),
            Attention::Gqa => sizes.extend([
                ("num_key_value_heads", self.num_key_value_heads, (1, self.num_attention_heads)),
                ("head_dim", self.head_dim, WIDTH),
            ]),
        }
        if self.n_routed_experts > 0 {
            sizes.extend([
                ("num_experts_per_tok", self.num_experts_per_tok, (1, self.n_routed_experts.min(1024))),
                ("n_shared_experts", self.n_shared_experts, (0, 1024)),
                ("moe_intermediate_size", self.moe_intermediate_size, WIDTH),
                ("first_k_dense_replace", self.first_k_dense_replace, (0, self.num_hidden_layers)),
            ]);
        }
        if let Some((name, size, (low, high))) =
            sizes.into_iter().find(|(_, size, (low, high))| size < low || size > high)
        {
            return Err(format!("says {name} = {size}; it may be {low} to {high}"));
        }
        let rotary = match self.attention {
            Attention::Mla => self.qk_rope_head_dim,
            Attention::Gqa => self.head_dim,
        };
        if !rotary.is_multiple_of(2) {
            return Err(format!("rotates {rotary} numbers of a head by position; it must be an even number"));
        }
        if self.attention == Attention::Gqa
            && !self.num_attention_heads.is_multiple_of(self.num_key_value_heads)
        {
            let (heads, answering) = (self.num_attention_heads, self.num_key_value_heads);
            return Err(format!(
                "says num_key_value_heads = {answering}, which does not divide {heads} heads"
            ));
        }
        Ok(())
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

    /// Routed experts per token in all layers together.
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
