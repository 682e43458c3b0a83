//! Manifests of golden images.

use std::path::Path;

use cardsmith::golden::Manifest;
use cardsmith::image::BlockMap;
use serde_json::Value;

/// A manifest is refused, or means the same when it is written and read again.
pub fn run(input: &[u8]) {
    look(input);
    if let Some(sealed) = sealed(input) {
        look(&sealed);
    }
}

/// The input with the digest that its map should have: nothing behind that check would be reached otherwise.
fn sealed(input: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(input).ok()?;
    let map: BlockMap = serde_json::from_value(value.get("map")?.clone()).ok()?;
    *value.get_mut("image")?.get_mut("digest")? = map.fingerprint().to_string().into();
    serde_json::to_vec(&value).ok()
}

fn look(input: &[u8]) {
    let read = |text: &[u8]| Manifest::parse(text, Path::new("/nowhere/fuzz.manifest.json"));
    let Ok(manifest) = read(input) else { return };
    let text = manifest.to_text().expect("plain data");
    let again = read(text.as_bytes()).unwrap_or_else(|error| panic!("not when it is written again: {error}\n{text}"));
    assert_eq!(again.to_text().expect("plain data"), text);
    let size = manifest.image.size.0;
    assert!(manifest.map.ranges().iter().all(|range| range.range.end().0 <= size), "a range leaves the image");
}
