//! What disks are used for right now: mounts, swap, and other devices built on top of them. Which one is the system disk
//! follows from it.
//!
//! Formats: proc_pid_mountinfo(5), swaps in proc(5), `holders` and `slaves` in `Documentation/ABI/stable/sysfs-block`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::sysfs::{DeviceNumber, Host, attribute};

/// One use of a disk or of something on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Use {
    /// The running system needs it: its root, boot or swap lies on it, directly or through other devices.
    System {
        /// What lies on it: `/`, `/boot/firmware`, `swap`.
        what: String,
    },
    /// Something on it is mounted.
    Mounted {
        /// Where.
        at: PathBuf,
    },
    /// Another device is built on it (RAID, LVM, encryption).
    Holder {
        /// That device's name.
        device: String,
    },
}

/// Mount points that a running system cannot lose.
const SYSTEM_MOUNTS: [&str; 9] = ["/", "/usr", "/etc", "/var", "/home", "/boot", "/boot/firmware", "/boot/efi", "/efi"];

/// The uses of every disk, by the disk's name.
pub(super) struct Uses(BTreeMap<String, BTreeSet<Use>>);

/// A disk or partition in sysfs.
struct Node {
    disk: String,
    name: String,
    dir: PathBuf,
}

/// One line of mountinfo, as far as it matters here.
struct Mount {
    number: DeviceNumber,
    at: PathBuf,
    kind: String,
    source: String,
    options: String,
}

struct Map<'h> {
    host: &'h Host,
    nodes: BTreeMap<DeviceNumber, Node>,
    mounts: Vec<Mount>,
}

impl Uses {
    /// For whom does not want to know.
    pub(super) fn none() -> Uses {
        Uses(BTreeMap::new())
    }

    /// Reads them.
    pub(super) fn read(host: &Host) -> io::Result<Uses> {
        let mut map = Map { host, nodes: nodes(host)?, mounts: mounts(host)? };
        // The innermost mount of a path is the one that counts, and the last one made covers earlier ones.
        map.mounts.sort_by_key(|mount| mount.at.components().count());
        let mut uses: BTreeMap<String, BTreeSet<Use>> = BTreeMap::new();
        for mount in &map.mounts {
            let at = mount.at.to_string_lossy();
            let a_use = if SYSTEM_MOUNTS.contains(&&*at) {
                Use::System { what: at.into_owned() }
            } else {
                Use::Mounted { at: mount.at.clone() }
            };
            for disk in map.disks_of(mount) {
                uses.entry(disk).or_default().insert(a_use.clone());
            }
        }
        // A disk that is swapped to holds parts of running programs: writing to it would take the machine down.
        for swap in swaps(host) {
            for disk in map.disks_of_swap(&swap) {
                uses.entry(disk).or_default().insert(Use::System { what: "swap".to_owned() });
            }
        }
        // What is not mounted counts too, as soon as something is built on it: an open LUKS volume, a RAID array.
        for node in map.nodes.values() {
            for holder in names_in(&node.dir.join("holders")) {
                uses.entry(node.disk.clone()).or_default().insert(Use::Holder { device: holder });
            }
        }
        Ok(Uses(uses))
    }

