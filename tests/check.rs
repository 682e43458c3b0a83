//! Our own consistency check and the second reader: both find what is wrong, and nothing where nothing is.

use std::fs;

use cardsmith::digest::Sha256Digest;
use cardsmith::fs::blockmap::used_ranges;
use cardsmith::fs::ext4::Superblock;
use cardsmith::fs::ext4::groups::Groups;
use cardsmith::fs::ext4::inode::slot_at;
use cardsmith::fs::repair::repair;
use cardsmith::fs::reread::{self, Expect};
use cardsmith::fs::scrub::scrub;
use cardsmith::fs::{Attributes, Clock, FsError, ImagePath, RootFs, TreeMut, check, e2fsck};
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::ByteOffset;

use crate::support::ext4_disk::{Disk, FEATURE_SETS};
use crate::support::need;

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn disk(options: &[&str]) -> Disk {
    Disk::ext4(64, options, |top| {
        for n in 0..400 {
            fs::create_dir_all(top.join(format!("d{}", n % 7))).unwrap();
            fs::write(top.join(format!("d{}/file-{n}", n % 7)), vec![n as u8; n * 20]).unwrap();
        }
        fs::hard_link(top.join("d0/file-0"), top.join("d1/linked")).unwrap();
    })
}

#[test]
fn edits_on_every_feature_set_pass_our_check_and_read_back_as_planned() {
    if !need("mke2fs") {
        return;
    }
    for (name, options) in FEATURE_SETS {
        let disk = disk(options);
        let overlay = disk.overlay();
        check::check(overlay.clone()).unwrap_or_else(|e| panic!("{name}, fresh: {e}"));
        let root = RootFs::open(overlay.clone(), CLOCK).unwrap();
        let attributes = Attributes { mode: 0o4750, uid: 1000, gid: 70_000 };
        root.write_file(&path("/d1/new"), attributes, &mut vec![5; 300_000].as_slice()).unwrap();
        root.remove(&path("/d2")).unwrap();
        root.remove(&path("/d0/file-0")).unwrap();
        root.make_directory(&path("/d1/dir"), Attributes::root(0o1777)).unwrap();
        root.make_symlink(&path("/d1/link"), b"dir").unwrap();
        root.sync().unwrap();
        check::check(overlay.clone()).unwrap_or_else(|e| panic!("{name}, edited: {e}"));
        let file = |sha256, size| Expect::File { sha256, size, attributes };
        let right = vec![
            (path("/d1/new"), file(Sha256Digest::of(&vec![5; 300_000]), 300_000)),
            (path("/d2"), Expect::Absent),
            (path("/d2/below"), Expect::Absent),
            (path("/d1/dir"), Expect::Directory { attributes: Attributes::root(0o1777) }),
            (path("/d1/link"), Expect::Symlink { target: b"dir".to_vec() }),
            (path("/d1/new"), Expect::Attributes { attributes }),
        ];
        reread::verify(overlay.clone(), &right).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (at, wrong) in [
            ("/d1/new", file(Sha256Digest::of(b"other"), 300_000)),
            ("/d1/new", file(Sha256Digest::of(&vec![5; 300_000]), 1)),
            ("/d1/new", Expect::Absent),
            ("/d1/dir", Expect::Directory { attributes: Attributes::root(0o755) }),
            ("/d1/link", Expect::Symlink { target: b"other".to_vec() }),
            ("/d1/link", Expect::Directory { attributes: Attributes::root(0o777) }),
            ("/missing", Expect::Directory { attributes: Attributes::root(0o777) }),
        ] {
            assert!(reread::verify(overlay.clone(), &[(path(at), wrong.clone())]).is_err(), "{name}: {at} {wrong:?}");
        }
    }
}

