//! A packed file and its way into the cache: fetched where a server has it, decoded, and checked before it counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::decode::{DecodeError, Decoded, decode};
use super::download::{self, LARGEST_DOWNLOAD};
use super::error::SourceError;
use super::format::{Format, HEAD_BYTES};
use super::location::Location;
use super::recognise::{format_of, supported};
use super::spec::SourceSpec;
use super::stamp::Stamp;
use crate::atomic_file::AtomicFile;
use crate::digest::Sha256Digest;
use crate::image::file::ImageFile;
use crate::progress::Task;
use crate::units::ByteSize;

/// A packed file, open for reading.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) format: Format,
    /// As published.
    pub(super) size: ByteSize,
    /// When it was last written to; downloads lie in a file that nobody else knows.
    pub(super) stamp: Option<Stamp>,
}

/// Fetches what a server has into a file of the cache that has no name. Nothing is decoded that is not known to be the
/// right file.
pub(super) fn fetch(
    spec: &SourceSpec,
    place: &Location,
    cache: &Cache,
    task: &mut dyn Task,
) -> Result<Packed, SourceError> {
    let fetched = cache.begin().map_err(cache.unusable("begin a download"))?;
    let digest = download::fetch(place.remote()?.as_ref(), &mut fetched.file(), LARGEST_DOWNLOAD, task)?;
    spec.check(digest)?;
    // The descriptor keeps it alive: it has no name, and is gone when nobody holds it, however the run ends.
    let file = fetched.file().try_clone().map_err(cache.unusable("read the download"))?;
    let size = ByteSize(file.metadata().map_err(cache.unusable("read the download"))?.len());
    let format = format_of(&file, size, Path::new(&spec.full_name()), &spec.full_name())?;
    Ok(Packed { stamp: Stamp::of(&file), file, format, size })
}

/// Decodes into the cache.
pub(super) fn decode_into(
    cache: &Cache,
    spec: &SourceSpec,
    packed: &Packed,
    task: &mut dyn Task,
) -> Result<(ImageFile, Sha256Digest), SourceError> {
    let file = cache.begin().map_err(cache.unusable("begin a decoded image"))?;
    let decoded = decode_checked(cache, spec, packed, &file, task, &|_| Ok(()))?;
    let image = cache.put(file, &decoded.published, packed.size, decoded.image);
    Ok((image.map_err(cache.unusable("keep the decoded image"))?, decoded.published))
}

/// Decodes into a file of the cache that has no name yet, and makes every check that comes before it may get one.
/// `available` hears how many bytes of the image are there; an error of it ends the work.
pub(super) fn decode_checked(
    cache: &Cache,
    spec: &SourceSpec,
    packed: &Packed,
    file: &AtomicFile,
    task: &mut dyn Task,
    available: &dyn Fn(u64) -> io::Result<()>,
) -> Result<Decoded, SourceError> {
    let (name, format) = (spec.full_name(), packed.format);
    let decoded =
        decode(&packed.file, format, file.file(), spec.largest.size, task, available).map_err(|error| match error {
            DecodeError::Read { at, source } => SourceError::Read { path: PathBuf::from(&name), at, source },
            // The wrong file is the better message than a damaged one.
            DecodeError::Damaged { at, decoded, source, published } => match spec.check(published) {
                Err(wrong) => wrong,
                Ok(()) => SourceError::Damaged { name: name.clone(), format, at, decoded, source },
            },
            DecodeError::Entries(entries) => SourceError::ZipEntries { name: name.clone(), entries },
            DecodeError::TooLarge => SourceError::TooLarge { name: name.clone(), limit: spec.largest },
            // With a message of its own: about a full disk people can do something.
            DecodeError::Write { decoded, source } if is_full(&source) => {
                SourceError::CacheFull { name: name.clone(), directory: cache.directory().to_owned(), decoded }
            }
            DecodeError::Write { source, .. } => cache.unusable("write the decoded image")(source),
        })?;
    spec.check(decoded.published)?;
    // The digest alone does not tell: the bytes that were hashed may not be those that were decoded (zip is read
    // twice).
    if !Stamp::unwritten(&packed.stamp, &Stamp::of(&packed.file)) {
        return Err(SourceError::Changed { path: PathBuf::from(name) });
    }
    if decoded.size.0 == 0 {
        return Err(SourceError::Empty { path: PathBuf::from(name) });
    }
    // An archive in an archive would only fail later, with a message about partition tables.
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(decoded.size.0).unwrap_or(HEAD_BYTES))];
    file.file().read_exact_at(&mut head, 0).map_err(cache.unusable("read the decoded image"))?;
    if supported(&head, &name)? != Format::Raw {
        let (what, next) = ("packed twice", "unpack the outer archive, and name what is in it");
        return Err(SourceError::Unsupported { name, what, next });
    }
    Ok(decoded)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
