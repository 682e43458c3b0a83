//! Objects in S3 buckets, read and written through the AWS SDK: credentials, profiles, regions and
//! `AWS_ENDPOINT_URL_S3` are its business.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use tokio::runtime::Runtime;

use super::error::{Told, told};
use crate::causes::in_one_line;

mod upload;

pub use upload::Upload;

const CONNECT: Duration = Duration::from_secs(10);
/// For the head of an answer; bodies are watched by the SDK's protection against stalled streams.
const ANSWER: Duration = Duration::from_secs(60);

/// A bucket, and what talks to it.
pub struct Bucket {
    runtime: Arc<Runtime>,
    client: Client,
    name: String,
}

/// A call to S3 that failed.
#[derive(Debug, Clone)]
pub struct S3Error {
    /// The service's error code, such as `AccessDenied`, where it answered.
    pub code: Option<String>,
    /// The HTTP status, where it answered.
    pub status: Option<u16>,
    /// What it said, or what stood in the way.
    pub message: String,
}

impl S3Error {
    /// Whether the object, or the bucket, is not there.
    pub fn is_not_there(&self) -> bool {
        self.status == Some(404)
    }

    /// Whether a condition on what is there already did not hold.
    pub fn is_taken(&self) -> bool {
        // 409 where two write at once, 412 where it was there before.
        matches!(self.status, Some(409 | 412))
    }

    fn hint(&self) -> &'static str {
        match (self.code.as_deref(), self.status) {
            (Some("AccessDenied"), _) => "; the credentials do not allow this",
            (Some("ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch"), _) => {
                "; sign in again (aws sso login, or a new AWS_PROFILE)"
            }
            (Some("PermanentRedirect" | "AuthorizationHeaderMalformed"), _) | (_, Some(301)) => {
                "; the bucket is in another region: set AWS_REGION to it"
            }
            (Some("NoSuchBucket"), _) => "; is the bucket's name right?",
            (None, None) => "; is the network up, are there credentials, and is AWS_ENDPOINT_URL_S3 right?",
            _ => "",
        }
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        write!(f, "{code}{}{}", self.message, self.hint())
    }
}

impl StdError for S3Error {}

fn s3_error<E>(error: &SdkError<E>) -> S3Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let Told { status, code, message } = told(error);
    S3Error { code, status, message }
}

impl Bucket {
    /// With credentials and configuration from the environment, as every AWS tool has them. Nothing is asked yet.
    ///
    /// # Errors
    /// Where no runtime can be started.
    pub fn connect(name: &str) -> io::Result<Bucket> {
        let runtime = super::http::runtime()?;
        let client = runtime.block_on(async {
            let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build();
            let config = super::session::sdk_config(None, timeouts).await;
            let mut wanted = aws_sdk_s3::config::Builder::from(&config);
            // A server of one's own has no regions, and signatures want one.
            if config.region().is_none() {
                wanted = wanted.region(Region::new("us-east-1"));
            }
            // Servers of one's own rarely have a host name for each bucket.
            let own = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some());
            Client::from_conf(wanted.force_path_style(own || config.endpoint_url().is_some()).build())
        });
        Ok(Bucket { runtime: Arc::new(runtime), client, name: name.to_owned() })
    }

    /// The size of an object; `None` where it is not there.
    ///
    /// # Errors
    /// [`S3Error`].
    pub fn size_of(&self, key: &str) -> Result<Option<u64>, S3Error> {
        let asked = self.runtime.block_on(self.client.head_object().bucket(&self.name).key(key).send());
        match asked.map_err(|error| s3_error(&error)) {
            Ok(about) => Ok(Some(about.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default())),
            Err(error) if error.is_not_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes an object. One that is not there is as good as removed.
    ///
    /// # Errors
    /// [`S3Error`].
    pub fn remove(&self, key: &str) -> Result<(), S3Error> {
        let asked = self.runtime.block_on(self.client.delete_object().bucket(&self.name).key(key).send());
        asked.map(drop).map_err(|error| s3_error(&error))
    }

    /// Begins to fetch an object from byte `from` on; with `version`, only where it still is that one.
    ///
    /// # Errors
    /// [`S3Error`].
    pub fn get(&self, key: &str, from: u64, version: Option<&str>) -> Result<Object, S3Error> {
        let mut call = self.client.get_object().bucket(&self.name).key(key);
        if from > 0 {
            // Half of one image and half of another would have the right length: the second part must be of the same.
            call = call.range(format!("bytes={from}-")).set_if_match(version.map(str::to_owned));
        }
        let answer = self.runtime.block_on(call.send()).map_err(|error| s3_error(&error))?;
        let size = answer.content_length.and_then(|size| u64::try_from(size).ok());
        // The runtime is shared with the body: it drives the connection, which outlives this call.
        let body = Body { runtime: self.runtime.clone(), stream: answer.body, rest: Vec::new(), at: 0 };
        Ok(Object { size, range: answer.content_range, version: answer.e_tag, body: Box::new(body) })
    }

    /// For messages.
    pub fn address(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }
}

/// An object on its way here.
pub struct Object {
    /// The whole object's size, where the answer tells it.
    pub size: Option<u64>,
    /// The `Content-Range` of an answer that holds a part.
    pub range: Option<String>,
    /// Its ETag: another one is another object.
    pub version: Option<String>,
    /// Its bytes, from where they were asked for.
    pub body: Box<dyn Read + Send>,
}

/// The SDK's stream, for whoever reads without waiting for a runtime.
struct Body {
    runtime: Arc<Runtime>,
    stream: ByteStream,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A piece may be empty. Only `None` is the end.
        while self.at >= self.rest.len() {
            match self.runtime.block_on(self.stream.try_next()) {
                Ok(Some(bytes)) => (self.rest, self.at) = (bytes.to_vec(), 0),
                Ok(None) => return Ok(0),
                Err(error) => return Err(io::Error::other(in_one_line(&error))),
            }
        }
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
