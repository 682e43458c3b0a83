//! Percent-encoding (RFC 3986): texts as parts of an address, and back.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

/// All but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A path keeps what separates its parts.
const IN_A_PATH: &AsciiSet = &RESERVED.remove(b'/');
/// Versions of Debian packages and images have a `+`, which only a query would take for a space.
const IN_A_NAME: &AsciiSet = &RESERVED.remove(b'+');

/// A path as part of an address.
pub fn encoded_path(path: impl AsRef<[u8]>) -> String {
    percent_encode(path.as_ref(), IN_A_PATH).to_string()
}

/// The name of a file as the last part of an address.
pub fn encoded_name(name: &str) -> String {
    utf8_percent_encode(name, IN_A_NAME).to_string()
}

/// A value of a query or a form: nothing in it can be taken for the end of it.
pub fn encoded_value(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The text that was encoded.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_something_else_in_an_address_is_encoded() {
        assert_eq!(encoded_path("/a b/ü?#%~-._+"), "/a%20b/%C3%BC%3F%23%25~-._%2B");
        assert_eq!(encoded_name("k+1 /x"), "k+1%20%2Fx");
        assert_eq!(encoded_value("a&b=c d+/~"), "a%26b%3Dc%20d%2B%2F~");
        assert_eq!(decoded("%7B%22a%22%3a%20%C3%BC%7d"), "{\"a\": ü}");
        assert_eq!(decoded("100%"), "100%");
    }
}
