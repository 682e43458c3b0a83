//! Block maps that come with images.

use cardsmith::image::BlockMap;
use cardsmith::image::blockmap::MappedRange;
use cardsmith::image::bmap_read::{ChecksumKind, parse};
use cardsmith::image::bmap_write::to_bmap;

/// What is accepted is sorted and inside the image, and says the same once it is written by us and read again.
pub fn run(input: &[u8]) {
    // Without its right checksum no input would get beyond it.
    let sealed = sealed(input);
    let Ok(found) = parse(sealed.as_deref().unwrap_or(input)) else { return };
    let mut end = 0;
    for range in &found.ranges {
        assert!(range.range.start.0 >= end && !range.range.is_empty(), "a range is out of order: {:?}", range.range);
        end = range.range.end().0;
        if let (Some(kind), Some(sum)) = (found.kind, &range.checksum) {
            assert_eq!(kind.hasher().output_size(), sum.len());
        }
    }
    assert!(end <= found.image.0, "a range leaves the image");

    let sha256 = found.kind == Some(ChecksumKind::Sha256);
    let ranges = found.ranges.iter().map(|range| {
        let sha256 = range.checksum.as_deref().filter(|_| sha256).and_then(|sum| sum.try_into().ok())?;
        Some(MappedRange { range: range.range, sha256: cardsmith::digest::Sha256Digest(sha256) })
    });
    let Some(map) = ranges.collect::<Option<Vec<_>>>().and_then(|ranges| BlockMap::new(ranges, found.image).ok())
    else {
        return;
    };
    // Ours are in blocks of 4 KiB.
    let whole = |range: &MappedRange| range.range.start.0.is_multiple_of(4096);
    if map.ranges().iter().all(whole) && map.ranges().iter().all(|r| r.range.len.0.is_multiple_of(4096)) {
        let again = parse(to_bmap(&map, found.image).as_bytes()).expect("what we write can be read");
        assert_eq!(again.ranges, found.ranges);
        assert_eq!(again.image, found.image);
    }
}

/// The input with the checksum that it should have, where it has a place for one of SHA-256.
fn sealed(input: &[u8]) -> Option<Vec<u8>> {
    const TAG: &[u8] = b"<BmapFileChecksum>";
    let tag = input.windows(TAG.len()).position(|window| window == TAG)? + TAG.len();
    let at = tag + input.get(tag..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let mut bytes = input.to_vec();
    bytes.get_mut(at..at + 64)?.fill(b'0');
    let sum = cardsmith::digest::Sha256Digest::of(&bytes).to_string();
    bytes[at..at + 64].copy_from_slice(sum.as_bytes());
    Some(bytes)
}
