//! Comparison of the kernels' policy with candle's, for every setting.

use crate::kernels::precision::Precision;
use candle_core::{DType, Device, Tensor};
use thinkling_datasets::seed::Stream;

use super::candle::Network;
use super::cpu::decoder::{DecodeRow, Decoder};
use super::cpu::{Tape, Transformer};
use super::loss::NextToken;
use super::optimizer::{AdamStep, AdamW, AdamWSettings};
use super::rollout::{Limits, Request, Rollout};
use super::sampling::Sampling;
use super::{
    Alone, Attention, CandlePolicy, Config, CpuPolicy, Parameters, Pass, Policy, Scores, Sequence, Snapshot,
};

/// A small policy with latent attention and experts.
pub(crate) fn small() -> Config {
    Config {
        vocab_size: 23,
        hidden_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        attention: Attention::Mla,
        num_key_value_heads: 2,
        head_dim: 6,
        q_lora_rank: Some(10),
        kv_lora_rank: 12,
        qk_nope_head_dim: 6,
        qk_rope_head_dim: 4,
        v_head_dim: 5,
        intermediate_size: 40,
        n_routed_experts: 5,
        n_shared_experts: 1,
        num_experts_per_tok: 2,
        moe_intermediate_size: 17,
        first_k_dense_replace: 1,
        norm_topk_prob: true,
        routed_scaling_factor: 1.3,
        aux_loss_alpha: 0.0,
        rms_norm_eps: 1e-6,
        rope_theta: 1000.0,
        tie_word_embeddings: false,
        learned_positions: true,
        max_position_embeddings: 90,
        initializer_range: 0.2,
    }
}

/// Every setting that changes the forward, by name.
pub(crate) fn settings() -> Vec<(&'static str, Config)> {
    let base = small();
    vec![
        ("latent attention and experts", base.clone()),
        ("full query", Config { q_lora_rank: None, ..base.clone() }),
        ("grouped attention", Config { attention: Attention::Gqa, ..base.clone() }),
        ("one key head", Config { attention: Attention::Gqa, num_key_value_heads: 1, ..base.clone() }),
        ("dense", Config { n_routed_experts: 0, ..base.clone() }),
        ("experts from the first layer", Config { first_k_dense_replace: 0, ..base.clone() }),
        ("no shared expert", Config { n_shared_experts: 0, ..base.clone() }),
        ("two shared experts", Config { n_shared_experts: 2, ..base.clone() }),
        ("one expert a token", Config { num_experts_per_tok: 1, norm_topk_prob: false, ..base.clone() }),
        ("gates as they are", Config { norm_topk_prob: false, ..base.clone() }),
        ("tied head", Config { tie_word_embeddings: true, ..base.clone() }),
        ("rotary positions only", Config { learned_positions: false, ..base }),
    ]
}

pub(crate) fn cpu_policy(config: &Config, seed: u64) -> CpuPolicy {
    CpuPolicy::new(config.clone(), policy(config, seed).parameters, Precision::Float32)
}

/// A policy with norms other than 1 and with load biases.
pub(crate) fn policy(config: &Config, seed: u64) -> Transformer {
    let mut parameters = Parameters::new(config, seed);
    let mut stream = Stream::at("test policy", seed, &[]);
    for slot in parameters.layout.slots.clone() {
        // Norms of 1 would hide a missing factor.
        if slot.shape.len() == 1 {
            parameters.values[slot.range].fill_with(|| (1.0 + 0.3 * stream.normal()) as f32);
        }
    }
    for bias in parameters.expert_biases.iter_mut().flatten() {
        *bias = (0.02 * stream.normal()) as f32;
    }
    Transformer::with_precision(config.clone(), parameters, Precision::Float32)
}

