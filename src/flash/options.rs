//! How a card is written.

use super::deadline::IoTimeout;
use crate::recipe::schema::UnusedSpace;

/// What may be chosen about writing a card. By default the recipe's default, with the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// What happens to space that the image does not use.
    pub unused_space: UnusedSpace,
    /// Whether the card is asked, before the long write, if it is as large as it says.
    pub probe: bool,
    /// Whether what the card holds already is compared instead of written.
    pub changed_only: bool,
    /// How long a device may be silent.
    pub io_timeout: IoTimeout,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            unused_space: UnusedSpace::default(),
            probe: true,
            changed_only: false,
            io_timeout: IoTimeout::default(),
        }
    }
}
