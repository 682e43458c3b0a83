//! Activations from AWS, against the fake service.
