//! Skeletons of the three Pi OS releases as directories, as far as the sections of a recipe look at them.

use super::host_tree::HostTree;

/// A release of Raspberry Pi OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// dhcpcd.
    Bullseye,
    /// NetworkManager.
    Bookworm,
    /// NetworkManager and cloud-init.
    Trixie,
}

pub const RELEASES: [Release; 3] = [Release::Bullseye, Release::Bookworm, Release::Trixie];

const SERVICE: &str = "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/bin/true\n";

/// A service file with this `[Install]` section.
pub fn service(install: &str) -> String {
    format!("{SERVICE}[Install]\n{install}\n")
}

fn enabled(root: &HostTree, unit: &str, target: &str) {
    root.link(&format!("/etc/systemd/system/{target}.wants/{unit}"), &format!("/usr/lib/systemd/system/{unit}"));
}

/// An image as it is published: user `pi` without a password, whose name the first boot would ask for.
pub fn fresh(release: Release) -> (HostTree, HostTree) {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    accounts(&root);
    let machine_id = if release == Release::Trixie { "uninitialized\n" } else { "" };
    root.file("/etc/machine-id", 0o444, machine_id).file("/etc/hostname", 0o644, "raspberrypi\n");
    root.link("/lib", "usr/lib").link("/bin", "usr/bin").link("/sbin", "usr/sbin");
    for program in [
        "/usr/bin/bash",
        "/usr/bin/sudo",
        "/usr/bin/true",
        "/usr/sbin/sshd",
        "/usr/sbin/locale-gen",
        "/usr/bin/setupcon",
    ] {
        root.file(program, 0o755, "");
    }
    root.file("/usr/bin/sudo", 0o4755, "");
    let unit = |name: &str, text: String| {
        root.file(&format!("/usr/lib/systemd/system/{name}"), 0o644, text);
    };
    unit("userconfig.service", service("WantedBy=multi-user.target"));
    enabled(&root, "userconfig.service", "multi-user.target");
    unit("getty@.service", service("WantedBy=getty.target\nDefaultInstance=tty1"));
    unit("ssh.service", service("WantedBy=multi-user.target\nAlias=sshd.service"));
    unit("ssh.socket", "[Socket]\nListenStream=22\n[Install]\nWantedBy=sockets.target\n".to_owned());
    unit(
        "regenerate_ssh_host_keys.service",
        SERVICE.replace("/usr/bin/true", "/usr/bin/ssh-keygen -A") + "[Install]\nWantedBy=multi-user.target\n",
    );
    enabled(&root, "regenerate_ssh_host_keys.service", "multi-user.target");
    unit("bluetooth.service", service("WantedBy=bluetooth.target\nAlias=dbus-org.bluez.service"));
    enabled(&root, "bluetooth.service", "bluetooth.target");
    root.link("/etc/systemd/system/dbus-org.bluez.service", "/usr/lib/systemd/system/bluetooth.service");
    match release {
        Release::Bullseye => {
            unit("dhcpcd.service", service("WantedBy=multi-user.target"));
            enabled(&root, "dhcpcd.service", "multi-user.target");
            root.file(
                "/etc/dhcpcd.conf",
                0o664,
                "hostname\nclientid\npersistent\noption rapid_commit\nslaac private\n",
            );
        }
        Release::Bookworm | Release::Trixie => {
            unit(
                "NetworkManager.service",
                service("WantedBy=multi-user.target\nAlso=NetworkManager-dispatcher.service"),
            );
            unit("NetworkManager-dispatcher.service", service("Alias=dbus-org.freedesktop.nm-dispatcher.service"));
            enabled(&root, "NetworkManager.service", "multi-user.target");
            root.directory("/etc/NetworkManager/system-connections");
        }
    }
    root.file(
        "/etc/ssh/sshd_config",
        0o644,
        "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nKbdInteractiveAuthentication no\n",
    );
    root.file("/etc/ssh/sshd_config.d/rename_user.conf", 0o644, "Banner /usr/share/userconf-pi/sshd_banner\n");
    locale(&root, release);
    root.file("/etc/fstab", 0o644, "PARTUUID=1-02 / ext4 defaults 0 1\n");
    boot.file(
        "/cmdline.txt",
        0o755,
        "console=serial0,115200 console=tty1 root=PARTUUID=4f2a9c31-02 rootfstype=ext4 rootwait quiet\n",
    );
    boot.file(
        "/config.txt",
        0o755,
        "dtparam=audio=on\ncamera_auto_detect=1\ndtoverlay=vc4-kms-v3d\n\n[cm4]\notg_mode=1\n\n[all]\n",
    );
    if release == Release::Trixie {
        root.file(
            "/etc/cloud/cloud.cfg",
            0o644,
            "users:\n   - default\nsystem_info:\n   distro: raspberry-pi-os\n   default_user:\n     name: pi\n     lock_passwd: True\n     sudo: [\"ALL=(ALL) NOPASSWD:ALL\"]\n",
        );
        boot.file("/user-data", 0o755, "#cloud-config\n\n#hostname: raspberrypi\n#enable_ssh: true\n");
        boot.file("/network-config", 0o755, "#network:\n#  version: 2\n");
    }
    (root, boot)
}

