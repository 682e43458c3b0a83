//! `[[unit]]` beside the real `systemctl --root`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{ACCEPT, apply, cannot, plan, said};
use cardsmith::prepare::Severity;

use crate::support::host_tree::HostTree;
use crate::support::need;
use crate::support::releases::{Release, fresh, service};

fn unit(name: &str, state: &str) -> String {
    format!("[[unit]]\nname = \"{name}\"\nstate = \"{state}\"\n")
}

/// Every link below /etc/systemd/system: its name, and the name of what it leads to.
fn links(root: &Path) -> BTreeMap<String, String> {
    let top = root.join("etc/systemd/system");
    let mut found = BTreeMap::new();
    let mut ahead = vec![top.clone()];
    while let Some(directory) = ahead.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                ahead.push(path);
            } else if let Ok(target) = std::fs::read_link(&path) {
                let target = target.to_str().unwrap().replacen("/usr/lib/", "/lib/", 1);
                found.insert(path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned(), target);
            }
        }
    }
    found
}

fn image() -> (HostTree, HostTree) {
    let image = fresh(Release::Bookworm);
    let unit = |name: &str, text: String| {
        image.0.file(&format!("/usr/lib/systemd/system/{name}"), 0o644, text);
    };
    unit("plain.service", service("WantedBy=multi-user.target"));
    unit(
        "many.service",
        service(
            "WantedBy=multi-user.target \\\n  graphical.target\nRequiredBy=a.target\nAlias=other.service third.service",
        ),
    );
    unit("pair.service", service("Also=pair.socket"));
    unit("pair.socket", "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n".to_owned());
    unit("port@.service", service("WantedBy=port-%i.target\nDefaultInstance=one"));
    unit("reset.service", service("WantedBy=wrong.target\nWantedBy=\nWantedBy=right.target"));
    image.0.file("/etc/systemd/system/own.service", 0o644, service("WantedBy=multi-user.target"));
    image.0.file("/etc/systemd/system/plain.service.d/x.conf", 0o644, "[Install]\nWantedBy=extra.target\n");
    image
}

#[test]
fn units_end_up_as_systemctl_leaves_them() {
    if !need("systemctl") {
        return;
    }
    for (name, steps) in [
        ("plain.service", &["enable", "disable", "mask"][..]),
        ("many.service", &["enable", "disable"]),
        ("pair.service", &["enable", "disable"]),
        ("pair.socket", &["enable", "mask"]),
        ("port@.service", &["enable", "disable"]),
        ("port@two.service", &["enable", "disable"]),
        ("reset.service", &["enable"]),
        ("own.service", &["enable", "disable"]),
        ("bluetooth.service", &["disable", "mask"]),
        ("bluetooth.service", &["mask"]),
    ] {
        let (ours, theirs) = (image(), image());
        for step in steps {
            let out = Command::new("systemctl")
                .arg(format!("--root={}", theirs.0.path().display()))
                .args([step, name])
                .output();
            let out = out.unwrap();
            assert!(out.status.success(), "{step} {name}: {}", String::from_utf8_lossy(&out.stderr));
            let state = match *step {
                "enable" => "enabled",
                "disable" => "disabled",
                _ => "masked",
            };
            apply(&ours, &format!("{ACCEPT}{}", unit(name, state)));
            assert_eq!(links(ours.0.path()), links(theirs.0.path()), "{step} {name}");
        }
    }
}

#[test]
fn what_systemctl_refuses_is_an_obstacle() {
    for (name, state, says) in [
        ("nothere.service", "enabled", "no such unit"),
        ("nothere.service", "disabled", "no such unit"),
        ("static.service", "enabled", "no [Install]"),
        ("own.service", "masked", "its file is"),
        ("alias.service", "enabled", "another name of plain.service"),
        ("bare@.service", "enabled", "without a default instance"),
        ("pulled.service", "disabled", "state = \"masked\""),
    ] {
        let image = image();
        image.0.file("/usr/lib/systemd/system/static.service", 0o644, service("").replace("[Install]", ""));
        image.0.file("/usr/lib/systemd/system/bare@.service", 0o644, service("WantedBy=a.target"));
        image.0.file("/usr/lib/systemd/system/pulled.service", 0o644, service("WantedBy=a.target"));
        image.0.link("/usr/lib/systemd/system/multi-user.target.wants/pulled.service", "../pulled.service");
        image.0.link("/etc/systemd/system/alias.service", "/usr/lib/systemd/system/plain.service");
        cannot(&image, &format!("{ACCEPT}{}", unit(name, state)), says);
    }
}

#[test]
fn enabled_also_takes_a_mask_away_and_what_can_still_start_a_unit_is_said() {
    let image = image();
    image.0.link("/etc/systemd/system/plain.service", "/dev/null");
    apply(&image, &format!("{ACCEPT}{}", unit("plain.service", "enabled")));
    assert!(!image.0.has("/etc/systemd/system/plain.service"));
    assert!(image.0.has("/etc/systemd/system/multi-user.target.wants/plain.service"));
    apply(&image, &format!("{ACCEPT}{}", unit("pair.socket", "enabled")));
    image.0.file("/usr/lib/systemd/system/pair.service", 0o644, service("WantedBy=multi-user.target"));
    let made = apply(&image, &format!("{ACCEPT}{}", unit("pair.service", "disabled")));
    assert!(said(&made, Severity::Warning).contains("pair.socket is enabled"));
}

#[test]
fn a_disabled_unit_stays_disabled_when_systemd_applies_its_presets() {
    if !need("systemctl") {
        return;
    }
    let image = fresh(Release::Trixie);
    apply(&image, &format!("{ACCEPT}{}", unit("bluetooth.service", "disabled")));
    let systemctl = |arguments: &[&str]| {
        Command::new("systemctl").arg(format!("--root={}", image.0.path().display())).args(arguments).output().unwrap()
    };
    // What the first boot of a card with an `uninitialized` machine id does.
    assert!(systemctl(&["preset-all", "--preset-mode=enable-only"]).status.success());
    assert_eq!(String::from_utf8_lossy(&systemctl(&["is-enabled", "bluetooth.service"]).stdout), "disabled\n");
    assert_eq!(
        String::from_utf8_lossy(&systemctl(&["is-enabled", "ssh.service"]).stdout),
        "enabled\n",
        "presets were applied"
    );
}

#[test]
fn a_unit_that_the_recipe_brings_can_be_enabled() {
    let image = fresh(Release::Bookworm);
    let file = "[[file]]\npath = \"/etc/systemd/system/kiosk.service\"\ntext = \"[Service]\\nExecStart=/usr/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"\n";
    apply(&image, &format!("{ACCEPT}{file}{}", unit("kiosk.service", "enabled")));
    assert!(image.0.has("/etc/systemd/system/multi-user.target.wants/kiosk.service"));
}

#[test]
fn what_registers_the_cards_cannot_be_switched_off() {
    let image = fresh(Release::Bookworm);
    image.0.file("/usr/bin/amazon-ssm-agent", 0o755, "");
    let activation = "[activation]\nfrom = \"file\"\npath = \"a.csv\"\n";
    let made = plan(&image, &format!("{ACCEPT}{activation}{}", unit("amazon-ssm-agent.service", "masked"))).unwrap();
    assert!(super::blockers(&made).join("").contains("registers the cards"));
}
