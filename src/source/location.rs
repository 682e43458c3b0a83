//! Where a file is: on this machine, behind an https address, or in a bucket.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::download::{self, Remote};
use super::error::SourceError;
use super::https::HttpsFile;
use super::s3::S3File;
use crate::percent::encoded_name;
use crate::progress::{Progress, Silent};
use crate::read_limited::read_limited;

/// Where a file is. Shown without what could be a secret: a password or a query in an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or block device of this machine.
    File(PathBuf),
    /// An https:// address, or one of a plain http server on this machine.
    Https(String),
    /// An object in an S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

impl Location {
    /// What a person or a recipe means: an address, or else a path.
    ///
    /// # Errors
    /// [`SourceError::NotHttps`] for addresses of other kinds, [`SourceError::BadPlace`] for a bucket or key that cannot be.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Location, SourceError> {
        let text = text.as_ref();
        // What is no UTF-8 is a path: addresses are ASCII.
        let Some(address) = text.to_str().filter(|text| download::is_address(text)) else {
            return Ok(Location::File(PathBuf::from(text)));
        };
        if let Some(rest) = address.strip_prefix("s3://") {
            return in_bucket(address, rest);
        }
        match download::is_fetched(address) {
            true => Ok(Location::Https(address.to_owned())),
            false => Err(SourceError::NotHttps { url: download::shown(address) }),
        }
    }

    /// The path, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            _ => None,
        }
    }

    /// Whether nobody on the way could have changed what comes from there: everything but plain http.
    pub fn is_protected(&self) -> bool {
        !matches!(self, Location::Https(url) if url.starts_with("http:"))
    }

    /// The file's name.
    pub fn name(&self) -> String {
        match self {
            Location::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Location::Https(url) => {
                // The query is no part of the name, and may be a secret.
                let (path, _) = split_query(url);
                path.rsplit('/').next().unwrap_or(path).to_owned()
            }
            Location::S3 { key, .. } => key.rsplit('/').next().unwrap_or(key).to_owned(),
        }
    }

    /// The same with something behind its name: `.minisig`.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Location {
        match self {
            Location::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push(suffix);
                Location::File(name.into())
            }
            Location::Https(url) => {
                // The query stays: who wants a token for the image wants one for its signature, too.
                let (path, query) = split_query(url);
                Location::Https(format!("{path}{suffix}{query}"))
            }
            Location::S3 { bucket, key } => Location::S3 { bucket: bucket.clone(), key: format!("{key}{suffix}") },
        }
    }

    /// The file of this name in the same directory, on the same host, in the same bucket.
    ///
    /// # Errors
    /// [`SourceError::BadPlace`] for a name that would lead anywhere else.
    pub fn beside(&self, name: &str) -> Result<Location, SourceError> {
        // The name comes from a manifest, which anybody may have written.
        let leads_away = name.is_empty()
            || name == "."
            || name == ".."
            || name.chars().any(|c| c == '/' || c == '\\' || c.is_control());
        if leads_away {
            let what = "it must be the name of a file in the same place";
            return Err(SourceError::BadPlace { place: format!("{name:?}, named by {self},"), what });
        }
        Ok(match self {
            Location::File(path) => Location::File(path.with_file_name(name)),
            Location::Https(url) => {
                let (path, query) = split_query(url);
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                // Encoded: a `?` or `%` in the name must not change the address.
                Location::Https(format!("{directory}/{}{query}", encoded_name(name)))
            }
            Location::S3 { bucket, key } => {
                let directory = key.rsplit_once('/').map(|(directory, _)| format!("{directory}/")).unwrap_or_default();
                // Not encoded: a key becomes an address only when it is sent.
                Location::S3 { bucket: bucket.clone(), key: format!("{directory}{name}") }
            }
        })
    }

    /// Reads a small file into memory.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::NotThere`] where a server has no such file, and where the file has more than `most`
    /// bytes.
    pub fn read_small(&self, most: u64) -> Result<Vec<u8>, SourceError> {
        let Location::File(path) = self else {
            let (mut bytes, mut task) = (Vec::new(), Silent.task("", None));
            download::fetch(self.remote()?.as_ref(), &mut bytes, most, task.as_mut())?;
            return Ok(bytes);
        };
        File::open(path).and_then(|file| read_limited(file, most)).map_err(|source| match source.kind() {
            ErrorKind::FileTooLarge => SourceError::BadPlace { place: self.to_string(), what: "it is far too large" },
            _ => SourceError::Open { path: path.clone(), source },
        })
    }

    /// What answers for an address; a path has none.
    pub(super) fn remote(&self) -> Result<Box<dyn Remote>, SourceError> {
        match self {
            Location::Https(url) => Ok(Box::new(HttpsFile::new(url)?)),
            Location::S3 { bucket, key } => Ok(Box::new(S3File::new(super::s3::bucket(bucket)?, key))),
            Location::File(_) => {
                Err(SourceError::BadPlace { place: self.to_string(), what: "it is on this machine, not on a server" })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => path.display().fmt(f),
            Location::Https(url) => f.write_str(&download::shown(url)),
            Location::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// The rules of names: Amazon S3 user guide, "General purpose bucket naming rules" and "Naming Amazon S3 objects".
fn in_bucket(address: &str, rest: &str) -> Result<Location, SourceError> {
    let bad = |what| Err(SourceError::BadPlace { place: address.to_owned(), what });
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.' || c == b'-';
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(legal) {
        return bad("no bucket can have this name; it is s3://bucket/key");
    }
    if key.is_empty() || key.ends_with('/') || key.len() > 1024 {
        return bad("it names no object; it is s3://bucket/key");
    }
    // `..` is legal in a key, but HTTP clients fold it away and would ask for another object.
    if key.chars().any(char::is_control) || key.split('/').any(|part| part == "." || part == "..") {
        return bad("its key has control characters or `..` in it");
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// What is before the query or fragment, and the query. A fragment is never sent.
fn split_query(url: &str) -> (&str, &str) {
    let url = url.split('#').next().unwrap_or(url);
    match url.find('?') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn what_lies_beside_a_manifest_stays_in_the_same_place() {
        for (manifest, image) in [
            ("https://ci.example.org/a/k.manifest.json?token=x#y", "https://ci.example.org/a/k%20%3F.img?token=x"),
            ("s3://images/fleet/k.manifest.json", "s3://images/fleet/k ?.img"),
            ("s3://images/k.manifest.json", "s3://images/k ?.img"),
            ("out/k.manifest.json", "out/k ?.img"),
        ] {
            assert_eq!(at(manifest).beside("k ?.img").unwrap(), at(image), "{manifest}");
            for elsewhere in ["", ".", "..", "../k.img", "/etc/passwd", "a/b", "a\\b", "//evil.example.org", "a\nb"] {
                assert!(at(manifest).beside(elsewhere).is_err(), "{elsewhere}");
            }
        }
        let signed = at("https://ci.example.org/k.manifest.json?v=1").with_suffix(".minisig");
        assert_eq!(signed, at("https://ci.example.org/k.manifest.json.minisig?v=1"));
    }

    #[test]
    fn addresses_that_lead_nowhere_are_refused_and_secrets_in_them_are_not_shown() {
        for bad in ["http://example.org/a", "ftp://example.org/a", "s3://", "s3://b/k", "s3://bucket", "s3://bucket/a/"]
        {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
        assert!(Location::parse("s3://bucket/a/../b").is_err());
        let shown = at("https://me:secret@example.org/a.img?X-Amz-Signature=secret").to_string();
        assert_eq!(shown, "https://example.org/a.img?…");
        assert!(!Location::parse("ftp://me:secret@example.org/a").unwrap_err().to_string().contains("secret"));
        assert!(at("s3://bucket/key").is_protected() && !at("http://127.0.0.1:80/key").is_protected());
    }
}
