//! What makes one card different from the next: its name and its activation. Computed over a golden image into a plan
//! of a few small files, with every place that would give the card another name at its first boot.

use zeroize::Zeroizing;

use super::cloud_config::{CloudConfig, NAME_FILE};
use super::register::ACTIVATION_FILE;
use super::stored_secret::StoredSecret;
use super::wifi;
use crate::activation::Activation;
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, Plan, SETTINGS_LIMIT, StepError, View, Volume};
use crate::recipe::is_host_name;
use crate::recipe::schema::Wifi;
use crate::secrets::Secret;

const SOURCE: &str = "the recipe, [card] name";

/// Who a card is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardIdentity {
    /// Its name: host name and SSM default instance name.
    pub name: String,
    /// Its number in the recipe's series.
    pub serial: u64,
}

/// What a card has that nobody may see.
#[derive(Default, Clone, Copy)]
pub struct CardOwn<'a> {
    /// Without it the card will not register.
    pub activation: Option<&'a Activation>,
    /// The Wi-Fi network of the recipe, with its password.
    pub wifi: Option<(&'a Wifi, &'a Secret)>,
}

/// A card's edits, and the secrets in them.
pub struct CardEdits {
    /// What to change in the golden image.
    pub plan: Plan,
    /// What must be on the card in one place only.
    pub secrets: Vec<StoredSecret>,
}

/// The edits that turn a golden image into this card.
///
/// # Errors
/// [`StepError::Refused`] where the name is no host name, and where the golden image cannot be read.
pub fn card_edits(
    root: &dyn Tree,
    boot: &dyn Tree,
    card: &CardIdentity,
    own: CardOwn<'_>,
) -> Result<CardEdits, StepError> {
    is_host_name(&card.name).map_err(|error| StepError::Refused {
        what: format!("card {} cannot be named: {error}", card.serial),
        next: "change [card] name in the recipe".to_owned(),
    })?;
    let mut view = View::new(root, boot);
    view.enter("card");
    host_name(&mut view, &card.name)?;
    first_boot_names(&mut view, &card.name)?;
    let mut secrets = Vec::new();
    if let Some((wifi, psk)) = own.wifi {
        secrets.push(wifi::card_network(&mut view, wifi, psk)?);
    }
    if let Some(activation) = own.activation {
        activation_file(&mut view, card, activation)?;
        let bytes = Zeroizing::new(activation.code.expose().as_bytes().to_vec());
        secrets.push(StoredSecret { what: "activation code", bytes, times: 1 });
    }
    Ok(CardEdits { plan: view.into_plan(), secrets })
}

fn host_name(view: &mut View<'_>, name: &str) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new("/etc/hostname")?)?;
    let old = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    let old = old.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let old = old.to_owned();
    put(view, &path, format!("{name}\n"), "the card's name")?;

    let path = view.root().resolve(&ImagePath::new("/etc/hosts")?)?;
    let hosts = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    put(view, &path, hosts_with(&hosts, &old, name), "the card knows its own name without asking the network")
}

/// A text file that keeps mode and owner where it is there, and is 0644 root where it is not.
fn put(view: &mut View<'_>, path: &ImagePath, text: String, why: &'static str) -> Result<(), FsError> {
    let attributes = match view.root().stat(path)? {
        Some(stat) if stat.kind == FileKind::File => stat.attributes,
        _ => Attributes::root(0o644),
    };
    let content = Content::Bytes(text.into_bytes());
    view.write(Volume::Root, path, content, attributes, Class::Configuration.because(why, SOURCE))?;
    Ok(())
}

/// `/etc/hosts` in which 127.0.1.1 is this card. Other names on that line stay, the old name and its domains do not.
fn hosts_with(hosts: &str, old: &str, name: &str) -> String {
    let mut found = false;
    let mut lines: Vec<String> = Vec::new();
    for line in hosts.lines() {
        let (entry, comment) = line.find('#').map_or((line, ""), |at| line.split_at(at));
        let mut words = entry.split_whitespace();
        if words.next() != Some("127.0.1.1") {
            lines.push(line.to_owned());
            continue;
        }
        if found {
            continue;
        }
        found = true;
        let own = |word: &&str| *word == old || word.strip_prefix(old).is_some_and(|rest| rest.starts_with('.'));
        let others = words.filter(|word| (old.is_empty() || !own(word)) && *word != name);
        let names: Vec<&str> = std::iter::once(name).chain(others).collect();
        let comment = if comment.is_empty() { String::new() } else { format!("\t{comment}") };
        lines.push(format!("127.0.1.1\t{}{comment}", names.join(" ")));
    }
    if hosts.trim().is_empty() {
        lines.push("127.0.0.1\tlocalhost".to_owned());
        lines.push("::1\t\tlocalhost ip6-localhost ip6-loopback".to_owned());
    }
    if !found {
        lines.push(format!("127.0.1.1\t{name}"));
    }
    lines.join("\n") + "\n"
}

