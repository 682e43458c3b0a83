//! The files of a golden image: their names, and whether they can be written. To be asked before minutes of work.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::GoldenError;
use super::signature::{Signer, signature_path};
use crate::image::output::OutputFormat;

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
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
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
            // Not made here: a typing error would leave a directory behind.
            if !directory_of(path).is_dir() {
                let what = format!("{} is not a directory", directory_of(path).display());
                return Err(refuse(what, "make the directory first"));
            }
            // The second file would replace the first one.
            let twice = self.paths().filter(|other| *other == path).count() > 1;
            if twice || outputs.all().contains(&path) {
                return Err(refuse("another output has this name".to_owned(), "take another name"));
            }
            // Not followed: a link that leads nowhere is in the way, too.
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
        let name = image.file_name().unwrap_or_default().as_bytes();
        // The last one: a name may hold `.img` further in front.
        let stem = memchr::memmem::rfind(name, b".img").and_then(|at| name.get(..at)).unwrap_or(name);
        let named = |ending: &str| image.with_file_name(OsStr::from_bytes(&[stem, ending.as_bytes()].concat()));
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
    // The manifest names the image, and is JSON. Said before the work, not when it is to be written.
    if image.file_name().is_some_and(|name| name.to_str().is_none()) {
        let next = "take a name in UTF-8; the directory's may be any";
        return Err(refuse("its name is no UTF-8 text, so the manifest beside it could not say it".to_owned(), next));
    }
    let outputs = Outputs::beside(image);
    let directory = directory_of(image);
    if !directory.is_dir() {
        return Err(refuse(format!("{} is not a directory", directory.display()), "make the directory first"));
    }
    if let Some(there) = outputs.all().into_iter().find(|path| path.symlink_metadata().is_ok()) {
        // Whatever the person allows: a rename cannot replace a directory.
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

/// The directory that a file lies in, also where its path names none.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
