//! Published training runs: the hours that their authors state, and derived costs.

use serde_json::{Map, Value, json};

use super::devices::{PricedDevice, UnknownName};
use super::planner::savings;
use crate::policy::Config;
use crate::policy::footprint::footprint;

/// Tokens per row for the operations per trained token.
const CONTEXT: usize = 4096;

/// A published run.
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// Description.
    pub about: &'static str,
    /// Device-hours of each phase, as published.
    phases: &'static [(&'static str, f64)],
    /// US dollars per device-hour, as the authors assume.
    price_usd_per_hour: f64,
    /// Published device-hours per trillion tokens, if known.
    hours_per_trillion_tokens: Option<f64>,
    leaves_out: &'static [&'static str],
    sources: &'static [&'static str],
}

/// All presets.
pub const PRESETS: [Preset; 3] = [
    Preset {
        name: "deepseek-v3",
        about: "DeepSeek-V3: pre-training on 14.8 T tokens, context extension, post-training",
        phases: &[("pre_training", 2_664e3), ("context_extension", 119e3), ("post_training", 5e3)],
        price_usd_per_hour: 2.0,
        hours_per_trillion_tokens: Some(180e3),
        leaves_out: &[
            "prior research and ablations on architecture, algorithms and data",
            "staff, data, the cluster itself, its network, hosts and cooling",
        ],
        sources: &[
            "DeepSeek-V3 (arXiv 2412.19437), table 1: hours, and $2 per H800-hour as an assumption",
            "DeepSeek-V3, inference/config_671B.json: the shape that parameters and operations follow from",
            "Insights into DeepSeek-V3 (arXiv 2505.09343): 250 GFLOP per token and 38.94 % MFU, measured",
        ],
    },
    Preset {
        name: "deepseek-r1-zero",
        about: "DeepSeek-R1-Zero: reinforcement learning on DeepSeek-V3-Base, 512 GPUs for about 198 hours",
        phases: &[("r1_zero", 101e3)],
        price_usd_per_hour: 2.0,
        hours_per_trillion_tokens: None,
        leaves_out: &R1_LEAVES_OUT,
        sources: &R1_SOURCES,
    },
    Preset {
        name: "deepseek-r1",
        about: "DeepSeek-R1: R1-Zero, the data for fine-tuning, and R1 itself",
        phases: &[("r1_zero", 101e3), ("sft_data", 5e3), ("r1", 41e3)],
        price_usd_per_hour: 2.0,
        hours_per_trillion_tokens: None,
        leaves_out: &R1_LEAVES_OUT,
        sources: &R1_SOURCES,
    },
];

const R1_LEAVES_OUT: [&str; 4] = [
    "the base model: DeepSeek-V3's pre-training, 2.788M H800-hours and $5.576M",
    "prior research, failed runs and ablations, and experiments at smaller scale on A100s",
    "staff, annotation and preference data",
    "the cluster itself, its network, hosts and cooling",
];

const R1_SOURCES: [&str; 2] = [
    "DeepSeek-R1 (Nature 645:633, arXiv 2501.12948v2), supplement: 101K + 5K + 41K H800-hours at $2; 64 x 8 GPUs for about 198 and 80 hours",
    "DeepSeek-V3, inference/config_671B.json: the shape that parameters and operations follow from",
];

/// The preset called `name`.
pub fn preset(name: &str) -> Result<&'static Preset, UnknownName> {
    let found = PRESETS.iter().find(|preset| preset.name == name.to_lowercase());
    found.ok_or_else(|| UnknownName::new("preset", name, PRESETS.iter().map(|preset| preset.name)))
}

impl Preset {
    /// The network of the preset: all published runs are of DeepSeek-V3.
    pub fn model(&self) -> Config {
        Config::deepseek_v3()
    }

    /// The published costs on `published`, the device of the authors; or scaled by the peaks to `other`.
    pub fn costs(&self, published: &PricedDevice, other: Option<&PricedDevice>) -> Value {
        let device = other.unwrap_or(published);
        let slower = published.peak_flops / device.peak_flops;
        let price = if other.is_some() { device.price_usd_per_hour } else { self.price_usd_per_hour };
        let hours: Map<String, Value> =
            self.phases.iter().map(|(phase, hours)| ((*phase).to_owned(), json!(hours * slower))).collect();
        let dollars: Map<String, Value> = self
            .phases
            .iter()
            .map(|(phase, hours)| ((*phase).to_owned(), json!(hours * slower * price)))
            .collect();
        let total: f64 = self.phases.iter().map(|(_, hours)| hours * slower).sum();
        let model = self.model();
        let count = footprint(&model);
        let per_token = count.train_token(CONTEXT).get();
        let mut costs = json!({
            "preset": self.name,
            "about": self.about,
            "parameters_total": count.parameters_total,
            "parameters_active": count.parameters_active,
            "flops_per_trained_token": per_token,
            "context": CONTEXT,
            "device": device.name,
            "price_usd_per_hour": price,
            "device_hours": hours,
            "device_hours_total": total,
            "cost_usd": dollars,
            "cost_usd_total": total * price,
            "energy_kwh_at_most": device.watts.map(|watts| total * watts / 1e3),
            "saves": savings(&model),
            "leaves_out": self.leaves_out,
            "sources": self.sources,
            "device_sources": device.sources,
            "assumed": device.assumed,
        });
        if let Some(hours) = self.hours_per_trillion_tokens {
            let tokens_per_s = 1e12 / (hours * 3600.0);
            costs["tokens_per_device_s"] = json!(tokens_per_s / slower);
            costs["mfu"] = json!(tokens_per_s * per_token / published.peak_flops);
        }
        if other.is_some() {
            costs["scaled_from"] = json!(published.name);
            costs["assumed"] = json!(
                device
                    .assumed
                    .iter()
                    .copied()
                    .chain(["device_hours: the published ones, scaled by dense peaks"])
                    .collect::<Vec<_>>()
            );
        }
        costs
    }
}
