//! The map as a `.bmap` file, format 2.0, as `bmaptool` reads it (bmaptool's `BmapCreate.py` and `BmapCopy.py`).

use std::fmt::Write;

use super::blockmap::{BlockMap, MAP_BLOCK};
use crate::digest::Sha256Digest;
use crate::units::ByteSize;

/// The text of a `.bmap` for an image of `size` bytes with this map.
///
/// bmaptool counts in blocks and in inclusive ranges; its checksum of the file is computed with zeros in the
/// checksum's own place.
pub fn to_bmap(map: &BlockMap, size: ByteSize) -> String {
    let blocks = |bytes: u64| bytes.div_ceil(MAP_BLOCK);
    let mapped: u64 = map.ranges().iter().map(|mapped| blocks(mapped.range.len.0)).sum();
    let total = blocks(size.0);
    // Without floating point, and in 128 bits: the product leaves 64 for absurd sizes.
    let tenths = (u128::from(mapped) * 1000).checked_div(u128::from(total)).unwrap_or(0);
    let zeros = "0".repeat(64);
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        r#"<?xml version="1.0" ?>
<!-- Made by cardsmith. Blocks that are not listed carry no meaning. -->
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {MAP_BLOCK} </BlockSize>
    <BlocksCount> {total} </BlocksCount>
    <!-- {percent}.{tenth}% of the image -->
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {zeros} </BmapFileChecksum>
    <BlockMap>
"#,
        size = size.0,
        percent = tenths / 10,
        tenth = tenths % 10,
    );
    for mapped in map.ranges() {
        let first = mapped.range.start.0 / MAP_BLOCK;
        // No mapped range is empty, so this never stops at 0.
        let last = blocks(mapped.range.end().0).saturating_sub(1);
        // bmaptool writes a range of one block as a single number.
        let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let _ = writeln!(text, r#"        <Range chksum="{}"> {span} </Range>"#, mapped.sha256);
    }
    text.push_str("    </BlockMap>\n</bmap>\n");
    let checksum = Sha256Digest::of(text.as_bytes()).to_string();
    // Only the first 64 zeros are the checksum's own place: it stands before all ranges.
    text.replacen(&zeros, &checksum, 1)
}
