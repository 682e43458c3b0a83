//! A rule means the bytes: what a symlink leads to, and what a file holds under its other names, goes with the name that the
//! rule knows; unless the system needs it, and that is said. The audit finds the same by itself.

use std::collections::BTreeSet;

use cardsmith::audit::find_rule;
use cardsmith::golden::{self, Settings};
use cardsmith::prepare::{Class, Plan, Severity, Step, View};
use cardsmith::progress::Silent;
use cardsmith::strip::{Example, Fate, RemovePaths, Strip, StripLinks, StripStep};

use crate::strip::{HOST, Planted, telling, worlds_of};
use crate::support::binary::Home;
use crate::support::host_tree::{HostTree, carry_out};
use crate::support::need_builder;
use crate::support::oracle;
use crate::support::pi_image::{Needle, PiImage};
use crate::support::root_image::audited;

/// What the steps that strip propose.
fn proposed(root: &HostTree, boot: &HostTree, strip: &Strip) -> Plan {
    let mut view = View::new(root, boot);
    let steps: [&dyn Step; 4] =
        [&StripStep::agent(strip), &StripStep::identity(strip), &RemovePaths::new(strip), &StripLinks::new(strip)];
    for step in steps {
        view.enter(step.name());
        step.propose(&mut view).unwrap_or_else(|error| panic!("{}: {error}", step.name()));
    }
    view.into_plan()
}

fn edits(plan: &Plan) -> BTreeSet<String> {
    plan.edits.iter().map(|edit| edit.volume.place(&edit.path)).collect()
}

fn says(plan: &Plan, severity: Severity, words: &[&str]) -> bool {
    plan.findings.iter().any(|f| f.severity == severity && words.iter().all(|word| f.text.contains(word)))
}

fn system() -> HostTree {
    let root = HostTree::root();
    root.file("/etc/machine-id", 0o444, "")
        .file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\n")
        .file(
            "/etc/fstab",
            0o644,
            "/dev/mmcblk0p1 /boot/firmware vfat\n/dev/mmcblk0p2 / ext4\n/dev/sda1 /mnt/usb ext4\n",
        )
        .directory("/home/pi")
        .directory("/root")
        .directory("/boot/firmware");
    root
}

#[test]
fn every_kind_of_link_is_followed_inside_the_image() {
    let (root, boot) = (system(), HostTree::boot());
    // Absolute, relative, above the root, by way of a chain, and through a directory that is a link.
    root.file("/srv/moved/bash", 0o600, "x").link("/root/.bash_history", "/srv/moved/bash");
    root.file("/srv/moved/key", 0o600, "x").link("/etc/ssh/ssh_host_rsa_key", "../../../../../srv/moved/key");
    root.file("/srv/moved/seed", 0o600, "x").link("/opt/seed", "/srv/moved/seed");
    root.link("/var/lib/systemd/random-seed", "/opt/seed");
    root.file("/data/vault/Store/Manifest", 0o600, "x").link("/var/lib/amazon/ssm/Vault", "/data/vault");
    root.file("/srv/keys/RegistrationKey", 0o600, "x")
        .link("/data/vault/Store/RegistrationKey", "/srv/keys/RegistrationKey");
    root.file("/srv/cfg/rclone/rclone.conf", 0o600, "[x]\ntoken = 9c6f21d40b7e4f53a1c87d2e\n")
        .link("/home/pi/.config", "/srv/cfg");
    // The boot partition; nothing; a circle; a device.
    boot.file("/zsh", 0o644, "x");
    root.link("/root/.zsh_history", "/boot/firmware/zsh");
    root.link("/root/.python_history", "/nowhere").link("/root/.psql_history", "/root/.psql_history");
    root.link("/root/.mysql_history", "/dev/null");
    let plan = proposed(&root, &boot, &Strip::default());
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.findings);
    let edits = edits(&plan);
    for gone in [
        "/root/.bash_history",
        "/srv/moved/bash",
        "/etc/ssh/ssh_host_rsa_key",
        "/srv/moved/key",
        "/srv/moved/seed",
        "/var/lib/systemd/random-seed",
        "/data/vault",
        "/var/lib/amazon/ssm/Vault",
        "/srv/keys/RegistrationKey",
        "boot:/zsh",
        "/root/.zsh_history",
        "/root/.python_history",
        "/root/.psql_history",
        "/root/.mysql_history",
    ] {
        assert!(edits.contains(gone), "{gone} is not in {edits:?}");
    }
    carry_out(&plan, &root, &boot);
    let left: Vec<String> =
        root.paths().into_iter().filter(|path| path.contains("/moved/") || path.contains("/keys/")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!boot.has("/zsh"));
}

