//! How long a device may be silent before its card is given up.

use std::time::Duration;

/// How long a device may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoTimeout {
    /// What any request may take, however small.
    pub pause: Duration,
    /// How many times as long as its size lets expect a read or write may take on top of that.
    pub times: u32,
}

impl Default for IoTimeout {
    fn default() -> IoTimeout {
        IoTimeout { pause: Duration::from_secs(30), times: 20 }
    }
}

impl IoTimeout {
    /// As the environment says: `CARDSMITH_IO_TIMEOUT` (seconds) is for readers that pause for longer than half a
    /// minute, and for tests that cannot wait that long.
    pub fn from_environment() -> IoTimeout {
        // The second name is the one that the README had first.
        let said = std::env::var("CARDSMITH_IO_TIMEOUT").or_else(|_| std::env::var("CARDSMITH_PATIENCE"));
        let wanted = said.ok().and_then(|text| text.parse().ok());
        let pause = wanted.filter(|&seconds| seconds > 0).map(Duration::from_secs);
        pause.map_or_else(IoTimeout::default, |pause| IoTimeout { pause, ..IoTimeout::default() })
    }
}
