//! `cardsmith diff`, against what the kernel, rsync and mtools see of the same two images.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::golden::{ACCEPT, make};
use crate::support::binary::{Home, Run};
use crate::support::mounted::Mounted;
use crate::support::oracle::{self, Change};
use crate::support::pi_image::PiImage;
use crate::support::volume::Volume;
use crate::support::{need, need_builder, need_root, path, run};

fn diff(home: &Home, a: &std::path::Path, b: &std::path::Path, more: &[&str]) -> Run {
    let images = [a.to_str().unwrap(), b.to_str().unwrap()];
    home.run([&["diff"], &images[..], more].concat())
}

/// Path → change, of one volume.
fn told(run: &Run, volume: &str) -> BTreeMap<String, String> {
    let of = |event: &serde_json::Value| {
        (event["path"].as_str().unwrap().to_owned(), event["change"].as_str().unwrap().to_owned())
    };
    run.named("difference").iter().filter(|event| event["volume"] == volume).map(of).collect()
}

/// What the kernel sees differ, apart from times and what follows from a directory's content.
fn by_kernel(a: &std::path::Path, b: &std::path::Path) -> BTreeMap<String, String> {
    let (before, after) = (oracle::kernel_tree(&Volume::root_of(a)), oracle::kernel_tree(&Volume::root_of(b)));
    let mut seen = BTreeMap::new();
    for (path, change) in oracle::diff(&before, &after) {
        let is_directory = before.get(&path).is_some_and(|seen| seen.kind == "dir");
        let word = match change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed(what) if what.iter().all(|w| *w == "mtime" || (is_directory && *w == "links")) => continue,
            Change::Changed(_) => "changed",
        };
        seen.insert(path, word.to_owned());
    }
    seen
}

#[test]
fn it_tells_of_a_golden_image_exactly_what_the_kernel_and_mtools_see() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().build();
    let outputs = make(&image, ACCEPT);
    let home = Home::new();
    let run = diff(&home, image.path(), &outputs.manifest, &["--json"]).succeeds();
    let root = told(&run, "root");
    assert_eq!(root, by_kernel(image.path(), &outputs.image));
    assert!(root.len() > 20, "{root:?}");

    let (before, after) = (oracle::fat_tree(image.path()), oracle::fat_tree(&outputs.image));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let files: BTreeSet<String> = changed.map(|name| format!("/{name}")).collect();
    let boot: BTreeSet<String> = told(&run, "boot").into_keys().filter(|path| path.contains('.')).collect();
    assert_eq!(boot, files);

    let sum = &run.named("diff")[0];
    let count = |word| root.values().chain(told(&run, "boot").values()).filter(|change| *change == word).count() as u64;
    assert_eq!(sum["added"].as_u64(), Some(count("added")));
    assert_eq!(sum["removed"].as_u64(), Some(count("removed")));
    assert_eq!(sum["same"], false);
    // Paths are shown, and the agent names files after the node and its sessions; what is in files never is.
    let paths = oracle::kernel_tree(&image.root()).into_keys().collect::<Vec<_>>().join("\n");
    let secrets: Vec<String> =
        image.needles().iter().map(|needle| String::from_utf8_lossy(&needle.bytes).into_owned()).collect();
    let (named, hidden): (Vec<_>, Vec<_>) = secrets.iter().partition(|secret| paths.contains(*secret));
    assert!(hidden.len() > named.len());
    for secret in hidden {
        run.never_says(secret);
    }
}

