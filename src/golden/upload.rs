//! A golden image as four objects in a bucket. The image is packed on its way there: it never is on a disk here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::GoldenError;
use super::image::Golden;
use super::outputs::Outputs;
use crate::aws::s3::{Bucket, S3Error, Upload};
use crate::digest::Sha256Digest;
use crate::image::bmap_write::to_bmap;
use crate::image::output::{OutputFormat, stream_image};
use crate::progress::{Progress, Task};
use crate::source::{Location, SourceError};

/// Where a golden image goes in a bucket: checked, and known to be writable.
pub struct Destination {
    bucket: Bucket,
    /// The addresses, `s3://bucket/key`, as paths: what people and programs are told.
    outputs: Outputs,
    /// The keys: image, block map, digest, manifest.
    keys: [String; 4],
    format: OutputFormat,
    overwrite: bool,
}

impl Destination {
    /// Whether `--out s3://bucket/key` can work: its ending, what is already there, and the right to write. To be asked
    /// before the work. `None` for places that are no bucket.
    ///
    /// # Errors
    /// [`GoldenError::Output`] and, where the bucket cannot be used, [`GoldenError::Source`].
    pub fn check(place: &Location, overwrite: bool) -> Result<Option<Destination>, GoldenError> {
        let Location::S3 { bucket: name, key } = place else { return Ok(None) };
        let path = PathBuf::from(place.to_string());
        let refuse = |what: String, next: &str| GoldenError::Output { path: path.clone(), what, next: next.to_owned() };
        let Some(format) = OutputFormat::from_name(&path) else {
            let next = "name it s3://bucket/NAME.img.zst, or .img.xz, .img.gz or .img";
            return Err(refuse("its ending does not say in which form the image is wanted".to_owned(), next));
        };
        let (outputs, beside) = (Outputs::beside(&path), Outputs::beside(Path::new(key)));
        let keys = [beside.image, beside.bmap, beside.sha256, beside.manifest];
        let keys = keys.map(|key| key.to_string_lossy().into_owned());
        let bucket = crate::source::s3::bucket(name)?;
        let unusable = |key: &str, error: &S3Error| failed(&bucket, key, &format!("{error}; nothing was written"));
        for key in keys.iter().filter(|_| !overwrite) {
            match bucket.size_of(key) {
                Ok(Some(_)) => {
                    let what = format!("{} is already there", bucket.address(key));
                    return Err(refuse(what, "take another name, or give --overwrite"));
                }
                Ok(None) => {}
                // Who may write and not list hears 403 about objects that are not there. The upload itself asks again.
                Err(error) if error.status == Some(403) => {}
                Err(error) => return Err(unusable(key, &error)),
            }
        }
        // The only question that S3 answers about the right to write is an upload.
        let probe = bucket.begin(key, 0, Arc::default()).map_err(|error| unusable(key, &error))?;
        probe.abandon().map_err(|error| unusable(key, &error))?;
        Ok(Some(Destination { bucket, outputs, keys, format, overwrite }))
    }

    /// Refuses to replace the object that the base image is read from.
    ///
    /// # Errors
    /// [`GoldenError::Output`].
    pub fn refuse_source(place: &Location, source: &str) -> Result<(), GoldenError> {
        let Location::S3 { bucket, key } = place else { return Ok(()) };
        let beside = Outputs::beside(Path::new(key));
        let Ok(Location::S3 { bucket: from, key: read }) = Location::parse(source) else { return Ok(()) };
        let outputs = [beside.image, beside.bmap, beside.sha256, beside.manifest];
        if from == *bucket && outputs.iter().any(|output| output == Path::new(&read)) {
            return Err(GoldenError::Output {
                path: PathBuf::from(place.to_string()),
                what: format!("{source} is the base image of this recipe, and would be replaced"),
                next: "take another name".to_owned(),
            });
        }
        Ok(())
    }
}

fn failed(bucket: &Bucket, key: &str, what: &str) -> GoldenError {
    SourceError::Upload { place: bucket.address(key), what: what.to_owned() }.into()
}

