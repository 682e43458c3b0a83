//! What the tests share: builders of real images, oracles, and the binary under test.
#![allow(dead_code)]

pub mod binary;
mod run;

#[allow(unused_imports)]
pub use run::{path, run, run_with_input};
pub mod ext4_disk;
pub mod loop_device;

use std::process::Command;

/// Whether `tool` is installed.
pub fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool} >/dev/null")]).env("PATH", path()).status();
    found.is_ok_and(|status| status.success())
}

/// Whether `tool` is installed. Missing tools fail the test in CI; elsewhere the skip is loud.
pub fn need(tool: &str) -> bool {
    if has(tool) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{tool} is missing: run scripts/setup");
    eprintln!("SKIPPED, NOT TESTED: {tool} is missing; run scripts/setup");
    false
}