#[test]
fn what_the_system_needs_stays_and_is_said() {
    // By a rule's own name: no golden image. A file that only one machine has would be on every card.
    for target in ["/etc/passwd", "/etc/hosts", "/home/pi"] {
        let (root, boot) = (system(), HostTree::boot());
        root.file("/etc/hosts", 0o644, "127.0.0.1 x\n").file(
            "/var/lib/dpkg/info/netbase.list",
            0o644,
            "/.\n/etc\n/etc/hosts\n",
        );
        root.file("/home/pi/photo", 0o644, "x").link("/root/.bash_history", target);
        let plan = proposed(&root, &boot, &Strip::default());
        assert!(says(&plan, Severity::Blocker, &["/root/.bash_history", target]), "{target}: {:?}", plan.findings);
        assert!(!edits(&plan).contains(target), "{target}");
    }
    // What packages brought is on every system.
    let (root, boot) = (system(), HostTree::boot());
    root.file("/usr/share/doc/x", 0o644, "x").link("/root/.bash_history", "/usr/share/doc/x");
    // Elsewhere, and in a folder that goes.
    root.link("/root/.zsh_history", "/mnt/usb/zsh");
    root.file("/var/lib/amazon/ssm/Vault/x", 0o600, "x")
        .link("/var/lib/amazon/ssm/Vault/up", "/var")
        .link("/var/lib/amazon/ssm/Vault/id", "/etc/passwd");
    // Caches are no secret: what they lead to is somebody's project.
    root.file("/home/pi/project/src", 0o644, "x").link("/tmp/project", "/home/pi/project");
    // The firmware.
    boot.file("/kernel8.img", 0o644, "x");
    root.link("/root/.python_history", "/boot/firmware/kernel8.img");
    let plan = proposed(&root, &boot, &Strip::default());
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.findings);
    for (severity, words) in [
        (Severity::Note, ["/root/.bash_history", "/usr/share/doc/x"]),
        (Severity::Warning, ["/root/.zsh_history", "/dev/sda1"]),
        (Severity::Warning, ["Vault/up", "/var"]),
        (Severity::Warning, ["Vault/id", "/etc/passwd"]),
        (Severity::Note, ["/root/.python_history", "kernel8.img"]),
    ] {
        assert!(says(&plan, severity, &words), "{words:?}: {:#?}", plan.findings);
    }
    carry_out(&plan, &root, &boot);
    assert!(
        root.has("/home/pi/project/src")
            && root.has("/usr/share/doc/x")
            && root.has("/etc/passwd")
            && boot.has("/kernel8.img")
    );
    assert!(!root.has("/root/.bash_history") && !root.has("/var/lib/amazon/ssm/Vault"));
}

#[test]
fn other_names_of_a_file_go_with_it_or_the_golden_image_is_refused() {
    let (root, boot) = (system(), HostTree::boot());
    root.file("/root/.bash_history", 0o600, "x")
        .hard_link("/opt/one", "/root/.bash_history")
        .hard_link("/opt/two", "/opt/one");
    root.file("/var/log/app.log", 0o640, "a log").hard_link("/opt/log", "/var/log/app.log");
    // Public, for a package brought it.
    root.file("/home/pi/.zsh_history", 0o600, "y").hard_link("/usr/share/y", "/home/pi/.zsh_history");
    let plan = proposed(&root, &boot, &Strip::default());
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.findings);
    assert!(says(&plan, Severity::Note, &["/home/pi/.zsh_history", "/usr/share/y"]), "{:?}", plan.findings);
    carry_out(&plan, &root, &boot);
    assert!(!root.has("/opt/one") && !root.has("/opt/two") && root.has("/usr/share/y"));
    assert_eq!(root.text_of("/opt/log").unwrap(), "");
    assert_eq!(root.text_of("/var/log/app.log").unwrap(), "");

    // By a path of the recipe: a package manager of one's own links its cache into what runs.
    let root = system();
    root.file("/opt/cache/a.py", 0o644, "x").hard_link("/opt/app/a.py", "/opt/cache/a.py");
    let strip = |paths: &[&str]| Strip { remove: paths.iter().map(ToString::to_string).collect(), ..Strip::default() };
    let plan = proposed(&root, &boot, &strip(&["/opt/cache"]));
    assert!(says(&plan, Severity::Blocker, &["/opt/app/a.py", "/opt/cache/a.py"]), "{:?}", plan.findings);
    assert_eq!(proposed(&root, &boot, &strip(&["/opt/cache", "/opt/app"])).blockers().count(), 0);
}

