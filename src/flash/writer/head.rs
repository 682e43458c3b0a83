//! The first MiB: wiped first, looked at in between, written last, and wiped again when anything fails. `body.rs` holds
//! it back meanwhile, and `order.rs` says when it comes.

use std::io;

use super::requests::TRIES;
use super::state::Writer;
use crate::flash::buffer::AlignedBuffer;
use crate::flash::chunks::HEAD;
use crate::flash::failure::{CardError, LeftOnCard};
use crate::flash::write_check;
use crate::image::zeros::all_zeros;
use crate::units::ByteOffset;

impl Writer<'_> {
    /// Zeros over everything that a boot loader or a kernel takes for a partition table: the first MiB, and the last
    /// one, where GPT keeps its second copy. Before that a nonce, after it a look whether the medium took it: a worn
    /// card says yes and keeps its old data, and it is better known now than after ten minutes.
    pub(super) fn erase(&mut self) -> Result<(), CardError> {
        let zeros = AlignedBuffer::zeroed(self.head.len());
        // Set before the first write and not behind it: a write that fails may have reached the card all the same.
        self.touched = true;
        if !self.medium.is_fresh() {
            write_check::prove_writable(self.medium, |at, bytes| self.put(at, bytes))?;
        }
        self.put(ByteOffset(0), &zeros)?;
        self.sync()?;
        self.head_is_zero(CardError::KeepsOld {
            what: "its first MiB still holds what it held before zeros were written over it".to_owned(),
        })?;
        self.erased = true;
        // The second copy of a GPT goes, too: tools that repair partition tables would take it for the right one.
        let size = self.medium.size().0;
        // Never below the head: on a medium smaller than two MiB the two would overlap, and the head is zero already.
        let tail = (size.saturating_sub(HEAD) / self.alignment * self.alignment).max(self.head.len() as u64);
        if !self.medium.is_fresh() && tail < size {
            let len = usize::try_from(size - tail).unwrap_or(0);
            self.put(ByteOffset(tail), zeros.get(..len.min(zeros.len())).unwrap_or_default())?;
            self.sync()?;
        }
        Ok(())
    }

    /// The first MiB, from behind: the block with the partition table is the last write that the card sees.
    pub(super) fn seal(&mut self) -> Result<(), CardError> {
        self.sealing = true;
        // One write of a block is as near to all or nothing as a card comes.
        let last = 4096.min(self.head.len());
        // Everything behind the first block comes first and is synced: a card is free to write what it holds in its
        // cache in any order, and only a sync keeps the partition table from getting there before the rest.
        let parts = [(last, self.head.len()), (0, last)];
        for (from, to) in parts {
            let mut tries = 0;
            loop {
                let bytes = self.head.get(from..to).unwrap_or_default();
                // Aligned as a whole, and 4096 is a multiple of every alignment that a card has.
                self.put(ByteOffset(from as u64), bytes)?;
                self.sync()?;
                let mut found = AlignedBuffer::zeroed(bytes.len());
                let read = self.medium.read_back(ByteOffset(from as u64), &mut found);
                if read.is_ok() && *found == *bytes {
                    break;
                }
                tries += 1;
                if tries > TRIES {
                    let what = format!("its first MiB does not read back as written, after {TRIES} tries");
                    return Err(match read {
                        Ok(()) => CardError::Differs { what },
                        Err(source) => CardError::Read { what, source },
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn head_is_zero(&self, otherwise: CardError) -> Result<(), CardError> {
        match self.read_head() {
            Ok(true) => Ok(()),
            Ok(false) => Err(otherwise),
            Err(source) => Err(CardError::Read { what: "its first MiB".to_owned(), source }),
        }
    }

    fn read_head(&self) -> io::Result<bool> {
        let mut found = AlignedBuffer::zeroed(self.head.len());
        self.medium.read_back(ByteOffset(0), &mut found)?;
        Ok(all_zeros(&found))
    }

    /// Looks what is on the medium, and wipes the first MiB where anything is on it.
    pub(super) fn wipe_after_failure(&self) -> LeftOnCard {
        if self.medium.is_fresh() {
            return LeftOnCard::NoFile;
        }
        if !self.touched {
            return LeftOnCard::Untouched;
        }
        // A card that was pulled out is as it was then.
        let unseen = if self.erased && !self.sealing { LeftOnCard::NotBootable } else { LeftOnCard::Unknown };
        // What is in the reader now may be somebody's other card: no more writes.
        if self.medium.check_identity().is_err() {
            return unseen;
        }
        // Looked at before it is written: most failures come long before the head is, and a card that fails is better
        // not written to without need.
        let zeros = AlignedBuffer::zeroed(self.head.len());
        for _ in 0..=TRIES {
            if let Ok(true) = self.read_head() {
                return LeftOnCard::NotBootable;
            }
            // Whether it worked is asked of the card and not of the answer: a worn card says yes and does nothing.
            let _ = self.medium.write_at(ByteOffset(0), &zeros).and_then(|()| self.medium.sync());
        }
        match self.read_head() {
            Ok(true) => LeftOnCard::NotBootable,
            Ok(false) if self.sealing => LeftOnCard::MayBoot,
            Ok(false) => LeftOnCard::OldContent,
            Err(_) => unseen,
        }
    }
}
