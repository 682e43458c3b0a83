//! What can be the key of a WPA network.

/// Whether `psk` can be a passphrase or a key; why not, in words that tell nothing of it.
pub(super) fn check(psk: &str) -> Result<(), &'static str> {
    let is_key = psk.len() == 64 && psk.bytes().all(|b| b.is_ascii_hexdigit());
    // IEEE 802.11, annex M.4: 8 to 63 characters of ASCII, 32 to 126.
    let is_passphrase = (8..=63).contains(&psk.len()) && psk.bytes().all(|b| (32..=126).contains(&b));
    if is_key || is_passphrase {
        Ok(())
    } else {
        Err(
            "a WPA passphrase is 8 to 63 printable ASCII characters, a WPA key 64 hexadecimal digits, and this is neither",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn passphrases_and_keys_are_told_from_everything_else() {
        for good in ["12345678", &"a".repeat(63), &"0aF".repeat(22)[..64], "with spaces; and \"quotes\" \\"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "1234567", &"g".repeat(64), &"a".repeat(65), "grüezi mitenand", "12345678\n", "1234567\u{7f}"]
        {
            let why = check(bad).unwrap_err();
            assert!(bad.is_empty() || !why.contains(bad), "{why}");
        }
    }
}
