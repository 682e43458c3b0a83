//! The temporary AWS keys that the agent shares with other programs, in a section of an INI file.

use zeroize::Zeroizing;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, View, Volume};

const SOURCE: &str =
    "agent/managedInstances/sharedCredentials/shared_Credentials.go, common/runtimeconfig/identity_runtimeconfig.go";
/// The section that the agent's Greengrass build shares its keys in (packaging/greengrass/amazon-ssm-agent.json).
const GREENGRASS: &str = "ssm-iot-gg";

/// Where the agent may have put its keys.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    path: String,
    section: String,
    /// The agent itself says so. Otherwise the section is only taken for the agent's if it holds temporary keys.
    named: bool,
}

/// Proposes to remove the agent's keys. To be called before `runtimeconfig` and the vault go: they say where to look.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    for shared in shared_files(view)? {
        let Ok(path) = ImagePath::new(&shared.path) else {
            view.warn(format!(
                "the agent's identity_config.json names {:?} as the file of its AWS keys, which is not an absolute path: \
                 look for that file yourself",
                shared.path
            ));
            continue;
        };
        remove_section(view, &path, &shared)?;
    }
    Ok(())
}

fn shared_files(view: &mut View<'_>) -> Result<Vec<Shared>, FsError> {
    let config = ImagePath::new("/var/lib/amazon/ssm/runtimeconfig/identity_config.json")?;
    let usual = |section: &str, named| Shared { path: "/root/.aws/credentials".into(), section: section.into(), named };
    let mut found = Vec::new();
    if let Some(text) = view.root().text(&config, SETTINGS_LIMIT)? {
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) => {
                let field = |name: &str| json.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
                let section = if field("ShareProfile").is_empty() { "default".into() } else { field("ShareProfile") };
                if !field("ShareFile").is_empty() {
                    found.push(Shared { path: field("ShareFile"), section, named: true });
                }
            }
            Err(_) => view.warn(format!(
                "{config} is not JSON, so it does not say where the agent put its AWS keys; /root/.aws/credentials \
                    was looked at"
            )),
        }
    }
    found.push(usual(GREENGRASS, true));
    // Older agents keep no runtimeconfig, and a power cut can leave it empty.
    if was_registered(view)?
        && !found.iter().any(|shared| shared.path == "/root/.aws/credentials" && shared.section == "default")
    {
        found.push(usual("default", false));
    }
    Ok(found)
}

fn was_registered(view: &View<'_>) -> Result<bool, FsError> {
    let data = ImagePath::new("/var/lib/amazon/ssm")?;
    Ok(view.root().stat(&data.join("Vault")?)?.is_some() || view.root().stat(&data.join("registration")?)?.is_some())
}

fn remove_section(view: &mut View<'_>, path: &ImagePath, shared: &Shared) -> Result<(), FsError> {
    let path = view.root().resolve(path)?;
    let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    if stat.size > SETTINGS_LIMIT {
        view.warn(format!("{path} has {} bytes, too many for a credentials file: it was left alone", stat.size));
        return Ok(());
    }
    let old = Zeroizing::new(view.root().read(&path, SETTINGS_LIMIT)?);
    let sections = Sections::of(&old);
    let Some(section) = sections.text(&shared.section) else { return Ok(()) };
    if !shared.named && !is_temporary(&section) {
        view.warn(format!(
            "{path} holds long-lived AWS keys in [{}], which are not the agent's: they stay and will be on every card",
            shared.section
        ));
        return Ok(());
    }
    let rest = sections.without(&shared.section);
    let why = format!("temporary AWS keys that the agent shared, section [{}]", shared.section);
    if rest.split(|&b| b == b'\n').all(|line| matches!(line.trim_ascii().first(), None | Some(b'#' | b';'))) {
        view.remove(Volume::Root, &path, Class::Secret.because(why, SOURCE))?;
    } else {
        view.write(Volume::Root, &path, Content::Secret(rest), stat.attributes, Class::Secret.because(why, SOURCE))?;
    }
    Ok(())
}

/// Keys of a role (`ASIA…`) live for hours; an operator's own (`AKIA…`) until they are deleted.
fn is_temporary(section: &[u8]) -> bool {
    let value = |name: &[u8]| {
        section.split(|&b| b == b'\n').find_map(|line| {
            let at = line.iter().position(|&b| b == b'=')?;
            let (key, value) = line.split_at(at);
            key.trim_ascii().eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
        })
    };
    value(b"aws_access_key_id").is_some_and(|id| id.starts_with(b"ASIA"))
        && value(b"aws_session_token").is_some_and(|token| !token.is_empty())
}

/// An INI file as its lines, each with the section that it is in.
struct Sections<'t> {
    lines: Vec<(Option<&'t [u8]>, &'t [u8])>,
}

impl<'t> Sections<'t> {
    fn of(text: &'t [u8]) -> Sections<'t> {
        let mut section = None;
        let mut lines = Vec::new();
        for line in text.split_inclusive(|&b| b == b'\n') {
            let name = line.trim_ascii().strip_prefix(b"[").and_then(|rest| rest.split(|&b| b == b']').next());
            if let Some(name) = name {
                section = Some(name.trim_ascii());
            }
            lines.push((section, line));
        }
        Sections { lines }
    }

    /// The section's lines; `None` where there is no such section.
    fn text(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut found = None;
        for (_, line) in self.lines.iter().filter(|(section, _)| *section == Some(name.as_bytes())) {
            found.get_or_insert_with(|| Zeroizing::new(Vec::new())).extend_from_slice(line);
        }
        found
    }

    fn without(&self, name: &str) -> Zeroizing<Vec<u8>> {
        let kept = self.lines.iter().filter(|(section, _)| *section != Some(name.as_bytes()));
        Zeroizing::new(kept.flat_map(|(_, line)| line.iter().copied()).collect())
    }
}
