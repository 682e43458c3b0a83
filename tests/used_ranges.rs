//! The block map of a file system holds all that carries meaning, and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use cardsmith::fs::blockmap::used_ranges;
use cardsmith::golden::Manifest;
use cardsmith::image::{ImageFile, ReadAt};
use tempfile::TempDir;

use crate::bootfs::{assert_fat_clean, fat, get, put};
use crate::support::binary::Home;
use crate::support::ext4_disk::{Disk, FEATURE_SETS, run, tree_of};
use crate::support::noise::{noise, restore};
use crate::support::{PiImage, need, need_builder, need_root};

/// The disk's used ranges on a medium that is otherwise full of noise.
fn on_a_used_medium(disk: &Disk) -> Disk {
    let overlay = disk.overlay();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("disk.img");
    let medium = noise(&path, overlay.size().0, overlay.size().0);
    restore(&overlay, used_ranges(&overlay).unwrap(), &medium);
    Disk { directory, path }
}

/// A small generator, so that a failing run can be repeated.
fn roll(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

#[test]
fn an_ext4_that_was_lived_in_is_the_same_on_a_used_medium_whatever_its_features() {
    if !need("mke2fs") || !need("e2fsck") || !need_root() {
        return;
    }
    for (seed, (name, options)) in (1..).zip(FEATURE_SETS) {
        let disk = Disk::ext4(48, options, |_| {});
        // The kernel fragments, punches, allocates ahead and deletes, as on a card that was in use.
        disk.mounted("rw", |top| {
            let mut dice = seed;
            for n in 0..120 {
                let file = top.join(format!("{}-{n}", "n".repeat(roll(&mut dice, 60) as usize + 1)));
                fs::write(&file, vec![n as u8 + 1; roll(&mut dice, 200_000) as usize]).unwrap();
                match roll(&mut dice, 6) {
                    0 => fs::remove_file(&file).unwrap(),
                    1 => File::options().write(true).open(&file).unwrap().set_len(roll(&mut dice, 3_000_000)).unwrap(),
                    2 => fs::create_dir_all(top.join(format!("d{}", n % 7)).join("e")).unwrap(),
                    3 => std::os::unix::fs::symlink(
                        "x".repeat(roll(&mut dice, 200) as usize + 1),
                        top.join(format!("l{n}")),
                    )
                    .unwrap(),
                    4 => {
                        let range = (roll(&mut dice, 50) * 4096, (roll(&mut dice, 20) + 1) * 4096);
                        let open = File::options().write(true).open(&file).unwrap();
                        // The older block map cannot allocate ahead; then nothing is.
                        let _ = rustix::fs::fallocate(&open, rustix::fs::FallocateFlags::KEEP_SIZE, range.0, range.1);
                    }
                    _ => {}
                }
            }
        });
        let medium = on_a_used_medium(&disk);
        medium.assert_clean(name);
        assert_eq!(medium.kernel_tree(), disk.kernel_tree(), "{name}");
    }
}

#[test]
fn a_fat_that_was_lived_in_is_the_same_on_a_used_medium() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("mdel") {
        return;
    }
    for (seed, (options, mib)) in
        (1..).zip([(&["-F", "12"][..], 8), (&["-F", "16"], 40), (&["-F", "32"], 64), (&["-F", "32", "-s", "1"], 64)])
    {
        let disk = fat(options, mib, &[]);
        let mut dice = seed;
        for n in 0..40 {
            let name = format!("/{}a long name of file {n}.dtbo", if n % 3 == 0 { "overlays/" } else { "" });
            put(&disk.path, &name, &vec![n as u8 + 1; roll(&mut dice, 90_000) as usize]);
            if roll(&mut dice, 3) == 0 {
                run(Command::new("mdel").arg("-i").arg(&disk.path).arg(format!("::{name}")));
            }
        }
        let medium = on_a_used_medium(&disk);
        assert_fat_clean(&medium, "lived in");
        assert_eq!(fat_tree(&medium.path), fat_tree(&disk.path), "{options:?}");
    }
}

/// All files of a FAT, by mtools.
fn fat_tree(image: &Path) -> BTreeMap<String, String> {
    let to = TempDir::new().unwrap();
    run(Command::new("mcopy").args(["-s", "-n", "-i"]).arg(image).arg("::/").arg(to.path()));
    tree_of(to.path())
}

#[test]
fn a_whole_golden_image_is_the_same_on_a_used_medium() {
    if !need_builder() || !need_root() {
        return;
    }
    let home = Home::new();
    let base = PiImage::lived_in().build();
    fs::copy(base.path(), home.path("base.img")).unwrap();
    fs::write(home.path("r.toml"), "name = \"map\"\n[image]\nsource = \"base.img\"\n").unwrap();
    home.run(["golden", "r.toml", "--out", "golden.img"]).succeeds();
    let manifest = Manifest::read(&home.path("golden.manifest.json")).unwrap();
    let golden = ImageFile::open(&home.path("golden.img")).unwrap();
    let medium = noise(&home.path("medium.img"), golden.size().0, 5);
    restore(&golden, manifest.map.ranges().iter().map(|mapped| mapped.range), &medium);

    for partition in &manifest.partitions {
        let alone = |image: &str| {
            let (directory, file) = (TempDir::new().unwrap(), File::open(home.path(image)).unwrap());
            let path = directory.path().join("disk.img");
            let out = File::create(&path).unwrap();
            let mut bytes = vec![0; partition.range.len.0 as usize];
            file.read_exact_at(&mut bytes, partition.range.start.0).unwrap();
            out.write_all_at(&bytes, 0).unwrap();
            Disk { directory, path }
        };
        let (before, after) = (alone("golden.img"), alone("medium.img"));
        match partition.role.as_str() {
            "root" => {
                after.assert_clean("restored");
                assert_eq!(after.kernel_tree(), before.kernel_tree());
            }
            "boot" => {
                assert_fat_clean(&after, "restored");
                assert_eq!(fat_tree(&after.path), fat_tree(&before.path));
            }
            other => panic!("an unexpected partition: {other}"),
        }
    }
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
