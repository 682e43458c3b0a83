//! The fixtures themselves: an oracle that is fed nonsense proves nothing.

use crate::support::oracle::{self, Change, e2fsck, find_bytes, fsck_fat, kernel_tree};
use crate::support::pi_image::Spec;
use crate::support::volume::Volume;
use crate::support::{PiImage, need_builder, need_root, run};

fn superblock_u32(image: &PiImage, at: usize) -> u32 {
    let bytes = image.root().bytes();
    u32::from_le_bytes(bytes[1024 + at..1024 + at + 4].try_into().unwrap())
}

const INCOMPAT: usize = 0x60;
const RO_COMPAT: usize = 0x64;
const NEEDS_RECOVERY: u32 = 0x4;
const ORPHAN_PRESENT: u32 = 0x10000;

#[test]
fn every_kind_of_fixture_is_clean_and_holds_its_secrets() {
    if !need_builder() {
        return;
    }
    let kinds: Vec<Spec> = vec![
        PiImage::fresh(),
        PiImage::fresh().bookworm(),
        PiImage::lived_in(),
        PiImage::lived_in().bookworm(),
        PiImage::lived_in().snap_agent(),
        PiImage::lived_in().without_metadata_csum(),
        PiImage::lived_in().block_size(1024),
        PiImage::lived_in().gpt(),
        PiImage::lived_in().grown(),
        PiImage::lived_in().nearly_full(),
        PiImage::lived_in().inline_data(),
    ];
    for spec in kinds {
        let name = format!("{spec:?}");
        let image = spec.build();
        e2fsck(&image.root()).assert_clean();
        fsck_fat(&image.boot()).assert_clean();
        let wanted: Vec<_> = image.needles().iter().chain(&image.operators_needles()).cloned().collect();
        let found = find_bytes(image.path(), &wanted);
        assert_eq!(found.len(), wanted.len(), "{name}: {found:?}");
        assert_eq!(image.needles().is_empty(), !name.contains("lived_in: true"));
    }
}

#[test]
fn a_power_cut_leaves_a_journal_to_replay_and_orphans_that_the_kernel_repairs() {
    if !need_builder() || !need_root() {
        return;
    }
    for spec in [PiImage::lived_in().power_cut(), PiImage::lived_in().bookworm().power_cut()] {
        let image = spec.build();
        assert_ne!(superblock_u32(&image, INCOMPAT) & NEEDS_RECOVERY, 0);
        let has_orphan_file = superblock_u32(&image, 0x5C) & 0x1000 != 0;
        assert_eq!(superblock_u32(&image, RO_COMPAT) & ORPHAN_PRESENT != 0, has_orphan_file);
        assert!(!e2fsck(&image.root()).is_clean());
        let replayed = image.replayed_by_kernel();
        e2fsck(&Volume::root_of(&replayed)).assert_clean();
        let tree = kernel_tree(&Volume::root_of(&replayed));
        assert!(tree.contains_key("/var/log/made-before-the-cut/deep/log"), "the journal held nothing");
        assert!(!tree.contains_key("/var/log/deleted-but-open"));
        assert_eq!(tree["/var/lib/amazon/ssm/registration"].size, 0);
        // Without its journal the file system does not know of it.
        assert!(oracle::debugfs_read(image.path(), "/var/log/made-before-the-cut/deep/log").is_none());
    }
}

#[test]
fn a_card_that_was_cleaned_by_hand_is_clean_by_name_and_full_of_secrets_by_byte() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().hand_cleaned().build();
    e2fsck(&image.root()).assert_clean();
    let tree = kernel_tree(&image.root());
    assert!(!tree.keys().any(|path| path.contains("/Vault") || path.contains("/etc/ssh/ssh_host_")));
    let found = find_bytes(image.path(), &image.needles());
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"vault-key") && names.contains(&"host-key-rsa") && names.contains(&"instance-id"),
        "{names:?}"
    );
}

#[test]
fn the_kernels_listing_sees_every_kind_of_difference() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().build();
    let before = kernel_tree(&image.root());
    assert_eq!(before["/usr/share/doc/hard1"].links, 2);
    assert_eq!(before["/usr/bin/sudo"].mode, 0o4755);
    assert_eq!(before["/home/pi/.bash_history"].uid, 1000);
    assert_eq!(before["/var/spool/fifo"].kind, "fifo");
    assert_eq!(before["/usr/share/doc/slow-symlink"].content.len(), 100);
    assert_eq!(before["/usr/share/doc/attributes"].xattrs.len(), 3);
    assert_ne!(before[&format!("/{}", crate::support::append_only_file())].flags & 0x20, 0);
    assert!(before["/usr/bin/sudo"].mtime.0 == 1_760_000_000);
    let volume = image.root();
    {
        let mounted = crate::support::mounted::Mounted::read_write(&volume);
        run(std::process::Command::new("sh").current_dir(mounted.path()).args([
            "-c",
            "chmod 700 usr/bin/ls; chown 5:6 usr/bin/dpkg; touch usr/bin/dash; echo more >>etc/motd; rm etc/hosts; echo new >etc/new; \
             setfattr -x user.comment usr/share/doc/attributes; ln etc/hostname etc/hostname2; chattr +i etc/fstab",
        ]));
    }
    let mut changes = oracle::diff(&before, &kernel_tree(&volume));
    changes.retain(|path, _| !matches!(path.as_str(), "/etc" | "/lost+found"));
    let expected: Vec<(&str, Change)> = vec![
        ("/etc/fstab", Change::Changed(vec!["flags"])),
        ("/etc/hostname", Change::Changed(vec!["links"])),
        ("/etc/hostname2", Change::Added),
        ("/etc/hosts", Change::Removed),
        ("/etc/motd", Change::Changed(vec!["content", "mtime"])),
        ("/etc/new", Change::Added),
        ("/usr/bin/dash", Change::Changed(vec!["mtime"])),
        ("/usr/bin/dpkg", Change::Changed(vec!["owner"])),
        ("/usr/bin/ls", Change::Changed(vec!["mode"])),
        ("/usr/share/doc/attributes", Change::Changed(vec!["xattrs"])),
    ];
    assert_eq!(
        changes.into_iter().collect::<Vec<_>>(),
        expected.into_iter().map(|(p, c)| (p.to_owned(), c)).collect::<Vec<_>>()
    );
}
