//! How large an image may be, and who says so. An archive of a few KiB can hold terabytes of zeros: work on it ends as soon
//! as more came out than can be of use.

use std::fmt;

use crate::units::ByteSize;

/// No archive is decoded further. Cards of this size are in use; an image of a larger one can be unpacked by hand.
pub const LARGEST_DECODED: ByteSize = ByteSize(256 << 30);

/// The largest raw image: SDXC ends at 2 TiB (SD Physical Layer Specification 3.00), and so do the cards that are written.
pub const LARGEST_RAW: ByteSize = ByteSize(2 << 40);

/// The largest image that is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargestImage {
    /// In bytes.
    pub size: ByteSize,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Decoded,
    Card,
    Manifest,
}

impl LargestImage {
    /// An image for a card of this size.
    pub fn of_card(size: ByteSize) -> LargestImage {
        LargestImage { size, why: Why::Card }.sane()
    }

    /// The image of a manifest, which states its size.
    pub fn of_manifest(size: ByteSize) -> LargestImage {
        LargestImage { size, why: Why::Manifest }.sane()
    }

    /// What is said elsewhere may not lift the general bound.
    fn sane(self) -> LargestImage {
        if self.size > LARGEST_DECODED { LargestImage::default() } else { self }
    }
}

impl Default for LargestImage {
    fn default() -> LargestImage {
        LargestImage { size: LARGEST_DECODED, why: Why::Decoded }
    }
}

/// What an image that is larger does, and what to do: "decodes to more than the card holds (29.7 GiB)".
impl fmt::Display for LargestImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size;
        match self.why {
            Why::Decoded => write!(
                f,
                "decodes to more than {size}, which is as far as cardsmith decodes. If it is an image all the same, unpack it \
                 and name the raw image"
            ),
            Why::Card => {
                write!(f, "decodes to more than the card holds ({size}). Take a larger card, or another image")
            }
            Why::Manifest => {
                write!(f, "unpacks to more than the {} bytes that its manifest states: it is another image", size.0)
            }
        }
    }
}
