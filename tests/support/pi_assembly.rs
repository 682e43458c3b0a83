//! How a [`PiImage`](super::pi_image::PiImage) is put together.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::mounted::Mounted;
use super::pi_image::{DISK_ID, Needle, PART_GUIDS, Spec};
use super::pi_tree::{self, Tree};
use super::run::{path as tool_path, run, run_with_input};
use super::volume::Volume;

const ALIGN: u64 = 8 << 20;
/// The smallest round size with enough 512-byte clusters for FAT32.
const BOOT_BYTES: u64 = 36 << 20;
const ROOT_BYTES: u64 = 20 << 20;
const EPOCH: &str = "1760000000";

impl Spec {
    /// Builds the image into the file `image`, with `work` for what lies about meanwhile.
    pub(super) fn assemble(&self, work: &Path, image: &Path) -> Vec<Needle> {
        let mut tree = Tree::new(work);
        pi_tree::fill(&mut tree, self);
        for path in &self.without {
            tree.remove(path);
        }
        for (path, target) in &self.links {
            tree.link(path, target);
        }
        for (path, mode, content) in &self.extra_files {
            tree.remove(path);
            tree.file(path, *mode, content);
        }
        for (path, of) in &self.hard_links {
            tree.hard_link(path, of);
        }
        for (path, content) in &self.boot_files {
            tree.boot_file(path, content);
        }
        let (p1, p2) = (ALIGN, ALIGN + BOOT_BYTES);
        // A GPT keeps a copy of itself in the last 33 sectors.
        let tail = if self.gpt { 1 << 20 } else { 0 };
        File::create(image).unwrap().set_len(p2 + ROOT_BYTES + tail).unwrap();
        let sectors = |bytes: u64| bytes / 512;
        let table = if self.gpt {
            format!(
                "label: gpt\nlabel-id: 01234567-89AB-4DEF-8123-456789ABCDEF\nunit: sectors\n\
                 start={}, size={}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid={}\n\
                 start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid={}\n",
                sectors(p1),
                sectors(BOOT_BYTES),
                PART_GUIDS[0],
                sectors(p2),
                sectors(ROOT_BYTES),
                PART_GUIDS[1]
            )
        } else {
            format!(
                "label: dos\nlabel-id: 0x{DISK_ID}\nunit: sectors\nstart={}, size={}, type=c\nstart={}, size={}, type=83\n",
                sectors(p1),
                sectors(BOOT_BYTES),
                sectors(p2),
                sectors(ROOT_BYTES)
            )
        };
        run_with_input(Command::new("sfdisk").arg("-q").arg(image), table.as_bytes());
        run(Command::new("mkfs.fat")
            .args(["-n", "bootfs", "-F", "32", "-s", "1", "-i", "4F2A9C31", "-h", &sectors(p1).to_string()])
            .args(["--offset", &sectors(p1).to_string()])
            .arg(image)
            .arg((BOOT_BYTES / 1024).to_string())
            .env("SOURCE_DATE_EPOCH", EPOCH));
        tree.settle(EPOCH);
        let fat = format!("{}@@{p1}", image.display());
        run(Command::new("sh")
            .args(["-c", "cd \"$1\" && exec mcopy -s -p -m -i \"$2\" $(ls -A) ::", "sh"])
            .arg(tree.boot())
            .arg(&fat)
            .envs([("MTOOLS_SKIP_CHECK", "1"), ("TZ", "UTC")]));
        let root = work.join("root.ext4");
        let script = format!(
            "{}mke2fs -q -F -t ext4 -L rootfs -U 11111111-2222-4333-8444-555555555555 -O '{}' -b {} -I 256 -i 16384 \
             -J size=4 -E 'hash_seed=66666666-7777-4888-9999-aaaaaaaaaaaa,root_owner=0:0' -d '{}' '{}' {}k\n",
            tree.ownership_script(),
            self.feature_list(),
            self.block_size,
            tree.root().display(),
            root.display(),
            ROOT_BYTES / 1024
        );
        let needles = tree.needles();
        as_root(&script);
        if self.lived_in {
            // FS_APPEND_FL and FS_EXTENT_FL: what `chattr +a` sets, and what mke2fs -d does not copy.
            let request = format!("set_inode_field /{} flags 0x80020", pi_tree::APPEND_ONLY);
            run(Command::new("debugfs").args(["-w", "-R", &request]).arg(&root));
        }
        check(&root, "-fyD");
        if self.nearly_full {
            fill_up(work, &root);
        }
        put(&root, image, p2);
        if self.grown {
            grow(image, &root, p2);
        }
        if self.hand_cleaned {
            let mounted = Mounted::read_write(&Volume::root_of(image));
            pi_tree::clean_by_hand(mounted.path());
        }
        if self.power_cut {
            cut_power(image, work);
        }
        needles
    }
}

