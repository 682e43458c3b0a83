//! Names are bytes: what is called `café` in Latin-1 is found, changed, stripped and told of like everything else.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use cardsmith::harden::sudoers::HardenSudo;
use cardsmith::prepare::{Step, View};
use cardsmith::recipe::schema::{Lockout, Sudo};
use cardsmith::strip::{Also, RemovePaths, Strip, StripLinks, StripStep};

use crate::support::binary::Home;
use crate::support::host_tree::{HostTree, carry_out};
use crate::support::pi_image::PiImage;
use crate::support::root_image::audited;
use crate::support::{need, need_builder};

fn can_audit() -> bool {
    ["sfdisk", "mke2fs", "mkfs.fat", "mcopy"].iter().all(|tool| need(tool))
}

fn read(root: &HostTree, path: &[u8]) -> Option<Vec<u8>> {
    fs::read(root.host_bytes(path)).ok()
}

#[test]
fn sudo_reads_files_of_such_names_and_so_do_hardening_and_audit() {
    if !need("visudo") || !can_audit() {
        return;
    }
    // What sudo does with such names, by its own parser: it finds the mistake in one, and passes the others over.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("d").join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("sudoers"), format!("root ALL=ALL\n@includedir {}/d\n", dir.path().display())).unwrap();
    let is_fine =
        || Command::new("visudo").arg("-cf").arg(dir.path().join("sudoers")).output().unwrap().status.success();
    fs::write(&file, "this is no rule of sudo = = =\n").unwrap();
    assert!(!is_fine(), "sudo does not read a file called caf\\xe9");
    fs::rename(&file, dir.path().join("d").join(OsStr::from_bytes(b"caf\xe9~"))).unwrap();
    assert!(is_fine(), "sudo reads a file called caf\\xe9~");

    let root = HostTree::root();
    root.file("/etc/sudoers", 0o440, "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n@include /etc/n\u{fd}\n")
        .file_bytes(
            b"/etc/sudoers",
            0o440,
            b"root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n@include /etc/n\xfd\n",
        )
        .file("/usr/bin/sudo", 0o4755, "sudo")
        .file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n")
        .file("/etc/group", 0o644, "root:x:0:\nsudo:x:27:pi\n")
        .file("/etc/shadow", 0o640, "root:*:1::::::\npi:$6$s$h:1::::::\n")
        .file_bytes(b"/etc/sudoers.d/caf\xe9", 0o440, b"pi ALL=(ALL) NOPASSWD: ALL\n")
        .file_bytes(b"/etc/n\xfd", 0o440, b"pi ALL=(ALL) NOPASSWD: /bin/ls\n");
    let told = |found: Vec<(String, String)>| -> Vec<String> {
        found.into_iter().filter(|(rule, _)| rule == "sudo-nopasswd").map(|(_, place)| place).collect()
    };
    assert_eq!(told(audited(&root, &HostTree::boot())), ["/etc/sudoers.d/caf\\xe9:1", "/etc/n\\xfd:1"]);
    let sudo = Sudo { lockout: Lockout::Accept, ..Sudo::default() };
    let boot = HostTree::boot();
    let mut view = View::new(&root, &boot);
    HardenSudo::new(&sudo).propose(&mut view).unwrap();
    let plan = view.into_plan();
    carry_out(&plan, &root, &boot);
    assert_eq!(read(&root, b"/etc/sudoers.d/caf\xe9").unwrap(), b"pi ALL=(ALL) PASSWD: ALL\n");
    assert_eq!(read(&root, b"/etc/n\xfd").unwrap(), b"pi ALL=(ALL) PASSWD: /bin/ls\n");
    assert_eq!(told(audited(&root, &boot)), Vec::<String>::new());
}

