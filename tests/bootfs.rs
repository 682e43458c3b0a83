//! Editing the FAT boot partition: fsck.fat and mtools judge the result.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cardsmith::fs::{Attributes, BootFs, Clock, FileKind, FsError, ImagePath, Tree, TreeMut};
use cardsmith::image::overlay::Overlay;
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::units::ByteOffset;
use tempfile::TempDir;

use crate::support::ext4_disk::{Disk, FileBytes, run, said};
use crate::support::need;

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };
const FILE: Attributes = Attributes::root(0o644);

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// A FAT volume by mkfs.vfat, with files of the Pi's boot partition put in by mtools.
pub fn fat(options: &[&str], mib: u64, files: &[(&str, &[u8])]) -> Disk {
    let directory = TempDir::new().unwrap();
    let image: PathBuf = directory.path().join("disk.img");
    File::create(&image).unwrap().set_len(mib << 20).unwrap();
    run(Command::new("mkfs.vfat").args(["-n", "bootfs", "-i", "CA4D5817"]).args(options).arg(&image));
    for (name, content) in files {
        put(&image, name, content);
    }
    Disk { directory, path: image }
}

pub fn put(image: &Path, name: &str, content: &[u8]) {
    if let Some((parent, _)) = name.trim_start_matches('/').rsplit_once('/') {
        let _ = Command::new("mmd").args(["-D", "s", "-i"]).arg(image).arg(format!("::/{parent}")).output();
    }
    let from = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(from.path(), content).unwrap();
    run(Command::new("mcopy").args(["-o", "-i"]).arg(image).arg(from.path()).arg(format!("::{name}")));
}

pub fn get(image: &Path, name: &str) -> Vec<u8> {
    run(Command::new("mtype").args(["-i"]).arg(image).arg(format!("::{name}"))).stdout
}

pub fn assert_fat_clean(disk: &Disk, what: &str) {
    let output = Command::new("fsck.fat").args(["-n", "-v"]).arg(&disk.path).output().unwrap();
    assert!(output.status.code() == Some(0), "{what}: fsck.fat -n: {}", said(&output));
}

const KINDS: &[(&str, &[&str], u64)] = &[
    ("FAT12", &["-F", "12"], 8),
    ("FAT16", &["-F", "16"], 40),
    ("FAT32", &["-F", "32"], 64),
    ("FAT32 with one sector per cluster", &["-F", "32", "-s", "1"], 64),
    ("FAT32 with large clusters", &["-F", "32", "-s", "4"], 160),
    ("FAT16 with one table", &["-F", "16", "-f", "1"], 40),
];

#[test]
fn files_and_directories_written_to_every_kind_of_fat_are_there_for_mtools_and_fsck_is_content() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("fsck.fat") {
        return;
    }
    let large: Vec<u8> = (0..700_000u32).map(|n| (n * 7) as u8).collect();
    for (name, options, mib) in KINDS {
        let config: &[(&str, &[u8])] = &[("/config.txt", b"dtparam=audio=on\n"), ("/overlays/README", b"overlays")];
        let disk = fat(options, *mib, config);
        let before = disk.sha256();
        let overlay = disk.overlay();
        let boot = BootFs::open(overlay.clone(), CLOCK).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(boot.read(&path("/CONFIG.TXT"), 100).unwrap(), b"dtparam=audio=on\n");
        assert_eq!(boot.stat(&path("/overlays")).unwrap().unwrap().kind, FileKind::Directory);
        assert_eq!(boot.stat(&path("/config.txt/below")).unwrap(), None);
        boot.write_file(&path("/Config.txt"), FILE, &mut &b"replaced\n"[..]).unwrap();
        boot.write_file(&path("/a rather long name, with spaces.conf"), FILE, &mut large.as_slice()).unwrap();
        boot.write_file(&path("/empty"), FILE, &mut &b""[..]).unwrap();
        boot.make_directory(&path("/cardsmith"), FILE).unwrap();
        boot.make_directory(&path("/cardsmith"), FILE).unwrap();
        boot.make_directory(&path("/cardsmith/below"), FILE).unwrap();
        boot.write_file(&path("/cardsmith/below/status.txt"), FILE, &mut &b"fine"[..]).unwrap();
        boot.remove(&path("/overlays")).unwrap();
        boot.remove(&path("/overlays")).unwrap();
        boot.sync().unwrap();
        let ours = Disk::from_bytes(&overlay);
        assert_fat_clean(&ours, name);
        assert_eq!(get(&ours.path, "/config.txt"), b"replaced\n", "{name}");
        assert_eq!(get(&ours.path, "/a rather long name, with spaces.conf"), large, "{name}");
        assert_eq!(get(&ours.path, "/cardsmith/below/status.txt"), b"fine", "{name}");
        let listed = run(Command::new("mdir").args(["-b", "-/", "-i"]).arg(&ours.path).arg("::/"));
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(!listed.contains("README") && listed.contains("::/empty"), "{name}: {listed}");
        let stat = boot.stat(&path("/empty")).unwrap().unwrap();
        assert!((stat.modified - CLOCK.seconds).abs() <= 2, "{name}: {}", stat.modified);
        assert_eq!(disk.sha256(), before, "{name}: the input changed");
    }
}

