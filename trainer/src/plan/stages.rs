//! The stages of a recipe: what each asks, how long its rows are, how many it takes.

use std::sync::Arc;

use thinkling_datasets::SolutionKind;

use super::Stage;
use super::check::Checker;
use super::rewards;
use super::task::{self, Lengths, Task, ample, longest};
use crate::recipe::{self, Eval, Grpo, Pretrain, Recipe, Shares};
use crate::tokenizer::Tokenizer;

/// The stages as meant, and the symbols that their texts are written in.
pub(super) struct Drafts {
    pub(super) stages: Vec<Stage>,
    pub(super) tokenizer: Tokenizer,
}

/// A task that a stage asks, and where the recipe says so; none where it was wrong.
#[derive(Clone)]
struct Asked {
    path: String,
    task: Option<Arc<Task>>,
}

/// What one stage asks.
struct Asks {
    learnt: Asked,
    measured: Vec<Asked>,
}

/// A task's measures.
struct Measured {
    task: Arc<Task>,
    lengths: Lengths,
}

/// Builds the tasks of all stages and measures them; none where one is wrong.
pub(super) fn draft(written: &Recipe, names: &[String], checker: &mut Checker<'_>) -> Option<Drafts> {
    let asks = ask(written, names, checker);
    let all = || asks.iter().flat_map(|asks| std::iter::once(&asks.learnt).chain(&asks.measured));
    let alphabets = all().filter_map(|asked| Some(asked.task.as_deref()?.domain.alphabet()));
    let tokenizer = Tokenizer::from_alphabets(alphabets);
    let mut measured: Vec<Measured> = Vec::new();
    for Asked { path, task } in all() {
        let Some(task) = task else { continue };
        if measured.iter().any(|known| known.task == *task) {
            continue;
        }
        match Lengths::measure(task, &tokenizer) {
            Ok(lengths) => measured.push(Measured { task: task.clone(), lengths }),
            Err(message) => checker.mistake(&[path], format!("task `{}`: {message}", task.row.name), []),
        }
    }
    let drafter = Drafter { written, measured, taught: taught(written) };
    let stages: Vec<Option<(Stage, usize)>> = asks
        .into_iter()
        .enumerate()
        .map(|(index, asks)| drafter.stage(index, &names[index], asks, checker))
        .collect();
    let longest = (0usize..).zip(&stages).filter_map(|(index, stage)| Some((index, stage.as_ref()?)));
    let longest = longest.max_by_key(|(_, (_, seen))| *seen);
    if let (Some((index, (stage, seen))), Some(limit)) = (longest, written.model.max_position_embeddings)
        && limit < *seen
    {
        let key = "model.max_position_embeddings";
        let message = format!("`{key}` is {limit}: stage `{}` has rows of {seen} tokens", stage.name);
        let help = format!("leave `{key}` out, or make it at least {seen}");
        checker.mistake(&[key, &format!("stage.{index}.max_new_tokens")], message, [help]);
    }
    let stages = stages.into_iter().map(|stage| stage.map(|(stage, _)| stage));
    Some(Drafts { stages: stages.collect::<Option<_>>()?, tokenizer })
}

/// Builds every task, in the order of the recipe.
fn ask(written: &Recipe, names: &[String], checker: &mut Checker<'_>) -> Vec<Asks> {
    let build = |task: &recipe::Task, path: String, checker: &mut Checker<'_>| {
        let task = task::build(task, &path, checker).map(Arc::new);
        Asked { path, task }
    };
    let common = written.task.as_ref().map(|task| build(task, "task".to_owned(), checker));
    let mut asks = Vec::with_capacity(written.stage.len());
    let mut without = Vec::new();
    for (index, stage) in written.stage.iter().enumerate() {
        let own = stage.task().map(|task| build(task, format!("stage.{index}.task"), checker));
        let listed: Vec<Asked> = match stage {
            recipe::Stage::Eval(Eval { tasks: Some(tasks), .. }) => tasks
                .iter()
                .enumerate()
                .map(|(number, task)| build(task, format!("stage.{index}.tasks.{number}"), checker))
                .collect(),
            _ => Vec::new(),
        };
        let learnt = own.or_else(|| listed.first().cloned()).or_else(|| common.clone());
        let learnt = learnt.unwrap_or_else(|| {
            let path = format!("stage.{index}.task");
            if !checker.is_faulty(&path) {
                without.push(index);
            }
            Asked { path, task: None }
        });
        let measured = if listed.is_empty() { vec![learnt.clone()] } else { listed };
        asks.push(Asks { learnt, measured });
    }
    if let Some(first) = without.first() {
        let names: Vec<&str> = without.iter().map(|index| names[*index].as_str()).collect();
        let message = format!("no task for stage {}", names.join(", "));
        let help = "add [task] with `name` and `level` for all stages, or `task` to each".to_owned();
        checker.mistake(&[&format!("stage.{first}.task"), "task"], message, [help]);
    }
    asks
}

