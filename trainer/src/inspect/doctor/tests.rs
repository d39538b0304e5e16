//! Ten planted mistakes, each of which the doctor must name. Mistakes on the command line are in tests/doctor.rs.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use thinkling_datasets::domains::{self, SettingsError};
use thinkling_datasets::seed::Stream;
use thinkling_datasets::{Domain, Problem, Solution, SolutionKind, Split};
use thinkling_verifiers::{Item, Verdict};

use super::*;
use crate::data::tokenizer::Tokenizer;
use crate::kernels::precision::Precision;
use crate::plan::{self, Task};
use crate::policy::{Config, CpuPolicy, Parameters};

const QUICKSTART: &str = include_str!("../../../../recipes/quickstart.toml");
const ADDITION: &str = include_str!("../../../../recipes/addition.toml");
const SMOKE: &str = include_str!("../../../../recipes/smoke.toml");

fn plan(text: &str, overrides: &[&str]) -> Plan {
    let overrides: Vec<String> = overrides.iter().map(|one| (*one).to_owned()).collect();
    plan::from_text("test.toml", text, &overrides).unwrap()
}

fn errors(plan: &Plan, base: Option<&Base>) -> Vec<(&'static str, String)> {
    let findings = examine(plan, base).unwrap();
    for finding in &findings {
        let needs_change = finding.severity != Severity::Ok;
        assert_eq!(finding.change.is_some(), needs_change, "{finding:?}");
        assert!(finding.seen.chars().any(|letter| letter.is_ascii_digit()) || needs_change, "{finding:?}");
    }
    let errors = findings.into_iter().filter(Finding::is_error);
    errors.map(|finding| (finding.name, finding.stage.unwrap_or_default())).collect()
}

fn error(name: &'static str, stage: &str) -> Vec<(&'static str, String)> {
    vec![(name, stage.to_owned())]
}

fn with_domain(mut plan: Plan, domain: Arc<dyn Domain>) -> Plan {
    for stage in &mut plan.stages {
        let task = Arc::new(Task { domain: domain.clone(), ..stage.task.as_ref().clone() });
        stage.task = task.clone();
        stage.measured = vec![task];
    }
    plan
}

struct Spoilt {
    parity: Box<dyn Domain>,
    refuses: bool,
    /// Chooses the split at random, so that a question may be in both.
    leaks: bool,
}

impl Spoilt {
    fn parity(refuses: bool, leaks: bool) -> Arc<dyn Domain> {
        let build: fn(&Value) -> Result<Box<dyn Domain>, SettingsError> =
            domains::find("parity").unwrap().build;
        Arc::new(Self { parity: build(&Value::Null).unwrap(), refuses, leaks })
    }
}

impl Domain for Spoilt {
    fn levels(&self) -> RangeInclusive<u32> {
        self.parity.levels()
    }

    fn pose(&self, stream: &mut Stream, level: u32) -> Problem {
        if !self.leaks {
            return self.parity.pose(stream, level);
        }
        // One question in four is one of few that both splits contain.
        let known = stream.below(4) == 0;
        let number = stream.below(8);
        let mut posed = match known {
            true => self.parity.pose(&mut Stream::at("leak", 0, &[number]), level),
            false => self.parity.pose(stream, level),
        };
        posed.spec["split"] = match known {
            true => json!(stream.below(2)),
            false => json!(u8::from(Split::of(&posed.prompt) == Split::Test)),
        };
        posed
    }

    fn split(&self, problem: &Problem) -> Split {
        match problem.spec["split"].as_u64() {
            Some(1) => Split::Test,
            Some(_) => Split::Train,
            None => Split::of(&problem.prompt),
        }
    }

    fn judge(&self, item: &Item<'_>) -> Verdict {
        if self.refuses { Verdict::wrong("0", "it is never right") } else { self.parity.judge(item) }
    }

    fn solve(&self, problem: &Problem, kind: SolutionKind, stream: &mut Stream) -> Option<Solution> {
        self.parity.solve(problem, kind, stream)
    }

    fn alphabet(&self) -> Vec<String> {
        self.parity.alphabet()
    }
}

fn fresh(config: &Config, tokenizer: &Tokenizer) -> Base {
    let policy = CpuPolicy::new(config.clone(), Parameters::new(config, 1), Precision::Float32);
    Base {
        folder: PathBuf::new(),
        policy: Box::new(policy),
        tokenizer: tokenizer.clone(),
        problems: Vec::new(),
    }
}

#[test]
fn sound_recipes_have_no_errors() {
    for (name, text) in [("quickstart", QUICKSTART), ("addition", ADDITION), ("smoke", SMOKE)] {
        let findings = examine(&plan(text, &[]), None).unwrap();
        let told: Vec<&Finding> =
            findings.iter().filter(|finding| finding.severity != Severity::Ok).collect();
        if name == "smoke" {
            assert!(told.iter().all(|finding| !finding.is_error()), "{told:?}");
        } else {
            assert_eq!(told, [] as [&Finding; 0], "{name}");
        }
        for check in ["group", "learning_rate", "answer_format", "gold", "truncation", "flat_rewards"] {
            assert!(findings.iter().any(|finding| finding.name == check), "{name}: {check}");
        }
        for check in ["readiness", "duplicates", "gradient", "experts", "batch", "end_token"] {
            assert!(findings.iter().any(|finding| finding.name == check), "{name}: {check}");
        }
    }
}

