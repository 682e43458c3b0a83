//! Inputs for images: not an image, but what to change in one of ours, so that every byte of an input matters. A list of
//! patches; each names a line of the base that is not empty, a place in it, and what happens there.

use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::units::ByteOffset;

use super::bases::{Base, LINE};
use super::layered::Layered;

/// What an input begins with: which base, whether checksums are made right again, and six bits for the target.
#[derive(Clone, Copy)]
pub struct Header(u8);

impl Header {
    /// Takes it off an input.
    pub fn take(input: &[u8]) -> (Header, &[u8]) {
        match input.split_first() {
            Some((&first, rest)) => (Header(first), rest),
            None => (Header(0), input),
        }
    }

    /// Nothing behind a checksum would be reached otherwise. Off in half of the cases: the checks are tried, too.
    pub fn seals(self) -> bool {
        self.0 & 1 != 0
    }

    /// A choice of `count`, made by bits 1 to 3.
    pub fn choice(self, count: usize) -> usize {
        usize::from(self.0 >> 1 & 7) % count
    }

    /// Bits 4 to 7.
    pub fn flag(self, number: u8) -> bool {
        self.0 >> (4 + number) & 1 != 0
    }
}

/// The base with the patches that `input` lists; what makes no whole patch at its end is left out. 5 bytes and more each:
/// line (2), place and kind (1), length (1), bytes.
pub fn patched(base: &'static Base, input: &[u8]) -> Layered {
    let image = Layered::new(base);
    apply(base, input, &image);
    image
}

fn apply(base: &Base, mut input: &[u8], image: &Layered) {
    while let [low, high, place, len, rest @ ..] = input {
        let number = usize::from(u16::from_le_bytes([*low, *high]));
        // Three of four are in what is there; the fourth is anywhere.
        let line = match place >> 6 {
            3 => number * 37 % base.bytes.len().div_ceil(LINE),
            _ => base.lines[number % base.lines.len()] as usize,
        };
        let at = (line * LINE + usize::from(place & 63)).min(base.bytes.len() - 1);
        let len = (usize::from(len % 16) + 1).min(base.bytes.len() - at);
        let mut bytes = vec![0; len];
        image.read_at(ByteOffset(at as u64), &mut bytes).expect("it is inside");
        let taken = match place >> 6 {
            // A number there becomes a little larger or smaller.
            1 => {
                let by = rest.first().map_or(1, |&b| i64::from(b as i8));
                let mut wide = [0; 8];
                let width = len.min(4);
                wide[..width].copy_from_slice(&bytes[..width]);
                let sum = u64::from_le_bytes(wide).wrapping_add_signed(by);
                bytes[..width].copy_from_slice(&sum.to_le_bytes()[..width]);
                1
            }
            // What stands elsewhere comes here: a number that means something.
            2 => {
                let from = rest.first_chunk::<3>().copied().unwrap_or_default();
                let line = usize::from(u16::from_le_bytes([from[0], from[1]])) % base.lines.len();
                let other = base.lines[line] as usize * LINE + usize::from(from[2]) % LINE;
                let there = base.bytes.get(other..).unwrap_or_default();
                let len = len.min(there.len());
                bytes[..len].copy_from_slice(&there[..len]);
                3
            }
            _ => {
                let len = len.min(rest.len());
                bytes[..len].copy_from_slice(&rest[..len]);
                len
            }
        };
        image.write_at(ByteOffset(at as u64), &bytes).expect("it is inside");
        input = rest.get(taken..).unwrap_or_default();
    }
}
