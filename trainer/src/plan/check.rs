//! What a recipe of the right form may still say that makes no sense.

use thinkling_datasets::pool::{Pool, PoolState};

use super::program::Programs;
use crate::kernels::precision::Precision;
use crate::recipe::{
    Attention, FlatGroups, Found, Grpo, Model, Node, Pretrain, Recipe, Schedule, Stage, nearest,
};

/// Collects mistakes of meaning and warnings, each about keys of the recipe.
pub(super) struct Checker<'a> {
    root: &'a Node,
    /// Paths whose mistakes are already told.
    faulty: &'a [String],
    pub(super) found: Vec<Found>,
    pub(super) warnings: Vec<String>,
    /// The programs that pose tasks, already started.
    pub(super) programs: Programs,
}

impl<'a> Checker<'a> {
    pub(super) fn new(root: &'a Node, faulty: &'a [String]) -> Self {
        Self { root, faulty, found: Vec::new(), warnings: Vec::new(), programs: Programs::new() }
    }

    /// Whether the value at `path`, a part of it or something around it was mended.
    pub(super) fn is_faulty(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.faulty.iter().any(|faulty| within(path, faulty) || within(faulty, path))
    }

    /// Notes a mistake that depends on the values at `paths`; it stands at the first of them that was written.
    pub(super) fn mistake(
        &mut self,
        paths: &[&str],
        message: String,
        help: impl IntoIterator<Item = String>,
    ) {
        if paths.iter().any(|path| self.is_faulty(path)) {
            return;
        }
        let written = paths.iter().find_map(|path| self.root.find(path));
        let around = || self.root.find_around(paths.first().copied().unwrap_or_default());
        let at = written.unwrap_or_else(around).at;
        self.found.push(Found { at, message, help: help.into_iter().collect() });
    }

    /// Notes something odd that depends on the values at `paths`.
    pub(super) fn warn(&mut self, paths: &[&str], message: String) {
        if !paths.iter().any(|path| self.is_faulty(path)) {
            self.warnings.push(message);
        }
    }
}

/// Checks what can be told without the tasks. `names` are those of the stages.
pub(super) fn check(recipe: &Recipe, names: &[String], checker: &mut Checker<'_>) {
    if !is_file_name(&recipe.name) {
        let help = "a name is letters, digits, `.`, `_` and `-`, and does not start with `.`";
        checker.mistake(&["name"], format!("`name` cannot be `{}`", recipe.name), [help.to_owned()]);
    }
    if let Err(unavailable) = super::precision(recipe.precision).available() {
        let help = "write one that it has, or `auto`".to_owned();
        checker.mistake(&["precision"], unavailable.to_string(), [help]);
    }
    if super::Device::parse(&recipe.device).is_none() {
        let meant = nearest(&recipe.device, ["auto", "cpu", "candle", "cuda", "cuda:0"]);
        let help = meant.map(|meant| format!("did you mean `{meant}`?"));
        let valid = "valid values: auto, cpu, candle, cuda, cuda:N".to_owned();
        checker.mistake(
            &["device"],
            format!("`device` cannot be `{}`", recipe.device),
            help.into_iter().chain([valid]),
        );
    }
    if recipe.device == "candle" && super::precision(recipe.precision) != Precision::Float32 {
        let help = "write precision = \"float32\", or device = \"cpu\"".to_owned();
        checker.mistake(
            &["precision", "device"],
            "device `candle` computes in float32 only".to_owned(),
            [help],
        );
    }
    model(&recipe.model, checker);
    stage_names(names, checker);
    for (index, stage) in recipe.stage.iter().enumerate() {
        match stage {
            Stage::Pretrain(stage) => pretrain(stage, &format!("stage.{index}"), &names[index], checker),
            Stage::Grpo(stage) => grpo(stage, &format!("stage.{index}"), &names[index], checker),
            Stage::Eval(_) => {}
        }
    }
    let is_trained = |stage: &Stage| !matches!(stage, Stage::Eval(_));
    let first = recipe.stage.first();
    if let Some(Stage::Grpo(_)) = first {
        checker.warn(
            &["stage.0.kind"],
            format!("stage `{}` starts from random weights: nothing has been pretrained", names[0]),
        );
    }
    if first.is_some_and(|stage| !is_trained(stage)) {
        checker.warn(
            &["stage.0.kind"],
            format!("stage `{}` measures random weights: nothing has been trained", names[0]),
        );
    }
}

