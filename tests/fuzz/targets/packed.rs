//! Packed images, and what lies beside them.

use std::fs;

use cardsmith::image::ReadAt;
use cardsmith::progress::Silent;
use cardsmith::source::open_to_inspect;
use cardsmith::units::ByteOffset;

use super::patches::Header;

/// What is accepted can be read to its end, and a second time from the cache with the same bytes.
pub fn run(input: &[u8]) {
    let (header, rest) = Header::take(input);
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The name says nothing: the content decides. It is in messages.
    let name = ["a.img", "a.img.xz", "a.img.gz", "a.img.zst", "a.zip"][header.choice(5)];
    let path = dir.path().join(name);
    fs::write(&path, rest).expect("room for it");
    let open = || open_to_inspect(&path, &dir.path().join("cache"), &Silent);
    let Ok((image, format)) = open() else {
        let kept = dir.path().join("cache/images");
        let left = fs::read_dir(&kept).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "refused, and something is in the cache");
        return;
    };
    let (again, second) = open().expect("it was accepted before");
    assert_eq!((image.size(), format), (again.size(), second));
    for at in [0, image.size().0 / 2, image.size().0.saturating_sub(512)] {
        let len = 512.min(image.size().0 - at) as usize;
        let (mut one, mut two) = (vec![0; len], vec![0; len]);
        image.read_at(ByteOffset(at), &mut one).expect("it is inside");
        again.read_at(ByteOffset(at), &mut two).expect("it is inside");
        assert!(one == two, "other bytes from the cache, at {at}");
    }
}
