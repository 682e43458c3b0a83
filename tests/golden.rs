//! Golden images, judged by the kernel, e2fsck, fsck.fat and by looking at every byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cardsmith::golden::{self, Manifest, Outputs, Settings};
use cardsmith::progress::Silent;

use crate::support::binary::Home;
use crate::support::oracle::{self, Change};
use crate::support::pi_image::{PiImage, Spec};
use crate::support::{need_builder, need_root};

pub const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";

/// A golden image beside `image`.
pub fn make(image: &PiImage, extra: &str) -> Outputs {
    let recipe = cardsmith::recipe::load(&image.recipe(extra)).unwrap();
    let settings = Settings { cache_dir: image.beside("cache"), ..Settings::default() };
    let prepared = golden::prepare(recipe, &settings, &Silent).unwrap();
    let mut golden = prepared.build(&Silent).unwrap();
    golden.write(&image.beside("golden.img"), false, &Silent).unwrap()
}

/// What the manifest says was changed, by path in the root file system.
pub fn planned(manifest: &Path) -> BTreeMap<String, String> {
    let manifest = Manifest::read(manifest).unwrap();
    let root = manifest.edits.iter().filter(|edit| edit.volume == "root");
    root.map(|edit| (edit.path.clone(), edit.change.clone())).collect()
}

/// Every difference must follow from an edit: the path itself, something below a removed tree, or the times and link
/// count of a directory in which a name came or went.
pub fn assert_only_planned(differences: &BTreeMap<String, Change>, planned: &BTreeMap<String, String>) {
    let parent = |path: &str| match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    };
    let touched: BTreeSet<String> = planned.keys().map(|path| parent(path)).collect();
    for (path, change) in differences {
        let below_removed = planned.iter().any(|(edit, what)| {
            what == "remove" && path.strip_prefix(edit.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        let only_times = matches!(change, Change::Changed(what) if what.iter().all(|w| ["mtime", "links"].contains(w)));
        let follows = planned.contains_key(path) || below_removed || (only_times && touched.contains(path));
        assert!(follows, "{path} changed ({change:?}), and nobody planned it");
    }
    for (path, what) in planned {
        assert!(differences.contains_key(path) || what == "attributes", "{path} was to change ({what}), and did not");
    }
}

fn golden_is_right(spec: Spec) {
    if !need_builder() || !need_root() {
        return;
    }
    let image = spec.build();
    let before = image.digest();
    let outputs = make(&image, ACCEPT);
    assert_eq!(image.digest(), before, "the input was written to");
    oracle::assert_clean_image(&outputs.image);
    let differences = oracle::kernel_diff(&image.replayed_by_kernel(), &outputs.image);
    assert_only_planned(&differences, &planned(&outputs.manifest));
    assert_eq!(oracle::find_bytes(&outputs.image, &image.needles()), []);
}

#[test]
fn a_lived_in_trixie_image_becomes_a_clean_golden_image() {
    golden_is_right(PiImage::lived_in());
}

#[test]
fn so_does_a_bookworm_image() {
    golden_is_right(PiImage::lived_in().bookworm());
}

#[test]
fn so_does_an_image_with_the_agent_from_the_snap() {
    golden_is_right(PiImage::lived_in().snap_agent());
}

#[test]
fn so_does_a_fresh_image() {
    golden_is_right(PiImage::fresh());
}

#[test]
fn so_does_an_image_from_before_checksums() {
    golden_is_right(PiImage::lived_in().bookworm().without_metadata_csum());
}

#[test]
fn so_does_one_with_small_blocks() {
    golden_is_right(PiImage::lived_in().block_size(1024));
}

#[test]
fn so_does_one_with_files_inside_inodes() {
    golden_is_right(PiImage::lived_in().inline_data());
}

#[test]
fn so_does_one_that_was_grown() {
    golden_is_right(PiImage::lived_in().grown());
}

#[test]
fn so_does_one_with_a_guid_table() {
    golden_is_right(PiImage::lived_in().gpt());
}

#[test]
fn so_does_one_whose_power_was_cut() {
    golden_is_right(PiImage::lived_in().power_cut());
}

#[test]
fn so_does_one_whose_power_was_cut_without_an_orphan_file() {
    golden_is_right(PiImage::lived_in().bookworm().power_cut());
}

#[test]
fn so_does_one_that_somebody_cleaned_by_hand() {
    golden_is_right(PiImage::lived_in().hand_cleaned());
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_every_form() {
    if !need_builder() {
        return;
    }
    let image = PiImage::lived_in().build();
    let recipe = image.recipe(ACCEPT);
    for form in ["img", "img.zst", "img.xz", "img.gz"] {
        let digests: Vec<Vec<String>> = ["one", "two"]
            .map(|round| {
                let home = Home::new();
                std::fs::create_dir(image.beside(&format!("{form}-{round}"))).unwrap();
                let out = image.beside(&format!("{form}-{round}/golden.{form}"));
                home.run(["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds();
                let outputs = Outputs::beside(&out);
                let all = [&outputs.image, &outputs.bmap, &outputs.sha256, &outputs.manifest];
                all.map(|path| oracle::sha256_hex(&std::fs::read(path).unwrap())).to_vec()
            })
            .to_vec();
        assert_eq!(digests[0], digests[1], "{form}");
    }
}

#[test]
fn source_date_epoch_is_what_edited_files_carry() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().build();
    let recipe = image.recipe(ACCEPT);
    let out = image.beside("golden.img");
    let home = Home::new();
    let mut golden = home.command(["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    crate::support::run(golden.env("SOURCE_DATE_EPOCH", "1712345678"));
    let tree = oracle::kernel_tree(&crate::support::volume::Volume::root_of(&out));
    assert_eq!(tree["/etc/machine-id"].mtime.0, 1_712_345_678);
    assert_ne!(tree["/etc/passwd"].mtime.0, 1_712_345_678);
}

#[test]
fn packed_golden_images_hold_the_same_image() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let recipe = image.recipe(ACCEPT);
    let home = Home::new();
    let mut plain = Vec::new();
    for (form, unpack) in [("img", "cat"), ("img.zst", "zstd -dc"), ("img.xz", "xz -dc"), ("img.gz", "gzip -dc")] {
        std::fs::create_dir(image.beside(form)).unwrap();
        let out = image.beside(&format!("{form}/golden.{form}"));
        home.run(["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds();
        let unpacked = std::process::Command::new("sh").args(["-c", &format!("{unpack} {}", out.display())]).output();
        plain.push(oracle::sha256_hex(&unpacked.unwrap().stdout));
        let mut check = std::process::Command::new("sha256sum");
        check.args(["-c", "golden.sha256"]).current_dir(image.beside(form));
        assert!(check.status().unwrap().success(), "{form}");
    }
    plain.dedup();
    assert_eq!(plain.len(), 1);
}

#[test]
fn an_output_that_exists_is_not_replaced_by_accident() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let recipe = image.recipe(ACCEPT);
    let home = Home::new();
    let out = image.beside("golden.img");
    std::fs::write(image.beside("golden.bmap"), "mine").unwrap();
    let args = ["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()];
    home.run(args).exits(2).says("--overwrite");
    assert!(!out.exists());
    assert_eq!(std::fs::read(image.beside("golden.bmap")).unwrap(), b"mine");
    home.run(args.into_iter().chain(["--overwrite"])).succeeds();
    assert!(out.exists());
}
