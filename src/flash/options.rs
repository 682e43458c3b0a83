//! How a card is written.

use std::time::Duration;

use super::deadline::IoTimeout;
use super::writer::Blank;

/// What may be chosen about writing a card. By default the recipe's default, with the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// What happens to space that the image does not use.
    pub blank: Blank,
    /// Whether the card is asked, before the long write, if it is as large as it says.
    pub probe: bool,
    /// Whether what the card holds already is compared instead of written.
    pub changed_only: bool,
    /// How long a device may be silent.
    pub patience: IoTimeout,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { blank: Blank::default(), probe: true, changed_only: false, patience: IoTimeout::default() }
    }
}

impl IoTimeout {
    /// As the environment says: `CARDSMITH_IO_TIMEOUT` (seconds) is for readers that pause for longer than half a
    /// minute, and for tests that cannot wait that long.
    pub fn from_environment() -> IoTimeout {
        let wanted = std::env::var("CARDSMITH_IO_TIMEOUT").ok().and_then(|text| text.parse().ok());
        let pause = wanted.filter(|&seconds| seconds > 0).map(Duration::from_secs);
        pause.map_or_else(IoTimeout::default, |pause| IoTimeout { pause, ..IoTimeout::default() })
    }
}