/// The share of each kind of worked solution.
fn solutions(shares: &Shares) -> [(SolutionKind, f64); 4] {
    let Shares { direct, long, search, flawed, drill: _ } = *shares;
    [
        (SolutionKind::Direct, direct),
        (SolutionKind::Long, long),
        (SolutionKind::Search, search),
        (SolutionKind::Flawed, flawed),
    ]
}

/// The kinds of solution that the recipe shows its network; all of them where it shows none.
fn taught(written: &Recipe) -> Vec<SolutionKind> {
    let shown = |kind: &SolutionKind| {
        written.stage.iter().any(|stage| match stage {
            recipe::Stage::Pretrain(stage) => {
                solutions(&stage.shares).iter().any(|(shown, share)| shown == kind && *share > 0.0)
            }
            _ => false,
        })
    };
    let taught: Vec<SolutionKind> = SolutionKind::ALL.into_iter().filter(shown).collect();
    if taught.is_empty() { SolutionKind::ALL.to_vec() } else { taught }
}

struct Drafter<'a> {
    written: &'a Recipe,
    measured: Vec<Measured>,
    taught: Vec<SolutionKind>,
}

/// Tokens of a stage's longest row: at least (seen), and with room to spare.
struct Rows {
    seen: usize,
    ample: usize,
}

impl Drafter<'_> {
    fn lengths(&self, asked: &Asked) -> Option<&Lengths> {
        let task = asked.task.as_ref()?;
        self.measured.iter().find(|known| known.task == *task).map(|known| &known.lengths)
    }

    /// The stage as meant, and the tokens of the longest row that was seen.
    fn stage(
        &self,
        index: usize,
        name: &str,
        asks: Asks,
        checker: &mut Checker<'_>,
    ) -> Option<(Stage, usize)> {
        let path = format!("stage.{index}");
        let lengths = self.lengths(&asks.learnt)?;
        let measured: Vec<&Lengths> =
            asks.measured.iter().map(|asked| self.lengths(asked)).collect::<Option<_>>()?;
        let task = asks.learnt.task.clone()?;
        let (rows, rows_per_step, updates_per_step) = match &self.written.stage[index] {
            recipe::Stage::Pretrain(stage) => {
                has_solutions(stage, &path, &task, lengths, checker);
                (document_rows(&stage.shares, lengths), stage.batch_size as u64, 1)
            }
            recipe::Stage::Grpo(stage) => {
                self.warn_of_cuts(stage, &path, name, lengths, checker);
                rewards::suit(stage, &path, &task, checker);
                let rows = completion_rows(lengths, stage.max_new_tokens, stage.max_new_tokens);
                let rows_per_step = (stage.prompts as u64).saturating_mul(stage.group_size as u64);
                (rows, rows_per_step, (stage.minibatches as u64).saturating_mul(stage.epochs as u64))
            }
            recipe::Stage::Eval(_) => {
                let rows = measured.iter().map(|lengths| {
                    let seen = self.completions(lengths).map(longest).max().unwrap_or(0);
                    completion_rows(lengths, seen, self.room(lengths))
                });
                (rows.reduce(Rows::max)?, 0, 0)
            }
        };
        let room = match &self.written.stage[index] {
            recipe::Stage::Grpo(stage) => stage.max_new_tokens,
            _ => measured.iter().map(|lengths| self.room(lengths)).max()?,
        };
        let limit = self.written.model.max_position_embeddings.unwrap_or(usize::MAX);
        let prompts = measured.iter().chain([&lengths]).map(|lengths| ample(&lengths.prompts));
        let longest_prompt = prompts.max().unwrap_or(0).min(limit);
        let mut settings = self.written.stage[index].clone();
        settings.fill(name);
        let stage = Stage {
            name: name.to_owned(),
            task,
            measured: asks.measured.into_iter().map(|asked| asked.task).collect::<Option<_>>()?,
            settings,
            longest_prompt,
            longest_row: rows.ample.min(limit),
            max_new_tokens: room.min(limit - longest_prompt),
            rows_per_step,
            updates_per_step,
        };
        Some((stage, rows.seen))
    }

    /// Lengths of the solutions that the network was shown, kind by kind.
    fn completions<'l>(&self, lengths: &'l Lengths) -> impl Iterator<Item = &'l [usize]> {
        self.taught.iter().filter_map(|kind| lengths.completions(*kind))
    }

    /// Tokens a completion may have where it is only measured: room for what was taught, and for what reinforcement
    /// learning allows.
    fn room(&self, lengths: &Lengths) -> usize {
        let allowed = self.written.stage.iter().filter_map(|stage| match stage {
            recipe::Stage::Grpo(stage) => Some(stage.max_new_tokens),
            _ => None,
        });
        allowed.chain(self.completions(lengths).map(ample)).max().unwrap_or(0)
    }

    fn warn_of_cuts(
        &self,
        stage: &Grpo,
        path: &str,
        name: &str,
        lengths: &Lengths,
        checker: &mut Checker<'_>,
    ) {
        let key = format!("{path}.max_new_tokens");
        for kind in &self.taught {
            let Some(completions) = lengths.completions(*kind) else { continue };
            let cut = completions.iter().filter(|length| **length > stage.max_new_tokens).count();
            if cut > 0 {
                let message = format!(
                    "stage `{name}`: max_new_tokens = {} cuts off {:.0} % of the {} solutions; the longest seen has {} tokens",
                    stage.max_new_tokens,
                    (100.0 * cut as f64 / completions.len() as f64).ceil(),
                    kind.name(),
                    longest(completions),
                );
                checker.warn(&[&key], message);
            }
        }
    }
}