    /// The uses of one disk; the worst first.
    pub(super) fn of(&self, disk: &str) -> Vec<Use> {
        self.0.get(disk).map(|uses| uses.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Map<'_> {
    /// The disks that a mounted file system needs.
    fn disks_of(&self, mount: &Mount) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        self.below_mount(mount, &mut seen, &mut found);
        found
    }

    fn below_mount(&self, mount: &Mount, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        // Loop devices on files on loop devices: without this, a mount that covers its own source would be walked for
        // ever.
        if !seen.insert(format!("mount {}", mount.at.display())) {
            return;
        }
        if let Some(node) = self.nodes.get(&mount.number) {
            self.below_node(node, seen, found);
        } else if let Some(node) = self.node_at(&mount.source) {
            // btrfs and some others have a number of their own; the source names (one of) their devices.
            self.below_node(node, seen, found);
        }
        if mount.kind == "btrfs" {
            self.below_btrfs(seen, found);
        }
        // A live system has its root as an overlay, which has no device of its own: its layers lie on the stick that
        // it was started from.
        if mount.kind == "overlay" {
            let layers = mount
                .options
                .split(',')
                .filter_map(|option| option.strip_prefix("lowerdir=").or_else(|| option.strip_prefix("upperdir=")));
            for path in layers.flat_map(|dirs| dirs.split(':')).filter(|dir| dir.starts_with('/')) {
                self.below_path(Path::new(path), seen, found);
            }
        }
    }

    /// A btrfs names one of its devices as its source; the others are found beside it in sysfs.
    fn below_btrfs(&self, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        let pools = self.host.sys.join("fs/btrfs");
        for pool in names_in(&pools) {
            let devices = names_in(&pools.join(pool).join("devices"));
            let members: Vec<&Node> = self.nodes.values().filter(|node| devices.contains(&node.name)).collect();
            if members.iter().any(|node| found.contains(&node.disk)) {
                members.into_iter().for_each(|node| self.below_node(node, seen, found));
            }
        }
    }

    /// A partition's disk; for RAID, LVM and encryption the devices below; for a loop device its file's disk.
    fn below_node(&self, node: &Node, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        if !seen.insert(format!("node {}", node.name)) {
            return;
        }
        found.insert(node.disk.clone());
        let below = names_in(&node.dir.join("slaves"));
        for slave in self.nodes.values().filter(|other| below.contains(&other.name)) {
            self.below_node(slave, seen, found);
        }
        if let Some(disk) = self.nodes.values().find(|other| other.name == node.disk) {
            if disk.name != node.name {
                self.below_node(disk, seen, found);
            }
            if let Some(file) = attribute(&disk.dir, "loop/backing_file") {
                self.below_path(Path::new(&file), seen, found);
            }
        }
    }

    fn below_path(&self, path: &Path, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        if let Some(mount) = self.mounts.iter().rev().find(|mount| path.starts_with(&mount.at)) {
            self.below_mount(mount, seen, found);
        }
    }

    fn disks_of_swap(&self, swap: &str) -> BTreeSet<String> {
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        match self.node_at(swap) {
            Some(node) => self.below_node(node, &mut seen, &mut found),
            None => self.below_path(Path::new(swap), &mut seen, &mut found),
        }
        found
    }

    /// The node that a path such as `/dev/mapper/root` or `/dev/sda2` leads to.
    fn node_at(&self, path: &str) -> Option<&Node> {
        let inside = Path::new(path).strip_prefix("/dev").ok()?;
        let real = std::fs::canonicalize(self.host.dev.join(inside)).unwrap_or_else(|_| self.host.dev.join(inside));
        let dev = std::fs::canonicalize(&self.host.dev).unwrap_or_else(|_| self.host.dev.clone());
        let name = real.strip_prefix(dev).ok()?.to_str()?.replace('/', "!");
        self.nodes.values().find(|node| node.name == name)
    }
}

fn nodes(host: &Host) -> io::Result<BTreeMap<DeviceNumber, Node>> {
    let block = host.sys.join("block");
    let mut nodes = BTreeMap::new();
    for entry in std::fs::read_dir(&block)? {
        let disk = entry?.file_name().to_string_lossy().into_owned();
        let dir = block.join(&disk);
        let parts = names_in(&dir).into_iter().filter(|name| dir.join(name).join("partition").exists());
        let mut all: Vec<(String, PathBuf)> = parts.map(|name| (name.clone(), dir.join(name))).collect();
        all.push((disk.clone(), dir));
        for (name, dir) in all {
            if let Some(number) = attribute(&dir, "dev").and_then(|text| DeviceNumber::parse(&text)) {
                nodes.insert(number, Node { disk: disk.clone(), name, dir });
            }
        }
    }
    Ok(nodes)
}

/// Every mount. Not being able to read them is an error: an empty list would call every disk free.
fn mounts(host: &Host) -> io::Result<Vec<Mount>> {
    let text = std::fs::read(host.proc.join("self/mountinfo"))?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let number = DeviceNumber::parse(left.nth(2)?)?;
    let at = PathBuf::from(unescape(left.nth(1)?));
    let mut right = right.splitn(3, ' ');
    let kind = right.next()?.to_owned();
    let source = unescape(right.next()?);
    Some(Mount { number, at, kind, source, options: unescape(right.next().unwrap_or("")) })
}

fn swaps(host: &Host) -> Vec<String> {
    // A kernel without swap has no such file, and then nothing is swapped to: unlike with mounts, none is an answer.
    let text = std::fs::read_to_string(host.proc.join("swaps")).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(unescape).collect()
}

/// procfs writes blanks and backslashes in names as three octal digits (`\040`).
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                rest = after.get(3..).unwrap_or("");
            }
            _ => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
