//! What the SSM agent keeps of a registered life. Paths: amazon-ssm-agent, `agent/appconfig/constants_unix.go`.

use ext4_view::FileType;
use serde_json::Value;

use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::{AuditError, AuditImage};
use crate::audit::rule::{Found, Rule};

const STATE: &str = "/var/lib/amazon/ssm";

/// `ssm-registration`
pub const REGISTRATION: Rule = Rule {
    id: "ssm-registration",
    severity: Severity::Error,
    title: "the image is registered as a managed node",
    deep: false,
    check: registration,
    page: "\
Looks at /var/lib/amazon/ssm/registration and runtimeconfig/identity_config.json, which name the managed node
(mi-…) that this image was taken from.

Every card made from it would come up as that same node: on a Pi the agent's hardware fingerprint is so nearly
constant that the service accepts the copy, and sessions land on whichever card booted last.

Remedy: make a golden image with `cardsmith golden`; the ssm step removes both files together with the vault.",
};

/// `ssm-vault`
pub const VAULT: Rule = Rule {
    id: "ssm-vault",
    severity: Severity::Error,
    title: "the agent's vault holds a private key or a fingerprint",
    deep: false,
    check: vault,
    page: "\
Looks at everything below /var/lib/amazon/ssm/Vault: the node's RSA private key (RegistrationKey, EC2RegistrationKey),
its fingerprint (InstanceFingerprint), and the index of both (Manifest).

Whoever has the image can act as that node. `amazon-ssm-agent -register -clear` is no remedy: it leaves the files,
and the bytes of the key, where they are.

Remedy: `cardsmith golden` removes the vault and scrubs its bytes. If the image was given away, deregister the node.",
};

/// `ssm-clone`
pub const CLONE: Rule = Rule {
    id: "ssm-clone",
    severity: Severity::Error,
    title: "a registration that belongs to another machine-id",
    deep: false,
    check: clone,
    page: "\
Compares the machine-id that the vault's fingerprint was made on with /etc/machine-id.

Where they differ, somebody reset the machine-id of a registered image (or copied a vault). The agent then never gets
credentials: the service answers MachineFingerprintDoesNotMatch, and the agent retries every half hour for ever.

Remedy: strip vault and machine-id together (`cardsmith golden`), and register each card anew.",
};

/// `ssm-credentials`
pub const CREDENTIALS: Rule = Rule {
    id: "ssm-credentials",
    severity: Severity::Error,
    title: "temporary AWS credentials of a managed node",
    deep: false,
    check: temporary_keys,
    page: "\
Looks for temporary AWS keys (ASIA…) in /root/.aws/credentials, where the agent shares the ones it gets, in the
credentials of every other user, and in /var/lib/amazon/ssm/credentials (agents 3.2.0 to 3.2.1241).

They live about an hour, and name the role and the node they were made for.

Remedy: `cardsmith golden` removes the agent's section. Give cards permissions by the role of their activation.",
};

/// `aws-keys`
pub const AWS_KEYS: Rule = Rule {
    id: "aws-keys",
    severity: Severity::Warning,
    title: "somebody's long-lived AWS keys",
    deep: false,
    check: long_lived_keys,
    page: "\
Looks for AWS access keys that do not expire in the credentials files of all users. They are not the agent's, so
cardsmith leaves them alone, and they would be on every card: whoever has a card has them.

Remedy: `[strip] remove = [\"/root/.aws\"]` in the recipe, and permissions by the role of the activation; or
`--allow aws-keys` where that is meant.",
};

/// `ssm-instance-state`
pub const INSTANCE_STATE: Rule = Rule {
    id: "ssm-instance-state",
    severity: Severity::Error,
    title: "commands, output and session transcripts of a node",
    deep: false,
    check: instance_state,
    page: "\
Looks for /var/lib/amazon/ssm/<mi-… or i-…>: documents, command scripts, their output, and raw session transcripts.

They hold whatever operators typed and saw, passwords included, and the folder's name is the node's id.

Remedy: `cardsmith golden`. (Transcripts may carry the append-only flag after a power cut: rm alone fails on them.)",
};

/// `ssm-custom-identity`
pub const CUSTOM_IDENTITY: Rule = Rule {
    id: "ssm-custom-identity",
    severity: Severity::Error,
    title: "an instance id in the agent's configuration",
    deep: false,
    check: custom_identity,
    page: "\
Looks for Identity.CustomIdentities with an instance id in /etc/amazon/ssm/amazon-ssm-agent.json.

Every card would claim that identity. The rest of the configuration is fine on a golden image.

Remedy: remove that part; `cardsmith golden` does and keeps the rest.",
};

/// `ssm-commands`
pub const COMMANDS: Rule = Rule {
    id: "ssm-commands",
    severity: Severity::Warning,
    title: "commands that the agent would run on every card",
    deep: false,
    check: commands,
    page: "\
Looks at localcommands/ and daemons/ below /var/lib/amazon/ssm: documents that the agent executes as root when it
starts.

What was dropped there for one machine would run on every card.

Remedy: `cardsmith golden` removes them; put what every card shall run into the recipe instead.",
};