/// The lower precisions of this machine. Names the missing ones on standard error.
fn rounded_precisions() -> Vec<(Precision, f32)> {
    let mut found = Vec::new();
    for (precision, tolerance) in [(Precision::Bf16x3, 1e-3), (Precision::Bf16, 0.1)] {
        match precision.available() {
            Ok(precision) => found.push((precision, tolerance)),
            #[allow(clippy::print_stderr, reason = "a test that does not run says so")]
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
    found
}

fn in_precision(policy: &Transformer, precision: Precision) -> Transformer {
    Transformer::with_precision(policy.config.clone(), policy.parameters.clone(), precision)
}

#[test]
fn lower_precisions_are_near_float32_in_value_and_gradient() {
    for (precision, tolerance) in rounded_precisions() {
        for (name, config) in settings() {
            let exact = policy(&config, 4);
            let rounded = in_precision(&exact, precision);
            let tokens = random_tokens(&[40, 23], config.vocab_size);
            let mut routes = Vec::new();
            let mut run = |policy: &Transformer| {
                // The same experts in both: another choice is no error of the products.
                let recorded: Vec<Option<Vec<u16>>> = if routes.is_empty() {
                    vec![None; 2]
                } else {
                    routes.iter().cloned().map(Some).collect()
                };
                let batch: Vec<Sequence<'_>> = tokens
                    .iter()
                    .zip(&recorded)
                    .map(|(tokens, routes)| Sequence { tokens, first_target: 1, routes: routes.as_deref() })
                    .collect();
                let mut tape = Tape::default();
                policy.forward(&batch, 1.0, &mut tape);
                if routes.is_empty() {
                    let chosen = config.num_experts_per_tok;
                    let layers: Vec<Vec<u16>> = tape.choices().map(<[u16]>::to_vec).collect();
                    let mut start = 0;
                    for sequence in &batch {
                        let rows = start..start + sequence.rows();
                        start = rows.end;
                        let of = |row: usize| {
                            layers.iter().flat_map(move |all| all[row * chosen..][..chosen].to_vec())
                        };
                        routes.push(rows.flat_map(of).collect::<Vec<u16>>());
                    }
                }
                let mut gradient = vec![0.0; policy.parameters.layout.len];
                let weights: Vec<f32> = (0..61).map(|at| 0.02 * (at % 5) as f32 - 0.03).collect();
                policy.backward(&weights, 0.0, &mut tape, &mut gradient);
                (tape.log_probabilities.clone(), gradient)
            };
            let (values, gradient) = run(&exact);
            let (near, near_gradient) = run(&rounded);
            close(&near, &values, tolerance, name);
            let size = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let difference: Vec<f32> = near_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            let share = size(&difference) / size(&gradient);
            assert!(share < tolerance, "{name} {precision:?}: the gradient differs by {share}");
            assert!(share > 0.0, "{name} {precision:?}: nothing was rounded");
        }
    }
}

#[test]
fn the_decoder_agrees_with_the_training_forward_as_far_as_the_precision_allows() {
    for (precision, tolerance) in rounded_precisions() {
        for (name, config) in settings() {
            let policy = in_precision(&policy(&config, 4), precision);
            let tokens = &random_tokens(&[60], config.vocab_size)[0];
            let (prompt, completion) = tokens.split_at(13);
            let (alone, routes) = decoded(&policy, prompt, completion, 0);
            let (in_company, _) = decoded(&policy, prompt, completion, 9);
            assert_eq!(alone, in_company, "{name}");
            let mut tape = Tape::default();
            let routes = (!routes.is_empty()).then_some(&routes[..]);
            policy.forward(&[Sequence { tokens, first_target: 13, routes }], 1.0, &mut tape);
            close(&alone, &tape.log_probabilities, tolerance, name);
        }
    }
}

pub(crate) fn random_tokens(lengths: &[usize], vocabulary: usize) -> Vec<Vec<u32>> {
    let mut stream = Stream::at("test tokens", 0, &[]);
    lengths.iter().map(|length| (0..*length).map(|_| stream.index(vocabulary) as u32).collect()).collect()
}

fn close(ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}[{at}]: {a} against {b}");
    }
}

