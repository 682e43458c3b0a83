//! Backups and mounts.

use crate::prepare::Class::Secret;
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("borg-keys", "keys of Borg backups: whoever has them reads the old machine's backups", Secret)
        .at(&["~/.config/borg/keys", "~/.config/borg/security", "~/.borg/keys", "/etc/borg/keys"])
        .stays(Warning)
        .named(&["borg-keys", "keys", "logins"])
        .back("a repository of its own for each card; two machines must not write with one security directory")
        .source("borg, docs/usage/general/environment.rst.inc: BORG_KEYS_DIR, BORG_SECURITY_DIR")
        .example_in("mnt_backup", "BORG_KEY 4f2c90ab\nhqlhbGdvcml0aG2mc2hhMjU2LmjufWxqAzeH8EurObZk1zyy\n"),
    rule("backup-passwords", "password of a backup repository (restic, borg, duplicity, kopia)", Secret)
        .at(&[
            "~/.restic*",
            "~/.config/restic/*",
            "/etc/restic*",
            "/etc/restic/*",
            "/root/restic*pass*",
            "~/.borg-passphrase",
            "/etc/borg*pass*",
            "~/.config/resticprofile/*",
            "/etc/resticprofile/*",
            "~/.config/kopia/repository.config*",
            "~/.duply/*/conf",
            "/etc/duply/*/conf",
            "~/.config/duplicity/*",
            "/etc/duplicity/*",
            "/etc/borgmatic/config.yaml",
            "/etc/borgmatic.d/*",
            "~/.config/borgmatic/config.yaml",
        ])
        .stays(Warning)
        .named(&["backup-passwords", "logins"])
        .back("a repository and password of its own for each card")
        .source(
            "restic, RESTIC_PASSWORD_FILE; borg, BORG_PASSPHRASE; borgmatic, encryption_passphrase; duply, \
             ~/.duply/<profile>/conf",
        )
        .example("Pc7mZx2LPjgQGBJ7vqasuiolN6yyFD\n"),
    rule("rsync-passwords", "password for an rsync server", Secret)
        .at(&[
            "/etc/rsyncd.secrets",
            "/etc/rsync*.secret*",
            "/etc/rsync.pass*",
            "~/.rsync_pass*",
            "~/.rsyncpass*",
            "/root/rsync*pass*",
        ])
        .stays(Warning)
        .named(&["rsync-passwords", "logins"])
        .back("write it again")
        .source("rsync(1), --password-file; rsyncd.conf(5), secrets file")
        .example("fleet:UoxmYSaZ1bCV0gRH2yQWXzI2\n"),
    rule("smb-credentials", "password of a Windows or Samba share", Secret)
        .at(&[
            "/etc/samba/credentials",
            "/etc/samba/*cred*",
            "/etc/samba/credentials/*",
            "/etc/cifs-credentials*",
            "/etc/*smbcred*",
            "/etc/.smb*",
            "/etc/*.cred",
            "/etc/*cifs*",
            "/etc/credentials*",
            "~/.smbcredentials",
            "~/.smb*",
            "~/.cifs*",
            "~/.credentials",
            "/etc/auto.smb.*",
            "/etc/creds/*",
        ])
        .with_text(&[r"^\s*pass(word)?2?[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["smb-credentials", "logins"])
        .back("write the file again; without it the share is not mounted")
        .source("mount.cifs(8), credentials=")
        .example("username=fleet\npassword=Gba1L0G6eBkwc2ywXHOoshhb\ndomain=OFFICE\n"),
    rule("fstab-passwords", "a password in the list of file systems", Secret)
        .at(&["/etc/fstab", "/etc/fstab.d/*", "/etc/auto.*", "/etc/autofs/*", "/etc/systemd/system/*.mount"])
        .with_text(&[r"^[^#\n]*(\bpass(word)?\d?=[^,\s]+|//[^/\s:@]+:[^/\s@]+@)"])
        .named_only()
        .named(&["fstab-passwords", "logins"])
        .back("move it into a file named by credentials=; the line itself is needed")
        .source("mount.cifs(8), password=; fstab(5)")
        .example(
            "//nas.example.net/media /media/nas cifs username=fleet,password=Xet35kl6pMQ90MPT3gis84cG,vers=3.0 \
             0 0\n",
        ),
    rule("davfs2", "passwords of WebDAV shares", Secret)
        .at(&["/etc/davfs2/secrets", "~/.davfs2/secrets"])
        .with_text(&[r"^[^#\s]\S*[ \t]+\S+[ \t]+\S+"])
        .stays(Warning)
        .named(&["davfs2", "logins"])
        .back("write the line again")
        .source("mount.davfs(8), THE SECRETS FILES")
        .example("# comments\nhttps://cloud.example.net/dav fleet WdJBqrdbCSWYwZwl4s1M7NE5\n"),
    rule("luks-keyfiles", "key file of an encrypted disk", Secret)
        .at(&[
            "/etc/cryptsetup-keys.d/*",
            "/crypto_keyfile.bin",
            "/etc/luks*/*",
            "/etc/keys/*",
            "/root/*.keyfile",
            "/root/keyfile*",
            "/boot/*keyfile*",
            "boot:/*.keyfile",
            "boot:/*.lek",
        ])
        .named_only()
        .named(&["luks-keyfiles", "keys"])
        .back("never remove it alone: the disk would not open; make a new disk and key for each card")
        .source("crypttab(5), /etc/cryptsetup-keys.d; firejail, disable-common.inc (/crypto_keyfile.bin)")
        .example("\u{2}Rz9TqN3xVm7cLdd3u9kWtg7QKZAicnUOTov1"),
    rule("fscrypt", "protectors of encrypted directories", Secret)
        .at(&["/.fscrypt/protectors", "/.fscrypt/policies", "/home/.fscrypt/protectors"])
        .stays(Warning)
        .named(&["fscrypt", "keys"])
        .back("never remove it alone: the directories would not open")
        .source("google/fscrypt, README: Metadata")
        .example_in("4f2c90ab12cd34ef", "\n\u{10}Zt6vJI1IsPxzv5W7qQWwCK2eKS"),
    rule("duplicati", "Duplicati's jobs, with the passwords of backups and of the servers they go to", Secret)
        .at(&["~/.config/Duplicati"])
        .stays(Warning)
        .named(&["duplicati", "logins"])
        .back("set the jobs up again; else all cards write into the backups of one")
        .source("Duplicati docs, The server database (~/.config/Duplicati/Duplicati-server.sqlite)")
        .example_in("Duplicati-server.sqlite", "SQLite format 3\0Option passphrase RFArthVgIAs4nUlzFop9dJUt"),
    rule("etckeeper", "the history of /etc, with all passwords that ever stood in it", Secret)
        .at(&["/etc/.git", "/etc/.bzr", "/etc/.hg"])
        .stays(Warning)
        .named(&["etckeeper", "histories"])
        .back("`etckeeper init` begins a new history")
        .source("etckeeper(8)")
        .example_in("objects/aa/54500", "M98o5NpYx8TVuBhWlaCFUlBsI2hGKbnCITbVjytP"),
];
