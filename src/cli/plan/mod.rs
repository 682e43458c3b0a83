//! `cardsmith plan`: the edits that would be made, as a readable diff.

pub(crate) mod show;
