//! `[locale]` and `[boot]`, and the sections together through the binary.

use std::process::Command;

use super::{ACCEPT, HASH, apply, cannot, said};
use cardsmith::prepare::Severity;

use crate::support::binary::Home;
use crate::support::oracle;
use crate::support::pi_image::PiImage;
use crate::support::releases::{RELEASES, Release, fresh};
use crate::support::{need, need_builder, run};

fn locale(what: &str) -> String {
    format!("{ACCEPT}[locale]\n{what}\n")
}

#[test]
fn the_time_zone_is_one_that_the_image_has() {
    for release in RELEASES {
        let image = fresh(release);
        apply(&image, &locale("time-zone = \"Europe/Berlin\""));
        let link = std::fs::read_link(image.0.host("/etc/localtime")).unwrap();
        assert_eq!(link.to_str(), Some("/usr/share/zoneinfo/Europe/Berlin"));
        let expected = (release != Release::Trixie).then_some("Europe/Berlin\n".to_owned());
        assert_eq!(image.0.text_of("/etc/timezone"), expected);
        cannot(&image, &locale("time-zone = \"Europe/Atlantis\""), "does not know the time zone");
    }
}

#[test]
fn the_keyboard_is_one_that_the_image_has() {
    for release in RELEASES {
        let image = fresh(release);
        apply(&image, &locale("keyboard = \"de(nodeadkeys)\""));
        let text = image.0.text_of("/etc/default/keyboard").unwrap();
        assert!(text.contains("XKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT=\"nodeadkeys\"\n"), "{text}");
        assert!(!image.0.has("/etc/console-setup/cached_UTF-8_del.kmap.gz"), "the compiled one goes");
        cannot(&image, &locale("keyboard = \"xx\""), "does not know the keyboard layout xx");
        cannot(&image, &locale("keyboard = \"gb(nodeadkeys)\""), "no variant");
    }
}

#[test]
fn a_locale_that_is_missing_is_generated_at_the_first_boot_or_refused() {
    for release in RELEASES {
        let image = fresh(release);
        let made = apply(&image, &locale("locale = \"de_DE.UTF-8\""));
        assert_eq!(
            image.0.text_of("/etc/locale.gen").unwrap(),
            "# de_DE ISO-8859-1\nde_DE.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\n"
        );
        assert_eq!(image.0.text_of("/etc/default/locale").unwrap(), "LANG=de_DE.UTF-8\n");
        assert!(image.0.has("/etc/systemd/system/multi-user.target.wants/cardsmith-locale.service"));
        assert!(said(&made, Severity::Note).contains("first boot"));
        if release == Release::Trixie {
            assert!(image.0.host("/etc/default/locale").symlink_metadata().unwrap().is_symlink(), "the link stays");
        }
        cannot(&image, &locale("locale = \"fr_FR.UTF-8\""), "neither has the locale fr_FR.UTF-8");
        apply(&image, &locale("locale = \"C.UTF-8\""));
    }
    if need("systemd-analyze") {
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provision/locale/cardsmith-locale.service");
        let text = std::fs::read_to_string(unit).unwrap().replace("/usr/sbin/locale-gen", "/bin/true");
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("cardsmith-locale.service");
        std::fs::write(&copy, text).unwrap();
        run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy));
    }
}

#[test]
fn a_locale_in_the_real_archive_is_found_there() {
    let sources = std::path::Path::new("/usr/share/i18n/locales/en_GB").exists();
    assert!(sources || std::env::var_os("CI").is_none(), "the package locales is missing: run scripts/setup");
    if !need("localedef") || !sources {
        return;
    }
    let image = fresh(Release::Bookworm);
    image.0.directory("/usr/lib/locale");
    let mut localedef = Command::new("localedef");
    localedef.arg(format!("--prefix={}", image.0.path().display())).args(["-i", "en_GB", "-f", "UTF-8", "en_GB.UTF-8"]);
    run(&mut localedef);
    assert!(image.0.has("/usr/lib/locale/locale-archive"));
    apply(&image, &locale("locale = \"en_GB.UTF-8\""));
    assert!(!image.0.has("/etc/systemd/system/cardsmith-locale.service"), "nothing is left to generate");
    apply(&image, &locale("locale = \"de_DE.UTF-8\""));
    assert!(image.0.has("/etc/systemd/system/cardsmith-locale.service"));
}

