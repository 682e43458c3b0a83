//! Reading what should be small into memory, whatever it is in truth; and how much memory JSON would take.

use std::io::{self, ErrorKind, Read};

use crate::units::ByteSize;

/// All that `from` has, if that is no more than `limit` bytes.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`] where it has more; else those of `from`.
pub fn read_limited(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_limited_into(from, limit, &mut bytes)?;
    Ok(bytes)
}

/// As [`read_limited`], behind what `bytes` holds: for memory that is wiped when it is given back.
///
/// # Errors
/// As [`read_limited`].
pub fn read_limited_into(from: impl Read, limit: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    // One byte more than is taken tells a file that is too large from one that just fits. Its size is not asked for:
    // pipes and devices have none, and files grow.
    let read = from.take(limit.saturating_add(1)).read_to_end(bytes)?;
    match u64::try_from(read) {
        Ok(read) if read <= limit => Ok(()),
        _ => Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {}", ByteSize(limit)))),
    }
}

/// The first bytes that `from` has, at most `most` of them. What is behind is left out without a word: only for what
/// would be of no less use cut off.
///
/// # Errors
/// Those of `from`.
pub fn read_beginning(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether JSON text has at most `most` values, keys counted as values. A parsed value takes some 80 bytes and may stand in
/// two bytes of text: who bounds only the text bounds memory 40 times too high.
pub fn has_few_values(json: &[u8], most: usize) -> bool {
    let (mut values, mut quoted, mut escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            // Each value but the first follows one of these. What is no JSON may be counted wrongly: it is not parsed far.
            b'[' | b'{' | b',' | b':' if !quoted => values = values.saturating_add(1),
            _ => {}
        }
    }
    values < most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        for (text, values) in [("1", 0), ("[1,2]", 2), ("{\"a\":[{},\"b,[{:\\\",,\"]}", 5), ("\"a\\\\\",1", 1)] {
            assert!(has_few_values(text.as_bytes(), values + 1) && !has_few_values(text.as_bytes(), values), "{text}");
        }
    }

    #[test]
    fn what_just_fits_is_read_and_one_byte_more_is_an_error() {
        assert_eq!(read_limited(&b"1234"[..], 4).unwrap(), b"1234");
        assert_eq!(read_limited(&b"12345"[..], 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_limited(io::repeat(0), 1 << 20).unwrap_err().to_string(), "it is larger than 1.0 MiB");
        assert_eq!(read_limited(&b""[..], 0).unwrap(), b"");
        assert_eq!(read_limited(&b"1"[..], u64::MAX).unwrap(), b"1");
        assert_eq!(read_beginning(&b"12345"[..], 4).unwrap(), b"1234");
    }
}
