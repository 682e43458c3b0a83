//! Opening a base image: by content, not by name, and only for reading.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::bmap_beside;
use super::cache::Cache;
use super::error::SourceError;
use super::format::{Format, HEAD_BYTES, Told, tell};
use super::known_digests::KnownDigest;
use super::location::Location;
use super::packed::{Packed, decode_into, fetch};
use super::published::PublishedDigest;
use super::stamp::Stamp;
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::file::{ImageFile, open_for_reading};
use crate::image::hashing::digest_of;
use crate::progress::{Progress, Task};
use crate::units::{ByteOffset, ByteSize};

/// Which image, and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    place: Location,
    sha256: Option<Sha256Digest>,
}

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

impl SourceSpec {
    /// An image in a file or on a block device.
    pub fn file(path: impl Into<PathBuf>, sha256: Option<Sha256Digest>) -> SourceSpec {
        SourceSpec { place: Location::File(path.into()), sha256 }
    }

    /// What a recipe's `[image]` says: an https:// or s3:// address, or a path from the recipe's directory.
    ///
    /// # Errors
    /// [`SourceError::DigestRequired`] for an address without a digest; see also [`Location::parse`].
    pub fn from_recipe(source: &str, beside: &Path, sha256: Option<Sha256Digest>) -> Result<SourceSpec, SourceError> {
        match Location::parse(source)? {
            Location::File(path) => Ok(SourceSpec::file(beside.join(path), sha256)),
            remote => SourceSpec::remote(remote, sha256),
        }
    }

    /// An image on a server.
    ///
    /// # Errors
    /// [`SourceError::DigestRequired`] without a digest.
    pub fn remote(place: Location, sha256: Option<Sha256Digest>) -> Result<SourceSpec, SourceError> {
        match sha256 {
            None => Err(SourceError::DigestRequired { url: place.to_string() }),
            some => Ok(SourceSpec { place, sha256: some }),
        }
    }

    fn name(&self) -> String {
        self.place.name()
    }

    /// For messages: the whole path or address.
    pub(super) fn full_name(&self) -> String {
        self.place.to_string()
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
    let spec = SourceSpec::from_recipe(source, beside, sha256)?;
    let mut opened = match &spec.place {
        Location::File(path) => match OpenFile::new(path)? {
            raw if raw.format == Format::Raw => open_raw(&spec, raw, cache_directory, progress)?,
            _ => open_spec(&spec, cache_directory, progress)?.into_base(),
        },
        _ => open_spec(&spec, cache_directory, progress)?.into_base(),
    };
    if let Location::File(path) = &spec.place {
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
    let file = raw.file.try_clone().map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
    let image: Arc<dyn ReadAt> = Arc::new(raw.into_image()?);
    let task = progress.task(&spec.name(), None);
    let (began, before) = (SystemTime::now(), Stamp::of(&file));
    let known = KnownDigest::of(path, cache_directory);
    if let Some(digest) = before.as_ref().zip(known.as_ref()).and_then(|(stamp, known)| known.get(stamp)) {
        let checked = check(&spec, digest);
        match &checked {
            Ok(()) => task.done(&format!("raw image of {}, not changed since its digest was computed", image.size())),
            Err(_) => task.failed("not usable"),
        }
        return checked.map(|()| OpenedBase { image, published: PublishedDigest::known(digest), format: Format::Raw });
    }
    let check = move |found| {
        let after = Stamp::of(&file);
        if !Stamp::unwritten(&before, &after) {
            return Err(SourceError::Changed { path: PathBuf::from(spec.full_name()) });
        }
        if let (Some(known), Some(stamp)) = (&known, after.filter(|stamp| stamp.is_settled(began))) {
            known.keep(stamp, found);
        }
        check(&spec, found)
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
    if opened.format == Format::Raw {
        return Ok((Arc::new(opened.into_image()?), Format::Raw));
    }
    open_spec(&SourceSpec::file(path, None), cache_directory, progress).map(|source| (source.image, source.format))
}

/// A file whose kind is known.
pub(super) struct OpenFile<'a> {
    path: &'a Path,
    pub(super) file: File,
    pub(super) format: Format,
    pub(super) size: ByteSize,
}

impl<'a> OpenFile<'a> {
    pub(super) fn new(path: &'a Path) -> Result<OpenFile<'a>, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let file = open_for_reading(path).map_err(open)?;
        let size = ImageFile::from_file(file.try_clone().map_err(open)?).map_err(open)?.size();
        let format = format_of(&file, size, path, &path.display().to_string())?;
        Ok(OpenFile { path, file, format, size })
    }

    fn into_image(self) -> Result<ImageFile, SourceError> {
        ImageFile::from_file(self.file).map_err(|source| SourceError::Open { path: self.path.to_owned(), source })
    }

    pub(super) fn into_packed(self) -> Packed {
        let OpenFile { file, format, size, .. } = self;
        Packed { stamp: Stamp::of(&file), file, format, size }
    }
}

pub(super) fn format_of(file: &File, size: ByteSize, path: &Path, name: &str) -> Result<Format, SourceError> {
    if size.0 == 0 {
        return Err(SourceError::Empty { path: path.to_owned() });
    }
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(size.0).unwrap_or(HEAD_BYTES))];
    file.read_exact_at(&mut head, 0).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        at: ByteOffset(0),
        source,
    })?;
    supported(&head, name)
}

pub(super) fn supported(head: &[u8], name: &str) -> Result<Format, SourceError> {
    match tell(head) {
        Told::Format(format) => Ok(format),
        Told::Other(what, next) => Err(SourceError::Unsupported { name: name.to_owned(), what, next }),
    }
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
        check(spec, digest)?;
        return Ok(source(spec, Arc::new(image), digest, format));
    }
    let packed = opened.into_packed();
    let cache = open_cache(cache_directory)?;
    // Where something of this size was decoded before, it is probably this: hashing is quicker than decoding.
    if cache.may_hold(published_size) {
        task.stage("checksum", Some(published_size));
        let whole = ImageFile::open(path).map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
        let digest = digest_with(&whole, path, task)?;
        check(spec, digest)?;
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
    let Some(expected) = spec.sha256 else { return Err(SourceError::DigestRequired { url: place.to_string() }) };
    let cache = open_cache(cache_directory)?;
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

pub(super) fn open_cache(directory: &Path) -> Result<Cache, SourceError> {
    Cache::at(directory).map_err(|source| SourceError::Cache {
        doing: "make the directory",
        directory: directory.to_owned(),
        source,
    })
}

fn source(spec: &SourceSpec, image: Arc<dyn ReadAt>, digest: Sha256Digest, format: Format) -> OpenedSource {
    let size = image.size();
    OpenedSource { image, digest, name: spec.name(), format, size }
}

fn digest_with(image: &ImageFile, path: &Path, task: &mut dyn Task) -> Result<Sha256Digest, SourceError> {
    let mut at = ByteSize(0);
    digest_of(image, &mut |done| {
        at = done;
        task.at(done);
    })
    .map_err(|source| SourceError::Read { path: path.to_owned(), at: ByteOffset(at.0), source })
}

pub(super) fn check(spec: &SourceSpec, found: Sha256Digest) -> Result<(), SourceError> {
    match spec.sha256 {
        Some(expected) if expected != found => Err(SourceError::Checksum { name: spec.full_name(), expected, found }),
        _ => Ok(()),
    }
}
