//! Loads the model that `MODEL` on the command line names.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thinkling::data::tokenizer::Tokenizer;
use thinkling::kernels::precision::Precision;
use thinkling::plan::{self, Plan};
use thinkling::policy::{CpuPolicy, Policy};
use thinkling::tracking::{recovery, run_folder};
use thinkling_datasets::{Split, domains};

use super::Failure;

pub(super) struct LoadedModel {
    pub(super) policy: Box<dyn Policy>,
    pub(super) tokenizer: Tokenizer,
    /// The plan of its run, if the run's recipe is there.
    plan: Option<Plan>,
    /// Why that recipe cannot be read.
    unread: Option<String>,
}

impl LoadedModel {
    /// Loads a checkpoint folder, or the newest checkpoint of a run folder.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let checkpoint = recovery::checkpoint_at(path)?.ok_or_else(|| {
            let message = "neither a run folder with a checkpoint nor a checkpoint folder";
            usage!("{}: {message}", path.display())
        })?;
        let (config, parameters) = checkpoint.policy()?;
        let tokenizer = Tokenizer::from_json(&checkpoint.json::<Value>("tokenizer.json")?)?;
        let recipe: PathBuf = checkpoint.folder.join("../..").join(run_folder::RECIPE);
        let (plan, unread) = match recipe.exists().then(|| plan::load(&recipe, &[])) {
            Some(Ok(plan)) => (Some(plan), None),
            Some(Err(errors)) => (None, Some(errors.to_string())),
            None => (None, None),
        };
        Ok(Self {
            policy: Box::new(CpuPolicy::new(config, parameters, Precision::Float32)),
            tokenizer,
            plan,
            unread,
        })
    }

    fn tasks(&self) -> impl Iterator<Item = &plan::Task> {
        self.plan.iter().flat_map(|plan| &plan.stages).flat_map(|stage| &stage.measured).map(AsRef::as_ref)
    }

    /// The task `name` at `level`, with the settings that the run had for it.
    pub(super) fn task(&self, name: &str, level: u32) -> Result<plan::Task, Failure> {
        if let Some(task) = self.tasks().find(|task| (task.name.as_str(), task.level) == (name, level)) {
            return Ok(task.clone());
        }
        let own = self.tasks().find(|task| task.name == name);
        if let Some(task) = own.filter(|task| task.file.is_some() || task.program.is_some()) {
            let task = plan::Task { level, ..task.clone() };
            task.dataset(0).and_then(|dataset| dataset.question(Split::Test, 0)).map_err(Failure::usage)?;
            return Ok(task);
        }
        if let (None, Some(unread)) = (domains::find(name), &self.unread) {
            return Err(usage!("the run's own recipe cannot be read: {unread}"));
        }
        let row = super::generate::find_task(name)?;
        let settings = self.tasks().find(|task| task.name == name).map(|task| task.settings.clone());
        build_task(row, level, settings.unwrap_or_default())
    }

    /// The level that the run trained the task `name` at; the last one if there were several.
    pub(super) fn trained_level(&self, name: &str) -> Option<u32> {
        let mut stages = self.plan.iter().flat_map(|plan| &plan.stages);
        let courses =
            stages.find_map(|stage| stage.courses.iter().find(|course| course.tasks[0].name == name));
        Some(courses?.tasks.last()?.level)
    }

    /// The most new tokens after the task's prompts: what the policy's positions and the run's limit allow.
    pub(super) fn room(&self, task: &plan::Task, seed: u64, count: u64) -> Result<usize, Failure> {
        let dataset = task.dataset(seed).map_err(Failure::usage)?;
        let mut longest = 0;
        for index in 0..count {
            let question = dataset.question(Split::Test, index)?;
            longest = longest.max(
                self.tokenizer
                    .encode(&question.problem.prompt)
                    .map_err(|error| {
                        usage!(
                            "the model cannot read task `{}`: {error}; it was trained on another alphabet",
                            task.name
                        )
                    })?
                    .len(),
            );
        }
        // Two positions are for thinking tags.
        let room = (self.policy.config().max_position_embeddings + 1).saturating_sub(longest + 2);
        if room == 0 {
            return Err(usage!(
                "prompts of task `{}` at level {} take all {} positions of the model: use a lower level",
                task.name,
                task.level,
                self.policy.config().max_position_embeddings
            ));
        }
        let limit = self.plan.iter().flat_map(|plan| &plan.stages).map(|stage| stage.max_new_tokens).max();
        Ok(limit.map_or(room, |limit| room.min(limit)))
    }
}

fn build_task(
    row: &'static domains::Row,
    level: u32,
    settings: Map<String, Value>,
) -> Result<plan::Task, Failure> {
    let domain = (row.build)(&Value::Object(settings.clone())).map_err(Failure::usage)?;
    let (name, domain) = (row.name.to_owned(), domain.into());
    let task = plan::Task { name, level, settings, domain, file: None, program: None };
    task.dataset(0).map_err(Failure::usage)?;
    Ok(task)
}
