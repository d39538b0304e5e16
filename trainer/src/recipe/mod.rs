//! The parts of a recipe: its text as a tree, its form, its mistakes, and settings that belong to no other folder.

mod checker;
mod conform;
mod mistake;
mod model;
mod task;
mod tree;

pub(crate) use checker::{Checker, StagePath};
pub use mistake::{Mistake, RecipeErrors};
pub(crate) use model::ModelSettings;
pub(crate) use task::TaskEntry;

pub(crate) use conform::conform;
pub(crate) use mistake::{Found, Sources, keys, nearest, values};
pub(crate) use tree::{Node, apply_override, parse, unique_names};
