//! What else is on a card: partitions that cardsmith does not edit, and boot code between partitions. A used medium must
//! hold them as the image does, zeros as well, because nobody knows what they mean.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use cardsmith::fs::blockmap::used_if_known;
use cardsmith::golden::Manifest;
use cardsmith::image::{ImageFile, Memory};
use cardsmith::units::ByteRange;
use tempfile::TempDir;

use crate::support::binary::Home;
use crate::support::ext4_disk::{Disk, run};
use crate::support::noise::{noise, restore};
use crate::support::{PiImage, need, need_builder, need_root, run_with_input};

const MIB: u64 = 1 << 20;

fn bytes(path: &Path, range: ByteRange) -> Vec<u8> {
    let mut bytes = vec![0; range.len.0 as usize];
    File::open(path).unwrap().read_exact_at(&mut bytes, range.start.0).unwrap();
    bytes
}

/// Blocks of 4 KiB: noise where `pattern` has a `#`, zeros where it has a dot.
fn blocks(pattern: &str) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let mut all = Vec::new();
    let len = pattern.len() as u64 * 4096;
    noise(&directory.path().join("noise"), len, 77);
    let random = fs::read(directory.path().join("noise")).unwrap();
    for (mark, block) in pattern.chars().zip(random.chunks(4096)) {
        all.extend(if mark == '#' { block.to_vec() } else { vec![0; 4096] });
    }
    all
}

/// `image` with a partition of `unknown` bytes and one with the file system of `data` behind those that it has.
fn with_two_more(image: &Path, unknown: &[u8], data: &Path) -> (ByteRange, ByteRange) {
    let at = fs::metadata(image).unwrap().len().next_multiple_of(MIB);
    let data = fs::read(data).unwrap();
    let third = ByteRange::new(at, unknown.len() as u64);
    let fourth = ByteRange::new(third.end().0.next_multiple_of(MIB), data.len() as u64);
    let file = File::options().write(true).open(image).unwrap();
    file.set_len(fourth.end().0).unwrap();
    file.write_all_at(unknown, third.start.0).unwrap();
    file.write_all_at(&data, fourth.start.0).unwrap();
    let line = |range: &ByteRange| format!("start={}, size={}, type=83\n", range.start.0 / 512, range.len.0 / 512);
    let mut sfdisk = Command::new("sfdisk");
    sfdisk.args(["--no-reread", "--append"]).arg(image);
    run_with_input(&mut sfdisk, (line(&third) + &line(&fourth)).as_bytes());
    (third, fourth)
}

#[test]
fn a_used_medium_holds_unknown_partitions_and_boot_code_whole_and_other_file_systems_by_their_maps() {
    if !need_builder() || !need_root() {
        return;
    }
    let (home, base) = (Home::new(), PiImage::lived_in().build());
    fs::copy(base.path(), home.path("base.img")).unwrap();
    // A file system that was in use, with something deleted in it.
    let data = Disk::ext4(24, &["-b", "4096"], |top| fs::write(top.join("kept"), vec![7; 300_000]).unwrap());
    let deleted = blocks(&"#".repeat(100));
    data.mounted("rw", |top| {
        fs::write(top.join("deleted"), &deleted).unwrap();
        run(&mut Command::new("sync"));
        fs::remove_file(top.join("deleted")).unwrap();
    });
    // It begins with zeros, as if it were empty, and ends with some.
    let unknown = blocks(&(".".repeat(100) + &"#.##..".repeat(20) + &".".repeat(36)));
    let (third, fourth) = with_two_more(&home.path("base.img"), &unknown, &data.path);
    // Boot code behind the table, with zeros in it and at its end.
    let boot_code = (MIB + 8192, blocks("##.#...."));
    let file = File::options().write(true).open(home.path("base.img")).unwrap();
    file.write_all_at(&boot_code.1, boot_code.0).unwrap();

    fs::write(home.path("r.toml"), "name = \"map\"\n[image]\nsource = \"base.img\"\n").unwrap();
    home.run(["golden", "r.toml", "--out", "golden.img"]).succeeds();
    let manifest = Manifest::read(&home.path("golden.manifest.json")).unwrap();
    let golden = ImageFile::open(&home.path("golden.img")).unwrap();
    let medium = home.path("medium.img");
    restore(&golden, manifest.map.places(), &noise(&medium, fourth.end().0, 5));

    let gap = ByteRange::new(MIB, manifest.partitions[0].range.start.0 - MIB);
    assert!(bytes(&medium, gap) == bytes(&home.path("base.img"), gap), "the gap with boot code differs");
    assert!(bytes(&medium, third) == unknown, "the unknown partition differs");
    let on_medium = Disk::from_bytes(&Memory::new(bytes(&medium, fourth)));
    on_medium.assert_clean("the other file system");
    assert_eq!(on_medium.kernel_tree(), data.kernel_tree());
    let piece = &deleted[50 * 4096..51 * 4096];
    let stands_in = |bytes: &[u8]| bytes.chunks(4096).any(|block| block == piece);
    assert!(stands_in(&fs::read(&data.path).unwrap()), "the test shows nothing: nothing was left of what was deleted");
    assert!(!stands_in(&bytes(&medium, fourth)), "what was deleted on another partition came along");
}

#[test]
fn of_a_swap_area_the_header_is_kept_and_of_a_file_system_to_be_repaired_everything() {
    if !need("mkswap") || !need("mke2fs") || !need_root() {
        return;
    }
    let home = Home::new();
    let path = home.path("swap");
    noise(&path, 8 * MIB, 3);
    run(Command::new("mkswap").arg(&path));
    let swap = ImageFile::open(&path).unwrap();
    assert_eq!(used_if_known(&swap).unwrap(), [ByteRange::new(0, 64 << 10)]);
    let medium = home.path("medium");
    restore(&swap, used_if_known(&swap).unwrap(), &noise(&medium, 8 * MIB, 4));
    let uuid = |path: &Path| run(Command::new("blkid").args(["-p", "-o", "export"]).arg(path)).stdout;
    let told = |path: &Path| {
        String::from_utf8_lossy(&uuid(path)).lines().filter(|l| !l.starts_with("DEVNAME")).collect::<String>()
    };
    assert_eq!(told(&medium), told(&path));

    let all = [ByteRange::new(0, 24 * MIB)];
    let disk = Disk::ext4(24, &[], |_| {});
    assert_ne!(used_if_known(&ImageFile::open(&disk.path).unwrap()).unwrap(), all);
    // INCOMPAT_RECOVER: its power was cut.
    run(Command::new("debugfs").args(["-w", "-R", "feature needs_recovery"]).arg(&disk.path));
    assert_eq!(used_if_known(&ImageFile::open(&disk.path).unwrap()).unwrap(), all);
    assert_eq!(used_if_known(&Memory::new(vec![0; 24 << 20])).unwrap(), all);
}
