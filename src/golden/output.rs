//! A golden image as files: the image, its .bmap, its .sha256 and its manifest. All of them appear, or none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Golden;
use super::error::GoldenError;
use super::manifest::Manifest;
use crate::image::Sha256Digest;
use crate::image::arriving::open_arriving;
use crate::image::bmap::to_bmap;
use crate::image::output::{OutputFormat, write_image};
use crate::image::source::{self, SourceSpec};
use crate::image::whole_file::WholeFile;
use crate::progress::Progress;

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
}

impl Outputs {
    /// The names beside `image`: everything from `.img` on is replaced.
    pub fn beside(image: &Path) -> Outputs {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.rfind(".img").and_then(|at| name.get(..at)).unwrap_or(&name).to_owned();
        let named = |ending: &str| image.with_file_name(format!("{stem}{ending}"));
        Outputs {
            image: image.to_owned(),
            bmap: named(".bmap"),
            sha256: named(".sha256"),
            manifest: named(".manifest.json"),
        }
    }

    fn all(&self) -> [&Path; 4] {
        [&self.image, &self.bmap, &self.sha256, &self.manifest]
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

impl Golden {
    /// Writes the image and what belongs to it. Returns the golden image as it now is: read from its file's manifest.
    ///
    /// # Errors
    /// [`GoldenError::Output`] before anything is written, [`GoldenError::Io`] later; no file appears in either case.
    pub fn write(&mut self, image: &Path, overwrite: bool, progress: &dyn Progress) -> Result<Outputs, GoldenError> {
        let (outputs, format) = check_output(image, overwrite)?;
        let io = |path: &Path| {
            let doing = format!("write {}", path.display());
            move |source| GoldenError::Io { doing, source }
        };
        let directory = directory_of(image);
        // Without a name until all is written: neither an error nor kill -9 leaves half a file.
        let begin = |path: &Path| WholeFile::create_in(&directory).map_err(io(path));

        let mut task = progress.task("write", Some(self.manifest.map.mapped_size()));
        let file = begin(&outputs.image)?;
        let digest = write_image(&*self.image, &self.manifest.map, file.file(), format, task.as_mut())
            .map_err(io(&outputs.image))?;
        task.done(&outputs.image.display().to_string());

        let name = PathBuf::from(image.file_name().unwrap_or_default());
        self.manifest.image.file = Some(name.clone());
        self.manifest.image.file_sha256 = Some(digest);
        let text = |path: &Path, text: &str| -> Result<WholeFile, GoldenError> {
            let file = begin(path)?;
            file.file().write_all(text.as_bytes()).map_err(io(path))?;
            Ok(file)
        };
        let bmap = text(&outputs.bmap, &to_bmap(&self.manifest.map, self.manifest.image.size))?;
        let sha256 = text(&outputs.sha256, &format!("{digest}  {}\n", name.display()))?;
        let manifest = self.manifest.to_text().map_err(std::io::Error::other).map_err(io(&outputs.manifest))?;
        let manifest = text(&outputs.manifest, &manifest)?;

        // The manifest comes last and an old one goes first: where it is, everything that it names is there.
        match std::fs::remove_file(&outputs.manifest) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&outputs.manifest)(error)),
            _ => {}
        }
        let steps =
            [(file, &outputs.image), (bmap, &outputs.bmap), (sha256, &outputs.sha256), (manifest, &outputs.manifest)];
        let mut placed: Vec<&Path> = Vec::new();
        for (whole, path) in steps {
            if let Err(error) = whole.commit(path) {
                placed.iter().for_each(|path| drop(std::fs::remove_file(path)));
                return Err(io(path)(error));
            }
            placed.push(path);
        }
        Ok(outputs)
    }

    /// Opens the golden image that a manifest describes, from the file beside it. The file's content is compared with
    /// the manifest's digests while it is read, range by range; a compressed one as a whole.
    ///
    /// # Errors
    /// [`GoldenError`] where manifest or image are not what they should be.
    pub fn open(manifest_path: &Path, cache_dir: &Path, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        let (manifest, path) = image_of(manifest_path)?;
        // A raw image is not read as a whole before the cards: its ranges are compared while they are written.
        let image = match packed_digest(&manifest, &path) {
            expected @ Some(_) => source::open_spec(&SourceSpec::file(&path, expected), cache_dir, progress)?.image,
            None => source::open_to_inspect(&path, cache_dir, progress)?.0,
        };
        if image.size() != manifest.image.size {
            let what = format!("it has {} bytes, not {}", image.size().0, manifest.image.size.0);
            return Err(GoldenError::NotTheImage { image: path, manifest: manifest_path.to_owned(), what });
        }
        Ok(Golden { image, manifest, arriving: None })
    }

    /// As [`Golden::open`], but does not wait for a compressed image to be decoded: its bytes can be read as they come,
    /// see [`Golden::arriving`]. Decoding ends early when `cancel` is set.
    ///
    /// # Errors
    /// As [`Golden::open`]; what decoding finds comes later.
    pub fn open_arriving(
        manifest_path: &Path,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let (manifest, path) = image_of(manifest_path)?;
        let Some(expected) = packed_digest(&manifest, &path) else {
            return Golden::open(manifest_path, cache_dir, progress);
        };
        match open_arriving(&path, expected, manifest.image.size, cache_dir, cancel)? {
            None => Golden::open(manifest_path, cache_dir, progress),
            Some(arriving) => {
                progress.note(&format!("{} is decoded while cards are written", path.display()));
                let arriving = Arc::new(arriving);
                Ok(Golden { image: arriving.clone(), manifest, arriving: Some(arriving) })
            }
        }
    }
}

/// A manifest, and where its image must be.
fn image_of(manifest_path: &Path) -> Result<(Manifest, PathBuf), GoldenError> {
    let manifest = Manifest::read(manifest_path)?;
    match &manifest.image.file {
        Some(name) => {
            let path = manifest_path.with_file_name(name);
            Ok((manifest, path))
        }
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
