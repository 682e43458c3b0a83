//! Whether an image has the SSM agent, and as what it is registered.

use serde::Serialize;

use super::look_up::Looks;
use crate::fs::FsError;

/// The agent's package.
#[derive(Debug, Clone, Serialize)]
pub struct AgentFacts {
    /// Whether its program is there.
    pub installed: bool,
    /// `deb` or `snap`.
    pub package: Option<&'static str>,
    /// Version, of a deb.
    pub version: Option<String>,
    /// Architecture, of a deb; an armhf agent on an arm64 system is met.
    pub architecture: Option<String>,
    /// Whether it starts at boot.
    pub enabled: bool,
}

/// What the vault says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Registration {
    /// `mi-…` or `i-…`; what every card would claim to be.
    pub instance_id: Option<String>,
    /// The region of the registration.
    pub region: Option<String>,
}

const SNAP_UNIT: &str = "snap.amazon-ssm-agent.amazon-ssm-agent.service";

pub(super) fn look(root: &Looks<'_>) -> Result<AgentFacts, FsError> {
    let deb = root.is_there("/usr/bin/amazon-ssm-agent")?;
    // Snaps are mounted when the system runs: on a captured card its unit is what tells.
    let snap =
        root.is_there("/snap/amazon-ssm-agent")? || root.is_there(&format!("/etc/systemd/system/{SNAP_UNIT}"))?;
    let status = root.text("/var/lib/dpkg/status")?.unwrap_or_default();
    let package = status.split("\n\n").find(|package| package.lines().any(|line| line == "Package: amazon-ssm-agent"));
    let field = |name: &str| {
        let line = package?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
        Some(line.to_owned())
    };
    let wants = "/etc/systemd/system/multi-user.target.wants";
    Ok(AgentFacts {
        installed: deb || snap,
        package: if deb { Some("deb") } else { snap.then_some("snap") },
        version: field("Version"),
        architecture: field("Architecture"),
        // A link into a snap leads nowhere here, and enables the unit all the same.
        enabled: link(root, &format!("{wants}/amazon-ssm-agent.service"))?
            || link(root, &format!("{wants}/{SNAP_UNIT}"))?,
    })
}

/// Whether a name is there, also as a link that leads nowhere inside the image.
fn link(root: &Looks<'_>, path: &str) -> Result<bool, FsError> {
    Ok(root.tree.stat(&crate::fs::ImagePath::new(path)?)?.is_some())
}

pub(super) fn registration(root: &Looks<'_>) -> Result<Registration, FsError> {
    for name in ["RegistrationKey", "EC2RegistrationKey"] {
        let Some(text) = root.text(&format!("/var/lib/amazon/ssm/Vault/Store/{name}"))? else { continue };
        // Looked at, not judged: `audit` reports a vault that cannot be read.
        let Ok(key) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let field = |name: &str| key.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let found = Registration { instance_id: field("instanceID"), region: field("region") };
        if found.instance_id.is_some() {
            return Ok(found);
        }
    }
    Ok(Registration::default())
}
