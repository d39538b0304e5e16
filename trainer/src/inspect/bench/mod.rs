//! Benchmarks on standard shapes: the basis of every claim about speed.

use serde::{Deserialize, Serialize};
use thinkling_verifiers::Verdict;

use crate::kernels::peak::product_rate;
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Part as Kernel, Taken};
use crate::learn::advantage::AdvantageSettings;
use crate::learn::batch::{Minibatch, Sample, Scored};
use crate::learn::objective::Objective;
use crate::learn::score::Judged;
use crate::machine::clock::{Elapsed, Moment, page_faults, usage};
use crate::policy::optimizer::{AdamStep, AdamW};
use crate::policy::rollout::{Completion, Limits, Request, Rollout};
use crate::policy::sampling::Sampling;
use crate::policy::{Alone, Attention, Config, CpuPolicy, Parameters, Policy};
use crate::report::{Content, Figure, Line};
use crate::stages::grpo::settings::Grpo;

pub mod verify;

const PROMPTS: usize = 16;
const PROMPT: usize = 32;

/// Multiples of the standard amount that show how cost grows.
const TIMES: [usize; 4] = [1, 2, 4, 8];

/// BenchAmount of sampling; the default is the standard amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchAmount {
    /// Completions per prompt.
    pub group: usize,
    /// Tokens per completion; none ends early.
    pub new_tokens: usize,
}

impl Default for BenchAmount {
    fn default() -> Self {
        Self { group: 8, new_tokens: 128 }
    }
}

impl BenchAmount {
    /// The amounts that show how cost grows: longer completions and larger groups.
    pub fn scaling() -> [(&'static str, [Self; 4]); 2] {
        let standard = Self::default();
        let longer = |times| Self { new_tokens: standard.new_tokens * times, ..standard };
        let larger = |times| Self { group: standard.group * times, ..standard };
        [("longer completions", TIMES.map(longer)), ("larger groups", TIMES.map(larger))]
    }

    fn sequences(self) -> usize {
        PROMPTS * self.group
    }
}

/// A standard shape of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardShape {
    /// Dense, with as many key-value heads as query heads.
    Small,
    /// Mixture of experts, like DeepSeek-V3.
    Mixture,
}

impl StandardShape {
    /// The network, for completions of `new_tokens` tokens.
    pub fn config(self, new_tokens: usize) -> Config {
        let small = Config {
            vocab_size: 64,
            hidden_size: 256,
            num_hidden_layers: 4,
            num_attention_heads: 8,
            attention: Attention::Gqa,
            num_key_value_heads: 8,
            head_dim: 32,
            q_lora_rank: Some(96),
            kv_lora_rank: 64,
            qk_nope_head_dim: 32,
            qk_rope_head_dim: 16,
            v_head_dim: 32,
            intermediate_size: 688,
            n_routed_experts: 0,
            n_shared_experts: 1,
            num_experts_per_tok: 2,
            moe_intermediate_size: 128,
            first_k_dense_replace: 1,
            norm_topk_prob: true,
            routed_scaling_factor: 1.0,
            aux_loss_alpha: 0.0,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            learned_positions: false,
            max_position_embeddings: PROMPT + new_tokens,
            initializer_range: 0.02,
        };
        match self {
            Self::Small => small,
            Self::Mixture => Config {
                attention: Attention::Mla,
                n_routed_experts: 16,
                tie_word_embeddings: false,
                ..small
            },
        }
    }

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "s",
            Self::Mixture => "m",
        }
    }

    /// The products that measure the peak rate: rows, depth and columns of a large one and of the shape's own.
    fn products(self) -> [[usize; 3]; 4] {
        let Config { hidden_size: hidden, intermediate_size: inner, .. } = self.config(0);
        [[512; 3], [128, hidden, inner], [128, inner, hidden], [128, hidden, hidden]]
    }
}

/// The work that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Sampling.
    Rollout,
    /// Forward, backward and AdamW on sampled completions.
    Update,
    /// Both, with rewards and advantages.
    Step,
}

