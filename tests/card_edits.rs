//! A card's own edits: its name everywhere that counts, and its activation in one file that only root can read.

use cardsmith::activation::{Activation, ActivationCode};
use cardsmith::prepare::{Change, Content, Plan};
use cardsmith::provision::card::{CardIdentity, CardOwn, card_edits};

use crate::support::host_tree::{HostTree, carry_out};

const CODE: &str = "S3cret/Activation+Code==";
const FILE: &str = "/var/lib/cardsmith/activation";

fn activation() -> Activation {
    Activation {
        id: "1111-2222".into(),
        code: ActivationCode::new(CODE.into()),
        region: "eu-west-1".into(),
        expires: None,
    }
}

fn own(activation: &Activation) -> CardOwn<'_> {
    CardOwn { activation: Some(activation), ..CardOwn::default() }
}

fn card(name: &str) -> CardIdentity {
    CardIdentity { name: name.into(), serial: 7 }
}

fn golden() -> (HostTree, HostTree) {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    root.file("/etc/hostname", 0o644, "raspberrypi\n").file(
        "/etc/hosts",
        0o644,
        "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n",
    );
    boot.file("/cmdline.txt", 0o644, "x");
    (root, boot)
}

fn make(root: &HostTree, boot: &HostTree) -> Plan {
    let plan = card_edits(root, boot, &card("kiosk-0007"), own(&activation())).unwrap().plan;
    carry_out(&plan, root, boot);
    plan
}

#[test]
fn a_card_gets_its_name_and_its_activation() {
    let (root, boot) = golden();
    let plan = make(&root, &boot);
    assert_eq!(root.text_of("/etc/hostname").unwrap(), "kiosk-0007\n");
    assert_eq!(root.text_of("/etc/hosts").unwrap(), "127.0.0.1\tlocalhost\n127.0.1.1\tkiosk-0007\n");
    assert_eq!(root.text_of(FILE).unwrap(), format!("id=1111-2222\ncode={CODE}\nregion=eu-west-1\nname=kiosk-0007\n"));
    assert_eq!((root.mode(FILE), root.mode("/var/lib/cardsmith")), (0o600, 0o700));
    assert_eq!(boot.paths(), ["", "/cmdline.txt"], "nothing on the boot partition, which has no owners");
    let secret = plan.edits.iter().find(|edit| edit.path.to_string() == FILE).unwrap();
    assert!(matches!(&secret.change, Change::Write { content: Content::Secret(_), .. }));
    assert!(plan.edits.iter().all(|edit| !edit.reason.text.contains(CODE)));
}

#[test]
fn a_card_without_activation_has_no_activation_file() {
    let (root, boot) = golden();
    let plan = card_edits(&root, &boot, &card("kiosk-0007"), CardOwn::default()).unwrap().plan;
    carry_out(&plan, &root, &boot);
    assert!(!root.has("/var/lib/cardsmith"));
    assert_eq!(root.text_of("/etc/hostname").unwrap(), "kiosk-0007\n");
}

#[test]
fn a_name_that_is_no_host_name_is_refused_before_anything() {
    let (root, boot) = golden();
    for name in ["", "-a", "a-", "a_b", "a.b", "A", "a b", "é", &"a".repeat(64), "a\n127.0.0.1 evil", "../x"] {
        let refused = card_edits(&root, &boot, &card(name), CardOwn::default());
        assert!(refused.err().unwrap().to_string().contains("card 7 cannot be named"), "{name:?}");
    }
    assert!(card_edits(&root, &boot, &card(&"a".repeat(63)), CardOwn::default()).is_ok());
}

