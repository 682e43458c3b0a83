//! What cloud-init remembers of the boots that it has seen.

use super::rule::Severity::Warning;
use super::rule::{Rule, rule};
use crate::prepare::Class::{Configuration, Secret};

const INSTANCE: &str = "instance-id: i-0123456789abcdef0\npassword: correct-horse-battery-5512\n";

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "cloud-init-state",
        "cloud-init's instance state, with user-data and what it held; while it is there, cloud-init believes that it has \
         run",
        Secret,
    )
    .at(&["/var/lib/cloud/instance", "/var/lib/cloud/instances", "/var/lib/cloud/data", "/var/lib/cloud/sem"])
    .there()
    .removed(Warning)
    .named(&["cloud-init"])
    .back("cloud-init runs anew on each card")
    .source("cloud-init clean; cloudinit/cmd/clean.py")
    .example_in("old/user-data.txt", INSTANCE),
    rule("cloud-init-seed", "user-data that was put there on purpose", Configuration)
        .at(&["/var/lib/cloud/seed"])
        .wanted()
        .source("cloud-init, NoCloud")
        .example_in("nocloud/user-data", INSTANCE),
];
