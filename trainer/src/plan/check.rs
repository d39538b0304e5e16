//! Finds settings that have the right form but make no sense.

use super::Device;
use super::recipe::Recipe;
use crate::kernels::precision::Precision;
use crate::recipe::{Checker, StagePath, nearest};

/// Checks what does not depend on the tasks. `names` are the names of the stages.
pub(super) fn check(recipe: &Recipe, names: &[String], checker: &mut Checker<'_>) {
    if !is_file_name(&recipe.name) {
        let help = "a name is at most 100 letters, digits, `.`, `_` and `-`, and does not start with `.`";
        checker.mistake(&["name"], format!("`name` cannot be `{}`", recipe.name), [help.to_owned()]);
    }
    if let Err(unavailable) = recipe.precision.here().available() {
        let help = "choose a precision that this machine has, or `auto`".to_owned();
        checker.mistake(&["precision"], unavailable.to_string(), [help]);
    }
    if Device::parse(&recipe.device).is_none() {
        let meant = nearest(&recipe.device, ["auto", "cpu", "candle", "cuda", "cuda:0"]);
        let help = meant.map(|meant| format!("did you mean `{meant}`?"));
        let valid = "valid values: auto, cpu, candle, cuda, cuda:N".to_owned();
        checker.mistake(
            &["device"],
            format!("`device` cannot be `{}`", recipe.device),
            help.into_iter().chain([valid]),
        );
    }
    if recipe.device == "candle" && recipe.precision.here() != Precision::Float32 {
        let help = "write precision = \"float32\", or device = \"cpu\"".to_owned();
        checker.mistake(
            &["precision", "device"],
            "device `candle` computes in float32 only".to_owned(),
            [help],
        );
    }
    recipe.model.check(checker);
    stage_names(names, checker);
    for (index, stage) in recipe.stage.iter().enumerate() {
        let (kind, at) = (stage.kind(), StagePath { index, name: &names[index] });
        kind.rewards().inspect(|rewards| rewards.check(at, checker));
        kind.check(at, checker);
        kind.learning().inspect(|learning| learning.check(at, checker));
    }
    let Some(first) = recipe.stage.first().map(|stage| stage.kind()) else { return };
    if first.rewards().is_some() {
        let message = format!("stage `{}` starts from random weights: nothing has been pretrained", names[0]);
        checker.warn(&["stage.0.kind"], message);
    }
    if first.learning().is_none() {
        let message = format!("stage `{}` measures random weights: nothing has been trained", names[0]);
        checker.warn(&["stage.0.kind"], message);
    }
}

fn is_file_name(name: &str) -> bool {
    // A file system takes 255 bytes, some of which are for what a name is put together with.
    const LONGEST: usize = 100;
    !name.starts_with('.')
        && name.len() <= LONGEST
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

fn stage_names(names: &[String], checker: &mut Checker<'_>) {
    for (index, name) in names.iter().enumerate() {
        let path = format!("stage.{index}.name");
        let is_number = name.chars().all(|letter| letter.is_ascii_digit());
        if !is_file_name(name) || name.contains('.') || is_number {
            let help =
                "a stage's name has at most 100 letters, digits, `_` and `-`, and not only digits".to_owned();
            checker.mistake(&[&path], format!("`{path}` cannot be `{name}`"), [help]);
        } else if let Some(first) = names[..index].iter().position(|earlier| earlier == name) {
            let help = "checkpoints and metrics use the stage's name: give each stage its own".to_owned();
            checker.mistake(&[&path], format!("`{path}` is `{name}`, as is that of stage.{first}"), [help]);
        }
    }
}
