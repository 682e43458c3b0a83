//! Where files are looked through for secrets, and where not: what belongs to packages holds examples and test keys by the
//! hundred, and is the same on every machine.

/// Directories that hold what people and services made. Below them, everything is looked through but what is named below.
pub const LOOKED_IN: &[&str] = &[
    "/etc",
    "/root",
    "/home",
    "/opt",
    "/srv",
    "/data",
    "/usr/local",
    "/var/lib",
    "/var/spool",
    "/var/backups",
    "/var/www",
    "/var/opt",
];

/// How names on the boot partition end that are programs of the firmware and the kernel: everything else there is looked
/// through, for anybody can read that partition.
pub const FIRMWARE_ENDINGS: [&str; 9] = [".elf", ".bin", ".dat", ".dtb", ".dtbo", ".img", ".sys", ".gz", ".efi"];

/// How such programs' names begin where they have no ending.
pub const FIRMWARE_BEGINNINGS: [&str; 4] = ["initramfs", "initrd", "kernel", "vmlinuz"];

/// Directories below them that hold nothing of one machine.
pub const NOT_IN: &[&str] = &[
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/apt/keyrings",
    "/etc/apt/trusted.gpg.d",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/swcatalog",
    "/var/lib/app-info",
    "/var/lib/texmf",
    "/var/lib/ucf",
    "/var/lib/spamassassin",
    "/var/lib/mlocate",
    "/var/lib/plocate",
    "/var/lib/snapd/snaps",
    "/var/lib/snapd/cache",
    "/var/lib/flatpak/runtime",
    "/var/lib/flatpak/repo",
    "/var/lib/systemd/catalog",
    "/usr/local/share/man",
    "/usr/local/share/doc",
];

/// Directories of any place into which package managers of people put other people's files.
pub const SKIPPED_NAMES: &[&str] = &[
    "node_modules",
    "site-packages",
    "dist-packages",
    "registry",
    ".rustup",
    "mod",
    "versions",
    "gems",
    "bundle",
    "repository",
    "caches",
    "extensions",
    "_cacache",
    "__pycache__",
    "objects",
    "overlay2",
    "overlay",
    "snapshots",
];

/// Directories of any place in which tokens are examples.
pub const EXAMPLE_NAMES: &[&str] =
    &["test", "tests", "testdata", "test_data", "fixtures", "examples", "example", "samples", "doc", "docs", "man"];

/// Files that a package brings with a key that everybody has.
pub const PUBLIC_FILES: &[&str] = &["/etc/chromium.d/apikeys", "/etc/ssl/openssl.cnf"];

/// Files that only root may read on any machine, and that tell nothing.
pub const HARMLESS_ROOT_FILES: &[&str] = &[
    "/etc/.pwd.lock",
    "/etc/security/opasswd",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/polkit-1",
    "/etc/cups",
    "/etc/libvirt/nwfilter",
    "/etc/ppp",
    "/etc/NetworkManager/system-connections",
    "/var/lib/systemd",
    "/var/lib/private",
    "/var/lib/polkit-1",
    "/var/lib/pam",
    "/var/lib/sudo",
    "/var/lib/logrotate",
    "/var/lib/man-db",
    "/var/lib/colord",
    "/var/lib/udisks2",
    "/var/lib/cloud",
    "/var/lib/cardsmith",
];

/// So much of one file is looked through: the beginning, which is where keys and settings are.
pub const MOST_OF_A_FILE: u64 = 1 << 20;
/// So many files are looked through, and so much of them all together; beyond it, it is said how many were not.
pub const MOST_FILES: usize = 65_536;
/// See [`MOST_FILES`].
pub const MOST_BYTES: u64 = 512 << 20;
/// So deep.
pub const DEEPEST: usize = 64;

/// How names of files end that are a text about something: there, tokens are examples.
pub const DOCUMENTATION_ENDINGS: [&str; 9] =
    [".md", ".rst", ".html", ".po", ".lock", "-lock.json", ".min.js", ".map", "go.sum"];

/// Words in the name of a file that only root may read, by which it is a secret.
pub const SECRET_WORDS: [&str; 9] = ["key", "secret", "token", "pass", "cred", "auth", "cookie", "psk", "seed"];
