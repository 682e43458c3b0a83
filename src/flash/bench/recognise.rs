//! Recognises a card that this batch made by what is on it, wherever it was put in.

use std::path::Path;

use crate::digest::Sha256Digest;
use crate::flash::chunks::{CHUNK, HEAD};
use crate::flash::medium::ReadBack;
use crate::flash::receipt::{Outcome, Receipt};
use crate::flash::verify::OpenedMedium;
use crate::image::MappedRange;
use crate::units::ByteOffset;

/// Which of the finished cards `medium` is: the one whose own blocks (name, activation) it holds, all of them. No two cards
/// have the same, and a card that was not finished lacks them or its head. What cannot be read is not recognised.
pub(super) fn recognise(medium: &dyn ReadBack, finished: &[Receipt]) -> Option<String> {
    let mut read: Vec<(MappedRange, Option<Sha256Digest>)> = Vec::new();
    finished.iter().find_map(|receipt| {
        let Outcome::Verified { own, .. } = &receipt.outcome else { return None };
        let card = receipt.card.as_ref()?;
        // A card without anything of its own cannot be told from the others of its kind.
        let all = !own.is_empty()
            && own.iter().all(|mapped| {
                // All cards of a golden image differ in much the same places: each is read once.
                let known = read.iter().find(|(other, _)| other.range == mapped.range).map(|(_, digest)| *digest);
                let digest = known.unwrap_or_else(|| {
                    let digest = digest(medium, mapped);
                    read.push((*mapped, digest));
                    digest
                });
                digest == Some(mapped.sha256)
            });
        all.then(|| card.name.clone())
    })
}

fn digest(medium: &dyn ReadBack, mapped: &MappedRange) -> Option<Sha256Digest> {
    let inside = mapped.range.start.checked_add(mapped.range.len).is_some_and(|end| end.0 <= medium.size().0);
    if !inside || mapped.range.len.0 > CHUNK {
        return None;
    }
    let mut buffer = vec![0; usize::try_from(mapped.range.len.0).ok()?];
    medium.read_back(mapped.range.start, &mut buffer).ok()?;
    Some(Sha256Digest::of(&buffer))
}

/// Whether the first MiB of a device, where partition tables and file systems begin, says that it is in use. Flash that was
/// erased reads as zeros or as ones. What cannot be read counts as in use.
pub fn holds_something(device: &Path) -> bool {
    let Ok(medium) = OpenedMedium::open(device) else { return true };
    let len = medium.size().0.min(HEAD);
    let mut head = vec![0; usize::try_from(len).unwrap_or(0)];
    match medium.read_back(ByteOffset(0), &mut head) {
        Ok(()) => !head.iter().all(|byte| *byte == 0) && !head.iter().all(|byte| *byte == 0xff),
        Err(_) => true,
    }
}