/// A measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// `s` or `m`.
    pub shape: String,
    /// Precision of products.
    pub precision: String,
    /// Instructions of the products.
    pub instructions: String,
    /// Threads.
    pub threads: usize,
    /// BenchAmount of sampling.
    #[serde(flatten)]
    pub amount: BenchAmount,
    /// From the start of the program to the start of the uncounted first repeat; before an update, includes a rollout.
    pub start_s: f64,
    /// From the start of the program to the end of the first repeat.
    pub first_s: f64,
    /// Timed repeats; a first one is not counted.
    pub repeats: usize,
    /// Median of the repeats, seconds.
    pub wall_s: f64,
    /// Minimum of the repeats, seconds.
    pub wall_s_min: f64,
    /// Processor time of all threads, median of the repeats, seconds.
    pub cpu_s: f64,
    /// New tokens per second of a rollout; all tokens per second of an update or step.
    pub tokens_per_s: f64,
    /// The same per second of processor time.
    pub tokens_per_cpu_s: f64,
    /// Operations of products per second, in billions.
    pub gflops: f64,
    /// Peak of this process's threads together, in billions per second: products of 512 × 512 × 512 or the shape's own,
    /// in cache.
    pub peak_gflops: f64,
    /// `gflops` over `peak_gflops`.
    pub mfu: f64,
    /// Peak memory of the process, in MB.
    pub peak_rss_mb: f64,
    /// Page faults per repeat, median.
    pub page_faults: u64,
    /// Time of each part over all repeats and threads; with `--profile`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<ProfileShare>,
}

/// The share of one part of the policy in a profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileShare {
    /// `projections`, `attention`, …
    pub part: String,
    /// Share of the processor time.
    pub share: f64,
    /// Seconds per repeat.
    pub cpu_s: f64,
    /// Operations of products per second in this part, in billions.
    pub gflops: f64,
}

struct Bench {
    policy: CpuPolicy,
    prompts: Vec<Vec<u32>>,
    amount: BenchAmount,
    optimizer: AdamW,
    flops: u64,
}

impl Bench {
    fn new(shape: StandardShape, amount: BenchAmount, precision: Precision) -> Self {
        let config = shape.config(amount.new_tokens);
        let parameters = Parameters::new(&config, 0);
        let optimizer = AdamW::new(parameters.layout.len);
        let token = |prompt: usize, at: usize| ((prompt * 31 + at * 7) % config.vocab_size) as u32;
        let prompts = (0..PROMPTS).map(|prompt| (0..PROMPT).map(|at| token(prompt, at)).collect()).collect();
        let policy = CpuPolicy::new(config, parameters, precision);
        Self { policy, prompts, amount, optimizer, flops: 0 }
    }

    fn rollout(&mut self) -> candle_core::Result<Rollout> {
        let requests: Vec<Request<'_>> = (0u64..)
            .zip(&self.prompts)
            .map(|(number, prompt)| Request { prompt, samples: self.amount.group, address: [0, 0, number] })
            .collect();
        // No token has this id, so no completion ends early.
        let limits = Limits { max_new_tokens: self.amount.new_tokens, end: u32::MAX, thinking: None };
        let rollout = self.policy.roll_out(&requests, &Sampling::PLAIN, &limits, 0)?;
        self.flops += rollout.amount().flops;
        Ok(rollout)
    }

    fn update(&mut self, rollout: &Rollout) -> candle_core::Result<()> {
        let groups = self.prompts.iter().zip(&rollout.completions);
        let samples: Vec<Sample> = groups.flat_map(|(prompt, group)| samples(prompt, group)).collect();
        let minibatch = Minibatch { samples: samples.iter().collect() };
        let objective = Objective { clip_high: 0.28, ..Objective::default() };
        let loss = objective.on(&minibatch, None, false);
        let pass = self.policy.gradient(&minibatch.sequences(true), 1.0, 0.0, &loss, &Alone)?;
        self.flops += pass.forward.flops + pass.backward.flops;
        let settings = Grpo::default().optimizer.adamw();
        let _scope = profile::enter(Kernel::Optimizer);
        let step = AdamStep {
            learning_rate: 1e-4,
            settings,
            gradient_norm: pass.norm,
            expert_loads: &pass.expert_loads,
            bias_update_speed: 0.0,
        };
        self.policy.apply(&mut self.optimizer, &step)
    }
}

fn samples(prompt: &[u32], group: &[Completion]) -> Vec<Sample> {
    let reward = |one: &Completion| {
        one.tokens.iter().filter(|token| token.is_multiple_of(2)).count() as f64 / one.tokens.len() as f64
    };
    let rewards: Vec<f64> = group.iter().map(reward).collect();
    let advantages = AdvantageSettings::default().advantages(&rewards);
    let judged = |reward| Judged::bare(Verdict::wrong("", ""), Some(reward));
    let scored = group
        .iter()
        .zip(rewards)
        .map(|(completion, reward)| Scored { completion: completion.clone(), judged: judged(reward) });
    scored.zip(advantages).map(|(scored, advantage)| Sample::new(prompt, scored, Some(advantage))).collect()
}

/// Options of [`time`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Start of the program.
    pub start: Moment,
    /// BenchAmount of sampling.
    pub amount: BenchAmount,
    /// Timed repeats; a first one is not counted.
    pub repeats: usize,
    /// Precision of products; this machine supports it.
    pub precision: Precision,
    /// Whether to time each part; costs a few percent.
    pub profile: bool,
}

