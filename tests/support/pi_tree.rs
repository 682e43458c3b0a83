//! What is in a [`PiImage`](super::pi_image::PiImage): a skeleton of Raspberry Pi OS.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::pi_image::{Agent, Generation, Spec};
use super::pi_secrets;
use super::run::run;

pub use super::pi_secrets::{APPEND_ONLY, INSTANCE_ID, clean_by_hand, live_on};
pub use super::staging::Tree;

/// An ELF file as far as `file` looks: little-endian 64-bit, AArch64.
fn elf() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
    bytes.resize(120, 0);
    bytes
}

pub fn fill(t: &mut Tree, spec: &Spec) {
    skeleton(t, spec);
    accounts(t, spec);
    sudo(t, spec);
    services(t);
    // What the kernel starts first.
    t.file("usr/lib/systemd/systemd", 0o755, "a program");
    t.link("usr/sbin/init", "../lib/systemd/systemd");
    if spec.agent != Agent::None {
        agent(t, spec);
    }
    if spec.lived_in {
        pi_secrets::fill(t, spec);
    } else {
        match spec.generation {
            Generation::Bookworm => t.file("etc/machine-id", 0o444, ""),
            Generation::Trixie => t.file("etc/machine-id", 0o444, "uninitialized\n"),
        }
        t.link("etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service", REGENERATE);
    }
    shapes(t);
    boot(t, spec);
}

const REGENERATE: &str = "/usr/lib/systemd/system/regenerate_ssh_host_keys.service";

fn skeleton(t: &mut Tree, spec: &Spec) {
    for dir in [
        "boot/firmware",
        "dev",
        "proc",
        "sys",
        "run",
        "mnt",
        "media",
        "srv",
        "opt",
        "home",
        "etc/ssh/sshd_config.d",
        "etc/amazon",
        "etc/apt",
        "etc/default",
        "etc/systemd/system/multi-user.target.wants",
        "usr/bin",
        "usr/sbin",
        "usr/lib/systemd/system",
        "usr/lib/raspberrypi-sys-mods",
        "usr/share/doc",
        "usr/local/bin",
        "usr/local/sbin",
        "var/cache",
        "var/lib/systemd",
        "var/lib/dbus",
        "var/lib/NetworkManager",
        "var/log",
        "var/spool/cron/crontabs",
    ] {
        t.dir(dir, 0o755);
    }
    t.dir("tmp", 0o1777);
    t.dir("var/tmp", 0o1777);
    t.dir("root", 0o700);
    t.dir("etc/NetworkManager/system-connections", 0o700);
    t.dir("etc/sudoers.d", 0o750);
    for dir in ["bin", "sbin", "lib"] {
        t.link(dir, &format!("usr/{dir}"));
    }
    let (number, name) = match spec.generation {
        Generation::Bookworm => (12, "bookworm"),
        Generation::Trixie => (13, "trixie"),
    };
    let release = format!(
        "PRETTY_NAME=\"Debian GNU/Linux {number} ({name})\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{number}\"\n\
         VERSION=\"{number} ({name})\"\nVERSION_CODENAME={name}\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n"
    );
    t.file("usr/lib/os-release", 0o644, release);
    t.link("etc/os-release", "../usr/lib/os-release");
    t.file("etc/rpi-issue", 0o644, RPI_ISSUE);
    let fstab = format!(
        "proc            /proc           proc    defaults          0       0\n\
         PARTUUID={}  /boot/firmware  vfat    defaults          0       2\n\
         PARTUUID={}  /               ext4    defaults,noatime  0       1\n",
        spec.part_uuid(1),
        spec.part_uuid(2)
    );
    t.file("etc/fstab", 0o644, fstab);
    t.file("etc/hostname", 0o644, "raspberrypi\n");
    t.file(
        "etc/hosts",
        0o644,
        "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\traspberrypi\n",
    );
    t.file("etc/motd", 0o644, "The programs included with the Debian GNU/Linux system are free software.\n");
    for program in ["usr/bin/dpkg", "usr/bin/ls", "usr/bin/sudo", "usr/bin/ssh-keygen", "usr/sbin/sshd"] {
        t.file(program, 0o755, elf());
    }
    t.file("usr/bin/dash", 0o755, elf());
    t.link("usr/bin/sh", "dash");
    t.file("usr/lib/aarch64-linux-gnu/libc.so.6", 0o755, elf());
    let mut status = String::new();
    let mut installed =
        vec![("base-files", "arm64", "13"), ("dpkg", "arm64", "1.22.21"), ("sudo", "arm64", "1.9.16p2-3")];
    installed.push(("openssh-server", "arm64", "1:10.0p1-7"));
    if spec.agent == Agent::Deb {
        installed.push(("amazon-ssm-agent", "arm64", "3.3.3050.0-1"));
    }
    for (name, arch, version) in installed {
        status.push_str(&format!(
            "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: admin\nArchitecture: {arch}\n\
             Version: {version}\nDescription: {name}\n\n"
        ));
    }
    t.file("var/lib/dpkg/status", 0o644, status);
    t.file("var/lib/dpkg/arch", 0o644, "arm64\n");
}

