//! The policy in plain candle operations: slow, short, differentiated by candle itself.
//!
//! The oracle that the kernels are tested against, in float32 or float64 and on any device. Only operations whose
//! backward candle has right are used here (`.clippy.toml` lists those it has not).

use candle_core::{D, DType, Device, Result, Tensor, Var, backprop::GradStore};
use candle_nn::ops::{log_softmax, sigmoid, silu, softmax};

use super::Sequence;
use super::config::{Attention, Config};
use super::parameters::Parameters;

/// A policy whose forward candle records and differentiates.
pub struct Reference {
    config: Config,
    names: Vec<String>,
    weights: Vec<Var>,
    expert_biases: Vec<Vec<f32>>,
}

impl Reference {
    /// The policy with these weights, as `dtype` on `device`.
    ///
    /// # Errors
    /// When candle cannot make a tensor there.
    pub fn new(config: &Config, parameters: &Parameters, dtype: DType, device: &Device) -> Result<Self> {
        let slots = &parameters.layout.slots;
        let weights = slots
            .iter()
            .map(|slot| {
                let tensor = Tensor::from_slice(parameters.at(&slot.range), slot.shape.as_slice(), device)?;
                Var::from_tensor(&tensor.to_dtype(dtype)?)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            names: slots.iter().map(|slot| slot.name.clone()).collect(),
            weights,
            expert_biases: parameters.expert_biases.clone(),
        })
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        match self.names.iter().position(|known| known == name) {
            Some(at) => Ok(self.weights[at].as_tensor()),
            None => candle_core::bail!("the policy has no parameter {name}"),
        }
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.matmul(&self.weight(&format!("{name}.weight"))?.t()?)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        let root = (mean + f64::from(self.config.rms_norm_eps))?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(self.weight(&format!("{name}.weight"))?)
    }

    fn swiglu(&self, x: &Tensor, prefix: &str) -> Result<Tensor> {
        let gate = silu(&self.linear(x, &format!("{prefix}.gate_proj"))?)?;
        let inner = (gate * self.linear(x, &format!("{prefix}.up_proj"))?)?;
        self.linear(&inner, &format!("{prefix}.down_proj"))
    }

