//! Day two, against the fake service.
