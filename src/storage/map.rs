//! Which device lies on which: partitions on disks, RAID, LVM and encryption on what they are made of, loop devices on
//! their files, files on what is mounted.
//!
//! Formats: `holders` and `slaves` in `Documentation/ABI/stable/sysfs-block`; `loop/backing_file`, drivers/block/loop.c.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::backing;
use super::host::{DeviceNumber, Host, attribute};
use super::mounts::{Mount, mounts};
use super::place::Place;

/// A disk or partition in sysfs.
#[derive(Debug)]
pub(crate) struct Node {
    /// The disk: itself, or the one that the partition is on.
    pub(crate) disk: String,
    /// Its name in sysfs, where `/` is written as `!`.
    pub(crate) name: String,
    pub(crate) number: DeviceNumber,
    /// Its folder in sysfs.
    pub(crate) dir: PathBuf,
}

impl Node {
    pub(crate) fn place(&self) -> Place {
        Place::Device(self.number)
    }
}

/// Everything that something lies on.
#[derive(Default)]
pub(crate) struct Below {
    /// The devices, and the files that loop devices among them are attached to.
    pub(crate) places: BTreeSet<Place>,
    /// The names of the disks.
    pub(crate) disks: BTreeSet<String>,
    /// Loop devices on files on loop devices: without this, a mount that covers its own source would be walked for ever.
    mounts: BTreeSet<PathBuf>,
}

/// What a loop device is attached to.
pub(crate) struct Backing {
    /// As sysfs tells it: a path that may be another one in our namespace, or gone.
    pub(crate) path: PathBuf,
    /// The file or device itself, where it can be told.
    pub(crate) place: Option<Place>,
}

/// A loop device that is attached to something.
pub(crate) struct Looped<'m> {
    pub(crate) node: &'m Node,
    pub(crate) backing: &'m Backing,
    /// Itself, what it is attached to, what that is attached to, and so on.
    pub(crate) same: BTreeSet<Place>,
}

/// All disks, partitions and mounts as they are now.
pub(crate) struct StorageMap<'h> {
    host: &'h Host,
    nodes: BTreeMap<DeviceNumber, Node>,
    mounts: Vec<Mount>,
    /// Of every loop device that is attached to something.
    backings: BTreeMap<DeviceNumber, Backing>,
}

