//! Opening a base image: by content, not by name, and only for reading.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::bmap_beside;
use super::cache::Cache;
use super::error::SourceError;
use super::format::Format;
use super::known_digests::KnownDigest;
use super::location::Location;
use super::open_file::OpenFile;
use super::packed::{decode_into, fetch};
use super::published::PublishedDigest;
use super::spec::SourceSpec;
use super::stamp::Stamp;
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::file::ImageFile;
use crate::image::hashing::digest_of;
use crate::progress::{Progress, Task};
use crate::units::{ByteOffset, ByteSize};

/// An image that is open for reading.
pub struct OpenedSource {
    /// The raw image.
    pub image: Arc<dyn ReadAt>,
    /// SHA-256 of the file as published.
    pub digest: Sha256Digest,
    /// The last part of its path or address.
    pub name: String,
    /// How it is packed.
    pub format: Format,
    /// Size of the raw image.
    pub size: ByteSize,
}

impl fmt::Debug for OpenedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}, sha256 {})", self.name, self.format, self.size, self.digest)
    }
}

/// A base image that is open for reading.
pub struct OpenedBase {
    /// The raw image.
    pub image: Arc<dyn ReadAt>,
    /// SHA-256 of the file as published. It is not known yet that it is the right one: that is for [`PublishedDigest::wait`].
    pub published: PublishedDigest,
    /// How it is packed.
    pub format: Format,
}

/// Opens what a recipe's `[image]` names: see [`SourceSpec::from_recipe`] and [`open_spec`]. The digest of a raw image is
/// computed meanwhile. A `.bmap` that lies beside the file is honoured: its ranges are verified, and what it does not list
/// reads as zeros.
///
/// # Errors
/// As those two; [`SourceError::Bmap`] and [`SourceError::BmapRange`].
pub fn open(
    source: &str,
    sha256: Option<Sha256Digest>,
    beside: &Path,
    cache_directory: &Path,
    progress: &dyn Progress,
) -> Result<OpenedBase, SourceError> {
    open_base(&SourceSpec::from_recipe(source, beside, sha256)?, cache_directory, progress)
}

/// As [`open`], of an image that is named already.
///
/// # Errors
/// As [`open`].
pub fn open_base(
    spec: &SourceSpec,
    cache_directory: &Path,
    progress: &dyn Progress,
) -> Result<OpenedBase, SourceError> {
    // Only a raw file is hashed beside the work. A packed one has to be decoded first, which gives its digest.
    let mut opened = match &spec.place {
        Location::File(path) => match OpenFile::new(path)? {
            raw if raw.format == Format::Raw => open_raw(spec, raw, cache_directory, progress)?,
            _ => open_spec(spec, cache_directory, progress)?.into_base(),
        },
        _ => open_spec(spec, cache_directory, progress)?.into_base(),
    };
    if let Location::File(path) = &spec.place {
        // After the digest has begun: that is one of the file as published, with whatever stands where the map lists
        // nothing.
        opened.image = bmap_beside::honour(opened.image, path, progress)?;
    }
    Ok(opened)
}

fn open_raw(
    spec: &SourceSpec,
    raw: OpenFile<'_>,
    cache_directory: &Path,
    progress: &dyn Progress,
) -> Result<OpenedBase, SourceError> {
    let (path, spec) = (raw.path, spec.clone());
    // A second handle, for the stamps: `into_image` takes the first.
    let file = raw.file.try_clone().map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
    let image: Arc<dyn ReadAt> = Arc::new(raw.into_image()?);
    let task = progress.task(&spec.name(), None);
    // Before the first byte is read: a change from here on is a change while it was hashed.
    let (began, before) = (SystemTime::now(), Stamp::of(&file));
    let known = KnownDigest::of(path, cache_directory);
    // To hash a card takes a minute, and people plan again and again. A block device has no stamp and is always hashed.
    if let Some(digest) = before.as_ref().zip(known.as_ref()).and_then(|(stamp, known)| known.get(stamp)) {
        // Known or not, it must be the one that the recipe names.
        let checked = spec.check(digest);
        match &checked {
            Ok(()) => task.done(&format!("raw image of {}, not changed since its digest was computed", image.size())),
            Err(_) => task.failed("not usable"),
        }
        return checked.map(|()| OpenedBase { image, published: PublishedDigest::known(digest), format: Format::Raw });
    }
    let check = move |found| {
        // Of the file that is open, not of its name: another file may have taken that meanwhile.
        let after = Stamp::of(&file);
        if !Stamp::unwritten(&before, &after) {
            return Err(SourceError::Changed { path: PathBuf::from(spec.full_name()) });
        }
        // Not where a change of this very moment could hide behind a coarse clock: the next run hashes again instead.
        if let (Some(known), Some(stamp)) = (&known, after.filter(|stamp| stamp.is_settled(began))) {
            known.keep(stamp, found);
        }
        spec.check(found)
    };
    let published = PublishedDigest::computed(image.clone(), path, task, check)?;
    Ok(OpenedBase { image, published, format: Format::Raw })
}

