//! Plans the training of a network on any number of devices, with a roofline model.

use serde_json::{Value, json};

use super::devices::PricedDevice;
use crate::policy::footprint::{cache_elements, footprint};
use crate::policy::{Attention, Config};

/// Bytes of a weight, of a cached number and of an activation: bfloat16.
const NUMBER_BYTES: f64 = 2.0;
/// Bytes that an update moves per parameter: the weight for forward and backward twice, the gradient written and read,
/// the master weight and two moments in float32 read and written.
const UPDATE_BYTES: f64 = 3.0 * 2.0 + 2.0 * 4.0 + 6.0 * 4.0;
/// Bytes that training stores per parameter: weight, gradient, master weight and two moments.
const TRAINING_BYTES: f64 = 2.0 + 4.0 + 12.0;
/// Bytes that a layer stores per token and unit of width (Korthikanti et al. 2022, without the scores).
const ACTIVATION_BYTES: f64 = 34.0;

/// A job for the planner.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Number of devices.
    pub count: f64,
    /// Tokens of training.
    pub trained_tokens: f64,
    /// Tokens to generate.
    pub generated_tokens: f64,
    /// Tokens per row.
    pub context: usize,
    /// Tokens per update.
    pub update_tokens: f64,
    /// Sequences per device that are decoded together.
    pub sequences: f64,
    /// Share of the roofline that the devices reach.
    pub efficiency: f64,
}

struct Roofline {
    flops: f64,
    bytes: f64,
}

impl Roofline {
    fn on(&self, device: &PricedDevice) -> Value {
        let (intensity, ridge) = (self.flops / self.bytes, device.peak_flops / device.bandwidth_bytes_per_s);
        json!({
            "bound": if intensity < ridge { "memory" } else { "compute" },
            "flops_per_byte": intensity,
            "ridge_flops_per_byte": ridge,
        })
    }

    fn seconds(&self, device: &PricedDevice) -> f64 {
        (self.flops / device.peak_flops).max(self.bytes / device.bandwidth_bytes_per_s)
    }
}

/// The share of routed experts that at least one of `tokens` tokens uses, if they choose evenly.
fn experts_touched(model: &Config, tokens: f64) -> f64 {
    let chosen = model.num_experts_per_tok as f64 / model.n_routed_experts.max(1) as f64;
    1.0 - (1.0 - chosen).powf(tokens)
}

/// Hours, dollars and energy of a job, its bottleneck, and the savings of the shape.
pub fn plan(model: &Config, device: &PricedDevice, job: &Workload) -> Value {
    let size = footprint(model);
    let (total, active) = (size.parameters_total as f64, size.parameters_active as f64);
    let width = (model.num_hidden_layers * model.hidden_size) as f64;
    let update = Roofline {
        flops: size.train_token(job.context).get() * job.update_tokens,
        bytes: total * UPDATE_BYTES + 2.0 * job.update_tokens * width * ACTIVATION_BYTES,
    };
    let cached_bytes = cache_elements(model) as f64 * NUMBER_BYTES;
    // Devices share the weights: each step reads the weights that all sequences need once.
    let sequences = job.sequences * job.count;
    let routed = size.routed_parameters(model) as f64;
    let read = (total - routed) + routed * experts_touched(model, sequences);
    let decode = Roofline {
        flops: size.decode(job.context).get() * sequences,
        bytes: read * NUMBER_BYTES + sequences * job.context as f64 * cached_bytes,
    };
    let update_s = update.seconds(device) * job.trained_tokens / job.update_tokens / job.efficiency;
    let decode_s = decode.seconds(device) * job.generated_tokens / sequences / job.efficiency;
    let (update_hours, rollout_hours) = (update_s / 3600.0, decode_s / 3600.0);
    let device_hours = update_hours + rollout_hours;
    let training = total * TRAINING_BYTES;
    let rollout = total * NUMBER_BYTES + sequences * job.context as f64 * cached_bytes;
    let needed = |bytes: f64| (bytes / device.memory_bytes).ceil();
    let mut update_row = update.on(device);
    update_row["tokens"] = json!(job.trained_tokens);
    update_row["flops"] = json!(size.train_token(job.context).get() * job.trained_tokens);
    update_row["hours"] = json!(update_hours / job.count);
    update_row["device_hours"] = json!(update_hours);
    update_row["memory_bytes"] = json!(training);
    update_row["devices_needed"] = json!(needed(training));
    let mut rollout_row = decode.on(device);
    rollout_row["tokens"] = json!(job.generated_tokens);
    rollout_row["flops"] = json!(size.decode(job.context).get() * job.generated_tokens);
    rollout_row["hours"] = json!(rollout_hours / job.count);
    rollout_row["device_hours"] = json!(rollout_hours);
    rollout_row["tokens_per_s"] = json!(sequences * job.count / decode.seconds(device) * job.efficiency);
    rollout_row["memory_bytes"] = json!(rollout);
    rollout_row["devices_needed"] = json!(needed(rollout));
    json!({
        "parameters_total": size.parameters_total,
        "parameters_active": size.parameters_active,
        "flops_per_trained_token": size.train_token(job.context).get(),
        "device": device.name,
        "devices": job.count,
        "price_usd_per_hour": device.price_usd_per_hour,
        "update": update_row,
        "rollout": rollout_row,
        "fits": job.count >= needed(training).max(needed(rollout)),
        "hours": device_hours / job.count,
        "device_hours_total": device_hours,
        "cost_usd_total": device_hours * device.price_usd_per_hour,
        "energy_kwh": device.watts.map(|watts| device_hours * watts / 1e3),
        "active_share": active / total,
        "saves": savings(model),
        "assumed": [
            format!("devices reach {} of the roofline", job.efficiency),
            format!("updates of {} tokens, {} sequences per device decoded together", job.update_tokens, job.sequences),
            "every generated token attends to a full row".to_owned(),
            "bfloat16 weights and cache, float32 master weights and moments; links between devices are no limit".to_owned(),
            "energy: the boards only, at their rated watts".to_owned(),
        ],
        "device_sources": device.sources,
        "device_assumed": device.assumed,
    })
}

/// The savings of latent attention in the cache, and of sparsity in the work.
pub fn savings(model: &Config) -> Value {
    let size = footprint(model);
    let head = match model.attention {
        Attention::Mla => model.v_head_dim,
        Attention::Gqa => model.head_dim,
    };
    let heads_of = |heads: usize| 2 * heads * head * model.num_hidden_layers;
    let elements = cache_elements(model) as usize;
    let (every, eight) = (heads_of(model.num_attention_heads), heads_of(8.min(model.num_attention_heads)));
    let saved = |other: usize| 1.0 - elements as f64 / other as f64;
    json!({
        "cache_elements_per_token": elements,
        "cache_bytes_per_token": elements as f64 * NUMBER_BYTES,
        "cache_elements_per_token_mha": every,
        "cache_elements_per_token_gqa8": eight,
        "cache_saved_against_mha": saved(every),
        "cache_saved_against_gqa8": saved(eight),
        "active_share": size.parameters_active as f64 / size.parameters_total as f64,
        "dense_flops_over_active": size.parameters_total as f64 / size.parameters_active as f64,
    })
}
