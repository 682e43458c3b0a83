//! Signatures of manifests, and the files of keys that are trusted.

use std::io::Write;
use std::path::Path;

use cardsmith::golden::TrustedKeys;

use super::mem_tree::pieces;

// Made by ssh-keygen; nobody has the private key any more.
const KEY: &str = include_str!("../bases/signer.pub");
const MANIFEST: &[u8] = include_bytes!("../bases/signed.txt");

/// Pieces `signature`, `manifest` and `keys`; what an input leaves out is that of a right one. Only these very bytes are
/// accepted, and only by the key that signed them.
pub fn run(input: &[u8]) {
    let (mut signature, mut manifest, mut keys): (&[u8], _, _) =
        (include_bytes!("../bases/signed.txt.sig"), MANIFEST, KEY.as_bytes());
    for (name, piece) in pieces(input) {
        match name {
            b"manifest" => manifest = piece.strip_suffix(b"\n").unwrap_or(piece),
            b"keys" => keys = piece,
            b"signature" => signature = piece,
            _ => {}
        }
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(keys).expect("room for it");
    let Ok(trusted) = TrustedKeys::open(file.path()) else { return };
    if trusted.check(Path::new("fuzz.manifest.json"), manifest, signature).is_ok() {
        let manifest = manifest.trim_ascii_end();
        assert!(manifest == MANIFEST.trim_ascii_end(), "accepted for other bytes: {}", manifest.escape_ascii());
        // The key itself, wherever it stands. Of what is before it, a length is not looked at by the library.
        let blob = KEY.split(' ').nth(1).and_then(|blob| blob.get(26..)).expect("kind, key, comment");
        assert!(keys.windows(blob.len()).any(|window| window == blob.as_bytes()), "accepted for another key");
    }
}
