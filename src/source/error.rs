//! What can go wrong while an image is opened or written.

use std::io;
use std::path::PathBuf;

use super::format::Format;
use super::largest::{LARGEST_RAW, LargestImage};
use crate::digest::Sha256Digest;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Why an image could not be opened or written. Nothing is left behind in any of these cases: no cache entry and no
/// output, and the input is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file could not be opened.
    #[error("could not open the image {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// No bytes.
    #[error("{} is empty: the download or copy failed; fetch it again", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The bytes below could not be read.
    #[error("could not read {} at {at}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: ByteOffset,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Not the file that the recipe means.
    #[error(
        "{name} is not the file that the recipe names: its SHA-256 is\n  {found}\nbut the recipe says\n  {expected}\n\
         Fetch it again, or correct `sha256` if another version is meant"
    )]
    Checksum {
        /// The file or address.
        name: String,
        /// What the recipe says.
        expected: Sha256Digest,
        /// What it is.
        found: Sha256Digest,
    },
    /// Cut off or damaged.
    #[error(
        "{name} is cut off or damaged: the {format} data cannot be decoded behind {at} of the file ({decoded} were decoded). \
         Fetch it again"
    )]
    Damaged {
        /// The file or address.
        name: String,
        /// How it is packed.
        format: Format,
        /// How much of the file was read, in bytes.
        at: ByteOffset,
        /// How much came out.
        decoded: ByteSize,
        /// The decoder's reason.
        #[source]
        source: io::Error,
    },
    /// A kind of file that is known and not read.
    #[error("{name} is {what}, which cardsmith does not read: {next}")]
    Unsupported {
        /// The file or address.
        name: String,
        /// What it is.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A zip archive without exactly one image.
    #[error(
        "{name} must hold exactly one image, but it holds {}. Unpack it, and name the image in the recipe",
        list(entries)
    )]
    ZipEntries {
        /// The file or address.
        name: String,
        /// The entries that could be images.
        entries: Vec<String>,
    },
    /// More came out of it than can be of use.
    #[error("{name} {limit}. Nothing of it was kept")]
    TooLarge {
        /// The file or address.
        name: String,
        /// The bound, and who says it.
        limit: LargestImage,
    },
    /// A raw image that is larger than any card.
    #[error("{} has {size}, more than any card ({LARGEST_RAW}): this is not the image of a card", path.display())]
    TooLargeForCards {
        /// The file or device.
        path: PathBuf,
        /// Its size.
        size: ByteSize,
    },
    /// The cache is not one person's alone.
    #[error(
        "the image cache cannot be used: {what}. What lies there goes onto cards. Correct it, or name another place with \
         --cache-dir DIRECTORY"
    )]
    CacheNotPrivate {
        /// Which directory, and what is wrong with it.
        what: String,
    },
    /// It changed while it was read.
    #[error("{} was changed while it was read; wait until the copy or download is complete, and start again", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The cache cannot be used.
    #[error(
        "could not {doing} in the image cache {}. XDG_CACHE_HOME=DIRECTORY puts the cache elsewhere",
        directory.display()
    )]
    Cache {
        /// "write the decoded image", "make the directory".
        doing: &'static str,
        /// The cache's directory.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The disk of the cache is full.
    #[error(
        "no space left in the image cache {} after {decoded} of {name}. Free some space, or put the cache elsewhere: \
         XDG_CACHE_HOME=DIRECTORY",
        directory.display()
    )]
    CacheFull {
        /// The file or address.
        name: String,
        /// The cache's directory.
        directory: PathBuf,
        /// How much came out before.
        decoded: ByteSize,
    },
    /// A download without a digest.
    #[error("{url} needs a `sha256` in the recipe: a download is only used when it is known to be the right one")]
    DigestRequired {
        /// The address.
        url: String,
    },
    /// An address that is not fetched.
    #[error("{url} is not an https:// or s3:// address: nothing is fetched over anything else")]
    NotHttps {
        /// The address.
        url: String,
    },
    /// The download failed.
    #[error("could not download {url}: {what}")]
    Download {
        /// The address.
        url: String,
        /// In words.
        what: String,
    },
    /// The server has nothing under this address.
    #[error("could not download {url}: there is no such file (404); is the address right?")]
    NotThere {
        /// The address.
        url: String,
    },
    /// An address of an object that cannot be one, or a name that would lead elsewhere.
    #[error("{place} cannot be used: {what}")]
    BadPlace {
        /// The address.
        place: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What talks to AWS could not be started; nothing was asked of the bucket.
    #[error("could not start what talks to AWS, for {place}")]
    NoClient {
        /// The address of the bucket.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An upload failed.
    #[error("could not upload {place}: {what}")]
    Upload {
        /// The address.
        place: String,
        /// In words.
        what: String,
    },
    /// The `.bmap` beside the image cannot be used.
    #[error("the block map {} is not usable: {what}. Fetch it again, or move it away to use the image without it", path.display())]
    Bmap {
        /// The block map.
        path: PathBuf,
        /// In words.
        what: String,
    },
    /// The image is not what its `.bmap` says.
    #[error(
        "{} is not what its block map {} says: the {} bytes at {} have another checksum. Fetch the image again; \
         where it was changed on purpose, make a new map (bmaptool create) or move the old one away",
        image.display(), bmap.display(), range.len.0, range.start
    )]
    BmapRange {
        /// The image.
        image: PathBuf,
        /// Its block map.
        bmap: PathBuf,
        /// The first range that differs.
        range: ByteRange,
    },
    /// An output could not be written.
    #[error("could not {doing} {}; nothing was left there", path.display())]
    Output {
        /// "write", "make".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

fn list(entries: &[String]) -> String {
    match entries {
        [] => "none".to_owned(),
        many => {
            // Eight names show what kind of archive it is.
            let shown: Vec<&str> = many.iter().take(8).map(String::as_str).collect();
            let more = if many.len() > shown.len() { ", …" } else { "" };
            format!("{}: {}{more}", many.len(), shown.join(", "))
        }
    }
}