fn accounts(root: &HostTree) {
    root.file(
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n\
         pi:x:1000:1000:,,,:/home/pi:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    );
    root.file("/etc/shadow", 0o640, "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nsshd:!:20000::::::\npi:!:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n");
    root.file(
        "/etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\nadm:x:4:pi\nsudo:x:27:pi\nvideo:x:44:pi\nplugdev:x:46:pi\nusers:x:100:pi\nnetdev:x:110:pi\ngpio:x:986:pi\npi:x:1000:\nnogroup:x:65534:\n",
    );
    root.file(
        "/etc/gshadow",
        0o640,
        "root:*::\ndaemon:*::\nadm:*::pi\nsudo:*::pi\nvideo:*::pi\nplugdev:*::pi\nusers:*::pi\nnetdev:!::pi\ngpio:!::pi\npi:!::\nnogroup:*::\n",
    );
    root.file("/etc/subuid", 0o644, "pi:100000:65536\n").file("/etc/subgid", 0o644, "pi:100000:65536\n");
    root.file("/etc/skel/.profile", 0o644, "# profile\n").file("/etc/skel/.bashrc", 0o644, "# bashrc\n");
    root.file("/home/pi/.profile", 0o644, "# profile\n").file("/home/pi/.config/own", 0o600, "x\n");
    root.file(
        "/etc/sudoers",
        0o440,
        "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    );
    root.file("/etc/sudoers.d/010_pi-nopasswd", 0o440, "pi ALL=(ALL) NOPASSWD: ALL\n");
}

fn locale(root: &HostTree, release: Release) {
    for zone in ["UTC", "Europe/Berlin", "Europe/London"] {
        root.file(&format!("/usr/share/zoneinfo/{zone}"), 0o644, format!("TZif2 {zone}"));
    }
    root.link("/etc/localtime", "/usr/share/zoneinfo/Europe/London");
    root.file("/usr/share/i18n/SUPPORTED", 0o644, "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nen_GB.UTF-8 UTF-8\n");
    root.file("/etc/locale.gen", 0o644, "# de_DE ISO-8859-1\n# de_DE.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\n");
    root.file("/usr/share/X11/xkb/symbols/de", 0o644, "xkb_symbols \"basic\" {};\nxkb_symbols \"nodeadkeys\" {};\n");
    root.file("/usr/share/X11/xkb/symbols/gb", 0o644, "xkb_symbols \"basic\" {};\n");
    root.file(
        "/etc/default/keyboard",
        0o644,
        "# KEYBOARD CONFIGURATION FILE\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"gb\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\n",
    );
    root.file("/etc/console-setup/cached_UTF-8_del.kmap.gz", 0o644, "old");
    if release == Release::Trixie {
        root.file("/etc/locale.conf", 0o644, "LANG=en_GB.UTF-8\n").link("/etc/default/locale", "../locale.conf");
    } else {
        root.file("/etc/default/locale", 0o644, "LANG=en_GB.UTF-8\n").file("/etc/timezone", 0o644, "Europe/London\n");
    }
}
