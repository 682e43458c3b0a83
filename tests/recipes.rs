//! The recipes that come with cardsmith: each is run to a golden image on a small image, and the published schema is the
//! one that this cardsmith knows.

use std::fs;
use std::path::{Path, PathBuf};

use cardsmith::golden::Manifest;
use cardsmith::recipe;

use crate::support::binary::Home;
use crate::support::need_builder;
use crate::support::pi_image::{PiImage, Spec};

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes")
}

#[test]
fn the_published_schema_is_current() {
    let published = fs::read_to_string(recipes().join("recipe.schema.json")).unwrap();
    let current = serde_json::to_string_pretty(&recipe::schema_json()).unwrap() + "\n";
    assert!(published == current, "run: cargo run -- recipe schema > recipes/recipe.schema.json");
}

#[test]
fn every_recipe_tells_editors_of_the_schema_that_is_there() {
    let mut found = 0;
    for dir in [recipes(), recipes().join("shared")] {
        for path in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|ending| ending == "toml") {
                let text = fs::read_to_string(&path).unwrap();
                let schema = text.lines().next().unwrap().strip_prefix("#:schema ");
                let schema = schema.unwrap_or_else(|| panic!("{} names no schema", path.display()));
                assert!(dir.join(schema).is_file(), "{}: {schema}", path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 9, "{found}");
}

/// Copies `recipes/` to where a small image stands for the large one, and makes the golden image of one of them.
fn golden_of(name: &str, spec: Spec) -> Option<Manifest> {
    if !need_builder() {
        return None;
    }
    // The small image knows no time zones.
    let (image, home) = (spec.file("/usr/share/zoneinfo/Europe/Berlin", 0o644, "TZif2").build(), Home::new());
    for dir in ["", "shared"] {
        fs::create_dir_all(image.dir().join(dir)).unwrap();
        for path in fs::read_dir(recipes().join(dir)).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_file() {
                fs::copy(&path, image.dir().join(dir).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    for source in ["2025-11-24-raspios-trixie-arm64-lite.img.xz", "captured.img", "field-unit.img"] {
        std::os::unix::fs::symlink(image.path(), image.beside(source)).unwrap();
    }
    let (recipe, out) = (image.beside(&format!("{name}.toml")), image.beside("golden.img"));
    home.run(["recipe".as_ref(), "check".as_ref(), recipe.as_os_str()]).succeeds();
    home.run(["golden".as_ref(), recipe.as_os_str(), "--out".as_ref(), out.as_os_str()]).succeeds();
    let manifest = Manifest::read(&image.beside("golden.manifest.json")).unwrap();
    assert_eq!(manifest.traces.found, 0);
    Some(manifest)
}

#[test]
fn the_kiosk_on_wifi_becomes_a_golden_image() {
    let Some(manifest) = golden_of("kiosk-wifi", PiImage::lived_in().network_manager()) else { return };
    assert!(manifest.edits.iter().any(|edit| edit.step == "wifi"));
    assert!(!manifest.edits.iter().any(|edit| edit.path.contains("cardsmith-wifi")));
    let text = manifest.to_text().unwrap();
    assert!(text.contains("\"env\": \"WIFI_PSK\"") && !text.contains("extends"));
}

#[test]
fn the_sensor_on_ethernet_becomes_a_golden_image() {
    let Some(manifest) = golden_of("sensor-ethernet", PiImage::lived_in().network_manager()) else { return };
    assert!(manifest.edits.iter().any(|edit| edit.path.ends_with("cardsmith-eth0.nmconnection")));
    assert_eq!(manifest.recipe.files.len(), 1, "the base's motd was replaced");
}

#[test]
fn a_captured_card_becomes_a_golden_image() {
    let Some(manifest) = golden_of("captured-card", PiImage::lived_in()) else { return };
    assert!(manifest.edits.iter().any(|edit| edit.path.ends_with("/Vault") && edit.change == "remove"));
}

#[test]
fn the_air_gapped_bench_s_recipe_becomes_a_golden_image() {
    golden_of("air-gapped-bench", PiImage::lived_in());
}

#[test]
fn the_older_recipes_become_golden_images() {
    for name in ["field-unit-keep-wifi", "golden-only", "kiosk-from-aws", "kiosk-from-file"] {
        golden_of(name, PiImage::lived_in());
    }
}
