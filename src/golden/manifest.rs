//! The manifest: what a golden image is, how it came about and what it must read back as. A JSON file beside the image.
//!
//! It carries the recipe, so that `flash` and `verify` need nothing else, and no secret: of a secret file it says path
//! and reason only. Everything in it follows from recipe, base image and cardsmith's version; no time, host or user.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::image::BlockMap;
use crate::printable::{is_harmless, json_text};
use crate::read_limited::{has_few_values, read_limited};
use crate::recipe::{Mistake, Recipe, mistakes_of_carried};
use crate::source::LARGEST_RAW;
use crate::units::{ByteRange, ByteSize};

/// The version of the manifest's format that this cardsmith writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// No sane manifest is larger; a larger file is refused before it is parsed.
pub(super) const MANIFEST_LIMIT: u64 = 64 << 20;

/// As many values as a map with a range for each 4 KiB of 2 GiB has. Beyond it parsing takes memory without end.
const MOST_VALUES: usize = 4_000_000;

/// What a golden image is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// The cardsmith that made it.
    pub cardsmith: String,
    /// The recipe, whole.
    #[serde(deserialize_with = "crate::recipe::recipe_of_manifest")]
    pub recipe: Recipe,
    /// Digest of the recipe's file, so that a reviewer can tell which text it was.
    pub recipe_sha256: Sha256Digest,
    /// Where the image came from.
    pub base: Base,
    /// The time that edited files carry, in seconds since 1970 (`SOURCE_DATE_EPOCH`, or the base image's own).
    pub clock: i64,
    /// The finished image.
    pub image: GoldenFile,
    /// Its partitions.
    pub partitions: Vec<PartitionRecord>,
    /// What was repaired before anything was looked at, in words; absent where the image was clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
    /// Every edit, in order.
    pub edits: Vec<EditRecord>,
    /// What the steps had to say.
    pub findings: Vec<FindingRecord>,
    /// What the scrub wiped.
    pub scrub: serde_json::Value,
    /// What was searched for in the finished image.
    #[serde(rename = "needles")]
    pub traces: TraceRecord,
    /// Which checks it passed, in words.
    pub checks: Vec<String>,
    /// Where the image differs from its base: what was edited and what was wiped.
    pub changed: Vec<ByteRange>,
    /// Digest of each run of bytes that carries meaning; the rest of the image is never read, written or verified.
    pub map: BlockMap,
}

/// The base image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// As the recipe names it.
    pub source: String,
    /// Digest of the file as published.
    pub sha256: Sha256Digest,
    /// `raw`, `xz`, `gzip`, `zstd` or `zip`.
    pub format: String,
    /// Size of the decoded image in bytes.
    pub size: ByteSize,
}

