//! What the tests share: builders of real images, oracles, and the binary under test.
#![allow(dead_code)]

use std::process::Command;

/// Whether `tool` is installed. Missing tools fail the test in CI; elsewhere the skip is loud.
pub fn need(tool: &str) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let found = Command::new("sh").args(["-c", &format!("command -v {tool} >/dev/null")]).env("PATH", path).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{tool} is missing: run scripts/setup");
    eprintln!("SKIPPED, NOT TESTED: {tool} is missing; run scripts/setup");
    false
}
