//! Traces: byte strings that must be nowhere in the finished image. They are collected before anything is stripped,
//! searched for in the finished image, and forgotten; only their digests are kept.

mod collect;
mod extract;
mod grams;
mod search;
mod set;

pub use collect::collect;
pub use search::{Found, Search};
pub use set::{Scope, Trace, Traces};
