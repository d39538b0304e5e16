//! Estimates the cost of a recipe: operations from the lengths of its tasks' texts, time from a measurement of this
//! machine.

use serde_json::{Value, json};
use thinkling_datasets::Split;
use thinkling_datasets::corpus::{self, Corpus};

use super::devices::{self, PricedDevice};
use super::memory::{misfit, peak_memory};
use crate::data::shares::Shares;
use crate::data::tokenizer::Tokenizer;
use crate::kernels::peak::measured_peak;
use crate::kernels::precision::Precision;
use crate::machine::clock::Moment;
use crate::plan::{Plan, Stage};
use crate::policy::loss::NextToken;
use crate::policy::optimizer::{AdamStep, AdamW};
use crate::policy::rollout::{Limits, Request};
use crate::policy::sampling::Sampling;
use crate::policy::{Alone, Parameters, Sequence};
use crate::stages::grpo::settings::Grpo;
use crate::stages::kind::{MeanLengths, StageWork};
use crate::tracking::ledger::Prices;

const TEXTS: u64 = 64;
/// Least seconds of each measurement of the machine.
const MEASURE_S: f64 = 0.25;
/// Networks with more parameters are not built for a measurement, nor those that would compute longer.
const MOST_PARAMETERS: u64 = 40_000_000;
const MOST_FLOPS: f64 = 1e11;
/// Share of the matrix peak that small policies reach; used if nothing is measured.
const ASSUMED_MFU: f64 = 0.2;
const MEASURED_TOKENS: usize = 32;
const MEASURED_SAMPLES: usize = 16;

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
    let prompts = 4 * rayon::current_num_threads() as u64;
    let decoded = (prompts as f64 * MEASURED_SAMPLES as f64 * MEASURED_TOKENS as f64)
        * plan.footprint.decode(2 * MEASURED_TOKENS).get();
    if plan.footprint.parameters_total > MOST_PARAMETERS || decoded > MOST_FLOPS || misfit(plan).is_some() {
        return assumed;
    }
    let Ok(mut policy) = plan.policy(Parameters::new(&plan.model, plan.seed)) else { return assumed };
    let prompt_length = (plan.model.max_position_embeddings / 4).clamp(1, MEASURED_TOKENS / 2);
    let new = (plan.model.max_position_embeddings - prompt_length).clamp(1, MEASURED_TOKENS);
    let prompt: Vec<u32> = (0..prompt_length).map(|at| (at % plan.model.vocab_size) as u32).collect();
    let requests: Vec<Request<'_>> = (0..prompts)
        .map(|number| Request { prompt: &prompt, samples: MEASURED_SAMPLES, address: [0, 0, number] })
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
