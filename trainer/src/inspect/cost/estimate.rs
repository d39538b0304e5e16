//! Estimates the cost of a recipe: operations from the lengths of its tasks' texts, time from a measurement of this
//! machine.

use serde_json::{Value, json};
use thinkling_datasets::Split;
use thinkling_datasets::corpus::{self, Corpus};

use super::devices::{self, PricedDevice};
use crate::data::shares::Shares;
use crate::data::tokenizer::Tokenizer;
use crate::kernels::peak::measured_peak;
use crate::kernels::precision::Precision;
use crate::machine::clock::Moment;
use crate::plan::{Plan, Stage};
use crate::policy::footprint::cache_elements;
use crate::policy::loss::NextToken;
use crate::policy::optimizer::{AdamStep, AdamW};
use crate::policy::rollout::{Limits, Request};
use crate::policy::sampling::Sampling;
use crate::policy::{Alone, Attention, Parameters, Sequence};
use crate::stages::grpo::settings::Grpo;
use crate::stages::kind::{MeanLengths, StageWork};
use crate::tracking::ledger::Prices;

const TEXTS: u64 = 64;
/// Least seconds of each measurement of the machine.
const MEASURE_S: f64 = 0.25;
/// Networks with more parameters are not built for a measurement.
const MOST_PARAMETERS: u64 = 40_000_000;
/// Share of the matrix peak that small policies reach; used if nothing is measured.
const ASSUMED_MFU: f64 = 0.2;
const MEASURED_TOKENS: usize = 32;

/// Speed of a policy: operations per second of processor time, and seconds of an update.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Decoding.
    pub decode_flops_per_cpu_s: f64,
    /// Forward and backward.
    pub update_flops_per_cpu_s: f64,
    /// Applying a gradient.
    pub apply_cpu_s: f64,
    /// Whether this policy was measured; else the speed is assumed from the matrix peak.
    pub is_measured: bool,
    /// Matrix peak of one thread.
    pub peak_flops: f64,
}

/// Measures this machine on the policy of `plan` with the current pool of threads; takes about a second.
pub fn measure(plan: &Plan) -> Speed {
    let peak_flops = measured_peak(plan.precision);
    let assumed = Speed {
        decode_flops_per_cpu_s: peak_flops * ASSUMED_MFU,
        update_flops_per_cpu_s: peak_flops * ASSUMED_MFU,
        apply_cpu_s: plan.footprint.parameters_total as f64 * 4e-9,
        is_measured: false,
        peak_flops,
    };
    if plan.footprint.parameters_total > MOST_PARAMETERS {
        return assumed;
    }
    let Ok(mut policy) = plan.policy(Parameters::new(&plan.model, plan.seed)) else { return assumed };
    let prompt_length = (plan.model.max_position_embeddings / 4).clamp(1, MEASURED_TOKENS / 2);
    let new = (plan.model.max_position_embeddings - prompt_length).clamp(1, MEASURED_TOKENS);
    let prompt: Vec<u32> = (0..prompt_length).map(|at| (at % plan.model.vocab_size) as u32).collect();
    let requests: Vec<Request<'_>> = (0..4 * rayon::current_num_threads() as u64)
        .map(|number| Request { prompt: &prompt, samples: 16, address: [0, 0, number] })
        .collect();
    // No token has this id, so no completion ends early.
    let limits = Limits { max_new_tokens: new, end: u32::MAX, thinking: None };
    let mut rollout = None;
    let decode = rate(|| {
        let Ok(drawn) = policy.roll_out(&requests, &Sampling::PLAIN, &limits, 0) else { return 0 };
        let flops = drawn.amount().flops;
        rollout = Some(drawn);
        flops
    });
    let drawn = rollout.iter().flat_map(|rollout| &rollout.completions).flatten();
    let rows: Vec<Vec<u32>> = drawn.map(|one| [&prompt[..], &one.tokens[..]].concat()).collect();
    let sequences: Vec<Sequence<'_>> =
        rows.iter().map(|tokens| Sequence { tokens, first_target: 1, routes: None }).collect();
    let loss = NextToken::over(sequences.iter().map(Sequence::rows).sum());
    let mut norm = 0.0;
    let update = rate(|| {
        let Ok(pass) = policy.gradient(&sequences, 1.0, 0.0, &loss, &Alone) else { return 0 };
        norm = pass.norm;
        pass.forward.flops + pass.backward.flops
    });
    let settings = Grpo::default().optimizer.adamw();
    let mut optimizer = AdamW::new(policy.parameters().layout.len);
    let step = AdamStep {
        learning_rate: 1e-4,
        settings,
        gradient_norm: norm,
        expert_loads: &[],
        bias_update_speed: 0.0,
    };
    let started = Moment::now();
    let applied = policy.apply(&mut optimizer, &step);
    let apply_cpu_s = started.elapsed().cpu_s;
    Speed {
        decode_flops_per_cpu_s: decode.unwrap_or(assumed.decode_flops_per_cpu_s),
        update_flops_per_cpu_s: update.unwrap_or(assumed.update_flops_per_cpu_s),
        apply_cpu_s,
        is_measured: decode.is_some() && update.is_some() && applied.is_ok(),
        peak_flops,
    }
}