#[test]
fn first_boot_programs_do_not_give_the_card_another_name() {
    let (root, boot) = golden();
    root.file("/etc/cloud/cloud.cfg", 0o644, "preserve_hostname: false\n");
    let user_data = "#cloud-config\nhostname: raspberrypi\nmanage_etc_hosts: true\npreserve_hostname: false\nusers:\n- name: pi\n  passwd: $5$hash\n";
    boot.file("/user-data", 0o644, user_data).file(
        "/custom.toml",
        0o644,
        "config_version = 1\n[system]\nhostname = \"raspberrypi\"\n[user]\nname = \"pi\"\n",
    );
    let plan = make(&root, &boot);
    assert_eq!(
        boot.text_of("/user-data").unwrap(),
        "#cloud-config\nhostname: kiosk-0007\nmanage_etc_hosts: true\nusers:\n- name: pi\n  passwd: $5$hash\n"
    );
    assert_eq!(
        boot.text_of("/custom.toml").unwrap(),
        "config_version = 1\n[system]\nhostname = \"kiosk-0007\"\n[user]\nname = \"pi\"\n"
    );
    let told = root.text_of("/etc/cloud/cloud.cfg.d/zz-cardsmith-hostname.cfg").unwrap();
    assert!(told.contains("\npreserve_hostname: true\nhostname: kiosk-0007\n"), "{told}");
    let hash_shown = plan.edits.iter().any(|edit| match &edit.change {
        Change::Write { content: Content::Bytes(bytes), .. } => String::from_utf8_lossy(bytes).contains("$5$hash"),
        _ => edit.before.as_ref().is_some_and(|old| String::from_utf8_lossy(old).contains("$5$hash")),
    });
    assert!(!hash_shown);
}

#[test]
fn user_data_that_names_nothing_is_not_touched() {
    for text in
        ["#cloud-config\nusers: []\n", "#!/bin/sh\nhostname: x\n", "", "#cloud-config\nchpasswd:\n  hostname: x\n"]
    {
        let (root, boot) = golden();
        boot.file("/user-data", 0o644, text);
        let plan = make(&root, &boot);
        assert_eq!(boot.text_of("/user-data").unwrap(), text);
        assert!(plan.edits.iter().all(|edit| edit.volume == cardsmith::prepare::Volume::Root), "{text:?}");
    }
}

#[test]
fn a_script_that_renames_the_card_is_reported() {
    let (root, boot) = golden();
    boot.file(
        "/firstrun.sh",
        0o755,
        "#!/bin/bash\n/usr/lib/raspberrypi-sys-mods/imager_custom set_hostname raspberrypi\n",
    );
    let plan = make(&root, &boot);
    assert!(plan.findings.iter().any(|found| found.text.contains("firstrun.sh")));
}

#[test]
fn symlinked_and_missing_name_files_are_handled_inside_the_image() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    root.link("/etc/hosts", "../data/hosts").file("/data/hosts", 0o664, "127.0.1.1 old.lan old alias\n").file(
        "/etc/hostname",
        0o644,
        "# comment\nold\n",
    );
    make(&root, &boot);
    assert_eq!(root.text_of("/data/hosts").unwrap(), "127.0.1.1\tkiosk-0007 alias\n");
    assert_eq!(root.mode("/data/hosts"), 0o664);
    assert!(root.host("/etc/hosts").symlink_metadata().unwrap().file_type().is_symlink());
    let (root, boot) = (HostTree::root(), HostTree::boot());
    make(&root, &boot);
    assert!(root.text_of("/etc/hosts").unwrap().contains("127.0.1.1\tkiosk-0007\n"));
}

#[test]
fn making_the_same_card_twice_changes_nothing_but_the_secret() {
    let (root, boot) = golden();
    root.file("/etc/cloud/cloud.cfg", 0o644, "x");
    boot.file("/user-data", 0o644, "#cloud-config\nhostname: a\n");
    make(&root, &boot);
    let again = card_edits(&root, &boot, &card("kiosk-0007"), own(&activation())).unwrap().plan;
    let paths: Vec<String> = again.edits.iter().map(|edit| edit.path.to_string()).collect();
    assert_eq!(paths, [FILE]);
}
