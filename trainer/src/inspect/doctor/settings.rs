//! Checks that need nothing but the recipe's numbers.

use super::{Finding, Patient};
use crate::plan::{Plan, Stage};
use crate::recipe::{Grpo, Pretrain};

/// Sequences of a group below which most groups come out flat, or their mean is mostly noise.
const SMALL_GROUP: usize = 4;

/// The batch of a GRPO stage in words; a group of one has nothing to compare itself with.
pub(super) fn batch_of_completions(stage: &Stage, grpo: &Grpo) -> Finding {
    let Grpo { prompts, group_size, minibatches, epochs, max_new_tokens, steps, .. } = *grpo;
    let sequences = prompts * group_size;
    if group_size < 2 {
        let seen = format!(
            "group_size = {group_size}: an advantage is the distance from the group's mean, and that of a group of one \
             is always 0"
        );
        return Finding::error("group", stage, seen, "group_size = 16 (8 to 64 are usual)".to_owned());
    }
    if group_size < SMALL_GROUP {
        let seen = format!(
            "group_size = {group_size}: with a chance of one half, {} of the groups are all right or all wrong and \
             teach nothing",
            super::percent(2.0 * 0.5_f64.powi(group_size as i32))
        );
        return Finding::warning("group", stage, seen, "group_size = 16 (8 to 64 are usual)".to_owned());
    }
    let updates = minibatches * epochs;
    let seen = format!(
        "{prompts} questions × {group_size} completions = {sequences} sequences a step; {updates} update{} a step of {} \
         sequences each; at most {} new tokens a step; {steps} steps ask {} questions",
        if updates == 1 { "" } else { "s" },
        sequences / minibatches.max(1),
        sequences * max_new_tokens,
        prompts as u64 * steps,
    );
    Finding::ok("group", Some(stage), seen)
}

/// The batch of a pretraining stage in words.
pub(super) fn batch_of_documents(stage: &Stage, pretrain: &Pretrain) -> Finding {
    let seen = format!(
        "{} documents an update, {} updates: {} documents, {} of them different; rows of up to {} tokens",
        pretrain.batch_size,
        pretrain.steps,
        pretrain.batch_size as u64 * pretrain.steps,
        pretrain.documents().min(pretrain.batch_size as u64 * pretrain.steps),
        stage.longest_row,
    );
    Finding::ok("batch", Some(stage), seen)
}

/// Learning rates of AdamW that were seen to work at width 64, and how far above them is too far.
///
/// Pretraining: 3e-3 works, 5e-3 still trains. GRPO: 3e-4 works, 1e-3 degrades or collapses while length stays high. To
/// other widths they go with the root of the width: 2.8e-4 for pretraining at a width of 7168 (DeepSeek-V3: 2.2e-4).
struct Rates {
    works: f64,
    odd: f64,
    wrong: f64,
}

const PRETRAINING: Rates = Rates { works: 3e-3, odd: 4.0, wrong: 10.0 };
const REINFORCEMENT: Rates = Rates { works: 3e-4, odd: 2.0, wrong: 3.0 };
/// A rate this many times below the one that works moves nothing in a run of that length.
const SLOW: f64 = 100.0;

/// A number with one digit, as a recipe writes it.
fn rounded(rate: f64) -> String {
    format!("{rate:.0e}")
}

fn learning_rate(plan: &Plan, stage: &Stage, rate: f64, known: &Rates) -> Finding {
    let works = known.works * (64.0 / plan.model.hidden_size as f64).sqrt();
    let times = rate / works;
    let seen = format!(
        "learning_rate = {rate:e} is {times:.2} times what works with AdamW at hidden_size = {} ({})",
        plan.model.hidden_size,
        rounded(works)
    );
    let change = format!("learning_rate = {}", rounded(works));
    if times > known.wrong {
        Finding::error("learning_rate", stage, format!("{seen}: it degrades or diverges"), change)
    } else if times > known.odd {
        Finding::warning("learning_rate", stage, format!("{seen}: it may degrade"), change)
    } else if times * SLOW < 1.0 {
        Finding::warning("learning_rate", stage, format!("{seen}: it hardly moves"), change)
    } else {
        Finding::ok("learning_rate", Some(stage), seen)
    }
}

pub(super) fn learning_rate_of_pretraining(plan: &Plan, stage: &Stage, pretrain: &Pretrain) -> Finding {
    learning_rate(plan, stage, pretrain.learning_rate, &PRETRAINING)
}

pub(super) fn learning_rate_of_grpo(plan: &Plan, stage: &Stage, grpo: &Grpo) -> Finding {
    learning_rate(plan, stage, grpo.learning_rate, &REINFORCEMENT)
}

/// Documents that think, below which no base model was seen to be ready: 6,400 were in three seeds of four, for the
/// easiest task (docs/log/2026-11.md).
const FEW_DOCUMENTS: f64 = 5_000.0;
/// With so few there is nothing for reinforcement learning to select.
const TOO_FEW_DOCUMENTS: f64 = 500.0;

/// Whether the base model can be ready, by what it will have read. Whether it is, only the base model itself can say.
pub(super) fn readiness(patient: &Patient<'_>) -> Finding {
    let stage = patient.stage;
    let mut pretraining = patient.pretraining().peekable();
    if pretraining.peek().is_none() {
        let seen = "it starts from random weights: nothing has been pretrained, and only what the base can do already \
                    is rewarded";
        let change = "put a stage of kind \"pretrain\" before it, with shares = { direct = 0.8, long = 0.2 }";
        return Finding::error("readiness", stage, seen.to_owned(), change.to_owned());
    }
    let (mut thinking, mut name) = (0.0, String::new());
    for (pretrained, settings) in pretraining {
        let shares = &settings.shares;
        let thinks = shares.long + shares.search + shares.flawed;
        let all = thinks + shares.direct + shares.drill;
        thinking +=
            (settings.steps * settings.batch_size as u64) as f64 * thinks / all.max(f64::MIN_POSITIVE);
        name.clone_from(&pretrained.name);
    }
    let seen = format!("the base model will have read {thinking:.0} documents that think");
    if thinking == 0.0 {
        let seen = format!("{seen}: it never learns to think, and nothing can select what it never does");
        let change = format!("stage.{name}.shares.long = 0.2, or .search where the task has such solutions");
        return Finding::error("readiness", stage, seen, change);
    }
    let change = format!(
        "stage.{name}.steps so that there are {FEW_DOCUMENTS} or more, and readiness.action = \"stop\"; `doctor --base` \
         measures a base model that is there"
    );
    if thinking < TOO_FEW_DOCUMENTS {
        Finding::error("readiness", stage, format!("{seen}: too few to learn how"), change)
    } else if thinking < FEW_DOCUMENTS {
        let seen = format!("{seen}: no base model was seen to be ready with fewer than {FEW_DOCUMENTS}");
        Finding::warning("readiness", stage, seen, change)
    } else {
        Finding::ok("readiness", Some(stage), seen)
    }
}
