//! An input of a command is never one of its outputs, by whatever name. Nothing of what a command reads changes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::inputs::{Inputs, Overlap};

use crate::support::binary::{Home, Run, names_in};
use crate::support::loop_device::LoopDevice;
use crate::support::need_root;

const MIB: u64 = 1 << 20;

fn overlap(input: &Path, output: &Path) -> Option<Overlap> {
    let mut inputs = Inputs::default();
    inputs.add(input, "the base image");
    inputs.refuse_output(output, "--out").err().map(|error| {
        assert!(error.to_string().starts_with(&format!("--out {}", output.display())), "{error}");
        assert!(error.to_string().contains("the base image"), "{error}");
        error.overlap
    })
}

#[test]
fn a_file_is_known_by_every_name_that_leads_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("base.img"), "base").unwrap();
    std::fs::write(at("other.img"), "base").unwrap();
    std::fs::hard_link(at("base.img"), at("hard.img")).unwrap();
    symlink("base.img", at("soft.img")).unwrap();
    std::fs::create_dir(at("sub")).unwrap();
    symlink(dir.path(), at("sub/up")).unwrap();
    let open = std::fs::File::open(at("base.img")).unwrap();
    let by_descriptor = PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open)));
    for name in
        [at("base.img"), at("hard.img"), at("soft.img"), at("sub/up/base.img"), at("sub/../base.img"), by_descriptor]
    {
        assert_eq!(overlap(&at("base.img"), &name), Some(Overlap::Same), "{name:?}");
        assert_eq!(overlap(&name, &at("base.img")), Some(Overlap::Same), "{name:?}");
    }
    for name in [at("other.img"), at("new.img"), at("sub/new.img"), at("no/where.img")] {
        assert_eq!(overlap(&at("base.img"), &name), None, "{name:?}");
    }
    // An input that is not there yet, by its real name.
    let mut inputs = Inputs::default();
    inputs.add(&at("sub/up/ledger.sqlite3"), "the ledger");
    assert!(inputs.refuse_output(&at("ledger.sqlite3"), "--to").is_err());
    assert!(inputs.refuse_output(&at("ledger.sqlite"), "--to").is_ok());
    assert!(inputs.without("the ledger").refuse_output(&at("ledger.sqlite3"), "the ledger").is_ok());
    // What is not there yet and lies in a directory of inputs.
    let mut inputs = Inputs::default();
    inputs.add_tree(&at("sub"), "the cache");
    let within = |output: &Path| inputs.refuse_output(output, "--out").is_err();
    assert!(within(&at("sub/new.img")) && !within(&at("new.img")) && !within(&at("sub/up/new.img")));
}

#[test]
fn a_loop_device_is_its_file_and_a_file_system_lies_on_its_device() {
    if !need_root() {
        return;
    }
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let file = card.file.path();
    let other = Command::new("losetup").args(["-f", "--show"]).arg(file).output().unwrap();
    let other = PathBuf::from(String::from_utf8(other.stdout).unwrap().trim());
    let pairs = [(file, card.path.as_path()), (card.path.as_path(), file), (&card.path, &other)];
    let found = pairs.map(|(input, output)| overlap(input, output));
    assert!(Command::new("losetup").arg("-d").arg(&other).status().unwrap().success());
    assert_eq!(found, [Some(Overlap::Same); 3]);

    let dir = tempfile::tempdir().unwrap();
    let (here, bound) = (dir.path().join("here"), dir.path().join("bound"));
    std::fs::create_dir(&here).unwrap();
    std::fs::create_dir(&bound).unwrap();
    let mounted = card.mount(&here);
    let inside = here.join("base.img");
    std::fs::write(&inside, "base").unwrap();
    assert!(Command::new("mount").arg("--bind").arg(&here).arg(&bound).status().unwrap().success());
    let found = [
        overlap(&inside, &bound.join("base.img")),
        // To write to the device, or to its file, is to write to what lies on it; and the other way round.
        overlap(&inside, &card.path),
        overlap(&bound.join("base.img"), file),
        overlap(&card.path, &here.join("new.img")),
        overlap(file, &bound.join("new.img")),
        overlap(&inside, &here.join("new.img")),
    ];
    assert!(Command::new("umount").arg(&bound).status().unwrap().success());
    drop(mounted);
    let (on_output, on_input) = (Some(Overlap::InputOnOutput), Some(Overlap::OutputOnInput));
    assert_eq!(found, [Some(Overlap::Same), on_output, on_output, on_input, on_input, None]);
}