#[test]
fn boot_settings_are_added_once_and_the_root_file_system_stays() {
    for release in RELEASES {
        let image = fresh(release);
        let old = image.1.text_of("/cmdline.txt").unwrap();
        apply(
            &image,
            &format!(
                "{ACCEPT}[boot]\nconfig = [\"dtparam=audio=on\", \"gpu_mem=16\", \"[pi4]\", \"arm_boost=1\"]\ncmdline = [\"quiet\", \"consoleblank=0\"]\n"
            ),
        );
        assert_eq!(image.1.text_of("/cmdline.txt").unwrap(), old.replace("quiet\n", "quiet consoleblank=0\n"));
        let config = image.1.text_of("/config.txt").unwrap();
        assert_eq!(config.matches("dtparam=audio=on").count(), 1);
        assert!(config.ends_with("[all]\ngpu_mem=16\n[all]\n[pi4]\narm_boost=1\n[all]\n"), "{config}");
        std::fs::remove_file(image.1.host("/cmdline.txt")).unwrap();
        cannot(&image, &format!("{ACCEPT}[boot]\ncmdline = [\"quiet\"]\n"), "no cmdline.txt");
    }
}

/// A recipe in a home, and the image beside it.
fn bench(image: &PiImage, sections: &str) -> Home {
    let home = Home::new();
    std::os::unix::fs::symlink(image.path(), home.path("base.img")).unwrap();
    std::fs::write(home.path("keys.pub"), super::KEYS).unwrap();
    std::fs::write(home.path("r.toml"), format!("name = \"r\"\n[image]\nsource = \"base.img\"\n{sections}")).unwrap();
    home
}

#[test]
fn golden_images_with_every_section_are_clean_and_the_same_each_time() {
    if !need_builder() {
        return;
    }
    let sections = format!(
        "[user]\nname = \"ops\"\npassword-hash = '{HASH}'\ngroups = [\"sudo\"]\nauthorized-keys = \"keys.pub\"\n\
         [ssh]\nenabled = true\npassword-login = false\n[locale]\nlocale = \"C.UTF-8\"\n\
         [boot]\nconfig = [\"gpu_mem=16\"]\ncmdline = [\"consoleblank=0\"]\n[[unit]]\nname = \"ssh.service\"\nstate = \"enabled\"\n"
    );
    for spec in [PiImage::fresh(), PiImage::lived_in().bookworm()] {
        let image = spec.build();
        let home = bench(&image, &sections);
        home.run(["plan", "r.toml", "--contents"]).succeeds().never_says(HASH);
        home.run(["golden", "r.toml", "--out", "one.img"]).succeeds().never_says(HASH);
        home.run(["golden", "r.toml", "--out", "two.img"]).succeeds();
        assert!(
            std::fs::read(home.path("one.img")).unwrap() == std::fs::read(home.path("two.img")).unwrap(),
            "other bytes"
        );
        oracle::assert_clean_image(&home.path("one.img"));
        let read = |path: &str| String::from_utf8(oracle::debugfs_read(&home.path("one.img"), path).unwrap()).unwrap();
        assert!(read("/etc/shadow").lines().any(|line| line.starts_with(&format!("ops:{HASH}:"))));
        assert!(read("/home/ops/.ssh/authorized_keys").contains("ops@desk"));
        let boot = oracle::fat_tree(&home.path("one.img"));
        let cmdline = boot.iter().find(|(name, _)| name.ends_with("cmdline.txt")).unwrap().1;
        let cmdline = String::from_utf8_lossy(cmdline).into_owned();
        assert!(cmdline.contains("root=PARTUUID=") && cmdline.trim_end().ends_with(" consoleblank=0"), "{cmdline}");
    }
}

#[test]
fn plan_shows_every_obstacle_and_golden_stops_without_an_output() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let before = image.digest();
    let sections = "[locale]\ntime-zone = \"Europe/Berlin\"\nlocale = \"fr_FR.UTF-8\"\n[[unit]]\nname = \"nothere.service\"\nstate = \"enabled\"\n\
                    [[network.interface]]\nname = \"eth0\"\ndhcp = true\n";
    let home = bench(&image, sections);
    let plan = home.run(["plan", "r.toml"]).exits(1);
    for says in ["time zone Europe/Berlin", "locale fr_FR.UTF-8", "nothere.service", "none of NetworkManager"] {
        assert!(plan.out.contains(says), "{says:?} is not in:\n{}", plan.out);
    }
    let golden = home.run(["golden", "r.toml", "--out", "g.img"]).exits(1);
    golden.says("cannot do");
    let left: Vec<String> =
        crate::support::binary::names_in(&home.path("")).into_iter().filter(|name| name.starts_with('g')).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(image.digest(), before);
}
