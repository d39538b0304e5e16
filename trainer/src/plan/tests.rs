//! Whole recipes, right and wrong.

use thinkling_datasets::Split;

use super::*;
use crate::recipe::Mistake;
use crate::stages::Stage;

/// As little as a recipe may say.
const LEAST: &str = r#"
name = "least"
task = { name = "parity", level = 8 }
[[stage]]
kind = "pretrain"
steps = 10
shares = { direct = 0.5, long = 0.5 }
[[stage]]
kind = "grpo"
steps = 10
max_new_tokens = 30
[[stage]]
kind = "eval"
"#;

fn plan_of(text: &str, overrides: &[&str]) -> Result<Plan, RecipeErrors> {
    let overrides: Vec<String> = overrides.iter().map(|argument| (*argument).to_owned()).collect();
    from_text("test.toml", text, &overrides)
}

fn right(text: &str, overrides: &[&str]) -> Plan {
    plan_of(text, overrides).unwrap_or_else(|errors| panic!("{overrides:?}\n{errors}"))
}

fn wrong(text: &str, overrides: &[&str]) -> Vec<Mistake> {
    match plan_of(text, overrides) {
        Ok(plan) => panic!("{overrides:?} was taken: {}", plan.resolved_toml()),
        Err(errors) => errors.mistakes,
    }
}

fn marked(mistake: &Mistake) -> String {
    let place = mistake.place.as_ref().unwrap();
    place.text.chars().skip(place.column - 1).take(place.width).collect()
}

fn shipped() -> Vec<(String, Plan)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let load = |path: &std::path::PathBuf| load(path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    paths.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), load(path))).collect()
}

/// The dotted paths of all values in a table that are not tables themselves.
fn leaves(value: &toml::Value, path: &str, found: &mut Vec<(String, toml::Value)>) {
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, part)| leaves(part, &join(key), found)),
        toml::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &join(&index.to_string()), found));
        }
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

fn leaves_of(text: &str) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    leaves(&toml::Value::Table(text.parse().unwrap()), "", &mut found);
    found
}

#[test]
fn shipped_recipes_load_without_a_warning_and_load_again() {
    let shipped = shipped();
    for name in ["quickstart", "addition", "smoke"] {
        assert!(shipped.iter().any(|(shipped, _)| shipped == name), "{name}");
    }
    for (name, plan) in shipped {
        assert_eq!(plan.name, name);
        assert_eq!(plan.warnings, Vec::<String>::new());
        let again = right(&plan.resolved_toml(), &[]);
        assert_eq!(again, plan);
        assert_eq!(again.hash(), plan.hash());
        assert_eq!(again.resolved_toml(), plan.resolved_toml());
    }
}

#[test]
fn every_value_of_a_resolved_recipe_can_be_set() {
    let extra = [
        "model.attention=gqa",
        "model.q_lora_rank=8",
        "budget={ dollars = 1, tokens = 5 }",
        "prices.watts=9",
    ];
    let plan = right(LEAST, &[&extra[..], &["stage.grpo.early_stop={}", "device=cuda:3"]].concat());
    let resolved = plan.resolved_toml();
    let leaves = leaves_of(&resolved);
    assert!(leaves.len() > 110, "{}", leaves.len());
    for (path, value) in &leaves {
        assert_eq!(right(&resolved, &[&format!("{path}={value}")]), plan, "{path}");
        let argument = format!("{path}=[[1]]");
        let mistakes = wrong(&resolved, &[&argument]);
        let [mistake] = &mistakes[..] else { panic!("{path}: {mistakes:?}") };
        assert!(mistake.message.starts_with(&format!("`{path}`")), "{path}: {}", mistake.message);
        assert_eq!(mistake.place.as_ref().unwrap().source, format!("--set {argument}"));
        assert_eq!(marked(mistake), "[[1]]");
    }
}

