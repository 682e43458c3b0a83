//! Keys of people.

use crate::prepare::Class::{Configuration, Log, Secret, Transient};
use crate::strip::expressions::PRIVATE_KEY;
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("ssh-user-keys", "a user's own SSH key: all cards could log in wherever the old machine could", Secret)
        .at(&[
            "~/.ssh/id_*",
            "~/.ssh/identity",
            "~/.ssh/*.pem",
            "~/.ssh/*.key",
            "~/.ssh/*",
            "~/.ssh/*/*",
            "/etc/ssh/*.pem",
            "/var/lib/*/.ssh/id_*",
            "/var/www/.ssh/id_*",
        ])
        .with_text(&[PRIVATE_KEY, r"PuTTY-User-Key-File", r"SSH PRIVATE KEY FILE FORMAT"])
        .stays(Warning)
        .named(&["ssh-user-keys", "logins", "keys"])
        .back("`ssh-keygen` on each card, and give its public key to the servers it must reach")
        .source("ssh(1), FILES; ssh-keygen(1)")
        .example(
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmVWcTdtWnhBZOivu46rCU8d4MXUfk3j\
             \n-----END OPENSSH PRIVATE KEY-----\n",
        ),
    rule(
        "ssh-user-config",
        "which servers a user reaches and as whom; may name keys, proxies and commands",
        Configuration,
    )
    .at(&["~/.ssh/config", "~/.ssh/config.d/*", "~/.ssh/rc"])
    .stays(Note)
    .named(&["ssh-user-config", "logins"])
    .back("wanted where the card makes tunnels; else write it again")
    .source("ssh_config(5); ssh(1), FILES")
    .example(
        "Host bastion\n  HostName bastion-Zx2LrT9wKd4sHb8n.example.net\n  User fleet\n  IdentityFile \
             ~/.ssh/fleet\n",
    ),
    rule("ssh-known-hosts", "which servers a user reached", Log)
        .at(&["~/.ssh/known_hosts", "~/.ssh/known_hosts.old", "~/.ssh/known_hosts2"])
        .stays(Note)
        .named(&["ssh-known-hosts", "histories"])
        .back("ssh asks at the next connection; without a person it stops there, so it stays by default")
        .source("sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; ssh_config(5), StrictHostKeyChecking")
        .example("bastion-Wd4sHb8nPcVq7m.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAmKtSdxVhQoQo6yxcnuczqW\n"),
    rule("ssh-agent-sockets", "sockets of ssh-agent and of shared SSH connections", Transient)
        .at(&["~/.ssh/agent", "~/.ssh/sockets"])
        .removed(Note)
        .named(&["ssh-agent-sockets"])
        .back("made anew")
        .source("ssh-agent(1), FILES: $HOME/.ssh/agent; ssh_config(5), ControlPath")
        .example_in("s.Rz9TqN3xVm7cLd1pHs6y", "ZmwVoFpQ5ikjluQRnEMhet"),
    rule("key-containers", "a key store or password store in a file", Secret)
        .at(&[
            "~/*.kdbx",
            "~/*.kdb",
            "~/*/*.kdbx",
            "~/*.p12",
            "~/*.pfx",
            "~/*.jks",
            "~/*.keystore",
            "~/*.agilekeychain",
            "/opt/*/*.p12",
            "/opt/*/*.pfx",
            "/opt/*/*.jks",
            "/etc/*/*.p12",
            "/etc/*/*.pfx",
        ])
        .stays(Warning)
        .named(&["key-containers", "keys", "logins"])
        .back("put a key of its own on each card")
        .source("firejail, disable-common.inc (*.kdbx); RFC 7292 (PKCS #12); keytool(1)")
        .example("\u{3}\0KDBX Hs8yPfloDCUIthuMa2umjNCVMZYB"),
    rule(
        "gnupg-private-keys",
        "private keys of GnuPG: all cards could sign and decrypt as the old machine's user",
        Secret,
    )
    .at(&[
        "~/.gnupg/private-keys-v1.d",
        "~/.gnupg/secring.gpg",
        "~/.gnupg/openpgp-revocs.d",
        "/etc/pacman.d/gnupg/private-keys-v1.d",
    ])
    .stays(Warning)
    .named(&["gnupg-private-keys", "keys", "logins"])
    .back("`gpg --import` or `gpg --quick-generate-key` on the card")
    .source("gpg(1), FILES; gpg-agent(1), FILES")
    .example_in("4F2C90AB.key", "Created: 20260101T000000\nKey: (private-key (ecc (d #LmHKLOGp5Ll3Zis862CeMBBm#)))\n"),
    rule("gnupg-random-seed", "random seed of GnuPG, which must never be used twice", Secret)
        .at(&["~/.gnupg/random_seed"])
        .removed(Warning)
        .named(&["gnupg-random-seed"])
        .back("gpg makes it anew")
        .source("gpg(1), FILES: ~/.gnupg/random_seed")
        .example("Vq7mZx2LrT9wKd4sUp6yjxRWObUwMVkOGWhGqe"),
    rule("gnupg-sockets", "sockets and locks of gpg-agent; a lock names the old host", Transient)
        .at(&["~/.gnupg/S.*", "~/.gnupg/*.lock"])
        .removed(Note)
        .named(&["gnupg-sockets"])
        .back("made anew")
        .source("gpg-agent(1), FILES; gnupg, common/dotlock.c")
        .example("      4242\nhost-UfRP4ZHnOvJiyHc94LQv\n"),
    rule("pass-store", "a password store", Secret)
        .at(&["~/.password-store", "~/.local/share/gopass/stores", "~/.config/gopass/age/identities"])
        .stays(Warning)
        .named(&["pass-store", "logins"])
        .back("clone the store again where it is needed")
        .source("pass(1), ~/.password-store; gopass, docs/config.md")
        .example_in("server.gpg", "PGP Jd1cHshnvuZJR2r5Eg1k9VOZezfn"),
    rule("age-sops-keys", "age key, which opens files encrypted with sops or age", Secret)
        .at(&[
            "~/.config/sops/age/keys.txt",
            "~/.config/age/*",
            "~/.age/*",
            "~/key.txt",
            "/etc/sops/age/*",
            "/var/lib/sops*/*",
        ])
        .with_text(&[r"AGE-SECRET-KEY-1"])
        .stays(Warning)
        .named(&["age-sops-keys", "keys", "logins"])
        .back("`age-keygen` per card, and encrypt for it too")
        .source("getsops/sops, README, Encrypting using age (keys.txt under the user's config directory)")
        .example("# created: 2026-01-01T00:00:00Z\nAGE-SECRET-KEY-1QX2LRT9WKD4SHB8NPCVQ7MZJF5GYT3UWE6\n"),
    rule(
        "gnome-keyring",
        "passwords that GNOME Keyring keeps; without a login password they are only scrambled",
        Secret,
    )
    .at(&[
        "~/.local/share/keyrings",
        "~/.gnome2/keyrings",
        "~/.var/app/*/data/keyrings",
        "~/snap/*/*/.local/share/keyrings",
    ])
    .stays(Warning)
    .named(&["gnome-keyring", "browsers", "logins"])
    .back("made anew, empty, at the next login; programs ask for their passwords again")
    .source("gnome-keyring-daemon; firejail, disable-common.inc (.local/share/keyrings, .gnome2/keyrings)")
    .example_in("login.keyring", "GnomeKeyring\n\r\0\nYbvy8HdKxD8Wrwm91GpnhW4H"),
    rule("kwallet", "passwords that KWallet keeps", Secret)
        .at(&["~/.local/share/kwalletd", "~/.kde/share/apps/kwallet", "~/.kde4/share/apps/kwallet"])
        .stays(Warning)
        .named(&["kwallet", "browsers", "logins"])
        .back("made anew, empty; programs ask for their passwords again")
        .source("KDE/kwallet, Backend::getSaveLocation, .kwl and .salt; firejail, disable-common.inc")
        .example_in("kdewallet.kwl", "KWALLET\n\r\0\r\nNqd9fC7eyBBmFCkFWvdSFyBC"),
    rule("ecryptfs", "wrapped key of an encrypted home directory", Secret)
        .at(&["~/.ecryptfs/wrapped-passphrase", "/home/.ecryptfs/*/.ecryptfs/wrapped-passphrase"])
        .stays(Warning)
        .named(&["ecryptfs", "keys"])
        .back("never remove it alone: without it the home directory cannot be opened")
        .source("ecryptfs-mount-private(1), FILES")
        .example(":\u{1}RzYF5fJkhLvZWSDZaU3gAbt9"),
    rule("password-managers", "vault or session of a password manager", Secret)
        .at(&[
            "~/.config/Bitwarden CLI/data.json",
            "~/snap/bw/*/.config/Bitwarden CLI/data.json",
            "~/.config/Bitwarden/data.json",
            "~/.config/op/config",
            "~/.op/config",
            "~/.config/1Password",
            "~/.cache/rbw/*",
            "~/.local/share/lpass/*",
            "~/.lpass/*",
        ])
        .stays(Warning)
        .named(&["password-managers", "logins"])
        .back("log in again; a machine uses a service account of its own")
        .source(
            "Bitwarden CLI, data.json; firejail, disable-programs.inc (Bitwarden, 1Password); lpass(1), \
             ENVIRONMENT; 1Password CLI, config directories; rbw, README",
        )
        .example(
            "{\"global_account_activeAccountId\":\"x\",\"user_x_token_accessToken\":\"eyJhbGciOiJSUzHJlgUo7SPD\
             k5EJlCDfoHOv\"}",
        ),
];
