//! Files inside an image: the root file system (ext4), the boot file system (FAT), and scrubbing both.
//! Works on byte windows of [`crate::image`] and knows nothing of recipes, SSM or devices.
//! Paths are resolved inside the image, never on the host.

pub mod blockmap;
pub mod bootfs;
pub mod check;
pub mod clock;
pub mod e2fsck;
pub mod ext4;
pub mod fat;
pub mod fsck_fat;
mod hard_links;
pub mod node;
pub mod owner;
pub mod path;
mod private_copy;
pub mod probe;
pub mod repair;
pub mod reread;
pub mod rootfs;
pub mod scrub;
pub mod tree;

pub use bootfs::BootFs;
pub use clock::Clock;
pub use path::{BadPath, ImagePath};
pub use rootfs::RootFs;
pub use tree::{Attributes, Entry, FileKind, FsError, HardLinks, Stat, Tree, TreeMut};
