//! Writes a golden image as files: the image, its .bmap, its .sha256 and its manifest. All of them appear, or none.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::GoldenError;
use super::image::Golden;
use super::imager;
use super::outputs::{Extras, Outputs, check_outputs, directory_of};
use super::provenance;
use crate::atomic_file::AtomicFile;
use crate::digest::Sha256Digest;
use crate::image::ReadAt;
use crate::image::bmap_write::to_bmap;
use crate::image::output::{OutputFormat, write_image};
use crate::inputs::Inputs;
use crate::progress::Progress;
use crate::units::{ByteRange, ByteSize};

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
        let (outputs, format) = check_outputs(image, extras, overwrite, &Inputs::default())?;
        let written = Written::write(&*self.image(), &self.manifest.map.places(), image, format, progress)?;
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
        // The manifest names the digests of the files beside it, so it is made after them, and signed after that.
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
        // Asked while it has no name yet: Imager's entry, which tells it, gets its name together with the image.
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
        // Names are given last, one after another: no file system renames several files at once. What got its name before
        // an error is taken away again.
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
}
