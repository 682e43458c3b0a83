//! What is known of one form of secret.

/// One form.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// A short name for reports.
    pub kind: &'static str,
    /// Its beginning, which is searched for.
    pub anchor: &'static str,
    /// What stands from there on, whole: an expression of `regex-lite`.
    pub expression: &'static str,
    /// A word that must stand in the same line, where the form alone could be anything. In lower case.
    pub word: Option<&'static str>,
    /// Bits of entropy for each character, below which it is a placeholder; 0 where the form says enough.
    pub entropy: f64,
    /// It is a private key, not a token.
    pub is_key: bool,
    /// One that it finds, in pieces: in one piece, scanners of source code would find it, too.
    pub example: &'static [&'static str],
}
