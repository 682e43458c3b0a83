//! One object on its way into a bucket, in parts. Nothing is visible under its key before it is whole.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Bucket, S3Error, s3_error};

/// Every part but the last has at least 5 MiB, and there are at most 10,000 (Amazon S3 user guide, "Amazon S3 multipart
/// upload limits").
const SMALLEST_PART: usize = 16 << 20;
const MOST_PARTS: u64 = 9_000;

/// An object in the making. Dropped without [`Upload::complete`], its parts are thrown away, as far as the server can be
/// reached.
pub struct Upload<'a> {
    bucket: &'a Bucket,
    key: String,
    /// Empty once it is completed or thrown away.
    id: String,
    part_size: usize,
    waiting: Vec<u8>,
    parts: Vec<Part>,
    size: u64,
    cancel: Arc<AtomicBool>,
    failed: Option<S3Error>,
}

struct Part {
    tag: String,
    sha256: [u8; 32],
}

impl Bucket {
    /// Begins an object of about `expected` bytes. `cancel` stops it between two parts.
    ///
    /// # Errors
    /// [`S3Error`]: no such bucket, no right to write there.
    pub fn begin(&self, key: &str, expected: u64, cancel: Arc<AtomicBool>) -> Result<Upload<'_>, S3Error> {
        let call = self.client.create_multipart_upload().bucket(&self.name).key(key);
        // Each part has its SHA-256, which the server compares and keeps.
        let call = call.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let begun = self.runtime.block_on(call.send()).map_err(|error| s3_error(&error))?;
        let id = begun.upload_id.filter(|id| !id.is_empty()).ok_or_else(|| not_kept("it named no upload"))?;
        // A large part costs memory and is sent again whole when it fails; only a large object needs larger ones.
        let part_size = usize::try_from(expected / MOST_PARTS).unwrap_or(SMALLEST_PART).max(SMALLEST_PART);
        let (waiting, parts) = (Vec::new(), Vec::new());
        Ok(Upload { bucket: self, key: key.to_owned(), id, part_size, waiting, parts, size: 0, cancel, failed: None })
    }

    /// Writes a small object, whole or not at all. Without `replace`, never over one that is there.
    ///
    /// # Errors
    /// [`S3Error`]; [`S3Error::is_taken`] where it is there.
    pub fn put(&self, key: &str, bytes: &[u8], kind: &str, replace: bool) -> Result<(), S3Error> {
        let call = self.client.put_object().bucket(&self.name).key(key).content_type(kind);
        // The server compares: what was changed on the way is refused instead of kept.
        let call = call.checksum_sha256(STANDARD.encode(Sha256::digest(bytes)));
        let call = call.set_if_none_match((!replace).then(|| "*".to_owned())).body(ByteStream::from(bytes.to_vec()));
        self.runtime.block_on(call.send()).map(drop).map_err(|error| s3_error(&error))
    }
}

