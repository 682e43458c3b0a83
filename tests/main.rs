//! Behaviour of the real binary and of public functions, against oracles that we did not write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod agent_step;
mod aws_activations;
mod bmap;
mod boot;
mod bootfs;
mod card_edits;
mod cli;
mod check;
mod crash;
mod files_step;
mod fleet;
mod gate;
mod golden;
mod identity_step;
mod ledger;
mod partitions;
mod pi_images;
mod reading;
mod recipe;
mod register_step;
mod rootfs;
mod ssm_step;
mod scrub;
mod sudoers;
mod sudoers_step;
mod support;
mod used_ranges;
mod writer;
