//! How FAT lies on disk, as far as checking, mapping, repairing and scrubbing need it: the boot sector, the table and
//! a walk over all directories. `fatfs`, which edits files, trusts chains and panics on bad ones; so it only sees a
//! volume that passed the walk here.

pub mod adapter;
pub mod names;
pub mod volume;
pub mod walk;

pub use volume::{FatKind, FatVolume};
pub use walk::FatTree;
