//! The whole way on the bootable image that scripts/make-pi-image builds from Debian packages: a golden image, two
//! cards, and the kernel's word for what changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::golden::{assert_only_planned, planned};
use crate::support::binary::Home;
use crate::support::oracle::{self, Change};
use crate::support::{guest, need, need_builder, need_root};

const ROWS: &str = "activation_id,activation_code,region,name\n\
    00000000-0000-4000-8000-000000000001,CodeOfTheFirstCard01,eu-west-1,\n\
    00000000-0000-4000-8000-000000000002,CodeOfTheSecondCard2,eu-west-1,\n";

/// What each card may have that the golden image has not.
const CARD_FILES: [&str; 4] = ["/etc/hostname", "/etc/hosts", "/var/lib/cardsmith", "/var/lib/cardsmith/activation"];

fn recipe(home: &Home, base: &Path) -> PathBuf {
    std::os::unix::fs::symlink(base, home.path("base.img")).unwrap();
    std::fs::write(home.path("activations.csv"), ROWS).unwrap();
    let text = "name = \"whole\"\n[image]\nsource = \"base.img\"\n\
                [activation]\nfrom = \"file\"\npath = \"activations.csv\"\n\
                [[file]]\npath = \"/lib/whole/way.txt\"\ntext = \"through a symlink\"\n\
                [[file]]\npath = \"/way.txt\"\ntext = \"on the boot partition\"\nvolume = \"boot\"\n";
    let path = home.path("whole.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// The files of the boot partition that differ.
fn boot_diff(before: &Path, after: &Path) -> Vec<String> {
    let (before, after) = (oracle::fat_tree(before), oracle::fat_tree(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn a_bootable_image_becomes_a_golden_image_and_two_cards_and_nothing_else_changes() {
    if !need_builder() || !need_root() || !need("mmdebstrap") {
        return;
    }
    let base = guest::pi_image(true);
    let home = Home::new();
    let recipe = recipe(&home, &base);
    let (golden, manifest) = (home.path("golden.img"), home.path("golden.manifest.json"));
    home.run(["golden", recipe.to_str().unwrap(), "--out", golden.to_str().unwrap()]).succeeds();
    oracle::assert_clean_image(&golden);

    let planned: BTreeMap<String, String> = planned(&manifest);
    assert_only_planned(&oracle::kernel_diff(&base, &golden), &planned);
    assert_eq!(oracle::kernel_read(&golden, "usr/lib/whole/way.txt"), b"through a symlink");
    let on_boot: Vec<String> = cardsmith::golden::Manifest::read(&manifest)
        .unwrap()
        .edits
        .into_iter()
        .filter(|edit| edit.volume == "boot")
        .map(|edit| edit.path.trim_start_matches('/').to_owned())
        .collect();
    assert_eq!(boot_diff(&base, &golden), on_boot);

    let cards = ["card-1.img", "card-2.img"].map(|name| home.path(name));
    let mut args = vec!["flash", manifest.to_str().unwrap(), "--yes"];
    cards.iter().for_each(|card| args.extend(["--to", card.to_str().unwrap()]));
    home.run(args).succeeds();
    for card in &cards {
        oracle::assert_clean_image(card);
        let differences = oracle::kernel_diff(&golden, card);
        for (path, change) in &differences {
            let directory =
                matches!(change, Change::Changed(what) if what.iter().all(|w| ["mtime", "links"].contains(w)));
            assert!(CARD_FILES.contains(&path.as_str()) || directory, "{path}: {change:?}");
        }
        assert_eq!(differences["/var/lib/cardsmith/activation"], Change::Added);
        assert_eq!(
            boot_diff(&golden, card).iter().filter(|name| *name != "user-data" && *name != "meta-data").count(),
            0
        );
        home.run(["verify", manifest.to_str().unwrap(), card.to_str().unwrap()]).succeeds();
    }
    let read = |card: &Path| String::from_utf8(oracle::kernel_read(card, "etc/hostname")).unwrap();
    let names = std::collections::BTreeSet::from(cards.each_ref().map(|card| read(card)));
    assert_eq!(names, std::collections::BTreeSet::from(["whole-0001\n".to_owned(), "whole-0002\n".to_owned()]));
}