#[test]
fn values_and_gradients_agree_with_candle_for_every_setting() {
    for (name, config) in settings() {
        let policy = policy(&config, 1);
        let network = Network::new(&config, &policy.parameters, DType::F64, &Device::Cpu).unwrap();
        let tokens = random_tokens(&[7, 70, 2, 33], config.vocab_size);
        let batch: Vec<Sequence<'_>> = tokens
            .iter()
            .zip([3, 1, 1, 20])
            .map(|(tokens, first_target)| Sequence { tokens, first_target, routes: None })
            .collect();
        let mut tape = Tape::default();
        policy.forward(&batch, 0.8, &mut tape);
        let expected = network.log_probabilities(&batch, 0.8).unwrap();
        let values = expected.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
        close(&tape.log_probabilities, &values, 2e-5, &format!("{name}: log-probabilities"));

        let mut stream = Stream::at("test gradient", 0, &[]);
        let weights: Vec<f32> = values.iter().map(|_| stream.normal() as f32).collect();
        let mut gradient = vec![0.0; policy.parameters.layout.len];
        policy.backward(&weights, 0.0, &mut tape, &mut gradient);
        let weights = Tensor::new(weights, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        let loss = (expected * weights).unwrap().sum_all().unwrap();
        let theirs = network.gradient(&loss.backward().unwrap(), false).unwrap();
        for slot in &policy.parameters.layout.slots {
            let (ours, theirs) = (&gradient[slot.range.clone()], &theirs[slot.range.clone()]);
            let size = theirs.iter().fold(0.0f32, |top, value| top.max(value.abs()));
            assert!(size > 0.0 && size.is_finite(), "{name}: {} has no gradient", slot.name);
            for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
                assert!((a - b).abs() < 3e-5 * size.max(1.0), "{name}: {}[{at}]: {a} against {b}", slot.name);
            }
        }
    }
}

#[test]
fn a_sequence_does_not_depend_on_the_batch_around_it() {
    let config = small();
    let policy = policy(&config, 2);
    let tokens = random_tokens(&[9, 40, 17], config.vocab_size);
    let batch: Vec<Sequence<'_>> =
        tokens.iter().map(|tokens| Sequence { tokens, first_target: 4, routes: None }).collect();
    let (mut together, mut alone) = (Tape::default(), Tape::default());
    policy.forward(&batch, 1.0, &mut together);
    let mut values = Vec::new();
    for sequence in &batch {
        policy.forward(std::slice::from_ref(sequence), 1.0, &mut alone);
        values.extend_from_slice(&alone.log_probabilities);
    }
    assert_eq!(together.log_probabilities, values);
}

#[test]
fn recorded_routes_are_taken_again_and_still_teach_the_router() {
    let config = small();
    let policy = policy(&config, 3);
    let tokens = random_tokens(&[12], config.vocab_size);
    let (chosen, layers) = (config.num_experts_per_tok, config.sparse_layers().count());
    let routes: Vec<u16> = (0..11 * layers).flat_map(|at| [(at % 5) as u16, ((at + 2) % 5) as u16]).collect();
    let batch = [Sequence { tokens: &tokens[0], first_target: 2, routes: Some(&routes) }];
    let mut tape = Tape::default();
    policy.forward(&batch, 1.0, &mut tape);
    for (layer, choices) in tape.choices().enumerate() {
        for (row, choices) in choices.chunks_exact(chosen).enumerate() {
            let at = (row * layers + layer) * chosen;
            assert_eq!(choices, &routes[at..at + chosen]);
        }
    }
    let network = Network::new(&config, &policy.parameters, DType::F64, &Device::Cpu).unwrap();
    let expected = network.log_probabilities(&batch, 1.0).unwrap().to_dtype(DType::F32).unwrap();
    close(&tape.log_probabilities, &expected.to_vec1::<f32>().unwrap(), 2e-5, "log-probabilities");
    let mut gradient = vec![0.0; policy.parameters.layout.len];
    policy.backward(&[1.0; 10], 0.0, &mut tape, &mut gradient);
    let router =
        policy.parameters.layout.slots.iter().find(|slot| slot.name.ends_with("mlp.gate.weight")).unwrap();
    assert!(gradient[router.range.clone()].iter().any(|value| *value != 0.0));
}

