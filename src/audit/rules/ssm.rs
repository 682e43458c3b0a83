//! What the SSM agent keeps of a registered life. Paths: amazon-ssm-agent, `agent/appconfig/constants_unix.go`.

use serde_json::Value;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::strip;

const STATE: &str = "/var/lib/amazon/ssm";

/// `ssm-registration`
pub const REGISTRATION: Rule = Rule {
    id: "ssm-registration",
    severity: Severity::Error,
    title: "the image is registered as a managed node",
    deep: false,
    look: Look::Code(registration),
    text: "\
Looks at /var/lib/amazon/ssm/registration and runtimeconfig (identity_config.json), which name the managed node (mi-…)
that this image was taken from.

Every card made from it would come up as that same node: on a Pi the agent's hardware fingerprint is so nearly
constant that the service accepts the copy, and sessions land on whichever card booted last.

Remedy: make a golden image with `cardsmith golden`; the ssm step removes both together with the vault.",
};

/// `ssm-vault`
pub const VAULT: Rule = Rule {
    id: "ssm-vault",
    severity: Severity::Error,
    title: "the agent's vault holds a private key or a fingerprint",
    deep: false,
    look: Look::Code(vault),
    text: "\
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
    look: Look::Code(clone),
    text: "\
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
    look: Look::Code(temporary_keys),
    text: "\
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
    look: Look::Code(long_lived_keys),
    text: "\
Looks for AWS access keys that do not expire in the credentials files of all users. They are not the agent's, so
cardsmith leaves them alone, and they would be on every card: whoever has a card has them.

Remedy: `[strip] remove = [\"/root/.aws\"]` in the recipe, and permissions by the role of the activation; or
`--allow aws-keys` where that is meant.",
};

fn registration(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let mut paths = image.files_read_below(&format!("{STATE}/registration"))?;
    // Of these, identity_config.json names the node.
    paths.extend(image.files_read_below(&format!("{STATE}/runtimeconfig"))?);
    for path in paths {
        let text = image.text(&path)?.unwrap_or_default();
        // The two files call it by different names.
        let id = ["ManagedInstanceID", "InstanceId"].iter().find_map(|name| json_text(&text, name));
        let says = match id {
            Some(id) => format!("names the managed node {id}"),
            // What cannot be parsed is still of some registration, and should not be there.
            None => "is left of a registration".to_owned(),
        };
        found(path.into(), says);
    }
    Ok(())
}

fn vault(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    // Every file: a newer agent may keep more than is known here.
    for path in image.files_read_below(&format!("{STATE}/Vault"))? {
        let text = image.text(&path)?.unwrap_or_default();
        let says = match (json_text(&text, "privateKey"), json_text(&text, "instanceID")) {
            (Some(_), Some(id)) => format!("holds the private key of {id}"),
            (Some(_), None) => "holds a private key".to_owned(),
            _ if json_text(&text, "fingerprint").is_some() => "holds a fingerprint that cards would share".to_owned(),
            _ => "is left of a vault".to_owned(),
        };
        found(path.into(), says);
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
        found(path.into(), "its fingerprint was made on another machine-id than /etc/machine-id holds".to_owned());
    }
    Ok(())
}

fn temporary_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for (path, section) in key_sections(image, true)? {
        found(path.into(), format!("holds temporary AWS keys in section [{section}]"));
    }
    Ok(())
}

fn long_lived_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for (path, section) in key_sections(image, false)? {
        found(path.into(), format!("holds long-lived AWS keys in section [{section}]"));
    }
    Ok(())
}

/// Where access keys stand: file and section. Temporary ones begin with `ASIA` (IAM user guide, "Unique identifiers").
fn key_sections(image: &AuditImage, temporary: bool) -> Result<Vec<(Vec<u8>, String)>, AuditError> {
    let mut files = Vec::new();
    for row in ["ssm-shared-keys", "ssm-old-credentials", "aws-credentials-person"] {
        for place in strip::find(row).map(|row| row.places).unwrap_or_default() {
            files.extend(image.like(place)?);
        }
    }
    files.sort();
    files.dedup();
    let mut found = Vec::new();
    for file in files {
        let Some(text) = image.text(&file)? else { continue };
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
                found.push((file.clone(), section.clone()));
            }
        }
    }
    Ok(found)
}

/// A non-empty text field anywhere at the top of a JSON object.
fn json_text(text: &str, name: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
