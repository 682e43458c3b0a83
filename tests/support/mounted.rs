//! A volume mounted by the Linux kernel through a loop device: the oracle for everything that is ext4. Needs root.

use std::path::Path;
use std::process::Command;

use super::run::{path, run};
use super::volume::Volume;

/// Unmounts when it is dropped; the loop device goes with the mount (`-o loop` sets autoclear).
pub struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    /// For looking: nothing of the image changes, and a dirty journal is an error of the caller.
    pub fn read_only(volume: &Volume) -> Mounted {
        Mounted::mount(volume, "ro,noload")
    }

    /// For living in it; the kernel replays a dirty journal first.
    pub fn read_write(volume: &Volume) -> Mounted {
        Mounted::mount(volume, "rw")
    }

    fn mount(volume: &Volume, how: &str) -> Mounted {
        let dir = tempfile::Builder::new().prefix("mounted-").tempdir().unwrap();
        let options = format!("{how},loop,offset={},sizelimit={}", volume.start, volume.len);
        run(Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(&volume.image).arg(dir.path()));
        Mounted { dir }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.dir.path()).env("PATH", path()).status();
        // The directory must not be emptied by TempDir while somebody's file system is still on it.
        if !done.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(self.dir.path()).env("PATH", path()).status();
        }
    }
}
