//! The only time that file systems of an image ever see.

/// A fixed time: every timestamp that cardsmith writes into an image is this one, so that the same inputs give the
/// same bytes on every machine (SOURCE_DATE_EPOCH rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
}
