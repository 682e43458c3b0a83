//! Base images that are fetched from S3 buckets.

use super::download::{Answer, Refusal, Remote, parse_range};
use super::error::SourceError;
use crate::aws::s3::{Bucket, S3Error};

/// An object that is fetched.
pub(super) struct S3File {
    bucket: Bucket,
    key: String,
}

impl S3File {
    pub(super) fn new(bucket: Bucket, key: &str) -> S3File {
        S3File { bucket, key: key.to_owned() }
    }
}

impl Remote for S3File {
    fn name(&self) -> String {
        self.bucket.address(&self.key)
    }

    fn open(&self, from: u64, version: Option<&str>) -> Result<Answer, Refusal> {
        let object = self.bucket.get(&self.key, from, version).map_err(|error| refusal(&error, from > 0))?;
        // Without a range, the answer is the whole object.
        let (from, total) = object.range.as_deref().and_then(parse_range).unwrap_or((0, object.size));
        Ok(Answer { from, total, version: object.version, body: object.body })
    }
}

/// The bucket of an address. Nothing is asked yet.
pub fn bucket(name: &str) -> Result<Bucket, SourceError> {
    Bucket::connect(name).map_err(|error| SourceError::NoClient { place: format!("s3://{name}"), source: error })
}

fn refusal(error: &S3Error, resuming: bool) -> Refusal {
    match error.status {
        // A 404 can also mean that there is no such bucket. Only `NoSuchKey` is about the object.
        Some(404) if error.code.as_deref() == Some("NoSuchKey") => Refusal::NotThere,
        Some(412 | 416) if resuming => Refusal::Changed,
        // No status and no code: nobody answered.
        None if error.code.is_none() => Refusal::Unreachable(error.to_string()),
        Some(500..) => Refusal::Later(error.to_string()),
        _ => Refusal::Never(error.to_string()),
    }
}