/// Log-probabilities of `completion` after `prompt`, one token at a time.
fn decoded(policy: &Transformer, prompt: &[u32], completion: &[u32], others: usize) -> (Vec<f32>, Vec<u16>) {
    let vocabulary = policy.config.vocab_size;
    let log_probability = |logits: &[f32], token: u32| {
        let top = logits.iter().fold(f32::NEG_INFINITY, |top, value| top.max(*value));
        logits[token as usize] - top - logits.iter().map(|value| (value - top).exp()).sum::<f32>().ln()
    };
    let mut decoder = Decoder::new(policy, completion.len());
    let group = decoder.add_group(prompt.len());
    let samples: Vec<usize> = (0..=others).map(|_| decoder.add_sample()).collect();
    let rows_of = |prompt: &[u32], group: usize| -> Vec<DecodeRow> {
        let tokens = prompt.iter().enumerate();
        tokens.map(|(position, token)| DecodeRow { token: *token, position, group, sample: None }).collect()
    };
    let logits = decoder.step(&rows_of(prompt, group), &[prompt.len() - 1]);
    let mut values = vec![log_probability(logits, completion[0])];
    let other_prompt = vec![1; prompt.len() + 40];
    let other = (others > 0).then(|| (decoder.add_group(other_prompt.len()), decoder.add_sample()));
    let mut routes: Vec<u16> = (0..prompt.len()).flat_map(|row| decoder.routes(row).to_vec()).collect();
    if let Some((group, _)) = other {
        decoder.step(&rows_of(&other_prompt, group), &[0]);
    }
    for at in 0..completion.len() - 1 {
        // Other samples must not change the result.
        let mut rows: Vec<DecodeRow> = (0..=others)
            .map(|sample| DecodeRow {
                token: (completion[at] as usize + sample) as u32 % vocabulary as u32,
                position: prompt.len() + at,
                group,
                sample: Some(samples[sample]),
            })
            .collect();
        // Sometimes with a longer sample.
        if let (Some((group, sample)), 0) = (other, at % 2) {
            let position = other_prompt.len() + at / 2;
            rows.push(DecodeRow { token: 1, position, group, sample: Some(sample) });
        }
        let logits = decoder.step(&rows, &[0]);
        values.push(log_probability(logits, completion[at + 1]));
        routes.extend_from_slice(decoder.routes(0));
    }
    (values, routes)
}

#[test]
fn the_decoder_agrees_with_the_training_forward_for_every_setting() {
    for (name, config) in settings() {
        let policy = policy(&config, 4);
        let tokens = &random_tokens(&[60], config.vocab_size)[0];
        let (prompt, completion) = tokens.split_at(13);
        let (alone, routes) = decoded(&policy, prompt, completion, 0);
        let (in_company, _) = decoded(&policy, prompt, completion, 9);
        assert_eq!(alone, in_company, "{name}");
        let mut tape = Tape::default();
        policy.forward(&[Sequence { tokens, first_target: 13, routes: None }], 1.0, &mut tape);
        close(&alone, &tape.log_probabilities, 2e-5, name);
        let sparse = config.sparse_layers().count();
        for (layer, choices) in tape.choices().enumerate() {
            for (row, choices) in choices.chunks_exact(config.num_experts_per_tok).enumerate() {
                let at = (row * sparse + layer) * config.num_experts_per_tok;
                assert_eq!(
                    choices,
                    &routes[at..at + config.num_experts_per_tok],
                    "{name}: routes of row {row}"
                );
            }
        }
    }
}

