//! The policy in plain candle operations: slow and short, differentiated by candle, on any device.
//!
//! Tests compare the kernels with [`Network`], in float32 or float64. [`CandlePolicy`] trains with it. `.clippy.toml` lists the
//! operations that candle differentiates wrongly, which must not be used here.

use candle_core::{D, DType, Device, Result, Tensor, Var, backprop::GradStore};
use candle_nn::ops::{log_softmax, sigmoid, silu, softmax};
use rayon::prelude::*;

use super::balance::add_loads;
use super::collective::{Collective, Tree, leaves};
use super::config::{Attention, Config};
use super::footprint::{Footprint, footprint};
use super::loss::{Loss, Seen};
use super::optimizer::{AdamStep, AdamW, norm};
use super::parameters::{Parameters, Snapshot};
use super::rollout::{Completion, Limits, Request, Rollout, Writing};
use super::sampling::Sampling;
use super::{Pass, Policy, Scores, Sequence};
use crate::kernels::precision::Precision;
use crate::machine::work::Amount;

/// A network that candle differentiates.
pub struct Network {
    config: Config,
    names: Vec<String>,
    weights: Vec<Var>,
    expert_biases: Vec<Vec<f32>>,
}

/// A batch of sequences of equal length.
struct Rows<'a> {
    tokens: &'a [&'a [u32]],
    /// Experts to use again, as in [`Sequence::routes`]; only for a batch of one sequence.
    routes: Option<&'a [u16]>,
    /// The chosen experts: for each sparse layer `[rows, chosen]`.
    choices: Vec<Vec<u16>>,
    balance: Vec<Tensor>,
}

impl<'a> Rows<'a> {
    fn new(tokens: &'a [&'a [u32]], routes: Option<&'a [u16]>) -> Self {
        Self { tokens, routes, choices: Vec::new(), balance: Vec::new() }
    }

    fn time(&self) -> usize {
        self.tokens[0].len()
    }
}