#[test]
fn folders_of_rules_that_lead_to_the_system_leave_it_alone_and_are_told_of() {
    for (link, target) in [
        ("/var/tmp", "/"),
        ("/var/cache/nscd", "/"),
        ("/root/.cache", "/home"),
        ("/var/log", "/"),
        ("/var/crash", "/usr"),
        ("/var/tmp", "/boot/firmware"),
        ("/var/lib/lastlog", "/etc"),
    ] {
        let (root, boot) = (system(), HostTree::boot());
        root.file("/home/pi/photo", 0o644, "1").file("/home/thumbnails", 0o644, "1").file("/usr/bin/sh", 0o755, "1");
        root.directory("/var/cache").link(link, target);
        let plan = proposed(&root, &boot, &Strip::default());
        let is_said =
            plan.findings.iter().any(|found| found.severity >= Severity::Warning && found.text.contains(link));
        // What is mounted is not there, and nothing of it is touched.
        assert!(is_said || target == "/boot/firmware", "{link}: {:?}", plan.findings);
        carry_out(&plan, &root, &boot);
        for path in ["/home/pi/photo", "/etc/passwd", "/etc/fstab", "/usr/bin/sh", "/boot/firmware"] {
            assert!(root.has(path), "{link} to {target}: {path} is gone");
        }
    }
}

/// Every rule's example at the first of its places: not as the file, but as a link to it, or as one of two names of it.
fn planted(world: &[Planted], is_hard: bool) -> (HostTree, HostTree, Vec<(&Planted, String)>) {
    let (root, boot) = (system(), HostTree::boot());
    root.file("/etc/hostname", 0o644, format!("{HOST}\n"));
    let mut all = Vec::new();
    for (number, one) in world.iter().enumerate() {
        let is_file = !one.file.starts_with("boot:") && !matches!(one.rule.example, Example::Link(_));
        // What the kernel mounts over is not seen, and of temporary folders only themselves are followed.
        let is_inside = matches!(one.rule.example, Example::Inside(..)) && one.rule.class == Class::Transient;
        if is_inside || !is_file || root.has(&one.file) || one.file.starts_with("/boot/") {
            continue;
        }
        let other = format!("/srv/moved/{number}");
        match is_hard {
            true => root.file(&one.file, 0o600, &one.content).hard_link(&other, &one.file),
            false => root.file(&other, 0o600, &one.content).link(&one.file, &other),
        };
        all.push((one, other));
    }
    (root, boot, all)
}

