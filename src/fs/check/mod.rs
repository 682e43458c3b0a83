//! Our own consistency check of the root file system: every block and inode is owned exactly once, directories form one
//! tree, and all bitmaps, counts and checksums agree with that. It works without e2fsprogs, and from the structures alone.
//! What `e2fsck -fn` calls damage it has to find, too: tests/ext4_mutations compares the two field by field.

mod attributes;
mod bitmaps;
mod damage;
mod descriptors;
mod directories;
mod hash_tree;
mod inodes;
mod journal;
mod names;
mod orphan_file;
mod owners;
mod reserved;
mod resize;
mod shape;
mod state;
mod superblock;
mod symlinks;
mod unused;
mod whole;

pub use shape::directories_form_a_tree;
pub use whole::{Checked, check};