impl Rows {
    fn max(self, other: Self) -> Self {
        Self { seen: self.seen.max(other.seen), ample: self.ample.max(other.ample) }
    }
}

/// Notes every kind of document that has a share and that the task cannot write.
fn has_solutions(stage: &Pretrain, path: &str, task: &Task, lengths: &Lengths, checker: &mut Checker<'_>) {
    let mut has: Vec<(&str, f64, bool)> = solutions(&stage.shares)
        .into_iter()
        .map(|(kind, share)| (kind.name(), share, lengths.completions(kind).is_some()))
        .collect();
    has.push(("drill", stage.shares.drill, lengths.drills.is_some()));
    let valid: Vec<&str> =
        has.iter().filter(|(_, _, is_there)| *is_there).map(|(kind, _, _)| *kind).collect();
    for (kind, share, is_there) in &has {
        if *share > 0.0 && !is_there {
            let message = format!("task `{}` has no documents of the kind `{kind}`", task.row.name);
            let help = format!("it has: {}", valid.join(", "));
            checker.mistake(&[&format!("{path}.shares.{kind}")], message, [help]);
        }
    }
}

/// Rows of worked solutions and drills.
fn document_rows(shares: &Shares, lengths: &Lengths) -> Rows {
    let shown = solutions(shares).into_iter().filter(|(_, share)| *share > 0.0);
    let completions = shown.filter_map(|(kind, _)| lengths.completions(kind));
    let rows = completions
        .map(|lengths_of_kind| completion_rows(lengths, longest(lengths_of_kind), ample(lengths_of_kind)));
    let drills = lengths.drills.as_deref().filter(|_| shares.drill > 0.0).unwrap_or_default();
    rows.fold(Rows { seen: longest(drills), ample: ample(drills) }, Rows::max)
}

/// Rows of a prompt and a completion of so many tokens.
fn completion_rows(lengths: &Lengths, seen: usize, roomy: usize) -> Rows {
    Rows { seen: longest(&lengths.prompts) + seen, ample: ample(&lengths.prompts) + roomy }
}