/// Operations per second of processor time. `work` returns its operations; the first call warms up.
fn rate(mut work: impl FnMut() -> u64) -> Option<f64> {
    let first = Moment::now();
    let mut flops = work();
    let mut spent = first.elapsed();
    if spent.wall_s < MEASURE_S {
        let started = Moment::now();
        flops = 0;
        while started.elapsed().wall_s < MEASURE_S {
            flops += work();
        }
        spent = started.elapsed();
    }
    (flops > 0 && spent.cpu_s > 0.0).then(|| flops as f64 / spent.cpu_s)
}

/// Bytes per second that a copy of a large block reads and writes.
pub fn measured_bandwidth() -> f64 {
    let from = vec![1u8; 64 << 20];
    let mut to = vec![0u8; from.len()];
    let rates = (0..4).map(|_| {
        let started = Moment::now();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        2.0 * from.len() as f64 / started.elapsed().wall_s
    });
    rates.fold(0.0, f64::max)
}

/// This machine's processor with `threads` threads.
pub fn this_processor(threads: usize, prices: &Prices) -> PricedDevice {
    devices::processor(
        measured_peak(Precision::Float32) * threads as f64,
        measured_bandwidth(),
        threads,
        prices,
    )
}

/// Mean lengths of the texts of the stage's task; lengths that it cannot measure are the stage's limits.
fn lengths(plan: &Plan, stage: &Stage, taught: Option<&Shares>) -> MeanLengths {
    let room = stage.max_new_tokens as f64;
    let fallback = MeanLengths {
        prompt: stage.longest_prompt as f64,
        taught: room,
        longest: room,
        document: stage.longest_row as f64,
    };
    let Ok(dataset) = stage.task.dataset(plan.seed) else { return fallback };
    let tokens = |text: &str| plan.tokenizer.encode(text).map_or(0, |tokens| tokens.len()) as f64;
    let prompts = (0..TEXTS).filter_map(|index| dataset.question(Split::Train, index).ok());
    let prompt = mean(prompts.map(|task| tokens(&task.problem.prompt)));
    let Some(written) = taught else {
        return MeanLengths { prompt: prompt.unwrap_or(fallback.prompt), ..fallback };
    };
    let completions = |shares: corpus::CorpusShares| completion_length(plan, stage, shares, &plan.tokenizer);
    let kinds: Vec<(f64, f64)> = written
        .solutions()
        .filter(|(_, share)| *share > 0.0)
        .filter_map(|(kind, share)| {
            Some((share, completions(corpus::CorpusShares { solutions: vec![(kind, 1.0)], drill: 0.0 })?.0))
        })
        .collect();
    let total: f64 = kinds.iter().map(|(share, _)| share).sum();
    MeanLengths {
        prompt: prompt.unwrap_or(fallback.prompt),
        taught: if total > 0.0 {
            kinds.iter().map(|(share, length)| share * length.min(room)).sum::<f64>() / total
        } else {
            room
        },
        longest: kinds.iter().map(|(_, length)| length.min(room)).reduce(f64::max).unwrap_or(room),
        document: completions(written.of_corpus()).map_or(fallback.document, |(_, document)| document),
    }
}

