//! Exit codes, the same for every command.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for was done.
    Done = 0,
    /// It failed; the message says why and what state things are in.
    Failed = 1,
    /// Wrong usage, or a recipe with a mistake; nothing was touched.
    Usage = 2,
    /// The audit found something.
    Findings = 3,
    /// Some cards of a batch failed.
    SomeCards = 4,
    /// What was read back is not what was written.
    Verification = 5,
}
