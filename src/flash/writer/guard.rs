//! What happens beside writing: a way to stop it, and the ledger's word before a card may boot.

use std::sync::atomic::AtomicBool;

/// What happens beside writing.
pub struct Guard<'a> {
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
    /// Called when all but the first MiB is verified and before the first byte of it is written: from then on the card
    /// may boot, and the ledger must know. An error stops the card.
    pub before_seal: &'a mut dyn FnMut() -> Result<(), String>,
}
