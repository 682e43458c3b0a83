//! Reads a card back against its manifest, and its receipt where there is one. Opens nothing for writing.

use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::buffer::{PAGE, Pool};
use super::chunks::CHUNK;
use super::direct::Direct;
use super::medium::ReadBack;
use super::parallel::in_parallel;
use super::receipt::{Outcome, Receipt};
use crate::digest::Sha256Digest;
use crate::image::{BlockMap, MappedRange};
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Requests at a time: one is read while another one is hashed.
const AT_ONCE: usize = 2;

/// A card or card image, open for reading past the page cache.
pub struct OpenedMedium {
    direct: Direct,
    size: ByteSize,
}

impl OpenedMedium {
    /// Opens a device or a file.
    ///
    /// # Errors
    /// What the system reports; `InvalidInput` for a directory.
    pub fn open(path: &Path) -> io::Result<OpenedMedium> {
        if std::fs::metadata(path)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a directory"));
        }
        let direct = Direct::open_to_read(path, PAGE as u64)?;
        let mut file = direct.file();
        let size = ByteSize(file.seek(SeekFrom::End(0))?);
        Ok(OpenedMedium { direct, size })
    }
}

impl ReadBack for OpenedMedium {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.direct.read(at, buf)
    }
}

/// A receipt that does not belong to the manifest, or tells of no card that could be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongReceipt {
    /// It was written for another golden image.
    #[error("the receipt is for another golden image: {found}, the manifest has {expected}")]
    Golden {
        /// The receipt's.
        found: Sha256Digest,
        /// The manifest's.
        expected: Sha256Digest,
    },
    /// Its card failed.
    #[error("the receipt tells of a card that failed")]
    Failed,
    /// It contradicts itself or the manifest.
    #[error("the receipt does not fit the manifest's map at {0}")]
    Map(ByteOffset),
}

/// What a card must read as: the golden image's ranges, with the receipt's own in place of those that they stand for.
/// Nothing that the card was written with is left out.
///
/// # Errors
/// [`WrongReceipt`].
pub fn expected_with(golden: &BlockMap, receipt: &Receipt) -> Result<BlockMap, WrongReceipt> {
    let fingerprint = golden.fingerprint();
    if receipt.golden != fingerprint {
        return Err(WrongReceipt::Golden { found: receipt.golden, expected: fingerprint });
    }
    let Outcome::Verified { own, instead_of, .. } = &receipt.outcome else { return Err(WrongReceipt::Failed) };
    let replaced: std::collections::HashSet<ByteRange> = instead_of.iter().copied().collect();
    let kept = golden.ranges().iter().filter(|mapped| !replaced.contains(&mapped.range));
    let mut all: Vec<MappedRange> = kept.chain(own).copied().collect();
    all.sort_by_key(|mapped| mapped.range.start);
    BlockMap::new(all, ByteSize(u64::MAX)).map_err(|bad| match bad {
        crate::image::blockmap::BadMap::Outside(at) | crate::image::blockmap::BadMap::Disorder(at) => {
            WrongReceipt::Map(at)
        }
    })
}

/// What reading a card back found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// How many bytes were read and compared.
    pub checked: ByteSize,
    /// The ranges that read different, in order.
    pub differing: Vec<Differing>,
}

/// A range that does not read as it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// Where.
    #[serde(flatten)]
    pub range: ByteRange,
    /// The device's error, where it could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Reads every range of `expected` from the medium. Stops early, with what was found so far, when cancelled.
///
/// # Errors
/// What this machine reports when it is short of threads or memory; what the card reports is in the answer.
pub fn verify(
    card: &dyn ReadBack,
    expected: &BlockMap,
    task: &mut dyn Task,
    cancel: &AtomicBool,
) -> io::Result<VerifyReport> {
    task.stage("verify", Some(expected.mapped_size()));
    let size = card.size();
    let pool = Arc::new(Pool::default());
    let mut ranges = expected.ranges().iter().take_while(|_| !cancel.load(Ordering::Relaxed)).copied();
    let report = Mutex::new((VerifyReport { checked: ByteSize(0), differing: Vec::new() }, task));
    in_parallel(
        AT_ONCE,
        || Ok(ranges.next()),
        |mapped: MappedRange| {
            let inside = mapped.range.start.checked_add(mapped.range.len).is_some_and(|end| end.0 <= size.0);
            // A manifest is untrusted: a range longer than a chunk is cut off, one behind the end is a finding.
            let mut buffer = pool.take(usize::try_from(mapped.range.len.0.min(CHUNK)).map_err(io::Error::other)?);
            let error = match inside {
                true => card.read_back(mapped.range.start, &mut buffer).err().map(|error| error.to_string()),
                false => Some("it lies behind the end of the card".to_owned()),
            };
            let differs = error.is_some() || Sha256Digest::of(&buffer) != mapped.sha256;
            let (report, task) = &mut *report.lock().unwrap_or_else(PoisonError::into_inner);
            if differs {
                report.differing.push(Differing { range: mapped.range, error });
            }
            report.checked = ByteSize(report.checked.0.saturating_add(mapped.range.len.0));
            task.at(report.checked);
            Ok::<(), io::Error>(())
        },
    )?;
    let (mut report, _) = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.differing.sort_by_key(|differing| differing.range.start);
    Ok(report)
}
