//! A card that misbehaves, for the real binary: a loop device over the only file of a FUSE file system of our own.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The interpreter that Debian's own modules are for.
const PYTHON: &str = "/usr/bin/python3";

pub struct FuseCard {
    pub path: PathBuf,
    backing: tempfile::NamedTempFile,
    mountpoint: tempfile::TempDir,
    server: Child,
}

fn need_fuse() -> bool {
    let module = Command::new(PYTHON).args(["-c", "import fusepy"]).stderr(Stdio::null()).status();
    let there = Path::new("/dev/fuse").exists() && module.is_ok_and(|status| status.success());
    if !there || !super::need_root() || !super::need("losetup") {
        assert!(std::env::var_os("CI").is_none(), "needs /dev/fuse and python3-fusepy: run scripts/setup");
        eprintln!("SKIPPED, NOT TESTED: needs root, /dev/fuse and python3-fusepy; run scripts/setup");
        return false;
    }
    true
}

impl FuseCard {
    /// A card of this size that holds an old system, and has these faults: see faulty_fuse.py. `None` (loudly) where
    /// this machine has no FUSE.
    pub fn new(bytes: u64, faults: &[&str]) -> Option<FuseCard> {
        if !need_fuse() {
            return None;
        }
        let backing = tempfile::NamedTempFile::new().unwrap();
        backing.as_file().set_len(bytes).unwrap();
        backing.as_file().write_all_at(&[0x55, 0xAA], 510).unwrap();
        let mountpoint = tempfile::tempdir().unwrap();
        let mut server = Command::new(PYTHON);
        server.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/faulty_fuse.py"));
        server.arg(backing.path()).arg(mountpoint.path()).args(faults);
        let server = server.stdin(Stdio::null()).spawn().unwrap();
        let mut card = FuseCard { path: PathBuf::new(), backing, mountpoint, server };
        let file = card.mountpoint.path().join("card");
        let since = Instant::now();
        while !file.exists() {
            assert!(since.elapsed() < Duration::from_secs(60), "FUSE did not come up");
            assert!(card.server.try_wait().unwrap().is_none(), "FUSE ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let out = Command::new("losetup").args(["-f", "--show", "--direct-io=on"]).arg(&file).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        card.path = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
        Some(card)
    }

    /// What is on the card, whatever it says.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.backing.path()).unwrap()
    }

    /// The process behind it: killing it is pulling the card out.
    pub fn server(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.server)
    }

    /// As when it is pulled out: every request under way, and every later one, fails.
    pub fn pull(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for FuseCard {
    fn drop(&mut self) {
        self.pull();
        if self.path.starts_with("/dev") {
            let _ = Command::new("losetup").arg("-d").arg(&self.path).status();
        }
        // A dead server leaves its mount behind.
        let umount = Command::new("umount").arg("-l").arg(self.mountpoint.path()).stderr(Stdio::null()).status();
        let _ = umount;
    }
}