/// A recipe and everything that it names. The image is none: what is refused is refused before it is opened.
struct Shop {
    home: Home,
}

const RECIPE: &str = "extends = \"shared.toml\"\nname = \"kiosk\"\n\n[image]\nsource = \"base.img\"\n\n\
    [agent]\npackage = \"agent.deb\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\n\
    [activation]\nfrom = \"file\"\npath = \"activations.csv\"\n\n\
    [network.wifi]\nssid = \"shop\"\ncountry = \"DE\"\npsk = { file = \"wifi.psk\" }\n\n\
    [user]\nname = \"pi\"\nauthorized-keys = \"keys.pub\"\n\n\
    [[file]]\npath = \"/etc/motd\"\nsource = \"motd\"\n";

/// Everything that is read for it, and what of it the refusal names.
const READ: [(&str, &str); 10] = [
    ("kiosk.toml", "made from"),
    ("shared.toml", "the recipe that this one extends"),
    ("kiosk.toml.lock", "the recipe's lock file"),
    ("base.img", "the base image"),
    ("base.bmap", "the block map of the base image"),
    ("agent.deb", "the agent's package"),
    ("activations.csv", "the file of activations"),
    ("wifi.psk", "the Wi-Fi password"),
    ("keys.pub", "authorized keys"),
    ("motd", "[[file]]"),
];

impl Shop {
    fn new() -> Shop {
        let home = Home::new();
        for (name, _) in READ {
            std::fs::write(home.path(name), format!("{name} as it was\n")).unwrap();
        }
        std::fs::write(home.path("kiosk.toml"), RECIPE).unwrap();
        std::fs::write(home.path("shared.toml"), "[locale]\ntime-zone = \"Europe/Berlin\"\n").unwrap();
        Shop { home }
    }

    /// Runs it, and looks that every file is as it was and none came.
    #[track_caller]
    fn refuses(&self, args: &[&str]) -> Run {
        let snapshot = || -> Vec<(String, Option<Vec<u8>>)> {
            let names = names_in(&self.home.path(""));
            names.into_iter().map(|name| (name.clone(), std::fs::read(self.home.path(&name)).ok())).collect()
        };
        let before = snapshot();
        let run = self.home.run(args).fails_with(2);
        run.says("nothing was written");
        assert!(snapshot() == before, "{args:?} changed something: {}", run.err);
        run
    }

    fn link(&self, name: &str, to: &str) {
        std::fs::hard_link(self.home.path(to), self.home.path(name)).unwrap();
    }
}

#[test]
fn flash_refuses_every_file_that_it_reads_as_a_target() {
    let shop = Shop::new();
    for (name, what) in READ {
        let run = shop.refuses(&["flash", "kiosk.toml", "--to", name, "--overwrite"]);
        run.says(&format!("--to {name} is an input of this run")).says(what).says("choose another name");
    }
    // By another name, and what only the command line or the environment names.
    shop.link("card.img", "base.img");
    shop.refuses(&["flash", "kiosk.toml", "--to", "card.img", "--overwrite"]).says("it is the base image");
    let cached = format!("cache/cardsmith/images/{}.img", "a".repeat(64));
    for name in ["other.csv", "ledger.sqlite3", "config", &cached] {
        let path = shop.home.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "as it was").unwrap();
    }
    let flash =
        ["flash", "kiosk.toml", "--overwrite", "--ledger", "ledger.sqlite3", "--activations", "other.csv", "--to"];
    let to = |name: &str| shop.refuses(&[&flash[..], &[name]].concat());
    to("other.csv").says("the file of activations");
    to("ledger.sqlite3").says("it is the ledger");
    to(&cached).says("the cache of decoded images");
    std::fs::create_dir_all(shop.home.path("receipts")).unwrap();
    shop.refuses(&["flash", "kiosk.toml", "--receipts", "receipts", "--to", "receipts/kiosk-0001.json"])
        .says("a receipt");
    // The ledger is written, too.
    let mode =
        |name: &str| std::os::unix::fs::PermissionsExt::mode(&shop.home.path(name).metadata().unwrap().permissions());
    let before = mode("motd");
    shop.refuses(&["flash", "kiosk.toml", "--to", "new.img", "--ledger", "motd"]).says("the ledger motd is an input");
    shop.refuses(&["activations", "import", "motd", "--ledger", "motd"]).says("the ledger motd is an input");
    assert_eq!(mode("motd"), before);
}

