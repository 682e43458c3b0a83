//! What tells one machine from another goes, and the card still gets a machine id, host keys and its logs' folders.

use std::fs;
use std::path::Path;
use std::process::Command;

use cardsmith::prepare::{Plan, Severity, StepError};
use cardsmith::strip::{Also, IDENTITY, Keep, Strip, StripStep};

use crate::support::host_tree::{self, HostTree, carry_out};
use crate::support::{need, run};

const VENDOR: &str = "/usr/lib/systemd/system/regenerate_ssh_host_keys.service";
const VENDOR_LINK: &str = "/etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service";
const VENDOR_TEXT: &str = "[Unit]\nDescription=Regenerate SSH host keys\n[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A -v\n[Install]\nWantedBy=multi-user.target\n";
const OWN: &str = "/etc/systemd/system/cardsmith-host-keys.service";
const OWN_LINK: &str = "/etc/systemd/system/multi-user.target.wants/cardsmith-host-keys.service";
const OWN_SCRIPT: &str = "/usr/local/lib/cardsmith/host-keys";
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/bin/bash\nsvc:x:1001:1001::/srv/svc:/bin/sh\n";

fn proposed(root: &HostTree, boot: &HostTree, strip: &Strip) -> Result<Plan, StepError> {
    host_tree::proposed(&StripStep::identity(strip), root, boot)
}

fn strip_with(root: &HostTree, boot: &HostTree, strip: &Strip) -> Plan {
    let plan = proposed(root, boot, strip).unwrap();
    carry_out(&plan, root, boot);
    assert_eq!(proposed(root, boot, strip).unwrap().edits.len(), 0, "stripping twice strips nothing more");
    plan
}

fn strip(root: &HostTree) -> Plan {
    strip_with(root, &HostTree::boot(), &Strip::default())
}

