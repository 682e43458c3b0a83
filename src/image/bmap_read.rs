//! Reading a `.bmap` that comes with an image: formats 1.0 to 1.4 and 2.0, as `bmaptool create` has written them
//! (bmaptool's `BmapCopy.py`, `_parse_bmap`). It is untrusted: bounded, and refused where anything does not agree.

use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha256, Sha512};

use crate::units::{ByteRange, ByteSize};

/// A 1 TiB image with a hole between any two mapped ranges of 1 MiB needs about this much.
pub const LARGEST_BMAP: u64 = 64 << 20;
const MOST_NODES: u32 = 4_000_000;

/// A `.bmap` whose own checksum, where it has one, is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BmapFile {
    /// "2.0".
    pub version: String,
    /// Size of the image that it is for.
    pub image: ByteSize,
    /// Checksums of ranges are made with this; `None` before format 1.3, which had none.
    pub kind: Option<ChecksumKind>,
    /// What is mapped, sorted, without overlaps.
    pub ranges: Vec<BmapRange>,
}

/// One mapped range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BmapRange {
    /// Where it lies.
    pub range: ByteRange,
    /// What it must hash to. Ranges without one are rare, and allowed.
    pub checksum: Option<Vec<u8>>,
}

/// The hash functions that bmap files are met with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumKind {
    /// Format 1.3. It tells damage, not intent.
    Sha1,
    /// What `bmaptool create` takes by itself.
    Sha256,
    /// `bmaptool create --checksum sha512`-like tools.
    Sha512,
}

impl ChecksumKind {
    fn named(name: &str) -> Option<ChecksumKind> {
        match name {
            "sha1" => Some(ChecksumKind::Sha1),
            "sha256" => Some(ChecksumKind::Sha256),
            "sha512" => Some(ChecksumKind::Sha512),
            _ => None,
        }
    }

    /// A hasher of this kind.
    pub fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            ChecksumKind::Sha1 => Box::new(Sha1::default()),
            ChecksumKind::Sha256 => Box::new(Sha256::default()),
            ChecksumKind::Sha512 => Box::new(Sha512::default()),
        }
    }

    /// The bytes that `hex` stands for, if it is a checksum of this kind.
    fn parse(self, hex: &str) -> Option<Vec<u8>> {
        // The cast is safe: a hex digit is below 16.
        let digits: Option<Vec<u8>> = hex.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
        // Two digits for each byte, no more and no less: pairs would drop an odd one.
        let digits = digits.filter(|digits| digits.len() == self.hasher().output_size() * 2)?;
        Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
    }
}

/// Reads the bytes of a `.bmap`.
///
/// # Errors
/// In words, what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<BmapFile, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    // Without a DTD there are no entities that could grow.
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..Default::default() };
    let xml = roxmltree::Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    let root = xml.root_element();
    if root.tag_name().name() != "bmap" {
        return Err("it is XML, but no bmap".to_owned());
    }
    let version = root.attribute("version").unwrap_or_default();
    let (major, minor) = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)))
        // Another major number may have changed what a range means.
        .filter(|&(major, _)| major == 1 || major == 2)
        .ok_or_else(|| format!("its format version is {version:?}; known are 1.x and 2.x"))?;
    let child = |name: &str| root.children().find(|node| node.tag_name().name() == name);
    let field = |name: &str| child(name).and_then(|node| node.text()).map(str::trim).ok_or(format!("it has no {name}"));
    let number = |name| field(name)?.parse::<u64>().map_err(|_| format!("its {name} is not a number"));

    // 1.4 was 2.0 by another number; checksums came with 1.3.
    let checksums = match (major, minor) {
        (2, _) | (1, 4..) => Some((field("ChecksumType")?, "BmapFileChecksum", "chksum")),
        (_, 3) => Some(("sha1", "BmapFileSHA1", "sha1")),
        _ => None,
    };
    let mut kind = None;
    if let Some((name, own, _)) = checksums {
        let named = ChecksumKind::named(name).ok_or(format!("its checksums are {name:?}, which is not known here"))?;
        // Before any number of it is believed.
        check_itself(bytes, named, field(own)?)?;
        kind = Some(named);
    }

    let image = number("ImageSize")?;
    let block = number("BlockSize")?;
    let blocks = number("BlocksCount")?;
    // All places below are computed from these three, so they must agree first.
    if block == 0 || blocks != image.div_ceil(block) {
        return Err(format!("{blocks} blocks of {block} bytes are not the {image} bytes of the image"));
    }
    let map = child("BlockMap").ok_or("it has no BlockMap")?;
    let (mut ranges, mut behind, mut mapped) = (Vec::new(), 0, 0u64);
    for node in map.children().filter(|node| node.tag_name().name() == "Range") {
        let span = node.text().unwrap_or_default().trim();
        // A single block is written as one number.
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        // Sorted and apart: `MappedImage` relies on it.
        let (first, last) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
            (Ok(first), Ok(last)) if behind <= first && first <= last && last < blocks => (first, last),
            _ => return Err(format!("its range {span:?} is none, or is not behind the one before it")),
        };
        behind = last + 1;
        mapped += behind - first;
        // The attribute's name depends on the format's version.
        let hex = checksums.and_then(|(_, _, attribute)| node.attribute(attribute));
        let checksum = match (hex, kind) {
            (Some(hex), Some(kind)) => {
                Some(kind.parse(hex).ok_or(format!("the checksum of its range {span:?} is none"))?)
            }
            _ => None,
        };
        // No overflow: `last` is below `blocks`, and the last block begins inside of the image.
        let (start, end) = (first * block, behind.saturating_mul(block).min(image));
        ranges.push(BmapRange { range: ByteRange::new(start, end - start), checksum });
    }
    // Formats before 1.3 have no checksum: this count alone shows that lines are missing.
    let said = number("MappedBlocksCount")?;
    if said != mapped {
        return Err(format!("it says that {said} blocks are mapped, and lists {mapped}"));
    }
    Ok(BmapFile { version: version.to_owned(), image: ByteSize(image), kind, ranges })
}

