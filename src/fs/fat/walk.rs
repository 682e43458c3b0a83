//! A walk over every directory of a FAT volume: who owns which cluster, and what is called how. Finds what `fatfs` would
//! trip over, or would take for something else.

use std::collections::HashSet;

use super::names::{LongName, can_be, is_short, short_name};
use super::volume::{FIRST_CLUSTER, FatVolume, corrupt};
use crate::fs::FsError;
use crate::fs::ext4::raw::{u16_at, u32_at};
use crate::image::ReadAt;
use crate::units::{ByteOffset, ByteRange};

/// Bytes in a directory entry.
pub const ENTRY_BYTES: usize = 32;
/// Long name fragment.
pub const ATTR_LONG_NAME: u8 = 0x0F;
/// First byte of an entry that was deleted.
pub const DELETED: u8 = 0xE5;
const ATTR_VOLUME: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
/// A FAT directory holds 65,536 entries at most: 2 MiB.
const MOST_DIRECTORY_BYTES: u64 = 2 << 20;

/// A file or directory found by the walk.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where its short entry lies in the partition; `None` for the root directory.
    pub entry_at: Option<u64>,
    /// Its clusters, in order. Empty for an empty file and for the fixed root.
    pub chain: Vec<u32>,
    /// Its size as the entry says; 0 for directories.
    pub size: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its name, the long one where it has one; empty for the root directory.
    pub name: String,
    /// The directory that it is in, as a place in [`FatTree::nodes`]; the root is in itself.
    pub parent: usize,
}

/// Everything that is reachable in a volume.
#[derive(Debug, Clone)]
pub struct FatTree {
    /// The root directory first, then all others as they were found.
    pub nodes: Vec<Node>,
    /// By cluster number: whether something owns it.
    pub owned: Vec<bool>,
}

impl FatTree {
    /// Walks all directories.
    ///
    /// # Errors
    /// [`FsError::Corrupt`] for a chain that leaves the volume, runs through a free cluster, or meets another chain
    /// or itself; and for entries that drivers would not agree on.
    pub fn read(window: &dyn ReadAt, volume: &FatVolume) -> Result<FatTree, FsError> {
        let mut tree = FatTree { nodes: Vec::new(), owned: vec![false; volume.table.len()] };
        let root = if volume.root_cluster == 0 { Vec::new() } else { tree.claim(volume, volume.root_cluster)? };
        let (entry_at, name) = (None, String::new());
        tree.nodes.push(Node { entry_at, chain: root, size: 0, is_directory: true, name, parent: 0 });
        let mut next = 0;
        // The list grows while it is walked, so the depth of the tree needs no recursion.
        while let Some(node) = tree.nodes.get(next) {
            let (here, places) = (next, directory_places(volume, node));
            next += 1;
            if !node.is_directory {
                continue;
            }
            let mut directory = Directory::new(&tree, here);
            for place in places {
                let mut block = vec![0; usize::try_from(place.len.0).unwrap_or(0)];
                window
                    .read_at(place.start, &mut block)
                    .map_err(|source| FsError::Io { doing: "read a directory of the boot partition".into(), source })?;
                let ended = tree.take_entries(volume, &block, place.start, &mut directory)?;
                // What is behind the end means nothing, whatever it looks like.
                if ended {
                    break;
                }
            }
        }
        Ok(tree)
    }

    /// The path of a node, for messages and to compare with other readers.
    pub fn path_of(&self, mut node: usize) -> String {
        let mut names = Vec::new();
        while let Some(at) = self.nodes.get(node).filter(|_| node != 0) {
            names.push(at.name.as_str());
            // Always less than the node's own place: the list grows downwards.
            node = at.parent;
        }
        names.iter().rev().fold(String::new(), |path, name| format!("{path}/{name}"))
    }

