//! The record of every card (SQLite): name, serial, activation id (never the code), digests, medium, outcome.
//! Intent is written before an act and the outcome after it, so that a crash leaves nothing unaccounted for.
//! It talks to no device and to no service.
