//! Speed, power and price of devices: published figures with their sources, or assumptions.

use serde::Serialize;
use serde_json::{Value, json};

use crate::recipe::nearest;

/// An accelerator, or this machine's processor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PricedDevice {
    /// Name on the command line.
    pub name: &'static str,
    /// Description.
    pub about: &'static str,
    /// Peak of dense operations per second in bfloat16 (float32 on a processor), without sparsity.
    pub peak_flops: f64,
    /// Peak of dense operations per second in 8-bit floats, if the device has them.
    pub peak_flops_fp8: Option<f64>,
    /// Memory bandwidth, bytes per second.
    pub bandwidth_bytes_per_s: f64,
    /// Memory, bytes.
    pub memory_bytes: f64,
    /// Highest power of the board, watts.
    pub watts: Option<f64>,
    /// US dollars per hour.
    pub price_usd_per_hour: f64,
    /// Sources of the figures.
    pub sources: Vec<&'static str>,
    /// Figures that are assumed, and why.
    pub assumed: Vec<&'static str>,
}

const TERA: f64 = 1e12;
const GIGA: f64 = 1e9;

/// The rent of a card depends on the market.
const PRICE: &str = "price_usd_per_hour: an assumed rent; state your own in [prices]";

/// All accelerators.
pub fn accelerators() -> Vec<PricedDevice> {
    let hopper = PricedDevice {
        name: "h100",
        about: "NVIDIA H100 SXM, 80 GB",
        peak_flops: 989.5 * TERA,
        peak_flops_fp8: Some(1979.0 * TERA),
        bandwidth_bytes_per_s: 3.35 * TERA,
        memory_bytes: 80.0 * GIGA,
        watts: Some(700.0),
        price_usd_per_hour: 2.5,
        sources: vec![
            "NVIDIA H100 product page: 1,979 (BF16) and 3,958 (FP8) TFLOPS with sparsity, halved; 3.35 TB/s; 700 W",
        ],
        assumed: vec![PRICE],
    };
    vec![
        PricedDevice {
            name: "h800",
            about: "NVIDIA H800 SXM, 80 GB: H100 with slower links",
            price_usd_per_hour: 2.0,
            sources: vec![
                "NVIDIA H100 product page, for peaks and bandwidth, which the H800 shares",
                "DeepSeek-V3 report (arXiv 2412.19437), table 1: $2 an hour",
            ],
            assumed: vec!["watts: 700 as the H100; published figures disagree (550 to 700)"],
            ..hopper.clone()
        },
        hopper.clone(),
        PricedDevice {
            name: "h200",
            about: "NVIDIA H200 SXM, 141 GB",
            bandwidth_bytes_per_s: 4.8 * TERA,
            memory_bytes: 141.0 * GIGA,
            price_usd_per_hour: 3.0,
            sources: vec!["NVIDIA H200 product page: peaks of the H100, 141 GB at 4.8 TB/s, 700 W"],
            ..hopper.clone()
        },
        PricedDevice {
            name: "h20",
            about: "NVIDIA H20, 96 GB",
            peak_flops: 148.0 * TERA,
            peak_flops_fp8: Some(296.0 * TERA),
            bandwidth_bytes_per_s: 4.0 * TERA,
            memory_bytes: 96.0 * GIGA,
            watts: Some(400.0),
            price_usd_per_hour: 1.5,
            sources: vec![
                "third-party tables that agree: 148 TFLOPS (FP16), 4.0 TB/s, 96 GB, 400 W; NVIDIA has no public page",
            ],
            assumed: vec![PRICE],
        },
        PricedDevice {
            name: "a100",
            about: "NVIDIA A100 SXM, 80 GB",
            peak_flops: 312.0 * TERA,
            peak_flops_fp8: None,
            bandwidth_bytes_per_s: 2.039 * TERA,
            memory_bytes: 80.0 * GIGA,
            watts: Some(400.0),
            price_usd_per_hour: 1.5,
            sources: vec!["NVIDIA A100 datasheet: 312 TFLOPS (BF16, dense), 2,039 GB/s, 400 W"],
            assumed: vec![PRICE],
        },
        PricedDevice {
            name: "ascend-910b",
            about: "Huawei Ascend 910B, 64 GB",
            peak_flops: 320.0 * TERA,
            peak_flops_fp8: None,
            bandwidth_bytes_per_s: 1.6 * TERA,
            memory_bytes: 64.0 * GIGA,
            watts: Some(400.0),
            price_usd_per_hour: 1.5,
            sources: vec!["third-party tables: about 320 TFLOPS (FP16), 64 GB"],
            assumed: vec![
                "peak_flops: its variants are said to lie between 280 and 400 TFLOPS",
                "bandwidth_bytes_per_s and watts: published figures disagree (0.4 to 1.6 TB/s; 310 to 400 W)",
                PRICE,
            ],
        },
    ]
}

/// This machine's processor, with the speed of `threads` threads.
pub fn processor(
    peak_flops: f64,
    bandwidth_bytes_per_s: f64,
    threads: usize,
    prices: &crate::tracking::ledger::Prices,
) -> PricedDevice {
    PricedDevice {
        name: CPU,
        about: "this machine's processor, measured",
        peak_flops,
        peak_flops_fp8: None,
        bandwidth_bytes_per_s,
        memory_bytes: memory("MemTotal:").unwrap_or(0.0),
        watts: prices.watts,
        price_usd_per_hour: prices.usd_per_core_hour * threads as f64,
        sources: vec!["measured just now: float32 products on cached matrices, and a copy of 64 MB"],
        assumed: vec!["price_usd_per_hour: prices.usd_per_core_hour of the recipe times the threads"],
    }
}

/// Name of this machine's processor.
pub const CPU: &str = "cpu";

/// Bytes of memory that the system reports under `key`, such as `MemTotal:`.
pub fn memory(key: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

/// The accelerator called `name`.
pub fn accelerator(name: &str) -> Result<PricedDevice, UnknownName> {
    let wanted = name.to_lowercase().replace(['_', ' '], "-");
    let devices = accelerators();
    let found = devices.iter().find(|device| device.name == wanted).cloned();
    found.ok_or_else(|| {
        UnknownName::new("device", name, devices.iter().map(|device| device.name).chain([CPU]))
    })
}

/// No device or preset has this name.
#[derive(Debug, thiserror::Error)]
#[error("unknown {kind} `{name}`{}; there are: {}", meant.as_ref().map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default(), names.join(", "))]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    meant: Option<String>,
    names: Vec<String>,
}

impl UnknownName {
    pub(super) fn new(kind: &'static str, name: &str, names: impl Iterator<Item = &'static str>) -> Self {
        let names: Vec<&str> = names.collect();
        let meant = nearest(&name.to_lowercase(), names.iter().copied()).map(str::to_owned);
        Self { kind, name: name.to_owned(), meant, names: names.into_iter().map(str::to_owned).collect() }
    }
}

/// A row of the list of devices.
pub fn listed(device: &PricedDevice) -> Value {
    let mut row = json!(device);
    row["dense_tflops"] = json!(device.peak_flops / TERA);
    row
}