#[test]
fn a_truncating_limit_is_found() {
    let found = errors(&plan(QUICKSTART, &["stage.grpo.max_new_tokens=20"]), None);
    assert_eq!(found, error("truncation", "grpo"));
    // The same holds for the limits of the other shipped task, up to the last token needed.
    for (limit, is_enough) in [(30, false), (54, false), (62, true)] {
        let found = errors(&plan(ADDITION, &[&format!("stage.grpo.max_new_tokens={limit}")]), None);
        assert_eq!(found.is_empty(), is_enough, "{limit}: {found:?}");
    }
}

#[test]
fn an_answer_format_that_cannot_be_reached_is_found() {
    // Tags, answer and end symbol are six tokens.
    for limit in [1, 4, 5] {
        let found = errors(&plan(QUICKSTART, &[&format!("stage.grpo.max_new_tokens={limit}")]), None);
        assert_eq!(found, error("answer_format", "grpo"), "{limit}");
    }
    // A base model with another alphabet.
    let addition = plan(ADDITION, &[]);
    let parity = plan(QUICKSTART, &[]);
    let base = fresh(&parity.model, &parity.tokenizer);
    assert_eq!(errors(&addition, Some(&base)), error("answer_format", "grpo"));
    let told = examine(&addition, Some(&base)).unwrap();
    let another = told.iter().find(|finding| finding.name == "base").unwrap();
    assert!(another.seen.contains("num_hidden_layers is 2 and 3 in the recipe"), "{another:?}");
    assert_eq!(another.severity, Severity::Warning);
}

#[test]
fn a_verifier_that_refuses_gold_is_found() {
    let plan = with_domain(plan(QUICKSTART, &[]), Spoilt::parity(true, false));
    assert_eq!(errors(&plan, None), error("gold", "grpo"));
}

#[test]
fn flat_rewards_are_found() {
    let form = "stage.grpo.rewards=[{ term = \"format\", weight = 1.0 }]";
    assert_eq!(errors(&plan(QUICKSTART, &[form]), None), error("flat_rewards", "grpo"));
    // The deviation is so small that the epsilon hides it.
    let small = "stage.grpo.rewards=[{ term = \"correct\", weight = 1e-5 }]";
    assert_eq!(errors(&plan(QUICKSTART, &[small]), None), error("flat_rewards", "grpo"));
    // Sums of five digits are never guessed: nearly every group is all wrong.
    let rare = ["stage.pretrain.shares={ direct = 0.999, long = 0.001 }", "stage.pretrain.steps=20000"];
    assert_eq!(errors(&plan(ADDITION, &rare), None), error("flat_rewards", "grpo"));
}

#[test]
fn a_learning_rate_a_hundred_times_too_high_is_found_and_so_is_one_that_degrades() {
    for (rate, stage) in [
        ("stage.grpo.learning_rate=0.03", "grpo"),
        ("stage.grpo.learning_rate=0.001", "grpo"),
        ("stage.pretrain.learning_rate=0.3", "pretrain"),
    ] {
        assert_eq!(errors(&plan(QUICKSTART, &[rate]), None), error("learning_rate", stage), "{rate}");
    }
    // A rate that works at one width works at another.
    for (width, rate) in [(16, 6e-4), (256, 1.5e-4)] {
        let overrides = [format!("model.hidden_size={width}"), format!("stage.grpo.learning_rate={rate}")];
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        assert_eq!(errors(&plan(QUICKSTART, &overrides), None), []);
    }
}

#[test]
fn a_base_model_that_is_not_ready_is_found() {
    let few = plan(QUICKSTART, &["stage.pretrain.steps=20"]);
    assert_eq!(errors(&few, None), error("readiness", "grpo"));
    let never = plan(QUICKSTART, &["stage.pretrain.shares={ direct = 1.0 }"]);
    assert_eq!(errors(&never, None), error("readiness", "grpo"));
    let mut without = plan(QUICKSTART, &[]);
    without.stages.remove(0);
    assert_eq!(errors(&without, None), error("readiness", "grpo"));
    // The base model is sampled if it exists. With small weights, a random one is right by chance at most.
    let sound = plan(QUICKSTART, &["model.initializer_range=0.05"]);
    let base = fresh(&sound.model, &sound.tokenizer);
    assert_eq!(errors(&sound, Some(&base)), error("readiness", "grpo"));
}

#[test]
fn a_base_model_that_never_ends_is_found() {
    let plan = plan(QUICKSTART, &[]);
    let mut base = fresh(&plan.model, &plan.tokenizer);
    // Two other tokens alternate: in every state one of them is far likelier than the end.
    let width = plan.model.hidden_size;
    let change = &mut |parameters: &mut Parameters| {
        let head = parameters.layout.head.clone();
        let head = &mut parameters.values[head];
        head.fill(0.0);
        head[6 * width..7 * width].fill(100.0);
        head[7 * width..8 * width].fill(-100.0);
    };
    base.policy.change(change).unwrap();
    assert_eq!(errors(&plan, Some(&base)).first().cloned(), Some(("end_token", "grpo".to_owned())));
}

