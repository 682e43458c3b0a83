//! Small ext4 file systems made by mke2fs, edited by us through an overlay or by the Linux kernel through a loop mount.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use cardsmith::digest::Sha256Digest;
use cardsmith::image::ReadAt;
use cardsmith::image::overlay::Overlay;
use cardsmith::units::{ByteOffset, ByteRange, ByteSize};
use tempfile::TempDir;

/// Feature sets that Pi OS images have had, and others that people meet.
pub const FEATURE_SETS: &[(&str, &[&str])] = &[
    ("pi-gen", &["-O", "^64bit,^huge_file"]),
    ("pi-gen without checksums", &["-O", "^64bit,^huge_file,^metadata_csum"]),
    ("trixie", &["-O", "metadata_csum_seed,orphan_file"]),
    ("1 KiB blocks", &["-b", "1024", "-g", "2048"]),
    ("inline data", &["-O", "inline_data"]),
    ("uninit_bg", &["-O", "^metadata_csum,uninit_bg,^64bit"]),
    ("no journal", &["-O", "^has_journal"]),
    ("meta_bg", &["-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "2048"]),
    ("sparse_super2", &["-O", "sparse_super2", "-b", "1024", "-g", "2048"]),
];

/// A file that holds one file system, without a partition table.
pub struct Disk {
    pub directory: TempDir,
    pub path: PathBuf,
}

/// A file as bytes that can be read; holes are told apart from data.
pub struct FileBytes(pub File);

impl ReadAt for FileBytes {
    fn size(&self) -> ByteSize {
        ByteSize(self.0.metadata().unwrap().len())
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buf, at.0)
    }
    fn next_data(&self, from: ByteOffset) -> std::io::Result<Option<ByteRange>> {
        use rustix::fs::{SeekFrom, seek};
        match seek(&self.0, SeekFrom::Data(from.0)) {
            Ok(start) => {
                let end = seek(&self.0, SeekFrom::Hole(start))?;
                Ok(Some(ByteRange::new(start, end - start)))
            }
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl Disk {
    /// An ext4 of `mib` MiB with mke2fs options `options`, holding what `fill` puts into a directory.
    pub fn ext4(mib: u64, options: &[&str], fill: impl FnOnce(&Path)) -> Disk {
        let directory = TempDir::new().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
        fill(&tree);
        let path = directory.path().join("disk.img");
        File::create(&path).unwrap().set_len(mib << 20).unwrap();
        run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).args(options).arg("-d").arg(&tree).arg(&path));
        fs::remove_dir_all(&tree).unwrap();
        Disk { directory, path }
    }

    /// A copy that shares nothing with this one.
    pub fn copy(&self) -> Disk {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("disk.img");
        run(Command::new("cp").args(["--sparse=always"]).arg(&self.path).arg(&path));
        Disk { directory, path }
    }

    /// An overlay on top: what is edited there never reaches the file.
    pub fn overlay(&self) -> Arc<Overlay> {
        Arc::new(Overlay::new(Arc::new(FileBytes(File::open(&self.path).unwrap()))).unwrap())
    }

    /// The overlay's bytes as a new disk.
    pub fn from_bytes(bytes: &dyn ReadAt) -> Disk {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("disk.img");
        let file = File::create(&path).unwrap();
        file.set_len(bytes.size().0).unwrap();
        let mut from = ByteOffset(0);
        while let Some(run) = bytes.next_data(from).unwrap() {
            let mut at = run.start.0;
            while at < run.end().0 {
                let mut chunk = vec![0; (run.end().0 - at).min(1 << 20) as usize];
                bytes.read_at(ByteOffset(at), &mut chunk).unwrap();
                if chunk.iter().any(|&b| b != 0) {
                    file.write_all_at(&chunk, at).unwrap();
                }
                at += chunk.len() as u64;
            }
            from = run.end();
        }
        Disk { directory, path }
    }

    /// Has the kernel mount the disk and `act` on the mount point.
    pub fn mounted<T>(&self, options: &str, act: impl FnOnce(&Path) -> T) -> T {
        let at = TempDir::new().unwrap();
        run(Command::new("mount").args(["-o", &format!("loop,{options}")]).arg(&self.path).arg(at.path()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(at.path())));
        run(Command::new("umount").arg(at.path()));
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// What the kernel sees: every path with kind, mode, owner, links, size and content. Directory sizes and times are
    /// left out: two correct writers may grow a directory differently.
    pub fn kernel_tree(&self) -> BTreeMap<String, String> {
        self.mounted("ro", tree_of)
    }

    /// e2fsck's opinion; panics with its words where the file system is not clean.
    pub fn assert_clean(&self, what: &str) {
        let output = Command::new("e2fsck").args(["-fn"]).arg(&self.path).output().unwrap();
        assert!(output.status.code() == Some(0), "{what}: e2fsck -fn: {}", said(&output));
    }

    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of(&fs::read(&self.path).unwrap())
    }

    /// Where `needle` stands in the disk.
    pub fn find(&self, needle: &[u8]) -> Vec<usize> {
        let bytes = fs::read(&self.path).unwrap();
        aho_corasick::AhoCorasick::new([needle]).unwrap().find_iter(&bytes).map(|m| m.start()).collect()
    }
}

/// A tree as text by path; see [`Disk::kernel_tree`].
pub fn tree_of(top: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut ahead = vec![top.to_path_buf()];
    while let Some(path) = ahead.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = String::from_utf8_lossy(path.strip_prefix(top).unwrap().as_os_str().as_bytes()).into_owned();
        let what = if meta.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            format!(" -> {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_file() {
            format!(" {} {}", meta.size(), Sha256Digest::of(&fs::read(&path).unwrap()))
        } else {
            format!(" dev {}", meta.rdev())
        };
        out.insert(
            format!("/{name}"),
            format!("{:o} {}:{} {}{what}", meta.mode(), meta.uid(), meta.gid(), meta.nlink()),
        );
    }
    out
}

pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

pub fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
