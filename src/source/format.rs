//! How an image is packed, told by its first bytes. Names are not looked at: downloads are renamed all the time.

use std::fmt;

/// How an image is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As it is.
    Raw,
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
    /// `.zip` with one image in it.
    Zip,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Raw => "raw",
            Format::Xz => "xz",
            Format::Gzip => "gzip",
            Format::Zstd => "zstd",
            Format::Zip => "zip",
        })
    }
}

/// What the first bytes of a file tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It can be read.
    Format(Format),
    /// It is something known that is not read: what, and what to do.
    Other(&'static str, &'static str),
}

/// How many bytes [`tell`] wants to see.
pub(super) const HEAD_BYTES: usize = 512;

/// Looks at the first [`HEAD_BYTES`] bytes of a file (fewer where it is shorter).
pub(super) fn tell(head: &[u8]) -> Told {
    const UNPACK: &str = "unpack it, and name the image itself";
    const CONVERT: &str = "convert it with `qemu-img convert -O raw`";
    let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // zstd: a frame, or one of sixteen magics of skippable frames, as pzstd writes first.
    let skippable = has(1, b"\x2A\x4D\x18") && head.first().is_some_and(|b| b & 0xF0 == 0x50);
    if has(0, b"\xFD7zXZ\0") {
        Told::Format(Format::Xz)
    } else if has(0, b"\x1F\x8B") {
        Told::Format(Format::Gzip)
    } else if has(0, b"\x28\xB5\x2F\xFD") || skippable {
        Told::Format(Format::Zstd)
    } else if has(0, b"PK\x03\x04") || has(0, b"PK\x05\x06") {
        // The second magic is that of an archive without entries, which begins with its directory.
        Told::Format(Format::Zip)
    } else if has(0, b"BZh") && has(4, b"1AY&SY") {
        // `BZh` alone could be anything: behind the level stands the block's own magic, pi in BCD.
        Told::Other("packed with bzip2", UNPACK)
    } else if has(0, b"7z\xBC\xAF\x27\x1C") {
        Told::Other("a 7z archive", UNPACK)
    } else if has(0, b"Rar!\x1A\x07") {
        Told::Other("a RAR archive", UNPACK)
    } else if has(0, b"LZIP") {
        Told::Other("packed with lzip", UNPACK)
    } else if has(0, b"\x04\x22\x4D\x18") {
        Told::Other("packed with lz4", UNPACK)
    } else if has(257, b"ustar") {
        // The magic is 257 bytes into the first header.
        Told::Other("a tar archive", UNPACK)
    } else if has(0, b"QFI\xFB") {
        Told::Other("a qcow2 image", CONVERT)
    } else if has(0, b"KDMV") {
        Told::Other("a VMDK image", CONVERT)
    } else if has(0, b"conectix") || has(0, b"vhdxfile") {
        Told::Other("a virtual hard disk (VHD)", CONVERT)
    } else if has(0, b"\x3A\xFF\x26\xED") {
        Told::Other("an Android sparse image", "convert it with `simg2img`")
    } else if has(0, b"<!DOCTYPE") || has(0, b"<!doctype") || has(0, b"<html") {
        // Expired links and networks with a login page answer like this.
        Told::Other(
            "a web page",
            "the address leads to a page, not to the file; copy the address of the download itself",
        )
    } else {
        // A raw image has no magic: its partition table decides, later.
        Told::Format(Format::Raw)
    }
}
