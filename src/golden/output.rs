//! A golden image as files: the image, its .bmap, its .sha256 and its manifest. All of them appear, or none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Golden;
use super::error::GoldenError;
use super::imager;
use super::manifest::Manifest;
use super::provenance;
use super::signature::{Signer, signature_path};
use crate::atomic_file::AtomicFile;
use crate::digest::Sha256Digest;
use crate::image::ReadAt;
use crate::image::bmap::to_bmap;
use crate::image::output::{OutputFormat, write_image};
use crate::progress::Progress;
use crate::source;
use crate::source::SourceSpec;
use crate::source::streaming::{StreamingImage, open_streaming};
use crate::units::{ByteRange, ByteSize};

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// The image.
    pub image: PathBuf,
    /// Its block map for bmaptool.
    pub bmap: PathBuf,
    /// Its digest, as `sha256sum -c` reads it.
    pub sha256: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Where the manifest's signature is, if it is signed.
    pub signature: PathBuf,
}

/// What may be written beside the four files that always are.
#[derive(Default)]
pub struct Extras<'a> {
    /// Signs the manifest.
    pub signer: Option<&'a Signer>,
    /// A repository for Raspberry Pi Imager, and where the image will be downloaded from.
    pub imager: Option<(&'a Path, Option<&'a str>)>,
    /// An in-toto statement of how the image came about, and who is to be named as its builder.
    pub provenance: Option<(&'a Path, &'a str)>,
}

