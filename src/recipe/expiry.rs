//! How long an activation can be used: `12h`, `7d`.

use std::fmt;
use std::str::FromStr;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long an activation can be used. 30 days at most, as CreateActivation has it; by default 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    seconds: u64,
}

/// A text that is no [`Expiry`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnExpiry {
    /// Not a number and a unit.
    #[error("expires = {0:?} is not a duration; write a number and m, h, d or w, such as \"12h\" or \"7d\"")]
    Unreadable(String),
    /// More than AWS allows.
    #[error("expires = {0:?} is more than AWS allows: 30 days (\"30d\") at most")]
    TooLong(String),
    /// Nothing.
    #[error("expires = {0:?} would expire before the card is written; 10 minutes (\"10m\") at least")]
    TooShort(String),
}

impl Expiry {
    /// The same, in seconds.
    pub fn seconds(self) -> u64 {
        self.seconds
    }
}

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry { seconds: DAY }
    }
}

impl FromStr for Expiry {
    type Err = NotAnExpiry;

    fn from_str(text: &str) -> Result<Expiry, NotAnExpiry> {
        let unreadable = || NotAnExpiry::Unreadable(text.chars().take(40).collect());
        let mut chars = text.trim().chars();
        let unit = match chars.next_back() {
            Some('m') => MINUTE,
            Some('h') => HOUR,
            Some('d') => DAY,
            Some('w') => 7 * DAY,
            _ => return Err(unreadable()),
        };
        let digits = chars.as_str();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unreadable());
        }
        let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).unwrap_or(u64::MAX);
        match seconds {
            n if n < 10 * MINUTE => Err(NotAnExpiry::TooShort(text.to_owned())),
            n if n > 30 * DAY => Err(NotAnExpiry::TooLong(text.chars().take(40).collect())),
            seconds => Ok(Expiry { seconds }),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            n if n.is_multiple_of(DAY) => write!(f, "{}d", n / DAY),
            n if n.is_multiple_of(HOUR) => write!(f, "{}h", n / HOUR),
            n => write!(f, "{}m", n / MINUTE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_read_and_thirty_days_is_the_most() {
        let seconds = |text: &str| text.parse::<Expiry>().map(Expiry::seconds);
        assert_eq!(seconds("12h"), Ok(43_200));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        assert_eq!(seconds("2w"), Ok(1_209_600));
        for long in ["31d", "721h", "99999999999999999999d"] {
            assert!(matches!(seconds(long), Err(NotAnExpiry::TooLong(_))), "{long}");
        }
        for bad in ["", "d", "7", "-1d", "+1d", "1.5h", "7 d", "7D", "７d"] {
            assert!(matches!(seconds(bad), Err(NotAnExpiry::Unreadable(_))), "{bad}");
        }
        assert!(matches!(seconds("0d"), Err(NotAnExpiry::TooShort(_))));
        assert_eq!("14d".parse::<Expiry>().unwrap().to_string(), "14d");
    }
}
