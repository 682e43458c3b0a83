//! Fetching a published image over https.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::digest::Sha256Digest;
use super::error::ImageError;
use super::units::ByteSize;
use crate::progress::Task;

/// No published image is larger: cards of 1 TiB exist, their images are packed.
const LARGEST_DOWNLOAD: u64 = 1 << 38;

/// Whether the address is one that is fetched: https, or a plain http server on this machine (for tests and mirrors
/// behind a local proxy), whose traffic nobody can change on the way.
pub(super) fn is_fetched(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    url.starts_with("https://") || local.iter().any(|prefix| url.starts_with(prefix))
}

/// Whether a recipe's `source` is an address, of whatever kind, and not a path.
pub(super) fn is_address(source: &str) -> bool {
    let scheme = source.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
}

/// Fetches `url` into `sink`; returns the digest of what came.
pub(super) fn download(url: &str, sink: &File, task: &mut dyn Task) -> Result<Sha256Digest, ImageError> {
    let failed = |what: String| ImageError::Download { url: url.to_owned(), what };
    let agent = ureq::Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        // A body may take hours on a slow line, but not stand still.
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("cardsmith/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(|error| failed(explain(&error)))?;
    let total = response.body().content_length();
    task.stage("download", total.map(ByteSize));
    let mut body = response.body_mut().with_config().limit(LARGEST_DOWNLOAD).reader();
    let mut hasher = Sha256::new();
    let mut sink = sink;
    let mut buf = vec![0; 1 << 18];
    let mut done = 0u64;
    loop {
        let n = match body.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(format!("it broke off after {}: {error}", ByteSize(done)))),
        };
        let part = buf.get(..n).unwrap_or_default();
        hasher.update(part);
        sink.write_all(part).map_err(|error| failed(format!("could not keep what came: {error}")))?;
        done += n as u64;
        task.at(ByteSize(done));
    }
    match total {
        Some(total) if total != done => {
            Err(failed(format!("it broke off after {} of {}", ByteSize(done), ByteSize(total))))
        }
        _ => Ok(Sha256Digest::from_hasher(hasher)),
    }
}

fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(404) => "there is no such file (404); is the address right?".to_owned(),
        ureq::Error::StatusCode(code) => format!("the server answered {code}"),
        ureq::Error::RequireHttpsOnly(to) => format!("it leads away from https, to {to}"),
        other => other.to_string(),
    }
}