/// The checksum of the file is made with zeros in its own place.
fn check_itself(bytes: &[u8], kind: ChecksumKind, said: &str) -> Result<(), String> {
    let expected = kind.parse(said).ok_or("its checksum of itself is none")?;
    // Another place with the same text would make the comparison fail, not pass.
    let at =
        bytes.windows(said.len()).position(|text| text == said.as_bytes()).ok_or("it has no checksum of itself")?;
    let (before, rest) = bytes.split_at(at);
    let mut hasher = kind.hasher();
    hasher.update(before);
    hasher.update("0".repeat(said.len()).as_bytes());
    hasher.update(rest.get(said.len()..).unwrap_or_default());
    match *hasher.finalize() == *expected {
        true => Ok(()),
        false => Err("it does not match its own checksum: it was edited or damaged".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_1_2(map: &str, mapped: u64) -> String {
        format!(
            "<bmap version=\"1.2\"><ImageSize> 10000 </ImageSize><BlockSize> 4096 </BlockSize>\
             <BlocksCount> 3 </BlocksCount><MappedBlocksCount> {mapped} </MappedBlocksCount>\
             <BlockMap>{map}</BlockMap></bmap>"
        )
    }

    #[test]
    fn old_maps_have_ranges_without_checksums() {
        let map = parse(version_1_2("<Range> 0 </Range><Range> 2-2 </Range>", 2).as_bytes()).unwrap();
        let ranges: Vec<ByteRange> = map.ranges.iter().map(|r| r.range).collect();
        assert_eq!(ranges, [ByteRange::new(0, 4096), ByteRange::new(8192, 1808)]);
        assert_eq!(map.kind, None);
    }

    #[test]
    fn a_map_that_contradicts_itself_is_refused() {
        for (map, mapped) in [
            ("<Range>0-3</Range>", 4),
            ("<Range>1</Range><Range>1</Range>", 2),
            ("<Range>2-1</Range>", 0),
            ("<Range>18446744073709551615</Range>", 1),
            ("<Range>-1</Range>", 1),
            ("<Range>0</Range>", 2),
        ] {
            assert!(parse(version_1_2(map, mapped).as_bytes()).is_err(), "{map}");
        }
        for text in ["", "no XML", "<x/>", "<bmap/>", "<bmap version=\"3.0\"/>", "<bmap version=\"2.0\"/>", "\u{0}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let bomb = "<!DOCTYPE bmap [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;\">]><bmap version=\"1.0\">&b;</bmap>";
        assert!(parse(bomb.as_bytes()).is_err());
        let huge = version_1_2("", 0).replace("10000", "18446744073709551615").replace("> 3 <", "> 4503599627370496 <");
        assert!(parse(huge.as_bytes()).unwrap().ranges.is_empty());
    }
}