fn is_file_name(name: &str) -> bool {
    !name.starts_with('.')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

fn stage_names(names: &[String], checker: &mut Checker<'_>) {
    for (index, name) in names.iter().enumerate() {
        let path = format!("stage.{index}.name");
        let is_number = name.chars().all(|letter| letter.is_ascii_digit());
        if !is_file_name(name) || name.contains('.') || is_number {
            let help = "a stage's name is letters, digits, `_` and `-`, and not only digits".to_owned();
            checker.mistake(&[&path], format!("`{path}` cannot be `{name}`"), [help]);
        } else if let Some(first) = names[..index].iter().position(|earlier| earlier == name) {
            let help = "checkpoints and metrics carry the stage's name: give each its own".to_owned();
            checker.mistake(&[&path], format!("`{path}` is `{name}`, as is that of stage.{first}"), [help]);
        }
    }
}

fn model(model: &Model, checker: &mut Checker<'_>) {
    let heads = model.num_attention_heads;
    match model.attention {
        Attention::Mla => {
            even(model.qk_rope_head_dim, &["model.qk_rope_head_dim"], checker);
            let given = [("num_key_value_heads", model.num_key_value_heads), ("head_dim", model.head_dim)];
            has_no_effect(&given, "mla", checker);
        }
        Attention::Gqa => {
            has_no_effect(&[("q_lora_rank", model.q_lora_rank)], "gqa", checker);
            let answering = model.num_key_value_heads.unwrap_or(model.num_attention_heads);
            if !heads.is_multiple_of(answering) {
                let message = format!("{answering} key-value heads do not divide {heads} attention heads");
                let divisors: Vec<String> = (1..=heads)
                    .filter(|count| heads.is_multiple_of(*count))
                    .map(|count| count.to_string())
                    .collect();
                let help = format!("`model.num_key_value_heads` may be {}", divisors.join(", "));
                checker.mistake(&["model.num_key_value_heads", "model.num_attention_heads"], message, [help]);
            }
            if model.head_dim.is_none() && !model.hidden_size.is_multiple_of(heads) {
                let message =
                    format!("{heads} attention heads do not divide a hidden size of {}", model.hidden_size);
                let help = "change one of them or set `model.head_dim`".to_owned();
                checker.mistake(&["model.hidden_size", "model.num_attention_heads"], message, [help]);
            } else {
                even(
                    model.head_dim.unwrap_or(model.hidden_size / model.num_attention_heads.max(1)),
                    &["model.head_dim", "model.hidden_size", "model.num_attention_heads"],
                    checker,
                );
            }
        }
    }
    if model.n_routed_experts == 0 {
        return;
    }
    if model.num_experts_per_tok > model.n_routed_experts {
        let message = format!(
            "a token cannot visit {} of {} routed experts",
            model.num_experts_per_tok, model.n_routed_experts
        );
        let help = format!("`model.num_experts_per_tok` may be 1 to {}", model.n_routed_experts);
        checker.mistake(&["model.num_experts_per_tok", "model.n_routed_experts"], message, [help]);
    }
    if model.first_k_dense_replace > model.num_hidden_layers {
        let message = format!(
            "`model.first_k_dense_replace` is {}, of {} layers",
            model.first_k_dense_replace, model.num_hidden_layers
        );
        let help = format!("it may be 0 to {}", model.num_hidden_layers);
        checker.mistake(&["model.first_k_dense_replace", "model.num_hidden_layers"], message, [help]);
    } else if model.first_k_dense_replace == model.num_hidden_layers {
        let message =
            "`model.first_k_dense_replace` leaves no layer for the experts: the network is dense".to_owned();
        checker.warn(
            &["model.first_k_dense_replace", "model.num_hidden_layers", "model.n_routed_experts"],
            message,
        );
    }
}

fn has_no_effect(given: &[(&str, Option<usize>)], attention: &str, checker: &mut Checker<'_>) {
    for (key, value) in given {
        if value.is_some() {
            let path = format!("model.{key}");
            checker.warn(
                &[&path, "model.attention"],
                format!("`{path}` has no effect with attention = \"{attention}\""),
            );
        }
    }
}

fn even(width: usize, paths: &[&str], checker: &mut Checker<'_>) {
    if !width.is_multiple_of(2) {
        let help = "rotary positions turn pairs of numbers: it must be even".to_owned();
        checker.mistake(paths, format!("`{}` is {width}", paths[0]), [help]);
    }
}

fn pretrain(stage: &Pretrain, path: &str, name: &str, checker: &mut Checker<'_>) {
    let shares = &stage.shares;
    if [shares.direct, shares.long, shares.search, shares.flawed, shares.drill]
        .iter()
        .all(|share| *share == 0.0)
    {
        let path = format!("{path}.shares");
        let help = "give at least one of direct, long, search, flawed, drill a share above 0".to_owned();
        checker.mistake(&[&path], format!("`{path}` are all 0: the corpus has no documents"), [help]);
    }
    let (steps, documents) = (format!("{path}.steps"), format!("{path}.documents"));
    let seen = stage.steps.saturating_mul(stage.batch_size as u64);
    if stage.documents() > seen {
        let message = format!("stage `{name}` sees only {seen} of its {} documents", stage.documents());
        checker.warn(&[&documents, &steps, &format!("{path}.batch_size")], message);
    }
    warm_up(stage.warmup_steps, stage.steps, path, name, checker);
    final_share(stage.final_learning_rate_share, 0.1, stage.schedule, path, name, checker);
}

fn grpo(stage: &Grpo, path: &str, name: &str, checker: &mut Checker<'_>) {
    if !stage.prompts.is_multiple_of(stage.minibatches) {
        let (minibatches, prompts) = (format!("{path}.minibatches"), format!("{path}.prompts"));
        let message = format!("{} minibatches do not divide {} prompts", stage.minibatches, stage.prompts);
        let help = format!("a group is never cut: `{minibatches}` must divide `{prompts}`");
        checker.mistake(&[&minibatches, &prompts], message, [help]);
    }
    pool(stage, path, checker);
    super::rewards::check(stage, path, checker);
    let longest = stage.max_new_tokens as u64;
    let highest: f64 = stage.rewards.iter().map(|reward| reward.weight * reward.most(longest)).sum();
    if let Some(stop) = stage.early_stop.filter(|stop| stop.reward > highest) {
        let (reward, rewards) = (format!("{path}.early_stop.reward"), format!("{path}.rewards"));
        let message = format!(
            "stage `{name}` never stops early: no reward exceeds {highest}, {} is asked",
            stop.reward
        );
        checker.warn(&[&reward, &rewards], message);
    }
    if stage.kl_reference_every > 0 && stage.kl_coefficient == 0.0 {
        let (every, coefficient) = (format!("{path}.kl_reference_every"), format!("{path}.kl_coefficient"));
        checker.warn(&[&every, &coefficient], format!("`{every}` has no effect with kl_coefficient = 0"));
    }
    let default = Grpo::default();
    if stage.refill_rounds != default.refill_rounds && stage.flat_groups != FlatGroups::Refill {
        let (rounds, flat) = (format!("{path}.refill_rounds"), format!("{path}.flat_groups"));
        checker.warn(&[&rounds, &flat], format!("`{rounds}` has no effect without flat_groups = \"refill\""));
    }
    warm_up(stage.warmup_steps, stage.steps, path, name, checker);
    final_share(
        stage.final_learning_rate_share,
        default.final_learning_rate_share,
        stage.schedule,
        path,
        name,
        checker,
    );
}

fn pool(stage: &Grpo, path: &str, checker: &mut Checker<'_>) {
    let Some(settings) = stage.pool else { return };
    let path = format!("{path}.pool");
    if let Err(error) = Pool::resume(settings, PoolState::default()) {
        checker.mistake(&[&format!("{path}.{}", error.key)], error.to_string(), []);
    } else if settings.size < stage.prompts {
        let help = format!("make it {} or more: a batch is drawn from it", stage.prompts);
        let size = format!("{path}.size");
        checker.mistake(
            &[&size, &path],
            format!("`{size}` is {}, fewer than `prompts`", settings.size),
            [help],
        );
    }
}

fn warm_up(warmup_steps: u64, steps: u64, path: &str, name: &str, checker: &mut Checker<'_>) {
    if warmup_steps >= steps {
        let message = format!(
            "stage `{name}` ends before its learning rate is up: {steps} steps, {warmup_steps} of warm-up"
        );
        checker.warn(&[&format!("{path}.warmup_steps"), &format!("{path}.steps")], message);
    }
}

fn final_share(
    share: f64,
    default: f64,
    schedule: Schedule,
    path: &str,
    name: &str,
    checker: &mut Checker<'_>,
) {
    if share != default && schedule == Schedule::Constant {
        let message =
            format!("stage `{name}`: final_learning_rate_share has no effect with schedule = \"constant\"");
        checker.warn(&[&format!("{path}.final_learning_rate_share"), &format!("{path}.schedule")], message);
    }
}
