//! `[user]` and `[ssh]`.

use std::process::Command;

use super::{ACCEPT, HASH, apply, cannot, plan, said};
use cardsmith::prepare::{Change, Content, Plan, Severity, StepError};
use cardsmith::recipe::{self, RecipeError};

use crate::support::host_tree::HostTree;
use crate::support::releases::{RELEASES, Release, fresh};
use crate::support::{need, need_root};

fn user(more: &str) -> String {
    format!("[user]\nname = \"ops\"\npassword-hash = '{HASH}'\n{more}")
}

fn line_of(root: &HostTree, file: &str, name: &str) -> String {
    let text = root.text_of(file).unwrap_or_default();
    text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap_or_default().to_owned()
}

/// pwck and grpck find nothing wrong with the databases.
fn are_sound(root: &HostTree) {
    if !(need("pwck") && need("grpck") && need_root()) {
        return;
    }
    for program in ["pwck", "grpck"] {
        let mut command = Command::new(program);
        command.arg("-r").arg("-R").arg(root.path()).env("PATH", crate::support::path());
        if program == "pwck" {
            command.arg("-q");
        }
        let out = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{program}: {said}");
    }
}

fn is_enabled(root: &HostTree, unit: &str) -> String {
    let out =
        Command::new("systemctl").arg(format!("--root={}", root.path().display())).args(["is-enabled", unit]).output();
    String::from_utf8_lossy(&out.unwrap().stdout).trim().to_owned()
}

/// Who the plan gives a path to.
fn owner(plan: &Plan, path: &str) -> (u16, u32, u32) {
    let edit = plan.edits.iter().rfind(|edit| edit.path.to_string() == path).expect(path);
    match &edit.change {
        Change::Write { attributes, .. } | Change::Directory { attributes } => {
            (attributes.mode, attributes.uid, attributes.gid)
        }
        _ => panic!("{path} is not made"),
    }
}

#[test]
fn on_a_fresh_image_the_first_user_is_renamed_and_nobody_is_asked_at_the_first_boot() {
    for release in RELEASES {
        let image = fresh(release);
        image.1.file("/userconf.txt", 0o755, "other:$6$x$y\n");
        let plan = apply(&image, &user("authorized-keys = \"keys.pub\"\n"));
        let (root, boot) = &image;
        assert_eq!(line_of(root, "/etc/passwd", "ops"), "ops:x:1000:1000:,,,:/home/ops:/bin/bash");
        assert_eq!(line_of(root, "/etc/shadow", "ops"), format!("ops:{HASH}:20370:0:99999:7:::"));
        assert_eq!(line_of(root, "/etc/group", "ops"), "ops:x:1000:");
        assert_eq!(line_of(root, "/etc/group", "sudo"), "sudo:x:27:ops");
        assert_eq!(line_of(root, "/etc/gshadow", "gpio"), "gpio:!::ops");
        assert_eq!(root.text_of("/etc/subuid").unwrap(), "ops:100000:65536\n");
        for file in ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"] {
            assert_eq!(line_of(root, file, "pi"), "", "{file}");
        }
        are_sound(root);
        assert_eq!(root.text_of("/home/ops/.config/own").unwrap(), "x\n");
        assert!(!root.has("/home/pi"), "the home has moved");
        assert_eq!(owner(&plan, "/home/ops/.ssh"), (0o700, 1000, 1000));
        assert_eq!(owner(&plan, "/home/ops/.ssh/authorized_keys"), (0o600, 1000, 1000));
        assert_eq!(root.text_of("/home/ops/.ssh/authorized_keys").unwrap(), super::KEYS);
        // The rule of the first user went with it, and asks for a password now.
        let rules = root.text_of("/etc/sudoers.d/010_pi-nopasswd").unwrap();
        assert_eq!(rules, "ops ALL=(ALL) PASSWD: ALL\n");
        if need("visudo") {
            crate::support::oracle::visudo(rules.as_bytes()).assert_clean();
        }
        if need("systemctl") {
            assert_eq!(is_enabled(root, "userconfig.service"), "disabled");
            assert_eq!(is_enabled(root, "getty@tty1.service"), "enabled");
        }
        assert!(!root.has("/etc/ssh/sshd_config.d/rename_user.conf") && !boot.has("/userconf.txt"));
        assert!(said(&plan, Severity::Note).contains("ops by sudo"), "{}", said(&plan, Severity::Note));
    }
}

