//! Old copies of the account databases: they keep password hashes that a recipe has replaced.

use super::rule::Severity::{Note, Warning};
use super::rule::{Rule, rule};
use crate::prepare::Class::{Identity, Secret};

const AGAIN: &str = "passwd and its like write a copy at the next change, and the daily backup makes its own";

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "old-password-hashes",
        "password hashes as they were before the last change, which a recipe may have \
        replaced",
        Secret,
    )
    .at(&[
        "/etc/shadow-",
        "/etc/gshadow-",
        "/var/backups/shadow.bak*",
        "/var/backups/gshadow.bak*",
        "/etc/shadow.bak",
        "/etc/shadow.org",
    ])
    .removed(Warning)
    .with_text(&[r"^[^:]*:!*\$[^:$]+\$[^:]+:"])
    .named(&["old-password-hashes", "old-account-databases"])
    .back(AGAIN)
    .source(
        "shadow(5), FILES; Debian passwd.service, /usr/lib/systemd/system/dpkg-db-backup.service and \
            passwd's cron.daily",
    )
    .example("pi:$y$j9T$Q2FyZHNtaXRoU2FsdA$9f8e7d6c5b4a39281706f5e4d3c2b1a0:20000:0:99999:7:::\n"),
    rule("old-account-databases", "users and groups as they were before the last change", Identity)
        .at(&[
            "/etc/passwd-",
            "/etc/group-",
            "/etc/subuid-",
            "/etc/subgid-",
            "/etc/shadow-",
            "/etc/gshadow-",
            "/var/backups/*passwd.bak*",
            "/var/backups/*shadow.bak*",
            "/var/backups/group.bak*",
        ])
        .removed(Note)
        .named(&["old-account-databases"])
        .back(AGAIN)
        .source("passwd(5), FILES; group(5); subuid(5)")
        .example("old-operator-4711:x:1001:1001:Somebody Of The Old Machine,,,:/home/old-operator-4711:/bin/bash\n"),
];
