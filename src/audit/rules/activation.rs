//! Activations: the file that a card carries, and codes that were typed or logged.

use ext4_view::FileType;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::{AuditOptions, Kind};
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};

/// Where cardsmith puts a card's activation; the register unit removes it after success.
const PLACE: &str = "/var/lib/cardsmith/activation";

/// `activation-file`
pub const ACTIVATION_FILE: Rule = Rule {
    id: "activation-file",
    severity: Severity::Error,
    title: "an activation on a golden image, or one that is open to others on a card",
    deep: false,
    look: Look::Code(activation_file),
    text: "\
On a golden image there must be no /var/lib/cardsmith/activation: all cards would share one activation. On a card
(`audit --card`) it must be a regular file, mode 0600, owned by root.

Remedy: make cards with `cardsmith flash`, never by copying a finished card.",
};

/// `activation-code`
pub const CODES: Rule = Rule {
    id: "activation-code",
    severity: Severity::Error,
    title: "an activation code in a history, a log or a first-boot script",
    deep: false,
    look: Look::Code(codes),
    text: "\
The agent takes activation codes as arguments, so a code that was typed stands in shell histories, auth logs,
cloud-init's scripts and the boot partition's user-data, firstrun.sh or custom.toml.

A code with registrations left lets anybody add a node to the account.

Remedy: `cardsmith golden` removes histories and logs; delete the activation (`aws ssm delete-activation`).",
};

fn activation_file(image: &AuditImage, options: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let stat = image.stat(PLACE)?;
    match (options.kind, stat) {
        (Kind::Golden, Some(_)) => found(PLACE.into(), "an activation on an image that cards are made from".to_owned()),
        (Kind::Card, Some(stat)) => {
            if stat.kind != FileType::Regular || stat.mode != 0o600 || (stat.uid, stat.gid) != (0, 0) {
                let (mode, uid, gid) = (stat.mode, stat.uid, stat.gid);
                found(PLACE.into(), format!("has mode {mode:04o} and owner {uid}:{gid}; must be a file, 0600 root"));
            }
        }
        // A golden image has none, and a card that has registered has none any more.
        (_, None) => {}
    }
    Ok(())
}

/// So much of a file is looked at in one go.
const WINDOW: usize = 4 << 20;
/// What follows `-code` and is looked at: a code that lies over the border of two windows is seen whole.
const OVERLAP: usize = 256;

fn codes(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let mut places = Vec::new();
    for home in image.homes()? {
        // Any shell's, and those of editors and databases: whatever something was pasted into.
        let histories = image.names(home)?.into_iter().filter(|name| name.ends_with(b"history"));
        places.extend(histories.map(|name| [home.as_slice(), b"/", &name].concat()));
    }
    for place in ["/var/log", "/var/lib/cloud"] {
        places.extend(image.files_read_below(place)?);
    }
    // The code is not repeated: reports end up in the logs of CI.
    let says = "an activation code was given on a command line here";
    for path in places {
        // To the end: a log of years has the day in it on which somebody registered the machine.
        let mut has_one = false;
        image.read_whole(&path, WINDOW, OVERLAP, &mut |window, _, _| {
            has_one = has_one || has_code(&String::from_utf8_lossy(window));
        })?;
        if has_one {
            found(path.into(), says.to_owned());
        }
    }
    for name in ["user-data", "firstrun.sh", "custom.toml", "cmdline.txt"] {
        if image.boot_text(name)?.is_some_and(|text| has_code(&text)) {
            found(format!("boot:/{name}").into(), says.to_owned());
        }
    }
    Ok(())
}

/// `-code X` or `-activation-code X` with something as long as a code behind it.
fn has_code(text: &str) -> bool {
    const SHORTEST_CODE: usize = 20;
    text.match_indices("-code").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        // In quotes, or in JSON inside of JSON, there is more than a blank in front.
        let rest = rest.trim_start_matches(['=', ' ', '\t', '"', '\'', '\\']);
        rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)).count() >= SHORTEST_CODE
    })
}

#[cfg(test)]
mod tests {
    use super::has_code;

    #[test]
    fn a_code_is_told_from_other_arguments() {
        assert!(has_code("sudo amazon-ssm-agent -register -code \"AbCdEfGhIjKlMnOpQrSt\" -id x"));
        assert!(has_code("ssm-setup-cli -activation-code=AbCd+fGh/jKlMnOpQrSt"));
        assert!(!has_code("gcc -fno-code-hoisting -code small"));
    }
}
