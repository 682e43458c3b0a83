//! Swap files, made by mkswap: they go where they are made again or nobody uses them, and the audit finds each.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use cardsmith::prepare::{Plan, Severity};
use cardsmith::strip::{Keep, Strip, StripStep};

use crate::support::host_tree::{self, HostTree, carry_out};
use crate::support::root_image::audited;
use crate::support::{need, run};

fn proposed(root: &HostTree, strip: &Strip) -> Plan {
    host_tree::proposed(&StripStep::identity(strip), root, &HostTree::boot()).unwrap()
}

fn system() -> HostTree {
    let root = HostTree::root();
    root.file("/etc/machine-id", 0o444, "");
    root
}

fn make_swap(root: &HostTree, path: &str, page: &str) {
    root.file(path, 0o600, vec![0; 1 << 20]);
    run(Command::new("mkswap").args(["-q", "-p", page]).arg(root.host(path)));
}

fn can_audit() -> bool {
    ["mkswap", "sfdisk", "mke2fs", "mkfs.fat", "mcopy"].iter().all(|tool| need(tool))
}

#[test]
fn swap_files_go_and_the_audit_finds_each() {
    if !can_audit() {
        return;
    }
    let root = system();
    for (path, page) in [("/var/swap", "4096"), ("/swapfile", "16384"), ("/swap/a", "65536"), ("/opt/named", "4096")] {
        make_swap(&root, path, page);
    }
    root.file("/etc/dphys-swapfile", 0o644, "# CONF_SWAPFILE=/etc/passwd\nCONF_SWAPFILE=\"/opt/named\"\n");
    root.file("/etc/rpi/swap.conf.d/1.conf", 0o644, "[File]\nPath=/srv/backing\n");
    root.file("/srv/backing", 0o600, vec![7; 64 << 10]);
    root.file("/var/swap.txt", 0o644, "how to make one\n");
    // Hibernated into: the mark of mkswap is replaced.
    make_swap(&root, "/var/lib/swap1", "4096");
    File::options().write(true).open(root.host("/var/lib/swap1")).unwrap().write_all_at(b"S1SUSPEND\0", 4086).unwrap();
    let swaps = ["/opt/named", "/srv/backing", "/swap/a", "/swapfile", "/var/lib/swap1", "/var/swap"];

    let found = audited(&root, &HostTree::boot());
    let mut places: Vec<&str> =
        found.iter().filter(|(rule, _)| rule == "swap").map(|(_, place)| place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, swaps);

    let keep = Strip { keep: vec![Keep::named("swap").unwrap()], ..Strip::default() };
    assert_eq!(proposed(&root, &keep).edits.len(), 0);
    let plan = proposed(&root, &Strip::default());
    carry_out(&plan, &root, &HostTree::boot());
    for path in swaps {
        assert!(!root.has(path), "{path}: {:?}", plan.findings);
    }
    assert!(root.has("/var/swap.txt"));
    assert!(audited(&root, &HostTree::boot()).iter().all(|(rule, _)| rule != "swap"));
}

#[test]
fn a_swap_file_that_only_fstab_or_a_unit_knows_stays_and_is_named() {
    if !can_audit() {
        return;
    }
    let root = system();
    make_swap(&root, "/home/big", "4096");
    make_swap(&root, "/data/unit", "4096");
    root.file("/etc/fstab", 0o644, "/dev/sda2 none swap sw 0 0\n/home/big none swap sw 0 0\n");
    root.file("/etc/systemd/system/data-unit.swap", 0o644, "[Swap]\nWhat=/data/unit\n");
    let plan = proposed(&root, &Strip::default());
    assert_eq!(plan.edits.len(), 0);
    for path in ["/home/big", "/data/unit"] {
        let named = plan.findings.iter().any(|found| {
            found.rule == Some("swap") && found.severity == Severity::Warning && found.text.contains(path)
        });
        assert!(named, "{path}: {:?}", plan.findings);
        assert!(audited(&root, &HostTree::boot()).contains(&("swap".to_owned(), path.to_owned())), "{path}");
    }
}

#[test]
fn the_audit_finds_a_swap_file_under_any_name() {
    if !can_audit() {
        return;
    }
    let root = HostTree::root();
    make_swap(&root, "/home/pi/downloads/memory.bin", "16384");
    root.file("/home/pi/downloads/film.bin", 0o644, vec![1; 1 << 20]);
    let found = audited(&root, &HostTree::boot());
    let places: Vec<&str> = found.iter().filter(|(rule, _)| rule == "swap").map(|(_, place)| place.as_str()).collect();
    assert_eq!(places, ["/home/pi/downloads/memory.bin"]);
}

#[test]
fn a_link_that_leads_the_clearing_of_temporary_files_astray_stops_the_golden_image() {
    for (link, target) in [("/tmp", "/"), ("/tmp", "/home"), ("/var/tmp", "/etc"), ("/var/log", "/home")] {
        let root = HostTree::root();
        root.file("/etc/hosts", 0o644, "127.0.0.1 localhost\n").file("/home/pi/photo", 0o644, "1").directory("/var");
        root.link(link, target);
        let plan = proposed(&root, &Strip::default());
        assert!(plan.blockers().any(|found| found.text.contains(link)), "{link}: {:?}", plan.findings);
        carry_out(&plan, &root, &HostTree::boot());
        assert!(root.text_of("/home/pi/photo").is_some_and(|text| text == "1") && root.has("/etc/hosts"), "{link}");
    }
    // Where whatever is in a directory goes, a link to the system holds nothing of the kind.
    let root = system();
    root.file("/home/pi/photo", 0o644, "1").directory("/var").link("/var/crash", "/").link("/var/mail", "/home");
    assert_eq!(proposed(&root, &Strip::default()).edits.len(), 0);
    let root = HostTree::root();
    root.file("/var/tmp/old", 0o644, "1")
        .link("/tmp", "var/tmp")
        .file("/data/log/syslog", 0o644, "x")
        .link("/var/log", "/data/log");
    let plan = proposed(&root, &Strip::default());
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.findings);
    carry_out(&plan, &root, &HostTree::boot());
    assert!(!root.has("/var/tmp/old"));
    assert_eq!(root.text_of("/data/log/syslog").unwrap(), "");
}

#[test]
fn settings_that_are_too_large_to_be_read_are_said() {
    let root = system();
    for path in ["/etc/dphys-swapfile", "/etc/fstab"] {
        root.file(path, 0o644, "# padding\n".repeat(200_000) + "CONF_SWAPFILE=/opt/named\n/opt/named none swap\n");
    }
    let plan = proposed(&root, &Strip::default());
    for path in ["/etc/dphys-swapfile", "/etc/fstab"] {
        let says = |finding: &&cardsmith::prepare::Finding| finding.text.starts_with(&format!("{path} was not read"));
        let finding = plan.findings.iter().find(says).unwrap_or_else(|| panic!("{path}: {:?}", plan.findings));
        assert_eq!((finding.severity, finding.step), (Severity::Warning, "identity"));
    }
}