/// `ssm-logs`
pub const LOGS: Rule = Rule {
    id: "ssm-logs",
    severity: Severity::Warning,
    title: "the agent's logs",
    deep: false,
    check: logs,
    page: "\
Looks for files with content below /var/log/amazon/ssm. They name the node, its commands and its sessions.

Remedy: `cardsmith golden` removes them; the agent makes new ones.",
};

fn registration(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in [format!("{STATE}/registration"), format!("{STATE}/runtimeconfig/identity_config.json")] {
        let Some(text) = image.text(&path)? else { continue };
        // The two files call it by different names.
        let id = ["ManagedInstanceID", "InstanceId"].iter().find_map(|name| json_text(&text, name));
        let says = match id {
            Some(id) => format!("names the managed node {id}"),
            // What cannot be parsed is still of some registration, and should not be there.
            None => "is left of a registration".to_owned(),
        };
        found(path, says);
    }
    Ok(())
}

fn vault(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    // Every file: a newer agent may keep more than is known here.
    for path in image.files_below(&format!("{STATE}/Vault"))? {
        let text = image.text(&path)?.unwrap_or_default();
        let says = match (json_text(&text, "privateKey"), json_text(&text, "instanceID")) {
            (Some(_), Some(id)) => format!("holds the private key of {id}"),
            (Some(_), None) => "holds a private key".to_owned(),
            _ if json_text(&text, "fingerprint").is_some() => "holds a fingerprint that cards would share".to_owned(),
            _ => "is left of a vault".to_owned(),
        };
        found(path, says);
    }
    Ok(())
}

fn clone(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let path = format!("{STATE}/Vault/Store/InstanceFingerprint");
    let Some(text) = image.text(&path)? else { return Ok(()) };
    // A print that cannot be read is for `ssm-vault` to report.
    let Ok(print) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
    let made_on = print.pointer("/hardwareHash/machine-id").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let now = image.text("/etc/machine-id")?.unwrap_or_default();
    // A print that names no machine-id cannot be compared.
    if !made_on.is_empty() && made_on != now.trim() {
        found(path, "its fingerprint was made on another machine-id than /etc/machine-id holds".to_owned());
    }
    Ok(())
}

fn temporary_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for (path, section) in key_sections(image, true)? {
        found(path, format!("holds temporary AWS keys in section [{section}]"));
    }
    Ok(())
}

fn long_lived_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for (path, section) in key_sections(image, false)? {
        found(path, format!("holds long-lived AWS keys in section [{section}]"));
    }
    Ok(())
}

/// Where access keys stand: file and section. Temporary ones begin with `ASIA` (IAM user guide, "Unique identifiers").
fn key_sections(image: &AuditImage, temporary: bool) -> Result<Vec<(String, String)>, AuditError> {
    let homes = image.homes()?.into_iter().map(|home| format!("{home}/.aws/credentials"));
    let mut found = Vec::new();
    // Agents 3.2.0 to 3.2.1241 kept theirs in a file of their own.
    for path in homes.chain([format!("{STATE}/credentials")]) {
        let Some(text) = image.text(&path)? else { continue };
        // Keys may stand before any heading, and are as good as the others.
        let mut section = "default".to_owned();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.trim().clone_into(&mut section);
            }
            let Some((name, value)) = line.split_once('=') else { continue };
            // The id alone tells temporary keys from lasting ones; the secret beside it is not touched.
            let is_key = name.trim().eq_ignore_ascii_case("aws_access_key_id");
            if is_key && value.trim().starts_with("ASIA") == temporary {
                found.push((path.clone(), section.clone()));
            }
        }
    }
    Ok(found)
}

fn instance_state(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for name in image.names(STATE)? {
        let path = format!("{STATE}/{name}");
        // EC2's ids have 8 or 17 digits; what is shorter is a name of something else.
        let is_id = name.starts_with("mi-") || name.strip_prefix("i-").is_some_and(|rest| rest.len() >= 8);
        if is_id && image.stat(&path)?.is_some_and(|stat| stat.kind == FileType::Directory) {
            let files = image.files_below(&path)?.len();
            found(path, format!("{files} files of that node's commands and sessions"));
        }
    }
    Ok(())
}

fn custom_identity(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in ["/etc/amazon/ssm/amazon-ssm-agent.json", "/usr/bin/configuration/amazon-ssm-agent.json"] {
        let Some(text) = image.text(path)? else { continue };
        let Ok(config) = serde_json::from_str::<Value>(&text) else { continue };
        let list = config.pointer("/Identity/CustomIdentities").and_then(Value::as_array);
        for identity in list.into_iter().flatten() {
            let id = identity.get("InstanceID").and_then(Value::as_str).unwrap_or("unnamed");
            found(path.to_owned(), format!("Identity.CustomIdentities names {id}"));
        }
    }
    Ok(())
}

fn commands(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for place in ["localcommands", "daemons"] {
        for path in image.files_below(&format!("{STATE}/{place}"))? {
            found(path, "would be executed by the agent, as root".to_owned());
        }
    }
    Ok(())
}

fn logs(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in image.files_below("/var/log/amazon/ssm")? {
        if let Some(stat) = image.stat(&path)?.filter(|stat| stat.size > 0) {
            found(path, format!("{} bytes of the agent's log", stat.size));
        }
    }
    Ok(())
}

/// A non-empty text field anywhere at the top of a JSON object.
fn json_text(text: &str, name: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
