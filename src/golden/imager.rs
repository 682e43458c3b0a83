//! A golden image as Raspberry Pi Imager lists it: a repository of one entry, for `rpi-imager --repo FILE` (fields:
//! rpi-imager, doc/json-schema/os-list-schema.json). Imager's cards are all alike: they get no activation and no name.

use std::path::Path;

use serde_json::{Value, json};

use super::editable::{self, EditableImage};
use super::error::GoldenError;
use super::image::Golden;
use super::manifest::Manifest;
use super::outputs::Outputs;
use crate::digest::Sha256Digest;
use crate::fs::{Clock, ImagePath, Tree};
use crate::image::{MappedImage, digest_of};
use crate::percent::encoded_path;
use crate::units::ByteSize;

/// The repository's text. `address` is where the image will be downloaded from, a directory that ends in `/`; without
/// it, Imager is sent to the file on this machine.
///
/// # Errors
/// [`GoldenError`] where the image cannot be read again.
pub fn repository(
    golden: &Golden,
    outputs: &Outputs,
    packed: ByteSize,
    address: Option<&str>,
) -> Result<String, GoldenError> {
    let manifest = &golden.manifest;
    let io = |source| GoldenError::Io { doing: "read the golden image for Imager's entry".to_owned(), source };
    let name = manifest.image.file.as_deref().unwrap_or(Path::new("")).to_string_lossy().into_owned();
    let url = match address {
        Some(base) => format!("{}/{}", base.trim_end_matches('/'), encoded_path(&name)),
        // Absolute: Imager is started in some other directory.
        None => format!(
            "file://{}",
            encoded_path(std::path::absolute(&outputs.image).map_err(io)?.as_os_str().as_encoded_bytes())
        ),
    };
    let opened = editable::open(golden.image(), &name, Some(Clock { seconds: manifest.clock }))?;
    let mut entry = json!({
        "name": manifest.recipe.name,
        "description": format!("Golden image made by cardsmith {} from {}", manifest.cardsmith, base_name(manifest)),
        "icon": "",
        "url": url,
        "extract_size": manifest.image.size,
        // Imager hashes all that it unpacks. The manifest's digest covers the mapped ranges only.
        "extract_sha256": written_digest(golden).map_err(io)?,
        "image_download_size": packed,
        "image_download_sha256": manifest.image.file_sha256,
        "release_date": date(manifest.clock),
        "init_format": init_format(&opened),
        "devices": devices(&opened),
    });
    // A block map is named for downloads alone: beside a local file there is nothing to fetch it from.
    if let (Some(base), Some(name), Some(entry)) =
        (address, outputs.bmap.file_name().and_then(|name| name.to_str()), entry.as_object_mut())
    {
        entry.insert(
            "bmap_url".to_owned(),
            Value::String(format!("{}/{}", base.trim_end_matches('/'), encoded_path(name))),
        );
    }
    Ok(format!("{:#}\n", json!({ "os_list": [entry] })))
}

/// The digest of the image as it was written: what the map has, and zeros elsewhere.
fn written_digest(golden: &Golden) -> std::io::Result<Sha256Digest> {
    digest_of(&MappedImage::new(&*golden.image(), &golden.manifest.map.places()), &mut |_| ())
}

fn base_name(manifest: &Manifest) -> &str {
    manifest.base.source.rsplit('/').next().unwrap_or_default()
}

/// The day of the manifest's clock: no other time is the same on every machine.
fn date(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_string().chars().take(10).collect()
}

fn exists(tree: &dyn Tree, path: &str) -> bool {
    let found = ImagePath::new(path).map_err(Into::into).and_then(|path| tree.stat(&tree.resolve(&path)?));
    matches!(found, Ok(Some(_)))
}

/// How Imager may customise the image: with cloud-init as Raspberry Pi OS has it, with its script, or not at all.
fn init_format(opened: &EditableImage) -> &'static str {
    match () {
        () if exists(&opened.root, "/usr/bin/cloud-init") && exists(&opened.boot, "/user-data") => "cloudinit-rpi",
        () if exists(&opened.root, "/usr/lib/raspberrypi-sys-mods/firstboot") => "systemd",
        () => "none",
    }
}

/// Imager's tags for the models that the image has device trees for, newest first.
fn devices(opened: &EditableImage) -> Vec<String> {
    let bits = match () {
        () if exists(&opened.root, "/lib/ld-linux-aarch64.so.1") => "64bit",
        () if exists(&opened.root, "/lib/ld-linux-armhf.so.3") => "32bit",
        () => return Vec::new(),
    };
    let names = opened.boot.list(&ImagePath::root()).unwrap_or_default();
    let has = |chip: &str| {
        let is_tree = |name: &[u8]| name.starts_with(chip.as_bytes()) && name.ends_with(b".dtb");
        names.iter().any(|entry| is_tree(&entry.name.to_ascii_lowercase()))
    };
    let models = [("bcm2712", "pi5"), ("bcm2711", "pi4"), ("bcm2710", "pi3"), ("bcm2709", "pi2"), ("bcm2708", "pi1")];
    // pi-gen's arm64 kernel begins with the Pi 3.
    let fits = |model: &str| bits == "32bit" || !matches!(model, "pi1" | "pi2");
    models.iter().filter(|(chip, model)| has(chip) && fits(model)).map(|(_, model)| format!("{model}-{bits}")).collect()
}