/// The contract of [`Policy`]: both policies agree, for every setting.
#[test]
fn every_policy_keeps_the_contract() {
    for (name, config) in settings() {
        let parameters = policy(&config, 6).parameters;
        let mut policies: Vec<Box<dyn Policy>> = vec![
            Box::new(CpuPolicy::new(config.clone(), parameters.clone(), Precision::Float32)),
            Box::new(CandlePolicy::new(&config, parameters, Device::Cpu).unwrap()),
        ];
        let prompts = random_tokens(&[5, 9, 2], config.vocab_size);
        let requests: Vec<Request<'_>> = (0..)
            .zip(&prompts)
            .map(|(number, prompt)| Request { prompt, samples: 4, address: [1, 2, number] })
            .collect();
        let limits = Limits { max_new_tokens: 12, end: 0, thinking: None };
        let sampling = Sampling { temperature: 0.9, ..Sampling::PLAIN };
        let rollouts: Vec<Rollout> = policies
            .iter()
            .map(|policy| policy.roll_out(&requests, &sampling, &limits, 5).unwrap())
            .collect();
        let drawn = |rollout: &Rollout| -> Vec<Vec<u32>> {
            rollout.completions.iter().flatten().map(|one| one.tokens.clone()).collect()
        };
        assert_eq!(drawn(&rollouts[0]), drawn(&rollouts[1]), "{name}: the same draws at the same addresses");
        for (ours, theirs) in
            rollouts[0].completions.iter().flatten().zip(rollouts[1].completions.iter().flatten())
        {
            close(&ours.log_probabilities, &theirs.log_probabilities, 1e-4, name);
            close(&ours.entropies, &theirs.entropies, 1e-4, name);
            assert_eq!((&ours.routes, ours.is_finished), (&theirs.routes, theirs.is_finished), "{name}");
        }
        let rows: Vec<(Vec<u32>, usize, Vec<u16>)> = requests
            .iter()
            .zip(&rollouts[0].completions)
            .flat_map(|(request, group)| group.iter().map(move |one| (request.prompt, one)))
            .map(|(prompt, one)| ([prompt, &one.tokens[..]].concat(), prompt.len(), one.routes.clone()))
            .collect();
        let sequences: Vec<Sequence<'_>> = rows
            .iter()
            .map(|(tokens, prompt, routes)| Sequence { tokens, first_target: *prompt, routes: Some(routes) })
            .collect();
        let scores: Vec<Scores> =
            policies.iter_mut().map(|policy| policy.scores(&sequences, 0.9).unwrap()).collect();
        for ((ours, theirs), drawn) in scores[0]
            .log_probabilities
            .iter()
            .zip(&scores[1].log_probabilities)
            .zip(rollouts[0].completions.iter().flatten())
        {
            close(ours, theirs, 1e-4, name);
            close(ours, &drawn.log_probabilities, 1e-4, name);
        }
        assert_eq!(scores[0].expert_loads, scores[1].expert_loads, "{name}");
        let tokens = sequences.iter().map(|sequence| sequence.targets().len()).sum();
        let passes: Vec<Pass> = policies
            .iter_mut()
            .map(|policy| policy.gradient(&sequences, 0.9, 0.05, &NextToken::over(tokens), &Alone).unwrap())
            .collect();
        assert!((passes[0].measured.loss - passes[1].measured.loss).abs() < 1e-4, "{name}");
        assert_eq!(passes[0].expert_loads, passes[1].expert_loads, "{name}");
        close(policies[0].last_gradient(), policies[1].last_gradient(), 1e-3, name);
        assert!(policies[0].last_gradient().iter().any(|value| value.abs() > 1e-3), "{name}");
        let kept = Snapshot::of(policies[0].parameters());
        for (policy, pass) in policies.iter_mut().zip(&passes) {
            let step = AdamStep {
                learning_rate: 1e-2,
                settings: ADAMW,
                gradient_norm: pass.norm,
                expert_loads: &pass.expert_loads,
                bias_update_speed: 0.01,
            };
            policy.apply(&mut AdamW::new(policy.parameters().layout.len), &step).unwrap();
            let after = policy.scores(&sequences, 0.9).unwrap();
            assert_ne!(after.log_probabilities, scores[0].log_probabilities, "{name}: weights have moved");
            let mut before = policy.with_weights(&kept).unwrap();
            let before = before.scores(&sequences, 0.9).unwrap();
            close(&before.log_probabilities.concat(), &scores[0].log_probabilities.concat(), 1e-4, name);
        }
        assert_eq!(policies[0].parameters().expert_biases, policies[1].parameters().expert_biases, "{name}");
    }
}

pub(super) const ADAMW: AdamWSettings =
    AdamWSettings { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1, max_grad_norm: 1.0 };
