//! An image of two directories of this machine, made by mke2fs and mtools, and what the audit finds in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use cardsmith::audit::{AuditOptions, Finding, audit};
use cardsmith::image::{ImageFile, ReadAt};

use super::host_tree::HostTree;
use super::run::{run, run_with_input};

const SECTOR: u64 = 512;
const BOOT: (u64, u64) = (2048, 16 << 11);
const ROOT: (u64, u64) = (2048 + (16 << 11), 64 << 11);

/// What the audit finds: the rule and the place.
pub fn audited(root: &HostTree, boot: &HostTree) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let path = image_of(root, boot, dir.path().join("image.img"));
    let image: Arc<dyn ReadAt> = Arc::new(ImageFile::open(&path).unwrap());
    let report = audit(&image, image.clone(), &AuditOptions::default()).unwrap();
    report.findings.into_iter().map(|Finding { rule, place, .. }| (rule.to_owned(), place)).collect()
}

fn image_of(root: &HostTree, boot: &HostTree, path: PathBuf) -> PathBuf {
    fs::File::create(&path).unwrap().set_len((ROOT.0 + ROOT.1) * SECTOR).unwrap();
    let table = format!("label: dos\n{},{},c\n{},{},83\n", BOOT.0, BOOT.1, ROOT.0, ROOT.1);
    run_with_input(Command::new("sfdisk").arg("-q").arg(&path), table.as_bytes());
    fs::create_dir_all(root.host("/etc")).unwrap();
    let offset = format!("offset={}", ROOT.0 * SECTOR);
    let blocks = format!("{}k", ROOT.1 / 2);
    run(Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-F", "-b", "4096", "-E", &offset, "-d"])
        .arg(root.path())
        .arg(&path)
        .arg(blocks));
    // fatfs would not take a boot partition without one of the firmware's files.
    if !boot.has("/config.txt") {
        boot.file("/config.txt", 0o644, "# none\n");
    }
    run(Command::new("mkfs.fat").args(["--offset", &BOOT.0.to_string()]).arg(&path).arg((BOOT.1 / 2).to_string()));
    let at = format!("{}@@{}", path.display(), BOOT.0 * SECTOR);
    let entries: Vec<PathBuf> = fs::read_dir(boot.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    run(Command::new("mcopy").args(["-s", "-i", &at]).args(entries).arg("::/"));
    path
}
