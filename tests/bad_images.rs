//! Base images that cannot become golden ones, through the binary: one clear message with the next step, exit code 1, the
//! input as it was, and nothing left behind.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::{Home, Run, names_in};
use crate::support::pi_image::PiImage;
use crate::support::volume::{Volume, sha256_of};
use crate::support::{need, need_builder, need_root, run};

const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";

/// A sound image, to be spoilt.
struct Bench {
    home: Home,
    image: PiImage,
}

impl Bench {
    fn new() -> Option<Bench> {
        need_builder().then(|| Bench { home: Home::new(), image: PiImage::lived_in().build() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.image.beside(name)
    }

    /// Asks for a golden image of the file `name`, which has to be refused without a trace.
    #[track_caller]
    fn refused(&self, name: &str, sha256: Option<&str>) -> Run {
        let sha256 = sha256.map_or_else(String::new, |digest| format!("sha256 = \"{digest}\"\n"));
        let text = format!("name = \"fixture\"\n[image]\nsource = \"{name}\"\n{sha256}{ACCEPT}");
        self.refused_recipe(name, &text)
    }

    #[track_caller]
    fn refused_recipe(&self, name: &str, text: &str) -> Run {
        let recipe = self.path("bad.toml");
        fs::write(&recipe, text).unwrap();
        let input = self.path(name);
        let digest = || input.is_file().then(|| sha256_of(&input));
        let (before, there) = (digest(), names_in(self.image.dir()));
        let args = [Path::new("golden"), &recipe, Path::new("--out"), &self.path("golden.img")];
        let run = self.home.run(args).fails_with(1);
        assert_eq!(digest(), before, "the input was changed");
        assert_eq!(names_in(self.image.dir()), there, "something was left beside the input");
        assert_eq!(names_in(&self.home.path("state/cardsmith")), Vec::<String>::new(), "a ledger was touched");
        run
    }

    fn assert_cache_is_empty(&self) {
        assert_eq!(names_in(&self.home.cache().join("images")), Vec::<String>::new());
    }

    /// The image under another name, with these bytes at this place of its root partition instead.
    fn spoilt(&self, name: &str, at: u64, bytes: &[u8]) {
        fs::copy(self.image.path(), self.path(name)).unwrap();
        let root = Volume::root_of(&self.path(name));
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.write_all_at(bytes, root.start + at).unwrap();
    }
}

#[test]
fn an_image_that_was_cut_off_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let whole = fs::read(bench.image.path()).unwrap();
    for (keep, says) in [
        (0, "is empty"),
        (700, "too short"),
        (1 << 20, "the image is cut off"),
        (whole.len() / 2, "the image is cut off"),
        (whole.len() - 512, "the image is cut off"),
    ] {
        fs::write(bench.path("cut.img"), &whole[..keep]).unwrap();
        bench.refused("cut.img", None).says(says);
    }
}

#[test]
fn a_root_partition_of_another_kind_is_refused_by_name_with_the_next_step() {
    let Some(bench) = Bench::new() else { return };
    let zeros = vec![0; 80 << 10];
    let with = |at: usize, magic: &[u8]| {
        let mut head = zeros.clone();
        head[at..at + magic.len()].copy_from_slice(magic);
        head
    };
    let mut lvm = with(512, b"LABELONE");
    lvm[512 + 24..512 + 32].copy_from_slice(b"LVM2 001");
    for (head, says) in [
        (with(0, b"LUKS\xBA\xBE\0\x02"), "encrypted"),
        (lvm, "LVM"),
        (with(0x10040, b"_BHRfS_M"), "btrfs"),
        (with(0, b"hsqs"), "squashfs"),
        (with(0, b"XFSB"), "XFS"),
        (with(1024, b"\x10\x20\xF5\xF2"), "F2FS"),
        (zeros.clone(), "empty"),
    ] {
        bench.spoilt("other.img", 0, &head);
        bench.refused("other.img", None).says(says);
    }
}

#[test]
fn unknown_feature_bits_of_the_root_file_system_are_refused() {
    let Some(bench) = Bench::new() else { return };
    // Incompatible feature words at 0x60 and 0x64 of the superblock: bits that nobody has given a meaning yet, and
    // encrypted directories, which are known and not edited. Without a right checksum that is told first.
    for (at, bit, word) in [(0x60, 0x4000_0000u32, "feature"), (0x64, 0x4000_0000, "feature")] {
        let root = bench.image.root().bytes();
        let mut superblock = root[1024..2048].to_vec();
        let old = u32::from_le_bytes(superblock[at..at + 4].try_into().unwrap());
        superblock[at..at + 4].copy_from_slice(&(old | bit).to_le_bytes());
        let sum = !crc32c(&superblock[..0x3FC]);
        superblock[0x3FC..].copy_from_slice(&sum.to_le_bytes());
        bench.spoilt("bits.img", 1024, &superblock);
        bench.refused("bits.img", None).says(word);
    }
}

/// CRC-32C, bit by bit, with the usual final inversion.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn a_damaged_file_system_is_refused_before_anything_is_edited() {
    let Some(bench) = Bench::new() else { return };
    // The superblock's magic, a group descriptor, and the root directory's inode.
    bench.spoilt("hurt.img", 1024 + 0x38, b"\0\0");
    bench.refused("hurt.img", None);
    bench.spoilt("hurt.img", 4096, &[0xFF; 64]);
    bench.refused("hurt.img", None);
    bench.spoilt("hurt.img", 1024 + 0x20, &[0; 8]);
    bench.refused("hurt.img", None);
}

