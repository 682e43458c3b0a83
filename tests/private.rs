//! What cardsmith keeps is its owner's alone: the cache of decoded images, card images, the ledger, and its memory.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::{Home, Run, names_in};
use crate::support::need_root;

const NOBODY: u32 = 65_534;

/// A home with a packed image, and a umask that hides nothing.
struct Bench {
    home: Home,
}

impl Bench {
    fn new() -> Bench {
        let home = Home::new();
        // It is decoded and kept, and then it is no image of a card.
        fs::write(home.path("noise.img.zst"), zstd::encode_all(&[7; 100_000][..], 1).unwrap()).unwrap();
        Bench { home }
    }

    fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cardsmith")]).args(args);
        let like = self.home.command(["x"]);
        command.envs(like.get_envs().filter_map(|(key, value)| Some((key, value?)))).current_dir(self.home.path(""));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn inspect(&self) -> Run {
        self.run(&["inspect", "noise.img.zst"]).fails_with(1)
    }

    fn inspected(&self) -> Run {
        let run = self.inspect();
        run.says("cannot be understood");
        run
    }

    fn images(&self) -> PathBuf {
        self.home.cache().join("images")
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Nobody but the owner reads or writes anything in it.
#[track_caller]
fn assert_private(dir: &Path) {
    assert_eq!(mode(dir), 0o700, "{}", dir.display());
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => assert_private(&entry),
            false => assert_eq!(mode(&entry) & 0o077, 0, "{}: {:o}", entry.display(), mode(&entry)),
        }
    }
}

#[test]
fn cache_ledger_and_card_images_are_their_owner_s_alone_whatever_the_umask() {
    let bench = Bench::new();
    let _ = bench.home.run(["demo", "demo"]);
    bench.inspected();
    assert_eq!(names_in(&bench.images()).len(), 2);
    // The digest of a file is only kept once its clock must have gone on: a later change would not be seen else.
    std::thread::sleep(Duration::from_millis(3_500));
    bench.run(&["plan", "demo/kiosk.toml"]).succeeds();
    assert_eq!(names_in(&bench.home.cache()), ["digests", "images"]);
    assert_private(&bench.home.cache());
    bench.run(&["flash", "demo/golden.manifest.json", "--to", "card.img"]).succeeds();
    assert_eq!(mode(&bench.home.path("card.img")), 0o600);
    assert_private(&bench.home.path("state/cardsmith"));
    assert_private(&bench.home.cache());
    // Digests of raw images are believed as well: what others could write is not.
    set(&bench.home.cache().join("digests"), 0o777);
    bench.run(&["plan", "demo/kiosk.toml"]).succeeds().says("digests was open to others");
    assert_private(&bench.home.cache());
}

#[test]
fn an_older_cache_is_closed_and_told_and_what_others_could_write_to_is_not_believed() {
    let bench = Bench::new();
    bench.inspected().never_says("open to others");
    let image = || {
        let name = names_in(&bench.images()).into_iter().find(|name| name.ends_with(".img")).unwrap();
        let path = bench.images().join(name);
        (path.metadata().unwrap().ino(), path)
    };
    let (first, path) = image();
    set(&path, 0o444);
    set(&bench.images(), 0o755);
    bench.inspected().says("was open to others (mode 0755), and is closed to them now");
    assert_private(&bench.images());
    assert_eq!(image().0, first, "it could only be read: it is used");
    bench.inspected().never_says("open to others");

    for open in [0o777, 0o770, 0o1777] {
        let (_, path) = image();
        // Somebody exchanged the image and its marker.
        set(&path, 0o644);
        fs::write(&path, b"somebody else's image").unwrap();
        set(&bench.images(), open);
        bench.inspected().says("others could write to it, so what was in it was removed");
        assert_private(&bench.images());
        assert_eq!(fs::read(image().1).unwrap(), [7; 100_000], "{open:o}");
    }
}