const RPI_ISSUE: &str = "Raspberry Pi reference 2025-10-01\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, \
                         0000000000000000000000000000000000000000, stage2\n";

fn accounts(t: &mut Tree, spec: &Spec) {
    let hashed = run(Command::new("openssl").args(["passwd", "-6", "-salt", "fixturesalt", "raspberry"]));
    let hash = String::from_utf8(hashed.stdout).unwrap().trim().to_owned();
    let mut passwd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n\
                      pi:x:1000:1000:,,,:/home/pi:/bin/bash\n"
        .to_owned();
    let mut shadow = format!(
        "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\nsshd:!:20000::::::\n\
         pi:{hash}:20000:0:99999:7:::\n"
    );
    let ssm = spec.lived_in;
    if ssm {
        passwd.push_str("ssm-user:x:1001:1001::/home/ssm-user:/bin/sh\n");
        shadow.push_str("ssm-user:!:20001:0:99999:7:::\n");
    }
    let sudo_members = if ssm { "pi,ssm-user" } else { "pi" };
    let mut group =
        format!("root:x:0:\nadm:x:4:pi\nshadow:x:42:\nsudo:x:27:{sudo_members}\nnetdev:x:110:pi\npi:x:1000:\n");
    let mut gshadow = format!("root:*::\nadm:*::pi\nshadow:*::\nsudo:*::{sudo_members}\nnetdev:!::pi\npi:!::\n");
    if ssm {
        group.push_str("ssm-user:x:1001:\n");
        gshadow.push_str("ssm-user:!::\n");
    }
    t.file("etc/passwd", 0o644, passwd);
    t.file("etc/group", 0o644, group);
    t.owned((0, 42), "etc/shadow", 0o640, shadow);
    t.owned((0, 42), "etc/gshadow", 0o640, gshadow);
    t.dir("home/pi", 0o700);
    t.file("home/pi/.profile", 0o644, "# ~/.profile: executed by the command interpreter for login shells.\n");
    t.own((1000, 1000), "home/pi");
}

