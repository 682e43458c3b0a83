//! Reading the partition table of an image, MBR or GPT, with every number checked against the image's size.

use super::bytes::{ReadAt, Seekable};
use super::partition_table::{Partition, PartitionError, PartitionTable};
use super::{gpt, mbr};
use crate::units::{ByteOffset, ByteSize};

impl PartitionTable {
    /// Reads the table of `image`.
    ///
    /// # Errors
    /// [`PartitionError`] for everything that is not a plain, sound table.
    pub fn read(image: &dyn ReadAt) -> Result<PartitionTable, PartitionError> {
        let size = image.size();
        // The least that a GPT needs: protective MBR, header and a sector of entries.
        if size.0 < 3 * crate::units::SECTOR_BYTES {
            return Err(PartitionError::TooShort { size });
        }
        // The MBR first: a GPT counts only where a protective MBR announces it.
        let table = match mbr::read(image)? {
            mbr::Found::Table(table) => table,
            mbr::Found::Protective => gpt::read(&mut Seekable::new(image))?,
        };
        table.checked(size)
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.number == number)
    }

    fn checked(mut self, size: ByteSize) -> Result<PartitionTable, PartitionError> {
        if self.partitions.is_empty() {
            return Err(PartitionError::NoPartitions { kind: self.kind });
        }
        for partition in &self.partitions {
            // Before overlaps: of an image that was cut off this is what there is to say.
            if partition.range.end().0 > size.0 {
                let (number, end) = (partition.number, partition.range.end());
                return Err(PartitionError::OutOfRange { number, end, size: ByteOffset(size.0) });
            }
        }
        // By place, so that neighbours show every overlap; by number again behind it, as people count them.
        self.partitions.sort_by_key(|p| p.range.start);
        for pair in self.partitions.windows(2) {
            if let [a, b] = pair
                && a.range.intersect(&b.range).is_some()
            {
                return Err(PartitionError::Overlap { first: a.number, second: b.number, at: b.range.start });
            }
        }
        self.partitions.sort_by_key(|p| p.number);
        Ok(self)
    }
}
