//! Residue: what deleting left behind. Telling strings in the raw image are counted against those in live files: what
//! is there more often stands in free blocks, journal copies, slack or deleted entries. No bitmap is trusted for it.

use std::collections::HashMap;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::live_ranges::live_ranges;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::digest::Sha256Digest;
use crate::image::ReadAt;
use crate::units::{ByteOffset, ByteRange};

/// `residue`
pub const RESIDUE: Rule = Rule {
    id: "residue",
    severity: Severity::Error,
    title: "secrets or ids of deleted files, still there as bytes",
    deep: true,
    look: Look::Code(residue),
    text: "\
Only with --deep. Searches every byte of the image for private keys (PEM, and the agent's JSON), managed-instance ids,
AWS keys and session tokens, and activation codes on command lines; counts them against what live files hold. What is
there more often than files account for is left of deleted files: in free blocks, in the journal, in directory slack.

Deleting a file does not remove its bytes. Everybody who gets the image gets them.

Remedy: `cardsmith golden` scrubs free space, journal and slack, and proves that what it stripped is gone.",
};

/// So much of the image is looked at in one go.
const WINDOW: usize = 4 << 20;
/// What follows a marker and makes it one particular string.
const LONGEST: usize = 256;

/// So many different strings are told apart, which takes some 100 MB; an image that has more of them was made to have them.
const MOST_STRINGS: usize = 1_000_000;

/// What is looked for: how it begins, how long the rest must be, of which bytes, and what it is.
struct Marker {
    begins: &'static [u8],
    shortest: usize,
    longest: usize,
    belongs: fn(u8) -> bool,
    what: &'static str,
}

const MARKERS: &[Marker] = &[
    Marker { begins: b"mi-", shortest: 17, longest: 17, belongs: is_hex, what: "a managed-instance id" },
    Marker {
        begins: b"\"privateKey\":\"",
        shortest: 40,
        longest: 64,
        belongs: is_base64,
        what: "a private key of the agent's vault",
    },
    Marker {
        begins: b" PRIVATE KEY-----\n",
        shortest: 40,
        longest: 60,
        belongs: is_base64,
        what: "a private key (PEM)",
    },
    Marker { begins: b"ASIA", shortest: 16, longest: 16, belongs: is_key_id, what: "a temporary AWS access key" },
    Marker {
        begins: b"aws_session_token",
        shortest: 40,
        longest: 64,
        belongs: is_assigned,
        what: "an AWS session token",
    },
    Marker {
        begins: b"-code ",
        shortest: 20,
        longest: 64,
        belongs: is_quoted,
        what: "an activation code on a command line",
    },
];

fn is_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}
fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"+/=".contains(&b)
}
fn is_key_id(b: u8) -> bool {
    b.is_ascii_digit() || b.is_ascii_uppercase()
}
fn is_assigned(b: u8) -> bool {
    is_base64(b) || b" \t".contains(&b)
}
fn is_quoted(b: u8) -> bool {
    is_base64(b) || b"\"'".contains(&b)
}

/// How often one particular string was seen, and where first. The string itself is not kept.
type Seen = HashMap<(usize, Sha256Digest), (u64, u64)>;

fn residue(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let partition = &image.root_window;
    let mut raw = Seen::new();
    let mut at = ByteOffset(0);
    // From data to data: nothing can stand in a hole.
    while let Some(run) = partition.next_data(at)?.filter(|run| !run.is_empty()) {
        // What begins in a run may reach behind it.
        count_in(partition, run, partition.size().0, &mut raw)?;
        if raw.len() > MOST_STRINGS {
            return Err(AuditError::TooMuch { place: "the root partition".to_owned() });
        }
        at = run.end();
    }
    // Without a suspect there is nothing to account for.
    if raw.is_empty() {
        return Ok(());
    }
    let mut live = Seen::new();
    for range in live_ranges(partition)? {
        count_in(partition, range, range.end().0, &mut live)?;
    }
    let mut rest: Vec<(usize, u64, u64)> = raw
        .into_iter()
        .filter_map(|(key, (times, first))| {
            let accounted = live.get(&key).map_or(0, |(times, _)| *times);
            // Damaged files may share blocks, and then seem to hold more than the image does.
            times.checked_sub(accounted).filter(|&left| left > 0).map(|left| (key.0, left, first))
        })
        .collect();
    // A hash map has no order, and two reports on one image should be the same.
    rest.sort_unstable();
    for (marker, times, first) in rest {
        let what = MARKERS.get(marker).map_or("", |marker| marker.what);
        let at = ByteOffset(image.root_window.range().start.0.saturating_add(first));
        found(format!("image, {at}").into(), format!("{what}, {times} times more than files account for"));
    }
    Ok(())
}

/// Counts what begins in `range` and ends before `end`.
fn count_in(partition: &dyn ReadAt, range: ByteRange, end: u64, seen: &mut Seen) -> Result<(), AuditError> {
    let mut buffer = vec![0; WINDOW + LONGEST];
    for part in range.chunks(WINDOW as u64) {
        // The window overlaps the next one, so that nothing is cut; what begins in the overlap is counted there.
        let fresh = usize::try_from(part.len.0).unwrap_or(WINDOW);
        let n = (fresh + LONGEST).min(usize::try_from(end - part.start.0).unwrap_or(usize::MAX));
        let window = buffer.get_mut(..n).unwrap_or_default();
        partition.read_at(part.start, window)?;
        count(window, fresh, part.start.0, seen);
    }
    Ok(())
}

fn count(window: &[u8], fresh: usize, base: u64, seen: &mut Seen) {
    for (index, marker) in MARKERS.iter().enumerate() {
        let Some(&first) = marker.begins.first() else { continue };
        let mut from = 0;
        while let Some(step) = window.get(from..fresh).and_then(|rest| rest.iter().position(|&b| b == first)) {
            let at = from + step;
            from = at + 1;
            let Some(rest) = window.get(at..).and_then(|rest| rest.strip_prefix(marker.begins)) else { continue };
            // One byte more than allowed tells an exact length from a longer run.
            let length = rest.iter().take(marker.longest + 1).take_while(|&&b| (marker.belongs)(b)).count();
            let exact = marker.shortest == marker.longest;
            if length < marker.shortest || (exact && length != marker.longest) {
                continue;
            }
            let text = rest.get(..length.min(marker.longest)).unwrap_or_default();
            let entry = seen.entry((index, Sha256Digest::of(text))).or_insert((0, base + at as u64));
            entry.0 += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_told_apart_and_counted() {
        let text =
            b"x mi-0123456789abcdef0 mi-0123456789abcdef0 mi-0123456789abcdef01 ASIAABCDEFGHIJKLMNOP -code short";
        let mut seen = Seen::new();
        count(text, text.len(), 100, &mut seen);
        let mut times: Vec<_> = seen.values().copied().collect();
        times.sort_unstable();
        assert_eq!(times, [(1, 166), (2, 102)]);
    }
}