#[test]
fn defaults_are_the_contract() {
    let resolved = right(LEAST, &["threads=3"]).resolved_toml();
    let leaves = leaves_of(&resolved);
    let expected = [
        ("seed", "1"),
        ("threads", "3"),
        ("device", "\"auto\""),
        ("prices.usd_per_core_hour", "0.04"),
        ("prices.usd_per_device_hour", "2.0"),
        ("log.rollouts_per_step", "4"),
        ("model.hidden_size", "64"),
        ("model.num_hidden_layers", "2"),
        ("model.num_attention_heads", "4"),
        ("model.attention", "\"mla\""),
        ("model.kv_lora_rank", "32"),
        ("model.qk_nope_head_dim", "16"),
        ("model.qk_rope_head_dim", "8"),
        ("model.v_head_dim", "16"),
        ("model.intermediate_size", "168"),
        ("model.n_routed_experts", "0"),
        ("model.n_shared_experts", "1"),
        ("model.num_experts_per_tok", "2"),
        ("model.moe_intermediate_size", "64"),
        ("model.first_k_dense_replace", "1"),
        ("model.norm_topk_prob", "true"),
        ("model.routed_scaling_factor", "1.0"),
        ("model.aux_loss_alpha", "0.0"),
        ("model.rms_norm_eps", "1e-6"),
        ("model.rope_theta", "1000.0"),
        ("model.tie_word_embeddings", "false"),
        ("model.learned_positions", "true"),
        ("model.initializer_range", "0.05"),
        ("stage.0.name", "\"pretrain\""),
        ("stage.0.batch_size", "64"),
        ("stage.0.learning_rate", "3e-3"),
        ("stage.0.final_learning_rate_share", "0.1"),
        ("stage.0.warmup_steps", "100"),
        ("stage.0.schedule", "\"cosine\""),
        ("stage.0.weight_decay", "0.1"),
        ("stage.0.beta1", "0.9"),
        ("stage.0.beta2", "0.95"),
        ("stage.0.epsilon", "1e-8"),
        ("stage.0.max_grad_norm", "1.0"),
        ("stage.0.documents", "640"),
        ("stage.0.shares.search", "0.0"),
        ("stage.0.shares.drill", "0.0"),
        ("stage.0.bias_update_speed", "0.001"),
        ("stage.0.evaluate_every", "0"),
        ("stage.0.evaluation.count", "256"),
        ("stage.0.save_every", "100"),
        ("stage.0.max_bad_steps", "5"),
        ("stage.1.name", "\"grpo\""),
        ("stage.1.prompts", "16"),
        ("stage.1.group_size", "16"),
        ("stage.1.learning_rate", "3e-4"),
        ("stage.1.warmup_steps", "5"),
        ("stage.1.schedule", "\"constant\""),
        ("stage.1.weight_decay", "0.0"),
        ("stage.1.beta1", "0.9"),
        ("stage.1.beta2", "0.95"),
        ("stage.1.epsilon", "1e-8"),
        ("stage.1.max_grad_norm", "1.0"),
        ("stage.1.temperature", "1.0"),
        ("stage.1.top_k", "0"),
        ("stage.1.top_p", "1.0"),
        ("stage.1.min_p", "0.0"),
        ("stage.1.minibatches", "1"),
        ("stage.1.epochs", "1"),
        ("stage.1.clip_low", "0.2"),
        ("stage.1.clip_high", "0.2"),
        ("stage.1.loss", "\"token_mean\""),
        ("stage.1.advantage", "\"group_std\""),
        ("stage.1.advantage_epsilon", "1e-4"),
        ("stage.1.std_kind", "\"sample\""),
        ("stage.1.kl_coefficient", "0.0"),
        ("stage.1.kl_reference_every", "0"),
        ("stage.1.flat_groups", "\"drop\""),
        ("stage.1.refill_rounds", "3"),
        ("stage.1.overlong", "\"zero\""),
        ("stage.1.rewards.0.term", "\"correct\""),
        ("stage.1.rewards.0.weight", "1.0"),
        ("stage.1.rewards.0.name", "\"correct\""),
        ("stage.1.max_error_share", "0.5"),
        ("stage.1.control", "\"none\""),
        ("stage.1.keep_best", "true"),
        ("stage.1.readiness.long_accuracy", "0.9"),
        ("stage.1.readiness.direct_margin", "0.0"),
        ("stage.1.readiness.samples", "256"),
        ("stage.1.readiness.action", "\"warn\""),
        ("stage.1.bias_update_speed", "0.001"),
        ("stage.1.replay_routes", "true"),
        ("stage.1.evaluate_every", "0"),
        ("stage.1.evaluation.count", "256"),
        ("stage.1.save_every", "10"),
        ("stage.1.max_bad_steps", "5"),
        ("stage.2.name", "\"eval\""),
        ("stage.2.count", "256"),
        ("stage.2.samples", "1"),
        ("stage.2.temperature", "1.0"),
    ];
    for (path, value) in expected {
        let found = leaves.iter().find(|(found, _)| found == path).map(|(_, value)| value);
        let expected: toml::Table = format!("value = {value}").parse().unwrap();
        assert_eq!(found, Some(&expected["value"]), "{path}");
    }
    let early_stop = right(LEAST, &["stage.1.early_stop={}"]).resolved_toml();
    assert!(early_stop.contains("[stage.early_stop]\nreward = 0.985\nwindow = 5\n"), "{early_stop}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = r#"seed = -1
name = "six"
learning_rate = 1e-3
[task]
name = "parity"
level = 99
[model]
attention = "gqa"
num_key_value_heads = 3
hidden_size = "wide"
[[stage]]
kind = "pretrain"
shares = { long = 0.2, search = 0.1, direkt = 0.8 }
[[stage]]
kind = "grpo"
steps = 10
max_new_tokens = 44
loss = "token_men"
early_stop = { rewad = 0.9, window = 0 }
"#;
    let told: Vec<(usize, String)> = wrong(text, &[])
        .iter()
        .map(|mistake| (mistake.place.as_ref().unwrap().line, marked(mistake)))
        .collect();
    let expected = [
        (1, "-1"),
        (3, "learning_rate"),
        (6, "99"),
        (9, "3"),
        (10, "\"wide\""),
        (11, "[[stage]]"),
        (13, "direkt"),
        (18, "\"token_men\""),
        (19, "rewad"),
        (19, "0"),
    ];
    let expected: Vec<(usize, String)> = expected.map(|(line, marked)| (line, marked.to_owned())).to_vec();
    // The task is not built at an invalid level, so its alphabet is checked only after the level is right.
    assert_eq!(told, expected);
    let told = wrong(text, &["task.level=16", "model.max_position_embeddings=30"]);
    assert!(told.iter().any(|mistake| mistake.message.contains("stage `grpo` has rows of 61 tokens")));
    assert!(told.iter().any(|mistake| mistake.message.contains("no documents of the kind `search`")));
}

#[test]
fn mistakes_of_the_file_and_of_overrides_are_told_together() {
    let text = LEAST.replace("least", "no/file").replace("eval", "evil");
    let overrides = [
        "stage.1.lr=1e-3",
        "task.name=party",
        "stage.nope.steps=3",
        "model.hidden_size",
        "stage.0.steps=1.5",
    ];
    let mistakes = wrong(&text, &overrides);
    let told: Vec<(&str, String)> = mistakes
        .iter()
        .map(|mistake| (mistake.place.as_ref().unwrap().source.as_str(), marked(mistake)))
        .collect();
    let expected = [
        ("test.toml", "\"no/file\""),
        ("test.toml", "\"evil\""),
        ("--set stage.1.lr=1e-3", "lr"),
        ("--set task.name=party", "party"),
        ("--set stage.nope.steps=3", "nope"),
        ("--set model.hidden_size", "model.hidden_size"),
        ("--set stage.0.steps=1.5", "1.5"),
    ];
    assert_eq!(told, expected.map(|(source, marked)| (source, marked.to_owned())));
    let help = |index: usize| mistakes[index].help.join("\n");
    assert!(help(1).contains("did you mean `eval`?") && help(1).contains("pretrain, grpo, eval"));
    assert!(help(3).contains("did you mean `parity`?") && help(3).contains("addition"));
    assert!(help(4).contains("grpo"));
}

/// A single mistake: the override, the marked text, a part of the message or help.
const ALONE: &[(&str, &str, &str)] = &[
    ("nmae=x", "nmae", "did you mean `name`?"),
    ("stage.0.evaluation.cuont=3", "cuont", "did you mean `count`?"),
    ("stage.1.rewards=[{ term = \"correct\", wieght = 1 }]", "wieght", "did you mean `weight`?"),
    ("stage.1.rewards=[]", "[]", "at least one"),
    ("stage.1.rewards.0.weight=2", "rewards", "whole array"),
    (
        "stage.1.rewards=[{ term = \"correct\", weight = 1 }, { term = \"correct\", weight = 2 }]",
        "\"correct\"",
        "once",
    ),
    ("stage.1.rewards=[{ term = \"correct\", weight = 0 }]", "0", "above 0"),
    ("stage.1.rewards=[{ term = \"correct\", weight = -1 }]", "-1", "at least 0"),
    ("stage.1.rewards=[{ term = \"correct\", weight = nan }]", "nan", "finite"),
    ("stage.1.rewards=[{ term = \"corect\", weight = 1 }]", "\"corect\"", "did you mean `correct`?"),
    ("stage.1.rewards=[{ name = \"a b\", term = \"correct\", weight = 1 }]", "\"a b\"", "letters"),
    (
        "stage.1.rewards=[{ term = \"exact\", weight = 1 }, { name = \"exact\", term = \"math\", weight = 1 }]",
        "\"exact\"",
        "once",
    ),
    (
        "stage.1.rewards=[{ term = \"format\", weight = 1, config = { partal = true } }]",
        "true",
        "did you mean `partial`?",
    ),
    ("stage.1.rewards=[{ term = \"math\", weight = 1, config = { worked_out = 3 } }]", "3", "true or false"),
    (
        "stage.1.rewards=[{ term = \"soft_overlong\", weight = 1, config = { cache = 900 } }]",
        "900",
        "at most",
    ),
    ("stage.1.rewards=[{ term = \"repetition\", weight = 1, config = { size = 0 } }]", "0", "at least 1"),
    (
        "stage.1.rewards=[{ term = \"language\", weight = 1, config = { script = \"greek\" } }]",
        "\"greek\"",
        "latin",
    ),
    ("stage.1.rewards=[{ term = \"code\", weight = 1 }]", "\"code\"", "no tests"),
    (
        "stage.1.rewards=[{ term = \"code\", weight = 1, config = { template = true } }]",
        "true",
        "program_synthesis",
    ),
    ("stage.1.rewards=[{ term = \"choice\", weight = 1 }]", "\"choice\"", "the task's judge"),
    ("stage.1.max_error_share=1.5", "1.5", "at most 1"),
    ("stage.0.steps=0", "0", "at least 1"),
    ("stage.0.steps=1e3", "1e3", "write 1000"),
    ("stage.0.steps=99999999999999999999", "99999999999999999999", "beyond 64 bits"),
    ("stage.0.learning_rate=nan", "nan", "finite"),
    ("stage.0.beta2=1.0", "1.0", "below 1"),
    ("stage.1.top_p=0", "0", "above 0 and at most 1"),
    ("stage.1.group_size=1", "1", "at least 2"),
    ("stage.1.minibatches=5", "5", "must divide"),
    ("stage.1.control=random", "random", "random_reward"),
    ("stage.1.keep_best=yes", "yes", "true or false"),
    ("stage.1.kind=sft", "sft", "pretrain, grpo, eval"),
    ("stage.0.shares={ direct = 0, drill = 0 }", "{ direct = 0, drill = 0 }", "at least one"),
    ("stage.0.shares.long=-0.1", "-0.1", "at least 0"),
    ("stage.0.shares.drill=1", "1", "direct, long"),
    ("stage.0.name=grpo/x", "grpo/x", "letters"),
    ("stage.0.name=7", "7", "not only digits"),
    ("stage.2={ kind = \"eval\", samples = 0 }", "0", "at least 1"),
    ("task.level=3", "3", "4 to 64"),
    ("task.level=65", "65", "4 to 64"),
    ("task.settings.colour=1", "1", "colour"),
    ("task=parity", "parity", "a table"),
    (
        "stage.2.tasks=[{ name = \"addition\", level = 3 }, { name = \"adition\", level = 3 }]",
        "\"adition\"",
        "addition",
    ),
    (
        "stage.2.tasks=[{ name = \"addition\", level = 3 }, { name = \"addition\" }]",
        "{ name = \"addition\" }",
        "has no `level`",
    ),
    ("task.levels=[6, 8]", "[6, 8]", "one of `level`, `levels` and `curriculum`"),
    ("task={ name = \"parity\", levels = [6, 6] }", "6", "once"),
    ("task={ name = \"parity\", levels = [6, 65] }", "65", "4 to 64"),
    ("task={ name = \"parity\", level = 6, weight = -1 }", "-1", "at least 0"),
    ("task={ name = \"parity\", level = 6, verifier = \"math\" }", "\"math\"", "give `file` too"),
    ("task={ name = \"mine\", file = \"/no/such\", verifier = \"math\" }", "\"/no/such\"", "folder"),
    ("tasks=[{ name = \"parity\", level = 8 }]", "[{ name = \"parity\", level = 8 }]", "put the task"),
    (
        "stage.2.tasks=[{ name = \"parity\", level = 8 }, { name = \"parity\", levels = [6, 8] }]",
        "{ name = \"parity\", levels = [6, 8] }",
        "total `weight`",
    ),
    (
        "stage.1.task={ name = \"parity\", curriculum = { first = 4, last = 8 } }",
        "{ name = \"parity\", curriculum = { first = 4, last = 8 } }",
        "steps between two evaluations",
    ),
    ("stage.1.pool={ size = 4 }", "4", "16 or more"),
    ("stage.1.pool={ easy = 2.0 }", "2.0", "at most 1"),
    ("model.qk_rope_head_dim=7", "7", "even"),
    ("model.max_position_embeddings=20", "20", "at least"),
    ("model={ attention = \"gqa\", num_key_value_heads = 3 }", "3", "1, 2, 4"),
    ("model={ attention = \"gqa\", hidden_size = 66 }", "66", "head_dim"),
    ("model={ attention = \"gqa\", hidden_size = 60 }", "60", "even"),
    ("model={ n_routed_experts = 4, num_experts_per_tok = 5 }", "5", "1 to 4"),
    ("model={ n_routed_experts = 4, first_k_dense_replace = 3 }", "3", "0 to 2"),
    ("device=gpu", "gpu", "cuda:N"),
    ("threads=0", "0", "at least 1"),
    ("budget.minutes=-5", "-5", "above 0"),
    ("log=3", "3", "a table"),
    ("name=2024-01-01T00:00:00x/", "2024-01-01T00:00:00x/", "letters"),
    ("stage.9.steps=1", "9", "pretrain, grpo, eval"),
];

#[test]
fn each_mistake_alone_is_told_once_at_its_place() {
    for (argument, mark, said) in ALONE {
        let mistakes = wrong(LEAST, &[argument]);
        let in_override: Vec<&Mistake> = mistakes
            .iter()
            .filter(|mistake| mistake.place.as_ref().unwrap().source.starts_with("--set"))
            .collect();
        let [mistake] = in_override[..] else { panic!("{argument}: {mistakes:#?}") };
        // Another kind of stage has other keys: the remaining ones are reported as well.
        assert!(mistakes.len() == 1 || argument.contains(".kind="), "{argument}: {mistakes:#?}");
        assert_eq!(marked(mistake), *mark, "{argument}");
        let told = format!("{}\n{}", mistake.message, mistake.help.join("\n"));
        assert!(told.contains(said), "{argument}: {told}");
    }
}

#[test]
fn stages_have_names_of_their_own() {
    let mistakes = wrong(LEAST, &["stage.0.name=same", "stage.2.name=same"]);
    let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
    assert!(mistake.message.contains("stage.0"), "{}", mistake.message);
    let names = |plan: Plan| plan.stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(right(LEAST, &["stage.2.name=pretrain"])), ["pretrain-2", "grpo", "pretrain"]);
}