impl Upload<'_> {
    /// All was written: the object appears under its key. Without `replace`, never over one that is there.
    ///
    /// # Errors
    /// [`S3Error`]; nothing is under the key then that was not there before.
    pub fn complete(mut self, replace: bool) -> Result<u64, S3Error> {
        // An error that a writer swallowed must not become an object.
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        // An upload without any part is refused: an empty object has one empty part.
        if !self.waiting.is_empty() || self.parts.is_empty() {
            self.send_part()?;
        }
        // S3 counts parts from 1.
        let parts = self.parts.iter().zip(1..).map(|(part, number)| {
            let sent = CompletedPart::builder().part_number(number).e_tag(&part.tag);
            sent.checksum_sha256(STANDARD.encode(part.sha256)).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let call = self.bucket.client.complete_multipart_upload().bucket(&self.bucket.name).key(&self.key);
        let call = call.upload_id(&self.id).multipart_upload(parts);
        let call = call.set_if_none_match((!replace).then(|| "*".to_owned()));
        let done = match self.bucket.runtime.block_on(call.send()).map_err(|error| s3_error(&error)) {
            Ok(done) => done,
            Err(error) => {
                // Without a clear no it may be there all the same.
                if error.status.is_none_or(|status| status >= 500) {
                    let _ = self.bucket.remove(&self.key);
                }
                return Err(error);
            }
        };
        // From here on the object is there, and there is no upload to throw away.
        self.id.clear();
        // The checksum of checksums: Amazon S3 user guide, "Checking object integrity", composite checksums.
        let mut all = Sha256::new();
        self.parts.iter().for_each(|part| all.update(part.sha256));
        let expected = format!("{}-{}", STANDARD.encode(all.finalize()), self.parts.len());
        let confirmed = done.checksum_sha256().map(|found| found == expected);
        // Servers of one's own may confirm no checksum; the length at least can be asked for everywhere.
        let as_long = match self.bucket.size_of(&self.key) {
            Ok(size) => size == Some(self.size),
            // Who may write need not be allowed to look.
            Err(error) => confirmed == Some(true) || error.status == Some(403),
        };
        if confirmed == Some(false) || !as_long {
            let _ = self.bucket.remove(&self.key);
            return Err(not_kept("the finished object is not what was sent; it was removed again"));
        }
        Ok(self.size)
    }

    /// Throws away what was sent; whether the server says so.
    pub fn abandon(mut self) -> Result<(), S3Error> {
        self.throw_away()
    }

    /// What went wrong while it was written, if anything did.
    pub fn failure(&self) -> Option<&S3Error> {
        self.failed.as_ref()
    }

    fn throw_away(&mut self) -> Result<(), S3Error> {
        // Taken, so that dropping this afterwards does not ask a second time. Parts that stay behind are invisible and
        // cost money for as long as nobody throws them away.
        let id = std::mem::take(&mut self.id);
        if id.is_empty() {
            return Ok(());
        }
        let call = self.bucket.client.abort_multipart_upload().bucket(&self.bucket.name).key(&self.key);
        self.bucket.runtime.block_on(call.upload_id(id).send()).map(drop).map_err(|error| s3_error(&error))
    }

    fn send_part(&mut self) -> Result<(), S3Error> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(not_kept("stopped"));
        }
        let bytes = std::mem::take(&mut self.waiting);
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        let number = i32::try_from(self.parts.len() + 1).map_err(|_| not_kept("too many parts"))?;
        let length = bytes.len() as u64;
        let call = self.bucket.client.upload_part().bucket(&self.bucket.name).key(&self.key).upload_id(&self.id);
        let call = call.part_number(number).checksum_sha256(STANDARD.encode(sha256)).body(ByteStream::from(bytes));
        let sent = self.bucket.runtime.block_on(call.send()).map_err(|error| s3_error(&error))?;
        let tag = sent.e_tag.clone().ok_or_else(|| not_kept("it gave a part no tag"))?;
        // A server that confirms nothing is asked for the length at the end.
        if sent.checksum_sha256().is_some_and(|found| found != STANDARD.encode(sha256)) {
            return Err(not_kept(&format!("part {number} is not what was sent")));
        }
        self.parts.push(Part { tag, sha256 });
        self.size += length;
        Ok(())
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // Who writes through layers may try again after an error: a missing part must not go unnoticed.
        if let Some(error) = &self.failed {
            return Err(io::Error::other(error.clone()));
        }
        let n = buf.len().min(self.part_size.saturating_sub(self.waiting.len()));
        self.waiting.extend_from_slice(buf.get(..n).unwrap_or_default());
        if self.waiting.len() >= self.part_size
            && let Err(error) = self.send_part()
        {
            self.failed = Some(error.clone());
            return Err(io::Error::other(error));
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        // A part goes when it is full; `complete` sends the rest.
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.throw_away();
    }
}

fn not_kept(what: &str) -> S3Error {
    // With a code: without one it would pass for a dead network.
    S3Error { code: Some("Upload".to_owned()), status: None, message: what.to_owned() }
}
