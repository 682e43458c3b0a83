//! The block map of a file system holds all that carries meaning, and nothing else.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use cardsmith::fs::blockmap::used_ranges;
use cardsmith::image::ReadAt;
use tempfile::TempDir;

use crate::bootfs::{assert_fat_clean, fat, get};
use crate::support::ext4_disk::{Disk, FEATURE_SETS, run};
use crate::support::need;

/// The disk's used ranges on a medium that is otherwise full of noise.
fn on_a_used_medium(disk: &Disk) -> Disk {
    let overlay = disk.overlay();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("disk.img");
    let medium = File::create(&path).unwrap();
    let size = fs::metadata(&disk.path).unwrap().len();
    for at in (0..size).step_by(1 << 20) {
        medium.write_all_at(&vec![0xA5; (size - at).min(1 << 20) as usize], at).unwrap();
    }
    for range in used_ranges(&overlay).unwrap() {
        let mut bytes = vec![0; range.len.0 as usize];
        overlay.read_at(range.start, &mut bytes).unwrap();
        medium.write_all_at(&bytes, range.start.0).unwrap();
    }
    Disk { directory, path }
}

#[test]
fn a_medium_that_gets_only_the_used_ranges_of_an_ext4_is_the_same_file_system() {
    if !need("mke2fs") || !need("e2fsck") || !need("dumpe2fs") {
        return;
    }
    for (name, options) in FEATURE_SETS {
        let disk = Disk::ext4(200, options, |top| {
            for n in 0..200 {
                fs::write(top.join(format!("file-{n}")), vec![n as u8; 10_000]).unwrap();
            }
        });
        let medium = on_a_used_medium(&disk);
        medium.assert_clean(name);
        assert_eq!(medium.kernel_tree(), disk.kernel_tree(), "{name}");
        medium.mounted("rw", |top| fs::write(top.join("new"), vec![1; 30 << 20]).unwrap());
        medium.assert_clean(name);

        // Nothing that e2fsprogs calls free is in the map.
        let listed = run(Command::new("dumpe2fs").arg("-f").arg(&disk.path)).stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let number = |key: &str| -> u64 {
            let line = listed.lines().find(|line| line.starts_with(key)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let (free, block, count) = (number("Free blocks:"), number("Block size:"), number("Block count:"));
        let used: u64 = used_ranges(&disk.overlay()).unwrap().iter().map(|range| range.len.0).sum();
        let boot_block = number("First block:") * block;
        assert_eq!((used - boot_block) / block, count - number("First block:") - free, "{name}");
    }
}

#[test]
fn a_medium_that_gets_only_the_used_ranges_of_a_fat_is_the_same_file_system() {
    if !need("mkfs.vfat") || !need("mcopy") {
        return;
    }
    for (options, mib) in [(&["-F", "12"][..], 8), (&["-F", "16"], 40), (&["-F", "32"], 64)] {
        let disk = fat(options, mib, &[("/config.txt", &[3; 70_000]), ("/overlays/x.dtbo", &[4; 100])]);
        let medium = on_a_used_medium(&disk);
        assert_fat_clean(&medium, "used ranges");
        assert_eq!(get(&medium.path, "/config.txt"), [3; 70_000]);
        let used: u64 = used_ranges(&disk.overlay()).unwrap().iter().map(|range| range.len.0).sum();
        assert!(used < 3 << 20, "{used}");
    }
}

#[test]
fn a_grown_file_system_keeps_its_map_right() {
    if !need("mke2fs") || !need("resize2fs") {
        return;
    }
    let disk = Disk::ext4(64, &["-O", "^64bit,^huge_file"], |top| fs::write(top.join("x"), [7; 5000]).unwrap());
    File::options().write(true).open(&disk.path).unwrap().set_len(1 << 30).unwrap();
    run(Command::new("resize2fs").arg(&disk.path));
    let overlay = disk.overlay();
    let used: u64 = used_ranges(&overlay).unwrap().iter().map(|range| range.len.0).sum();
    assert!(used < 100 << 20, "{used}");
    let medium = on_a_used_medium(&disk);
    medium.assert_clean("grown");
    assert_eq!(medium.kernel_tree(), disk.kernel_tree());
}
