//! The files of a golden image: their names, and whether they can be written. To be asked before minutes of work.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::GoldenError;
use super::signature::{Signer, signature_path};
use crate::image::output::OutputFormat;
use crate::inputs::Inputs;

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

    /// Every file, with what it is for the command. The signature, too, where there is none: an old one is taken away.
    fn all(&self) -> [(&Path, &'static str); 5] {
        [
            (&self.image, "--out"),
            (&self.bmap, "the block map"),
            (&self.sha256, "the file of the digest"),
            (&self.manifest, "the manifest"),
            (&self.signature, "the signature"),
        ]
    }
}

/// Whether `--out image` and what is wanted beside it can work: its ending, the directories, what is already there, and
/// that no output is another one or one of `inputs`. To be asked before the work.
///
/// # Errors
/// [`GoldenError::Output`], [`GoldenError::Input`].
pub fn check_outputs(
    image: &Path,
    extras: &Extras<'_>,
    overwrite: bool,
    inputs: &Inputs,
) -> Result<(Outputs, OutputFormat), GoldenError> {
    let refuse = |path: &Path, what: String, next: &str| GoldenError::Output {
        path: path.to_owned(),
        what,
        next: next.to_owned(),
    };
    let Some(format) = OutputFormat::from_name(image) else {
        let next = "name it FILE.img, FILE.img.zst, FILE.img.xz or FILE.img.gz";
        return Err(refuse(image, "its ending does not say in which form the image is wanted".to_owned(), next));
    };
    // The manifest names the image, and is JSON. Said before the work, not when it is to be written.
    if image.file_name().is_some_and(|name| name.to_str().is_none()) {
        let next = "take a name in UTF-8; the directory's may be any";
        return Err(refuse(
            image,
            "its name is no UTF-8 text, so the manifest beside it could not say it".to_owned(),
            next,
        ));
    }
    let outputs = Outputs::beside(image);
    let mut all: Vec<(&Path, &'static str)> = outputs.all().to_vec();
    all.extend(extras.imager.map(|(path, _)| (path, "--imager-json")));
    all.extend(extras.provenance.map(|(path, _)| (path, "--provenance")));
    let mut taken: Vec<PathBuf> = Vec::new();
    for (path, _) in &all {
        // Not made here: a typing error would leave a directory behind.
        let directory = directory_of(path);
        if !directory.is_dir() {
            return Err(refuse(
                path,
                format!("{} is not a directory", directory.display()),
                "make the directory first",
            ));
        }
        // By the real directory: `./a.bmap` is `a.bmap`, and the second file would replace the first one.
        let place = std::fs::canonicalize(&directory).unwrap_or(directory).join(path.file_name().unwrap_or_default());
        if taken.contains(&place) {
            return Err(refuse(path, "another output has this name".to_owned(), "take another name"));
        }
        taken.push(place);
    }
    // Before what is there is asked about: `--overwrite` is no word for giving up the base image.
    inputs.refuse_outputs(all.iter().copied())?;
    // Not followed: a link that leads nowhere is in the way, too.
    for (path, about) in all.iter().filter_map(|(path, _)| Some((path, path.symlink_metadata().ok()?))) {
        // Whatever the person allows: a rename cannot replace a directory.
        if about.is_dir() {
            return Err(refuse(path, format!("{} is a directory", path.display()), "take another name"));
        }
        if !overwrite {
            return Err(refuse(
                path,
                format!("{} is already there", path.display()),
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