/// Times `part` on `shape` with the current pool of threads.
pub fn time(part: Timed, shape: StandardShape, options: Options) -> candle_core::Result<Timing> {
    let amount = options.amount;
    let mut bench = Bench::new(shape, amount, options.precision);
    // An update needs sampled completions.
    let rollout = if part == Timed::Update { Some(bench.rollout()?) } else { None };
    let (start_s, mut first_s) = (options.start.elapsed().wall_s, 0.0);
    let mut elapsed: Vec<Elapsed> = Vec::new();
    let mut faults = Vec::new();
    for repeat in 0..=options.repeats {
        if repeat == 1 {
            profile::switch(options.profile);
        }
        bench.flops = 0;
        let (started, faulted) = (Moment::now(), page_faults());
        match (part, &rollout) {
            (Timed::Rollout, _) => drop(bench.rollout()?),
            (_, Some(rollout)) => bench.update(rollout)?,
            (_, None) => {
                let rollout = bench.rollout()?;
                bench.update(&rollout)?;
            }
        }
        if repeat == 0 {
            first_s = options.start.elapsed().wall_s;
        } else {
            elapsed.push(started.elapsed());
            faults.push((page_faults() - faulted) as f64);
        }
    }
    let all: f64 = elapsed.iter().map(|one| one.cpu_s).sum();
    let profile = if options.profile { shares(&profile::taken(), all, options.repeats) } else { Vec::new() };
    profile::switch(false);
    let wall_s = median(elapsed.iter().map(|one| one.wall_s));
    let cpu_s = median(elapsed.iter().map(|one| one.cpu_s));
    let tokens = match part {
        Timed::Rollout => amount.sequences() * amount.new_tokens,
        Timed::Update | Timed::Step => amount.sequences() * (PROMPT + amount.new_tokens),
    };
    let threads = rayon::current_num_threads();
    let rate = |product| product_rate(options.precision, product);
    let rates = rayon::broadcast(|_| shape.products().map(rate).into_iter().fold(0.0, f64::max));
    let peak_gflops = rates.iter().sum::<f64>() / 1e9;
    let gflops = bench.flops as f64 / wall_s / 1e9;
    Ok(Timing {
        shape: shape.name().to_owned(),
        precision: options.precision.name().to_owned(),
        instructions: options.precision.instructions().unwrap_or_default().to_owned(),
        threads,
        amount,
        start_s,
        first_s,
        repeats: options.repeats,
        wall_s,
        wall_s_min: elapsed.iter().map(|one| one.wall_s).fold(f64::INFINITY, f64::min),
        cpu_s,
        tokens_per_s: tokens as f64 / wall_s,
        tokens_per_cpu_s: tokens as f64 / cpu_s,
        gflops,
        peak_gflops,
        mfu: gflops / peak_gflops,
        peak_rss_mb: usage().1 as f64 / 1e6,
        page_faults: median(faults.into_iter()) as u64,
        profile,
    })
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len() - 1;
    f64::midpoint(numbers[last / 2], numbers[last.div_ceil(2)])
}

/// The cost of a step: one line for each of [`BenchAmount::scaling`], with its timings in order.
pub fn scaling_figure(measured: &[(&str, Vec<Timing>)]) -> Figure {
    let lines = measured.iter().enumerate().map(|(colour, (name, timings))| Line {
        name: (*name).to_owned(),
        points: TIMES.iter().zip(timings).map(|(times, timing)| (*times as f64, timing.cpu_s)).collect(),
        colour,
        ..Line::default()
    });
    Figure {
        id: "scaling".to_owned(),
        title: "Cost of a step".to_owned(),
        note: "",
        x_label: "multiple of the new tokens".to_owned(),
        y_label: "CPU-seconds per step".to_owned(),
        content: Content::Lines(lines.collect()),
    }
}

/// The profile, largest share first; `other` is the time outside all parts.
fn shares(taken: &[Taken], cpu_s: f64, repeats: usize) -> Vec<ProfileShare> {
    let named: f64 = Kernel::ALL
        .iter()
        .zip(taken)
        .filter(|(part, _)| **part != Kernel::Other)
        .map(|(_, taken)| taken.seconds)
        .sum();
    let mut shares: Vec<ProfileShare> = Kernel::ALL
        .iter()
        .zip(taken)
        .map(|(part, taken)| {
            let seconds = if *part == Kernel::Other { (cpu_s - named).max(0.0) } else { taken.seconds };
            ProfileShare {
                part: part.name().to_owned(),
                share: seconds / cpu_s,
                cpu_s: seconds / repeats as f64,
                gflops: if seconds > 0.0 { taken.flops as f64 / seconds / 1e9 } else { 0.0 },
            }
        })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}
