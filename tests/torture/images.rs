//! Damaged images, through every command that reads one.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fuzzing::targets::image_of;
use crate::support::binary::{Home, names_in};
use crate::support::dice::{Dice, mutated};
use crate::support::oracle;
use crate::support::pi_image::PiImage;
use crate::support::volume::{Volume, sha256_of};

/// A run of the real program over an image of a few MiB; it takes less than a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);
const RECIPE: &str = "name = \"torture\"\n[image]\nsource = \"base.img\"\n[sudo]\nlockout = \"accept\"\n";

/// A golden image that others call clean, or an error in words and no output; and no command hangs or panics.
pub fn one(dice: &mut Dice) -> usize {
    let home = Home::new();
    let base = home.path("base.img");
    match dice.roll(2) {
        0 => small(&base, dice),
        _ => lived_in(&base, dice),
    }
    fs::write(home.path("recipe.toml"), RECIPE).unwrap();
    let before = sha256_of(&base);
    let done = said(&home, &["golden", "recipe.toml", "--out", "golden.img"], &[0, 1, 2]);
    let outputs: Vec<String> =
        names_in(&home.path("")).into_iter().filter(|name| name.starts_with("golden.")).collect();
    if done {
        assert_eq!(outputs.len(), 4, "{outputs:?}");
        oracle::assert_clean_image(&home.path("golden.img"));
        said(&home, &["diff", "base.img", "golden.img"], &[0, 1, 2, 3]);
    } else {
        assert_eq!(outputs, Vec::<String>::new(), "an error, and an output");
    }
    said(&home, &["inspect", "base.img"], &[0, 1, 2]);
    said(&home, &["audit", "base.img"], &[0, 1, 2, 3]);
    said(&home, &["audit", "--deep", "base.img"], &[0, 1, 2, 3]);
    assert_eq!(sha256_of(&base), before, "the base image was changed");
    1
}

/// Whether the command succeeded; it has to end in time, with one of these codes, and to say why where it fails.
fn said(home: &Home, args: &[&str], codes: &[i32]) -> bool {
    let log = home.path("said");
    let file = fs::File::create(&log).unwrap();
    let mut command: Command = home.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
    let status = super::ends_within(&mut child, LIMIT, args[0]);
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    assert!(!text.contains("panicked"), "{args:?} panicked: {text}");
    assert!(status.code().is_some_and(|code| codes.contains(&code)), "{args:?} ended with {status}: {text}");
    assert!(status.success() || !text.trim().is_empty(), "{args:?} failed without a word");
    status.success()
}

/// The fuzzing target's image: its checksums are right in half of the cases.
fn small(to: &Path, dice: &mut Dice) {
    let seed = |header: u8| [&[header][..], &[40, 0, 4, 0, 1, 80, 1, 0x44, 1, 0xFF, 9, 0, 2, 3, 7, 0, 1]].concat();
    fs::write(to, image_of(&mutated(&[seed(0), seed(1)], 128, dice))).unwrap();
}

/// A larger one, as it is met: patched where something stands, and cut off now and then.
fn lived_in(to: &Path, dice: &mut Dice) {
    let image = match dice.roll(3) {
        0 => PiImage::fresh().build(),
        1 => PiImage::lived_in().build(),
        _ => PiImage::lived_in().power_cut().build(),
    };
    fs::copy(image.path(), to).unwrap();
    let file = fs::File::options().read(true).write(true).open(to).unwrap();
    let volumes = [Volume::root_of(to), Volume::boot_of(to)];
    for _ in 0..=dice.roll(6) {
        let volume = dice.one_of(&volumes);
        // Most of what says something stands at the beginning of a file system.
        let span = if dice.roll(2) == 0 { volume.len.min(1 << 20) } else { volume.len };
        let at = volume.start + dice.roll(span as usize) as u64;
        let bytes: Vec<u8> = (0..=dice.roll(8)).map(|_| *dice.one_of(&[0, 0xFF, 1, 0x80, 0x41])).collect();
        file.write_all_at(&bytes, at).unwrap();
    }
    if dice.roll(12) == 0 {
        file.set_len(dice.roll(image.path().metadata().unwrap().len() as usize) as u64).unwrap();
    }
}