#[test]
fn damage_that_e2fsck_finds_is_found_by_our_check_too() {
    if !need("mke2fs") || !need("e2fsck") {
        return;
    }
    let disk = disk(&["-O", "^metadata_csum,^64bit,^resize_inode"]);
    let (block_bitmap, inode_bitmap, table) = {
        let overlay = disk.overlay();
        let sb = Superblock::read(&overlay).unwrap();
        let group = Groups::read(&overlay, &sb).unwrap().all[0];
        (group.block_bitmap * 4096, group.inode_bitmap * 4096, group.inode_table * 4096)
    };
    let mut x = 4711u64;
    let mut number = move |below: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % below
    };
    let (mut damaged, mut found) = (0, 0);
    for _ in 0..120 {
        let overlay = disk.overlay();
        // Descriptors, bitmaps and the inodes in use of the first group: mode, size, links, flags, block map.
        let inode = table + (10 + number(400)) * 256 + [0, 4, 0x1A, 0x20, 0x28, 0x2A, 0x34, 0x3C][number(8) as usize];
        let at = [4096 + number(32), block_bitmap + number(1000), inode_bitmap + number(52), inode];
        let at = ByteOffset(at[number(4) as usize]);
        let mut byte = [0];
        overlay.read_at(at, &mut byte).unwrap();
        byte[0] ^= 1 << number(8);
        overlay.write_at(at, &byte).unwrap();
        if let Err(said) = e2fsck::check(&overlay) {
            damaged += 1;
            if check::check(overlay.clone()).is_ok() {
                eprintln!("missed at {at}: {said}");
            }
            found += usize::from(check::check(overlay).is_err());
        }
    }
    assert!(damaged > 10 && found * 10 >= damaged * 9, "{found} of {damaged}");
}

#[test]
fn noted_errors_are_refused() {
    if !need("mke2fs") {
        return;
    }
    let disk = disk(&["-O", "^metadata_csum"]);
    let overlay = disk.overlay();
    overlay.write_at(ByteOffset(0x43A), &[3, 0]).unwrap();
    assert!(matches!(check::check(overlay), Err(FsError::Corrupt { .. })));
}

#[test]
fn no_damage_makes_any_reader_panic_hang_or_take_endless_memory() {
    if !need("mke2fs") {
        return;
    }
    for (name, options) in FEATURE_SETS.iter().filter(|(name, _)| !name.contains("meta_bg")) {
        let disk = disk(options);
        let (structures, bs) = {
            let overlay = disk.overlay();
            let sb = Superblock::read(&overlay).unwrap();
            let group = Groups::read(&overlay, &sb).unwrap().all[0];
            let bs = sb.block_size();
            // Superblock, descriptors, both bitmaps, inodes, the blocks of the first directories.
            let root = slot_at(&sb, &Groups::read(&overlay, &sb).unwrap(), 2).unwrap().0;
            (
                vec![
                    1024,
                    bs * 2,
                    group.block_bitmap * bs,
                    group.inode_bitmap * bs,
                    root,
                    group.inode_table * bs + 4096,
                ],
                bs,
            )
        };
        let mut x = 977u64;
        let mut number = move |below: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % below
        };
        for round in 0..12 {
            let overlay = disk.overlay();
            for _ in 0..=round % 3 {
                let at = structures[number(structures.len() as u64) as usize] + number(bs.min(1024));
                overlay.write_at(ByteOffset(at), &[number(256) as u8, number(256) as u8]).unwrap();
            }
            let _ = used_ranges(&overlay);
            let _ = check::check(overlay.clone());
            let _ = reread::verify(overlay.clone(), &[(path("/d1/file-1"), Expect::Absent)]);
            let before = overlay.changed();
            let scrubbed = scrub(overlay.clone(), Silent.task("", None).as_mut());
            if matches!(scrubbed, Err(FsError::Unsupported { .. })) {
                assert_eq!(overlay.changed(), before, "{name}");
            }
            let _ = repair(overlay.clone(), CLOCK);
            if let Ok(root) = RootFs::open(overlay, CLOCK) {
                let _ = root.remove(&path("/d1"));
                let _ = root.sync();
            }
        }
    }
}
