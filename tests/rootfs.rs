//! Editing an ext4 root: the Linux kernel and e2fsck judge the result.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cardsmith::fs::{Attributes, Clock, FileKind, FsError, ImagePath, RootFs, Tree, TreeMut};
use cardsmith::image::WriteAt;
use cardsmith::units::ByteOffset;

use crate::support::ext4_disk::{Disk, FEATURE_SETS, run};
use crate::support::need;

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    })
    .take(len)
    .collect()
}

/// What the edits below start from.
fn before(top: &Path) {
    for directory in ["etc", "usr/lib/systemd", "var/lib/amazon/ssm/Vault/Store", "home/pi", "many", "log"] {
        fs::create_dir_all(top.join(directory)).unwrap();
    }
    symlink("usr/lib", top.join("lib")).unwrap();
    symlink("../log", top.join("var/log")).unwrap();
    fs::write(top.join("etc/hostname"), "raspberrypi\n").unwrap();
    fs::write(top.join("var/lib/amazon/ssm/Vault/Store/RegistrationKey"), noise(3, 5000)).unwrap();
    fs::write(top.join("var/lib/amazon/ssm/registration"), "{}").unwrap();
    fs::write(top.join("log/big.log"), noise(5, 3 << 20)).unwrap();
    fs::write(top.join("home/pi/a"), "linked").unwrap();
    fs::hard_link(top.join("home/pi/a"), top.join("home/pi/b")).unwrap();
    for n in 0..600 {
        fs::write(top.join(format!("many/a-file-with-a-rather-long-name-{n:04}")), format!("{n}")).unwrap();
    }
    run(Command::new("setfattr").args(["-n", "user.secret", "-v"]).arg("x".repeat(300)).arg(top.join("etc/hostname")));
}

/// The same edits, through any way of writing.
fn edit(make: &mut dyn FnMut(Edit)) {
    make(Edit::Write("/etc/hostname", 0o644, 0, b"kiosk-0001\n".to_vec()));
    make(Edit::Write("/etc/empty", 0o4750, 70_000, Vec::new()));
    make(Edit::Write("/usr/lib/systemd/large", 0o600, 0, noise(9, (5 << 20) + 77)));
    make(Edit::Directory("/opt", 0o1777));
    make(Edit::Link("/opt/short", "../etc/hostname".into()));
    make(Edit::Link("/opt/long", "x/".repeat(100)));
    make(Edit::Remove("/var/lib/amazon"));
    make(Edit::Remove("/many"));
    make(Edit::Remove("/home/pi/a"));
    make(Edit::Remove("/log/big.log"));
    make(Edit::Directory("/new", 0o755));
    for n in 0..300 {
        make(Edit::Write(format!("/new/another-rather-long-name-{n:04}").leak(), 0o640, n, noise(u64::from(n), 100)));
    }
}