impl<'h> StorageMap<'h> {
    pub(crate) fn read(host: &'h Host) -> io::Result<StorageMap<'h>> {
        let mut mounts = mounts(host)?;
        // The innermost mount of a path is the one that counts, and the last one made covers earlier ones.
        mounts.sort_by_key(|mount| mount.at.components().count());
        let mut map = StorageMap { host, nodes: nodes(host)?, mounts, backings: BTreeMap::new() };
        // Once for each: it may take a while.
        let disks = map.nodes.values().filter(|node| node.name == node.disk);
        map.backings = disks.filter_map(|disk| Some((disk.number, map.find_backing(disk)?))).collect();
        Ok(map)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    pub(crate) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// What a file system lies on that is mounted.
    pub(crate) fn below_mount(&self, mount: &Mount, below: &mut Below) {
        if !below.mounts.insert(mount.at.clone()) {
            return;
        }
        if let Some(node) = self.nodes.get(&mount.number) {
            self.below_node(node, below);
        } else {
            // btrfs and some others have a number of their own; the source names (one of) their devices, or all of them:
            // `/dev/sda:/dev/sdb`.
            let separates = |byte: &u8| *byte == b':' && mount.kind == b"bcachefs";
            let sources = mount.source.as_os_str().as_bytes().split(separates);
            for node in sources.filter_map(|source| self.node_at(&path_of(source))) {
                self.below_node(node, below);
            }
        }
        if mount.kind == b"btrfs" {
            for members in self.pools().into_values() {
                if members.iter().any(|node| below.places.contains(&node.place())) {
                    members.into_iter().for_each(|node| self.below_node(node, below));
                }
            }
        }
        // A live system has its root as an overlay, which has no device of its own: its layers lie on the stick that
        // it was started from.
        if mount.kind == b"overlay" {
            let options = mount.options.split(|byte| *byte == b',');
            let layers = options
                .filter_map(|option| option.strip_prefix(b"lowerdir=").or_else(|| option.strip_prefix(b"upperdir=")));
            for path in layers.flat_map(|dirs| dirs.split(|byte| *byte == b':')).filter(|dir| dir.starts_with(b"/")) {
                self.below_path(&path_of(path), below);
            }
        }
    }

    /// The members of every btrfs that is mounted, by its UUID. A mount names only one of them as its source.
    pub(crate) fn pools(&self) -> BTreeMap<String, Vec<&Node>> {
        let pools = self.host.sys.join("fs/btrfs");
        let members = |pool: String| {
            let devices = names_in(&pools.join(&pool).join("devices"));
            let members = self.nodes.values().filter(|node| devices.contains(&node.name)).collect();
            (pool, members)
        };
        names_in(&pools).into_iter().map(members).collect()
    }

    /// A device itself, and what it lies on: a partition's disk; for RAID, LVM and encryption the devices below; for a
    /// loop device what it is attached to.
    pub(crate) fn below_node(&self, node: &Node, below: &mut Below) {
        if !below.places.insert(node.place()) {
            return;
        }
        below.disks.insert(node.disk.clone());
        let slaves = names_in(&node.dir.join("slaves"));
        for slave in self.nodes.values().filter(|other| slaves.contains(&other.name)) {
            self.below_node(slave, below);
        }
        if let Some(disk) = self.nodes.values().find(|other| other.name == node.disk) {
            if disk.name != node.name {
                self.below_node(disk, below);
            }
            if let Some(backing) = self.backings.get(&disk.number) {
                self.below_backing(backing, below);
            }
        }
    }

    /// What a loop device is attached to, and what that lies on.
    pub(crate) fn below_backing(&self, backing: &Backing, below: &mut Below) {
        match backing.place {
            Some(place) => self.below_place(place, &backing.path, below),
            None => self.below_path(&backing.path, below),
        }
    }

    /// A file or device, and all others that hold the very same bytes: what a loop device is attached to, and what that
    /// is attached to.
    pub(crate) fn same_bytes(&self, place: Place) -> BTreeSet<Place> {
        let mut same = BTreeSet::new();
        let mut next = Some(place);
        while let Some(place) = next.filter(|place| same.insert(*place)) {
            next = match place {
                Place::Device(number) => self.backings.get(&number).and_then(|backing| backing.place),
                Place::File { .. } => None,
            };
        }
        same
    }

    /// A file or device, and what it lies on. `path` is where it was found.
    pub(crate) fn below_place(&self, place: Place, path: &Path, below: &mut Below) {
        match place {
            Place::Device(number) => match self.nodes.get(&number) {
                Some(node) => self.below_node(node, below),
                // Not in sysfs: nothing is known of what it lies on.
                None => drop(below.places.insert(place)),
            },
            Place::File { device, .. } => {
                if !below.places.insert(place) {
                    return;
                }
                // By number, where that is a device's: the path may be another one in our namespace.
                if let Some(node) = self.nodes.get(&device) {
                    self.below_node(node, below);
                } else if let Some(mount) = self.mounts.iter().find(|mount| mount.number == device) {
                    self.below_mount(mount, below);
                } else {
                    self.below_path(path, below);
                }
            }
        }
    }

    /// What a file lies on, by the path alone.
    pub(crate) fn below_path(&self, path: &Path, below: &mut Below) {
        if let Some(node) = self.node_at(path) {
            self.below_node(node, below);
        } else if let Some(mount) = self.mounts.iter().rev().find(|mount| path.starts_with(&mount.at)) {
            self.below_mount(mount, below);
        }
    }

    /// Every loop device that is attached to something, with all that holds the same bytes.
    pub(crate) fn loops(&self) -> Vec<Looped<'_>> {
        let looped = |(number, backing)| {
            let node = self.nodes.get(number)?;
            Some(Looped { node, backing, same: self.same_bytes(node.place()) })
        };
        self.backings.iter().filter_map(looped).collect()
    }

    /// The disk that a device is or lies on.
    pub(crate) fn disk_of(&self, number: DeviceNumber) -> Option<&str> {
        self.nodes.get(&number).map(|node| node.disk.as_str())
    }

    fn find_backing(&self, disk: &Node) -> Option<Backing> {
        let text = std::fs::read(disk.dir.join("loop/backing_file")).ok()?;
        let path = path_of(text.strip_suffix(b"\n").unwrap_or(&text));
        Some(Backing { place: self.backing_place(disk, &path), path })
    }

    fn backing_place(&self, disk: &Node, path: &Path) -> Option<Place> {
        // The kernel is asked first: it knows the file also where that has another path here, or none any more.
        let node = self.host.dev.join(disk.name.replace('!', "/"));
        backing::by_kernel(&node, disk.number).or_else(|| match self.node_at(path) {
            Some(node) => Some(node.place()),
            None => backing::by_path(path, disk.number),
        })
    }

    /// The node that a path such as `/dev/mapper/root` or `/dev/disk/by-uuid/…` leads to, or a node elsewhere.
    pub(crate) fn node_at(&self, path: &Path) -> Option<&Node> {
        let Ok(inside) = path.strip_prefix("/dev") else {
            // A source that is no path (`tmpfs`) must not be taken for a file of the working directory.
            return match Place::of(path) {
                Ok(Place::Device(number)) if path.is_absolute() => self.nodes.get(&number),
                _ => None,
            };
        };
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
                nodes.insert(number, Node { disk: disk.clone(), name, number, dir });
            }
        }
    }
    Ok(nodes)
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_owned()))
}

/// The names in a directory of sysfs, which are ASCII; none where it is not there.
pub(crate) fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
