//! sshd's configuration: what the strip step and the audit read out of it is what `sshd -T` says.

use std::collections::BTreeSet;
use std::process::Command;

use cardsmith::prepare::{Change, Plan, Severity};
use cardsmith::strip::{Also, Strip, StripStep};

use crate::support::host_tree::{self, HostTree, carry_out};
use crate::support::root_image::audited;
use crate::support::{need, need_root, path, run};

const KEY: &str =
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----\n";
const PASSWD: &str =
    "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\npi:x:1000:1000::/home/pi:/bin/sh\n";
/// Files that the configurations below may name. Each is there, so that what is removed tells what was read.
const FILES: [&str; 16] = [
    "/k/1",
    "/k/2",
    "/k/3",
    "/k/4",
    "/k/a b",
    "/k/x#y",
    "/k/x",
    "/root/k",
    "/home/pi/k",
    "/etc/ssh/k",
    "/k/1-cert.pub",
    "/k/ca.pub",
    "/etc/keys/pi",
    "/home/pi/.k",
    "/home/pi/.ssh/authorized_keys",
    "/$HOME/k",
];

/// A configuration: files below `/etc/ssh`, of which `sshd_config` is the first.
fn configurations() -> Vec<Vec<(&'static str, &'static str)>> {
    let alone = [
        "HostKey /k/1\nHostKey /k/2\n",
        "hostKEY=/k/1\n",
        "HostKey = /k/1\n",
        "HostKey= \"/k/1\"\n",
        "\"HostKey\" /k/1\n",
        "\t HostKey\t/k/1 \t\n",
        "HostKey \"/k/a b\"\n",
        "HostKey '/k/a b'\n",
        "HostKey /k/a\\ b\n",
        "HostKey \"/k\"/1\n",
        "HostKey /k/1 # a comment\n",
        "HostKey /k/x#y\n",
        "#HostKey /k/1\n  # HostKey /k/3\nHostKey /k/2\n",
        "HostKey /k/1\r\nHostKey /k/2\r\n",
        "HostKey /k/1",
        "HostKey none\n",
        "HostKey none\nHostKey /k/1\n",
        "HostKey k/1\n",
        "HostKey ~/k\n",
        "HostKey ~pi/k\n",
        "HostKey $HOME/k\n",
        "HostDSAKey /k/1\n",
        "HostKey /k/1\nHostCertificate /k/1-cert.pub\n",
        "HostCertificate k/1-cert.pub\nHostKey /k/1\n",
        "HostKey /etc/../k/1\n",
        "HostKey /k//1\n",
        "Match all\nHostKey /k/1\n",
        "HostKey /k/1\nHostKey /k/1\n",
        "TrustedUserCAKeys /k/ca.pub\n",
        "TrustedUserCAKeys none\nHostKey /k/1\n",
        "AuthorizedKeysFile /etc/keys/%u .k\n",
        "AuthorizedKeysFile=%h/.k\nPort 2222\n",
        "AuthorizedKeysFile none\n",
        "Port 22\n",
        "HostKey /k/1\x0c\n",
    ];
    let mut all: Vec<_> = alone.into_iter().map(|text| vec![("sshd_config", text)]).collect();
    all.extend([
        vec![
            ("sshd_config", "Include sshd_config.d/*.conf\nHostKey /k/1\n"),
            ("sshd_config.d/b.conf", "HostKey /k/2\n"),
            ("sshd_config.d/.c.conf", "HostKey /k/3\n"),
            ("sshd_config.d/d.conf.bak", "HostKey /k/4\n"),
        ],
        vec![
            ("sshd_config", "Include /etc/ssh/a.conf\n"),
            ("a.conf", "Include more/*\n"),
            ("more/x", "HostKey /k/3\n"),
        ],
        vec![("sshd_config", "Include a.conf b.conf\n"), ("a.conf", "HostKey /k/1\n"), ("b.conf", "HostKey /k/2\n")],
        vec![("sshd_config", "include=\"a b.conf\"\n"), ("a b.conf", "HostKey /k/1\n")],
        vec![("sshd_config", "Include {a,b}.conf\nHostKey /k/2\n"), ("a.conf", "HostKey /k/1\n")],
        vec![
            ("sshd_config", "Include [ab].conf ?x\n"),
            ("a.conf", "HostKey /k/1\n"),
            ("c.conf", "HostKey /k/2\n"),
            ("1x", "HostKey /k/3\n"),
        ],
        vec![("sshd_config", "Include [!a].conf\n"), ("a.conf", "HostKey /k/1\n"), ("c.conf", "HostKey /k/2\n")],
        vec![("sshd_config", "Include [^a].conf\n"), ("a.conf", "HostKey /k/1\n"), ("c.conf", "HostKey /k/2\n")],
        vec![("sshd_config", "Include */z.conf\n"), ("d1/z.conf", "HostKey /k/1\n"), ("d2/z.conf", "HostKey /k/2\n")],
        vec![("sshd_config", "Include nothing.conf none.d/*\nHostKey /k/1\n")],
        vec![
            ("sshd_config", "Include ~/k.conf\nHostKey /k/1\n"),
            ("../../root/k.conf", "HostKey /k/2\n"),
            ("../../~/k.conf", "HostKey /k/3\n"),
        ],
        vec![("sshd_config", "Include /etc/ssh/../ssh/a.conf\n"), ("a.conf", "HostKey /k/1\n")],
        vec![("sshd_config", "Match user pi\nInclude a.conf\n"), ("a.conf", "AuthorizedKeysFile /etc/keys/%u\n")],
        vec![("sshd_config", "Include a.conf\nHostKey /k/1\n"), ("a.conf", "Match user pi\nAuthorizedKeysFile .k\n")],
    ]);
    all
}