#[test]
fn a_directory_of_a_person_s_own_is_no_cache_and_stays_as_it_is() {
    let bench = Bench::new();
    fs::create_dir_all(bench.images().join("2024")).unwrap();
    fs::write(bench.images().join("holiday.jpg"), b"the only one").unwrap();
    set(&bench.images(), 0o777);
    bench.inspect().says("the image cache cannot be used").says("is no cache of cardsmith's").says("--cache-dir");
    assert_eq!(fs::read(bench.images().join("holiday.jpg")).unwrap(), b"the only one");
    assert!(bench.images().join("2024").is_dir());
    assert_eq!(mode(&bench.images()), 0o777);
}

#[test]
fn a_cache_of_somebody_else_a_link_and_a_place_that_anybody_writes_to_are_refused_by_name() {
    if !need_root() {
        return;
    }
    let bench = Bench::new();
    let refused = |says: &str, name: &Path| {
        let run = bench.inspect();
        run.says("the image cache cannot be used").says(says).says(&name.display().to_string()).says("--cache-dir");
    };
    let cache = bench.home.cache();
    fs::create_dir_all(bench.images()).unwrap();
    for theirs in [&cache, &bench.images()] {
        chown(theirs, Some(NOBODY), None).unwrap();
        refused("belongs to user 65534", theirs);
        assert_eq!((theirs.metadata().unwrap().uid(), names_in(&bench.images()).len()), (NOBODY, 0), "left as it was");
        chown(theirs, Some(0), None).unwrap();
    }
    for linked in [bench.images(), cache.clone()] {
        let elsewhere = bench.home.path("elsewhere");
        fs::rename(&linked, &elsewhere).unwrap();
        symlink(&elsewhere, &linked).unwrap();
        refused("is a symbolic link", &linked);
        assert!(names_in(&elsewhere).iter().all(|name| name == "images"));
        fs::remove_file(&linked).unwrap();
        fs::rename(&elsewhere, &linked).unwrap();
    }
    set(&bench.home.path("cache"), 0o777);
    refused("which anybody may write to", &bench.images());
    set(&bench.home.path("cache"), 0o1777);
    bench.inspected();
}

/// The binary while it waits for a server that says nothing, as this user; dead when the test ends.
fn waiting(home: &Home, uid: Option<u32>, port: u16) -> Child {
    let text = format!(
        "name = \"k\"\n[image]\nsource = \"https://127.0.0.1:{port}/a.img\"\nsha256 = \"{}\"\n",
        "0".repeat(64)
    );
    fs::write(home.path("k.toml"), text).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cardsmith")]);
    command.args(["golden", "k.toml", "--out", "golden.img"]).current_dir(home.path("")).env("HOME", home.path(""));
    command.env_remove("XDG_CACHE_HOME").stderr(Stdio::null());
    uid.map(|uid| command.uid(uid));
    command.spawn().unwrap()
}

/// What `child` opened: it is at work then.
#[track_caller]
fn connection(listener: &TcpListener, child: &mut Child) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            return stream;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it asked for the image");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_crash_leaves_no_core_file_and_no_other_program_reads_the_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = Home::new();
    let mut child = waiting(&home, None, port);
    let _connection = connection(&listener, &mut child);
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(6) && !status.core_dumped(), "{status:?}");
    assert!(!names_in(&home.path("")).iter().any(|name| name.starts_with("core")));

    // Of a process that may not be dumped, /proc belongs to root: only for another user can that be seen.
    if !need_root() {
        return;
    }
    let home = Home::new();
    chown(home.path(""), Some(NOBODY), None).unwrap();
    let mut child = waiting(&home, Some(NOBODY), port);
    let _connection = connection(&listener, &mut child);
    let about = fs::metadata(format!("/proc/{}/environ", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(about.uid(), 0, "its memory can be read by every program of its user");
    // The oracle: a program that may be dumped belongs to its user.
    let mut sleep = Command::new("sleep").arg("60").uid(NOBODY).spawn().unwrap();
    let began = Instant::now();
    let owner = loop {
        let owner = fs::metadata(format!("/proc/{}/environ", sleep.id())).unwrap().uid();
        if owner == NOBODY || began.elapsed() > Duration::from_secs(5) {
            break owner;
        }
    };
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert_eq!(owner, NOBODY);
}
