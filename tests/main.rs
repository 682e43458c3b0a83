//! Behaviour of the real binary and of public functions, against oracles that we did not write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod agent_step;
mod audit;
mod aws_activations;
mod bad_images;
mod base_digest;
mod bench;
mod bench_binary;
mod bmap;
mod bmap_beside;
mod bombs;
mod boot;
mod bootfs;
mod card_edits;
mod card_faults;
mod changed_only;
mod check;
mod ci;
mod cli;
mod commands;
mod crash;
mod demo;
mod diff;
mod endless_trees;
mod ext4_mutations;
mod faults;
mod files_step;
mod flash;
mod flash_binary;
mod fleet;
mod fuzzing;
mod gate;
mod golden;
mod identity_step;
mod inputs;
mod layering;
mod ledger;
mod limits;
mod names_are_bytes;
mod other_partitions;
mod partitions;
mod pi_images;
mod power_cut;
mod private;
mod private_copies;
mod reading;
mod readme;
mod recipe;
mod recipe_sharing;
mod recipes;
mod register_step;
mod remote;
mod repair;
mod rootfs;
mod scrub;
mod sections;
mod sharing;
mod signing;
mod sparse_audit;
mod ssm_step;
mod stopping;
mod strangers;
mod streaming;
mod strip;
mod strip_fields;
mod strip_finder;
mod strip_links;
mod strip_rules;
mod strip_sshd;
mod strip_swap;
mod strip_wifi;
mod sudoers;
mod sudoers_step;
mod support;
mod torture;
mod traces;
mod untrusted_text;
mod used_ranges;
mod verify;
mod whole_way;
mod wifi;
mod writer;

/// A file of tests that nobody names is never compiled, and cannot fail.
#[test]
fn every_file_of_tests_is_compiled() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let all = std::fs::read_to_string(tests.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(tests).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(all.contains(&format!("\nmod {module};\n")), "tests/main.rs does not name {name}");
        }
    }
}