impl Golden {
    /// Uploads the image and what belongs to it; the manifest comes last. `cancel` stops it between two parts.
    ///
    /// # Errors
    /// [`GoldenError`]. Nothing is left in the bucket then, or else the error says what is.
    pub fn upload(
        &mut self,
        to: &Destination,
        cancel: &Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Outputs, GoldenError> {
        let mut task = progress.task("upload", Some(self.image().size()));
        match self.upload_with(to, cancel, task.as_mut()) {
            Ok(()) => {
                task.done(&to.outputs.image.display().to_string());
                Ok(to.outputs.clone())
            }
            Err(error) => {
                task.failed("not uploaded");
                Err(error)
            }
        }
    }

    fn upload_with(
        &mut self,
        to: &Destination,
        cancel: &Arc<AtomicBool>,
        task: &mut dyn Task,
    ) -> Result<(), GoldenError> {
        let Destination { bucket, keys: [image, bmap, sha256, manifest], format, overwrite, .. } = to;
        let (format, overwrite) = (*format, *overwrite);
        let begun = bucket.begin(image, self.image().size().0, cancel.clone());
        let mut upload = begun.map_err(|error| failed(bucket, image, &format!("{error}; nothing was left there")))?;
        task.stage("upload", Some(self.image().size()));
        let digest = match stream_image(&*self.image(), &self.manifest.map.places(), &mut upload, format, task) {
            Ok(digest) => digest,
            Err(error) => {
                // The packer only knows that its sink failed; why, S3 has said.
                let what = upload.failure().map_or_else(|| error.to_string(), S3Error::to_string);
                return Err(abandoned(upload, bucket, image, &what));
            }
        };
        let name = PathBuf::from(to.outputs.image.file_name().unwrap_or_default());
        let sum = format!("{digest}  {}\n", name.display());
        self.manifest.image.file = Some(name);
        self.manifest.image.file_sha256 = Some(digest);
        let map = to_bmap(&self.manifest.map, self.manifest.image.size);
        self.manifest.image.bmap_sha256 = Some(Sha256Digest::of(map.as_bytes()));
        let text = match self.manifest.to_text() {
            Ok(text) => text,
            Err(error) => return Err(abandoned(upload, bucket, image, &error.to_string())),
        };

        // An old manifest goes first and the new one comes last: where it is, everything that it names is there.
        if overwrite && let Err(error) = bucket.remove(manifest) {
            return Err(abandoned(upload, bucket, image, &error.to_string()));
        }
        upload.complete(overwrite).map_err(|error| {
            let taken = if error.is_taken() { "something came to be there in the meantime: " } else { "" };
            failed(bucket, image, &format!("{taken}{error}; nothing was left there"))
        })?;
        let mut placed = vec![image];
        let rest =
            [(bmap, &map, "application/xml"), (sha256, &sum, "text/plain"), (manifest, &text, "application/json")];
        for (key, content, kind) in rest {
            if let Err(error) = bucket.put(key, content.as_bytes(), kind, overwrite) {
                // All or nothing: an image without its manifest is of no use, and is in the way of the next try.
                let stuck: Vec<_> = placed.iter().filter(|key| bucket.remove(key).is_err()).collect();
                let left = match stuck.first() {
                    None => "what was uploaded before it was removed again".to_owned(),
                    Some(key) => format!("{} is still there and could not be removed", bucket.address(key)),
                };
                return Err(failed(bucket, key, &format!("{error}; {left}")));
            }
            placed.push(key);
        }
        Ok(())
    }
}

/// The error of an upload whose parts are thrown away.
fn abandoned(upload: Upload<'_>, bucket: &Bucket, key: &str, what: &str) -> GoldenError {
    // The parts of an upload that never ends are paid for until somebody removes them.
    let left = match upload.abandon() {
        Ok(()) => "nothing was left there".to_owned(),
        Err(error) => format!(
            "its parts could not be thrown away ({error}): a lifecycle rule (AbortIncompleteMultipartUpload) does that, or \
             `aws s3api abort-multipart-upload`"
        ),
    };
    failed(bucket, key, &format!("{what}; {left}"))
}