#[test]
fn on_an_image_that_was_set_up_the_user_is_added_as_useradd_would() {
    for release in RELEASES {
        let image = fresh(release);
        std::fs::remove_file(image.0.host("/etc/systemd/system/multi-user.target.wants/userconfig.service")).unwrap();
        let theirs = tempfile::tempdir().unwrap();
        let has_oracle = need("useradd") && need_root();
        if has_oracle {
            let mut copy = Command::new("cp");
            crate::support::run(copy.arg("-a").arg(image.0.host("/etc")).arg(theirs.path().join("etc")));
            let mut add = Command::new("useradd");
            add.arg("--prefix").arg(theirs.path()).args([
                "-U",
                "-M",
                "-s",
                "/bin/bash",
                "-c",
                ",,,",
                "-G",
                "sudo,gpio",
            ]);
            add.args([
                "-K",
                "UID_MIN=1000",
                "-K",
                "GID_MIN=1000",
                "-K",
                "PASS_MIN_DAYS=0",
                "-K",
                "PASS_MAX_DAYS=99999",
                "-K",
                "PASS_WARN_AGE=7",
                "-p",
                HASH,
                "ops",
            ])
            .env("SOURCE_DATE_EPOCH", "1760000000");
            crate::support::run(add.env("PATH", crate::support::path()));
        }
        let plan = apply(&image, &user("groups = [\"sudo\", \"gpio\"]\nauthorized-keys = \"keys.pub\"\n"));
        let root = &image.0;
        assert_eq!(line_of(root, "/etc/passwd", "ops"), "ops:x:1001:1001:,,,:/home/ops:/bin/bash");
        assert_eq!(line_of(root, "/etc/subuid", "ops"), "ops:165536:65536");
        if has_oracle {
            for file in ["passwd", "shadow", "group", "gshadow"] {
                let sorted = |text: String| {
                    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                    lines.sort();
                    lines
                };
                let wanted = std::fs::read_to_string(theirs.path().join("etc").join(file)).unwrap();
                assert_eq!(
                    sorted(root.text_of(&format!("/etc/{file}")).unwrap()),
                    sorted(wanted),
                    "{release:?}: {file}"
                );
            }
        }
        are_sound(root);
        assert_eq!(line_of(root, "/etc/passwd", "pi"), "pi:x:1000:1000:,,,:/home/pi:/bin/bash", "pi stays");
        assert_eq!(root.text_of("/home/ops/.bashrc").unwrap(), "# bashrc\n");
        assert_eq!(owner(&plan, "/home/ops/.bashrc"), (0o644, 1001, 1001));
        assert_eq!(owner(&plan, "/home/ops").1, 1001);
    }
}

#[test]
fn without_groups_a_new_user_is_in_those_of_the_first_user_that_the_image_has() {
    let image = fresh(Release::Bookworm);
    std::fs::remove_file(image.0.host("/etc/systemd/system/multi-user.target.wants/userconfig.service")).unwrap();
    apply(&image, &user(""));
    for group in ["adm", "sudo", "video", "plugdev", "users", "netdev", "gpio"] {
        assert!(line_of(&image.0, "/etc/group", group).ends_with(":pi,ops"), "{group}");
    }
    are_sound(&image.0);
}

