//! Day two: what SSM says of the cards in the ledger, and what operators need to reach them.
//! It reads the ledger and asks AWS; it touches no image and no device.