fn every_rule(is_hard: bool) {
    if !need_builder() {
        return;
    }
    let mut wrong = Vec::new();
    for world in worlds_of(|rule| &rule.places[..1]) {
        let (root, boot, all) = planted(&world, is_hard);
        let found: BTreeSet<(String, String)> = audited(&root, &boot).into_iter().collect();
        let plan = proposed(&root, &boot, &Strip::default());
        for block in plan.blockers() {
            wrong.push(format!("blocked: {}", block.text));
        }
        carry_out(&plan, &root, &boot);
        for (one, other) in &all {
            let rule = one.rule;
            let is_told = |place: &str| {
                let is_it = |at: &String| {
                    at == place || place.starts_with(&format!("{at}/")) || at.starts_with(&format!("{place}/"))
                };
                found.iter().any(|(id, at)| id == rule.audited_as && is_it(at))
            };
            // What a rule that is written by hand need not speak of by itself, it need not under another name.
            let by_hand = rule.severity.is_none();
            let severity = find_rule(rule.audited_as).map(|rule| rule.severity);
            if rule.fate == Fate::Wanted {
                continue;
            }
            if !by_hand && !is_told(&one.named) && !is_told(&one.file) {
                wrong.push(format!("{} at {}: the audit is silent", rule.id, one.file));
            }
            let tells_names = is_hard && !by_hand && severity > Some(cardsmith::audit::Severity::Note);
            // A rule that names the folder tells of the folder.
            if tells_names && one.named == one.file && !found.iter().any(|(_, at)| at == other) {
                wrong.push(format!("{} at {}: the audit is silent of its other name", rule.id, one.file));
            }
            let is_telling = telling(&one.content).len() >= 8;
            let left =
                root.text_of(other).is_some_and(|text| text.contains(&*String::from_utf8_lossy(telling(&one.content))));
            match rule.fate {
                Fate::Removed | Fate::Emptied | Fate::Part if left && is_telling => {
                    wrong.push(format!("{} at {}: its bytes stay in {other}", rule.id, one.file));
                }
                Fate::Stays | Fate::Named if !plan.findings.iter().any(|finding| finding.rule == Some(rule.id)) => {
                    wrong.push(format!("{} at {}: nobody says that it stays", rule.id, one.file));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rule_means_what_its_links_lead_to() {
    every_rule(false);
}

#[test]
fn every_rule_means_a_file_by_all_of_its_names() {
    every_rule(true);
}

#[test]
fn no_byte_behind_a_link_or_under_another_name_is_in_a_golden_image() {
    if !need_builder() {
        return;
    }
    let secret = |name: &str| format!("{name}: k7Qm2Vw9Zr4Tn6Ys8Lp1Bd3FhJkPq5-{name}\n");
    let names = ["host-key", "history", "seed", "vault", "hard", "boot", "id"];
    let key =
        format!("-----BEGIN OPENSSH PRIVATE {}-----\n{}-----END OPENSSH PRIVATE KEY-----\n", "KEY", secret("host-key"));
    let image = PiImage::fresh()
        .file("/srv/moved/host-key", 0o600, key)
        .link("/etc/ssh/ssh_host_rsa_key", "../../srv/moved/host-key")
        .file("/srv/moved/history", 0o600, secret("history"))
        .link("/home/pi/.bash_history", "/srv/moved/history")
        .file("/srv/moved/seed", 0o600, secret("seed"))
        .link("/opt/seed", "/srv/moved/seed")
        .link("/var/lib/systemd/random-seed", "/opt/seed")
        .file("/data/vault/Store/RegistrationKey", 0o600, secret("vault"))
        .link("/var/lib/amazon/ssm/Vault", "/data/vault")
        .file("/root/.zsh_history", 0o600, secret("hard"))
        .hard_link("/opt/copy", "/root/.zsh_history")
        .boot_file("python-history", secret("boot"))
        .link("/root/.python_history", "/boot/firmware/python-history")
        .file("/var/lib/dhcpcd/secret", 0o600, secret("id"))
        .hard_link("/opt/secret", "/var/lib/dhcpcd/secret")
        .build();
    let home = Home::new();
    let run = home.run(["--json", "audit", image.path().to_str().unwrap()]);
    let places: BTreeSet<String> =
        run.named("finding").iter().map(|finding| finding["place"].as_str().unwrap().to_owned()).collect();
    for place in [
        "/etc/ssh/ssh_host_rsa_key",
        "/home/pi/.bash_history",
        "/var/lib/systemd/random-seed",
        "/var/lib/amazon/ssm/Vault/Store/RegistrationKey",
        "/root/.zsh_history",
        "/opt/copy",
    ] {
        assert!(places.contains(place), "{place} is not in {places:?}");
    }
    let recipe = cardsmith::recipe::load(&image.recipe("[sudo]\nlockout = \"accept\"\n")).unwrap();
    let settings = Settings { cache_dir: image.beside("cache"), ..Settings::default() };
    let mut golden = golden::prepare(recipe, &settings, &Silent).unwrap().build(&Silent).unwrap();
    let outputs = golden.write(&image.beside("golden.img"), false, &Silent).unwrap();
    let needles: Vec<Needle> = names
        .iter()
        .map(|name| Needle { name: (*name).to_owned(), bytes: secret(name).trim().as_bytes().to_vec() })
        .collect();
    assert_eq!(oracle::find_bytes(&outputs.image, &needles), []);
    oracle::assert_clean_image(&outputs.image);
    let left = home.run(["--json", "audit", outputs.image.to_str().unwrap()]);
    for finding in left.named("finding") {
        let place = finding["place"].as_str().unwrap();
        assert!(!places.contains(place) && !place.starts_with("/opt/") && !place.starts_with("/srv/"), "{finding}");
    }
}