#[test]
fn a_network_of_which_two_sizes_disagree_is_told_where_one_is_written() {
    let mistakes = wrong(LEAST, &["model.attention=gqa", "model.num_attention_heads=7"]);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(marked(&mistakes[0]), "7");
}

#[test]
fn what_is_missing_is_told_at_the_table_without_it() {
    let mistakes = wrong("", &[]);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    let without_task = LEAST.replace("task =", "#");
    let mistakes = wrong(&without_task, &[]);
    let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
    assert_eq!(mistake.message, "no task for stage pretrain, grpo, eval");
    let mistakes = wrong(&LEAST.replace("steps = 10", ""), &[]);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(
        mistakes
            .iter()
            .all(|mistake| mistake.message.contains("has no `steps`") && marked(mistake) == "[[stage]]")
    );
    let mistakes = wrong(
        &without_task.replace("max_new_tokens = 30", "max_new_tokens = 30\nloss = 1"),
        &["stage.2.kind=x"],
    );
    let messages: Vec<&str> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    assert_eq!(messages[0], "no task for stage pretrain, grpo");
    assert!(
        messages[1].contains("loss") && messages[2].contains("stage.2.kind") && messages.len() == 3,
        "{messages:?}"
    );
    // A misspelt key is one mistake, not two.
    assert_eq!(wrong(&LEAST.replace("max_new_tokens", "max_new_token"), &[]).len(), 1);
}

