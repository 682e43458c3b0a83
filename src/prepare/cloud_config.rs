//! cloud-init's `#cloud-config` documents, as far as they name the machine. Edited by lines, at the top level only: a
//! YAML writer would reorder and reformat what a person wrote.

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
        assert!(CloudConfig::of("#!/bin/sh\nhostname: x\n").is_none());
        assert!(CloudConfig::of("## template: jinja\n#cloud-config\n").is_none());
        assert!(CloudConfig::of("").is_none());
    }
}
