//! What disks are used for right now: mounts, swap, loop devices, and other devices built on top of them. Which one is
//! the system disk follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::storage::{Below, Host, Looped, Place, StorageMap, names_in, swaps};

/// One use of a disk or of something on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
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
    /// Another device is built on it (RAID, LVM, encryption), or it is a member of a btrfs.
    Holder {
        /// That device's name.
        device: String,
    },
    /// A loop device is attached to it, or to a file on it, or holds the same bytes. Its mounts are told as this disk's
    /// own, too.
    Loop {
        /// The loop device: `/dev/loop3`.
        device: PathBuf,
        /// What it is attached to.
        file: PathBuf,
    },
}

/// Mount points that a running system cannot lose.
const SYSTEM_MOUNTS: [&str; 9] = ["/", "/usr", "/etc", "/var", "/home", "/boot", "/boot/firmware", "/boot/efi", "/efi"];

/// The uses of every disk, by the disk's name.
pub(super) struct Uses(BTreeMap<String, BTreeSet<Use>>);

/// The use that a loop device makes of what it is attached to.
fn used_by(looped: &Looped<'_>) -> Use {
    Use::Loop { device: PathBuf::from(format!("/dev/{}", looped.node.name)), file: looped.backing.path.clone() }
}

impl Uses {
    /// For whom does not want to know.
    pub(super) fn none() -> Uses {
        Uses(BTreeMap::new())
    }

    /// Reads them.
    pub(super) fn read(host: &Host) -> io::Result<Uses> {
        let map = StorageMap::read(host)?;
        let mut uses = Uses::none();
        for mount in map.mounts() {
            let a_use = if SYSTEM_MOUNTS.iter().any(|system| mount.at == Path::new(system)) {
                Use::System { what: mount.at.display().to_string() }
            } else {
                Use::Mounted { at: mount.at.clone() }
            };
            uses.add(a_use, |below| map.below_mount(mount, below));
        }
        let loops = map.loops();
        // A disk that is swapped to holds parts of running programs: writing to it would take the machine down.
        for swap in swaps(host) {
            let a_use = Use::System { what: "swap".to_owned() };
            // A loop device on the file of the swap is the swap.
            if let Ok(place) = Place::of(&swap) {
                let same = loops.iter().filter(|looped| looped.same.contains(&place));
                same.for_each(|looped| uses.of_disk(&looped.node.disk, a_use.clone()));
            }
            uses.add(a_use, |below| map.below_path(&swap, below));
        }
        // What is not mounted counts too, as soon as something is built on it: an open LUKS volume, a RAID array.
        for node in map.nodes() {
            for holder in names_in(&node.dir.join("holders")) {
                uses.of_disk(&node.disk, Use::Holder { device: holder });
            }
        }
        // The kernel holds nothing for a loop device: `O_EXCL` works on what it is attached to.
        for looped in &loops {
            uses.add(used_by(looped), |below| map.below_backing(looped.backing, below));
        }
        // Also where the mount's source leads nowhere (another namespace, a device that was renamed).
        for (uuid, members) in map.pools() {
            for member in members {
                uses.of_disk(&member.disk, Use::Holder { device: format!("btrfs {uuid}") });
            }
        }
        uses.of_loops(&map, &loops);
        Ok(uses)
    }

    /// A loop device is in use where another one holds the same bytes, and where the device is that it is attached to: to
    /// write to it is to write to that.
    fn of_loops(&mut self, map: &StorageMap<'_>, loops: &[Looped<'_>]) {
        for looped in loops {
            // What it lies on itself does not hold it.
            let others = loops.iter().filter(|other| !looped.same.contains(&other.node.place()));
            for other in others.filter(|other| !other.same.is_disjoint(&looped.same)) {
                self.of_disk(&looped.node.disk, used_by(other));
            }
            let own: Vec<Use> =
                loops.iter().filter(|other| looped.same.contains(&other.node.place())).map(used_by).collect();
            for place in &looped.same {
                let Place::Device(number) = place else { continue };
                let disk = map.disk_of(*number).filter(|disk| *disk != looped.node.disk);
                for a_use in disk.map(|disk| self.of(disk)).unwrap_or_default() {
                    if !own.contains(&a_use) {
                        self.of_disk(&looped.node.disk, a_use);
                    }
                }
            }
        }
    }

    /// A use of every disk that `walk` comes by.
    fn add(&mut self, a_use: Use, walk: impl FnOnce(&mut Below)) {
        let mut below = Below::default();
        walk(&mut below);
        below.disks.iter().for_each(|disk| self.of_disk(disk, a_use.clone()));
    }

    fn of_disk(&mut self, disk: &str, a_use: Use) {
        self.0.entry(disk.to_owned()).or_default().insert(a_use);
    }

    /// The uses of one disk; the worst first.
    pub(super) fn of(&self, disk: &str) -> Vec<Use> {
        self.0.get(disk).map(|uses| uses.iter().cloned().collect()).unwrap_or_default()
    }
}
