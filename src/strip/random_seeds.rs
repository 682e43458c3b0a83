//! What must never be used twice.

use super::rule::Severity::Warning;
use super::rule::{Rule, rule};
use crate::prepare::Class::Secret;

/// The rules.
pub const RULES: &[Rule] = &[
    rule("random-seed", "a random seed, which must never be used twice", Secret)
        .at(&["/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "boot:/loader/random-seed"])
        .removed(Warning)
        .named(&["random-seed"])
        .back("systemd writes one at the first shutdown")
        .source("systemd-random-seed.service(8); urandom(4); systemd-boot(7), /loader/random-seed")
        .example("b7A!x92kQmZ0pL4vT8sE1nR6uY3wD5gH"),
    rule(
        "credential-secret",
        "the host key that encrypts systemd credentials: what was encrypted with it cannot be opened any more",
        Secret,
    )
    .at(&["/var/lib/systemd/credential.secret"])
    .removed(Warning)
    .named(&["credential-secret"])
    .back("systemd-creds makes a new one; encrypt the credentials of each card with it")
    .source("systemd-creds(1), /var/lib/systemd/credential.secret")
    .example("k2V9xQ7mZ4pL8vT1sE6nR3uY5wD0gHbA"),
];
