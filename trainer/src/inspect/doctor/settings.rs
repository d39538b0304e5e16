//! Checks that only need the numbers of the recipe.

use super::{Finding, Patient};

/// No base model was ready with fewer documents that think: 6,400 sufficed for three of four seeds on the easiest task
/// (docs/log/2026-11.md).
const FEW_DOCUMENTS: f64 = 5_000.0;
/// With fewer, reinforcement learning has nothing to select.
const TOO_FEW_DOCUMENTS: f64 = 500.0;

/// Whether the base model can be ready, judged by its corpus. Only the base model itself can show that it is.
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
    for (pretrained, shares) in pretraining {
        let thinks = shares.long + shares.search + shares.flawed;
        let all = thinks + shares.direct + shares.drill;
        let learning = pretrained.settings.kind().learning();
        let documents = learning.map_or(0, |learning| learning.steps * learning.rows_per_step);
        thinking += documents as f64 * thinks / all.max(f64::MIN_POSITIVE);
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
