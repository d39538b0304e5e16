use serde_json::{Value, json};

use super::devices::{accelerator, accelerators};
use super::planner::{Workload, plan};
use super::presets::{PRESETS, preset};
use super::shape::from_huggingface;
use crate::policy::Config;
use crate::policy::footprint::{cache_elements, footprint};

fn published(name: &str) -> Value {
    preset(name).unwrap().costs(&accelerator("h800").unwrap(), None)
}

#[track_caller]
fn near(value: &Value, expected: f64, tolerance: f64) {
    let value = value.as_f64().unwrap();
    assert!((value / expected - 1.0).abs() <= tolerance, "{value} is not {expected}");
}

#[test]
fn published_tables_come_out_to_the_dollar() {
    let v3 = published("deepseek-v3");
    assert_eq!(
        v3["device_hours"],
        json!({ "pre_training": 2_664_000.0, "context_extension": 119_000.0, "post_training": 5000.0 })
    );
    assert_eq!(
        (&v3["device_hours_total"], &v3["cost_usd_total"]),
        (&json!(2_788_000.0), &json!(5_576_000.0))
    );
    near(&v3["parameters_total"], 671.03e9, 1e-4);
    near(&v3["parameters_active"], 36.63e9, 1e-3);
    near(&v3["flops_per_trained_token"], 250.46e9, 1e-3);
    near(&v3["mfu"], 0.3906, 1e-3);
    near(&v3["tokens_per_device_s"], 1543.0, 1e-3);
    near(&v3["energy_kwh_at_most"], 1951.6e3, 1e-3);
    let r1 = published("deepseek-r1");
    assert_eq!(r1["device_hours"], json!({ "r1_zero": 101_000.0, "sft_data": 5000.0, "r1": 41_000.0 }));
    assert_eq!(r1["cost_usd"], json!({ "r1_zero": 202_000.0, "sft_data": 10_000.0, "r1": 82_000.0 }));
    assert_eq!((&r1["device_hours_total"], &r1["cost_usd_total"]), (&json!(147_000.0), &json!(294_000.0)));
    near(&r1["energy_kwh_at_most"], 102.9e3, 1e-6);
    assert!(r1.get("mfu").is_none(), "nobody says how many tokens it took");
    assert_eq!(published("deepseek-r1-zero")["cost_usd_total"], 202_000.0);
    for preset in &PRESETS {
        let costs = published(preset.name);
        assert!(
            !costs["leaves_out"].as_array().unwrap().is_empty()
                && !costs["sources"].as_array().unwrap().is_empty()
        );
    }
}

#[test]
fn what_latent_attention_saves_is_as_published() {
    let saves = &published("deepseek-v3")["saves"];
    assert_eq!(saves["cache_elements_per_token"], 35_136);
    assert_eq!(saves["cache_bytes_per_token"], 70_272.0);
    assert_eq!(saves["cache_elements_per_token_mha"], 1_998_848);
    assert_eq!(saves["cache_elements_per_token_gqa8"], 124_928);
    near(&saves["cache_saved_against_mha"], 0.98242, 1e-5);
    near(&saves["cache_saved_against_gqa8"], 0.71875, 1e-5);
}

#[test]
fn unknown_names_get_the_known_ones_and_the_nearest() {
    let error = preset("deepseek-r2").err().unwrap().to_string();
    assert!(error.contains("did you mean") && error.contains("deepseek-v3"), "{error}");
    let error = accelerator("H10").unwrap_err().to_string();
    assert!(error.contains("did you mean `h100`") && error.contains("ascend-910b"), "{error}");
    assert!(!accelerator("zzz").unwrap_err().to_string().contains("mean"));
    assert_eq!(accelerator("Ascend_910B").unwrap().name, "ascend-910b");
}

#[test]
fn every_device_says_where_its_figures_are_from() {
    for device in accelerators() {
        assert!(device.peak_flops > 1e14 && device.bandwidth_bytes_per_s > 1e12, "{}", device.name);
        assert!(!device.sources.is_empty() && device.watts.is_some(), "{}", device.name);
    }
}

fn job() -> Workload {
    Workload {
        count: 2048.0,
        trained_tokens: 14.8e12,
        generated_tokens: 1e12,
        context: 4096,
        update_tokens: 4e6,
        sequences: 32.0,
        efficiency: 0.39,
    }
}

#[test]
fn the_planner_finds_the_published_hours_and_the_bounds() {
    let h800 = accelerator("h800").unwrap();
    let planned = plan(&Config::deepseek_v3(), &h800, &job());
    near(&planned["update"]["device_hours"], 2.664e6, 0.01);
    near(&planned["update"]["hours"], 54.2 * 24.0, 0.01);
    assert_eq!((&planned["update"]["bound"], &planned["fits"]), (&json!("compute"), &json!(true)));
    // Few sequences make a decoder wait for weights; one device is too small for the model.
    let alone = plan(&Config::deepseek_v3(), &h800, &Workload { count: 1.0, sequences: 1.0, ..job() });
    assert_eq!((&alone["rollout"]["bound"], &alone["fits"]), (&json!("memory"), &json!(false)));
    let total = |planned: &Value| planned["device_hours_total"].as_f64().unwrap();
    let parts = planned["update"]["device_hours"].as_f64().unwrap()
        + planned["rollout"]["device_hours"].as_f64().unwrap();
    assert!((total(&planned) - parts).abs() < 1e-6 * parts);
    near(&planned["cost_usd_total"], 2.0 * total(&planned), 1e-9);
    near(&planned["energy_kwh"], 0.7 * total(&planned), 1e-9);
    // The same job takes longer on slower devices.
    assert!(total(&plan(&Config::deepseek_v3(), &accelerator("h20").unwrap(), &job())) > total(&planned));
}

#[test]
fn a_hugging_face_shape_is_counted() {
    let config = json!({
        "model_type": "qwen3_moe", "vocab_size": 151_936, "hidden_size": 2048, "num_hidden_layers": 48,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "tie_word_embeddings": false,
    });
    let shape = from_huggingface(&config).unwrap();
    // Qwen3-30B-A3B: 30.5 B in all, 3.3 B active with both embeddings.
    near(&json!(footprint(&shape).parameters_total), 30.5e9, 0.01);
    near(&json!(footprint(&shape).parameters_active + 151_936 * 2048), 3.3e9, 0.02);
    assert_eq!(cache_elements(&shape), 2 * 4 * 128 * 48);
    let mut other = config.clone();
    other["model_type"] = json!("mamba");
    assert!(from_huggingface(&other).unwrap_err().to_string().contains("mamba"));
    other["model_type"] = json!("llama");
    other["hidden_size"] = json!(null);
    assert!(from_huggingface(&other).unwrap_err().to_string().contains("hidden_size"));
}
