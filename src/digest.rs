//! SHA-256 digests as values: parsed, compared and shown in lower-case hex.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// So much is read before it is hashed: it is still in the core's own cache then.
const AT_A_TIME: usize = 128 << 10;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hexadecimal digits, found {found:?}")]
pub struct NotADigest {
    found: String,
}

impl Sha256Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Sha256Digest {
        Sha256Digest(Sha256::digest(bytes).into())
    }

    /// The digest of all that `from` still has, and how many bytes that is.
    ///
    /// # Errors
    /// Those of `from`.
    pub fn of_all(from: impl Read) -> io::Result<(Sha256Digest, u64)> {
        let mut hashing = Hashing::new(io::sink());
        let size = io::copy(&mut BufReader::with_capacity(AT_A_TIME, from), &mut hashing)?;
        Ok((hashing.into_parts().1, size))
    }

    /// The digest that `hasher` has come to.
    pub fn from_hasher(hasher: Sha256) -> Sha256Digest {
        Sha256Digest(hasher.finalize().into())
    }
}

/// Hashes what passes through it, be it read or written.
pub struct Hashing<T> {
    inner: T,
    hasher: Sha256,
}

impl<T> Hashing<T> {
    /// On the way from or to `inner`.
    pub fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hasher: Sha256::new() }
    }

    /// Where the bytes come from or go to.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Where the bytes come from or go to, and the digest of those that passed.
    pub fn into_parts(self) -> (T, Sha256Digest) {
        (self.inner, Sha256Digest::from_hasher(self.hasher))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // Only what was taken: a short write comes again with the rest.
        let n = self.inner.write(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl FromStr for Sha256Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        // Cut: somebody may have given a whole file.
        let bad = || NotADigest { found: text.chars().take(80).collect() };
        if text.len() != 64 {
            return Err(bad());
        }
        let mut out = [0u8; 32];
        for (pair, byte) in text.as_bytes().chunks_exact(2).zip(out.iter_mut()) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            // `from_str_radix` takes a sign; a digest has none.
            if pair.starts_with('+') {
                return Err(bad());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Sha256Digest(out))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_hashed_in_whatever_parts_it_comes() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let expected = Sha256Digest::of(&bytes);
        assert_eq!(Sha256Digest::of_all(&bytes[..]).unwrap(), (expected, 300_000));
        let mut written = Hashing::new(Vec::new());
        bytes.chunks(777).for_each(|part| written.write_all(part).unwrap());
        assert_eq!(written.into_parts(), (bytes.clone(), expected));
        let mut read = Hashing::new(&bytes[..]);
        assert_eq!(io::copy(&mut read, &mut io::sink()).unwrap(), 300_000);
        assert_eq!(read.into_parts().1, expected);
    }

    #[test]
    fn a_digest_survives_its_text_form_and_bad_texts_are_refused() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse::<Sha256Digest>().unwrap(), Sha256Digest::of(b""));
        for bad in ["", "e3", &"+".repeat(64), &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<Sha256Digest>().is_err(), "{bad}");
        }
    }
}
