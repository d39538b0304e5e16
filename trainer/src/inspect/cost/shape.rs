//! Reads the network in a Hugging Face `config.json`.

use serde_json::Value;

use crate::policy::{Attention, Config};

/// Why a `config.json` cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A number is missing or not a number.
    #[error("config.json: `{0}` must be a whole number above 0")]
    Missing(&'static str),
    /// The model belongs to another family.
    #[error("config.json: model_type `{0}` is none of those that can be counted: {FAMILIES:?}")]
    Family(String),
}

/// Model types with a known shape; others have parts that the count would miss.
const FAMILIES: [&str; 9] =
    ["deepseek_v2", "deepseek_v3", "llama", "mistral", "mixtral", "olmoe", "qwen2", "qwen3", "qwen3_moe"];

/// The network in `config`, a parsed `config.json`.
///
/// The count leaves out biases and norms of single heads, which are far below 1 %.
pub fn from_huggingface(config: &Value) -> Result<Config, ShapeError> {
    let family = config["model_type"].as_str().unwrap_or_default();
    if !FAMILIES.contains(&family) {
        return Err(ShapeError::Family(family.to_owned()));
    }
    let find = |key: &str| config.get(key).and_then(Value::as_u64).map(|number| number as usize);
    let need = |key: &'static str| find(key).filter(|number| *number > 0).ok_or(ShapeError::Missing(key));
    let attention = if find("kv_lora_rank").is_some() { Attention::Mla } else { Attention::Gqa };
    let (hidden, heads) = (need("hidden_size")?, need("num_attention_heads")?);
    let (rank, nope, rope, value) = match attention {
        Attention::Mla => {
            (need("kv_lora_rank")?, need("qk_nope_head_dim")?, need("qk_rope_head_dim")?, need("v_head_dim")?)
        }
        Attention::Gqa => (0, 0, 0, 0),
    };
    let experts =
        ["n_routed_experts", "num_local_experts", "num_experts"].into_iter().find_map(find).unwrap_or(0);
    let inside = find("intermediate_size");
    let expert_width = find("moe_intermediate_size").or(inside).unwrap_or(0);
    if experts > 0 && (expert_width == 0 || find("num_experts_per_tok").unwrap_or(0) == 0) {
        return Err(ShapeError::Missing("num_experts_per_tok"));
    }
    Ok(Config {
        vocab_size: need("vocab_size")?,
        hidden_size: hidden,
        num_hidden_layers: need("num_hidden_layers")?,
        num_attention_heads: heads,
        attention,
        num_key_value_heads: find("num_key_value_heads").unwrap_or(heads),
        head_dim: find("head_dim").unwrap_or(hidden / heads),
        q_lora_rank: find("q_lora_rank"),
        kv_lora_rank: rank,
        qk_nope_head_dim: nope,
        qk_rope_head_dim: rope,
        v_head_dim: value,
        intermediate_size: inside.unwrap_or(expert_width),
        n_routed_experts: experts,
        n_shared_experts: find("n_shared_experts").unwrap_or(0),
        num_experts_per_tok: find("num_experts_per_tok").unwrap_or(0),
        moe_intermediate_size: expert_width,
        first_k_dense_replace: find("first_k_dense_replace").unwrap_or(0),
        norm_topk_prob: true,
        routed_scaling_factor: 1.0,
        aux_loss_alpha: 0.0,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: config["tie_word_embeddings"].as_bool().unwrap_or(false),
        learned_positions: false,
        max_position_embeddings: find("max_position_embeddings").unwrap_or(4096),
        initializer_range: 0.02,
    })
}
