//! How ext4 lies on disk, as far as checking, repairing, mapping and scrubbing need it: superblock, group descriptors,
//! bitmaps, inodes, extents, checksums. Everything here only reads and computes; what changes a file system is in
//! [`super::rootfs`], [`super::repair`] and [`super::scrub`].
//! Source of all offsets: the kernel's Documentation/filesystems/ext4.

pub mod checksum;
pub mod device;
pub mod directory;
pub mod features;
pub mod groups;
pub mod inode;
pub mod lookup;
pub mod mapping;
pub mod orphan_block;
pub mod raw;
pub mod reader;
pub mod superblock;

pub use superblock::Superblock;
