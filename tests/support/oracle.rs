//! Judges that we did not write: e2fsck, fsck.fat, the Linux kernel, mtools, visudo, bmaptool.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use aho_corasick::AhoCorasick;
use sha2::{Digest, Sha256};

use super::mounted::Mounted;
use super::pi_image::Needle;
use super::run::{path, run};
use super::volume::Volume;

/// What a checker said.
#[derive(Debug)]
pub struct Verdict {
    code: Option<i32>,
    /// Everything it printed.
    pub text: String,
}

impl Verdict {
    fn of(command: &mut Command) -> Verdict {
        let out = command.env("PATH", path()).env("LC_ALL", "C").output();
        let out = out.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = [out.stdout, out.stderr].concat();
        Verdict { code: out.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Exit code 0 and not a word of complaint.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.code == Some(0)
    }

    /// Fails the test with what was printed.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "exit {:?}\n{}", self.code, self.text);
    }
}

/// `e2fsck -fn` of an ext4 partition: looks at everything, changes nothing, replays no journal.
pub fn e2fsck(volume: &Volume) -> Verdict {
    let place = format!("{}?offset={}", volume.image.display(), volume.start);
    let mut verdict = Verdict::of(Command::new("e2fsck").args(["-fn", &place]));
    // With -n a journal that waits to be replayed is skipped and the exit code can still be 0.
    if verdict.text.contains("skipping journal recovery") {
        verdict.code = verdict.code.max(Some(4));
    }
    verdict
}

/// `fsck.fat -n` of a FAT partition.
pub fn fsck_fat(volume: &Volume) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("fat");
    volume.extract(&alone);
    Verdict::of(Command::new("fsck.fat").args(["-n", "-v"]).arg(&alone))
}

/// Both partitions of an image are clean.
#[track_caller]
pub fn assert_clean_image(image: &Path) {
    e2fsck(&Volume::root_of(image)).assert_clean();
    fsck_fat(&Volume::boot_of(image)).assert_clean();
}

/// `visudo -cf` of a sudoers file with its includes as they stand under `root` is not possible; this checks one file.
pub fn visudo(text: &[u8]) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sudoers");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    Verdict::of(Command::new("visudo").arg("-cf").arg(&file))
}

/// Everything that the kernel shows of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `file`, `dir`, `link`, `fifo`, `socket`, `char`, `block`.
    pub kind: &'static str,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    /// Zero for directories, whose size is the file system's affair.
    pub size: u64,
    pub mtime: (i64, i64),
    pub rdev: u64,
    /// `FS_IOC_GETFLAGS` without what only tells of the layout (extents, htree, inline).
    pub flags: u32,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// SHA-256 of the content, or the target of a link.
    pub content: String,
}

/// Path from the root (`/etc/hostname`) → what is there. Paths that are not UTF-8 are shown lossily.
pub type Listing = BTreeMap<String, Seen>;

/// Every file of an ext4 partition, as the Linux kernel sees it through a read-only mount. Needs root.
pub fn kernel_tree(volume: &Volume) -> Listing {
    let mounted = Mounted::read_only(volume);
    tree_of(mounted.path())
}

/// Every file under a directory.
pub fn tree_of(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let seen = look_at(&path);
            if seen.kind == "dir" {
                ahead.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            listing.insert(format!("/{}", String::from_utf8_lossy(name)), seen);
        }
    }
    listing.insert("/".to_owned(), look_at(root));
    listing
}

fn look_at(path: &Path) -> Seen {
    let meta = fs::symlink_metadata(path).unwrap();
    let t = meta.file_type();
    let kind = match () {
        () if t.is_dir() => "dir",
        () if t.is_symlink() => "link",
        () if t.is_fifo() => "fifo",
        () if t.is_socket() => "socket",
        () if t.is_char_device() => "char",
        () if t.is_block_device() => "block",
        () => "file",
    };
    let content = match kind {
        "file" => super::volume::sha256_of(path),
        "link" => fs::read_link(path).unwrap().to_string_lossy().into_owned(),
        _ => String::new(),
    };
    const LAYOUT: u32 = 0x80000 | 0x1000 | 0x1000_0000 | 0x40000;
    let flags = match kind {
        "file" | "dir" => {
            let file = File::open(path).unwrap();
            rustix::fs::ioctl_getflags(&file).map_or(0, |f| f.bits() & !LAYOUT)
        }
        _ => 0,
    };
    Seen {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        links: meta.nlink(),
        size: if kind == "dir" { 0 } else { meta.size() },
        mtime: (meta.mtime(), meta.mtime_nsec()),
        rdev: meta.rdev(),
        flags,
        xattrs: xattrs(path),
        content,
    }
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0u8; 65536];
    let Ok(len) = rustix::fs::llistxattr(path, &mut names[..]) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for name in names[..len].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0u8; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found.insert(String::from_utf8_lossy(name).into_owned(), value[..len].to_vec());
    }
    found
}