#[test]
fn broken_toml_is_one_mistake_and_a_missing_file_is_named() {
    let mistakes = wrong("name = \"x\"\nseed = = 1\n", &["nope"]);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].place.as_ref().unwrap().line, 2);
    let errors = load(Path::new("no/such.toml"), &[]).unwrap_err();
    assert!(errors.to_string().contains("no/such.toml"), "{errors}");
}

#[test]
fn an_unknown_key_is_a_mistake_in_every_kind_of_stage() {
    let plan = right(LEAST, &[]);
    assert!(plan.stages.iter().map(|stage| stage.settings.kind_name()).eq(Stage::KINDS.iter().copied()));
    for (index, kind) in Stage::KINDS.iter().enumerate() {
        let mistakes = wrong(LEAST, &[&format!("stage.{index}.colour=1")]);
        assert_eq!(mistakes.len(), 1, "{kind}: {mistakes:?}");
        assert_eq!(mistakes[0].message, format!("unknown key `stage.{index}.colour`"));
    }
}

#[test]
fn overrides_change_what_they_name() {
    let plan = right(
        LEAST,
        &["stage.1.learning_rate=1e-3", "stage.grpo.steps=5", "model.hidden_size=96", "name=other"],
    );
    let Stage::Grpo(grpo) = &plan.stages[1].settings else { panic!("stage 1 is grpo") };
    assert_eq!(
        (grpo.optimizer.learning_rate, grpo.steps, plan.model.hidden_size, plan.name.as_str()),
        (1e-3, 5, 96, "other")
    );
    let twice = right(LEAST, &["seed=2", "seed=3"]);
    assert_eq!(twice.seed, 3);
}