impl Extras<'_> {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.imager.map(|(path, _)| path).into_iter().chain(self.provenance.map(|(path, _)| path))
    }

    /// Whether its files can be written. To be asked before the work.
    ///
    /// # Errors
    /// [`GoldenError::Output`].
    pub fn check(&self, outputs: &Outputs, overwrite: bool) -> Result<(), GoldenError> {
        for path in self.paths() {
            let refuse =
                |what: String, next: &str| GoldenError::Output { path: path.to_owned(), what, next: next.to_owned() };
            if !directory_of(path).is_dir() {
                let what = format!("{} is not a directory", directory_of(path).display());
                return Err(refuse(what, "make the directory first"));
            }
            let twice = self.paths().filter(|other| *other == path).count() > 1;
            if twice || outputs.all().contains(&path) {
                return Err(refuse("another output has this name".to_owned(), "take another name"));
            }
            match path.symlink_metadata() {
                Ok(about) if about.is_dir() || !overwrite => {
                    let what = "it is already there".to_owned();
                    return Err(refuse(what, "take another name, or give --overwrite"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Outputs {
    /// The names beside `image`: everything from `.img` on is replaced.
    pub fn beside(image: &Path) -> Outputs {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.rfind(".img").and_then(|at| name.get(..at)).unwrap_or(&name).to_owned();
        let named = |ending: &str| image.with_file_name(format!("{stem}{ending}"));
        let manifest = named(".manifest.json");
        Outputs {
            image: image.to_owned(),
            bmap: named(".bmap"),
            sha256: named(".sha256"),
            signature: signature_path(&manifest),
            manifest,
        }
    }

    fn all(&self) -> [&Path; 5] {
        [&self.image, &self.bmap, &self.sha256, &self.manifest, &self.signature]
    }
}

/// Whether `--out image` can work: its ending, its directory, and what is already there. To be asked before the work.
///
/// # Errors
/// [`GoldenError::Output`].
pub fn check_output(image: &Path, overwrite: bool) -> Result<(Outputs, OutputFormat), GoldenError> {
    let refuse = |what: String, next: &str| GoldenError::Output { path: image.to_owned(), what, next: next.to_owned() };
    let Some(format) = OutputFormat::from_name(image) else {
        let next = "name it FILE.img, FILE.img.zst, FILE.img.xz or FILE.img.gz";
        return Err(refuse("its ending does not say in which form the image is wanted".to_owned(), next));
    };
    let outputs = Outputs::beside(image);
    let directory = directory_of(image);
    if !directory.is_dir() {
        return Err(refuse(format!("{} is not a directory", directory.display()), "make the directory first"));
    }
    if let Some(there) = outputs.all().into_iter().find(|path| path.symlink_metadata().is_ok()) {
        if there.is_dir() {
            return Err(refuse(format!("{} is a directory", there.display()), "take another name"));
        }
        if !overwrite {
            return Err(refuse(
                format!("{} is already there", there.display()),
                "take another name, or give --overwrite",
            ));
        }
    }
    Ok((outputs, format))
}

/// An image's file that is written and has no name yet: neither an error nor kill -9 leaves half a file.
pub(super) struct Written {
    file: AtomicFile,
    digest: Sha256Digest,
}

impl Written {
    /// Writes `image`, of which `places` (sorted) carry meaning, to a file that is going to be `path`.
    ///
    /// # Errors
    /// [`GoldenError::Io`].
    pub(super) fn write(
        image: &dyn ReadAt,
        places: &[ByteRange],
        path: &Path,
        format: OutputFormat,
        progress: &dyn Progress,
    ) -> Result<Written, GoldenError> {
        let mut task = progress.task("write", Some(image.size()));
        let file = begin(path)?;
        let digest = write_image(image, places, file.file(), format, task.as_mut()).map_err(io(path))?;
        task.done(&path.display().to_string());
        Ok(Written { file, digest })
    }
}

fn begin(path: &Path) -> Result<AtomicFile, GoldenError> {
    AtomicFile::create_in(&directory_of(path)).map_err(io(path))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> GoldenError + use<> {
    let doing = format!("write {}", path.display());
    move |source| GoldenError::Io { doing, source }
}

impl Golden {
    /// Writes the image and what belongs to it. Returns the golden image as it now is: read from its file's manifest.
    ///
    /// # Errors
    /// [`GoldenError::Output`] before anything is written, [`GoldenError::Io`] later; no file appears in either case.
    pub fn write(&mut self, image: &Path, overwrite: bool, progress: &dyn Progress) -> Result<Outputs, GoldenError> {
        self.write_with(image, overwrite, &Extras::default(), progress)
    }

    /// As [`Golden::write`], with more files: all of them appear, or none.
    ///
    /// # Errors
    /// As [`Golden::write`], and [`GoldenError::Signature`].
    pub fn write_with(
        &mut self,
        image: &Path,
        overwrite: bool,
        extras: &Extras<'_>,
        progress: &dyn Progress,
    ) -> Result<Outputs, GoldenError> {
        let (outputs, format) = check_output(image, overwrite)?;
        extras.check(&outputs, overwrite)?;
        let written = Written::write(&*self.image, &self.manifest.map.places(), image, format, progress)?;
        self.publish(written, &outputs, extras)?;
        Ok(outputs)
    }

    /// Writes what belongs to an image that is written, and gives all of it its names.
    ///
    /// # Errors
    /// As [`Golden::write_with`].
    pub(super) fn publish(
        &mut self,
        written: Written,
        outputs: &Outputs,
        extras: &Extras<'_>,
    ) -> Result<(), GoldenError> {
        let Written { file, digest } = written;
        let name = PathBuf::from(outputs.image.file_name().unwrap_or_default());
        self.manifest.image.file = Some(name.clone());
        self.manifest.image.file_sha256 = Some(digest);
        let text = |path: &Path, text: &str| -> Result<AtomicFile, GoldenError> {
            let file = begin(path)?;
            file.file().write_all(text.as_bytes()).map_err(io(path))?;
            Ok(file)
        };
        let bmap_text = to_bmap(&self.manifest.map, self.manifest.image.size);
        self.manifest.image.bmap_sha256 = Some(Sha256Digest::of(bmap_text.as_bytes()));
        let bmap = text(&outputs.bmap, &bmap_text)?;
        let sha256 = text(&outputs.sha256, &format!("{digest}  {}\n", name.display()))?;
        let written = self.manifest.to_text().map_err(std::io::Error::other).map_err(io(&outputs.manifest))?;
        let manifest = text(&outputs.manifest, &written)?;
        let packed = ByteSize(file.file().metadata().map_err(io(&outputs.image))?.len());
        let mut steps: Vec<(AtomicFile, &Path)> =
            vec![(file, &outputs.image), (bmap, &outputs.bmap), (sha256, &outputs.sha256)];
        if let Some((path, address)) = extras.imager {
            steps.push((text(path, &imager::repository(self, outputs, packed, address)?)?, path));
        }
        if let Some((path, builder)) = extras.provenance {
            let statement = provenance::statement(&self.manifest, outputs, &bmap_text, &written, builder);
            steps.push((text(path, &statement)?, path));
        }
        if let Some(signer) = extras.signer {
            steps.push((text(&outputs.signature, &signer.sign(written.as_bytes())?)?, &outputs.signature));
        }
        steps.push((manifest, &outputs.manifest));

        // The manifest comes last and an old one goes first: where it is, everything that it names is there. An old
        // signature would not hold for a new manifest.
        for old in [&outputs.manifest, &outputs.signature] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(old)(error)),
                _ => {}
            }
        }
        let mut placed: Vec<&Path> = Vec::new();
        for (whole, path) in steps {
            if let Err(error) = whole.commit(path) {
                placed.iter().for_each(|path| drop(std::fs::remove_file(path)));
                return Err(io(path)(error));
            }
            placed.push(path);
        }
        Ok(())
    }

    /// Opens the golden image that a manifest describes, from the file beside it. The file's content is compared with
    /// the manifest's digests while it is read, range by range; a compressed one as a whole.
    ///
    /// # Errors
    /// [`GoldenError`] where manifest or image are not what they should be.
    pub fn open(manifest_path: &Path, cache_dir: &Path, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        Golden::open_described(Manifest::read(manifest_path)?, manifest_path, cache_dir, progress)
    }

    /// The same for a manifest that was read already.
    fn open_described(
        manifest: Manifest,
        manifest_path: &Path,
        cache_dir: &Path,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let path = image_of(&manifest, manifest_path)?;
        // A raw image is not read as a whole before the cards: its ranges are compared while they are written.
        let image = match packed_digest(&manifest, &path) {
            expected @ Some(_) => source::open_spec(&SourceSpec::file(&path, expected), cache_dir, progress)?.image,
            None => source::open_to_inspect(&path, cache_dir, progress)?.0,
        };
        if image.size() != manifest.image.size {
            let what = format!("it has {} bytes, not {}", image.size().0, manifest.image.size.0);
            return Err(GoldenError::NotTheImage { image: path, manifest: manifest_path.to_owned(), what });
        }
        Ok(Golden::new(image, manifest, None))
    }

    /// As [`Golden::open`], but does not wait for a compressed image to be decoded: its bytes can be read as they come,
    /// see [`Golden::streaming`]. Decoding ends early when `cancel` is set.
    ///
    /// # Errors
    /// As [`Golden::open`]; what decoding finds comes later.
    pub fn open_streaming(
        manifest_path: &Path,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        Golden::open_streaming_described(Manifest::read(manifest_path)?, manifest_path, cache_dir, cancel, progress)
    }

    /// The same for a manifest that was read already, because its signature was checked: it is not read again.
    ///
    /// # Errors
    /// As [`Golden::open_streaming`].
    pub fn open_streaming_described(
        manifest: Manifest,
        manifest_path: &Path,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let path = image_of(&manifest, manifest_path)?;
        let Some(expected) = packed_digest(&manifest, &path) else {
            return Golden::open_described(manifest, manifest_path, cache_dir, progress);
        };
        match open_streaming(&path, expected, manifest.image.size, cache_dir, cancel)? {
            None => Golden::open_described(manifest, manifest_path, cache_dir, progress),
            Some(streaming) => {
                Ok(Golden::decoded_meanwhile(streaming, &path.display().to_string(), manifest, progress))
            }
        }
    }

    pub(super) fn decoded_meanwhile(
        streaming: StreamingImage,
        name: &str,
        manifest: Manifest,
        progress: &dyn Progress,
    ) -> Golden {
        progress.note(&format!("{name} is decoded while cards are written"));
        let streaming = Arc::new(streaming);
        Golden::new(streaming.clone(), manifest, Some(streaming))
    }
}

/// Where the image of a manifest must be.
fn image_of(manifest: &Manifest, manifest_path: &Path) -> Result<PathBuf, GoldenError> {
    match &manifest.image.file {
        Some(name) => Ok(manifest_path.with_file_name(name)),
        None => Err(GoldenError::NotTheImage {
            image: manifest_path.to_owned(),
            manifest: manifest_path.to_owned(),
            what: "it names no image file".to_owned(),
        }),
    }
}

/// The digest that the file must have, where it is compressed.
fn packed_digest(manifest: &Manifest, image: &Path) -> Option<Sha256Digest> {
    manifest.image.file_sha256.filter(|_| OutputFormat::from_name(image) != Some(OutputFormat::Raw))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
