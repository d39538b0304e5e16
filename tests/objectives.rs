//! Compares the objective with losses and gradients that TRL computed in float64.

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use serde_json::Value;
use thinkling::learn::objective::{BatchSize, LossAggregation, Objective, Tokens};

use crate::golden;

/// The objective of a case; `None` if this program does not have it.
#[allow(clippy::needless_update, reason = "a setting that is added keeps its default here")]
fn objective(config: &Value) -> Option<Objective> {
    let is_plain = config["importance_sampling_level"] == "token"
        && config["delta"].is_null()
        && config["unbiased_kl"] == false
        && config["top_entropy_quantile"] == 1.0
        && config["off_policy_mask_threshold"].is_null()
        && config["rollout_correction"] == false;
    let number = |key: &str| config[key].as_f64().unwrap();
    let aggregation = match config["loss_type"].as_str().unwrap() {
        "grpo" => LossAggregation::SequenceMean,
        "bnpo" | "dapo" => LossAggregation::TokenMean,
        "dr_grpo" => LossAggregation::ConstantLength,
        _ => return None,
    };
    is_plain.then(|| Objective {
        clip_low: number("epsilon_low"),
        clip_high: number("epsilon_high"),
        kl_coefficient: number("beta"),
        aggregation,
        max_new_tokens: config["max_completion_length"].as_u64().unwrap() as usize,
        ..Objective::default()
    })
}

/// The numbers of `rows` where the mask is set, row after row.
fn masked(rows: &Value, mask: &[Vec<bool>]) -> Vec<f64> {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), mask.len());
    let row = |(row, mask): (&Value, &Vec<bool>)| -> Vec<f64> {
        let values = row.as_array().unwrap();
        assert_eq!(values.len(), mask.len());
        values.iter().zip(mask).filter(|(_, kept)| **kept).map(|(value, _)| value.as_f64().unwrap()).collect()
    };
    rows.iter().zip(mask).flat_map(row).collect()
}

/// Compares one case; the greatest difference of loss and gradient.
fn difference(case: &Value, objective: &Objective) -> f64 {
    let mask: Vec<Vec<bool>> = case["mask"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|kept| kept.as_f64().unwrap() != 0.0).collect())
        .collect();
    let lengths: Vec<usize> = mask.iter().map(|row| row.iter().filter(|kept| **kept).count()).collect();
    assert!(lengths.iter().all(|length| *length > 0), "an empty completion is none of ours");
    let batch = BatchSize { sequences: lengths.len(), tokens: lengths.iter().sum() };
    let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
    let advantages: Vec<f64> = case["advantages"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&lengths)
        .flat_map(|(advantage, length)| std::iter::repeat_n(advantage.as_f64().unwrap(), *length))
        .collect();
    let reference = (objective.kl_coefficient > 0.0).then(|| tensor(&masked(&case["ref_logps"], &mask)));
    let policy = Var::from_tensor(&tensor(&masked(&case["logps"], &mask))).unwrap();
    let tokens = Tokens {
        advantages: &tensor(&advantages),
        weights: &tensor(&objective.weights(&lengths, batch)),
        old: &tensor(&masked(&case["old_logps"], &mask)),
        reference: reference.as_ref(),
    };
    let loss = objective.loss(&policy, &tokens).unwrap();
    let gradient = loss.backward().unwrap().get(&policy).unwrap().to_vec1::<f64>().unwrap();
    let expected = masked(&case["grad_logps"], &mask);
    assert_eq!(gradient.len(), expected.len());
    let of_gradient = gradient.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
    of_gradient.fold((loss.to_scalar::<f64>().unwrap() - case["loss"].as_f64().unwrap()).abs(), f64::max)
}

/// Compares every case of the file that applies here; counts those and the others.
fn compare(path: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut counts = (0, 0);
    for (number, case) in file["cases"].as_array().unwrap().iter().enumerate() {
        let Some(objective) = objective(&case["config"]) else {
            counts.1 += 1;
            continue;
        };
        let difference = difference(case, &objective);
        assert!(difference < 1e-9, "case {number}: differs by {difference:e}: {}", case["config"]);
        counts.0 += 1;
    }
    counts
}

#[test]
fn losses_and_gradients_are_those_of_trl() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/objectives.json");
    assert_eq!(compare(&path), (16, 0));
}

#[test]
fn losses_and_gradients_are_those_of_the_golden_cases() {
    let (supported, unsupported) = compare(&golden::path("objectives.json"));
    assert!(
        supported >= 16,
        "{supported} cases compared, {unsupported} are of objectives that this program has not"
    );
}