#[test]
fn homes_profiles_keys_and_swap_files_of_such_names_are_stripped_and_told_of() {
    if !can_audit() || !need("mkswap") {
        return;
    }
    let root = HostTree::root();
    root.file("/etc/machine-id", 0o444, "")
        .file_bytes(
            b"/etc/passwd",
            0o644,
            b"root:x:0:0::/root:/bin/sh\njose:x:1000:1000:Jos\xe9:/srv/jos\xe9:/bin/sh\n",
        )
        .file_bytes(b"/srv/jos\xe9/.bash_history", 0o600, b"history of a long life\n")
        .file_bytes(b"/home/ren\xe9/.ssh/id_rsa", 0o600, b"history of a long life\n")
        .file_bytes(b"/home/ren\xe9/.zsh_history", 0o600, b"history of a long life\n")
        .file_bytes(
            b"/etc/NetworkManager/system-connections/caf\xe9.nmconnection",
            0o600,
            b"[connection]\ntype=wifi\n[wifi-security]\npsk=secret-word-of-old\n",
        )
        .file("/etc/ssh/sshd_config", 0o644, "Include /etc/ssh/more/*\n")
        .file_bytes(b"/etc/ssh/more/\xe9.conf", 0o644, b"HostKey /etc/ssh/k\xe9y\n")
        .file_bytes(b"/etc/ssh/k\xe9y", 0o600, b"a private key\n")
        .file_bytes(b"/etc/dphys-swapfile", 0o644, b"CONF_SWAPFILE=/opt/m\xe9moire\n")
        .file_bytes(b"/opt/m\xe9moire", 0o600, vec![0; 1 << 20])
        .file_bytes(b"/var/log/caf\xe9.log.1", 0o640, b"an old log of 2001\n")
        .file_bytes(b"/var/log/caf\xe9.log", 0o640, b"a log\n");
    let swap = root.host_bytes(b"/opt/m\xe9moire");
    assert!(Command::new("mkswap").arg("-q").arg(&swap).status().unwrap().success());

    let found = audited(&root, &HostTree::boot());
    for place in [
        "/srv/jos\\xe9/.bash_history",
        "/home/ren\\xe9/.zsh_history",
        "/etc/NetworkManager/system-connections/caf\\xe9.nmconnection",
        "/etc/ssh/k\\xe9y",
        "/opt/m\\xe9moire",
        "/var/log/caf\\xe9.log.1",
    ] {
        assert!(found.iter().any(|(_, at)| at == place), "{place}: {found:#?}");
    }
    let strip = Strip { also: vec![Also::named("wifi").unwrap()], ..Strip::default() };
    let boot = HostTree::boot();
    let mut view = View::new(&root, &boot);
    let steps: [&dyn Step; 3] = [&StripStep::identity(&strip), &RemovePaths::new(&strip), &StripLinks::new(&strip)];
    for step in steps {
        view.enter(step.name());
        step.propose(&mut view).unwrap();
    }
    let plan = view.into_plan();
    carry_out(&plan, &root, &boot);
    for gone in [
        &b"/srv/jos\xe9/.bash_history"[..],
        b"/home/ren\xe9/.zsh_history",
        b"/etc/NetworkManager/system-connections/caf\xe9.nmconnection",
        b"/opt/m\xe9moire",
        b"/var/log/caf\xe9.log.1",
    ] {
        assert_eq!(read(&root, gone), None, "{}", String::from_utf8_lossy(gone));
    }
    assert_eq!(read(&root, b"/var/log/caf\xe9.log").unwrap(), b"");
    // A key that no script could name is not stripped, and never in silence.
    let is_said = plan.findings.iter().any(|found| found.text.contains("k\\xe9y"));
    assert!(is_said || read(&root, b"/etc/ssh/k\xe9y").is_none(), "{:?}", plan.findings);
}

#[test]
fn files_of_this_machine_may_have_such_names_and_an_image_that_may_not_is_refused_before_the_work() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let recipe = image.recipe("[sudo]\nlockout = \"accept\"\n");
    let home = Home::new();
    let odd = home.path("x").with_file_name(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd).unwrap();
    for file in [&recipe, &image.path().to_owned()] {
        fs::copy(file, odd.join(file.file_name().unwrap())).unwrap();
    }
    let path = |name: &[u8]| odd.join(OsStr::from_bytes(name)).into_os_string();
    let words =
        |words: &[&str], path: OsString| -> Vec<OsString> { words.iter().map(OsString::from).chain([path]).collect() };
    let golden =
        |out: &[u8]| home.run([OsString::from("golden"), path(b"recipe.toml"), OsString::from("--out"), path(out)]);
    golden(b"g.img").succeeds();
    let mut names: Vec<Vec<u8>> =
        fs::read_dir(&odd).unwrap().map(|entry| entry.unwrap().file_name().into_vec()).collect();
    names.sort();
    let expected = ["base.img", "g.bmap", "g.img", "g.manifest.json", "g.sha256", "recipe.toml"];
    assert_eq!(names, expected.map(|name| name.as_bytes().to_vec()));
    fs::rename(odd.join("g.img"), OsString::from_vec([odd.as_os_str().as_bytes(), b"/caf\xe9.img"].concat())).unwrap();
    let run = home.run(words(&["audit"], path(b"caf\xe9.img")));
    assert!(matches!(run.code, Some(0 | 3)), "{}", run.err);
    golden(b"th\xe9.img").fails_with(2).says("no UTF-8 text");
    assert!(!odd.join(OsStr::from_bytes(b"th\xe9.img")).exists());
}