#[test]
fn a_root_directory_that_grows_does_not_bring_back_what_its_new_cluster_held() {
    if !need("mkfs.vfat") || !need("mcopy") {
        return;
    }
    let disk = fat(&["-F", "32", "-s", "1"], 64, &[]);
    let overlay = disk.overlay();
    // Free clusters full of what would be directory entries.
    let mut stale = b"STALE   TXT\x20".to_vec();
    stale.resize(32, 0x21);
    overlay.write_at(ByteOffset(2 << 20), &stale.repeat(1 << 15)).unwrap();
    let boot = BootFs::open(overlay.clone(), CLOCK).unwrap();
    for n in 0..150 {
        boot.write_file(&path(&format!("/file number {n:03}.txt")), FILE, &mut &b"x"[..]).unwrap();
    }
    boot.sync().unwrap();
    assert_eq!(boot.list(&ImagePath::root()).unwrap().len(), 150);
    assert_fat_clean(&Disk::from_bytes(&overlay), "grown root");
}

#[test]
fn the_same_edits_of_fat_give_the_same_bytes_and_a_full_volume_says_so() {
    if !need("mkfs.vfat") || !need("mcopy") {
        return;
    }
    let disk = fat(&["-F", "16"], 16, &[("/config.txt", b"x")]);
    let digest = || {
        let overlay = disk.overlay();
        let boot = BootFs::open(overlay.clone(), CLOCK).unwrap();
        boot.make_directory(&path("/d"), FILE).unwrap();
        boot.write_file(&path("/d/file"), FILE, &mut &b"content"[..]).unwrap();
        boot.sync().unwrap();
        Disk::from_bytes(&overlay).sha256()
    };
    let first = digest();
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(first, digest());
    let boot = BootFs::open(disk.overlay(), CLOCK).unwrap();
    let result = boot.write_file(&path("/large"), FILE, &mut vec![7; 20 << 20].as_slice());
    assert!(matches!(result, Err(FsError::NoSpace { .. })), "{result:?}");
    assert!(matches!(boot.make_symlink(&path("/l"), b"x"), Err(FsError::Unsupported { .. })));
}

#[test]
fn damaged_fat_volumes_give_errors_and_never_panics_or_endless_loops() {
    if !need("mkfs.vfat") || !need("mcopy") {
        return;
    }
    let mut x = 99u64;
    let mut number = move |below: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % below
    };
    for (name, options, mib) in KINDS {
        let disk = fat(options, *mib, &[("/config.txt", &[5; 9000]), ("/overlays/a long name.dtbo", &[6; 9000])]);
        let bytes: Arc<dyn ReadAt> = Arc::new(FileBytes(File::open(&disk.path).unwrap()));
        let mut accepted = 0;
        for round in 0..60 {
            let overlay = Arc::new(Overlay::new(bytes.clone()).unwrap());
            for _ in 0..=round % 4 {
                let at = [number(90), 512 * number(8) + number(512), 16384 + number(4096)][number(3) as usize];
                overlay.write_at(ByteOffset(at), &[number(256) as u8]).unwrap();
            }
            if let Ok(boot) = BootFs::open(overlay.clone(), CLOCK) {
                accepted += 1;
                let _ = boot.read(&path("/config.txt"), 1 << 20);
                let _ = boot.write_file(&path("/new"), FILE, &mut vec![1; 100_000].as_slice());
                let _ = boot.make_directory(&path("/dir"), FILE);
                let _ = boot.remove(&path("/overlays"));
                let _ = boot.sync();
            }
        }
        assert!(accepted > 0, "{name}: nothing got as far as the library");
    }
}