#[test]
fn the_hash_changes_with_the_results_only() {
    let hash = |overrides: &[&str]| right(LEAST, overrides).hash();
    assert_eq!(hash(&["threads=1"]), hash(&["threads=2", "device=cpu"]));
    assert_eq!(hash(&[]), hash(&["seed=1"]));
    assert_ne!(hash(&[]), hash(&["seed=2"]));
    assert_ne!(hash(&[]), hash(&["stage.grpo.clip_high=0.28"]));
    assert_eq!(hash(&[]).len(), 64);
}

#[test]
fn rows_are_as_long_as_the_texts() {
    let plan = right(LEAST, &[]);
    // `00000000=` is 9 tokens; thinking of 16, one answer, four tags and the end are 22.
    let rows: Vec<(usize, usize)> =
        plan.stages.iter().map(|stage| (stage.longest_row, stage.max_new_tokens)).collect();
    assert_eq!(rows, [(31, 30), (39, 30), (39, 30)]);
    assert_eq!(plan.model.max_position_embeddings, 39);
    let work: Vec<(u64, u64)> = plan
        .stages
        .iter()
        .filter_map(|stage| stage.settings.kind().learning())
        .map(|learning| (learning.rows_per_step, learning.updates_per_step))
        .collect();
    assert_eq!(work, [(64, 1), (256, 1)]);
    let short =
        right(LEAST, &["model.max_position_embeddings=39", "stage.2.task={ name = \"parity\", level = 10 }"]);
    assert_eq!((short.stages[2].longest_prompt, short.stages[2].max_new_tokens), (11, 28));
    let longer = right(LEAST, &["stage.0.task={ name = \"parity\", level = 20 }"]);
    assert_eq!(longer.model.max_position_embeddings, 21 + 46);
    let direct = right(LEAST, &["stage.0.shares={ direct = 1 }", "stage.grpo.max_new_tokens=5"]);
    assert_eq!(direct.stages[0].longest_row, 9 + 6);
}