#[test]
fn every_aspect_of_a_file_is_compared_as_rsync_compares_it() {
    if !need_builder() || !need_root() || !need("rsync") || !need("setfattr") {
        return;
    }
    let image = PiImage::fresh().build();
    let other = image.beside("other.img");
    fs::copy(image.path(), &other).unwrap();
    let mounted = Mounted::read_write(&Volume::root_of(&other));
    let at = |name: &str| mounted.path().join(name);
    fs::set_permissions(at("etc/hostname"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(at("etc/fstab"), Some(12345), Some(70000)).unwrap();
    // Same length, same time: only the content tells.
    let mut passwd = fs::read(at("etc/passwd")).unwrap();
    passwd[0] ^= 1;
    let modified = fs::metadata(at("etc/passwd")).unwrap().modified().unwrap();
    fs::write(at("etc/passwd"), passwd).unwrap();
    fs::File::options().write(true).open(at("etc/passwd")).unwrap().set_modified(modified).unwrap();
    run(Command::new("setfattr").args(["-n", "user.note", "-v", "seen"]).arg(at("etc/group")));
    std::os::unix::fs::symlink("somewhere", at("etc/a-link")).unwrap();
    fs::create_dir_all(at("srv/new/deep")).unwrap();
    fs::write(at("srv/new/deep/\u{1b}[31mred"), "x").unwrap();
    run(Command::new("mknod").arg(at("srv/dev")).args(["c", "300", "70000"]));
    run(Command::new("mkfifo").arg(at("srv/fifo")));
    fs::File::create(at("srv/hole")).unwrap().set_len(3 << 20).unwrap();
    fs::hard_link(at("etc/shells"), at("etc/shells-too")).ok();
    fs::remove_file(at("etc/issue")).ok();

    let first = Mounted::read_only(&Volume::root_of(image.path()));
    let args = ["-n", "--archive", "--xattrs", "--checksum", "--delete", "--itemize-changes", "--no-times"];
    let list = run(Command::new("rsync").args(args).arg(at("")).arg(first.path().join("")).env("PATH", path()));
    let rsync: BTreeSet<String> = String::from_utf8_lossy(&list.stdout)
        .lines()
        .map(|line| match line.strip_prefix("*deleting") {
            Some(path) => path.trim_start().to_owned(),
            None => line.split_once(' ').unwrap().1.split(" -> ").next().unwrap().to_owned(),
        })
        .map(|path| format!("/{}", path.trim_end_matches('/').replace("\\#033", "\\u{1b}")))
        .collect();
    let (seen, is_new) = (by_kernel_of(&first, &mounted), rsync.contains("/srv/new/deep/\\u{1b}[31mred"));
    drop((first, mounted));

    let home = Home::new();
    let run = diff(&home, image.path(), &other, &["--json"]).succeeds();
    let root = told(&run, "root");
    assert_eq!(root, seen);
    assert!(is_new, "{rsync:?}");
    // rsync does not count names of a file without --hard-links.
    let links = |path: &&String| *path == "/etc/shells";
    assert_eq!(root.keys().filter(|path| !links(path)).collect::<Vec<_>>(), rsync.iter().collect::<Vec<_>>());

    let of = |path: &str| run.named("difference").into_iter().find(|event| event["path"] == path).unwrap();
    assert_eq!(of("/etc/hostname")["after"]["mode"], "0600");
    assert_eq!((&of("/etc/fstab")["after"]["uid"], &of("/etc/fstab")["after"]["gid"]), (&12345.into(), &70000.into()));
    assert_eq!(of("/etc/passwd")["changed"], serde_json::json!(["content"]));
    assert_eq!(of("/etc/group")["after"]["xattrs"]["user.note"], "0x7365656e");
    assert_eq!(of("/etc/a-link")["after"]["target"], "somewhere");
    assert_eq!(of("/srv/dev")["after"]["device"], "300:70000");
    let hole = oracle::sha256_hex(&vec![0; 3 << 20]);
    assert_eq!(of("/srv/hole")["after"]["sha256"], hole);

    // A name from an image must not reach the terminal as it is.
    let text = diff(&home, image.path(), &other, &[]).succeeds();
    assert!(!text.out.contains('\u{1b}') && text.out.contains("~ root:/etc/passwd"), "{}", text.out);
}

fn by_kernel_of(before: &Mounted, after: &Mounted) -> BTreeMap<String, String> {
    let (before, after) = (oracle::tree_of(before.path()), oracle::tree_of(after.path()));
    let mut seen = BTreeMap::new();
    for (path, change) in oracle::diff(&before, &after) {
        let is_directory = before.get(&path).is_some_and(|seen| seen.kind == "dir");
        let follows = |what: &&str| *what == "mtime" || (is_directory && *what == "links");
        let word = match change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed(what) if what.iter().all(follows) => continue,
            Change::Changed(_) => "changed",
        };
        seen.insert(path.replace('\u{1b}', "\\u{1b}"), word.to_owned());
    }
    seen
}

#[test]
fn images_that_are_the_same_give_no_difference_in_any_form_and_the_exit_code_says_so() {
    if !need_builder() || !need("xz") {
        return;
    }
    let image = PiImage::fresh().build();
    let packed = image.beside("packed.img.xz");
    fs::write(&packed, run(Command::new("xz").args(["-0", "-c"]).arg(image.path())).stdout).unwrap();
    let home = Home::new();
    let same = diff(&home, image.path(), &packed, &["--exit-code", "--times"]).succeeds();
    same.says("no difference");
    assert!(same.out.is_empty(), "{}", same.out);

    // Only the disk id and a byte between the partitions.
    let other = image.beside("other.img");
    fs::copy(image.path(), &other).unwrap();
    let mut bytes = fs::read(&other).unwrap();
    bytes[440] ^= 0xFF;
    bytes[100_000] ^= 0xFF;
    fs::write(&other, bytes).unwrap();
    diff(&home, image.path(), &other, &[]).succeeds();
    let run = diff(&home, image.path(), &other, &["--exit-code", "--json"]).exits(3);
    let outside = run.named("image-difference");
    let what = |index: usize| outside[index]["what"].as_str().unwrap().to_owned();
    assert_eq!(what(0), "disk id");
    assert!(outside.iter().any(|event| event["what"] == "bytes between partitions"
        && event["after"].as_str().unwrap().contains("first at byte 100000")));
    assert!(run.named("difference").is_empty());
}

#[test]
fn colours_are_for_terminals_and_what_is_no_image_is_said_in_one_message() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let home = Home::new();
    fs::write(home.path("text"), "no image").unwrap();
    let failed = diff(&home, image.path(), &home.path("text"), &["--exit-code"]).fails_with(1);
    assert_eq!(failed.err.matches("error:").count(), 1, "{}", failed.err);
    diff(&home, &home.path("none.manifest.json"), image.path(), &[]).fails_with(1);
    diff(&home, image.path(), &home.path("none.img"), &[]).fails_with(1).says("none.img");

    let other = image.beside("other.img");
    fs::copy(image.path(), &other).unwrap();
    let mut bytes = fs::read(&other).unwrap();
    bytes[440] ^= 0xFF;
    fs::write(&other, bytes).unwrap();
    let coloured = |name: &str, value: &str| {
        let mut command = home.command(["diff", image.path().to_str().unwrap(), other.to_str().unwrap()]);
        String::from_utf8(crate::support::run(command.env(name, value)).stdout).unwrap()
    };
    assert!(coloured("CLICOLOR_FORCE", "1").contains("\u{1b}["));
    assert!(!coloured("NO_COLOR", "1").contains("\u{1b}["));
}