    /// Turns `x`, `[time, heads, dim]`, by its position.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let (time, heads, dim) = x.dims3()?;
        let half = dim / 2;
        let angles: Vec<f64> = (0..time * half)
            .map(|at| {
                let frequency =
                    f64::from(self.config.rope_theta).powf(-2.0 * (at % half) as f64 / dim as f64);
                (at / half) as f64 * frequency
            })
            .collect();
        let angles = Tensor::from_vec(angles, (time, 1, half, 1), x.device())?;
        let (cosine, sine) = (angles.cos()?.to_dtype(x.dtype())?, angles.sin()?.to_dtype(x.dtype())?);
        // Pairs in the last axis: neighbours, or numbers half a head apart.
        let is_interleaved = self.config.attention == Attention::Mla;
        let pairs = if is_interleaved {
            x.reshape((time, heads, half, 2))?
        } else {
            x.reshape((time, heads, 2, half))?.transpose(2, 3)?
        };
        let (first, second) = (pairs.narrow(3, 0, 1)?, pairs.narrow(3, 1, 1)?);
        let turned_first = (first.broadcast_mul(&cosine)? - second.broadcast_mul(&sine)?)?;
        let turned_second = (second.broadcast_mul(&cosine)? + first.broadcast_mul(&sine)?)?;
        let turned = Tensor::cat(&[turned_first, turned_second], 3)?;
        let turned = if is_interleaved { turned } else { turned.transpose(2, 3)? };
        turned.contiguous()?.reshape((time, heads, dim))
    }

    /// Query, key and value, each `[time, heads, dim]` with as many key heads as query heads.
    fn project(&self, x: &Tensor, prefix: &str) -> Result<[Tensor; 3]> {
        let config = &self.config;
        let (time, heads) = (x.dim(0)?, config.num_attention_heads);
        match config.attention {
            Attention::Mla => {
                let (nope, rope, rank) =
                    (config.qk_nope_head_dim, config.qk_rope_head_dim, config.kv_lora_rank);
                let query = if config.q_lora_rank.is_some() {
                    let low = self.linear(x, &format!("{prefix}.q_a_proj"))?;
                    self.linear(
                        &self.norm(&low, &format!("{prefix}.q_a_layernorm"))?,
                        &format!("{prefix}.q_b_proj"),
                    )?
                } else {
                    self.linear(x, &format!("{prefix}.q_proj"))?
                };
                let query = query.reshape((time, heads, nope + rope))?;
                let turned = self.rotate(&query.narrow(2, nope, rope)?.contiguous()?)?;
                let query = Tensor::cat(&[query.narrow(2, 0, nope)?, turned], 2)?;
                let down = self.linear(x, &format!("{prefix}.kv_a_proj_with_mqa"))?;
                let latent = self.norm(&down.narrow(1, 0, rank)?, &format!("{prefix}.kv_a_layernorm"))?;
                let up = self.linear(&latent, &format!("{prefix}.kv_b_proj"))?;
                let up = up.reshape((time, heads, nope + config.v_head_dim))?;
                let shared =
                    self.rotate(&down.narrow(1, rank, rope)?.contiguous()?.reshape((time, 1, rope))?)?;
                let shared = shared.broadcast_as((time, heads, rope))?.contiguous()?;
                let key = Tensor::cat(&[up.narrow(2, 0, nope)?, shared], 2)?;
                Ok([query, key, up.narrow(2, nope, config.v_head_dim)?])
            }
            Attention::Gqa => {
                let (key_heads, dim) = (config.num_key_value_heads, config.head_dim);
                let repeated = |x: Tensor| {
                    let shape = (time, key_heads, heads / key_heads, dim);
                    x.unsqueeze(2)?.broadcast_as(shape)?.contiguous()?.reshape((time, heads, dim))
                };
                let query = self.linear(x, &format!("{prefix}.q_proj"))?.reshape((time, heads, dim))?;
                let key = self.linear(x, &format!("{prefix}.k_proj"))?.reshape((time, key_heads, dim))?;
                let value = self.linear(x, &format!("{prefix}.v_proj"))?.reshape((time, key_heads, dim))?;
                Ok([self.rotate(&query)?, repeated(self.rotate(&key)?)?, repeated(value)?])
            }
        }
    }

    fn attend(&self, x: &Tensor, prefix: &str) -> Result<Tensor> {
        let [query, key, value] = self.project(x, prefix)?;
        let time = x.dim(0)?;
        let by_head = |x: &Tensor| x.transpose(0, 1)?.contiguous();
        let scores = by_head(&query)?.matmul(&by_head(&key)?.transpose(1, 2)?.contiguous()?)?;
        let scores = (scores / (self.config.query_dim() as f64).sqrt())?;
        // A finite number instead of minus infinity: 0 times infinity would be NaN in the backward.
        let hidden: Vec<f64> =
            (0..time * time).map(|at| if at % time > at / time { -1e9 } else { 0.0 }).collect();
        let hidden = Tensor::from_vec(hidden, (1, time, time), x.device())?.to_dtype(x.dtype())?;
        let weights = softmax(&scores.broadcast_add(&hidden)?, D::Minus1)?;
        let attended = weights.matmul(&by_head(&value)?)?.transpose(0, 1)?.contiguous()?;
        self.linear(&attended.flatten_from(1)?, &format!("{prefix}.o_proj"))
    }

    /// Every expert sees every row; the gates of those not chosen are 0.
    fn experts(&self, x: &Tensor, prefix: &str, sparse: usize, routes: Option<&[u16]>) -> Result<Tensor> {
        let config = &self.config;
        let (rows, chosen) = (x.dim(0)?, config.num_experts_per_tok);
        let affinities = sigmoid(&self.linear(x, &format!("{prefix}.gate"))?)?;
        let layers = self.expert_biases.len();
        let numbers = affinities.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let mut mask = vec![0.0; rows * config.n_routed_experts];
        for (row, affinities) in numbers.iter().enumerate() {
            let choices: Vec<usize> = match routes {
                Some(routes) => {
                    let at = (row * layers + sparse) * chosen;
                    routes[at..at + chosen].iter().map(|choice| usize::from(*choice)).collect()
                }
                None => {
                    let score =
                        |expert: &usize| affinities[*expert] + f64::from(self.expert_biases[sparse][*expert]);
                    let mut order: Vec<usize> = (0..config.n_routed_experts).collect();
                    order.sort_by(|a, b| score(b).total_cmp(&score(a)));
                    order[..chosen].to_vec()
                }
            };
            for choice in choices {
                mask[row * config.n_routed_experts + choice] = 1.0;
            }
        }
        let mask =
            Tensor::from_vec(mask, (rows, config.n_routed_experts), x.device())?.to_dtype(x.dtype())?;
        let mut gates = (affinities * mask)?;
        if config.norm_topk_prob {
            gates = gates.broadcast_div(&gates.sum_keepdim(1)?)?;
        }
        let gates = (gates * f64::from(config.routed_scaling_factor))?;
        let mut out = x.zeros_like()?;
        for expert in 0..config.n_routed_experts {
            let y = self.swiglu(x, &format!("{prefix}.experts.{expert}"))?;
            out = (out + y.broadcast_mul(&gates.narrow(1, expert, 1)?)?)?;
        }
        if config.n_shared_experts > 0 {
            out = (out + self.swiglu(x, &format!("{prefix}.shared_experts"))?)?;
        }
        Ok(out)
    }

    fn sequence(&self, sequence: &Sequence<'_>, temperature: f64) -> Result<Tensor> {
        let config = &self.config;
        let rows = sequence.rows();
        let embedding = self.weight("model.embed_tokens.weight")?;
        let device = embedding.device();
        let tokens = Tensor::from_slice(&sequence.tokens[..rows], rows, device)?;
        let mut x = embedding.index_select(&tokens, 0)?;
        if config.learned_positions {
            x = (x + self.weight("model.embed_positions.weight")?.narrow(0, 0, rows)?)?;
        }
        let mut sparse = 0;
        for layer in 0..config.num_hidden_layers {
            let prefix = format!("model.layers.{layer}");
            let normed = self.norm(&x, &format!("{prefix}.input_layernorm"))?;
            x = (x + self.attend(&normed, &format!("{prefix}.self_attn"))?)?;
            let normed = self.norm(&x, &format!("{prefix}.post_attention_layernorm"))?;
            let prefix = format!("{prefix}.mlp");
            if config.is_sparse(layer) {
                x = (x + self.experts(&normed, &prefix, sparse, sequence.routes)?)?;
                sparse += 1;
            } else {
                x = (x + self.swiglu(&normed, &prefix)?)?;
            }
        }
        let from = sequence.first_target - 1;
        let x = self.norm(&x.narrow(0, from, rows - from)?, "model.norm")?;
        let head = if config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
        let logits = (self.linear(&x, head)? / temperature)?;
        let targets = Tensor::from_slice(sequence.targets(), (rows - from, 1), device)?;
        log_softmax(&logits, D::Minus1)?.gather(&targets, 1)?.squeeze(1)
    }

    /// The log-probability of each target of each sequence, one behind the other.
    ///
    /// # Errors
    /// When candle cannot carry out an operation.
    pub fn log_probabilities(&self, batch: &[Sequence<'_>], temperature: f32) -> Result<Tensor> {
        let each: Vec<Tensor> =
            batch.iter().map(|one| self.sequence(one, f64::from(temperature))).collect::<Result<_>>()?;
        Tensor::cat(&each, 0)
    }

    /// The gradient of every parameter in the order of the layout, as float32; a parameter without one is an error.
    ///
    /// # Errors
    /// When a parameter did not take part in the loss.
    pub fn gradient(&self, store: &GradStore) -> Result<Vec<f32>> {
        let mut gradient = Vec::new();
        for (name, weight) in self.names.iter().zip(&self.weights) {
            let Some(part) = store.get(weight) else { candle_core::bail!("{name} has no gradient") };
            gradient.extend(part.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
        }
        Ok(gradient)
    }
}