#[test]
fn images_without_a_boot_or_root_partition_are_refused() {
    let Some(bench) = Bench::new() else { return };
    let boot = bench.image.boot();
    fs::copy(bench.image.path(), bench.path("bootless.img")).unwrap();
    let file = File::options().write(true).open(bench.path("bootless.img")).unwrap();
    file.write_all_at(&vec![0; 4096], boot.start).unwrap();
    bench.refused("bootless.img", None).says("boot");
    // The bare file system of the root partition, as `dd if=/dev/sdb2` makes it.
    bench.image.root().extract(&bench.path("bare.img"));
    bench.refused("bare.img", None).says("no partition table");
    // An ext4 file system that is no root.
    let none = bench.path("data.img");
    fs::copy(bench.image.path(), &none).unwrap();
    let alone = bench.path("data.ext4");
    run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&alone).arg("20480k"));
    let bytes = fs::read(&alone).unwrap();
    fs::remove_file(&alone).unwrap();
    File::options().write(true).open(&none).unwrap().write_all_at(&bytes, bench.image.root().start).unwrap();
    bench.refused("data.img", None).says("/etc");
}

#[test]
fn a_wrong_checksum_is_refused_for_raw_and_for_packed_images() {
    let Some(bench) = Bench::new() else { return };
    if !need("xz") {
        return;
    }
    let wrong = "0".repeat(64);
    bench.refused("base.img", Some(&wrong)).says("is not the file that the recipe names");
    run(Command::new("xz").args(["-0", "-k", "-T1"]).arg(bench.image.path()));
    let run = bench.refused("base.img.xz", Some(&wrong));
    run.says(&sha256_of(&bench.path("base.img.xz"))).says(&wrong);
    bench.assert_cache_is_empty();
}

#[test]
fn damaged_archives_and_those_with_two_images_or_none_are_refused() {
    let Some(bench) = Bench::new() else { return };
    if !["xz", "zip"].iter().all(|tool| need(tool)) {
        return;
    }
    run(Command::new("xz").args(["-0", "-k", "-T1"]).arg(bench.image.path()));
    let packed = fs::read(bench.path("base.img.xz")).unwrap();
    fs::write(bench.path("cut.img.xz"), &packed[..packed.len() - 100]).unwrap();
    bench.refused("cut.img.xz", None).says("cut off or damaged");
    fs::copy(bench.image.path(), bench.path("second.img")).unwrap();
    fs::write(bench.path("notes.txt"), "hello\n").unwrap();
    let zip = |name: &str, what: &[&str]| {
        run(Command::new("zip").current_dir(bench.image.dir()).args(["-q", "-1", name]).args(what));
    };
    zip("two.zip", &["base.img", "second.img"]);
    bench.refused("two.zip", None).says("base.img, second.img");
    zip("none.zip", &["notes.txt"]);
    bench.refused("none.zip", None).says("exactly one image");
    bench.assert_cache_is_empty();
}

#[test]
fn what_is_not_there_or_is_a_directory_is_refused() {
    let Some(bench) = Bench::new() else { return };
    bench.refused("nowhere.img", None).says("nowhere.img");
    fs::create_dir(bench.path("folder.img")).unwrap();
    bench.refused("folder.img", None).says("directory");
}

