//! Signed manifests, judged by `ssh-keygen -Y`; and only those are flashed. Imager's entry and the provenance, judged by
//! other people's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::golden::ACCEPT;
use crate::support::binary::{Home, Run, names_in};
use crate::support::oracle::sha256_hex;
use crate::support::pi_image::PiImage;
use crate::support::{need, need_builder, run, run_with_input};

/// A key pair as ssh-keygen makes it.
fn key(home: &Home, name: &str, kind: &str, passphrase: &str) -> PathBuf {
    let path = home.path(name);
    run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", name, "-f"]).arg(&path));
    path
}

fn public(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

/// `ssh-keygen -Y verify`, as somebody without cardsmith checks it.
fn holds(home: &Home, key: &Path, manifest: &Path, signature: &Path) -> bool {
    let signers = home.path("allowed_signers");
    fs::write(&signers, format!("ci@example.org {}", fs::read_to_string(public(key)).unwrap())).unwrap();
    let mut check = Command::new("ssh-keygen");
    check.args(["-Y", "verify", "-I", "ci@example.org", "-n", "cardsmith-manifest", "-f"]).arg(&signers);
    check.arg("-s").arg(signature).stdin(fs::File::open(manifest).unwrap());
    check.output().unwrap().status.success()
}

fn golden(home: &Home, image: &PiImage, out: &str, more: &[&str]) -> Run {
    let (recipe, out) = (image.recipe(ACCEPT), image.beside(out));
    home.run([&["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()], more].concat())
}

fn flash(home: &Home, manifest: &Path, key: &Path, card: &Path) -> Run {
    let words = [manifest, key, card].map(|path| path.to_str().unwrap().to_owned());
    home.run(["flash", &words[0], "--only-signed-by", &words[1], "--to", &words[2]])
}

#[test]
fn ssh_keygen_accepts_our_signatures_and_we_accept_its() {
    if !need_builder() || !need("ssh-keygen") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    for kind in ["ed25519", "ecdsa"] {
        let key = key(&home, kind, kind, "");
        let name = format!("{kind}.img");
        let run = golden(&home, &image, &name, &["--sign", key.to_str().unwrap(), "--json"]).succeeds();
        let manifest = image.beside(&format!("{kind}.manifest.json"));
        let signature = image.beside(&format!("{kind}.manifest.json.sig"));
        assert!(holds(&home, &key, &manifest, &signature), "{kind}");
        let shown = crate::support::run(Command::new("ssh-keygen").arg("-lf").arg(public(&key))).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(run.named("golden")[0]["signer"].as_str().unwrap()), "{shown}");
        let card = image.beside(&format!("{kind}-card.img"));
        flash(&home, &manifest, &public(&key), &card).succeeds();
        assert!(card.exists());

        // The other way round: an agent's key signs with ssh-keygen.
        fs::remove_file(&signature).unwrap();
        crate::support::run(
            Command::new("ssh-keygen")
                .args(["-q", "-Y", "sign", "-n", "cardsmith-manifest", "-f"])
                .arg(&key)
                .arg(&manifest),
        );
        let words = [&manifest, &card, &home.path("allowed_signers")].map(|path| path.to_str().unwrap().to_owned());
        home.run(["verify", &words[0], &words[1], "--only-signed-by", &words[2]]).succeeds();
    }
}

#[test]
fn the_manifest_covers_image_and_block_map_and_signing_is_deterministic() {
    if !need_builder() || !need("ssh-keygen") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    let key = key(&home, "key", "ed25519", "");
    golden(&home, &image, "g.img.zst", &["--sign", key.to_str().unwrap()]).succeeds();
    let first = fs::read(image.beside("g.manifest.json.sig")).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(image.beside("g.manifest.json")).unwrap()).unwrap();
    let digest = |name: &str| sha256_hex(&fs::read(image.beside(name)).unwrap());
    assert_eq!(manifest["image"]["file_sha256"], digest("g.img.zst"));
    assert_eq!(manifest["image"]["bmap_sha256"], digest("g.bmap"));
    assert_eq!(manifest["recipe_sha256"], sha256_hex(&fs::read(image.recipe(ACCEPT)).unwrap()));
    golden(&home, &image, "g.img.zst", &["--sign", key.to_str().unwrap(), "--overwrite"]).succeeds();
    assert_eq!(fs::read(image.beside("g.manifest.json.sig")).unwrap(), first);
    // Made again without a signature, none is left that would seem to be of it.
    golden(&home, &image, "g.img.zst", &["--overwrite"]).succeeds();
    assert!(!image.beside("g.manifest.json.sig").exists());
}

#[test]
fn without_a_signature_that_holds_nothing_is_written_and_no_activation_is_used() {
    if !need_builder() || !need("ssh-keygen") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    let (mine, other) = (key(&home, "mine", "ed25519", ""), key(&home, "other", "ed25519", ""));
    golden(&home, &image, "g.img", &["--sign", mine.to_str().unwrap()]).succeeds();
    let (manifest, signature) = (image.beside("g.manifest.json"), image.beside("g.manifest.json.sig"));
    let (text, good) = (fs::read(&manifest).unwrap(), fs::read(&signature).unwrap());
    let card = image.beside("card.img");
    let refused = |key: &Path, code: i32, says: &str| {
        let run = flash(&home, &manifest, key, &card).fails_with(code);
        run.says(says).never_says("PRIVATE KEY");
        assert_eq!(run.err.lines().filter(|line| line.starts_with("error:")).count(), 1, "{}", run.err);
        assert!(!card.exists() && names_in(&home.path("state")).is_empty(), "{says}");
    };
    let keys = public(&mine);

    refused(&public(&other), 1, "was signed by another key: SHA256:");
    let mut altered = text.clone();
    *altered.iter_mut().rev().find(|byte| byte.is_ascii_digit()).unwrap() ^= 1;
    fs::write(&manifest, &altered).unwrap();
    refused(&keys, 1, "the signature of");
    fs::write(&manifest, &text).unwrap();
    for broken in
        [&b""[..], b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n", &good[..good.len() / 2]]
    {
        fs::write(&signature, broken).unwrap();
        refused(&keys, 1, "is not a signature");
    }
    let sign = ["-q", "-Y", "sign", "-n", "file", "-f", mine.to_str().unwrap()];
    fs::write(&signature, run_with_input(Command::new("ssh-keygen").args(sign), &text).stdout).unwrap();
    refused(&keys, 1, "is for \"file\"");
    fs::remove_file(&signature).unwrap();
    refused(&keys, 1, "is not signed");
    fs::write(&signature, &good).unwrap();

    refused(&mine, 2, "it is a private key");
    refused(&home.path("none.pub"), 2, "cannot use the key");
    let list = home.path("signers");
    let line = fs::read_to_string(&keys).unwrap();
    for (text, says) in [
        (format!("me valid-before=\"20200101\" {line}"), "valid-before"),
        (format!("me namespaces=\"git\" {line}"), "holds no key that may sign"),
        (format!("me cert-authority {line}"), "cert-authority"),
        ("nonsense\n".to_owned(), "line 1"),
        (String::new(), "holds no key"),
    ] {
        fs::write(&list, text).unwrap();
        refused(&list, 2, says);
    }
    fs::write(&list, format!("# who may\nme@example.org namespaces=\"git,cardsmith-manifest\" {line}")).unwrap();
    flash(&home, &manifest, &list, &card).succeeds();
    home.run([
        "flash",
        image.recipe(ACCEPT).to_str().unwrap(),
        "--only-signed-by",
        list.to_str().unwrap(),
        "--to",
        "x.img",
    ])
    .fails_with(2);
}

#[test]
fn an_image_that_was_changed_behind_its_signed_manifest_gives_no_card() {
    if !need_builder() || !need("ssh-keygen") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    let key = key(&home, "key", "ed25519", "");
    golden(&home, &image, "g.img", &["--sign", key.to_str().unwrap()]).succeeds();
    // /etc/hostname and what is near it: there the card gets blocks of its own, with digests of its own.
    let mut bytes = fs::read(image.beside("g.img")).unwrap();
    let needle = b"raspberrypi";
    let found: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|&at| bytes[at] == b'r' && bytes[at..].starts_with(needle)).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at] = b'R');
    fs::write(image.beside("g.img"), bytes).unwrap();
    let run = flash(&home, &image.beside("g.manifest.json"), &public(&key), &image.beside("card.img"));
    assert!(matches!(run.code, Some(1 | 5)), "{:?} {}", run.code, run.err);
    let card = fs::read(image.beside("card.img")).unwrap_or_default();
    assert!(card.iter().take(512).all(|&byte| byte == 0), "a card that boots was made of an image that nobody signed");
}