#[test]
fn the_vocabulary_is_the_special_symbols_and_the_alphabets_in_order() {
    let plan = right(LEAST, &["stage.2.tasks=[{ name = \"addition\", level = 3 }]"]);
    let expected = "<pad> <think> </think> <answer> </answer> <end> 0 1 = 2 3 4 5 6 7 8 9 + ,";
    assert_eq!(plan.tokenizer.symbols().join(" "), expected);
    assert_eq!(plan.model.vocab_size, plan.tokenizer.size());
    assert_eq!(plan.stages[2].measured[0].name, "addition");
    assert_eq!(plan.stages[1].task.name, "parity");
    // Three digits: `abc+def=` and three steps of eight tokens with two commas, four digits, four tags and the end.
    assert!(plan.stages[2].longest_row >= 8 + 26 + 4 + 5);
}

#[test]
fn a_mixture_has_one_alphabet_and_room_for_all_its_levels() {
    let mixed = r#"stage.1.tasks=[
        { name = "addition", level = 3, weight = 2 },
        { name = "parity", curriculum = { first = 4, last = 9, step = 2, bar = 0.8 } },
        { name = "gcd", levels = [2, 3], weight = 0 },
    ]"#;
    let plan = right(LEAST, &[mixed, "stage.1.evaluate_every=5"]);
    let stage = &plan.stages[1];
    let levels: Vec<(&str, u32)> =
        stage.measured.iter().map(|task| (task.name.as_str(), task.level)).collect();
    let expected =
        [("addition", 3), ("parity", 4), ("parity", 6), ("parity", 8), ("parity", 9), ("gcd", 2), ("gcd", 3)];
    assert_eq!(levels, expected);
    assert_eq!(stage.courses.iter().map(|course| course.weight).collect::<Vec<_>>(), [2.0, 1.0, 0.0]);
    for task in &stage.measured {
        for split in [Split::Train, Split::Test] {
            let problem = task.dataset(1).unwrap().question(split, 0).unwrap().problem;
            assert!(plan.tokenizer.encode(&problem.prompt).unwrap().len() <= stage.longest_prompt);
        }
    }
    let again = right(&plan.resolved_toml(), &[]);
    assert_eq!((&again, again.hash()), (&plan, plan.hash()));
    for census in census(&plan).unwrap() {
        assert_eq!((census.shared, census.train, census.test), (0, 512, 512), "{census:?}");
    }
}

