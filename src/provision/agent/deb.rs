//! Reads what a Debian package says of itself: an ar archive with a compressed tar that holds `control` (deb(5)).

use std::io::Read;

use crate::read_limited::read_limited;

/// `control` as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) package: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

const AR_MAGIC: &[u8] = b"!<arch>\n";
const AR_HEADER: usize = 60;
/// `xz -9` needs 65 MiB to unpack.
const XZ_MEMORY: u64 = 128 << 20;
/// The agent's control.tar has 2 KiB.
const LARGEST_CONTROL: u64 = 8 << 20;

/// Reads a package from its beginning.
///
/// Errors are sentences about the package, without its path.
pub(super) fn control(package: &mut dyn Read) -> Result<Control, String> {
    let mut magic = [0; AR_MAGIC.len()];
    let truncated = |_| "ends too early: it is no whole Debian package".to_owned();
    package.read_exact(&mut magic).map_err(truncated)?;
    if magic != AR_MAGIC {
        return Err("is no Debian package (no ar archive)".to_owned());
    }
    let mut first = true;
    loop {
        let mut header = [0; AR_HEADER];
        package.read_exact(&mut header).map_err(truncated)?;
        let (name, size) = member(&header).ok_or("is no Debian package (broken ar archive)")?;
        if first && name != "debian-binary" {
            return Err("is no Debian package (an ar archive of something else)".to_owned());
        }
        first = false;
        let padded = size.checked_add(size % 2).ok_or("is no Debian package (broken ar archive)")?;
        if name.starts_with("control.tar") {
            if size > LARGEST_CONTROL {
                return Err(format!("has a control.tar of {size} bytes, more than any real package"));
            }
            let mut compressed = Vec::new();
            package.take(size).read_to_end(&mut compressed).map_err(truncated)?;
            return fields(&text_of_control(&name, &compressed)?);
        }
        if name.starts_with("data.tar") {
            return Err("is no Debian package (no control.tar before data.tar)".to_owned());
        }
        let skipped = std::io::copy(&mut package.take(padded), &mut std::io::sink()).map_err(truncated)?;
        if skipped < padded {
            return Err("ends too early: it is no whole Debian package".to_owned());
        }
    }
}

fn member(header: &[u8; AR_HEADER]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.ends_with("`\n"))?;
    let name = text.get(..16)?.trim_end().trim_end_matches('/');
    Some((name.to_owned(), text.get(48..58)?.trim().parse().ok()?))
}

/// The file `control` in the compressed tar.
fn text_of_control(name: &str, compressed: &[u8]) -> Result<String, String> {
    let broken = |error: std::io::Error| format!("has a {name} that cannot be unpacked ({error})");
    let reader: Box<dyn Read + '_> = match name.rsplit_once(".tar").map(|(_, suffix)| suffix) {
        Some("") => Box::new(compressed),
        Some(".gz") => Box::new(flate2::read::GzDecoder::new(compressed)),
        Some(".xz") => {
            // A header alone can ask for a dictionary of 4 GiB.
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0);
            let stream = stream.map_err(|error| broken(std::io::Error::other(error)))?;
            Box::new(liblzma::read::XzDecoder::new_stream(compressed, stream))
        }
        Some(".zst") => Box::new(zstd::stream::read::Decoder::new(compressed).map_err(broken)?),
        _ => return Err(format!("has a {name}, which is compressed in a way that cardsmith does not know")),
    };
    let tar = read_limited(reader, LARGEST_CONTROL).map_err(broken)?;
    let mut rest = tar.as_slice();
    while let Some((header, after)) = rest.split_first_chunk::<512>() {
        let field = |from: usize, to: usize| {
            let bytes = header.get(from..to).unwrap_or_default();
            String::from_utf8_lossy(bytes.split(|&c| c == 0).next().unwrap_or_default()).trim().to_owned()
        };
        let Ok(size) = usize::from_str_radix(&field(124, 136), 8) else { break };
        let padded = size.checked_next_multiple_of(512);
        if matches!(field(0, 100).as_str(), "./control" | "control") {
            let text = after.get(..size).ok_or_else(|| format!("has a {name} that ends too early"))?;
            return Ok(String::from_utf8_lossy(text).into_owned());
        }
        rest = padded.and_then(|padded| after.get(padded..)).unwrap_or_default();
    }
    Err(format!("has no control file in its {name}"))
}

fn fields(text: &str) -> Result<Control, String> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
        let sound =
            |value: &&str| !value.is_empty() && value.len() < 256 && value.chars().all(|c| c.is_ascii_graphic());
        value.filter(sound).map(str::to_owned).ok_or_else(|| format!("has no {name} in its control file"))
    };
    Ok(Control { package: field("Package")?, version: field("Version")?, architecture: field("Architecture")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_package_is_refused_with_a_sentence() {
        let header = |name: &str, size: &str| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
        let ar = |members: &[(&str, &str)]| -> Vec<u8> {
            let members = members.iter().map(|(name, body)| {
                header(name, &body.len().to_string()) + body + if body.len() % 2 == 1 { "\n" } else { "" }
            });
            ("!<arch>\n".to_owned() + &members.collect::<String>()).into_bytes()
        };
        for (bytes, says) in [
            (Vec::new(), "ends too early"),
            (b"PK\x03\x04 a zip file".to_vec(), "is no Debian package"),
            (ar(&[("libx.o", "ELF")]), "an ar archive of something else"),
            (ar(&[("debian-binary", "2.0\n"), ("data.tar.xz", "x")]), "no control.tar"),
            (ar(&[("debian-binary", "2.0\n"), ("control.tar.lzma", "x")]), "does not know"),
            (ar(&[("debian-binary", "2.0\n"), ("control.tar.gz", "not gzip")]), "cannot be unpacked"),
            (ar(&[("debian-binary", "2.0\n"), ("control.tar", "")]), "no control file"),
            ([b"!<arch>\n", header("debian-binary", "99999999").as_bytes()].concat(), "ends too early"),
            ([b"!<arch>\n", header("debian-binary", "-1").as_bytes()].concat(), "broken"),
        ] {
            let error = control(&mut bytes.as_slice()).unwrap_err();
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        }
    }
}