fn sudo(t: &mut Tree, spec: &Spec) {
    t.file(
        "etc/sudoers",
        0o440,
        "#\n# This file MUST be edited with the 'visudo' command as root.\n#\nDefaults\tenv_reset\nDefaults\tmail_badpass\n\
         Defaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
         root\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    );
    t.file("etc/sudoers.d/010_pi-nopasswd", 0o440, "pi ALL=(ALL) NOPASSWD: ALL\n");
    t.file("etc/sudoers.d/010_at-export", 0o440, "Defaults env_keep += \"NO_AT_BRIDGE\"\n");
    t.file("etc/sudoers.d/010_global-tty", 0o440, "Defaults !tty_tickets\n");
    t.file(
        "etc/sudoers.d/010_proxy",
        0o440,
        "Defaults env_keep += \"http_proxy HTTP_PROXY https_proxy HTTPS_PROXY no_proxy NO_PROXY\"\n",
    );
    t.file("etc/sudoers.d/README", 0o440, "# Files in this directory are read by sudo.\n");
    if spec.generation == Generation::Trixie {
        t.file(
            "etc/cloud/cloud.cfg",
            0o644,
            "users:\n   - default\ndisable_root: true\nsystem_info:\n   distro: raspberry-pi-os\n   default_user:\n     name: pi\n     \
             lock_passwd: True\n     gecos: Raspberry Pi\n     groups: [adm, sudo]\n     sudo: [\"ALL=(ALL) NOPASSWD:ALL\"]\n     \
             shell: /bin/bash\n",
        );
    }
}