impl Network {
    /// The network with these weights, as `dtype` on `device`.
    pub fn new(config: &Config, parameters: &Parameters, dtype: DType, device: &Device) -> Result<Self> {
        let slots = &parameters.layout.slots;
        let weights = slots.iter().map(|slot| {
            let tensor = Tensor::from_slice(parameters.at(&slot.range), slot.shape.as_slice(), device)?;
            Var::from_tensor(&tensor.to_dtype(dtype)?)
        });
        Ok(Self {
            config: config.clone(),
            names: slots.iter().map(|slot| slot.name.clone()).collect(),
            weights: weights.collect::<Result<_>>()?,
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

    /// Rotates `x`, `[batch, time, heads, dim]`, by its position.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, time, heads, dim) = x.dims4()?;
        let half = dim / 2;
        let angles: Vec<f64> = (0..time * half)
            .map(|at| {
                let frequency =
                    f64::from(self.config.rope_theta).powf(-2.0 * (at % half) as f64 / dim as f64);
                (at / half) as f64 * frequency
            })
            .collect();
        let angles = Tensor::from_vec(angles, (1, time, 1, half, 1), x.device())?;
        let (cosine, sine) = (angles.cos()?.to_dtype(x.dtype())?, angles.sin()?.to_dtype(x.dtype())?);
        // Moves pairs to the last axis: neighbours, or numbers half a head apart.
        let is_interleaved = self.config.attention == Attention::Mla;
        let pairs = if is_interleaved {
            x.reshape((batch, time, heads, half, 2))?
        } else {
            x.reshape((batch, time, heads, 2, half))?.transpose(3, 4)?
        };
        let (first, second) = (pairs.narrow(4, 0, 1)?, pairs.narrow(4, 1, 1)?);
        let turned_first = (first.broadcast_mul(&cosine)? - second.broadcast_mul(&sine)?)?;
        let turned_second = (second.broadcast_mul(&cosine)? + first.broadcast_mul(&sine)?)?;
        let turned = Tensor::cat(&[turned_first, turned_second], 4)?;
        let turned = if is_interleaved { turned } else { turned.transpose(3, 4)? };
        turned.contiguous()?.reshape((batch, time, heads, dim))
    }

    /// Query, key and value of `x`, `[batch · time, hidden]`: each `[batch, time, heads, dim]`, with key heads repeated.
    fn project(&self, x: &Tensor, batch: usize, prefix: &str) -> Result<[Tensor; 3]> {
        let config = &self.config;
        let (time, heads) = (x.dim(0)? / batch, config.num_attention_heads);
        match config.attention {
            Attention::Mla => {
                let (nope, rope, rank) =
                    (config.qk_nope_head_dim, config.qk_rope_head_dim, config.kv_lora_rank);
                let query = if config.q_lora_rank.is_some() {
                    let low = self.linear(x, &format!("{prefix}.q_a_proj"))?;
                    let low = self.norm(&low, &format!("{prefix}.q_a_layernorm"))?;
                    self.linear(&low, &format!("{prefix}.q_b_proj"))?
                } else {
                    self.linear(x, &format!("{prefix}.q_proj"))?
                };
                let query = query.reshape((batch, time, heads, nope + rope))?;
                let turned = self.rotate(&query.narrow(3, nope, rope)?.contiguous()?)?;
                let query = Tensor::cat(&[query.narrow(3, 0, nope)?, turned], 3)?;
                let down = self.linear(x, &format!("{prefix}.kv_a_proj_with_mqa"))?;
                let latent = self.norm(&down.narrow(1, 0, rank)?, &format!("{prefix}.kv_a_layernorm"))?;
                let up = self.linear(&latent, &format!("{prefix}.kv_b_proj"))?;
                let up = up.reshape((batch, time, heads, nope + config.v_head_dim))?;
                let shared = down.narrow(1, rank, rope)?.contiguous()?.reshape((batch, time, 1, rope))?;
                let shared = self.rotate(&shared)?.broadcast_as((batch, time, heads, rope))?.contiguous()?;
                let key = Tensor::cat(&[up.narrow(3, 0, nope)?, shared], 3)?;
                Ok([query, key, up.narrow(3, nope, config.v_head_dim)?])
            }
            Attention::Gqa => {
                let (key_heads, dim) = (config.num_key_value_heads, config.head_dim);
                let repeated = |x: Tensor| {
                    let shape = (batch, time, key_heads, heads / key_heads, dim);
                    x.unsqueeze(3)?.broadcast_as(shape)?.contiguous()?.reshape((batch, time, heads, dim))
                };
                let by_head = |name: &str, heads: usize| {
                    self.linear(x, &format!("{prefix}.{name}"))?.reshape((batch, time, heads, dim))
                };
                let (query, key) = (by_head("q_proj", heads)?, by_head("k_proj", key_heads)?);
                let value = by_head("v_proj", key_heads)?;
                Ok([self.rotate(&query)?, repeated(self.rotate(&key)?)?, repeated(value)?])
            }
        }
    }

    fn attend(&self, x: &Tensor, batch: usize, prefix: &str) -> Result<Tensor> {
        let [query, key, value] = self.project(x, batch, prefix)?;
        let time = query.dim(1)?;
        let by_head = |x: &Tensor| x.transpose(1, 2)?.contiguous();
        let scores = by_head(&query)?.matmul(&by_head(&key)?.transpose(2, 3)?.contiguous()?)?;
        let scores = (scores / (self.config.query_dim() as f64).sqrt())?;
        // Not minus infinity: 0 times infinity would be NaN in the backward.
        let hidden: Vec<f64> =
            (0..time * time).map(|at| if at % time > at / time { -1e9 } else { 0.0 }).collect();
        let hidden = Tensor::from_vec(hidden, (1, 1, time, time), x.device())?.to_dtype(x.dtype())?;
        let weights = softmax(&scores.broadcast_add(&hidden)?, D::Minus1)?;
        let attended = weights.matmul(&by_head(&value)?)?.transpose(1, 2)?.contiguous()?;
        self.linear(&attended.reshape((batch * time, ()))?, &format!("{prefix}.o_proj"))
    }

    /// The choices of each row, `[rows, chosen]`: the recorded ones, or the greatest affinities with their biases.
    fn choose(&self, affinities: &Tensor, rows: &Rows<'_>) -> Result<Vec<u16>> {
        let (sparse, layers, chosen) =
            (rows.choices.len(), self.expert_biases.len(), self.config.num_experts_per_tok);
        if let Some(routes) = rows.routes {
            let of_row = routes.chunks_exact(layers * chosen);
            return Ok(of_row.flat_map(|row| row[sparse * chosen..][..chosen].to_vec()).collect());
        }
        let mut choices = Vec::new();
        for affinities in affinities.to_dtype(DType::F64)?.to_vec2::<f64>()? {
            let score = |expert: &u16| {
                let expert = usize::from(*expert);
                affinities[expert] + f64::from(self.expert_biases[sparse][expert])
            };
            let mut order: Vec<u16> = (0..affinities.len() as u16).collect();
            order.sort_by(|a, b| score(b).total_cmp(&score(a)));
            choices.extend(&order[..chosen]);
        }
        Ok(choices)
    }

    /// Every expert computes every row; the gates of the others are 0.
    fn experts(&self, x: &Tensor, prefix: &str, rows: &mut Rows<'_>) -> Result<Tensor> {
        let config = &self.config;
        let (count, experts, chosen) = (x.dim(0)?, config.n_routed_experts, config.num_experts_per_tok);
        let affinities = sigmoid(&self.linear(x, &format!("{prefix}.gate"))?)?;
        let choices = self.choose(&affinities, rows)?;
        let mut mask = vec![0.0; count * experts];
        for (row, choices) in choices.chunks_exact(chosen).enumerate() {
            choices.iter().for_each(|choice| mask[row * experts + usize::from(*choice)] = 1.0);
        }
        let mask = Tensor::from_vec(mask, (count, experts), x.device())?.to_dtype(x.dtype())?;
        rows.balance.push(balance(&affinities, &mask, rows.tokens.len(), chosen)?);
        rows.choices.push(choices);
        let mut gates = (affinities * mask)?;
        if config.norm_topk_prob {
            gates = gates.broadcast_div(&gates.sum_keepdim(1)?)?;
        }
        let gates = (gates * f64::from(config.routed_scaling_factor))?;
        let mut out = x.zeros_like()?;
        for expert in 0..experts {
            let y = self.swiglu(x, &format!("{prefix}.experts.{expert}"))?;
            out = (out + y.broadcast_mul(&gates.narrow(1, expert, 1)?)?)?;
        }
        if config.n_shared_experts > 0 {
            out = (out + self.swiglu(x, &format!("{prefix}.shared_experts"))?)?;
        }
        Ok(out)
    }

    /// Runs the rows through all layers: `[batch, time, hidden]`.
    fn layers(&self, rows: &mut Rows<'_>) -> Result<Tensor> {
        let config = &self.config;
        let (batch, time) = (rows.tokens.len(), rows.time());
        let embedding = self.weight("model.embed_tokens.weight")?;
        let tokens = Tensor::from_vec(rows.tokens.concat(), batch * time, embedding.device())?;
        let mut x = embedding.index_select(&tokens, 0)?;
        if config.learned_positions {
            let positions = self.weight("model.embed_positions.weight")?.narrow(0, 0, time)?;
            let positions = positions.unsqueeze(0)?.broadcast_as((batch, time, config.hidden_size))?;
            x = (x + positions.contiguous()?.reshape((batch * time, config.hidden_size))?)?;
        }
        for layer in 0..config.num_hidden_layers {
            let prefix = format!("model.layers.{layer}");
            let normed = self.norm(&x, &format!("{prefix}.input_layernorm"))?;
            x = (x + self.attend(&normed, batch, &format!("{prefix}.self_attn"))?)?;
            let normed = self.norm(&x, &format!("{prefix}.post_attention_layernorm"))?;
            let prefix = format!("{prefix}.mlp");
            x = if config.is_sparse(layer) {
                (x + self.experts(&normed, &prefix, rows)?)?
            } else {
                (x + self.swiglu(&normed, &prefix)?)?
            };
        }
        x.reshape((batch, time, config.hidden_size))
    }

    /// The logits after the last layer's rows `x`, `[rows, hidden]`.
    fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let head = if self.config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
        self.linear(&self.norm(x, "model.norm")?, head)
    }

    /// The log-probabilities of all tokens for each target, `[targets, vocabulary]`; the chosen experts and the balance losses of
    /// each sparse layer.
    fn sequence(&self, one: &Sequence<'_>, temperature: f64) -> Result<(Tensor, Vec<Vec<u16>>, Vec<Tensor>)> {
        let (count, from) = (one.rows(), one.first_target - 1);
        let tokens = [&one.tokens[..count]];
        let mut rows = Rows::new(&tokens, one.routes);
        let x = self.layers(&mut rows)?.squeeze(0)?.narrow(0, from, count - from)?;
        let distributions = log_softmax(&(self.logits(&x)? / temperature)?, D::Minus1)?;
        Ok((distributions, rows.choices, rows.balance))
    }

    fn targets(&self, sequence: &Sequence<'_>, distributions: &Tensor) -> Result<Tensor> {
        let targets = sequence.targets();
        let targets = Tensor::from_slice(targets, (targets.len(), 1), distributions.device())?;
        distributions.gather(&targets, 1)?.squeeze(1)
    }

    /// The log-probability of each target, sequence after sequence.
    pub fn log_probabilities(&self, batch: &[Sequence<'_>], temperature: f32) -> Result<Tensor> {
        let each = batch.iter().map(|one| {
            let (distributions, ..) = self.sequence(one, f64::from(temperature))?;
            self.targets(one, &distributions)
        });
        Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)
    }

    /// The gradient of every parameter in the order of the layout, as float32. A parameter that the loss does not depend on is an
    /// error, or has a gradient of 0 if `may_miss`.
    pub fn gradient(&self, store: &GradStore, may_miss: bool) -> Result<Vec<f32>> {
        let mut gradient = Vec::new();
        for (name, weight) in self.names.iter().zip(&self.weights) {
            match store.get(weight) {
                Some(part) => gradient.extend(part.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?),
                None if may_miss => gradient.resize(gradient.len() + weight.elem_count(), 0.0),
                None => candle_core::bail!("{name} has no gradient"),
            }
        }
        Ok(gradient)
    }
}

/// The sequence-wise balance loss `Σ f P` of each of `batch` sequences, summed; `f` counts choices and has no gradient.
/// Shapes: `affinities` and `mask` `[batch · time, experts]`. Source: DeepSeek-V3 eq. 17–20.
fn balance(affinities: &Tensor, mask: &Tensor, batch: usize, chosen: usize) -> Result<Tensor> {
    let experts = affinities.dim(1)?;
    let time = affinities.dim(0)? / batch;
    let shares = affinities.broadcast_div(&affinities.sum_keepdim(1)?)?;
    let probability = shares.reshape((batch, time, experts))?.mean(1)?;
    let counts = (mask.reshape((batch, time, experts))?.sum(1)? * (experts as f64 / (chosen * time) as f64))?;
    (probability * counts)?.sum_all()
}

fn loads(choices: &[Vec<u16>], experts: usize) -> Vec<Vec<u64>> {
    let of_layer = |choices: &Vec<u16>| {
        let mut loads = vec![0; experts];
        choices.iter().for_each(|choice| loads[usize::from(*choice)] += 1);
        loads
    };
    choices.iter().map(of_layer).collect()
}

/// A policy that candle computes in float32, without a cache: each token runs the whole sequence again.
pub struct CandlePolicy {
    network: Network,
    parameters: Parameters,
    footprint: Footprint,
    device: Device,
    gradient: Vec<f32>,
}

impl CandlePolicy {
    /// A policy with these weights on `device`.
    pub fn new(config: &Config, parameters: Parameters, device: Device) -> Result<Self> {
        let network = Network::new(config, &parameters, DType::F32, &device)?;
        let gradient = vec![0.0; parameters.layout.len];
        Ok(Self { network, parameters, footprint: footprint(config), device, gradient })
    }

