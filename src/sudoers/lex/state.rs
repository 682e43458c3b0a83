//! The states that the scanner can be in, and the options of a command that it tells apart: its rules speak of both.

/// What can stand before the tags of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sudoers) enum OptionName {
    Timeout,
    NotBefore,
    NotAfter,
    /// CWD and CHROOT, whose value must be a path.
    Directory,
    Other,
}

/// The scanner's start conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Initial,
    GotDefaults,
    GotCommand,
    GotRegex,
    StartDefaults,
    InDefaults,
    InString,
    WantDigest,
    GotInclude,
    ExpectPath,
}
