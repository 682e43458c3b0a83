//! wpa_supplicant's configuration (wpa_supplicant.conf(5), config_file.c), without its networks. More leniently than
//! wpa_supplicant reads it: a file that it refuses holds the password all the same.

use super::cut::Cut;

/// Words before a `=` whose value is a password, whatever stands before them in the word.
const PASSWORDS: [&str; 8] = ["psk", "password", "passphrase", "passwd", "wep_key", "privkey", "dev_pw", "pin"];

/// The text without its blocks of networks, logins and keys, also those that are comments.
pub(super) fn without_networks(text: &str) -> Cut {
    let mut cut = Cut::default();
    let mut inside = Inside::Nothing;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let is_comment = trimmed.starts_with('#');
        let bare: String = trimmed.trim_start_matches('#').chars().filter(|c| !c.is_whitespace()).collect();
        // A block that is a comment ends where the comment does.
        if inside == Inside::Comment && !is_comment {
            inside = Inside::Nothing;
        }
        if begins_block(&bare) && (inside == Inside::Nothing || !is_comment) {
            inside = match (ends_in_line(&bare), is_comment) {
                (true, _) => Inside::Nothing,
                (false, true) => Inside::Comment,
                (false, false) => Inside::Block,
            };
            cut.take(line);
        } else if inside != Inside::Nothing {
            if (bare == "}" || bare.starts_with("}#")) && (inside == Inside::Comment || !is_comment) {
                inside = Inside::Nothing;
            }
            cut.take(line);
        } else if names_password(trimmed) {
            cut.take(line);
        } else {
            cut.keep(line);
        }
    }
    cut
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Block,
    Comment,
}

/// `network={`, `cred={`, `identity={` and `blob-base64-NAME={`; blanks do not count here.
fn begins_block(bare: &str) -> bool {
    let Some((name, _)) = bare.split_once("={") else { return false };
    ["network", "cred", "identity"].contains(&name) || name.starts_with("blob-base64-")
}

/// Whether a block ends in the line in which it begins: by a `}` that stands in no quotes.
fn ends_in_line(bare: &str) -> bool {
    let mut quoted = false;
    for c in bare.chars() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// Outside of blocks, also in a comment: `wpa_passphrase` leaves one with the password as it was typed.
fn names_password(line: &str) -> bool {
    let line = line.trim_start_matches(['#', ' ', '\t']);
    let Some((key, value)) = line.split_once('=') else { return false };
    let key = key.trim_end().to_ascii_lowercase();
    let is_word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    is_word && !value.trim().is_empty() && PASSWORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cut_out_and_the_country_stays() {
        for (text, left) in [
            ("country=GB\nnetwork={\n\tssid=\"a}\"\n\tpsk=00\n}\nupdate_config=1\n", "country=GB\nupdate_config=1\n"),
            ("country=GB\n# psk is asked for\n", "country=GB\n# psk is asked for\n"),
            ("network={ ssid=\"x}\" psk=\"y\" }\na=1\n", "a=1\n"),
            ("network = {\n x\n } # end\na=1\n", "a=1\n"),
            ("#network={\n#\tpsk=\"y\"\n#}\na=1\n", "a=1\n"),
            ("#network={\n#\tpsk=\"y\"\na=1\n", "a=1\n"),
            ("network={\n#}\npsk=\"y\"\n}\na=1\n", "a=1\n"),
            ("network={\npsk=\"y\"\nnetwork={\npsk=\"z\"\n}\na=1\n", "a=1\n"),
            ("blob-base64-key={\nMIIE\n}\ncred={\npassword=\"x\"\n}\na=1\n", "a=1\n"),
            ("#psk=\"old-password\"\na=1\n", "a=1\n"),
            ("network={\npsk=\"never ends\"\n", ""),
            ("a=1\r\nnetwork={\r\n\tpsk=\"x\"\r\n}\r\nb=2\r\n", "a=1\r\nb=2\r\n"),
        ] {
            let cut = without_networks(text);
            assert_eq!(cut.rest, left, "{text}");
            assert_eq!(cut.rest.len() + cut.gone.len(), text.len());
        }
    }
}
