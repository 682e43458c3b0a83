//! Images whose directories or chains of clusters have no end, or that two readers read differently: every command says
//! so within seconds, and leaves nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cardsmith::fs::fat::{FatTree, FatVolume};
use cardsmith::fs::{Clock, FsError, check};
use cardsmith::image::{ImageFile, WriteAt};

use crate::bootfs::{assert_fat_clean, fat};
use crate::support::binary::{Home, Run, names_in};
use crate::support::ext4_disk::{Disk, FEATURE_SETS};
use crate::support::pi_image::PiImage;
use crate::support::volume::{Volume, sha256_of};
use crate::support::{need, need_builder, need_root, run};

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };
/// Of a debug build on a busy machine. What has no end takes minutes, and then all memory.
const SOON: Duration = Duration::from_secs(25);

struct Bench {
    home: Home,
    image: PiImage,
    sound: PathBuf,
}

impl Bench {
    fn new() -> Option<Bench> {
        if !need_builder() {
            return None;
        }
        let image = PiImage::lived_in().without_metadata_csum().boot_file("deep/below.txt", "x").build();
        let sound = image.beside("sound.img");
        fs::copy(image.path(), &sound).unwrap();
        Some(Bench { home: Home::new(), image, sound })
    }

    /// Runs a command to its end, which has to come soon, with a directory for temporary files that it leaves empty.
    #[track_caller]
    fn ends(&self, args: &[&str]) -> Run {
        let temporary = self.home.path("temporary");
        fs::create_dir_all(&temporary).unwrap();
        let before = (sha256_of(self.image.path()), names_in(self.image.dir()));
        let mut command = self.home.command(args);
        command.current_dir(self.image.dir()).env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > SOON {
                child.kill().unwrap();
                panic!("{args:?} did not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((sha256_of(self.image.path()), names_in(self.image.dir())), before, "{args:?}");
        assert_eq!(names_in(&temporary), Vec::<String>::new(), "{args:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Every command that looks into an image refuses this one, in these words.
    #[track_caller]
    fn refused_by_all(&self, says: &str) {
        let recipe = self.image.recipe("[sudo]\nlockout = \"accept\"\n");
        let (recipe, image) = (recipe.to_str().unwrap(), self.image.path().to_str().unwrap());
        for args in [
            &["inspect", image][..],
            &["plan", recipe],
            &["golden", recipe, "--out", "golden.img"],
            &["flash", recipe, "--to", "card.img", "--yes"],
            &["diff", self.sound.to_str().unwrap(), image],
        ] {
            self.ends(args).fails_with(1).says(says);
        }
    }

    fn audit(&self, deep: bool) -> Run {
        let image = self.image.path().to_str().unwrap();
        self.ends(&[&["audit", image][..], if deep { &["--deep"] } else { &[] }].concat())
    }

    fn debugfs(&self, requests: &[&str]) {
        let root = self.image.root();
        let place = format!("{}?offset={}", root.image.display(), root.start);
        for request in requests {
            run(Command::new("debugfs").args(["-w", "-R", request, &place]));
        }
    }

    fn restored(&self) {
        fs::copy(&self.sound, self.image.path()).unwrap();
    }
}

/// A directory in its own child, with as many links as there are names.
const LOOP: &[&str] =
    &["mkdir /srv/loop", "mkdir /srv/loop/a", "ln /srv/loop /srv/loop/a/again", "sif /srv/loop links_count 4"];
/// The same, with two names in each: what is below doubles with each step.
const DOUBLE_LOOP: &[&str] = &[
    "mkdir /srv/loop",
    "mkdir /srv/loop/a",
    "ln /srv/loop /srv/loop/a/again",
    "ln /srv/loop /srv/loop/a/other",
    "ln /srv/loop /srv/loop/a/third",
    "sif /srv/loop links_count 6",
];

#[test]
fn a_circle_of_directories_is_named_by_every_command() {
    let Some(bench) = Bench::new() else { return };
    for requests in [LOOP, DOUBLE_LOOP] {
        bench.debugfs(requests);
        bench.refused_by_all("has two names");
        for deep in [false, true] {
            bench.audit(deep).fails_with(1).says("has two names");
        }
        bench.restored();
    }
}

#[test]
fn our_check_finds_circles_wherever_they_are() {
    if !need("mke2fs") || !need("debugfs") {
        return;
    }
    for (name, options) in FEATURE_SETS.iter().filter(|(name, _)| *name != "inline data") {
        let disk = Disk::ext4(24, options, |top| fs::create_dir_all(top.join("a/b/c")).unwrap());
        check::check(disk.overlay()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let with = |requests: &[&str]| {
            let copy = disk.copy();
            for request in requests {
                run(Command::new("debugfs").args(["-w", "-R", request]).arg(&copy.path));
            }
            copy
        };
        let loops = [
            // Below itself; below itself and no longer below the root; the root in a directory.
            with(&["ln /a /a/b/again", "sif /a links_count 4"]),
            with(&["ln /a /a/b/c/again", "unlink /a", "sif / links_count 3"]),
            with(&["ln / /a/b/root", "sif / links_count 5"]),
        ];
        for copy in loops {
            let damage = check::check(copy.overlay());
            assert!(matches!(damage, Err(FsError::Corrupt { .. })), "{name}: {damage:?}");
            assert_ne!(Command::new("e2fsck").arg("-fn").arg(&copy.path).output().unwrap().status.code(), Some(0));
        }
    }
}

#[test]
fn what_linux_made_and_grew_is_clean_for_our_check() {
    if !need_root() || !["mke2fs", "resize2fs", "setfattr", "e2fsck"].iter().all(|tool| need(tool)) {
        return;
    }
    let script = r#"
        set -e; cd "$1"
        mkdir many deep; for n in $(seq 0 600); do echo $n > "many/a name of some length $n"; done
        rm many/*7 many/*42; ln "many/a name of some length 1" linked
        p=deep; for n in $(seq 30); do p=$p/d; mkdir $p; done
        for n in 1 2 3 4; do echo x > x$n; setfattr -n user.a -v same$n x$n; done
        head -c 300 /dev/zero | tr '\0' v > v; setfattr -n user.large -v "$(cat v)" x1; setfattr -n user.large -v "$(cat v)" x2
        ln -s x1 short; ln -s $(printf 'a/%.0s' $(seq 90)) long
        mkfifo pipe; mknod null c 1 3; mknod disk b 300 70000
        for n in $(seq 0 2 60); do dd if=/dev/urandom of=holes bs=4096 seek=$n count=1 conv=notrunc status=none; done
        fallocate -l 300000 kept; touch behind; fallocate -n -l 300000 behind; truncate -s 100000 behind
        chattr +i x3; chattr -i x3
    "#;
    // One of each kind: with and without checksums, small blocks, content in inodes.
    let kinds = ["pi-gen without checksums", "trixie", "1 KiB blocks", "inline data"];
    for (name, options) in FEATURE_SETS.iter().filter(|(name, _)| kinds.contains(name)) {
        let disk = Disk::ext4(24, options, |top| fs::write(top.join("file"), "x").unwrap());
        disk.mounted("rw", |top| run(Command::new("bash").args(["-c", script, "-"]).arg(top)));
        disk.assert_clean(name);
        check::check(disk.overlay()).unwrap_or_else(|e| panic!("{name}, used: {e}"));
        // As the first boot of a card does.
        File::options().write(true).open(&disk.path).unwrap().set_len(300 << 20).unwrap();
        run(Command::new("resize2fs").arg("-f").arg(&disk.path));
        disk.assert_clean(name);
        check::check(disk.overlay()).unwrap_or_else(|e| panic!("{name}, grown: {e}"));
    }
}

/// Where things of a FAT lie in the image file, to be spoilt.
struct FatPlaces {
    /// The first free entry of the root directory, and of `deep`.
    free_in_root: u64,
    free_in_deep: u64,
    /// First clusters of `deep` and of a file.
    cluster: u32,
    of_file: u32,
}

fn fat_places(volume: &Volume, deep: &str, file: &str) -> FatPlaces {
    let alone = tempfile::NamedTempFile::new().unwrap();
    volume.extract(alone.path());
    let image = ImageFile::open(alone.path()).unwrap();
    let boot = FatVolume::read(&image).unwrap();
    let tree = FatTree::read(&image, &boot).unwrap();
    let node = |name: &str| tree.nodes.iter().find(|node| node.name.eq_ignore_ascii_case(name)).unwrap();
    let bytes = volume.bytes();
    let free = |start: u64, len: u64| {
        let range = &bytes[start as usize..(start + len) as usize];
        start + 32 * range.chunks(32).position(|entry| entry[0] == 0).unwrap() as u64
    };
    let root = match boot.root_cluster {
        0 => boot.fixed_root,
        _ => boot.place(*tree.nodes[0].chain.last().unwrap()).unwrap(),
    };
    let cluster = node(deep).chain[0];
    let inside = boot.place(cluster).unwrap();
    FatPlaces {
        free_in_root: volume.start + free(root.start.0, root.len.0),
        free_in_deep: volume.start + free(inside.start.0, inside.len.0),
        cluster,
        of_file: node(file).chain[0],
    }
}

fn entry(name: &[u8; 11], attributes: u8, cluster: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    entry[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    entry
}

#[test]
fn a_boot_file_system_without_an_end_or_of_two_minds_is_named_by_every_command() {
    let Some(bench) = Bench::new() else { return };
    let places = fat_places(&bench.image.boot(), "deep", "below.txt");
    let spoilt = |at: u64, bytes: &[u8]| {
        bench.restored();
        File::options().write(true).open(bench.image.path()).unwrap().write_all_at(bytes, at).unwrap();
    };
    let own = places.cluster;
    // What each is, whether the audit's reader is led in a circle by it, and what is said.
    for (at, bytes, endless, says) in [
        // A directory that begins like `.` and is none: some drivers pass over it, others follow it for ever.
        (places.free_in_deep, entry(b".LOOP      ", 0x10, own), true, "neither `.` nor `..`"),
        (places.free_in_root, entry(b".          ", 0x10, own), false, "neither `.` nor `..`"),
        // Marked as the volume's label, and a directory.
        (places.free_in_deep, entry(b"LOOP       ", 0x18, own), false, "marked as a label"),
        (places.free_in_root, entry(b"LABEL      ", 0x1F, own), false, "marked as a label"),
        // In its own child, a second name, a file of another's clusters.
        (places.free_in_deep, entry(b"LOOP       ", 0x10, own), true, "belongs to two chains"),
        (places.free_in_root, entry(b"SECOND     ", 0x10, own), true, "belongs to two chains"),
        (places.free_in_root, entry(b"SHARED  TXT", 0x20, places.of_file), true, "belongs to two chains"),
        // Names that cannot be, and that are there already.
        (places.free_in_root, entry(b"A/B     TXT", 0x20, 0), false, "a name that cannot be"),
        (places.free_in_root, entry(b"CONFIG  TXT", 0x20, 0), false, "a name that cannot be"),
    ] {
        spoilt(at, &bytes);
        bench.ends(&["inspect", bench.image.path().to_str().unwrap()]).fails_with(1).says(says);
        let audited = bench.audit(true);
        if endless {
            audited.fails_with(1).says("the boot file system (partition 1) is damaged");
        }
    }
    // The one that was found first goes through all commands.
    spoilt(places.free_in_deep, &entry(b".LOOP      ", 0x10, own));
    bench.refused_by_all("neither `.` nor `..`");
}

#[test]
fn every_kind_of_fat_that_loops_is_refused_and_sound_ones_are_not() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("fsck.fat") {
        return;
    }
    for (options, mib) in [(&["-F", "12"][..], 8), (&["-F", "16"], 40), (&["-F", "32"], 64)] {
        let long = "/deep/a rather long name, with spaces.txt";
        let disk = fat(options, mib, &[("/deep/x.txt", &[7; 9000]), ("/config.txt", &[3; 100]), (long, b"long")]);
        assert_fat_clean(&disk, "as made");
        let overlay = disk.overlay();
        assert!(cardsmith::fs::fsck_fat::check(&overlay).unwrap());
        cardsmith::fs::BootFs::open(overlay, CLOCK).unwrap();
        // A chain that leads back to its beginning: of a directory, and of a file.
        for name in ["deep", "x.txt"] {
            let overlay = disk.overlay();
            let mut volume = FatVolume::read(&overlay).unwrap();
            let tree = FatTree::read(&overlay, &volume).unwrap();
            let node = tree.nodes.iter().find(|node| node.name.eq_ignore_ascii_case(name)).unwrap();
            let (first, last) = (node.chain[0], *node.chain.last().unwrap());
            volume.set_entry(&*overlay, last, first).unwrap();
            let opened = cardsmith::fs::BootFs::open(overlay.clone(), CLOCK).map(|_| ());
            assert!(matches!(&opened, Err(FsError::Corrupt { .. })), "{options:?} {name}: {opened:?}");
            // The judge that is not ours agrees.
            let judged = cardsmith::fs::fsck_fat::check(&overlay);
            assert!(
                matches!(&judged, Err(FsError::Corrupt { what, .. }) if what.starts_with("fsck.fat -n: ")),
                "{judged:?}"
            );
        }
    }
}

#[test]
fn a_label_that_differs_is_no_damage_and_a_wrong_count_of_free_clusters_is() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("fsck.fat") {
        return;
    }
    let disk = fat(&["-F", "32"], 64, &[("/config.txt", &[3; 100])]);
    let overlay = disk.overlay();
    // `BS_VolLab` of the boot sector.
    overlay.write_at(cardsmith::units::ByteOffset(0x47), b"OTHER      ").unwrap();
    assert!(cardsmith::fs::fsck_fat::check(&overlay).unwrap());
    // `FSI_Free_Count`.
    overlay.write_at(cardsmith::units::ByteOffset(512 + 488), &[9, 9]).unwrap();
    let judged = cardsmith::fs::fsck_fat::check(&overlay);
    assert!(matches!(&judged, Err(FsError::Corrupt { what, .. }) if what.contains("Free cluster")), "{judged:?}");
}

#[test]
fn a_golden_image_says_that_fsck_fat_found_it_clean() {
    let Some(bench) = Bench::new() else { return };
    if !need("fsck.fat") {
        return;
    }
    let recipe = bench.image.recipe("[sudo]\nlockout = \"accept\"\n");
    let golden = bench.image.beside("golden.img");
    bench.home.run([Path::new("golden"), &recipe, Path::new("--out"), &golden]).succeeds();
    let manifest = fs::read_to_string(bench.image.beside("golden.manifest.json")).unwrap();
    assert!(manifest.contains("fsck.fat -n: clean") && manifest.contains("e2fsck -fn: clean"), "{manifest}");
}
