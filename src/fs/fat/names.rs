//! Names in a FAT directory: the short one of eleven bytes, and the long one in the entries before it.
//! Source: Microsoft's "FAT: General Overview of On-Disk Format", version 1.03.

use crate::fs::ext4::raw::u16_at;

/// UTF-16 units in one fragment of a long name, and where they stand in it.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// `LAST_LONG_ENTRY`: the fragment that is stored first, and is the last of the name.
const LAST: u8 = 0x40;
/// 255 units.
const MOST_FRAGMENTS: u8 = 20;

/// Fragments of a long name that wait for their short entry.
#[derive(Default)]
pub(super) struct LongName {
    units: Vec<u16>,
    /// The number of the fragment that was read last; 1 ends a name.
    number: u8,
    sum: u8,
}

impl LongName {
    /// Takes a fragment. One that does not go on where the last one ended drops what was there.
    pub(super) fn take(&mut self, entry: &[u8]) {
        // The first byte: a number, and the mark of the last one. `LDIR_Chksum` is byte 13.
        let [order, _] = u16_at(entry, 0).to_le_bytes();
        let [sum, _] = u16_at(entry, 13).to_le_bytes();
        let number = order & 0x3F;
        let begins = order & LAST != 0 && (1..=MOST_FRAGMENTS).contains(&number);
        let goes_on = order & LAST == 0 && number > 0 && number + 1 == self.number && sum == self.sum;
        if begins {
            *self = LongName { units: Vec::new(), number, sum };
        } else if goes_on {
            self.number = number;
        } else {
            *self = LongName::default();
            return;
        }
        // Fragments come from the end of the name to its beginning.
        let units = UNITS.map(|at| u16_at(entry, at));
        self.units.splice(0..0, units);
    }

    /// The name, if it belongs to this short entry.
    pub(super) fn of(self, short: &[u8]) -> Option<String> {
        let complete = self.number == 1 && self.sum == short_name_sum(short);
        // A zero ends it, where it does not fill its last fragment.
        let units = self.units.split(|&unit| unit == 0).next().unwrap_or_default();
        complete.then(|| String::from_utf16_lossy(units))
    }
}

/// The sum over a short name that its long-name fragments carry.
pub fn short_name_sum(entry: &[u8]) -> u8 {
    // Microsoft's `ChkSum()`.
    entry.iter().take(11).fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// The short name as drivers show it: eight and three characters, in lower case where `DIR_NTRes` says so. What is not
/// ASCII is of a code page that nobody names.
pub(super) fn short_name(entry: &[u8]) -> String {
    let [_, case] = u16_at(entry, 11).to_le_bytes();
    let part = |range: std::ops::Range<usize>, lower: bool| -> String {
        let bytes = entry.get(range).unwrap_or_default().trim_ascii_end();
        let shown = |&byte: &u8| match byte {
            // 0x05 stands for 0xE5, which marks deleted entries.
            byte if byte.is_ascii() => char::from(if lower { byte.to_ascii_lowercase() } else { byte }),
            _ => char::REPLACEMENT_CHARACTER,
        };
        bytes.iter().map(shown).collect()
    };
    let (name, extension) = (part(0..8, case & 0x08 != 0), part(8..11, case & 0x10 != 0));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}

/// Whether a name can be a part of a path.
pub(super) fn can_be(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.chars().all(|c| !c.is_control() && !matches!(c, '/' | '\\'))
}

/// Whether an entry's short name is this, padded with blanks.
pub(super) fn is_short(entry: &[u8], name: &[u8]) -> bool {
    let padded = entry.get(..11).unwrap_or_default();
    padded.starts_with(name) && padded.iter().skip(name.len()).all(|&byte| byte == b' ')
}
