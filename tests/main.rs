//! Behaviour of the real binary and of public functions, against oracles that we did not write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recipe;
mod partitions;
mod support;