    fn refresh(&mut self) -> Result<()> {
        for (slot, weight) in self.parameters.layout.slots.iter().zip(&self.network.weights) {
            let values = self.parameters.at(&slot.range);
            weight.set(&Tensor::from_slice(values, slot.shape.as_slice(), &self.device)?)?;
        }
        self.network.expert_biases.clone_from(&self.parameters.expert_biases);
        Ok(())
    }

    fn complete(
        &self,
        request: &Request<'_>,
        sampling: &Sampling,
        limits: &Limits,
        seed: u64,
    ) -> Result<Vec<Completion>> {
        let mut writing: Vec<Writing> =
            (0..request.samples).map(|number| Writing::new(seed, request, number, Vec::new())).collect();
        let mut live: Vec<usize> = (0..request.samples).collect();
        while !live.is_empty() {
            let rows: Vec<Vec<u32>> = live
                .iter()
                .map(|at| [request.prompt, &writing[*at].completion.tokens[..]].concat())
                .collect();
            let tokens: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let mut rows = Rows::new(&tokens, None);
            let time = rows.time();
            let x = self.network.layers(&mut rows)?.narrow(1, time - 1, 1)?.squeeze(1)?;
            let logits = self.network.logits(&x)?.to_vec2::<f32>()?;
            let chosen = self.network.config.num_experts_per_tok;
            for (row, (&at, mut logits)) in live.iter().zip(logits).enumerate() {
                let one = &mut writing[at];
                // The rows since the last draw: the prompt at first, then one token.
                let before = if one.completion.tokens.is_empty() { 0 } else { time - 1 };
                for position in before..time {
                    let place = (row * time + position) * chosen;
                    let of_row = rows.choices.iter().flat_map(|layer| &layer[place..place + chosen]);
                    one.completion.routes.extend(of_row);
                }
                one.extend(&mut logits, sampling, limits);
            }
            live.retain(|at| !writing[*at].is_over(limits));
        }
        Ok(writing.into_iter().map(|one| one.completion).collect())
    }
}

impl Policy for CandlePolicy {
    fn config(&self) -> &Config {
        &self.network.config
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn precision(&self) -> Precision {
        Precision::Float32
    }

    fn change(&mut self, change: &mut dyn FnMut(&mut Parameters)) -> Result<()> {
        change(&mut self.parameters);
        self.refresh()
    }

    fn roll_out(
        &self,
        requests: &[Request<'_>],
        sampling: &Sampling,
        limits: &Limits,
        seed: u64,
    ) -> Result<Rollout> {
        let completions: Vec<Vec<Completion>> = requests
            .par_iter()
            .map(|request| self.complete(request, sampling, limits, seed))
            .collect::<Result<_>>()?;
        let (mut prefill, mut decode) = (Amount::default(), Amount::default());
        for (request, completions) in requests.iter().zip(&completions) {
            let prompt = request.prompt.len() as f64;
            prefill.flops += self.footprint.prefill(prompt).get() as u64;
            prefill.tokens += request.prompt.len() as u64;
            for completion in completions {
                let drawn = completion.tokens.len() as f64;
                let asked = self.footprint.decode_run(prompt, drawn).get() as u64;
                let done: f64 = (0..completion.tokens.len())
                    .map(|at| self.footprint.prefill(prompt + at as f64).get())
                    .sum();
                decode.flops += asked;
                decode.surplus_flops += (done as u64).saturating_sub(asked);
                decode.tokens += completion.tokens.len() as u64;
            }
        }
        Ok(Rollout { completions, prefill, decode })
    }

    fn scores(&mut self, sequences: &[Sequence<'_>], temperature: f32) -> Result<Scores> {
        let mut scores = Scores::default();
        for sequence in sequences {
            let (distributions, choices, _) = self.network.sequence(sequence, f64::from(temperature))?;
            let seen = seen(&self.network, sequence, &distributions)?;
            scores.log_probabilities.push(seen.0);
            scores.entropies.push(seen.1);
            add_loads(&mut scores.expert_loads, &loads(&choices, self.config().n_routed_experts));
            scores.forward += self.forward(sequence);
        }
        Ok(scores)
    }

    fn gradient(
        &mut self,
        sequences: &[Sequence<'_>],
        temperature: f32,
        balance: f32,
        loss: &dyn Loss,
        ranks: &dyn Collective,
    ) -> Result<Pass> {
        let mut pass = Pass::default();
        let cuts = leaves(sequences);
        let mut tree = Tree::over(cuts.len());
        let own = ranks.leaves();
        for (leaf, cut) in cuts.iter().enumerate().take(own.end).skip(own.start) {
            let mut gradient = vec![0.0; self.parameters.layout.len];
            for number in cut.clone() {
                let part =
                    self.pass(number, &sequences[number], temperature, balance, loss, &mut gradient)?;
                pass.measured = pass.measured.join(part.measured);
                add_loads(&mut pass.expert_loads, &part.expert_loads);
                pass.forward += part.forward;
                pass.backward += part.backward;
            }
            tree.add(leaf, gradient);
        }
        self.gradient = tree.sum().unwrap_or_else(|| vec![0.0; self.parameters.layout.len]);
        ranks.sum_tree(&mut self.gradient)?;
        pass.norm = norm(&self.gradient);
        Ok(pass)
    }

    fn apply(&mut self, optimizer: &mut AdamW, step: &AdamStep<'_>) -> Result<()> {
        step.apply(optimizer, &mut self.parameters, &self.gradient);
        self.refresh()
    }

    fn last_gradient(&self) -> &[f32] {
        &self.gradient
    }

    fn with_weights(&self, weights: &Snapshot) -> Result<Box<dyn Policy>> {
        let mut parameters = self.parameters.clone();
        weights.restore(&mut parameters);
        Ok(Box::new(Self::new(self.config(), parameters, self.device.clone())?))
    }
}

impl CandlePolicy {
    /// Runs sequence `number` forward and backward, and adds to `gradient`.
    fn pass(
        &self,
        number: usize,
        sequence: &Sequence<'_>,
        temperature: f32,
        balance: f32,
        loss: &dyn Loss,
        gradient: &mut [f32],
    ) -> Result<Pass> {
        let (distributions, choices, balances) = self.network.sequence(sequence, f64::from(temperature))?;
        let (log_probabilities, entropies) = seen(&self.network, sequence, &distributions)?;
        let seen = Seen { log_probabilities: &log_probabilities, entropies: &entropies };
        let (wanted, measured) = loss.of(number..number + 1, seen)?;
        // By the chain rule, with the loss's gradient of each log-probability as a constant.
        let wanted = Tensor::from_vec(wanted, log_probabilities.len(), &self.device)?;
        let mut total = (self.network.targets(sequence, &distributions)? * wanted)?.sum_all()?;
        if balance != 0.0
            && let Some(balances) = balances.into_iter().map(Ok).reduce(|sum, layer| sum? + layer?)
        {
            total = (total + (balances? * f64::from(balance))?)?;
        }
        let part = self.network.gradient(&total.backward()?, true)?;
        gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        let forward = self.forward(sequence);
        let backward =
            Amount { tokens: 0, flops: 2 * forward.flops, surplus_flops: 2 * forward.surplus_flops };
        let expert_loads = loads(&choices, self.config().n_routed_experts);
        Ok(Pass { measured, expert_loads, norm: 0.0, forward, backward })
    }

    /// The work of a forward pass. Every expert computes every row, which the model does not require.
    fn forward(&self, sequence: &Sequence<'_>) -> Amount {
        let (rows, targets) = (sequence.rows() as f64, sequence.targets().len() as f64);
        let config = self.config();
        let unchosen = 1.0 - config.num_experts_per_tok as f64 / config.n_routed_experts.max(1) as f64;
        let surplus = 2.0 * rows * unchosen * self.footprint.routed_parameters(config) as f64;
        Amount {
            flops: self.footprint.forward_targets(rows, targets).get() as u64,
            surplus_flops: surplus as u64,
            tokens: sequence.rows() as u64,
        }
    }
}

/// The log-probability of each target, and the entropy of its distribution.
fn seen(network: &Network, sequence: &Sequence<'_>, distributions: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
    let log_probabilities = network.targets(sequence, distributions)?.to_vec1()?;
    let entropies = (distributions.exp()? * distributions)?.sum(1)?.neg()?.to_vec1()?;
    Ok((log_probabilities, entropies))
}