#[test]
fn a_file_that_does_not_fit_into_the_root_file_system_stops_the_run() {
    if !need_builder() {
        return;
    }
    let bench = Bench { home: Home::new(), image: PiImage::lived_in().nearly_full().build() };
    fs::write(bench.path("large"), vec![b'x'; 15 << 20]).unwrap();
    let text = format!(
        "name = \"fixture\"\n[image]\nsource = \"base.img\"\n{ACCEPT}\n[[file]]\npath = \"/opt/large\"\nsource = \"large\"\n"
    );
    bench.refused_recipe("base.img", &text).says("no space left");
}

#[test]
fn a_full_disk_under_the_cache_is_told_and_leaves_nothing_there() {
    if !need_root() || !need("xz") {
        return;
    }
    let Some(bench) = Bench::new() else { return };
    run(Command::new("xz").args(["-0", "-k", "-T1"]).arg(bench.image.path()));
    let cache = bench.home.path("cache");
    fs::create_dir(&cache).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&cache));
    let recipe = bench.path("bad.toml");
    fs::write(&recipe, format!("name = \"fixture\"\n[image]\nsource = \"base.img.xz\"\n{ACCEPT}")).unwrap();
    let ran = bench.home.run([Path::new("golden"), &recipe, Path::new("--out"), &bench.path("golden.img")]);
    let left = names_in(&bench.home.cache().join("images"));
    run(Command::new("umount").arg(&cache));
    ran.fails_with(1).says("no space left in the image cache").says("XDG_CACHE_HOME");
    assert_eq!(left, Vec::<String>::new());
    assert!(!bench.path("golden.img").exists());
}

#[test]
fn a_run_that_is_killed_while_it_decodes_leaves_nothing_in_the_cache() {
    let Some(bench) = Bench::new() else { return };
    if !need("xz") {
        return;
    }
    // Noise does not compress, so decoding takes a while; the published file itself is sound.
    let noise = bench.path("noise.img");
    run(Command::new("sh").args(["-c", "head -c 8000000 /dev/urandom >\"$1\" && xz -0 -T1 \"$1\"", "sh"]).arg(&noise));
    let recipe = bench.path("bad.toml");
    fs::write(&recipe, "name = \"fixture\"\n[image]\nsource = \"noise.img.xz\"\n").unwrap();
    let mut killed_in_time = false;
    for wait in [20u64, 60, 120, 240] {
        let mut child = bench
            .home
            .command([Path::new("golden"), &recipe, Path::new("--out"), &bench.path("golden.img")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        killed_in_time |= child.try_wait().unwrap().is_none();
        let _ = child.kill();
        child.wait().unwrap();
        let left = names_in(&bench.home.cache().join("images"));
        let whole = left.iter().all(|name| name.ends_with(".img") || name.ends_with(".json"));
        assert!(whole && (left.is_empty() || left.len() <= 2), "{left:?}");
        if !left.is_empty() {
            break;
        }
    }
    assert!(killed_in_time, "the run was over before it could be killed");
    assert!(!bench.path("golden.img").exists());
}

#[test]
fn a_run_that_is_killed_while_it_writes_leaves_no_part_of_an_output() {
    if !need_builder() {
        return;
    }
    // A grown one: 200 MiB to pack.
    let bench = Bench { home: Home::new(), image: PiImage::lived_in().grown().build() };
    let recipe = bench.image.recipe(ACCEPT);
    let there = names_in(bench.image.dir());
    let mut killed_in_time = 0;
    for (signal, wait) in [(Signal::KILL, 0), (Signal::INT, 20), (Signal::KILL, 150)] {
        let mut child = bench
            .home
            .command([Path::new("golden"), &recipe, Path::new("--out"), &bench.path("golden.img.xz")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        // What is left from here: proofs, packing, and the names.
        while !said.contains("\nwrite: ") {
            assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut said).unwrap(), 0, "it ended early:\n{said}");
        }
        std::thread::sleep(std::time::Duration::from_millis(wait));
        // It may have ended already: then there is no process to signal any more, and the outputs are whole.
        let _ = kill_process(Pid::from_child(&child), signal);
        let ended_well = child.wait().unwrap().success();
        let left: Vec<_> = names_in(bench.image.dir()).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(left.iter().all(|name| name.starts_with("golden.")), "after {signal:?} and {wait} ms: {left:?}");
        assert!(!ended_well || left.len() == 4, "{left:?}");
        killed_in_time += usize::from(!ended_well && left.is_empty());
        left.iter().for_each(|name| fs::remove_file(bench.path(name)).unwrap());
    }
    assert!(killed_in_time > 0, "killed too late to show anything");
}