fn system(files: &[(&str, &str)]) -> HostTree {
    let root = HostTree::root();
    root.file("/etc/passwd", 0o644, PASSWD)
        .directory("/run/sshd")
        .directory("/dev")
        .directory("/usr")
        .directory("/home/pi");
    for file in FILES {
        root.file(file, 0o600, KEY);
    }
    for (name, text) in files {
        root.directory("/etc/ssh").file(&format!("/etc/ssh/{name}"), 0o644, text);
    }
    root
}

/// What sshd itself says: keywords in lower case, with their arguments. It runs in the tree, with this machine's programs.
fn sshd_says(root: &HostTree, user: &str) -> Vec<(String, String)> {
    for link in ["bin", "lib", "lib64", "sbin"] {
        if std::fs::symlink_metadata(format!("/{link}")).is_ok_and(|meta| meta.is_symlink())
            && !root.has(&format!("/{link}"))
        {
            root.link(&format!("/{link}"), &format!("usr/{link}"));
        }
    }
    let loadable = root.host("/run/loadable");
    if !loadable.exists() {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&loadable));
    }
    let script = "mount --bind /usr $1/usr && mount --rbind /dev $1/dev && cd $1 && exec chroot $1 /usr/sbin/sshd -T -h /run/loadable -C user=$2,host=h,addr=10.0.0.1";
    let out = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(root.path())
        .arg(user)
        .env("PATH", path())
        .output()
        .unwrap();
    assert!(out.status.success(), "sshd -T: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

/// A path as it is in the tree: from the root, and without detours.
fn settled(root: &HostTree, path: &str) -> Option<String> {
    let host = root.host(path).canonicalize().ok()?;
    Some(format!("/{}", host.strip_prefix(root.path()).ok()?.display()))
}

fn proposed(root: &HostTree, strip: &Strip) -> Plan {
    host_tree::proposed(&StripStep::identity(strip), root, &HostTree::boot()).unwrap()
}

fn removed(plan: &Plan) -> BTreeSet<String> {
    let removed = plan.edits.iter().filter(|edit| matches!(edit.change, Change::Remove));
    removed
        .map(|edit| String::from_utf8_lossy(edit.path.as_bytes()).into_owned())
        .filter(|path| FILES.contains(&path.as_str()))
        .collect()
}

#[test]
fn the_step_and_the_audit_know_every_file_that_sshd_reads() {
    let tools = ["sshd", "ssh-keygen", "unshare", "chroot", "sfdisk", "mke2fs", "mkfs.fat", "mcopy"];
    if !tools.iter().all(|tool| need(tool)) || !need_root() {
        return;
    }
    for files in configurations() {
        let root = system(&files);
        let said = sshd_says(&root, "pi");
        let of = |words: &[&str]| -> BTreeSet<String> {
            let said = said.iter().filter(|(word, _)| words.contains(&word.as_str())).map(|(_, path)| path);
            said.filter_map(|path| settled(&root, path)).filter(|path| FILES.contains(&path.as_str())).collect()
        };
        let also = ["authorized-keys", "ssh-trusted-ca"].map(|name| Also::named(name).unwrap());
        let ours = removed(&proposed(&root, &Strip { also: also.to_vec(), ..Strip::default() }));
        let mut theirs = of(&["hostkey", "hostcertificate", "trustedusercakeys"]);
        // A certificate beside its key goes with it, whether it is named or not.
        if theirs.contains("/k/1") {
            theirs.insert("/k/1-cert.pub".to_owned());
        }
        for (_, patterns) in said.iter().filter(|(word, _)| word == "authorizedkeysfile") {
            for pattern in patterns.split(' ') {
                let name = pattern.replace("%u", "pi").replace("%h", "/home/pi");
                let name = if name.starts_with('/') { name } else { format!("/home/pi/{name}") };
                theirs.extend(settled(&root, &name).filter(|path| FILES.contains(&path.as_str())));
            }
        }
        // Also where sshd_config names another file: the default is read again when that line goes.
        theirs.insert("/home/pi/.ssh/authorized_keys".to_owned());
        assert_eq!(ours, theirs, "{files:?}");

        let found = audited(&root, &HostTree::boot());
        let places = |id: &str| -> BTreeSet<String> {
            let places = found.iter().filter(|(rule, _)| rule == id).filter_map(|(_, place)| settled(&root, place));
            places.filter(|path| FILES.contains(&path.as_str())).collect()
        };
        assert_eq!(places("host-keys"), of(&["hostkey"]), "{files:?}");
        let logins: BTreeSet<String> = ["/etc/keys/pi", "/home/pi/.k", "/home/pi/.ssh/authorized_keys"]
            .map(str::to_owned)
            .into_iter()
            .filter(|path| theirs.contains(path))
            .collect();
        assert_eq!(places("authorized-keys"), logins, "{files:?}");
    }
}

#[test]
fn options_that_sshd_is_started_with_name_keys_too() {
    for (path, text) in [
        ("/etc/default/ssh", "SSHD_OPTS=\"-h /k/1 -oHostKey=/k/2 -c /k/1-cert.pub\"\n"),
        ("/etc/default/ssh", "SSHD_OPTS='-f /etc/other'\n"),
        (
            "/etc/systemd/system/ssh.service.d/keys.conf",
            "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -h /k/1 \\\n  -h /k/2\n",
        ),
        ("/etc/systemd/system/ssh@.service", "[Service]\nExecStart=-/usr/sbin/sshd -i -f /etc/other\n"),
    ] {
        let root = system(&[("sshd_config", "Port 22\n")]);
        root.file("/etc/other", 0o644, "HostKey /k/1\nHostKey /k/2\n").file(path, 0o644, text);
        let plan = proposed(&root, &Strip::default());
        assert!(removed(&plan).is_superset(&["/k/1", "/k/2"].map(str::to_owned).into()), "{text}");
        let warns = plan
            .findings
            .iter()
            .any(|found| found.severity == Severity::Warning && found.text.contains("-f /etc/other"));
        assert_eq!(warns, text.contains("-f"), "{text}: {:?}", plan.findings);
        if need("sfdisk") && need("mke2fs") && need("mkfs.fat") && need("mcopy") {
            let found = audited(&root, &HostTree::boot());
            assert!(found.contains(&("host-keys".to_owned(), "/k/2".to_owned())), "{text}: {found:?}");
        }
    }
}

#[test]
fn keys_are_removed_where_links_lead_and_nothing_else_is() {
    let root = system(&[(
        "sshd_config",
        "HostKey /k/link\nHostKey /home\nHostKey /etc/passwd/x\nHostCertificate /etc\nHostCertificate /k/1-cert.pub\nHostKeyAgent /run/agent\n",
    )]);
    root.link("/k/link", "/opt/real")
        .file("/opt/real", 0o600, KEY)
        .link("/etc/ssh/ssh_host_rsa_key", "/data/rsa")
        .file("/data/rsa", 0o600, KEY);
    for old in
        ["/etc/ssh/ssh_host_rsa_key.bak", "/etc/ssh.bak/ssh_host_ed25519_key", "/etc/ssh/old/ssh_host_rsa_key.pub"]
    {
        root.file(old, 0o600, KEY);
    }
    let plan = proposed(&root, &Strip::default());
    carry_out(&plan, &root, &HostTree::boot());
    for path in [
        "/k/link",
        "/opt/real",
        "/etc/ssh/ssh_host_rsa_key",
        "/data/rsa",
        "/k/1-cert.pub",
        "/etc/ssh/ssh_host_rsa_key.bak",
        "/etc/ssh.bak/ssh_host_ed25519_key",
        "/etc/ssh/old/ssh_host_rsa_key.pub",
    ] {
        assert!(!root.has(path), "{path}");
    }
    assert!(root.has("/etc/passwd") && root.has("/home/pi"));
    assert!(plan.findings.iter().any(|found| found.text.contains("HostKeyAgent")));
}

#[test]
fn whom_an_authority_lets_in_is_named_once() {
    let root = system(&[("sshd_config", "TrustedUserCAKeys /k/ca.pub\nAuthorizedPrincipalsFile /etc/principals/%u\n")]);
    root.file("/etc/principals/pi", 0o644, "fleet\n");
    let plan = proposed(&root, &Strip::default());
    let named: Vec<&str> = plan
        .findings
        .iter()
        .filter(|found| found.rule == Some("ssh-trusted-ca"))
        .map(|found| found.text.as_str())
        .collect();
    assert!(
        matches!(named.as_slice(), [one] if one.contains("/k/ca.pub") && one.contains("/etc/principals/pi")),
        "{named:?}"
    );
    assert!(removed(&plan).is_empty());
}
