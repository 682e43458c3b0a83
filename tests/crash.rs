//! kill -9 at every boundary between two acts.
