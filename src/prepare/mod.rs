//! What the steps share: the [`Plan`] of edits with their reasons, and the [`View`] of an image that already shows what was
//! proposed. Nothing here writes; [`crate::golden`] applies a plan.

pub mod content;
pub mod edited_tree;
mod listings;
#[cfg(test)]
pub(crate) mod mem_tree;
pub mod pattern;
pub mod plan;
mod proposed;
pub mod step;
pub mod view;
#[cfg(test)]
mod view_tests;

pub use content::Content;
pub use edited_tree::EditedTree;
pub use plan::{Change, Class, Edit, Finding, Plan, Reason, Severity, Volume};
pub use step::{Step, StepError};
pub use view::{SETTINGS_LIMIT, View};