/// The golden image's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenFile {
    /// File name, beside the manifest. Absent where the image was flashed without being written to a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Digest of that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_sha256: Option<Sha256Digest>,
    /// Digest of the block map beside it (.bmap), which other tools write cards by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmap_sha256: Option<Sha256Digest>,
    /// Size of the image in bytes, decoded.
    pub size: ByteSize,
    /// Digest over the map ([`BlockMap::fingerprint`]): the one that tags, receipts and the ledger name.
    pub digest: Sha256Digest,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// As the partition table counts, from 1.
    pub number: u32,
    /// Where it lies.
    #[serde(flatten)]
    pub range: ByteRange,
    /// What it is for: `boot`, `root`, or what is known of it.
    pub role: String,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EditRecord {
    /// `root` or `boot`.
    pub volume: String,
    /// Where.
    pub path: String,
    /// `remove`, `write`, `directory`, `symlink` or `attributes`.
    pub change: String,
    /// Octal mode, where something is made or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Size of what is written, unless it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// Digest of what is written, unless it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// Target of a symlink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The step that wanted it.
    pub step: String,
    /// `secret`, `identity`, `log`, `transient`, `code`, `privilege` or `configuration`.
    pub class: String,
    /// Why, in one sentence.
    pub reason: String,
    /// Where the fact comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Something that a step said without changing anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// The step.
    pub step: String,
    /// The rule of the strip table that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `note` or `warning`.
    pub severity: String,
    /// In words.
    pub text: String,
    /// All the places that it is about, where the words name only the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

/// What was searched for in the finished image. The traces themselves are never kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceRecord {
    /// How many byte strings were searched for.
    pub searched: u64,
    /// How many of them were found. A manifest with anything but 0 is never written.
    pub found: u64,
    /// How many there were of each kind.
    pub kinds: std::collections::BTreeMap<String, u64>,
    /// Their digests, sorted.
    pub digests: Vec<Sha256Digest>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("could not read the manifest {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It is no manifest.
    #[error("{path} is not a manifest of cardsmith", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// It is larger than any manifest.
    #[error("{path} is larger than any manifest (over 64 MiB)", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// Another cardsmith wrote it.
    #[error("{path} has manifest version {found}; this cardsmith reads version {MANIFEST_VERSION}", path = path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It has too many values.
    #[error("{path} has more values than any manifest (over {MOST_VALUES})", path = path.display())]
    TooMany {
        /// Which file.
        path: PathBuf,
    },
    /// The recipe in it breaks the rules of recipes.
    #[error(
        "the recipe in {path} has a mistake: {what}",
        path = path.display(),
        what = mistakes.first().map(|mistake| mistake.what.as_str()).unwrap_or_default()
    )]
    Recipe {
        /// The manifest.
        path: PathBuf,
        /// All that were found; at least one.
        mistakes: Vec<Mistake>,
    },
    /// It contradicts itself: someone edited it, or a part is missing.
    #[error("{path} contradicts itself: {what}", path = path.display())]
    Inconsistent {
        /// Which file.
        path: PathBuf,
        /// In words.
        what: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`]; a manifest is untrusted input.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        Manifest::parse(&Manifest::read_text(path)?, path)
    }

    /// The bytes of a manifest; nothing in them is believed yet. For who checks a signature first.
    ///
    /// # Errors
    /// [`ManifestError::Read`], [`ManifestError::TooLarge`].
    pub fn read_text(path: &Path) -> Result<Vec<u8>, ManifestError> {
        let unreadable = |source| ManifestError::Read { path: path.to_owned(), source };
        // Bounded while it is read, because the size of a pipe or a growing file says nothing.
        let file = std::fs::File::open(path).map_err(unreadable)?;
        read_limited(file, MANIFEST_LIMIT).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => ManifestError::TooLarge { path: path.to_owned() },
            _ => unreadable(error),
        })
    }

    /// As [`Manifest::read`], of bytes that are here already; `path` is for messages.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(text: &[u8], path: &Path) -> Result<Manifest, ManifestError> {
        let unparsable = |source| ManifestError::Parse { path: path.to_owned(), source };
        if !has_few_values(text, MOST_VALUES) {
            return Err(ManifestError::TooMany { path: path.to_owned() });
        }
        let value: serde_json::Value = serde_json::from_slice(text).map_err(unparsable)?;
        // Before the rest is parsed: a newer manifest may lack what this version wants, and the reason is its age.
        if let Some(found) = value.get("manifest_version").and_then(serde_json::Value::as_u64)
            && found != u64::from(MANIFEST_VERSION)
        {
            return Err(ManifestError::Version {
                path: path.to_owned(),
                // The number is for the message alone; beyond 32 bits it is wrong in any case.
                found: u32::try_from(found).unwrap_or(u32::MAX),
            });
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(unparsable)?;
        manifest.check().map_err(|what| ManifestError::Inconsistent { path: path.to_owned(), what })?;
        // A signature says whose it is, not that it is right: the same rules hold for all.
        match mistakes_of_carried(&manifest.recipe, path) {
            mistakes if mistakes.is_empty() => Ok(manifest),
            mistakes => Err(ManifestError::Recipe { path: path.to_owned(), mistakes }),
        }
    }

    fn check(&self) -> Result<(), String> {
        // Before anything is made in this size.
        if self.image.size > LARGEST_RAW {
            return Err(format!("its image has {}, more than any card", self.image.size));
        }
        // Built anew: this refuses ranges that overlap or leave the image.
        let map = BlockMap::new(self.map.ranges().to_vec(), self.image.size).map_err(|bad| bad.to_string())?;
        // Tags, receipts and the ledger carry this digest, so it has to follow from what is written.
        if map.fingerprint() != self.image.digest {
            return Err("the digest over its map is not the one that it states".to_owned());
        }
        // A path would let a manifest from elsewhere choose any file of this machine as its image.
        let Some(file) = &self.image.file else { return Ok(()) };
        if file.file_name() != Some(file.as_os_str()) {
            return Err("the image's file name has a directory in it; the image lies beside its manifest".to_owned());
        }
        // It is shown, and becomes a part of an address.
        if !file.to_str().is_some_and(|name| name.chars().all(is_harmless)) {
            return Err("the image's file name has characters in it that nobody sees".to_owned());
        }
        Ok(())
    }

    /// As the text that is written beside the image: indented, with a final newline.
    ///
    /// # Errors
    /// Where it would be larger than any manifest that is read. Written, it would make an image that nobody can flash.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        // Indented, and with nothing in it that cannot be seen: people review manifests as diffs.
        let text = json_text(&serde_json::to_string_pretty(self)?) + "\n";
        match text.len() as u64 <= MANIFEST_LIMIT && has_few_values(text.as_bytes(), MOST_VALUES) {
            true => Ok(text),
            false => Err(serde::ser::Error::custom("its manifest would be larger than any that is read (64 MiB)")),
        }
    }
}
