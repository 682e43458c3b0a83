//! What the sections of a recipe do on each release, judged by pwck, useradd, systemctl, localedef and visudo.

mod login;
mod network;
mod system;
mod units;

use cardsmith::fs::Clock;
use cardsmith::prepare::{Plan, Severity, StepError};

use crate::support::host_tree::{HostTree, carry_out};

/// 2025-10-09: 20370 days after 1970-01-01.
const CLOCK: Clock = Clock { seconds: 1_760_000_000 };
/// Of the password "correct horse", by `openssl passwd -6 -salt saltsalt`.
const HASH: &str = "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0";

/// What a recipe with these sections plans.
fn plan(image: &(HostTree, HostTree), sections: &str) -> Result<Plan, StepError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("keys.pub"), KEYS).unwrap();
    let path = dir.path().join("r.toml");
    std::fs::write(&path, format!("name = \"r\"\n[image]\nsource = \"x.img\"\n{sections}")).unwrap();
    let loaded = cardsmith::recipe::load(&path).unwrap_or_else(|error| panic!("{error}: {}\n{sections}", error.help()));
    let made = cardsmith::golden::plan(&image.0, &image.1, &loaded, CLOCK).map_err(|(_, error)| error)?;
    if made.blockers().next().is_none() {
        // Files of the recipe are read when a plan is carried out: before the directory goes.
        carry_out(&made, &image.0, &image.1);
    }
    Ok(made)
}

/// Carries the sections out, and makes sure that a second time changes nothing.
#[track_caller]
fn apply(image: &(HostTree, HostTree), sections: &str) -> Plan {
    let first = plan(image, sections).unwrap();
    assert_eq!(blockers(&first), [""; 0], "{sections}");
    let again = plan(image, sections).unwrap();
    // /var/lib/cardsmith is stripped as an earlier life's, and made again. What may hold a secret is never compared with what is there, so the registration's copy is written each time; and
    // only root can give files away.
    let edits = again.edits.iter().filter(|edit| edit.reason.step != "register").map(|edit| edit.path.to_string());
    let edits: Vec<String> = edits.filter(|path| !path.starts_with("/var/lib/cardsmith")).collect();
    if crate::support::need_root() {
        assert_eq!(edits, [""; 0], "a second time changes nothing: {sections}");
    }
    first
}

fn blockers(plan: &Plan) -> Vec<String> {
    plan.blockers().map(|finding| finding.text.clone()).collect()
}

fn said(plan: &Plan, severity: Severity) -> String {
    let found = plan.findings.iter().filter(|found| found.severity == severity);
    found.map(|found| found.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// Sections that cannot work on an image: an obstacle that says so.
#[track_caller]
fn cannot(image: &(HostTree, HostTree), sections: &str, says: &str) {
    let before = (image.0.paths(), image.1.paths());
    let made = plan(image, sections).unwrap();
    let found = blockers(&made).join("\n");
    assert!(found.contains(says), "{sections}: {found:?} does not say {says:?}");
    assert_eq!((image.0.paths(), image.1.paths()), before);
}

const KEYS: &str =
    "# team\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops@desk\n";
const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";