#[test]
fn a_user_of_the_image_gets_a_password_and_nothing_else_changes() {
    for release in RELEASES {
        let image = fresh(release);
        let plan = apply(&image, &user("").replace("\"ops\"", "\"pi\""));
        assert_eq!(line_of(&image.0, "/etc/shadow", "pi"), format!("pi:{HASH}:20370:0:99999:7:::"));
        assert_eq!(line_of(&image.0, "/etc/passwd", "pi"), "pi:x:1000:1000:,,,:/home/pi:/bin/bash");
        let shadow = plan.edits.iter().find(|edit| edit.path.to_string() == "/etc/shadow").unwrap();
        assert!(matches!(&shadow.change, Change::Write { content: Content::Secret(_), .. }) && shadow.before.is_none());
    }
}

#[test]
fn cloud_init_neither_locks_the_user_nor_makes_another() {
    let image = fresh(Release::Trixie);
    image.1.file(
        "/user-data",
        0o755,
        "#cloud-config\nhostname: x\nusers:\n- name: other\n  lock_passwd: true\nchpasswd:\n  expire: false\nruncmd:\n- [ls]\n",
    );
    let plan = apply(&image, &user(""));
    assert_eq!(image.1.text_of("/user-data").unwrap(), "#cloud-config\nhostname: x\nruncmd:\n- [ls]\n");
    assert!(image.0.text_of("/etc/cloud/cloud.cfg.d/zz-cardsmith-user.cfg").unwrap().ends_with("users: []\n"));
    assert!(said(&plan, Severity::Note).contains("users, chpasswd"), "{}", said(&plan, Severity::Note));
}

#[test]
fn the_sudo_hardening_counts_the_new_user() {
    // pi has no password on a fresh image: only the user of the recipe can become root.
    let image = fresh(Release::Bookworm);
    std::fs::remove_file(image.0.host("/etc/systemd/system/multi-user.target.wants/userconfig.service")).unwrap();
    assert!(matches!(plan(&image, ""), Err(StepError::Refused { .. })), "nobody could become root");
    assert!(matches!(plan(&image, &user("groups = [\"gpio\"]\n")), Err(StepError::Refused { .. })));
    apply(&image, &user("groups = [\"sudo\"]\n"));
}

#[test]
fn what_would_be_another_user_or_no_user_is_an_obstacle() {
    for release in RELEASES {
        cannot(&fresh(release), &user("groups = [\"docker\"]\n"), "the group docker");
        cannot(&fresh(release), &user("").replace("\"ops\"", "\"daemon\""), "system account");
        cannot(&fresh(release), &user("").replace("\"ops\"", "\"nobody\""), "system account");
        let image = fresh(release);
        image.1.file("/firstrun.sh", 0o755, "#!/bin/bash\n/usr/lib/userconf-pi/userconf 'x' '$5$y'\n");
        image.1.file(
            "/cmdline.txt",
            0o755,
            "root=x systemd.run=/boot/firstrun.sh systemd.unit=kernel-command-line.target\n",
        );
        cannot(&image, &user(""), "firstrun.sh");
        let image = fresh(release);
        image.1.file("/custom.toml", 0o755, "[user]\nname = \"x\"\n");
        cannot(&image, &user(""), "custom.toml");
        let image = fresh(release);
        std::fs::remove_file(image.0.host("/etc/shadow")).unwrap();
        cannot(&image, &format!("{ACCEPT}{}", user("")), "no /etc/passwd, /etc/shadow");
    }
}

#[test]
fn a_password_is_refused_with_the_way_to_its_hash() {
    let text = "name = \"r\"\n[image]\nsource = \"x\"\n[user]\nname = \"ops\"\npassword = \"correct horse\"\n";
    let Err(RecipeError::Mistakes { mistakes }) = recipe::parse(text, std::path::Path::new("r.toml")) else {
        panic!("a password was taken")
    };
    assert!(mistakes[0].help.contains("openssl passwd -6"), "{}", mistakes[0].help);
    assert!(!format!("{mistakes:?}").contains("correct horse"));
    let text = text.replace("password = \"correct horse\"", "password-hash = \"correct horse\"");
    let Err(RecipeError::Mistakes { mistakes }) = recipe::parse(&text, std::path::Path::new("r.toml")) else {
        panic!("a password was taken for a hash")
    };
    assert!(mistakes[0].what.contains("not a password's hash"), "{}", mistakes[0].what);
    assert!(!format!("{mistakes:?}").contains("correct horse"), "{mistakes:?}");
}