fn services(t: &mut Tree) {
    t.file(
        "usr/lib/systemd/system/regenerate_ssh_host_keys.service",
        0o644,
        "[Unit]\nDescription=Regenerate SSH host keys\nBefore=ssh.service\nConditionFileIsExecutable=/usr/bin/ssh-keygen\n\n\
         [Service]\nType=oneshot\nExecStartPre=-/bin/sh -c \"/bin/rm -f -v /etc/ssh/ssh_host_*_key*\"\n\
         ExecStart=/usr/bin/ssh-keygen -A -v\nExecStartPost=/bin/systemctl disable regenerate_ssh_host_keys\n\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    t.file(
        "usr/lib/systemd/system/ssh.service",
        0o644,
        "[Unit]\nDescription=OpenBSD Secure Shell server\nAfter=network.target auditd.service\n\n[Service]\n\
         ExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n\n[Install]\nWantedBy=multi-user.target\n",
    );
    t.link("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service");
    t.file("etc/ssh/sshd_config", 0o644, "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
}

fn agent(t: &mut Tree, spec: &Spec) {
    let unit = |path: &str| {
        format!(
            "[Unit]\nDescription=amazon-ssm-agent\nAfter=network-online.target\n\n[Service]\nType=simple\nWorkingDirectory=/usr/bin/\n\
             ExecStart={path}\nKillMode=process\nRestart=on-failure\nRestartForceExitStatus=SIGPIPE\nRestartSec=15min\n\n\
             [Install]\nWantedBy=network-online.target\nWantedBy=multi-user.target\n"
        )
    };
    match spec.agent {
        Agent::None => {}
        Agent::Deb => {
            for program in
                ["amazon-ssm-agent", "ssm-agent-worker", "ssm-cli", "ssm-document-worker", "ssm-session-worker"]
            {
                t.file(&format!("usr/bin/{program}"), 0o755, elf());
            }
            t.file("usr/lib/systemd/system/amazon-ssm-agent.service", 0o644, unit("/usr/bin/amazon-ssm-agent"));
            let link = "etc/systemd/system/multi-user.target.wants/amazon-ssm-agent.service";
            t.link(link, "/lib/systemd/system/amazon-ssm-agent.service");
            t.file(
                "etc/init/amazon-ssm-agent.conf",
                0o644,
                "description \"Amazon SSM Agent\"\nexec /usr/bin/amazon-ssm-agent\n",
            );
        }
        Agent::Snap => {
            let name = "snap.amazon-ssm-agent.amazon-ssm-agent.service";
            let path = "/snap/amazon-ssm-agent/current/amazon-ssm-agent";
            t.dir("snap/amazon-ssm-agent/9881", 0o755);
            t.link("snap/amazon-ssm-agent/current", "9881");
            t.file("var/lib/snapd/snaps/amazon-ssm-agent_9881.snap", 0o600, "hsqs fixture\n");
            t.file(&format!("etc/systemd/system/{name}"), 0o644, unit(path));
            let link = format!("etc/systemd/system/multi-user.target.wants/{name}");
            t.link(&link, &format!("/etc/systemd/system/{name}"));
            t.dir("var/snap/amazon-ssm-agent/9881", 0o755);
            t.dir("var/snap/amazon-ssm-agent/common", 0o755);
            t.link("var/snap/amazon-ssm-agent/current", "9881");
        }
    }
    t.file(
        "etc/amazon/ssm/amazon-ssm-agent.json.template",
        0o644,
        "{\"Profile\":{\"ShareCreds\":true},\"Agent\":{\"Region\":\"\"}}\n",
    );
    t.file("etc/amazon/ssm/seelog.xml.template", 0o644, "<seelog/>\n");
}

/// Shapes that an editor of file systems has to survive.
fn shapes(t: &mut Tree) {
    t.dir("usr/share/many", 0o755);
    for i in 1..=400 {
        File::create(t.root().join(format!("usr/share/many/a-rather-long-file-name-for-htree-{i:03}"))).unwrap();
    }
    // Over 59 bytes: the target needs a block of its own.
    t.link("usr/share/doc/slow-symlink", &"x".repeat(100));
    t.file("usr/share/doc/hard1", 0o644, "shared\n");
    fs::hard_link(t.root().join("usr/share/doc/hard1"), t.root().join("usr/share/doc/hard2")).unwrap();
    let holes = File::create(t.root().join("var/cache/holes")).unwrap();
    holes.set_len(3 << 20).unwrap();
    holes.write_all_at(b"end", 2 << 20).unwrap();
    run(Command::new("mkfifo").arg("-m").arg("644").arg(t.root().join("var/spool/fifo")));
    t.file("usr/share/doc/tiny", 0o644, "small enough for an inode\n");
    t.file("usr/share/doc/attributes", 0o644, "has extended attributes\n");
    let set = |name: &str, value: &str| {
        run(Command::new("setfattr").args(["-n", name, "-v", value]).arg(t.root().join("usr/share/doc/attributes")));
    };
    set("user.comment", "kept as it is");
    // Too long for the inode: an attribute block.
    set("user.long", &"long".repeat(100));
    // An ACL: owner rw-, user 1000 r--, group r--, mask r--, other r--.
    set("system.posix_acl_access", ACL);
    t.file("usr/share/doc/large", 0o644, vec![b'L'; 300_000]);
}

const ACL: &str = "0x0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff";

fn boot(t: &mut Tree, spec: &Spec) {
    let tail = match spec.generation {
        _ if spec.lived_in => "",
        Generation::Trixie => " resize",
        Generation::Bookworm => " quiet init=/usr/lib/raspberrypi-sys-mods/firstboot",
    };
    let line = format!(
        "console=serial0,115200 console=tty1 root=PARTUUID={} rootfstype=ext4 fsck.repair=yes rootwait{tail}\n",
        spec.part_uuid(2)
    );
    t.boot_file("cmdline.txt", line);
    t.boot_file("config.txt", "# config\narm_64bit=1\nauto_initramfs=1\n[all]\n");
    t.boot_file("issue.txt", RPI_ISSUE);
    t.boot_file("overlays/README", "overlays\n");
    for name in [
        "kernel8.img",
        "initramfs8",
        "bootcode.bin",
        "start4.elf",
        "fixup4.dat",
        "bcm2711-rpi-4-b.dtb",
        "bcm2712-rpi-5-b.dtb",
    ] {
        t.boot_file(name, format!("fixture {name}\n").repeat(200));
    }
    if spec.generation == Generation::Trixie {
        t.boot_file("user-data", "#cloud-config\n\n#hostname: raspberrypi\n#enable_ssh: true\n");
        t.boot_file("network-config", "#network:\n#  version: 2\n");
        t.boot_file("meta-data", "dsmode: local\ninstance_id: rpios-image\n");
    }
}

/// Appends and makes sure that the journal has it.
pub fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
}