impl OpenedSource {
    fn into_base(self) -> OpenedBase {
        OpenedBase { image: self.image, published: PublishedDigest::known(self.digest), format: self.format }
    }
}

/// Opens an image and checks its digest. A packed image is decoded into the cache under `cache_directory`
/// ([`crate::xdg::cache_directory`]), and taken from there the next time; a raw one is used where it is.
///
/// # Errors
/// [`SourceError`]; nothing is in the cache then that was not there before.
pub fn open_spec(
    spec: &SourceSpec,
    cache_directory: &Path,
    progress: &dyn Progress,
) -> Result<OpenedSource, SourceError> {
    let mut task = progress.task(&spec.name(), None);
    let opened = match &spec.place {
        Location::File(path) => open_file(spec, path, cache_directory, task.as_mut()),
        remote => open_remote(spec, remote, cache_directory, task.as_mut()),
    };
    match &opened {
        Ok(source) => task.done(&format!("{} image of {}", source.format, source.size)),
        Err(_) => task.failed("not usable"),
    }
    opened
}

/// Opens an image only to look at it: as [`open_spec`], but a raw one is not hashed, which takes a while for a whole card.
///
/// # Errors
/// As [`open_spec`].
pub fn open_to_inspect(
    path: &Path,
    cache_directory: &Path,
    progress: &dyn Progress,
) -> Result<(Arc<dyn ReadAt>, Format), SourceError> {
    let opened = OpenFile::new(path)?;
    // It is only looked at: nothing is made of it that a digest would have to vouch for.
    if opened.format == Format::Raw {
        return Ok((Arc::new(opened.into_image()?), Format::Raw));
    }
    open_spec(&SourceSpec::file(path, None), cache_directory, progress).map(|source| (source.image, source.format))
}

fn open_file(
    spec: &SourceSpec,
    path: &Path,
    cache_directory: &Path,
    task: &mut dyn Task,
) -> Result<OpenedSource, SourceError> {
    let opened = OpenFile::new(path)?;
    let (format, published_size) = (opened.format, opened.size);
    if format == Format::Raw {
        let image = opened.into_image()?;
        task.stage("checksum", Some(image.size()));
        let digest = digest_with(&image, path, task)?;
        spec.check(digest)?;
        return Ok(source(spec, Arc::new(image), digest, format));
    }
    let packed = opened.into_packed();
    let cache = Cache::at(cache_directory)?;
    // Where something of this size was decoded before, it is probably this: hashing is quicker than decoding.
    if cache.may_hold(published_size) {
        task.stage("checksum", Some(published_size));
        // Opened again, as plain bytes: `opened` has become what the decoder reads.
        let whole = ImageFile::open(path).map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
        let digest = digest_with(&whole, path, task)?;
        spec.check(digest)?;
        // Where only the size was the same, it is decoded below.
        if let Some(image) = cache.get(&digest, task) {
            return Ok(source(spec, Arc::new(image), digest, format));
        }
    }
    task.stage("decode", Some(published_size));
    let (image, digest) = decode_into(&cache, spec, &packed, task)?;
    Ok(source(spec, Arc::new(image), digest, format))
}

fn open_remote(
    spec: &SourceSpec,
    place: &Location,
    cache_directory: &Path,
    task: &mut dyn Task,
) -> Result<OpenedSource, SourceError> {
    // Checked in `SourceSpec::remote`, too. Here, because nothing may be looked up or fetched without it.
    let Some(expected) = spec.sha256 else { return Err(SourceError::DigestRequired { url: place.to_string() }) };
    let cache = Cache::at(cache_directory)?;
    if let Some(image) = cache.get(&expected, task) {
        // How it was packed is not known any more, and does not matter: the digest is that of the packed file.
        return Ok(source(spec, Arc::new(image), expected, format_by_name(&spec.name())));
    }
    let packed = fetch(spec, place, &cache, task)?;
    task.stage("decode", Some(packed.size));
    let (image, digest) = decode_into(&cache, spec, &packed, task)?;
    Ok(source(spec, Arc::new(image), digest, packed.format))
}

fn format_by_name(name: &str) -> Format {
    match name.rsplit('.').next() {
        Some("xz") => Format::Xz,
        Some("gz") => Format::Gzip,
        Some("zst") => Format::Zstd,
        Some("zip") => Format::Zip,
        _ => Format::Raw,
    }
}

fn source(spec: &SourceSpec, image: Arc<dyn ReadAt>, digest: Sha256Digest, format: Format) -> OpenedSource {
    let size = image.size();
    OpenedSource { image, digest, name: spec.name(), format, size }
}

fn digest_with(image: &ImageFile, path: &Path, task: &mut dyn Task) -> Result<Sha256Digest, SourceError> {
    // How far it came, for the message of a read error.
    let mut at = ByteSize(0);
    digest_of(image, &mut |done| {
        at = done;
        task.at(done);
    })
    .map_err(|source| SourceError::Read { path: path.to_owned(), at: ByteOffset(at.0), source })
}