#[test]
fn golden_looks_at_every_output_and_at_every_input() {
    let shop = Shop::new();
    let golden = |more: &[&str]| shop.refuses(&[&["golden", "kiosk.toml", "--overwrite"], more].concat());
    golden(&["--out", "base.img"]).says("--out base.img is an input of this run: it is the base image (./base.img)");
    // Beside it lies the map that goes with the base image.
    golden(&["--out", "base.img.zst"]).says("the block map base.bmap is an input").says("map of the base image");
    shop.link("new.sha256", "motd");
    golden(&["--out", "new.img"]).says("the file of the digest new.sha256").says("the source of a [[file]]");
    shop.link("two.manifest.json", "shared.toml");
    golden(&["--out", "two.img"]).says("the manifest two.manifest.json").says("extends");
    for (option, role) in [("--imager-json", "kiosk.toml"), ("--provenance", "agent.deb")] {
        golden(&["--out", "fine.img", option, role]).says(&format!("{option} {role} is an input"));
    }
    std::fs::write(shop.home.path("config"), "").unwrap();
    let args =
        ["golden", "kiosk.toml", "--overwrite", "--ledger", "config", "--out", "fine.img", "--provenance", "config"];
    shop.refuses(&args).says("it is the ledger");
    // In a bucket it is the address that counts, and AWS is not asked.
    let remote = "[image]\nsource = \"s3://images/kiosk.img.zst\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";
    std::fs::write(shop.home.path("remote.toml"), format!("name = \"kiosk\"\n{remote}")).unwrap();
    let args = ["golden", "remote.toml", "--overwrite", "--out", "s3://images/kiosk.img.zst"];
    shop.refuses(&args).says("is the base image of this recipe");
    // Outputs that are one.
    golden(&["--out", "fine.img", "--provenance", "./fine.bmap"]).says("another output has this name");
    // Not only the first one that is there is looked at.
    std::fs::write(shop.home.path("fine.img"), "an old image").unwrap();
    std::fs::create_dir(shop.home.path("fine.manifest.json")).unwrap();
    golden(&["--out", "fine.img"]).says("fine.manifest.json is a directory");
}

#[test]
fn the_commands_that_write_a_small_file_refuse_what_they_read_and_devices() {
    let shop = Shop::new();
    let (recipe, lock) = (shop.home.path("a.toml"), shop.home.path("a.toml.lock"));
    std::fs::write(&recipe, RECIPE).unwrap();
    shop.refuses(&["inspect", "base.img", "--svg", "base.img"]).says("--svg base.img is an input");
    shop.refuses(&["audit", "base.img", "--sarif", "./base.img"]).says("it is the image");
    shop.refuses(&["audit", "base.img", "--recipe", "kiosk.toml", "--sarif", "motd"]).says("[[file]]");
    std::fs::hard_link(shop.home.path("motd"), lock).unwrap();
    shop.refuses(&["recipe", "lock", "a.toml"]).says("the lock file a.toml.lock is an input").says("[[file]]");
    std::fs::write(shop.home.path("empty"), "").unwrap();
    let args = ["devices", "--learn", "--bench-file", "empty", "--ledger", "empty"];
    shop.refuses(&args).says("--bench-file empty is an input of this run: it is the ledger");
    let Some(card) = LoopDevice::new(MIB) else { return };
    shop.refuses(&["inspect", "base.img", "--svg", card.path.to_str().unwrap()]).says("is a block device");
    assert!(card.bytes().iter().all(|byte| *byte == 0));
}

#[test]
fn a_recipe_whose_base_image_is_the_card_never_writes_to_that_card() {
    if !need_root() {
        return;
    }
    let Some(card) = LoopDevice::new(MIB) else { return };
    let shop = Shop::new();
    let device = card.path.to_str().unwrap();
    std::fs::write(shop.home.path("kiosk.toml"), RECIPE.replace("base.img", device)).unwrap();
    let run = shop.refuses(&["flash", "kiosk.toml", "--to", device, "--fixed-ok", device, "--yes"]);
    run.says(&format!("--to {device} is an input of this run: it is the base image"));
    // The file below the loop device is the same bytes.
    let file = card.file.path().to_str().unwrap();
    shop.refuses(&["flash", "kiosk.toml", "--to", file, "--overwrite"]).says("it is the base image");
    assert!(card.bytes().iter().all(|byte| *byte == 0));
}
