//! What is mounted and swapped to.
//!
//! Formats: proc_pid_mountinfo(5), swaps in proc(5). Names are bytes: a mount point that is no UTF-8 holds a disk, too.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::host::{DeviceNumber, Host};

/// One line of mountinfo, as far as it matters here.
pub(crate) struct Mount {
    /// The number of its file system, as `stat` tells it of the files in it.
    pub(super) number: DeviceNumber,
    /// Where it is mounted.
    pub(crate) at: PathBuf,
    pub(super) kind: Vec<u8>,
    pub(super) source: PathBuf,
    pub(super) options: Vec<u8>,
}

/// Every mount. Not being able to read them is an error: an empty list would call every disk free.
pub(super) fn mounts(host: &Host) -> io::Result<Vec<Mount>> {
    let text = std::fs::read(host.proc.join("self/mountinfo"))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(mount).collect())
}

/// `22 1 179:2 / /mnt rw shared:1 - ext4 /dev/sda2 rw`: between the options and the `-` any number of fields may stand.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = DeviceNumber::parse(std::str::from_utf8(fields.nth(2)?).ok()?)?;
    let at = path(fields.nth(1)?);
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?.to_owned();
    let source = path(fields.next()?);
    Some(Mount { number, at, kind, source, options: unescape(fields.next().unwrap_or_default()) })
}

/// Files and devices that are swapped to, as the kernel writes them.
pub(crate) fn swaps(host: &Host) -> Vec<PathBuf> {
    // A kernel without swap has no such file, and then nothing is swapped to: unlike with mounts, none is an answer.
    let text = std::fs::read(host.proc.join("swaps")).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    let name = |line: &[u8]| line.split(u8::is_ascii_whitespace).next().filter(|name| !name.is_empty()).map(path);
    lines.filter_map(name).collect()
}

fn path(escaped: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(escaped)))
}

/// procfs writes blanks and backslashes in names as three octal digits (`\040`).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match after.get(..3).filter(|_| *first == b'\\').and_then(octal) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bytes_and_optional_fields_are_passed_over() {
        let line = b"36 35 8:17 / /media/a\\040b\\134\xff rw,noatime master:1 - ext4 /dev/sdb1 rw,errors=continue";
        let found = mount(line).unwrap();
        assert_eq!(found.at.into_os_string().into_vec(), b"/media/a b\\\xff");
        assert_eq!((found.kind, found.source), (b"ext4".to_vec(), PathBuf::from("/dev/sdb1")));
        assert_eq!(found.number, DeviceNumber { major: 8, minor: 17 });
        assert!(mount(b"").is_none());
    }
}
