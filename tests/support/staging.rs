//! Files on this machine that mke2fs and mcopy then pack into an image. Owners are applied by a script under (fake) root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pi_image::Needle;
use super::run::run;

/// A root file system and a boot partition in the making.
pub struct Tree {
    root: PathBuf,
    boot: PathBuf,
    owners: Vec<(String, u32, u32)>,
    needles: Vec<Needle>,
}

impl Tree {
    pub fn new(work: &Path) -> Tree {
        let (root, boot) = (work.join("r"), work.join("b"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&boot).unwrap();
        Tree { root, boot, owners: Vec::new(), needles: Vec::new() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn boot(&self) -> &Path {
        &self.boot
    }

    pub fn needles(&self) -> Vec<Needle> {
        self.needles.clone()
    }

    pub fn needle(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.needles.push(Needle { name: name.to_owned(), bytes: bytes.as_ref().to_vec() });
    }

    pub fn dir(&mut self, path: &str, mode: u32) {
        let place = self.root.join(path);
        fs::create_dir_all(&place).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn file(&mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let place = self.root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&place);
        fs::write(&place, content).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn owned(&mut self, owner: (u32, u32), path: &str, mode: u32, content: impl AsRef<[u8]>) {
        self.file(path, mode, content);
        self.own(owner, path);
    }

    /// The owner of one path, or of a tree when it is a directory.
    pub fn own(&mut self, owner: (u32, u32), path: &str) {
        self.owners.push((path.to_owned(), owner.0, owner.1));
    }

    pub fn link(&mut self, path: &str, target: &str) {
        let place = self.root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, place).unwrap();
    }

    pub fn hard_link(&mut self, path: &str, of: &str) {
        let place = self.root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&place);
        fs::hard_link(self.root.join(of), place).unwrap();
    }

    pub fn remove(&mut self, path: &str) {
        let place = self.root.join(path);
        if place.is_dir() && !place.is_symlink() {
            fs::remove_dir_all(place).unwrap();
        } else {
            let _ = fs::remove_file(place);
        }
    }

    pub fn boot_file(&mut self, path: &str, content: impl AsRef<[u8]>) {
        let place = self.boot.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    /// One time for everything, so that images of one kind are alike.
    pub fn settle(&self, epoch: &str) {
        let script = format!("find \"$1\" \"$2\" -exec touch -h -d @{epoch} {{}} +");
        run(Command::new("sh").args(["-c", &script, "sh"]).arg(&self.root).arg(&self.boot));
    }

    /// Shell lines that give everything its owner.
    pub fn ownership_script(&self) -> String {
        let mut script = format!("cd '{}'\nchown -hR 0:0 .\n", self.root.display());
        for (path, uid, gid) in &self.owners {
            script.push_str(&format!("[ ! -e '{path}' ] || chown -hR {uid}:{gid} '{path}'\n"));
        }
        // chown takes the setuid bit away.
        script.push_str("chmod 4755 usr/bin/sudo\ncd /\n");
        script
    }
}
