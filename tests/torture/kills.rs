//! kill -9 at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::ends_within;
use crate::crash::{self, assert_swept};
use crate::support::binary::{Home, names_in};
use crate::support::dice::Dice;
use crate::support::fake_ssm::FakeSsm;
use crate::support::pi_image::PiImage;
use crate::support::volume::sha256_of;

const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";
const LIMIT: Duration = Duration::from_secs(120);

/// What a run that nobody disturbed gives: how long it takes, and the digest of each of its files by name.
type Undisturbed = (Duration, BTreeMap<String, String>);

fn golden_command(home: &Home, image: &PiImage, out: &str) -> Command {
    let recipe = image.recipe(ACCEPT);
    let scratch = home.path("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let mut command = home.command([Path::new("golden"), &recipe, Path::new("--out"), &image.beside(out)]);
    command.env("TMPDIR", scratch).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn digests(image: &PiImage) -> BTreeMap<String, String> {
    let outputs = names_in(image.dir()).into_iter().filter(|name| name.starts_with("golden."));
    outputs.map(|name| (name.clone(), sha256_of(&image.beside(&name)))).collect()
}

/// The same bytes each time, so once is enough.
fn undisturbed(power_cut: bool, out: &str) -> Undisturbed {
    static KNOWN: OnceLock<Mutex<BTreeMap<(bool, String), Undisturbed>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    known
        .entry((power_cut, out.to_owned()))
        .or_insert_with(|| {
            let (home, image) = (Home::new(), base(power_cut));
            let began = Instant::now();
            assert!(golden_command(&home, &image, out).status().unwrap().success());
            (began.elapsed(), digests(&image))
        })
        .clone()
}

fn base(power_cut: bool) -> PiImage {
    match power_cut {
        // Repairs make private copies, which must not stay behind either.
        true => PiImage::lived_in().power_cut().build(),
        false => PiImage::lived_in().build(),
    }
}

/// Every file that has a name is the one of an undisturbed run: nothing appears before its proof, and nothing by halves.
pub fn golden(dice: &mut Dice) -> usize {
    let power_cut = dice.roll(3) == 0;
    let out = *dice.one_of(&["golden.img", "golden.img.zst", "golden.img.gz"]);
    let (takes, expected) = undisturbed(power_cut, out);
    let (home, image) = (Home::new(), base(power_cut));
    let before = sha256_of(image.path());
    let mut child = golden_command(&home, &image, out).spawn().unwrap();
    killed_after(&mut child, takes, dice);
    assert_eq!(sha256_of(image.path()), before, "the base image was changed");
    for (name, digest) in digests(&image) {
        assert_eq!(expected.get(&name), Some(&digest), "{name} is not the proven one");
    }
    let strangers: Vec<String> = names_in(image.dir())
        .into_iter()
        .filter(|name| !name.starts_with("golden.") && !["base.img", "recipe.toml"].contains(&name.as_str()))
        .collect();
    assert_eq!(strangers, Vec::<String>::new(), "left beside the output");

    // The next run finds nothing in its way, and sweeps what the last one left in TMPDIR.
    names_in(image.dir()).iter().filter(|name| name.starts_with("golden.")).for_each(|name| {
        fs::remove_file(image.beside(name)).unwrap();
    });
    let mut again = golden_command(&home, &image, out).spawn().unwrap();
    assert!(ends_within(&mut again, LIMIT, "golden after a kill").success(), "the next run fails");
    assert_eq!(digests(&image), expected);
    let left = names_in(&home.path("scratch"));
    assert_eq!(left, Vec::<String>::new(), "left in TMPDIR: copies of what may hold secrets");
    1
}

fn killed_after(child: &mut Child, takes: Duration, dice: &mut Dice) {
    // A little longer than it takes: to be too late is a case, too.
    let wait = takes.mul_f64(dice.roll(1100) as f64 / 1000.0);
    std::thread::sleep(wait);
    let _ = child.kill();
    child.wait().unwrap();
}

/// A run of two cards that AWS makes the activations for.
pub fn flash(dice: &mut Dice) -> usize {
    static GOLDEN: OnceLock<Home> = OnceLock::new();
    let home = GOLDEN.get_or_init(|| {
        let home = Home::new();
        crash::golden(&home);
        home
    });
    let (aws, cards) = (FakeSsm::start(), tempfile::TempDir::new_in(home.path("demo")).unwrap());
    let ledger = cards.path().join("ledger.sqlite3");
    let mut flash = home.command(["flash", "aws.manifest.json", "--allow-role", "nodes", "--to"]);
    flash.arg(cards.path().join("1.img")).arg("--to").arg(cards.path().join("2.img")).arg("--ledger").arg(&ledger);
    flash.envs(aws.env()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Half at a boundary between two acts, half at no boundary at all.
    let at = 1 + dice.roll(45);
    let when = if dice.roll(2) == 0 {
        flash.env("CARDSMITH_FAULT_AT", at.to_string());
        format!("killed at boundary {at}")
    } else {
        let wait = Duration::from_millis(dice.roll(1500) as u64);
        let mut child = flash.spawn().unwrap();
        std::thread::sleep(wait);
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.signal() == Some(9) || output.status.success(), "{output:?}");
        if !ledger.exists() {
            // Killed before anything began.
            assert!(aws.live().is_empty());
            return 0;
        }
        let said = [output.stdout, output.stderr].concat();
        return assert_swept(home, &aws, cards.path(), said, &format!("killed after {wait:?}"));
    };
    let output = flash.output().unwrap();
    assert!(output.status.signal() == Some(9) || output.status.success(), "{when}: {output:?}");
    if !ledger.exists() {
        assert!(aws.live().is_empty());
        return 0;
    }
    assert_swept(home, &aws, cards.path(), [output.stdout, output.stderr].concat(), &when)
}
