//! Activations from a file.
