//! Copies that e2fsck works on have no name: whatever ends the run, nothing of an image is left where temporary files go.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cardsmith::fs::ext4::Superblock;
use cardsmith::fs::ext4::groups::Groups;
use cardsmith::fs::ext4::inode::slot_at;
use cardsmith::image::ImageFile;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::{Home, names_in};
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root, run};

struct Bench {
    home: Home,
    image: PiImage,
    recipe: PathBuf,
    temporary: PathBuf,
}

impl Bench {
    /// An image that our own repair gives up, and e2fsck does not: a file says that it has other blocks than it has.
    fn new() -> Option<Bench> {
        if !need_builder() {
            return None;
        }
        let image = PiImage::lived_in().without_metadata_csum().build();
        let root = image.root();
        let alone = image.beside("alone");
        root.extract(&alone);
        let place = {
            let window = ImageFile::open(&alone).unwrap();
            let sb = Superblock::read(&window).unwrap();
            slot_at(&sb, &Groups::read(&window, &sb).unwrap(), 14).unwrap().0
        };
        fs::remove_file(&alone).unwrap();
        // `i_blocks_lo`.
        let file = File::options().write(true).open(image.path()).unwrap();
        file.write_all_at(&[9], root.start + place + 0x1C).unwrap();
        let home = Home::new();
        let temporary = home.path("temporary");
        fs::create_dir(&temporary).unwrap();
        let recipe = image.recipe("[sudo]\nlockout = \"accept\"\n");
        Some(Bench { home, image, recipe, temporary })
    }

    fn golden(&self) -> Command {
        let args = [Path::new("golden"), &self.recipe, Path::new("--out"), &self.image.beside("golden.img")];
        let mut command = self.home.command(args);
        command.env("TMPDIR", &self.temporary);
        command
    }
}

#[test]
fn a_repair_that_is_interrupted_leaves_no_copy_of_the_image() {
    let Some(bench) = Bench::new() else { return };
    // An e2fsck that takes its time, and tells where it is.
    let (programs, begun) = (bench.home.path("programs"), bench.home.path("begun"));
    fs::create_dir(&programs).unwrap();
    let slow = programs.join("e2fsck");
    let script =
        "#!/bin/sh\necho $$ >\"$BEGUN.part\"; mv \"$BEGUN.part\" \"$BEGUN\"; sleep 2; exec /usr/sbin/e2fsck \"$@\"\n";
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for signal in [Signal::INT, Signal::KILL] {
        let _ = fs::remove_file(&begun);
        let mut command = bench.golden();
        command.env("PATH", &path).env("BEGUN", &begun).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let since = Instant::now();
        while !begun.exists() {
            assert!(
                since.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(),
                "no repair began"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // While it works, the whole partition is there, for nobody else: without a name, and of mode 0600.
        let e2fsck = fs::read_to_string(&begun).unwrap().trim().to_owned();
        let copy = PathBuf::from(format!("/proc/{e2fsck}/fd/0"));
        let (shown, meta) = (fs::read_link(&copy).unwrap(), fs::metadata(&copy).unwrap());
        assert!(shown.to_string_lossy().ends_with("(deleted)"), "{shown:?}");
        assert_eq!((meta.len(), meta.permissions().mode() & 0o7777), (bench.image.root().len, 0o600));
        assert_eq!(names_in(&bench.temporary), Vec::<String>::new());
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        assert_eq!(names_in(&bench.temporary), Vec::<String>::new(), "after {signal:?}");
        assert!(!bench.image.beside("golden.img").exists());
        // The program that was left alone comes to its end.
        while Path::new(&format!("/proc/{e2fsck}/exe")).exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Left in peace, it repairs.
    let output = bench.golden().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("e2fsck -fp on a private copy"), "{said}");
    assert_eq!(names_in(&bench.temporary), Vec::<String>::new());
}

#[test]
fn too_little_room_for_a_copy_is_said_with_how_much_and_where() {
    if !need_root() {
        return;
    }
    let Some(bench) = Bench::new() else { return };
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&bench.temporary));
    let output = bench.golden().output().unwrap();
    let left = names_in(&bench.temporary);
    run(Command::new("umount").arg(&bench.temporary));
    let said = String::from_utf8_lossy(&output.stderr)
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [bench.temporary.to_str().unwrap(), "TMPDIR=DIRECTORY", " MiB", "it takes"] {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    assert_eq!(left, Vec::<String>::new());
    assert!(!bench.image.beside("golden.img").exists());
}
