//! Cards: listing devices, the safety gate, the writer, the verifier, a batch of cards and its receipts.
//! Nothing is written to a device that did not pass the gate, and no card is bootable before all of it was verified.
//! It knows image bytes and the ledger, but neither recipes' steps nor file systems.
