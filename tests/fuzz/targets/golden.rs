//! Whole golden runs. Slow: the judges are e2fsck and fsck.fat.

use std::fs;
use std::path::Path;
use std::process::Command;

use cardsmith::golden::{Extras, Settings, prepare};
use cardsmith::image::{ImageFile, PartitionTable};
use cardsmith::progress::Silent;
use cardsmith::recipe;

use super::image::{RECIPE, of_input};

/// A golden image that the tools of others call clean, or an error and no output. The base image never changes.
pub fn run(input: &[u8]) {
    let (_, image) = of_input(input);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (base, out) = (dir.path().join("base.img"), dir.path().join("golden.img"));
    let bytes = image.to_vec();
    fs::write(&base, &bytes).expect("room for it");
    let recipe = recipe::parse(RECIPE, &dir.path().join("fuzz.toml")).expect("the recipe is right");
    let settings =
        Settings::from_environment(dir.path().join("cache")).expect("SOURCE_DATE_EPOCH is not set, or right");
    let made = prepare(recipe, &settings, &Silent)
        .and_then(|prepared| prepared.build_to(&out, false, &Extras::default(), &Silent));
    assert!(fs::read(&base).expect("it is there still") == bytes, "the base image was changed");
    let mut left: Vec<String> = fs::read_dir(dir.path())
        .expect("it is there still")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "cache")
        .collect();
    left.sort();
    match made {
        Err(_) => assert_eq!(left, ["base.img"], "an error, and an output"),
        Ok(_) => {
            let all = ["base.img", "golden.bmap", "golden.img", "golden.manifest.json", "golden.sha256"];
            assert_eq!(left, all);
            judge(&out, dir.path());
        }
    }
}

fn judge(image: &Path, dir: &Path) {
    let table = PartitionTable::read(&ImageFile::open(image).expect("it is there")).expect("it has a table");
    let bytes = fs::read(image).expect("it can be read");
    for partition in &table.partitions {
        let part = dir.join("partition");
        let range = partition.range.start.0 as usize..partition.range.end().0 as usize;
        fs::write(&part, &bytes[range]).expect("room for it");
        let is_fat = bytes[partition.range.start.0 as usize + 510..][..2] == [0x55, 0xAA];
        let (program, flags) = if is_fat { ("fsck.fat", "-n") } else { ("e2fsck", "-fn") };
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let said = Command::new(program).arg(flags).arg(&part).env("PATH", path).env("LC_ALL", "C").output();
        // Not installed: scripts/fuzz asks for both before it begins.
        let Ok(said) = said else { continue };
        assert!(said.status.success(), "{program} {flags}: {}", String::from_utf8_lossy(&said.stdout));
    }
}