#[test]
fn ssh_starts_or_does_not_and_takes_keys_only() {
    for release in RELEASES {
        let image = fresh(release);
        image.1.file("/ssh", 0o755, "");
        let on = apply(&image, "[ssh]\nenabled = true\npassword-login = false\n");
        let settings = image.0.text_of("/etc/ssh/sshd_config.d/00-cardsmith.conf").unwrap();
        assert!(
            settings.contains("\nPasswordAuthentication no\n")
                && settings.contains("\nKbdInteractiveAuthentication no\n")
        );
        assert!(said(&on, Severity::Warning).contains("nobody can log in over SSH"));
        if need("systemctl") {
            assert_eq!(is_enabled(&image.0, "ssh.service"), "enabled");
        }
        assert!(image.0.has("/etc/systemd/system/sshd.service"), "its other name");
        apply(&image, "[ssh]\nenabled = false\n");
        if need("systemctl") {
            assert_eq!(is_enabled(&image.0, "ssh.service"), "disabled");
        }
        assert!(!image.1.has("/ssh"), "sshswitch would enable it again");
        if release == Release::Trixie {
            let presets = image.0.text_of("/etc/systemd/system-preset/00-cardsmith.preset").unwrap();
            assert!(
                presets.contains("\ndisable ssh.service\n") && !presets.contains("\nenable ssh.service\n"),
                "{presets}"
            );
        }
    }
}

#[test]
fn passwords_are_off_also_where_the_image_s_settings_come_first() {
    let image = fresh(Release::Bullseye);
    image.0.file(
        "/etc/ssh/sshd_config",
        0o644,
        "Port 22\nPasswordAuthentication yes\nMatch User x\n  PasswordAuthentication yes\n",
    );
    let plan = apply(&image, "[ssh]\npassword-login = false\n");
    let text = image.0.text_of("/etc/ssh/sshd_config").unwrap();
    let first = text.lines().find(|line| line.starts_with("PasswordAuthentication")).unwrap();
    assert_eq!(first, "PasswordAuthentication no", "{text}");
    assert!(text.ends_with("Port 22\nPasswordAuthentication yes\nMatch User x\n  PasswordAuthentication yes\n"));
    assert!(said(&plan, Severity::Warning).contains("Match block"));
    apply(&image, "[ssh]\npassword-login = true\n");
    let text = image.0.text_of("/etc/ssh/sshd_config").unwrap();
    assert_eq!(text.matches("cardsmith: begin").count(), 1);
}

#[test]
fn an_image_without_an_ssh_server_says_so() {
    for release in RELEASES {
        let image = fresh(release);
        std::fs::remove_file(image.0.host("/usr/lib/systemd/system/ssh.service")).unwrap();
        cannot(&image, "[ssh]\nenabled = true\n", "no SSH server");
        cannot(&image, "[ssh]\npassword-login = false\n", "no SSH server");
    }
}

#[test]
fn the_readme_s_sections_are_good_ones() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.into_iter().find(|block| block.contains("[user]")).expect("README shows [user]");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ops.pub"), super::KEYS).unwrap();
    let text = format!("name = \"r\"\n[image]\nsource = \"x\"\n{}", block.replace("$y$j9T$…", HASH));
    let loaded =
        recipe::parse(&text, &dir.path().join("r.toml")).unwrap_or_else(|error| panic!("{error}: {}", error.help()));
    assert!(loaded.recipe.user.is_some() && loaded.recipe.proxy.is_some() && loaded.recipe.units.len() == 1);
}
