//! A loop device of our own: made, never guessed, and detached when the test ends.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct LoopDevice {
    pub path: PathBuf,
    pub file: tempfile::NamedTempFile,
}

impl LoopDevice {
    /// A loop device over a new sparse file, or `None` (loudly) where this machine lets us have none.
    pub fn new(bytes: u64) -> Option<LoopDevice> {
        LoopDevice::with(bytes, &[])
    }

    /// As [`LoopDevice::new`], with more options for losetup.
    pub fn with(bytes: u64, options: &[&str]) -> Option<LoopDevice> {
        if !super::need("losetup") {
            return None;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let out = Command::new("losetup").args(["-f", "--show"]).args(options).arg(file.path()).output().unwrap();
        if !out.status.success() {
            let why = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(std::env::var_os("CI").is_none(), "no loop device to be had here: {why}");
            eprintln!("SKIPPED, NOT TESTED: no loop device to be had here: {why}");
            return None;
        }
        let path = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
        assert!(path.starts_with("/dev/loop") || path.to_str().unwrap().starts_with("/dev/loop"), "{path:?}");
        Some(LoopDevice { path, file })
    }

    /// One that the test detaches and attaches again, as a reader whose card is changed. Its number is far away from those
    /// that `losetup -f` gives to other tests meanwhile, and differs from those of other tests that do this.
    pub fn reader(bytes: u64) -> Option<LoopDevice> {
        // Whether there are loop devices here at all.
        drop(LoopDevice::new(bytes)?);
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let begin = 64 + std::process::id() % 128 * 8;
        let path = (begin..begin + 8)
            .map(|number| PathBuf::from(format!("/dev/loop{number}")))
            .find(|path| Command::new("losetup").arg(path).arg(file.path()).output().unwrap().status.success());
        Some(LoopDevice { path: path.expect("one of eight loop devices is free"), file })
    }

    /// Takes the card out: the device is attached to nothing.
    pub fn take_out(&self) {
        assert!(Command::new("losetup").arg("-d").arg(&self.path).status().unwrap().success());
    }

    /// Puts another card in, a file. Somebody who looks at the device right now keeps the old one a moment longer.
    pub fn put_in(&self, card: &Path) {
        let attach = || {
            let mut losetup = Command::new("losetup");
            losetup.arg(&self.path).arg(card).stderr(std::process::Stdio::null()).status().unwrap().success()
        };
        assert!((0..200).any(|_| attach() || {
            std::thread::sleep(std::time::Duration::from_millis(25));
            false
        }));
    }

    /// What the device's file holds now.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.file.path()).unwrap()
    }

    /// Makes an ext4 file system on it and mounts it.
    pub fn mount(&self, at: &Path) -> Mounted {
        assert!(Command::new("mke2fs").args(["-qFt", "ext4"]).arg(&self.path).status().unwrap().success());
        assert!(Command::new("mount").arg(&self.path).arg(at).status().unwrap().success());
        Mounted(at.to_owned())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.path).status();
    }
}

pub struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