#[test]
fn a_file_is_known_by_what_it_holds_and_its_bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("q.jsonl");
    let lines = |last: &str| {
        let sums = (0..60).map(|n| format!("{{\"prompt\": \"{n}+1=\", \"answer\": {}}}\n", n + 1));
        sums.collect::<String>() + last
    };
    std::fs::write(&path, lines("{\"prompt\": \"1+1=\", \"answer\": 2}\nnot JSON\n")).unwrap();
    let task = format!("stage.2.task={{ name = \"sums\", file = {path:?}, verifier = \"math\" }}");
    let plan = right(LEAST, &[&task]);
    let told = plan.warnings.join("\n");
    assert!(told.contains("q.jsonl, line 62: not JSON"), "{told}");
    assert!(
        told.contains("1 of 62 lines are faulty") && told.contains("1 lines repeat a question"),
        "{told}"
    );
    let sums = census(&plan).unwrap().pop().unwrap();
    assert_eq!((sums.train_duplicates + sums.test_duplicates, sums.shared), (1, 0));
    assert_eq!(sums.train + sums.test, 61);

    let moved = folder.path().join("moved.jsonl");
    std::fs::rename(&path, &moved).unwrap();
    let resolved = plan.resolved_toml();
    let elsewhere = resolved.replace("q.jsonl", "moved.jsonl");
    assert_eq!(right(&elsewhere, &[]).hash(), plan.hash());
    std::fs::write(&moved, lines("")).unwrap();
    let [mistake] = &wrong(&elsewhere, &[])[..] else { panic!("the file has changed") };
    assert!(mistake.message.contains("is not the file that this recipe was written for"));
    let judge = format!("stage.2.task={{ name = \"sums\", file = {moved:?}, verifier = \"maths\" }}");
    assert!(wrong(LEAST, &[&judge])[0].help.join(" ").contains("did you mean `math`?"));
}

