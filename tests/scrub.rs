//! What was deleted is gone as bytes; what is there is untouched. Judged by a byte search, the kernel and e2fsck.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cardsmith::fs::scrub::{inside, scrub, scrub_touched};
use cardsmith::fs::{Attributes, BootFs, Clock, FsError, ImagePath, RootFs, TreeMut, check, e2fsck};
use cardsmith::image::overlay::Overlay;
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::{ByteOffset, ByteRange};

use crate::bootfs::{assert_fat_clean, fat, get, put};
use crate::support::ext4_disk::{Disk, FEATURE_SETS, FileBytes, run};
use crate::support::need;
use crate::support::pi_image::PiImage;

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };
/// Part of every secret below.
const NEEDLE: &[u8] = b"SeCrEt-NeEdLe";

fn secret(n: usize) -> String {
    format!("SeCrEt-NeEdLe-{n:05}-")
}

/// A life with secrets in every place that outlives a deletion.
fn live(top: &Path) {
    let keep = top.join("keep");
    fs::create_dir_all(&keep).unwrap();
    // Contents, names, and directories that shrink again; enough names for a hash tree with index blocks.
    let names = top.join("names");
    fs::create_dir_all(&names).unwrap();
    for n in 0..1500 {
        fs::write(names.join(format!("{}{}", secret(n), "x".repeat(60))), secret(n).repeat(20)).unwrap();
        fs::write(names.join(format!("keep-{n}")), format!("{n}")).unwrap();
    }
    // A directory small enough for an inode, with a deleted name in it.
    fs::create_dir_all(top.join("small")).unwrap();
    fs::write(top.join("small/a"), "").unwrap();
    fs::write(top.join("small").join(secret(1)), "").unwrap();
    // Links whose targets stand in the inode and in a block.
    symlink(format!("/{}", secret(2)), top.join("short")).unwrap();
    symlink(format!("/{}", secret(3).repeat(5)), top.join("long")).unwrap();
    // Small contents that may stand in the inode, extended attributes in the inode and in a block.
    fs::write(top.join("inline"), secret(4)).unwrap();
    fs::write(top.join("inline-shrinks"), secret(5).repeat(2)).unwrap();
    for (name, len) in [("attr-small", 1), ("attr-large", 40)] {
        fs::write(top.join(name), "x").unwrap();
        run(Command::new("setfattr").args(["-n", "user.s", "-v", &secret(6).repeat(len)]).arg(top.join(name)));
    }
    // What is written and cut off again, and what is allocated and never written.
    fs::write(keep.join("cut"), format!("kept{}", secret(7).repeat(100))).unwrap();
    fs::write(keep.join("large"), secret(8).repeat(30_000)).unwrap();
    sync(top);

    for n in 0..1500 {
        fs::remove_file(names.join(format!("{}{}", secret(n), "x".repeat(60)))).unwrap();
    }
    fs::remove_file(top.join("small").join(secret(1))).unwrap();
    for name in ["short", "long", "inline", "attr-small", "attr-large", "keep/large"] {
        fs::remove_file(top.join(name)).unwrap();
    }
    for (name, len) in [("keep/cut", 4), ("inline-shrinks", 3)] {
        File::options().write(true).open(top.join(name)).unwrap().set_len(len).unwrap();
    }
    // Behind the end, over the deleted contents, and with a hole that is never written.
    run(Command::new("fallocate").args(["-l", "300K"]).arg(keep.join("allocated")));
    run(Command::new("fallocate").args(["-n", "-o", "8K", "-l", "64K"]).arg(keep.join("cut")));
    let mut sparse = File::create(keep.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(1 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    sync(top);
}

fn sync(top: &Path) {
    run(Command::new("sync").arg("-f").arg(top));
}

fn scrubbed(overlay: &Arc<Overlay>) -> cardsmith::fs::scrub::ScrubReport {
    scrub(overlay.clone(), Silent.task("scrub", None).as_mut()).unwrap()
}

#[test]
fn after_a_scrub_no_deleted_byte_is_left_and_the_kernel_sees_the_same_files() {
    if !need("mke2fs") || !need("e2fsck") || !need("setfattr") {
        return;
    }
    for (name, options) in FEATURE_SETS {
        let disk = Disk::ext4(96, options, |_| {});
        disk.mounted("rw", live);
        disk.assert_clean(name);
        assert!(!disk.find(NEEDLE).is_empty(), "{name}: there was nothing to wipe");
        let before = disk.kernel_tree();
        let untouched = disk.sha256();

        let overlay = disk.overlay();
        check::check(overlay.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = scrubbed(&overlay);
        assert!(report.free_bytes > 0 && report.directory_entries > 0, "{name}: {report}");
        let clean = Disk::from_bytes(&overlay);
        assert_eq!(clean.find(NEEDLE), Vec::<usize>::new(), "{name}: {report}");
        clean.assert_clean(name);
        assert_eq!(clean.kernel_tree(), before, "{name}");
        check::check(overlay.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        if need("e2fsck") {
            assert!(e2fsck::check(&overlay).unwrap().is_some(), "{name}");
        }

        let again = scrubbed(&overlay);
        assert!(again.is_empty(), "{name}: the second scrub {again}");
        assert_eq!(Disk::from_bytes(&overlay).sha256(), clean.sha256(), "{name}");
        assert_eq!(disk.sha256(), untouched, "{name}: the input changed");

        clean.mounted("rw", |top| {
            fs::remove_dir_all(top.join("names")).unwrap();
            for n in 0..500 {
                fs::write(top.join(format!("new-{n}")), vec![n as u8; 3000]).unwrap();
            }
        });
        clean.assert_clean(name);
    }
}

#[test]
fn a_journal_that_has_to_be_replayed_is_not_scrubbed() {
    if !need("mke2fs") || !need("debugfs") {
        return;
    }
    let disk = Disk::ext4(48, &[], |_| {});
    run(Command::new("debugfs").args(["-w", "-R", "feature needs_recovery"]).arg(&disk.path));
    let overlay = disk.overlay();
    let result = scrub(overlay.clone(), Silent.task("scrub", None).as_mut());
    assert!(matches!(result, Err(FsError::Corrupt { .. })), "{result:?}");
    assert_eq!(overlay.changed(), []);
}

/// Counts what is read, to show that holes are not.
struct Counting(FileBytes, std::sync::atomic::AtomicU64);

impl ReadAt for Counting {
    fn size(&self) -> cardsmith::units::ByteSize {
        self.0.size()
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> std::io::Result<()> {
        self.1.fetch_add(buf.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.0.read_at(at, buf)
    }
    fn next_data(&self, from: ByteOffset) -> std::io::Result<Option<ByteRange>> {
        self.0.next_data(from)
    }
}

#[test]
fn a_capture_of_a_large_card_that_holds_little_is_read_little() {
    if !need("mke2fs") {
        return;
    }
    let disk = Disk::ext4(32 << 10, &["-O", "^64bit,^huge_file"], |top| {
        fs::write(top.join("x"), vec![7; 8 << 20]).unwrap();
    });
    let bytes = Arc::new(Counting(FileBytes(File::open(&disk.path).unwrap()), Default::default()));
    let overlay = Arc::new(Overlay::new(bytes.clone()).unwrap());
    scrubbed(&overlay);
    let read = bytes.1.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < 64 << 20, "{read} bytes were read of a file system that holds 8 MiB");
    let changed: u64 = overlay.differing().unwrap().iter().map(|range| range.len.0).sum();
    assert!(changed < 64 << 20, "{changed}");
}

#[test]
fn a_cards_secret_stands_once_in_its_file_and_only_what_the_card_changed_is_looked_at() {
    if !need("mke2fs") || !need("e2fsck") {
        return;
    }
    for (name, options) in FEATURE_SETS {
        let disk = Disk::ext4(64, options, |top| {
            fs::create_dir_all(top.join("etc")).unwrap();
            for n in 0..300 {
                fs::write(top.join(format!("etc/file-{n}")), vec![n as u8; 700]).unwrap();
            }
        });
        let golden = disk.overlay();
        scrubbed(&golden);
        let card = Arc::new(Overlay::new(golden.clone()).unwrap());
        let root = RootFs::open(card.clone(), CLOCK).unwrap();
        let path = |text: &str| ImagePath::new(text).unwrap();
        let code = secret(42);
        root.write_file(&path("/etc/draft"), Attributes::root(0o600), &mut code.as_bytes()).unwrap();
        root.write_file(&path("/etc/activation"), Attributes::root(0o600), &mut code.as_bytes()).unwrap();
        root.remove(&path("/etc/draft")).unwrap();
        root.sync().unwrap();
        assert!(Disk::from_bytes(&card).find(code.as_bytes()).len() > 1 || *name == "no journal", "{name}");
        let changed = inside(&card.changed(), ByteRange::new(0, card.size().0));
        scrub_touched(card.clone(), &changed, Silent.task("scrub", None).as_mut()).unwrap();
        let finished = Disk::from_bytes(&card);
        assert_eq!(finished.find(code.as_bytes()).len(), 1, "{name}");
        finished.assert_clean(name);
        assert_eq!(finished.mounted("ro", |top| fs::read_to_string(top.join("etc/activation")).unwrap()), code);
        let differing: u64 = card.differing().unwrap().iter().map(|range| range.len.0).sum();
        assert!(differing < 1 << 20, "{name}: {differing}");
        // The whole scrub finds nothing that the small one left.
        let whole = scrubbed(&card);
        assert!(whole.is_empty(), "{name}: {whole}");
    }
}

#[test]
fn deleted_files_names_and_tails_are_gone_from_every_kind_of_fat() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("fsck.fat") {
        return;
    }
    for (options, mib) in
        [(&["-F", "12"][..], 8), (&["-F", "16"], 40), (&["-F", "32"], 64), (&["-F", "16", "-f", "1"], 40)]
    {
        let disk = fat(options, mib, &[("/config.txt", b"dtparam"), ("/overlays/kept overlay.dtbo", &[4; 5000])]);
        let mut files = BTreeMap::new();
        for n in 0..40 {
            put(&disk.path, &format!("/overlays/{}.txt", secret(n)), secret(n).repeat(300).as_bytes());
        }
        for n in 0..40 {
            run(Command::new("mdel").arg("-i").arg(&disk.path).arg(format!("::/overlays/{}.txt", secret(n))));
        }
        put(&disk.path, "/long", secret(1).repeat(100).as_bytes());
        // A shorter file in the same place leaves a tail.
        let overlay = disk.overlay();
        let boot = BootFs::open(overlay.clone(), CLOCK).unwrap();
        let path = |text: &str| ImagePath::new(text).unwrap();
        boot.write_file(&path("/long"), Attributes::root(0o644), &mut &b"short"[..]).unwrap();
        boot.write_file(&path(&format!("/{}", secret(77))), Attributes::root(0o644), &mut &b"x"[..]).unwrap();
        boot.remove(&path(&format!("/{}", secret(77)))).unwrap();
        boot.sync().unwrap();
        for name in ["/config.txt", "/overlays/kept overlay.dtbo", "/long"] {
            files.insert(name, get(&Disk::from_bytes(&overlay).path, name));
        }
        let report = scrubbed(&overlay);
        assert!(report.free_bytes > 0 && report.directory_entries > 0, "{options:?}: {report}");
        let clean = Disk::from_bytes(&overlay);
        assert_eq!(clean.find(NEEDLE), Vec::<usize>::new(), "{options:?}: {report}");
        // Long names are stored as UTF-16.
        let wide: Vec<u8> = "NeEdL".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(clean.find(&wide), Vec::<usize>::new(), "{options:?}");
        assert_eq!(clean.find(b"ECRET"), Vec::<usize>::new(), "{options:?}");
        assert_fat_clean(&clean, "scrubbed");
        for (name, content) in &files {
            assert_eq!(get(&clean.path, name), *content, "{options:?} {name}");
        }
        let again = scrubbed(&overlay);
        assert!(again.is_empty(), "{options:?}: the second scrub {again}");
        assert_eq!(Disk::from_bytes(&overlay).sha256(), clean.sha256());
    }
}

#[test]
fn copies_of_the_fat_agree_after_a_scrub() {
    if !need("mkfs.vfat") || !need("mcopy") {
        return;
    }
    let disk = fat(&["-F", "16"], 40, &[("/config.txt", b"dtparam")]);
    let overlay = disk.overlay();
    let volume = cardsmith::fs::fat::FatVolume::read(&overlay).unwrap();
    overlay.write_at(ByteOffset(volume.table_start + volume.table_bytes + 100), &[1, 2, 3]).unwrap();
    assert_eq!(scrubbed(&overlay).table_copies, 1);
    assert_fat_clean(&Disk::from_bytes(&overlay), "tables");
}

/// For images that are too large to keep with the tests: `CARDSMITH_TRY_IMAGES=a.img:b.img`.
#[test]
#[ignore = "for a person: needs images named in CARDSMITH_TRY_IMAGES"]
fn images_named_in_the_environment_are_repaired_checked_and_scrubbed() {
    let images = std::env::var("CARDSMITH_TRY_IMAGES").expect("CARDSMITH_TRY_IMAGES=a.img:b.img");
    for image in images.split(':').filter(|image| !image.is_empty()) {
        let volume = crate::support::volume::Volume::root_of(Path::new(image));
        let base = Arc::new(FileBytes(File::open(image).unwrap()));
        let overlay = Arc::new(Overlay::new(base).unwrap());
        let range = ByteRange::new(volume.start, volume.len);
        let window: Arc<dyn WriteAt> = Arc::new(cardsmith::image::Window::new(overlay.clone(), range).unwrap());
        let started = std::time::Instant::now();
        let lap = |what: &str| eprintln!("{image}: {what} after {:?}", started.elapsed());
        let repaired = cardsmith::fs::repair::repair(window.clone(), CLOCK).unwrap();
        lap(&repaired.map_or("clean".to_owned(), |report| report.to_string()));
        lap(&format!("{:?}", check::check(window.clone()).unwrap()));
        let report = scrub(window.clone(), Silent.task("scrub", None).as_mut()).unwrap();
        lap(&report.to_string());
        check::check(window.clone()).unwrap();
        lap("checked");
        assert!(e2fsck::check(&*window).unwrap().is_some());
        lap("e2fsck");
        let card = Arc::new(Overlay::new(overlay).unwrap());
        let window: Arc<dyn WriteAt> = Arc::new(cardsmith::image::Window::new(card.clone(), range).unwrap());
        let root = RootFs::open(window.clone(), CLOCK).unwrap();
        let name = ImagePath::new("/etc/card").unwrap();
        root.write_file(&name, Attributes::root(0o600), &mut &b"x"[..]).unwrap();
        root.sync().unwrap();
        lap("a card's edit");
        let touched = inside(&card.changed(), range);
        let report = scrub_touched(window.clone(), &touched, Silent.task("scrub", None).as_mut()).unwrap();
        lap(&format!("card: {report}"));
        assert!(scrub(window, Silent.task("scrub", None).as_mut()).unwrap().is_empty());
        lap("the whole scrub again");
    }
}

#[test]
fn an_image_that_was_cleaned_by_hand_still_holds_its_secrets_until_it_is_scrubbed() {
    if !need("mke2fs") || !need("mkfs.vfat") {
        return;
    }
    let image = PiImage::lived_in().hand_cleaned().build();
    let root = image.root();
    let overlay = Arc::new(Overlay::new(Arc::new(FileBytes(File::open(image.path()).unwrap()))).unwrap());
    let range = ByteRange::new(root.start, root.len);
    let window: Arc<dyn WriteAt> = Arc::new(cardsmith::image::Window::new(overlay, range).unwrap());
    cardsmith::fs::repair::repair(window.clone(), CLOCK).unwrap();
    let remain = || -> Vec<String> {
        let disk = Disk::from_bytes(&window);
        let found = image.needles().into_iter().filter(|needle| !disk.find(&needle.bytes).is_empty());
        found.map(|needle| needle.name).collect()
    };
    let before = remain();
    assert!(before.iter().any(|name| name.contains("vault") || name.contains("key")), "{before:?}");
    scrub(window.clone(), Silent.task("scrub", None).as_mut()).unwrap();
    // What the hand forgot is still in files; what it deleted is gone.
    let tree = Disk::from_bytes(&window);
    tree.assert_clean("scrubbed");
    let still: Vec<String> = tree.mounted("ro", |top| {
        let mut files = Vec::new();
        let mut ahead = vec![top.to_path_buf()];
        while let Some(path) = ahead.pop() {
            match fs::symlink_metadata(&path).unwrap() {
                meta if meta.is_dir() => ahead.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path())),
                meta if meta.is_file() => files.push(fs::read(&path).unwrap()),
                _ => {}
            }
        }
        let lives = |needle: &[u8]| {
            let search = aho_corasick::AhoCorasick::new([needle]).unwrap();
            files.iter().any(|file| search.is_match(file.as_slice()))
        };
        image.needles().into_iter().filter(|needle| lives(&needle.bytes)).map(|needle| needle.name).collect()
    });
    assert_eq!(remain(), still);
    assert!(still.len() < before.len(), "{before:?} {still:?}");
}
