//! cloud-init's `#cloud-config` documents, as far as they name the machine. Edited by lines, at the top level only: a
//! YAML writer would reorder and reformat what a person wrote.

use zeroize::Zeroizing;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, View, Volume};

/// Where the card's name is told to cloud-init. Files of cloud.cfg.d count in the order of their names, the last most.
pub const NAME_FILE: &str = "/etc/cloud/cloud.cfg.d/zz-cardsmith-hostname.cfg";

/// A `#cloud-config` document.
pub struct CloudConfig<'t> {
    text: &'t str,
}

impl<'t> CloudConfig<'t> {
    /// The document, if it is one: scripts, MIME archives and templates are not.
    pub fn of(text: &'t str) -> Option<CloudConfig<'t>> {
        (text.lines().next()?.trim_end() == "#cloud-config").then_some(CloudConfig { text })
    }

    /// The same document, in which whatever names the machine names it `name`. Unchanged where nothing does: the name
    /// is then told by [`NAME_FILE`], which user-data would override.
    pub fn with_host_name(&self, name: &str) -> String {
        let lines = self.text.split_inclusive('\n').filter_map(|line| match top_level_key(line) {
            Some("hostname") => Some(format!("hostname: {name}\n")),
            // A fully qualified name wins over `hostname`, and `preserve_hostname: false` over ours.
            Some("fqdn" | "preserve_hostname") => None,
            _ => Some(line.to_owned()),
        });
        lines.collect()
    }
}

impl CloudConfig<'_> {
    /// The document without these top-level keys and what stands below them, and which of them there were.
    pub fn without(&self, keys: &[&str]) -> (String, Vec<String>) {
        let (mut text, mut found, mut inside) = (String::new(), Vec::new(), false);
        for line in self.text.split_inclusive('\n') {
            match top_level_key(line) {
                Some(key) => {
                    inside = keys.contains(&key);
                    if inside {
                        found.push(key.to_owned());
                    }
                }
                // A comment at the margin belongs to what comes after it.
                None if line.starts_with('#') => inside = false,
                None => {}
            }
            if !inside {
                text.push_str(line);
            }
        }
        (text, found)
    }
}

/// Whether cloud-init runs on this image.
///
/// # Errors
/// Where the image cannot be read.
pub fn is_active(view: &View<'_>) -> Result<bool, FsError> {
    let is_there = |path: &str| -> Result<bool, FsError> {
        let path = view.root().resolve(&ImagePath::new(path)?)?;
        Ok(view.root().stat(&path)?.is_some())
    };
    Ok(is_there("/etc/cloud/cloud.cfg")? && !is_there("/etc/cloud/cloud-init.disabled")?)
}

/// Takes top-level keys out of the user-data on the boot partition, which wins over everything that the image says: there
/// the recipe wins. `section` is the recipe's, for messages. What is no `#cloud-config` is only pointed out.
///
/// # Errors
/// Where the image cannot be read.
pub fn remove_from_user_data(view: &mut View<'_>, keys: &[&str], section: &str) -> Result<(), FsError> {
    let path = ImagePath::new("/user-data")?;
    let Some(stat) = view.boot().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let text = Zeroizing::new(view.boot().text(&path, SETTINGS_LIMIT)?.unwrap_or_default());
    let Some(config) = CloudConfig::of(&text) else {
        if !text.trim().is_empty() {
            view.warn(format!(
                "user-data on the boot partition is not a #cloud-config: whether it overrides {section} of the recipe was \
                 not looked at"
            ));
        }
        return Ok(());
    };
    let (new, found) = config.without(keys);
    if found.is_empty() {
        return Ok(());
    }
    view.note(format!(
        "user-data on the boot partition has {} too, which would win over {section} of the recipe: it is taken out there",
        found.join(", ")
    ));
    let content = Content::Secret(Zeroizing::new(new.into_bytes()));
    let why = format!("cloud-init would override {section} of the recipe with it");
    let source = "cloud-init, user-data wins over /etc/cloud";
    view.write(Volume::Boot, &path, content, stat.attributes, Class::Configuration.because(why, source))?;
    Ok(())
}

fn top_level_key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(':')?;
    let bare = key.trim_matches(['"', '\'']);
    (!bare.is_empty() && !key.starts_with([' ', '\t', '#', '-'])).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_top_level_names_of_a_cloud_config_change() {
        let text = "#cloud-config\nhostname: raspberrypi\nmanage_etc_hosts: true\nfqdn: a.b\nusers:\n  - name: pi\n    hostname: no\n'preserve_hostname': false\n";
        let renamed = CloudConfig::of(text).unwrap().with_host_name("a1");
        assert_eq!(
            renamed,
            "#cloud-config\nhostname: a1\nmanage_etc_hosts: true\nusers:\n  - name: pi\n    hostname: no\n"
        );
        let (rest, found) = CloudConfig::of(text).unwrap().without(&["users", "fqdn", "chpasswd"]);
        assert_eq!(found, ["fqdn", "users"]);
        assert_eq!(rest, "#cloud-config\nhostname: raspberrypi\nmanage_etc_hosts: true\n'preserve_hostname': false\n");
        assert!(CloudConfig::of("#!/bin/sh\nhostname: x\n").is_none());
        assert!(CloudConfig::of("## template: jinja\n#cloud-config\n").is_none());
        assert!(CloudConfig::of("").is_none());
    }
}