/// A shell script as root: really, or as fakeroot makes mke2fs believe.
fn as_root(script: &str) {
    let script = format!("set -e\n{script}");
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else {
        let mut fakeroot = Command::new("fakeroot");
        fakeroot.args(["--", "sh"]);
        fakeroot
    };
    run_with_input(command.arg("-s").env("SOURCE_DATE_EPOCH", EPOCH), script.as_bytes());
}

/// e2fsck that may repair; anything but "clean" and "repaired" is an error of the builder.
fn check(root: &Path, how: &str) {
    let out = Command::new("e2fsck").arg(how).arg(root).env("PATH", tool_path()).env("LC_ALL", "C").output().unwrap();
    let code = out.status.code();
    assert!(matches!(code, Some(0 | 1)), "e2fsck {how}: {code:?}\n{}", String::from_utf8_lossy(&out.stdout));
}

/// The file system's bytes into their partition.
fn put(root: &Path, image: &Path, at: u64) {
    let bytes = fs::read(root).unwrap();
    let image = File::options().write(true).open(image).unwrap();
    for (i, block) in bytes.chunks(4096).enumerate() {
        if block.iter().any(|&b| b != 0) {
            image.write_all_at(block, at + i as u64 * 4096).unwrap();
        }
    }
}

fn fill_up(work: &Path, root: &Path) {
    let header = run(Command::new("dumpe2fs").arg("-h").arg(root));
    let text = String::from_utf8_lossy(&header.stdout).into_owned();
    let number =
        |name: &str| -> u64 { text.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().parse().unwrap() };
    let bytes = (number("Free blocks:") * number("Block size:")).checked_sub(16 << 10).unwrap();
    let filler = work.join("filler");
    // Not zeros: debugfs would leave holes.
    fs::write(&filler, vec![b'f'; bytes as usize]).unwrap();
    run(Command::new("debugfs").args(["-w", "-R", &format!("write {} filler", filler.display())]).arg(root));
    check(root, "-fy");
}

fn grow(image: &Path, root: &Path, p2: u64) {
    let grown = 200 << 20;
    run(Command::new("truncate").args(["-s", &(p2 + grown + (1 << 20)).to_string()]).arg(image));
    run_with_input(
        Command::new("sfdisk").args(["-q", "-N", "2"]).arg(image),
        format!(", {}\n", grown / 512).as_bytes(),
    );
    run(Command::new("truncate").args(["-s", &grown.to_string()]).arg(root));
    run(Command::new("resize2fs").arg(root));
    check(root, "-fn");
    put(root, image, p2);
}

/// What a pulled plug leaves: the backing file is copied while the kernel has the file system mounted, after changes
/// that are only in the journal, and with files that are deleted but still open.
fn cut_power(image: &Path, work: &Path) {
    let cut = work.join("cut.img");
    let mounted = Mounted::read_write(&Volume::root_of(image));
    let open = pi_tree::live_on(mounted.path());
    copy_sparse(image, &cut);
    drop(open);
    drop(mounted);
    fs::rename(&cut, image).unwrap();
}

/// A copy that is as sparse as its source.
pub fn copy_sparse(from: &Path, to: &Path) {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to));
}
