//! Where an image keeps what tells one machine from another, and what it remembers of its life; and what happens to it.

use crate::prepare::{Action, Class, PathRule};
use crate::recipe::schema::Keep;

use Action::{Clear, Keep as Stay, Remove, StepDecides, Warn};
use Class::{Configuration, Identity, Log, Secret, Transient};

/// The table. `StepDecides` lines are done by code beside this file.
pub const RULES: &[PathRule] = &[
    PathRule::new(
        "/etc/machine-id",
        "the machine's id; becomes an empty file, which systemd fills at the first boot",
        Identity,
        StepDecides,
        "machine-id(5), First Boot Semantics",
    )
    .unless(Keep::MachineId),
    PathRule::new(
        "/var/lib/dbus/machine-id",
        "a copy of the machine's id; dbus makes a link to the real one again. A link stays",
        Identity,
        StepDecides,
        "dbus-uuidgen(1); tmpfiles.d/dbus.conf",
    )
    .unless(Keep::MachineId),
    PathRule::new(
        "/etc/ssh/ssh_host_*_key*",
        "SSH host keys, and those that HostKey lines of sshd_config name; a unit that makes new ones is enabled",
        Secret,
        StepDecides,
        "sshd_config(5), HostKey; ssh-keygen(1), -A",
    )
    .unless(Keep::HostKeys),
    PathRule::new(
        "/etc/dropbear/dropbear_*_host_key",
        "host keys of dropbear, for which cardsmith knows no unit that makes new ones",
        Secret,
        Warn,
        "dropbear(8)",
    )
    .unless(Keep::HostKeys),
    // Randomness
    PathRule::new(
        "/var/lib/systemd/random-seed",
        "random seed, which must never be used twice",
        Secret,
        Remove,
        "systemd-random-seed.service(8)",
    )
    .unless(Keep::RandomSeed),
    PathRule::new(
        "/var/lib/urandom/random-seed",
        "random seed, which must never be used twice",
        Secret,
        Remove,
        "urandom(4)",
    )
    .unless(Keep::RandomSeed),
    PathRule::new(
        "boot:/loader/random-seed",
        "random seed of the boot loader, which must never be used twice",
        Secret,
        Remove,
        "systemd-boot(7), /loader/random-seed",
    )
    .unless(Keep::RandomSeed),
    PathRule::new(
        "/var/lib/systemd/credential.secret",
        "host key that encrypts systemd credentials",
        Secret,
        Remove,
        "systemd-creds(1)",
    ),
    // Network
    PathRule::new("/var/lib/dhcpcd/*", "DHCP leases, DUID and secret", Identity, Remove, "dhcpcd(8), FILES")
        .unless(Keep::Leases),
    PathRule::new("/var/lib/dhcpcd5/*", "DHCP leases, DUID and secret", Identity, Remove, "dhcpcd(8), FILES")
        .unless(Keep::Leases),
    PathRule::new("/etc/dhcpcd.duid", "DHCP unique id", Identity, Remove, "dhcpcd(8), FILES").unless(Keep::Leases),
    PathRule::new("/etc/dhcpcd.secret", "secret of stable private addresses", Secret, Remove, "dhcpcd(8), FILES")
        .unless(Keep::Leases),
    PathRule::new("/var/lib/dhcp/*", "DHCP leases", Identity, Remove, "dhclient.leases(5)").unless(Keep::Leases),
    PathRule::new("/var/lib/NetworkManager/*.lease", "DHCP leases", Identity, Remove, "NetworkManager, src/core/dhcp")
        .unless(Keep::Leases),
    PathRule::new(
        "/var/lib/systemd/network/*",
        "what systemd-networkd remembers of its links",
        Identity,
        Remove,
        "systemd-networkd.service(8)",
    )
    .unless(Keep::Leases),
    PathRule::new(
        "/var/lib/NetworkManager/secret_key",
        "secret of stable addresses and DHCP ids",
        Secret,
        Remove,
        "NetworkManager(8), /var/lib/NetworkManager/secret_key",
    ),
    PathRule::new(
        "/var/lib/NetworkManager/timestamps",
        "when which connection was last up",
        Log,
        Remove,
        "NetworkManager, src/core/settings",
    ),
    PathRule::new(
        "/var/lib/NetworkManager/seen-bssids",
        "access points that were near",
        Log,
        Remove,
        "NetworkManager, src/core/settings",
    ),
    PathRule::new(
        "/etc/udev/rules.d/70-persistent-net.rules",
        "interface names tied to the old machine's MAC addresses",
        Identity,
        Remove,
        "udev(7)",
    ),
    PathRule::new(
        "/var/lib/bluetooth/*",
        "Bluetooth pairings, by the old adapter's address",
        Secret,
        Remove,
        "bluetoothd(8)",
    ),
    // cloud-init
    PathRule::new(
        "/var/lib/cloud/instance",
        "cloud-init's instance state, so that it runs anew",
        Identity,
        Remove,
        "cloud-init clean",
    )
    .unless(Keep::CloudInit),
    PathRule::new(
        "/var/lib/cloud/instances",
        "cloud-init's instance state, with user-data and what it held",
        Secret,
        Remove,
        "cloud-init clean",
    )
    .unless(Keep::CloudInit),
    PathRule::new("/var/lib/cloud/data", "cloud-init's record of the last boot", Identity, Remove, "cloud-init clean")
        .unless(Keep::CloudInit),
    PathRule::new("/var/lib/cloud/sem", "cloud-init's notes of what it did once", Identity, Remove, "cloud-init clean")
        .unless(Keep::CloudInit),
    PathRule::new(
        "/var/lib/cloud/seed",
        "user-data that was put there on purpose",
        Configuration,
        Stay,
        "cloud-init, NoCloud",
    ),
    // Histories
    PathRule::new(
        "~/.bash_history",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "bash(1), HISTFILE",
    )
    .unless(Keep::Histories),
    PathRule::new(
        "~/.zsh_history",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "zshparam(1), HISTFILE",
    )
    .unless(Keep::Histories),
    PathRule::new(
        "~/.zhistory",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "zshparam(1), HISTFILE",
    )
    .unless(Keep::Histories),
    PathRule::new(
        "~/.ash_history",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "busybox ash",
    )
    .unless(Keep::Histories),
    PathRule::new(
        "~/.sh_history",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "ksh(1), HISTFILE",
    )
    .unless(Keep::Histories),
    PathRule::new(
        "~/.local/share/fish/fish_history",
        "shell history, which may hold passwords and activation codes",
        Secret,
        Remove,
        "fish, history",
    )
    .unless(Keep::Histories),
    PathRule::new("~/.python_history", "what was typed into python", Secret, Remove, "python, site module")
        .unless(Keep::Histories),
    PathRule::new("~/.node_repl_history", "what was typed into node", Secret, Remove, "node, REPL")
        .unless(Keep::Histories),
    PathRule::new(
        "~/.*sql_history",
        "what was typed into mysql, psql and their like",
        Secret,
        Remove,
        "mysql(1), psql(1)",
    )
    .unless(Keep::Histories),
    PathRule::new("~/.sqlite_history", "what was typed into sqlite3", Secret, Remove, "sqlite3(1)")
        .unless(Keep::Histories),
    PathRule::new("~/.mariadb_history", "what was typed into mariadb", Secret, Remove, "mariadb(1)")
        .unless(Keep::Histories),
    PathRule::new("~/.lesshst", "what was searched for in less", Log, Remove, "less(1), LESSHISTFILE")
        .unless(Keep::Histories),
    PathRule::new("~/.local/state/lesshst", "what was searched for in less", Log, Remove, "less(1), LESSHISTFILE")
        .unless(Keep::Histories),
    PathRule::new("~/.viminfo", "what was edited, searched for and copied in vim", Secret, Remove, "vim, viminfo-file")
        .unless(Keep::Histories),
    PathRule::new("~/.local/share/nano/*_history", "what was searched for in nano", Log, Remove, "nano(1)")
        .unless(Keep::Histories),
    PathRule::new("~/.wget-hsts", "which sites were fetched", Log, Remove, "wget(1)").unless(Keep::Histories),
    PathRule::new(
        "~/.aws/cli/cache",
        "temporary AWS keys of the AWS CLI",
        Secret,
        Remove,
        "AWS CLI, botocore credential cache",
    ),
    PathRule::new("~/.aws/sso/cache", "sign-in tokens of the AWS CLI", Secret, Remove, "AWS CLI, IAM Identity Center"),
    // What a person put there: kept, but said.
    PathRule::new(
        "~/.ssh/authorized_keys*",
        "who may log in; goes where the recipe says also = [\"authorized-keys\"]",
        Configuration,
        StepDecides,
        "sshd(8), AUTHORIZED_KEYS",
    ),
    PathRule::new(
        "/etc/NetworkManager/system-connections/*",
        "saved networks; those of Wi-Fi go where the recipe says also = [\"wifi\"]",
        Secret,
        StepDecides,
        "nm-settings-keyfile(5)",
    ),
    PathRule::new("~/.ssh/id_*", "a user's own SSH key", Secret, Warn, "ssh-keygen(1)"),
    PathRule::new("~/.git-credentials", "passwords of git remotes", Secret, Warn, "git-credential-store(1)"),
    PathRule::new("~/.docker/config.json", "may hold registry passwords", Secret, Warn, "docker login"),
    PathRule::new(
        "/var/lib/tailscale/tailscaled.state",
        "the node's Tailscale identity: all cards would be one node",
        Identity,
        Warn,
        "tailscaled",
    ),
    PathRule::new(
        "/var/lib/snapd/device/private-keys-v1",
        "snapd's device key; its serial is also in state.json, and snapd breaks when only one of them goes",
        Identity,
        Warn,
        "snapd, overlord/devicestate",
    ),
    PathRule::new("/etc/wireguard/*.conf", "a WireGuard key: all cards would be one peer", Secret, Warn, "wg-quick(8)"),
    // Logs and leftovers
    PathRule::new("/var/log/journal/*", "the journal", Log, Remove, "systemd-journald.service(8)").unless(Keep::Logs),
    PathRule::new(
        "/var/log",
        "logs: older ones (rotated, compressed) go, the others are emptied, as pi-gen does; folders stay",
        Log,
        StepDecides,
        "pi-gen, export-image/05-finalise",
    )
    .unless(Keep::Logs),
    PathRule::new(
        "/var/lib/systemd/coredump/*",
        "memory of programs that crashed",
        Secret,
        Remove,
        "systemd-coredump(8)",
    ),
    PathRule::new("/var/crash/*", "memory of programs that crashed", Secret, Remove, "apport; kdump"),
    PathRule::new("/var/mail/*", "mail, mostly of cron", Log, Remove, "hier(7)").unless(Keep::Logs),
    PathRule::new(
        "/var/swap",
        "memory that was swapped out; dphys-swapfile and rpi-swap make the file again",
        Secret,
        StepDecides,
        "dphys-swapfile(8)",
    ),
    PathRule::new("/tmp", "temporary files", Transient, Clear, "hier(7)"),
    PathRule::new("/var/tmp", "temporary files", Transient, Clear, "hier(7)"),
];