/// First-boot programs that would rename the card: cloud-init, and the `custom.toml` and `firstrun.sh` of Imager.
fn first_boot_names(view: &mut View<'_>, name: &str) -> Result<(), FsError> {
    if view.root().stat(&ImagePath::new("/etc/cloud/cloud.cfg")?)?.is_some() {
        let text = format!(
            "# Put here by cardsmith: the card's name is decided.\npreserve_hostname: true\nhostname: {name}\n"
        );
        put(view, &ImagePath::new(NAME_FILE)?, text, "cloud-init keeps the card's name")?;
    }
    boot_file(view, "/user-data", name, |text, name| CloudConfig::of(text).map(|config| config.with_host_name(name)))?;
    boot_file(view, "/custom.toml", name, |text, name| Some(custom_toml_with(text, name)))?;
    let script = view.boot().text(&ImagePath::new("/firstrun.sh")?, SETTINGS_LIMIT)?.unwrap_or_default();
    if script.lines().any(|line| line.contains("set_hostname") || line.contains(">/etc/hostname")) {
        view.warn(
            "firstrun.sh on the boot partition sets a host name of its own at the first boot: every card will have that \
             one. Take it out of the base image (Imager: no host name)",
        );
    }
    Ok(())
}

fn boot_file(
    view: &mut View<'_>,
    path: &str,
    name: &str,
    renamed: impl Fn(&str, &str) -> Option<String>,
) -> Result<(), FsError> {
    let path = ImagePath::new(path)?;
    let Some(stat) = view.boot().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let Some(text) = view.boot().text(&path, SETTINGS_LIMIT)? else { return Ok(()) };
    if let Some(new) = renamed(&text, name).filter(|new| *new != text) {
        // Such files hold password hashes beside the name.
        let content = Content::Secret(Zeroizing::new(new.into_bytes()));
        let why = "it would give the card another name at the first boot";
        view.write(Volume::Boot, &path, content, stat.attributes, Class::Configuration.because(why, SOURCE))?;
    }
    Ok(())
}

/// Imager's custom.toml with this host name in `[system]`, where it sets one.
fn custom_toml_with(text: &str, name: &str) -> String {
    let mut section = "";
    let lines = text.split_inclusive('\n').map(|line| {
        let bare = line.trim();
        if bare.starts_with('[') {
            section = bare;
        }
        let key = bare.split('=').next().unwrap_or_default().trim();
        if section == "[system]" && key == "hostname" { format!("hostname = \"{name}\"\n") } else { line.to_owned() }
    });
    lines.collect()
}

/// `key=value` lines for the registration script, which reads them as data.
fn activation_file(view: &mut View<'_>, card: &CardIdentity, activation: &Activation) -> Result<(), FsError> {
    let mut text = Zeroizing::new(Vec::with_capacity(512));
    for (key, value) in [
        ("id", activation.id.as_str()),
        ("code", activation.code.expose()),
        ("region", &activation.region),
        ("name", &card.name),
    ] {
        for part in [key, "=", value, "\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    }
    let path = ImagePath::new(ACTIVATION_FILE)?;
    let source = "cardsmith, step register";
    if let Some(directory) = path.parent() {
        let why = "holds the card's activation";
        view.directory(Volume::Root, &directory, Attributes::root(0o700), Class::Configuration.because(why, source))?;
    }
    let why = "the card's activation; destroyed when the card has registered";
    view.write(
        Volume::Root,
        &path,
        Content::Secret(text),
        Attributes::root(0o600),
        Class::Secret.because(why, source),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_name_leaves_hosts_and_the_rest_stays() {
        let hosts =
            "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi.lan raspberrypi printer # own\n10.0.0.1 raspberrypi2\n";
        assert_eq!(
            hosts_with(hosts, "raspberrypi", "kiosk-0001"),
            "127.0.0.1\tlocalhost\n127.0.1.1\tkiosk-0001 printer\t# own\n10.0.0.1 raspberrypi2\n"
        );
        assert_eq!(hosts_with("127.0.0.1 localhost", "", "a1"), "127.0.0.1 localhost\n127.0.1.1\ta1\n");
        assert!(hosts_with("", "", "a1").starts_with("127.0.0.1\tlocalhost\n"));
        let once = hosts_with(hosts, "raspberrypi", "a1");
        assert_eq!(hosts_with(&once, "a1", "a1"), once, "naming a card twice changes nothing");
    }

    #[test]
    fn only_the_host_name_of_the_system_changes_in_custom_toml() {
        let text = "[system]\nhostname = \"old\"\n[user]\nhostname = \"x\"\n";
        assert_eq!(custom_toml_with(text, "a1"), "[system]\nhostname = \"a1\"\n[user]\nhostname = \"x\"\n");
    }
}