    /// Adds what a piece of a directory names; says whether the directory ends in it.
    fn take_entries(
        &mut self,
        volume: &FatVolume,
        block: &[u8],
        at: ByteOffset,
        directory: &mut Directory,
    ) -> Result<bool, FsError> {
        for (n, entry) in block.chunks_exact(ENTRY_BYTES).enumerate() {
            // The casts take the first byte of each field.
            let (first, attributes) = (u16_at(entry, 0) as u8, u16_at(entry, 11) as u8);
            if first == 0 {
                return Ok(true);
            }
            if first == DELETED {
                directory.long = LongName::default();
                continue;
            }
            if attributes == ATTR_LONG_NAME {
                directory.long.take(entry);
                continue;
            }
            let name = std::mem::take(&mut directory.long).of(entry).unwrap_or_else(|| short_name(entry));
            // `DIR_FstClusHI` is reserved on FAT12 and FAT16.
            let high = if volume.root_cluster == 0 { 0 } else { u32::from(u16_at(entry, 20)) };
            let cluster = (high << 16) | u32::from(u16_at(entry, 26));
            let is_directory = attributes & ATTR_DIRECTORY != 0;
            let shown = || format!("{}/{name:?}", self.path_of(directory.node));
            if attributes & ATTR_VOLUME != 0 {
                // The label of the volume. To some drivers anything else with this mark is a file, to others nothing.
                if directory.node != 0 || is_directory || cluster != 0 || attributes & ATTR_LONG_NAME == ATTR_LONG_NAME
                {
                    return Err(corrupt(format!("{} is marked as a label, and cannot be one", shown())));
                }
                continue;
            }
            directory.place += 1;
            if first == b'.' {
                if is_directory && directory.is_dot(volume, entry, cluster) {
                    continue;
                }
                // Some drivers pass over whatever begins like `.` and `..`; others would follow it.
                return Err(corrupt(format!("{} is neither `.` nor `..` of its directory", shown())));
            }
            // Without regard to case, as drivers compare.
            if !can_be(&name) || !directory.names.insert(name.to_uppercase()) {
                return Err(corrupt(format!("{} is a name that cannot be, or is there twice", shown())));
            }
            if is_directory && cluster == 0 {
                return Err(corrupt(format!("the directory {} has no cluster", shown())));
            }
            // An empty file has no cluster.
            let chain = if cluster == 0 { Vec::new() } else { self.claim(volume, cluster)? };
            if is_directory && chain.len() as u64 * volume.cluster_bytes > MOST_DIRECTORY_BYTES {
                return Err(corrupt("a directory is larger than any can be".into()));
            }
            let size = if is_directory { 0 } else { u64::from(u32_at(entry, 28)) };
            let entry_at = Some(at.0 + (n * ENTRY_BYTES) as u64);
            self.nodes.push(Node { entry_at, chain, size, is_directory, name, parent: directory.node });
        }
        Ok(false)
    }

    fn claim(&mut self, volume: &FatVolume, first: u32) -> Result<Vec<u32>, FsError> {
        let mut chain = Vec::new();
        let mut cluster = first;
        loop {
            let inside = (FIRST_CLUSTER..volume.clusters + FIRST_CLUSTER).contains(&cluster);
            let owned = self.owned.get_mut(cluster as usize).filter(|_| inside);
            let Some(owned) = owned else {
                return Err(corrupt(format!("a chain of clusters leads to {cluster}, which is none")));
            };
            // Marked when it is met, so that a loop ends where it meets itself.
            if std::mem::replace(owned, true) {
                return Err(corrupt(format!("cluster {cluster} belongs to two chains, or twice to one")));
            }
            chain.push(cluster);
            match volume.entry(cluster) {
                entry if volume.is_last(entry) => return Ok(chain),
                entry if entry < FIRST_CLUSTER || entry == volume.bad_mark() => {
                    return Err(corrupt(format!("the chain of cluster {first} runs into a free or bad cluster")));
                }
                entry => cluster = entry,
            }
        }
    }
}

/// A directory that is being read.
struct Directory {
    /// Its place in [`FatTree::nodes`].
    node: usize,
    /// Its own first cluster and that of the directory above; 0 for the root, whose cluster nobody names.
    clusters: [u32; 2],
    /// How many entries were read, without labels and fragments of names.
    place: usize,
    long: LongName,
    /// In upper case.
    names: HashSet<String>,
}

impl Directory {
    fn new(tree: &FatTree, node: usize) -> Directory {
        let parent = tree.nodes.get(node).map_or(0, |node| node.parent);
        let first =
            |node: usize| tree.nodes.get(node).filter(|_| node != 0).and_then(|node| node.chain.first().copied());
        let clusters = [node, parent].map(|node| first(node).unwrap_or(0));
        Directory { node, clusters, place: 0, long: LongName::default(), names: HashSet::new() }
    }

    /// Whether the entry that is being read is `.` or `..` in its place, and leads where it should.
    fn is_dot(&self, volume: &FatVolume, entry: &[u8], cluster: u32) -> bool {
        let [own, above] = self.clusters;
        match self.place {
            _ if self.node == 0 => false,
            1 => is_short(entry, b".") && cluster == own,
            // `fatfs` has it name the root's cluster until that is put right.
            2 => is_short(entry, b"..") && (cluster == above || (above == 0 && cluster == volume.root_cluster)),
            _ => false,
        }
    }
}

/// The places of a directory's entries, in order.
pub fn directory_places(volume: &FatVolume, directory: &Node) -> Vec<ByteRange> {
    if directory.chain.is_empty() {
        vec![volume.fixed_root]
    } else {
        directory.chain.iter().filter_map(|&cluster| volume.place(cluster)).collect()
    }
}
