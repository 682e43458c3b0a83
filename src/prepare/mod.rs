//! What the steps share: the [`Plan`] of edits with their reasons, and the [`View`] of an image that already shows what was
//! proposed. The steps that strip are here, too. Nothing here writes; [`crate::golden`] applies a plan.

pub mod content;
pub mod edited_tree;
pub mod identity;
#[cfg(test)]
pub(crate) mod mem_tree;
pub mod path_rule;
pub mod pattern;
pub mod plan;
mod proposed;
pub mod remove;
pub mod ssm;
pub mod step;
pub mod view;
#[cfg(test)]
mod view_tests;

pub use content::Content;
pub use edited_tree::EditedTree;
pub use path_rule::{Action, PathRule};
pub use plan::{Change, Class, Edit, Finding, Plan, Reason, Severity, Volume};
pub use step::{Step, StepError};
pub use view::View;
