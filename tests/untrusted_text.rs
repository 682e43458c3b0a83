//! What an image says reaches no terminal and no log as it is: nothing turns a line around, hides, or gives an order.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::support::binary::Home;
use crate::support::mounted::Mounted;
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root};

/// Turns the line around, is not seen, gives the terminal an order, ends the line, and looks like a space.
const HOSTILE: &str = "a\u{202e}b\u{200b}c\x1b[2J\rd\u{a0}e\u{2066}f\u{e0041}g";

/// The characters of `text` that are no business of a terminal's.
fn hostile(text: &[u8]) -> Vec<char> {
    let unseen = |c: char| {
        matches!(c, '\u{ad}' | '\u{a0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    String::from_utf8_lossy(text).chars().filter(|c| unseen(*c) || (c.is_control() && *c != '\n')).collect()
}

fn named(directory: &Path, name: &str) -> std::path::PathBuf {
    directory.join(std::ffi::OsStr::from_bytes(name.as_bytes()))
}

#[test]
fn names_and_texts_of_an_image_are_shown_and_do_nothing() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().build();
    {
        let root = Mounted::read_write(&image.root());
        let at = |path: &str| root.path().join(path);
        fs::write(at("etc/hostname"), format!("{HOSTILE}\n")).unwrap();
        fs::write(at("etc/os-release"), format!("PRETTY_NAME=\"{HOSTILE}\"\n")).unwrap();
        fs::write(at("etc/rpi-issue"), format!("{HOSTILE}\n")).unwrap();
        fs::write(
            named(&at("etc/sudoers.d"), "evil\u{202e}"),
            format!("# {HOSTILE}\npi ALL=(ALL) NOPASSWD: /bin/{HOSTILE}\n"),
        )
        .unwrap();
        fs::create_dir_all(named(&at("home/pi"), HOSTILE)).unwrap();
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==\n";
        fs::write(named(&named(&at("home/pi"), HOSTILE), "\u{202e}yek"), key).unwrap();
        fs::write(named(&at("etc/NetworkManager/system-connections"), HOSTILE), "[wifi-security]\npsk=Kx7-Tr4v-Qm9z\n")
            .unwrap();
        std::os::unix::fs::symlink(HOSTILE, at("home/pi/.bash_history_old")).unwrap();
        let agent = at("var/lib/amazon/ssm/Vault/Store/RegistrationKey");
        let key = serde_json::json!({ "instanceID": HOSTILE, "region": HOSTILE, "privateKey": "x" });
        fs::write(agent, key.to_string()).unwrap();
    }
    let home = Home::new();
    let path = image.path().to_str().unwrap();
    let recipe = image.recipe("[sudo]\nlockout = \"accept\"\n[strip]\nalso = [\"wifi\"]\n");
    let recipe = recipe.to_str().unwrap();
    let other = PiImage::lived_in().build();
    let (sarif, golden) = (image.beside("a.sarif"), image.beside("g.img"));
    let commands: [&[&str]; 6] = [
        &["inspect", path],
        &["audit", path],
        &["audit", path, "--sarif", sarif.to_str().unwrap()],
        &["plan", recipe, "--contents"],
        &["diff", other.path().to_str().unwrap(), path],
        &["golden", recipe, "--out", golden.to_str().unwrap()],
    ];
    let mut shown = 0;
    for command in commands {
        for json in [&[][..], &["--json"]] {
            let _ = fs::remove_file(&golden);
            let run = home.run(json.iter().chain(command));
            for text in [&run.out, &run.err] {
                assert_eq!(hostile(text.as_bytes()), [] as [char; 0], "{json:?} {command:?}: {text}");
                shown += text.matches("202e").count();
            }
        }
    }
    // That it is shown at all, by its number.
    assert!(shown > 20, "{shown}");
    for file in [&sarif, &image.beside("g.manifest.json")] {
        if let Ok(text) = fs::read(file) {
            assert_eq!(hostile(&text), [] as [char; 0], "{}", file.display());
        }
    }
}
