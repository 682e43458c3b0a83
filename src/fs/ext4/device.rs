//! The partition as the ext4 library sees it, and the fixed values it gets instead of the host's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fs_ext4::block_io::BlockDevice;
use fs_ext4::runtime::Runtime;

use crate::fs::Clock;
use crate::image::WriteAt;
use crate::units::ByteOffset;

/// A window of an image as a block device. Flushing is the overlay's owner's business.
pub struct PartitionDevice(pub Arc<dyn WriteAt>);

impl BlockDevice for PartitionDevice {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> fs_ext4::Result<()> {
        Ok(self.0.read_at(ByteOffset(offset), buf)?)
    }

    fn size_bytes(&self) -> u64 {
        self.0.size().0
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> fs_ext4::Result<()> {
        Ok(self.0.write_at(ByteOffset(offset), buf)?)
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// A clock that stands still, and inode generations that count: both the same in every run.
pub struct FixedRuntime {
    clock: Clock,
    generation: AtomicU32,
}

impl FixedRuntime {
    /// Generations follow from the clock, so that a later edit of the same image does not repeat an earlier one's.
    pub fn new(clock: Clock) -> FixedRuntime {
        let mixed = clock.seconds.to_le_bytes();
        FixedRuntime { clock, generation: AtomicU32::new(super::checksum::crc32c(u32::MAX, &mixed)) }
    }
}

impl Runtime for FixedRuntime {
    fn now_unix_seconds(&self) -> i64 {
        self.clock.seconds
    }

    fn next_inode_generation(&self) -> u32 {
        // `Relaxed`: only the number counts.
        self.generation.fetch_add(1, Ordering::Relaxed)
    }
}