#[test]
fn oddities_are_warned_of() {
    let warned = |overrides: &[&str], said: &str| {
        let before = right(LEAST, &[]).warnings;
        let warnings = right(LEAST, overrides).warnings;
        let new: Vec<&String> = warnings.iter().filter(|warning| !before.contains(warning)).collect();
        assert!(matches!(new[..], [warning] if warning.contains(said)), "{overrides:?}: {new:?}");
    };
    warned(
        &["stage.1.max_new_tokens=21"],
        "cuts off 100 % of the long solutions; the longest seen has 22 tokens",
    );
    warned(&["stage.0.documents=641"], "sees only 640 of its 641 documents");
    warned(&["stage.1.early_stop={ reward = 1.5 }"], "never stops early");
    warned(&["stage.1.kl_reference_every=5"], "has no effect");
    warned(&["stage.1.rewards=[{ term = \"format\", weight = 1 }]"], "no term rewards a right answer");
    warned(&["stage.1.refill_rounds=5"], "has no effect");
    warned(&["model.head_dim=16"], "has no effect with attention = \"mla\"");
    warned(&["model.n_routed_experts=4", "model.first_k_dense_replace=2"], "the network is dense");
    warned(&["stage.1.warmup_steps=10"], "before its learning rate has risen");
    assert!(
        right(&LEAST.replace("pretrain", "grpo").replace("shares", "max_new_tokens = 30 #"), &[]).warnings[0]
            .contains("random weights")
    );
}

#[test]
fn no_text_makes_it_panic() {
    let mut stream = thinkling_datasets::seed::Stream::at("recipe/fuzz", 7, &[]);
    let letters: Vec<char> = "[]{}=.\"'\n#,-_ü0aeinst9\t".chars().collect();
    let mut taken = 0;
    for round in 0..300 {
        let mut text: Vec<char> = LEAST.chars().collect();
        for _ in 0..=stream.index(3) {
            let at = stream.index(text.len());
            match stream.index(3) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, *stream.pick(&letters)),
                _ => text[at] = *stream.pick(&letters),
            }
        }
        let text: String = text.into_iter().collect();
        let overrides = vec![text.lines().nth(round % 8).unwrap_or_default().to_owned(); round % 2];
        match from_text("fuzz.toml", &text, &overrides) {
            Ok(plan) => {
                taken += 1;
                assert_eq!(right(&plan.resolved_toml(), &[]), plan, "{text}");
            }
            Err(errors) => assert!(!errors.mistakes.is_empty() && !errors.to_string().is_empty()),
        }
    }
    assert!((1..299).contains(&taken), "{taken}");
    let deep = format!("name = {}", "[".repeat(100_000));
    assert!(from_text("deep.toml", &deep, &[format!("name={}", "[".repeat(100_000))]).is_err());
}

/// Every description and every key of all object schemas.
fn undescribed(schema: &Value, path: &str, missing: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["description"].is_null() && property["const"].is_null() {
            missing.push(format!("{path}.{key}"));
        }
    }
    match schema {
        Value::Object(parts) => {
            parts.iter().for_each(|(key, part)| undescribed(part, &format!("{path}.{key}"), missing))
        }
        Value::Array(parts) => parts.iter().for_each(|part| undescribed(part, path, missing)),
        _ => {}
    }
}

#[test]
fn every_key_is_described() {
    let mut missing = Vec::new();
    undescribed(Recipe::schema().as_value(), "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_is_faulty_is_fixed_and_marked() {
    let text = "name = 3\nthreads = 0\n[[stage]]\nkind = \"pretrain\"\nbatch_size = 8\nstep = 5\n";
    let mut sources = Sources::default();
    let source = sources.add("a.toml", text);
    let root = parse(source, text).unwrap();
    let conformed = conform(&root, &Recipe::schema(), &sources);
    assert_eq!(conformed.faulty, ["name", "stage.0.steps", "stage.0.shares", "threads"]);
    assert_eq!(conformed.found.len(), 4);
    let recipe: Recipe = serde_json::from_value(conformed.value).unwrap();
    assert_eq!(recipe.threads, None);
}
