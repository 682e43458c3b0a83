//! Behaviour of the real binary and of public functions, against oracles that we did not write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod audit;
mod aws_activations;
mod bad_images;
mod bmap;
mod boot;
mod bootfs;
mod card_edits;
mod check;
mod cli;
mod commands;
mod crash;
mod demo;
mod flash;
mod flash_binary;
mod fleet;
mod gate;
mod golden;
mod identity_step;
mod ledger;
mod partitions;
mod pi_images;
mod reading;
mod readme;
mod recipe;
mod register_step;
mod repair;
mod rootfs;
mod scrub;
mod ssm_step;
mod support;
mod used_ranges;
mod verify;
mod whole_way;
mod writer;
