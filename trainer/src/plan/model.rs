//! The network as meant: what applies to it and nothing else.

use serde::Serialize;

use crate::policy::{self, Config};
use crate::recipe;

/// A network of which every size is known. Field names are those of Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// Symbols: the special ones and the alphabets of the recipe's tasks.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers, each attention and a feed-forward part.
    pub num_hidden_layers: usize,
    /// Heads of attention that ask.
    pub num_attention_heads: usize,
    /// How attention keeps what it has read.
    pub attention: Attention,
    /// Width inside a dense feed-forward part.
    pub intermediate_size: usize,
    /// The experts of the layers from `first_k_dense_replace` on; none where every layer is dense.
    pub experts: Option<Experts>,
    /// Added under the root of every normalisation.
    pub rms_norm_eps: f64,
    /// Base of the rotary positions' wavelengths.
    pub rope_theta: f64,
    /// Whether the output head is the input embedding.
    pub tie_word_embeddings: bool,
    /// Whether a learned vector for each position is added to the embedding.
    pub learned_positions: bool,
    /// Longest row the network reads.
    pub max_position_embeddings: usize,
    /// Standard deviation of the first weights.
    pub initializer_range: f64,
}

/// How attention keeps what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Multi-head latent attention.
    Mla {
        /// Rank that queries are compressed to; none: they are not.
        q_lora_rank: Option<usize>,
        /// Rank that keys and values are compressed to.
        kv_lora_rank: usize,
        /// Part of a head's query and key without a position.
        qk_nope_head_dim: usize,
        /// Part of a head's query and key that is rotated by position.
        qk_rope_head_dim: usize,
        /// Width of a head's value.
        v_head_dim: usize,
    },
    /// Grouped-query attention.
    Gqa {
        /// Heads that answer; divides the heads that ask.
        num_key_value_heads: usize,
        /// Width of a head.
        head_dim: usize,
    },
}

/// The experts of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Experts {
    /// Experts a router chooses among.
    pub n_routed_experts: usize,
    /// Experts that every token visits.
    pub n_shared_experts: usize,
    /// Routed experts a token visits.
    pub num_experts_per_tok: usize,
    /// Width inside one expert.
    pub moe_intermediate_size: usize,
    /// First layers that stay dense.
    pub first_k_dense_replace: usize,
    /// Whether the weights of a token's experts are scaled to sum to 1.
    pub norm_topk_prob: bool,
    /// Factor on the routed experts' sum.
    pub routed_scaling_factor: f64,
    /// Weight of the sequence-wise balance loss.
    pub aux_loss_alpha: f64,
}

impl From<&Model> for Config {
    fn from(model: &Model) -> Self {
        let mut config = Self {
            vocab_size: model.vocab_size,
            hidden_size: model.hidden_size,
            num_hidden_layers: model.num_hidden_layers,
            num_attention_heads: model.num_attention_heads,
            attention: policy::Attention::Mla,
            num_key_value_heads: 0,
            head_dim: 0,
            q_lora_rank: None,
            kv_lora_rank: 0,
            qk_nope_head_dim: 0,
            qk_rope_head_dim: 0,
            v_head_dim: 0,
            intermediate_size: model.intermediate_size,
            n_routed_experts: 0,
            n_shared_experts: 0,
            num_experts_per_tok: 0,
            moe_intermediate_size: 0,
            first_k_dense_replace: 0,
            norm_topk_prob: true,
            routed_scaling_factor: 1.0,
            aux_loss_alpha: 0.0,
            rms_norm_eps: model.rms_norm_eps as f32,
            rope_theta: model.rope_theta as f32,
            tie_word_embeddings: model.tie_word_embeddings,
            learned_positions: model.learned_positions,
            max_position_embeddings: model.max_position_embeddings,
            initializer_range: model.initializer_range as f32,
        };
        match model.attention {
            Attention::Mla { q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim } => {
                config.q_lora_rank = q_lora_rank;
                config.kv_lora_rank = kv_lora_rank;
                config.qk_nope_head_dim = qk_nope_head_dim;
                config.qk_rope_head_dim = qk_rope_head_dim;
                config.v_head_dim = v_head_dim;
            }
            Attention::Gqa { num_key_value_heads, head_dim } => {
                config.attention = policy::Attention::Gqa;
                config.num_key_value_heads = num_key_value_heads;
                config.head_dim = head_dim;
            }
        }
        if let Some(experts) = model.experts {
            config.n_routed_experts = experts.n_routed_experts;
            config.n_shared_experts = experts.n_shared_experts;
            config.num_experts_per_tok = experts.num_experts_per_tok;
            config.moe_intermediate_size = experts.moe_intermediate_size;
            config.first_k_dense_replace = experts.first_k_dense_replace;
            config.norm_topk_prob = experts.norm_topk_prob;
            config.routed_scaling_factor = experts.routed_scaling_factor as f32;
            config.aux_loss_alpha = experts.aux_loss_alpha as f32;
        }
        config
    }
}

impl recipe::Model {
    /// Heads that answer, under grouped-query attention.
    pub(super) fn key_value_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head, under grouped-query attention.
    pub(super) fn head_width(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }
}

impl Model {
    /// The network that a checked `written` means, for a vocabulary and a longest row.
    pub(super) fn new(written: &recipe::Model, vocab_size: usize, longest_row: usize) -> Self {
        let attention = match written.attention {
            recipe::Attention::Mla => Attention::Mla {
                q_lora_rank: written.q_lora_rank,
                kv_lora_rank: written.kv_lora_rank,
                qk_nope_head_dim: written.qk_nope_head_dim,
                qk_rope_head_dim: written.qk_rope_head_dim,
                v_head_dim: written.v_head_dim,
            },
            recipe::Attention::Gqa => Attention::Gqa {
                num_key_value_heads: written.key_value_heads(),
                head_dim: written.head_width(),
            },
        };
        let experts = Experts {
            n_routed_experts: written.n_routed_experts,
            n_shared_experts: written.n_shared_experts,
            num_experts_per_tok: written.num_experts_per_tok,
            moe_intermediate_size: written.moe_intermediate_size,
            first_k_dense_replace: written.first_k_dense_replace,
            norm_topk_prob: written.norm_topk_prob,
            routed_scaling_factor: written.routed_scaling_factor,
            aux_loss_alpha: written.aux_loss_alpha,
        };
        let has_experts =
            experts.n_routed_experts > 0 && experts.first_k_dense_replace < written.num_hidden_layers;
        Self {
            vocab_size,
            hidden_size: written.hidden_size,
            num_hidden_layers: written.num_hidden_layers,
            num_attention_heads: written.num_attention_heads,
            attention,
            intermediate_size: written.intermediate_size,
            experts: has_experts.then_some(experts),
            rms_norm_eps: written.rms_norm_eps,
            rope_theta: written.rope_theta,
            tie_word_embeddings: written.tie_word_embeddings,
            learned_positions: written.learned_positions,
            max_position_embeddings: written.max_position_embeddings.unwrap_or(longest_row),
            initializer_range: written.initializer_range,
        }
    }

    /// Whether layer `index`, from 0, has experts.
    pub fn has_experts(&self, index: usize) -> bool {
        self.experts.is_some_and(|experts| index >= experts.first_k_dense_replace)
    }
}