/// One path that differs between two listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only in the second.
    Added,
    /// Only in the first.
    Removed,
    /// In both, with what is different: `mode`, `owner`, `mtime`, `content`, `xattrs`, `links`, `flags`, `kind`.
    Changed(Vec<&'static str>),
}

/// What differs between two listings, by path.
pub fn diff(before: &Listing, after: &Listing) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for (path, old) in before {
        let change = match after.get(path) {
            None => Some(Change::Removed),
            Some(new) if new == old => None,
            Some(new) => {
                let differences = [
                    ("kind", old.kind != new.kind || old.rdev != new.rdev),
                    ("mode", old.mode != new.mode),
                    ("owner", (old.uid, old.gid) != (new.uid, new.gid)),
                    ("content", old.content != new.content || old.size != new.size),
                    ("mtime", old.mtime != new.mtime),
                    ("links", old.links != new.links),
                    ("xattrs", old.xattrs != new.xattrs),
                    ("flags", old.flags != new.flags),
                ];
                Some(Change::Changed(differences.iter().filter(|d| d.1).map(|d| d.0).collect()))
            }
        };
        if let Some(change) = change {
            changes.insert(path.clone(), change);
        }
    }
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        changes.insert(path.clone(), Change::Added);
    }
    changes
}

/// What differs between the ext4 partitions of two images, as the kernel sees them. Needs root.
pub fn kernel_diff(before: &Path, after: &Path) -> BTreeMap<String, Change> {
    diff(&kernel_tree(&Volume::root_of(before)), &kernel_tree(&Volume::root_of(after)))
}

/// One file of the root partition as the kernel reads it. Needs root.
pub fn kernel_read(image: &Path, file: &str) -> Vec<u8> {
    let mounted = Mounted::read_only(&Volume::root_of(image));
    fs::read(mounted.path().join(file.trim_start_matches('/'))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// One file of an ext4 partition as debugfs reads it: no root needed. `None` where there is none.
pub fn debugfs_read(image: &Path, file: &str) -> Option<Vec<u8>> {
    let volume = Volume::root_of(image);
    let place = format!("{}?offset={}", volume.image.display(), volume.start);
    let there = run(Command::new("debugfs").args(["-R", &format!("stat {file}"), &place]));
    if !String::from_utf8_lossy(&there.stdout).contains("Inode:") {
        return None;
    }
    Some(run(Command::new("debugfs").args(["-R", &format!("cat {file}"), &place])).stdout)
}

/// Every file of the FAT partition with its content, as mtools reads it.
pub fn fat_tree(image: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("{}@@{}", image.display(), Volume::boot_of(image).start);
    run(Command::new("mcopy")
        .args(["-s", "-n", "-Q", "-i", &place, "::*"])
        .arg(dir.path())
        .envs([("MTOOLS_SKIP_CHECK", "1"), ("TZ", "UTC")]));
    let mut files = BTreeMap::new();
    let mut ahead = vec![dir.path().to_owned()];
    while let Some(at) = ahead.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                ahead.push(path);
            } else {
                let name = path.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The names of those needles that are anywhere in the file's bytes, with the first place.
pub fn find_bytes(file: &Path, needles: &[Needle]) -> Vec<(String, u64)> {
    let search = AhoCorasick::new(needles.iter().map(|n| &n.bytes)).unwrap();
    let mut found: BTreeMap<usize, u64> = BTreeMap::new();
    let keep = needles.iter().map(|n| n.bytes.len()).max().unwrap_or(1) - 1;
    let mut file = File::open(file).unwrap();
    let mut buf = vec![0; 8 << 20];
    let (mut kept, mut start) = (0, 0u64);
    loop {
        let n = file.read(&mut buf[kept..]).unwrap();
        if n == 0 {
            break;
        }
        let end = kept + n;
        for hit in search.find_overlapping_iter(&buf[..end]) {
            found.entry(hit.pattern().as_usize()).or_insert(start + hit.start() as u64);
        }
        let tail = end.min(keep);
        buf.copy_within(end - tail..end, 0);
        start += (end - tail) as u64;
        kept = tail;
    }
    found.into_iter().map(|(i, at)| (needles[i].name.clone(), at)).collect()
}

/// SHA-256 of bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