enum Edit {
    Write(&'static str, u16, u32, Vec<u8>),
    Directory(&'static str, u16),
    Link(&'static str, String),
    Remove(&'static str),
}

fn by_kernel(top: &Path, edit: Edit) {
    let place = |p: &str| top.join(p.trim_start_matches('/'));
    match edit {
        Edit::Write(p, mode, owner, content) => {
            let _ = fs::remove_file(place(p));
            fs::write(place(p), content).unwrap();
            std::os::unix::fs::chown(place(p), Some(owner), Some(owner)).unwrap();
            fs::set_permissions(place(p), fs::Permissions::from_mode(mode.into())).unwrap();
        }
        Edit::Directory(p, mode) => {
            fs::create_dir(place(p)).unwrap();
            fs::set_permissions(place(p), fs::Permissions::from_mode(mode.into())).unwrap();
        }
        Edit::Link(p, target) => symlink(target, place(p)).unwrap(),
        Edit::Remove(p) => {
            fs::remove_dir_all(place(p)).or_else(|_| fs::remove_file(place(p))).unwrap();
        }
    }
}

fn by_us(root: &RootFs, edit: Edit) {
    match edit {
        Edit::Write(p, mode, owner, content) => {
            root.write_file(&path(p), Attributes { mode, uid: owner, gid: owner }, &mut content.as_slice()).unwrap()
        }
        Edit::Directory(p, mode) => root.make_directory(&path(p), Attributes::root(mode)).unwrap(),
        Edit::Link(p, target) => root.make_symlink(&path(p), target.as_bytes()).unwrap(),
        Edit::Remove(p) => root.remove(&path(p)).unwrap(),
    }
}

#[test]
fn edits_of_every_feature_set_equal_the_kernels_and_e2fsck_finds_nothing() {
    if !need("mke2fs") || !need("e2fsck") || !need("setfattr") {
        return;
    }
    for (name, options) in FEATURE_SETS {
        let disk = Disk::ext4(48, options, before);
        let untouched = disk.sha256();
        let overlay = disk.overlay();
        let root = RootFs::open(overlay.clone(), CLOCK).unwrap_or_else(|e| panic!("{name}: {e}"));
        edit(&mut |e| by_us(&root, e));
        root.sync().unwrap();
        let ours = Disk::from_bytes(&overlay);
        ours.assert_clean(name);
        let theirs = disk.copy();
        theirs.mounted("rw", |top| edit(&mut |e| by_kernel(top, e)));
        assert_eq!(ours.kernel_tree(), theirs.kernel_tree(), "{name}");
        assert_eq!(disk.sha256(), untouched, "{name}: the input changed");
        ours.mounted("ro", |top| {
            let listed = run(Command::new("getfattr").args(["-d", "-m-"]).arg(top.join("etc/hostname")));
            assert!(listed.stdout.is_empty(), "{name}: the replaced file's extended attributes came back");
        });
    }
}

#[test]
fn the_same_edits_give_the_same_bytes() {
    if !need("mke2fs") {
        return;
    }
    let disk = Disk::ext4(48, FEATURE_SETS[0].1, before);
    let digest = || {
        let overlay = disk.overlay();
        let root = RootFs::open(overlay.clone(), CLOCK).unwrap();
        edit(&mut |e| by_us(&root, e));
        root.sync().unwrap();
        Disk::from_bytes(&overlay).sha256()
    };
    let first = digest();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, digest());
}

#[test]
fn paths_are_followed_inside_the_image_only() {
    if !need("mke2fs") {
        return;
    }
    let disk = Disk::ext4(48, &[], |top| {
        before(top);
        symlink("/../../etc/passwd", top.join("etc/escape")).unwrap();
        symlink("loop-b", top.join("loop-a")).unwrap();
        symlink("loop-a", top.join("loop-b")).unwrap();
        fs::write(top.join("etc/passwd"), "the image's own").unwrap();
    });
    let root = RootFs::open(disk.overlay(), CLOCK).unwrap();
    assert_eq!(root.resolve(&path("/etc/escape")).unwrap(), path("/etc/passwd"));
    assert_eq!(root.resolve(&path("/lib/systemd/yet-to-come")).unwrap(), path("/usr/lib/systemd/yet-to-come"));
    assert_eq!(root.read(&path("/var/log/big.log"), 1 << 30).unwrap(), noise(5, 3 << 20));
    assert!(matches!(root.read(&path("/var/log/big.log"), 100), Err(FsError::TooLarge { .. })));
    assert!(matches!(root.resolve(&path("/loop-a/x")), Err(FsError::LinkLoop { .. })));
    assert_eq!(root.stat(&path("/lib")).unwrap().unwrap().kind, FileKind::Symlink);
    assert_eq!(root.stat(&path("/etc/hostname/below")).unwrap(), None);
    assert_eq!(root.stat(&path("/no/such/thing")).unwrap(), None);
    let mut part = [0; 10];
    assert_eq!(root.read_part(&path("/etc/hostname"), 8, &mut part).unwrap(), 4);
    assert_eq!(&part[..4], b"ypi\n");
    let names: Vec<_> = root.list(&path("/home/pi")).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, [b"a".to_vec(), b"b".to_vec()]);
}

#[test]
fn append_only_and_immutable_files_and_names_that_are_no_text_are_removed() {
    if !need("mke2fs") || !need("chattr") {
        return;
    }
    use std::os::unix::ffi::OsStrExt;
    let disk = Disk::ext4(48, FEATURE_SETS[2].1, before);
    disk.mounted("rw", |top| {
        fs::create_dir_all(top.join("guarded/below")).unwrap();
        fs::write(top.join("guarded/below/log"), "append only").unwrap();
        fs::write(top.join("guarded").join(std::ffi::OsStr::from_bytes(b"\xff\xfe\x01")), "odd").unwrap();
        run(Command::new("chattr").arg("+a").arg(top.join("guarded/below/log")));
        run(Command::new("chattr").arg("+i").arg(top.join("guarded/below")));
        run(Command::new("chattr").arg("+i").arg(top.join("etc/hostname")));
    });
    let overlay = disk.overlay();
    let root = RootFs::open(overlay.clone(), CLOCK).unwrap();
    assert!(root.stat(&path("/etc/hostname")).unwrap().unwrap().protected);
    root.remove(&path("/guarded")).unwrap();
    root.remove(&path("/guarded")).unwrap();
    root.write_file(&path("/etc/hostname"), Attributes::root(0o644), &mut &b"new\n"[..]).unwrap();
    assert!(!root.stat(&path("/etc/hostname")).unwrap().unwrap().protected);
    root.sync().unwrap();
    let ours = Disk::from_bytes(&overlay);
    ours.assert_clean("guarded");
    assert!(!ours.kernel_tree().contains_key("/guarded"));
}

#[test]
fn a_full_file_system_says_so_and_the_image_stays_as_it_was() {
    if !need("mke2fs") {
        return;
    }
    let disk = Disk::ext4(24, &["-O", "^64bit,^huge_file"], |_| {});
    let untouched = disk.sha256();
    let root = RootFs::open(disk.overlay(), CLOCK).unwrap();
    let result = root.write_file(&path("/large"), Attributes::root(0o644), &mut noise(1, 30 << 20).as_slice());
    assert!(matches!(result, Err(FsError::NoSpace { .. })), "{result:?}");
    assert_eq!(disk.sha256(), untouched);
}

#[test]
fn what_is_not_a_plain_ext4_is_refused_by_name() {
    if !need("mke2fs") {
        return;
    }
    let refused = |disk: &Disk| match RootFs::open(disk.overlay(), CLOCK) {
        Ok(_) => panic!("it was accepted"),
        Err(FsError::Unsupported { what, .. } | FsError::Corrupt { what, .. }) => what,
        Err(other) => panic!("{other:?}"),
    };
    for (options, said) in [
        (&["-O", "encrypt"][..], "encrypt"),
        (&["-O", "bigalloc"], "bigalloc"),
        (&["-O", "quota"], "quota"),
        (&["-O", "casefold"], "casefold"),
        (&["-O", "ea_inode"], "ea_inode"),
        (&["-O", "mmp"], "mmp"),
        (&["-O", "verity"], "verity"),
        (&["-O", "^extent,^64bit"], "ext2 or ext3"),
    ] {
        let what = refused(&Disk::ext4(24, options, |_| {}));
        assert!(what.contains(said), "{options:?}: {what}");
    }
    let marked = |at: u64, bytes: &[u8], wipe: bool| {
        let disk = Disk::ext4(24, &["-O", "^metadata_csum"], |_| {});
        let overlay = disk.overlay();
        if wipe {
            overlay.write_at(ByteOffset(0), &[0; 4096]).unwrap();
        }
        overlay.write_at(ByteOffset(at), bytes).unwrap();
        refused(&Disk::from_bytes(&overlay))
    };
    for (at, bytes, said) in [
        (0, &b"LUKS\xba\xbe"[..], "LUKS"),
        (0x200, b"LABELONE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0LVM2 001", "LVM"),
        (0x10040, b"_BHRfS_M", "btrfs"),
        (0, b"hsqs", "squashfs"),
    ] {
        assert!(marked(at, bytes, true).contains(said));
    }
    for (at, bytes) in [
        (0x400, &[0xff; 4][..]), // inodes
        (0x404, &[0xff; 4]),     // blocks
        (0x418, &[0xff; 4]),     // block size
        (0x420, &[0; 4]),        // blocks per group
        (0x428, &[0xff; 4]),     // inodes per group
        (0x458, &[3, 0]),        // inode size
        (0x43A, &[3, 0]),        // errors were noted
        (0x454, &[0xff; 4]),     // first inode
        (0x4E0, &[0xff; 4]),     // journal
    ] {
        marked(at, bytes, false);
    }
}

#[test]
fn damaged_images_give_errors_and_never_panics_or_endless_loops() {
    if !need("mke2fs") {
        return;
    }
    let disk = Disk::ext4(24, &["-O", "^metadata_csum,^64bit"], before_small);
    let mut dice = noise(77, 1 << 16).into_iter();
    let mut number = |below: u64| {
        let bytes: [u8; 8] = std::array::from_fn(|_| dice.next().unwrap());
        u64::from_le_bytes(bytes) % below
    };
    for _ in 0..150 {
        let overlay = disk.overlay();
        for _ in 0..6 {
            // Superblock, descriptors, bitmaps, inode table and directories lie in the first 2 MiB.
            overlay.write_at(ByteOffset(number(2 << 20)), &[number(256) as u8, number(256) as u8]).unwrap();
            overlay.write_at(ByteOffset(1024 + number(300)), &[number(256) as u8]).unwrap();
        }
        let overlay: Arc<dyn WriteAt> = overlay;
        if let Ok(root) = RootFs::open(overlay, CLOCK) {
            let _ = root.list(&path("/many"));
            let _ = root.remove(&path("/many"));
            let _ = root.write_file(&path("/etc/x"), Attributes::root(0o644), &mut noise(4, 9000).as_slice());
            let _ = root.sync();
        }
    }
}

fn before_small(top: &Path) {
    for directory in ["etc", "many/deep/er"] {
        fs::create_dir_all(top.join(directory)).unwrap();
    }
    for n in 0..50 {
        fs::write(top.join(format!("many/file-{n:04}")), noise(n, 3000)).unwrap();
    }
}