#[test]
fn keys_that_cannot_sign_are_said_before_anything_is_made() {
    if !need_builder() || !need("ssh-keygen") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    let locked = key(&home, "locked", "ed25519", "correct horse");
    let rsa = key(&home, "rsa", "rsa", "");
    let before = names_in(image.dir());
    let sign = |key: &Path, passphrase: Option<&str>| {
        let (recipe, out) = (image.recipe(ACCEPT), image.beside("g.img"));
        let args =
            ["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap(), "--sign", key.to_str().unwrap()];
        let mut command = Command::new("setsid");
        command.arg("-w").arg(env!("CARGO_BIN_EXE_cardsmith")).args(args).env("HOME", home.path(""));
        command.env("XDG_CACHE_HOME", home.path("cache")).stdin(std::process::Stdio::null());
        passphrase.map(|secret| command.env("CARDSMITH_SIGN_PASSPHRASE", secret));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (key, passphrase, says) in [
        (&locked, None, "no terminal to ask"),
        (&locked, Some("wrong horse"), "is not its passphrase"),
        (&public(&locked), None, "public key"),
        (&rsa, None, "cannot use the key"),
        (&home.path("none"), None, "cannot use the key"),
        (&image.recipe(ACCEPT), None, "not a private key"),
    ] {
        let (code, err) = sign(key, passphrase);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(says) && !err.contains("horse"), "{err}");
        let after: Vec<_> = names_in(image.dir()).into_iter().filter(|name| name.starts_with("g.")).collect();
        assert!(after.is_empty(), "{before:?} {after:?}");
    }
    let (code, err) = sign(&locked, Some("correct horse"));
    assert_eq!(code, Some(0), "{err}");
    assert!(holds(&home, &locked, &image.beside("g.manifest.json"), &image.beside("g.manifest.json.sig")));
}

#[test]
fn imagers_entry_and_the_provenance_say_of_the_files_what_others_measure() {
    if !need_builder() || !need("xz") {
        return;
    }
    let (home, image) = (Home::new(), PiImage::fresh().build());
    let (entry, statement) = (image.beside("imager.json"), image.beside("kiosk.intoto.json"));
    let more = ["--imager-json", entry.to_str().unwrap(), "--provenance", statement.to_str().unwrap()];
    golden(&home, &image, "a b.img.xz", &[&more[..], &["--imager-url", "https://example.org/kiosk/"]].concat())
        .succeeds();
    let file = image.beside("a b.img.xz");
    let raw = run(Command::new("xz").args(["-dc"]).arg(&file)).stdout;
    let repository: Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
    let os = &repository["os_list"][0];
    assert_eq!(os["url"], "https://example.org/kiosk/a%20b.img.xz");
    assert_eq!(os["extract_size"], raw.len());
    assert_eq!(os["extract_sha256"], sha256_hex(&raw));
    assert_eq!(os["image_download_size"], fs::metadata(&file).unwrap().len());
    assert_eq!(os["image_download_sha256"], sha256_hex(&fs::read(&file).unwrap()));
    // What Imager's own schema requires.
    for field in ["name", "description", "icon", "url", "release_date", "init_format"] {
        assert!(os[field].is_string(), "{field}");
    }
    let date = os["release_date"].as_str().unwrap();
    assert_eq!((date.len(), &date[4..5], &date[7..8]), (10, "-", "-"));

    let said: Value = serde_json::from_slice(&fs::read(&statement).unwrap()).unwrap();
    assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
    for subject in said["subject"].as_array().unwrap() {
        let name = subject["name"].as_str().unwrap();
        assert_eq!(subject["digest"]["sha256"], sha256_hex(&fs::read(image.beside(name)).unwrap()), "{name}");
    }
    assert_eq!(said["subject"].as_array().unwrap().len(), 3);
    let inputs = said["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let digests: Vec<&str> = inputs.iter().map(|input| input["digest"]["sha256"].as_str().unwrap()).collect();
    assert!(
        digests.contains(&image.digest().as_str())
            && digests.contains(&sha256_hex(&fs::read(image.recipe(ACCEPT)).unwrap()).as_str())
    );
    assert!(said["predicate"]["runDetails"]["builder"]["id"].is_string());

    // Without an address Imager is sent to the file; and nothing is replaced by accident.
    golden(&home, &image, "c.img.xz", &more[..2]).exits(2).says("--overwrite");
    assert!(!image.beside("c.img.xz").exists());
    let (first, again) = (fs::read(&statement).unwrap(), [&more[..], &["--overwrite"]].concat());
    golden(&home, &image, "a b.img.xz", &again).succeeds();
    assert_eq!(fs::read(&statement).unwrap(), first);
    let repository: Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
    assert!(repository["os_list"][0]["url"].as_str().unwrap().starts_with("file:///"));
}
