//! What a card's secret looks like in its file, for the search that finds it there and nowhere else.

use zeroize::Zeroizing;

/// A secret as it stands on the card, to be searched for: it must be in its file and nowhere else.
pub struct StoredSecret {
    /// What it is, in words.
    pub what: &'static str,
    /// Its bytes as they stand there.
    pub bytes: Zeroizing<Vec<u8>>,
    /// How often it stands in its file; once, unless the image had the same before.
    pub times: usize,
}