#[test]
fn training_questions_in_the_test_are_found() {
    let leaking = with_domain(plan(QUICKSTART, &[]), Spoilt::parity(false, true));
    let found = errors(&leaking, None);
    assert!(!found.is_empty() && found.iter().all(|(name, _)| *name == "duplicates"), "{found:?}");
    // With separate splits, the same domain has no problem.
    let sound = with_domain(plan(QUICKSTART, &[]), Spoilt::parity(false, false));
    assert_eq!(errors(&sound, None), []);
    // About fourteen questions, sixteen per batch.
    let few = plan(QUICKSTART, &["task.level=4"]);
    let found = errors(&few, None);
    assert_eq!(found, error("duplicates", "grpo"));
}

#[test]
fn a_group_of_one_is_found() {
    let mut plan = plan(QUICKSTART, &[]);
    let crate::stages::Stage::Grpo(grpo) = &mut plan.stages[1].settings else { panic!("a stage of GRPO") };
    grpo.group_size = 1;
    let found = errors(&plan, None);
    assert!(found.contains(&("group", "grpo".to_owned())), "{found:?}");
    let crate::stages::Stage::Grpo(grpo) = &mut plan.stages[1].settings else { panic!("a stage of GRPO") };
    grpo.group_size = 2;
    let findings = examine(&plan, None).unwrap();
    let group = findings.iter().find(|finding| finding.name == "group").unwrap();
    assert_eq!(group.severity, Severity::Warning);
}

#[test]
fn dead_experts_are_found() {
    let many = ["model.n_routed_experts=256", "model.num_experts_per_tok=1", "model.norm_topk_prob=false"];
    let still = [&many[..], &["stage.pretrain.bias_update_speed=0.0"]].concat();
    assert_eq!(errors(&plan(QUICKSTART, &still), None), error("experts", "pretrain"));
    // Load balancing fixes it in time.
    assert_eq!(errors(&plan(QUICKSTART, &many), None), []);
    // A base model with a router that never uses one expert.
    let sound = plan(QUICKSTART, &[]);
    let mut base = fresh(&sound.model, &sound.tokenizer);
    base.policy.change(&mut |parameters| parameters.expert_biases[0][3] = -10.0).unwrap();
    let rewards = sound.stages[1].settings.kind().rewards().unwrap();
    let subject = Patient { plan: &sound, index: 1, stage: &sound.stages[1], rewards, base: None };
    let found = network::of_base(&subject, &base).unwrap();
    let dead: Vec<&Finding> = found.iter().filter(|finding| finding.is_error()).collect();
    assert_eq!(dead.iter().map(|finding| finding.name).collect::<Vec<_>>(), ["experts"]);
    assert!(dead[0].seen.starts_with("1 of 8"), "{}", dead[0].seen);
}

#[test]
fn a_tensor_without_a_gradient_is_named() {
    // One expert per token with its gate scaled to 1: the router gets no gradient.
    let found = examine(&plan(QUICKSTART, &["model.num_experts_per_tok=1"]), None).unwrap();
    let gradient = found.iter().find(|finding| finding.name == "gradient").unwrap();
    assert!(gradient.is_error() && gradient.seen.contains("mlp.gate.weight"), "{gradient:?}");
    // Weights with squares beyond float32.
    let found = errors(&plan(QUICKSTART, &["model.initializer_range=1e30"]), None);
    assert!(found.contains(&("gradient", "pretrain".to_owned())), "{found:?}");
}

#[test]
fn controls_are_told_apart_from_mistakes() {
    for control in ["random_reward", "inverted_reward", "no_rl"] {
        let plan = plan(QUICKSTART, &[&format!("stage.grpo.control={control}")]);
        let findings = examine(&plan, None).unwrap();
        let told = findings.iter().filter(|finding| finding.severity != Severity::Ok);
        assert_eq!(told.map(|finding| finding.name).collect::<Vec<_>>(), ["control"]);
    }
}

#[test]
fn a_finding_is_an_object_for_other_programs() {
    let findings = examine(&plan(QUICKSTART, &["stage.grpo.max_new_tokens=20"]), None).unwrap();
    let truncation = findings.iter().find(|finding| finding.name == "truncation").unwrap();
    let Value::Object(object) = serde_json::to_value(truncation).unwrap() else { panic!("an object") };
    let keys: Vec<&str> = Map::keys(&object).map(String::as_str).collect();
    assert_eq!(keys, ["name", "severity", "stage", "seen", "change"]);
    assert_eq!((&object["severity"], &object["stage"]), (&json!("error"), &json!("grpo")));
    let change = object["change"].as_str().unwrap();
    assert_eq!(change, "stage.grpo.max_new_tokens = 38");
}
