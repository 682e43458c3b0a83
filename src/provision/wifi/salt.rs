//! A line of chance in every file that holds a Wi-Fi password.

/// A line that no digest of the file can be guessed without: receipts and the ledger hold digests of what a card has
/// that the golden image has not, and a short password could be found by trying.
pub(super) fn salt() -> String {
    format!("# Put here by cardsmith, because of [network.wifi] in the recipe. {}\n", uuid::Uuid::new_v4().simple())
}
