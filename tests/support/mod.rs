//! What the tests share: builders of real images, oracles, and the binary under test.
#![allow(dead_code)]

pub mod binary;
pub mod dice;
pub mod ext4_disk;
pub mod fake_ssm;
pub mod faulty_card;
pub mod fuse_card;
pub mod guest;
pub mod host_tree;
pub mod loop_device;
pub mod mounted;
pub mod noise;
pub mod oracle;
mod pi_assembly;
pub mod pi_image;
mod pi_secrets;
mod pi_tree;
pub mod releases;
pub mod root_image;
mod run;
pub mod s3_server;
mod staging;
pub mod terminal;
pub mod volume;
pub mod web_server;

#[allow(unused_imports)]
pub use pi_image::PiImage;
#[allow(unused_imports)]
pub use run::{path, run, run_with_input};

use std::process::Command;

/// Whether `tool` is installed.
pub fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool} >/dev/null")]).env("PATH", path()).status();
    found.is_ok_and(|status| status.success())
}

/// Whether the test may mount: the kernel as an oracle needs root. As [`need`], missing rights fail the test in CI.
pub fn need_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "this test mounts images and needs root: run scripts/test as root in CI");
    eprintln!("SKIPPED, NOT TESTED: needs root, to mount images with the kernel");
    false
}

/// Whether everything is there that [`PiImage`] is built with.
pub fn need_builder() -> bool {
    let tools = ["sfdisk", "mkfs.fat", "mcopy", "mke2fs", "debugfs", "e2fsck", "openssl", "ssh-keygen", "setfattr"];
    tools.iter().all(|tool| need(tool)) && (rustix::process::geteuid().is_root() || need("fakeroot"))
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

/// The file of a lived-in image that has the append-only flag, without a leading slash.
pub fn append_only_file() -> &'static str {
    pi_tree::APPEND_ONLY
}

/// The managed node that a lived-in image was.
pub fn instance_id() -> &'static str {
    pi_tree::INSTANCE_ID
}