/// Mean tokens of completions and of whole documents, with the end symbol.
fn completion_length(
    plan: &Plan,
    stage: &Stage,
    shares: corpus::CorpusShares,
    tokenizer: &Tokenizer,
) -> Option<(f64, f64)> {
    let dataset = stage.task.dataset(plan.seed).ok()?;
    let corpus =
        Corpus::new(stage.task.domain.as_ref(), dataset, shares, stage.task.level, plan.seed).ok()?;
    let tokens = |text: &str| tokenizer.encode(text).map_or(0, |tokens| tokens.len()) as f64;
    let pairs: Vec<(f64, f64)> = (0..TEXTS)
        .filter_map(|number| corpus.document(number).ok())
        .map(|document| (tokens(&document.prompt), tokens(&document.completion) + 1.0))
        .collect();
    let completion = mean(pairs.iter().map(|(_, completion)| *completion))?;
    Some((completion, mean(pairs.iter().map(|(prompt, completion)| prompt + completion))?))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Most bytes of a stage, with an error below one half: weights packed in both orders, optimizer state and the
/// gradients of the leaves; for each thread, the activations of a micro-batch with gradients and the cache of a batch
/// of completions.
fn peak_memory(plan: &Plan, stage: &Stage) -> f64 {
    const NUMBER: f64 = 4.0;
    // The program itself, its tables and its threads.
    const PROGRAM: f64 = 24e6;
    let model = &plan.model;
    let parameters = plan.footprint.parameters_total as f64;
    let (layers, threads) = (model.num_hidden_layers as f64, plan.threads as f64);
    let rows = 1024.0f64.max(stage.longest_row as f64);
    let heads = (model.num_attention_heads * (2 * model.query_dim() + 2 * model.value_dim())) as f64;
    let inside = 4.0
        * (model.num_experts_per_tok + model.n_shared_experts) as f64
        * model.moe_intermediate_size as f64;
    let inside = inside.max(4.0 * model.intermediate_size as f64);
    let activations = threads * rows * layers * (8.0 * model.hidden_size as f64 + heads + inside);
    let (prompts, samples) = stage.settings.kind().sampled_at_once();
    let (prompts, samples) = (prompts as f64, samples as f64);
    // A thread decodes half of its prompts at a time; keys are in panels of 32 columns, latents are stored twice.
    let batch = (prompts / (2.0 * threads)).ceil().max(1.0);
    let stored = match model.attention {
        Attention::Mla => 2.0,
        Attention::Gqa => 1.0,
    };
    let padded = |length: usize| length.next_multiple_of(32) as f64;
    let places = batch * (padded(stage.longest_prompt) + samples * padded(stage.max_new_tokens));
    let caches = threads * stored * places * cache_elements(model) as f64;
    // A checkpoint copies weights, optimizer state, best weights and reference, and encodes the copies.
    let kept = 1.0 + 2.5 + 2.0 + 9.0 + 8.0;
    // The allocator keeps freed memory.
    const SLACK: f64 = 1.3;
    SLACK * (PROGRAM + NUMBER * (parameters * kept + 2.0 * activations + caches))
}

/// The cost of each stage of `plan` and of all together; on `device` instead of this machine, if there is one.
pub fn estimate(plan: &Plan, speed: &Speed, device: Option<&PricedDevice>) -> Value {
    let mut taught: Option<&Shares> = None;
    let stages: Vec<Value> = plan
        .stages
        .iter()
        .map(|stage| {
            taught = stage.settings.kind().teaches().or(taught);
            let lengths = lengths(plan, stage, taught);
            let work = stage.settings.kind().work(stage, lengths, &plan.footprint);
            row(plan, stage, &work, lengths, speed, device)
        })
        .collect();
    let sum = |key: &str| stages.iter().filter_map(|stage| stage[key].as_f64()).sum::<f64>();
    let most = |key: &str| stages.iter().filter_map(|stage| stage[key].as_f64()).fold(0.0, f64::max);
    json!({
        "name": plan.name,
        "parameters_total": plan.footprint.parameters_total,
        "parameters_active": plan.footprint.parameters_active,
        "device": device.map_or(devices::CPU, |device| device.name),
        "threads": plan.threads,
        "stages": stages,
        "flops": sum("flops"),
        "tokens": sum("tokens") as u64,
        "peak_memory_bytes": most("peak_memory_bytes"),
        "cpu_s": sum("cpu_s"),
        "wall_s": sum("wall_s"),
        "cost_usd": sum("cost_usd"),
        "speed_is_measured": device.is_none() && speed.is_measured,
        "assumed": assumptions(plan, speed, device),
    })
}

fn row(
    plan: &Plan,
    stage: &Stage,
    work: &StageWork,
    lengths: MeanLengths,
    speed: &Speed,
    device: Option<&PricedDevice>,
) -> Value {
    let flops = work.decode_flops + work.update_flops;
    let cpu_s = work.decode_flops / speed.decode_flops_per_cpu_s
        + work.update_flops / speed.update_flops_per_cpu_s
        + work.updates * speed.apply_cpu_s;
    let mut row = json!({
        "name": stage.name,
        "kind": stage.settings.kind_name(),
        "flops": flops,
        "rollout_flops": work.decode_flops,
        "update_flops": work.update_flops,
        "tokens": (work.trained + work.generated) as u64,
        "tokens_trained": work.trained as u64,
        "tokens_generated": work.generated as u64,
        "expected_completion_tokens": [lengths.taught, lengths.longest],
        "peak_memory_bytes": peak_memory(plan, stage),
    });
    match device {
        None => {
            row["cpu_s"] = json!(cpu_s);
            row["wall_s"] = json!(cpu_s / plan.threads as f64);
            row["cost_usd"] = json!(cpu_s / 3600.0 * plan.prices.usd_per_core_hour);
        }
        Some(device) => {
            let wall_s = flops / (device.peak_flops * ASSUMED_MFU);
            row["wall_s"] = json!(wall_s);
            row["cost_usd"] = json!(wall_s / 3600.0 * device.price_usd_per_hour);
        }
    }
    row
}

fn assumptions(plan: &Plan, speed: &Speed, device: Option<&PricedDevice>) -> Vec<String> {
    let mut assumed = vec![
        "completions grow from the lengths in the corpus to its longest kind of solution".to_owned(),
        "every stage runs all of its steps, and no group is refilled".to_owned(),
    ];
    let rewarding = plan.stages.iter().filter_map(|stage| stage.settings.kind().rewards());
    if rewarding.into_iter().any(|rewards| rewards.may_end_early) {
        assumed.push("`early_stop` may end reinforcement learning sooner".to_owned());
    }
    match device {
        Some(device) => {
            assumed.push(format!(
                "{} at {ASSUMED_MFU} of its dense peak; a small policy reaches less",
                device.name
            ));
            assumed.extend(device.assumed.iter().map(|text| (*text).to_owned()));
        }
        None if !speed.is_measured => {
            assumed
                .push(format!("{ASSUMED_MFU} of the measured matrix peak: the policy is too large to try"));
        }
        None => {}
    }
    assumed
}