fn said(plan: &Plan, severity: Severity) -> String {
    let found = plan.findings.iter().filter(|found| found.severity == severity);
    found.map(|found| found.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn keep(what: &str) -> Strip {
    Strip { keep: vec![Keep::named(what).unwrap()], ..Strip::default() }
}

#[test]
fn a_machine_id_that_was_used_becomes_an_empty_file_and_a_fresh_one_stays_as_its_makers_left_it() {
    for (held, expected) in
        [("0123456789abcdef0123456789abcdef\n", ""), ("", ""), ("uninitialized\n", "uninitialized\n"), ("garbage", "")]
    {
        let root = HostTree::root();
        root.file("/etc/machine-id", 0o444, held).link("/var/lib/dbus/machine-id", "/etc/machine-id");
        strip(&root);
        assert_eq!(root.text_of("/etc/machine-id").unwrap(), expected, "{held:?}");
        assert_eq!(root.mode("/etc/machine-id"), 0o444);
        assert!(root.has("/var/lib/dbus/machine-id"), "the link stays");
    }
    let root = HostTree::root();
    root.file("/etc/hostname", 0o644, "x\n").file(
        "/var/lib/dbus/machine-id",
        0o644,
        "0123456789abcdef0123456789abcdef\n",
    );
    strip(&root);
    assert_eq!(root.text_of("/etc/machine-id").as_deref(), Some(""), "systemd needs the file to be there");
    assert!(!root.has("/var/lib/dbus/machine-id"), "a copy goes");
    let root = HostTree::root();
    root.link("/etc/machine-id", "../data/machine-id").file(
        "/data/machine-id",
        0o444,
        "0123456789abcdef0123456789abcdef\n",
    );
    strip(&root);
    assert_eq!(root.text_of("/data/machine-id").as_deref(), Some(""));
}

#[test]
fn systemd_makes_a_machine_id_from_what_is_left() {
    if !need("systemd-machine-id-setup") {
        return;
    }
    let root = HostTree::root();
    root.file("/etc/machine-id", 0o644, "0123456789abcdef0123456789abcdef\n");
    strip(&root);
    let _ = Command::new("systemd-machine-id-setup").arg(format!("--root={}", root.path().display())).output().unwrap();
    let id = root.text_of("/etc/machine-id").unwrap();
    assert!(id.trim().len() == 32 && !id.starts_with("0123456789abcdef"), "{id:?}");
}

fn with_host_keys(root: &HostTree) {
    for kind in ["rsa", "ecdsa", "ed25519"] {
        root.file(&format!("/etc/ssh/ssh_host_{kind}_key"), 0o600, "PRIVATE").file(
            &format!("/etc/ssh/ssh_host_{kind}_key.pub"),
            0o644,
            "PUBLIC",
        );
    }
    root.file("/usr/sbin/sshd", 0o755, "elf").file(
        "/etc/ssh/sshd_config",
        0o644,
        "Include /etc/ssh/sshd_config.d/*.conf\n",
    );
}

fn host_keys_left(root: &HostTree) -> Vec<String> {
    root.paths().into_iter().filter(|path| path.contains("/ssh_host_")).collect()
}

#[test]
fn host_keys_go_and_the_images_own_regenerator_is_enabled() {
    let root = HostTree::root();
    with_host_keys(&root);
    root.file(VENDOR, 0o644, VENDOR_TEXT);
    strip(&root);
    assert_eq!(host_keys_left(&root), [""; 0]);
    assert_eq!(fs::read_link(root.host(VENDOR_LINK)).unwrap(), Path::new(VENDOR));
    assert!(!root.has(OWN));
    if need("systemctl") {
        let out = Command::new("systemctl")
            .arg(format!("--root={}", root.path().display()))
            .args(["is-enabled", "regenerate_ssh_host_keys.service"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "enabled\n");
    }
}

#[test]
fn a_regenerator_that_does_not_regenerate_is_not_trusted() {
    let masked = |root: &HostTree| {
        root.link("/etc/systemd/system/regenerate_ssh_host_keys.service", "/dev/null");
        root.file(VENDOR, 0o644, VENDOR_TEXT);
    };
    let other = |root: &HostTree| {
        root.file(VENDOR, 0o644, VENDOR_TEXT.replace("/usr/bin/ssh-keygen -A -v", "/usr/bin/true"));
    };
    let not_installable = |root: &HostTree| {
        root.file(VENDOR, 0o644, VENDOR_TEXT.replace("WantedBy=multi-user.target", ""));
    };
    let none = |_: &HostTree| {};
    let odd_key = |root: &HostTree| {
        root.file(VENDOR, 0o644, VENDOR_TEXT)
            .file("/etc/ssh/sshd_config.d/k.conf", 0o644, "HostKey /etc/keys/mine\n")
            .file("/etc/keys/mine", 0o600, "K");
    };
    type Make<'a> = &'a dyn Fn(&HostTree);
    let cases: [(&str, Make<'_>); 5] = [
        ("none", &none),
        ("masked", &masked),
        ("other", &other),
        ("not installable", &not_installable),
        ("odd key", &odd_key),
    ];
    for (what, prepare) in cases {
        let root = HostTree::root();
        with_host_keys(&root);
        prepare(&root);
        strip(&root);
        assert_eq!(host_keys_left(&root), [""; 0], "{what}");
        assert!(!root.has("/etc/keys/mine"));
        assert_eq!(fs::read_link(root.host(OWN_LINK)).unwrap(), Path::new(OWN), "{what}");
        assert_eq!(root.mode(OWN_SCRIPT), 0o755);
    }
}

#[test]
fn a_regenerator_in_a_script_counts_too() {
    let root = HostTree::root();
    with_host_keys(&root);
    let script = "/usr/lib/raspberrypi-sys-mods/regenerate_ssh_host_keys";
    root.file(VENDOR, 0o644, VENDOR_TEXT.replace("/usr/bin/ssh-keygen -A -v", &format!("-{script} now")));
    root.file(script, 0o755, "#!/bin/sh -e\nrm -f /etc/ssh/ssh_host_*_key*\nssh-keygen -A > /dev/null\n");
    strip(&root);
    assert!(root.has(VENDOR_LINK) && !root.has(OWN));
}

#[test]
fn our_own_regenerator_makes_every_key_that_is_missing_and_none_that_is_there() {
    if !need("ssh-keygen") || !need("unshare") || !crate::support::need_root() {
        return;
    }
    let root = HostTree::root();
    with_host_keys(&root);
    root.file(
        "/etc/ssh/sshd_config",
        0o644,
        "HostKey /etc/ssh/ssh_host_ed25519_key\nhostkey = \"/etc/keys/odd_rsa\"\n",
    )
    .file("/etc/keys/odd_rsa", 0o600, "K")
    .file("/etc/keys/odd_rsa.pub", 0o644, "ssh-rsa AAAA x");
    strip(&root);
    // The script on this machine, with the image's /etc in the place of ours.
    let script = format!(
        "mount --bind '{}' /etc && mount --bind /dev/null /dev/null && exec sh '{}'",
        root.host("/etc").display(),
        root.host(OWN_SCRIPT).display()
    );
    root.file("/etc/passwd", 0o644, PASSWD);
    let go = || run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    go();
    let first = fs::read(root.host("/etc/ssh/ssh_host_ed25519_key")).unwrap();
    let public = root.text_of("/etc/keys/odd_rsa.pub").unwrap();
    assert!(public.starts_with("ssh-rsa ") && !public.contains("AAAA x"), "{public}");
    fs::write(root.host("/etc/ssh/ssh_host_rsa_key"), "").unwrap();
    go();
    assert_eq!(fs::read(root.host("/etc/ssh/ssh_host_ed25519_key")).unwrap(), first);
    assert!(
        root.host("/etc/ssh/ssh_host_rsa_key").metadata().unwrap().len() > 100,
        "a key that a power cut left empty is made again"
    );
}

#[test]
fn systemd_accepts_our_own_regenerator() {
    if !need("systemd-analyze") {
        return;
    }
    let root = HostTree::root();
    with_host_keys(&root);
    strip(&root);
    for target in ["multi-user", "sysinit", "basic", "shutdown"] {
        root.file(&format!("/usr/lib/systemd/system/{target}.target"), 0o644, "[Unit]\nDescription=x\n");
    }
    root.file("/bin/sync", 0o755, "#!/bin/sh\n");
    let out = Command::new("systemd-analyze")
        .arg("verify")
        .arg(format!("--root={}", root.path().display()))
        .arg("cardsmith-host-keys.service")
        .output()
        .unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn ssh_is_left_alone_where_host_keys_are_kept_and_where_there_is_no_server() {
    let root = HostTree::root();
    with_host_keys(&root);
    strip_with(&root, &HostTree::boot(), &keep("host-keys"));
    assert_eq!(host_keys_left(&root).len(), 6);
    assert!(!root.has(OWN));

    let root = HostTree::root();
    with_host_keys(&root);
    fs::remove_file(root.host("/usr/sbin/sshd")).unwrap();
    strip(&root);
    assert_eq!(host_keys_left(&root), [""; 0]);
    assert!(!root.has(OWN));
}

#[test]
fn histories_of_every_home_go_unless_they_are_kept() {
    let files = [
        "/root/.bash_history",
        "/home/pi/.bash_history",
        "/home/pi/.python_history",
        "/home/gone/.zsh_history",
        "/srv/svc/.lesshst",
    ];
    for (strip, left) in [(Strip::default(), false), (keep("histories"), true)] {
        let root = HostTree::root();
        root.file("/etc/passwd", 0o644, PASSWD).file("/home/pi/.bashrc", 0o644, "x");
        files.iter().for_each(|path| {
            root.file(path, 0o600, "amazon-ssm-agent -register -code SECRET");
        });
        strip_with(&root, &HostTree::boot(), &strip);
        for path in files {
            assert_eq!(root.has(path), left, "{path}");
        }
        assert!(root.has("/home/pi/.bashrc"));
    }
}

#[test]
fn logs_are_emptied_and_their_folders_and_owners_stay() {
    let root = HostTree::root();
    root.file("/var/log/auth.log", 0o640, "secret")
        .file("/var/log/auth.log.1", 0o640, "secret")
        .file("/var/log/apt/history.log", 0o644, "x")
        .file("/var/log/apt/history.log.1.gz", 0o644, "x")
        .file("/var/log/wtmp", 0o664, "x")
        .file("/var/log/journal/0123456789abcdef0123456789abcdef/system.journal", 0o640, "x")
        .file("/var/log/private/deep/er/x.log", 0o600, "x")
        .directory("/var/log/empty");
    root.link("/var/log/README", "../../usr/share/doc/systemd/README.logs");
    strip(&root);
    let left: Vec<String> = root.paths().into_iter().filter(|path| path.starts_with("/var/log/")).collect();
    let expected = [
        "README",
        "apt",
        "apt/history.log",
        "auth.log",
        "empty",
        "journal",
        "private",
        "private/deep",
        "private/deep/er",
        "private/deep/er/x.log",
        "wtmp",
    ];
    assert_eq!(left, expected.map(|name| format!("/var/log/{name}")));
    let full = Command::new("find").arg(root.host("/var/log")).args(["-type", "f", "-size", "+0"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&full.stdout), "");
    assert_eq!((root.mode("/var/log/auth.log"), root.mode("/var/log/wtmp")), (0o640, 0o664));

    let root = HostTree::root();
    root.file("/var/log/auth.log", 0o640, "kept").file("/var/log/journal/x/system.journal", 0o640, "kept");
    strip_with(&root, &HostTree::boot(), &keep("logs"));
    assert!(root.text_of("/var/log/auth.log").unwrap() == "kept" && root.has("/var/log/journal/x/system.journal"));
}

#[test]
fn seeds_leases_and_cloud_inits_state_go_by_name_in_the_recipe() {
    let groups: [(&str, &[&str]); 3] = [
        ("random-seed", &["/var/lib/systemd/random-seed"]),
        (
            "leases",
            &[
                "/var/lib/dhcp/dhclient.eth0.leases",
                "/var/lib/dhcpcd/duid",
                "/var/lib/NetworkManager/internal-x-eth0.lease",
            ],
        ),
        (
            "cloud-init",
            &[
                "/var/lib/cloud/instances/i-1/user-data.txt",
                "/var/lib/cloud/data/instance-id",
                "/var/lib/cloud/sem/config_x.once",
            ],
        ),
    ];
    for kept in 0..=groups.len() {
        let root = HostTree::root();
        for path in groups.iter().flat_map(|(_, paths)| *paths) {
            root.file(path, 0o600, "x");
        }
        root.file("/var/lib/cloud/seed/nocloud/user-data", 0o600, "#cloud-config\n").file(
            "/var/lib/cloud/scripts/per-boot/x",
            0o755,
            "#!/bin/sh\n",
        );
        root.link("/var/lib/cloud/instance", "/var/lib/cloud/instances/i-1");
        let strip = Strip {
            keep: groups.get(kept).and_then(|(keep, _)| Keep::named(keep)).into_iter().collect(),
            ..Strip::default()
        };
        strip_with(&root, &HostTree::boot(), &strip);
        for (index, (keep, paths)) in groups.iter().enumerate() {
            for path in *paths {
                assert_eq!(root.has(path), index == kept, "{keep} {path}");
            }
        }
        assert!(root.has("/var/lib/cloud/seed/nocloud/user-data") && root.has("/var/lib/cloud/scripts/per-boot/x"));
    }
}

const WIFI: &str = "[connection]\nid=home\ntype=wifi\n[wifi-security]\npsk=hunter2\n";

/// Where [`with_access`] leaves networks.
const WIFI_PLACES: [&str; 4] = [
    "/etc/NetworkManager/system-connections/home.nmconnection",
    "/etc/netplan/90-NM-1.yaml",
    "/etc/wpa_supplicant/wpa_supplicant.conf",
    "boot:/wpa_supplicant.conf",
];

fn with_access(root: &HostTree, boot: &HostTree) {
    root.file("/etc/passwd", 0o644, PASSWD)
        .file("/home/pi/.ssh/authorized_keys", 0o600, "ssh-ed25519 A me\n")
        .file("/root/.ssh/authorized_keys", 0o600, "ssh-ed25519 A me\n")
        .file("/etc/NetworkManager/system-connections/home.nmconnection", 0o600, WIFI)
        .file("/etc/NetworkManager/system-connections/eth0.nmconnection", 0o600, "[connection]\ntype=ethernet\n")
        .file("/etc/netplan/90-NM-1.yaml", 0o600, "network:\n  wifis:\n    x: {}\n")
        .file("/etc/wpa_supplicant/wpa_supplicant.conf", 0o600, "country=GB\nnetwork={\n\tpsk=hunter2\n}\n");
    boot.file("/wpa_supplicant.conf", 0o644, "country=GB\nnetwork={\n\tpsk=hunter2\n}\n");
}

#[test]
fn keys_and_networks_of_the_operator_stay_unless_the_recipe_says_otherwise() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    with_access(&root, &boot);
    let plan = strip_with(&root, &boot, &keep("wifi"));
    assert!(root.has("/home/pi/.ssh/authorized_keys") && root.has("/etc/netplan/90-NM-1.yaml"));
    assert!(boot.text_of("/wpa_supplicant.conf").unwrap().contains("hunter2"));
    let notes = said(&plan, Severity::Note);
    assert!(notes.contains("/home/pi/.ssh/authorized_keys"), "{notes}");
    assert!(WIFI_PLACES.iter().all(|place| !notes.contains(place)), "what is kept by name is meant: {notes}");

    let plan = strip_with(&root, &boot, &Strip::default());
    let notes = said(&plan, Severity::Note);
    for place in WIFI_PLACES {
        let line = notes.lines().find(|line| line.contains(place)).unwrap_or_else(|| panic!("{place}: {notes}"));
        assert!(line.contains("Wi-Fi") && line.contains("also = [") && line.contains("keep = ["), "{line}");
    }
    assert!(!notes.contains("eth0.nmconnection"), "{notes}");
    assert!(root.has("/etc/NetworkManager/system-connections/home.nmconnection"));

    let strip =
        Strip { also: vec![Also::named("wifi").unwrap(), Also::named("authorized-keys").unwrap()], ..Strip::default() };
    strip_with(&root, &boot, &strip);
    for path in [
        "/home/pi/.ssh/authorized_keys",
        "/root/.ssh/authorized_keys",
        "/etc/netplan/90-NM-1.yaml",
        "/etc/NetworkManager/system-connections/home.nmconnection",
    ] {
        assert!(!root.has(path), "{path}");
    }
    assert!(root.has("/etc/NetworkManager/system-connections/eth0.nmconnection"));
    assert_eq!(root.text_of("/etc/wpa_supplicant/wpa_supplicant.conf").unwrap(), "country=GB\n");
    assert_eq!(boot.text_of("/wpa_supplicant.conf").unwrap(), "country=GB\n");
}

#[test]
fn a_recipe_that_keeps_and_strips_the_same_is_refused() {
    let strip = Strip {
        keep: vec![Keep::named("wifi").unwrap()],
        also: vec![Also::named("wifi").unwrap()],
        ..Strip::default()
    };
    let refused = proposed(&HostTree::root(), &HostTree::boot(), &strip);
    assert!(refused.err().unwrap().to_string().contains("wifi"));
}

#[test]
fn a_swap_file_goes_where_something_makes_it_again_or_nothing_uses_it() {
    let mut swap = vec![7_u8; 8192];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    let root = HostTree::root();
    root.file("/var/swap", 0o600, &swap)
        .file("/etc/dphys-swapfile", 0o644, "#CONF_SWAPFILE=/x\nCONF_SWAPFILE=/srv/swap\n")
        .file("/srv/swap", 0o600, &swap);
    strip(&root);
    assert!(!root.has("/var/swap") && !root.has("/srv/swap"));

    // Nothing swaps to it any more: it only holds the old machine's memory.
    let root = HostTree::root();
    root.file("/var/swap", 0o600, &swap);
    strip(&root);
    assert!(!root.has("/var/swap"));

    let root = HostTree::root();
    root.file("/etc/dphys-swapfile", 0o644, "")
        .file("/etc/fstab", 0o644, "/swap none swap sw 0 0\n#/x none swap\n")
        .file("/etc/systemd/system/srv-memory.swap", 0o644, "[Swap]\nWhat=/srv/memory\n")
        .file("/swap", 0o600, &swap)
        .file("/srv/memory", 0o600, &swap)
        .file("/var/swap", 0o600, "no swap at all");
    let warned = said(&strip(&root), Severity::Warning);
    for path in ["/swap", "/srv/memory"] {
        assert!(warned.lines().any(|line| line.starts_with(&format!("{path} is a swap file"))), "{warned}");
        assert!(root.has(path), "{path}");
    }
    assert!(root.has("/var/swap"));

    let root = HostTree::root();
    root.file("/var/swap", 0o600, &swap);
    strip_with(&root, &HostTree::boot(), &keep("swap"));
    assert!(root.has("/var/swap"));
}

#[test]
fn a_first_boot_script_that_has_run_goes_and_one_that_would_register_is_reported() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    let script = "#!/bin/sh\nset +e\namazon-ssm-agent -register -y -code 'AbC' -id x -region y\n";
    boot.file("/cmdline.txt", 0o644, "console=tty1 root=x rootwait").file("/firstrun.sh", 0o755, script).file(
        "/user-data",
        0o644,
        "#cloud-config\nruncmd:\n - ssm-setup-cli -register -activation-code AbC\n",
    );
    root.file(
        "/etc/systemd/system/old.service",
        0o644,
        "[Service]\nExecStart=/usr/bin/amazon-ssm-agent -register -code AbC\n",
    );
    let plan = strip_with(&root, &boot, &Strip::default());
    assert!(!boot.has("/firstrun.sh"));
    let warned = said(&plan, Severity::Warning);
    assert!(warned.contains("boot:/user-data:3") && warned.contains("/etc/systemd/system/old.service:2"), "{warned}");
    assert!(!warned.contains("AbC"), "{warned}");

    let boot = HostTree::boot();
    boot.file("/cmdline.txt", 0o644, "root=x systemd.run=/boot/firstrun.sh").file("/firstrun.sh", 0o755, script);
    let plan = strip_with(&HostTree::root(), &boot, &Strip::default());
    assert!(boot.has("/firstrun.sh") && said(&plan, Severity::Warning).contains("boot:/firstrun.sh:3"));
}

#[test]
fn what_a_fleet_must_not_share_is_said_where_it_stays() {
    let root = HostTree::root();
    root.file("/etc/passwd", 0o644, PASSWD)
        .file(
            "/home/pi/.ssh/id_ed25519",
            0o600,
            ["-----BEGIN OPENSSH PRIV", "ATE KEY-----\nb3BlbnNzaC1rZXk=\n"].concat(),
        )
        .file("/home/pi/.ssh/id_ed25519.pub", 0o600, "ssh-ed25519 AAAA pi@old\n")
        .file("/var/lib/tailscale/tailscaled.state", 0o600, "k");
    let plan = strip(&root);
    let warned = said(&plan, Severity::Warning);
    assert_eq!(warned.lines().filter(|line| line.contains("id_ed25519")).count(), 1, "{warned}");
    assert!(!warned.contains("id_ed25519.pub"), "a public key is no secret: {warned}");
    assert!(warned.contains("tailscaled.state"));
    assert!(root.has("/home/pi/.ssh/id_ed25519"));
    let strip = Strip {
        also: vec![Also::named("tailscale").unwrap()],
        keep: vec![Keep::named("keys").unwrap()],
        ..Strip::default()
    };
    let plan = strip_with(&root, &HostTree::boot(), &strip);
    assert!(!root.has("/var/lib/tailscale/tailscaled.state") && root.has("/home/pi/.ssh/id_ed25519"));
    assert_eq!(said(&plan, Severity::Warning), "", "what goes or is kept by name is no warning");
}

#[test]
fn a_plan_shows_nothing_of_what_it_strips() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    with_host_keys(&root);
    with_access(&root, &boot);
    root.file("/etc/machine-id", 0o444, "0123456789abcdef0123456789abcdef\n")
        .file("/var/log/auth.log", 0o640, "hunter2")
        .file("/home/pi/.bash_history", 0o600, "hunter2");
    let strip =
        Strip { also: vec![Also::named("wifi").unwrap(), Also::named("authorized-keys").unwrap()], ..Strip::default() };
    for edit in proposed(&root, &boot, &strip).unwrap().edits {
        assert!(edit.before.is_none(), "{}", edit.path);
        assert!(!edit.reason.text.is_empty() && !edit.reason.source.is_empty(), "{}", edit.path);
    }
    for rule in IDENTITY.iter().flat_map(|subject| subject.rules) {
        for place in rule.places {
            assert!(["/", "~/", "boot:/"].iter().any(|start| place.starts_with(start)), "{}: {place}", rule.id);
        }
        assert!(!rule.places.is_empty() && !rule.source.is_empty(), "{}", rule.id);
    }
}

#[test]
fn an_image_as_published_keeps_every_file() {
    let root = HostTree::root();
    root.file("/etc/machine-id", 0o444, "uninitialized\n")
        .file("/etc/passwd", 0o644, PASSWD)
        .file("/usr/sbin/sshd", 0o755, "elf")
        .file(VENDOR, 0o644, VENDOR_TEXT)
        .file("/var/log/wtmp", 0o664, "")
        .directory("/tmp")
        .directory("/var/tmp");
    root.link(VENDOR_LINK, "/lib/systemd/system/regenerate_ssh_host_keys.service").link("/lib", "usr/lib");
    let boot = HostTree::boot();
    boot.file("/cmdline.txt", 0o644, "x").file("/user-data", 0o644, "#cloud-config\n");
    let plan = proposed(&root, &boot, &Strip::default()).unwrap();
    assert_eq!((plan.edits.len(), plan.findings.len()), (0, 0));
}
