//! Services of the system.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("cockpit", "Cockpit's self-signed TLS key: who has one card can pose as all of them", Secret)
        .at(&["/etc/cockpit/ws-certs.d/0-self-signed*"])
        .removed(Error)
        .named(&["cockpit", "host-keys"])
        .back("cockpit-certificate-ensure makes them again whenever cockpit.service starts")
        .source("cockpit-tls(8); src/tls/cockpit-certificate-helper.in; Debian cockpit.service, ExecStartPre")
        .example("-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBgkq7Kq2Xz9LwTs3\n-----END PRIVATE KEY-----\n"),
    rule(
        "snakeoil",
        "Debian's self-signed TLS key, which mail, web and remote desktop servers use: all cards would share it",
        Secret,
    )
    .at(&["/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"])
    .stays(Warning)
    .named(&["snakeoil", "host-keys"])
    .back(
        "`make-ssl-cert generate-default-snakeoil --force-overwrite` on each card; Debian makes it only \
             when the package is installed",
    )
    .source("ssl-cert, postinst; make-ssl-cert(8)")
    .example("-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqLwTs3Kq7Xz29\n-----END PRIVATE KEY-----\n"),
    rule("webmin", "Webmin's TLS key and its own users", Secret)
        .at(&["/etc/webmin/miniserv.pem", "/etc/webmin/miniserv.users"])
        .stays(Warning)
        .named(&["webmin", "host-keys", "logins"])
        .back("make a new key in Webmin Configuration, SSL Encryption, on each card")
        .source("Webmin, miniserv.conf (keyfile=/etc/webmin/miniserv.pem, userfile=/etc/webmin/miniserv.users)")
        .example("-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEAx9Wz3Kq7LvTs\n-----END RSA PRIVATE KEY-----\n"),
    rule("caddy", "Caddy's certificates with their keys, and its own certificate authority", Secret)
        .at(&[
            "/var/lib/caddy/.local/share/caddy",
            "~/.local/share/caddy",
            "/var/lib/caddy/certificates",
            "/var/lib/caddy/pki",
        ])
        .stays(Warning)
        .named(&["caddy", "logins"])
        .back("Caddy asks for new ones at its next start, where the card is reached under the name")
        .source("Caddy docs, Conventions, Data directory")
        .example_in(
            "pki/authorities/local/root.key",
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIGz9Kq3Xw7LvTs4P\n-----END EC PRIVATE KEY-----\n",
        ),
    rule("samba", "Samba's passwords, its machine SID, and the machine account of a domain", Secret)
        .at(&[
            "/var/lib/samba/private/secrets.tdb",
            "/var/lib/samba/private/passdb.tdb",
            "/var/lib/samba/private/*.keytab",
            "/var/lib/samba/private/tls",
            "/var/lib/samba/private/sam.ldb*",
            "/var/lib/samba/passdb.tdb",
            "/var/lib/samba/secrets.tdb",
            "/etc/samba/smbpasswd",
        ])
        .stays(Warning)
        .named(&["samba", "logins", "other-agents"])
        .back("`smbpasswd -a USER` and, in a domain, `net ads join` on each card; smbd makes a new SID")
        .source("smb.conf(5), private dir, passdb backend; net(8)")
        .example("TDB file\n\0SECRETS/MACHINE_PASSWORD/HOME q7Kz2Wx9Lv4Tp8Rn1Mb6"),
    rule("sssd-cache", "users, groups and password hashes that sssd cached", Secret)
        .at(&["/var/lib/sss/db", "/var/lib/sss/mc"])
        .cleared(Warning)
        .named(&["sssd-cache", "sssd", "logins"])
        .back("sssd makes its caches again; nobody can log in offline before the first login")
        .source("sssd.conf(5), cache_credentials; sssctl(8), cache-remove")
        .example_in("cache_example.org.ldb", "cachedPassword: $6$9Kz3Wq7L$v4Xp8Tn2Rb6Ms1Pd5Hc"),
    rule("sssd-config", "a password with which sssd binds to the directory", Secret)
        .at(&["/etc/sssd/sssd.conf", "/etc/sssd/conf.d"])
        .named_only()
        .named(&["sssd-config", "sssd", "logins"])
        .back("wanted where every card shall ask the directory")
        .source("sssd-ldap(5), ldap_default_authtok")
        .example("[domain/x]\nldap_default_authtok = x9Kz3Wq7Lv4Tp8Rn2Mb6\n"),
    rule("nvme-host", "the NVMe host's id and name: a storage server would see one host", Identity)
        .at(&["/etc/nvme/hostid", "/etc/nvme/hostnqn"])
        .stays(Warning)
        .named(&["nvme-host", "other-agents"])
        .back(
            "`nvme gen-hostnqn > /etc/nvme/hostnqn` and `uuidgen > /etc/nvme/hostid`; Debian makes them only \
             when nvme-cli is installed",
        )
        .source("Debian nvme-cli, postinst; libnvme, src/nvme/fabrics.c; nvme-gen-hostnqn(1)")
        .example("nqn.2014-08.org.nvmexpress:uuid:7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80"),
    rule("iscsi", "the iSCSI initiator's name: two machines of one name damage the same disk", Identity)
        .at(&["/etc/iscsi/initiatorname.iscsi"])
        .with_text(&[r"^\s*InitiatorName=\S"])
        .named_only()
        .named(&["iscsi", "other-agents"])
        .back("`iscsi-iname` on each card; without the file the iSCSI daemon does not start")
        .source("Debian open-iscsi, postinst; iscsid(8), FILES")
        .example("InitiatorName=iqn.1993-08.org.debian:01:4f9a1c7e2b8d\n"),
    rule("iscsi-passwords", "iSCSI passwords and the targets that were found", Secret)
        .at(&["/etc/iscsi/nodes", "/etc/iscsi/send_targets", "/var/lib/iscsi/nodes", "/var/lib/iscsi/send_targets"])
        .stays(Warning)
        .named(&["iscsi-passwords", "iscsi", "logins"])
        .back("`iscsiadm -m discovery` on each card")
        .source("iscsiadm(8), FILES; node.session.auth.password")
        .example_in(
            "iqn.2004-04.com.nas:t1/10.0.0.5,3260,1/default",
            "node.session.auth.password = x9Kz3Wq7Lv4Tp8Rn2Mb6\n",
        ),
    rule("popularity-contest", "the id under which the machine reports its packages to Debian", Identity)
        .at(&["/etc/popularity-contest.conf"])
        .stays(Note)
        .named(&["popularity-contest", "other-agents"])
        .back("`dpkg-reconfigure popularity-contest` makes a new MY_HOSTID when the line is missing")
        .source("Debian popularity-contest, postinst (generate_id)")
        .example("PARTICIPATE=\"yes\"\nMY_HOSTID=\"4f9a1c7e2b8d6053a1f7c9e2b4d8f601\"\n"),
    rule("accounts-service", "what the login screen remembers of users: session, language, picture", Identity)
        .at(&["/var/lib/AccountsService/users", "/var/lib/AccountsService/icons"])
        .stays(Note)
        .named(&["accounts-service"])
        .back("made again when the user next logs in; a kiosk may need the session that is set here")
        .source("accountsservice, /var/lib/AccountsService/users (Session, XSession, Icon)")
        .example_in("pi", "[User]\nXSession=LXDE-pi-wayfire\nIcon=/home/pi/.face-4f9a1c7e2b8d6053\n"),
    rule("fwupd-key", "the key with which fwupd signs what it says of this machine", Secret)
        .at(&["/var/lib/fwupd/pki/secret.key", "/var/lib/fwupd/pki/client.pem"])
        .removed(Error)
        .named(&["fwupd-key", "host-keys"])
        .back("fwupd makes a new key when it is next started")
        .source("libjcat, jcat-gnutls-pkcs7-engine.c (secret.key, client.pem); fwupd, /var/lib/fwupd/pki")
        .example("-----BEGIN RSA PRIVATE KEY-----\nMIIG4wIBAAKCAYEA3Kq7Xz9LwTs2\n-----END RSA PRIVATE KEY-----\n"),
    rule("whoopsie", "the id under which the machine reports crashes to Ubuntu", Identity)
        .at(&["/var/lib/whoopsie/whoopsie-id"])
        .removed(Note)
        .named(&["whoopsie", "other-agents"])
        .back("whoopsie makes it again at its next start")
        .source("whoopsie, /var/lib/whoopsie/whoopsie-id (Ubuntu docs, error tracker)")
        .example("4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c7e9b1d2f6840"),
    rule("tang", "a Tang server's keys, with which other machines unlock their disks", Secret)
        .at(&["/var/lib/tang", "/var/db/tang"])
        .stays(Warning)
        .named(&["tang", "other-agents"])
        .back("tangd makes new keys when it has none; clients must be bound again")
        .source("latchset/tang, src/keys.c (create_new_keys), README.md; Debian tang-common, postinst")
        .example_in(
            "q7Kz2Wx9Lv4Tp8Rn1Mb6.jwk",
            "{\"kty\":\"EC\",\"crv\":\"P-521\",\"d\":\"AU9Kz3Wq7Lv4Xp8Tn2Rb6Ms1P\"}",
        ),
    rule("mysql-uuid", "the MySQL server's UUID: replication takes all cards for one server", Identity)
        .at(&["/var/lib/mysql/auto.cnf"])
        .removed(Warning)
        .named(&["mysql-uuid", "other-agents"])
        .back("mysqld makes a new one at its next start")
        .source("MySQL manual, Replication and Binary Logging Options, server_uuid")
        .example("[auto]\nserver-uuid=7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80\n"),
    rule("glusterd", "the Gluster node's UUID and its peers: a pool refuses two of one UUID", Identity)
        .at(&["/var/lib/glusterd/glusterd.info", "/var/lib/glusterd/peers"])
        .stays(Warning)
        .named(&["glusterd", "other-agents"])
        .back("glusterd makes a new UUID at its next start; the pool must be told")
        .source("Gluster docs, troubleshooting: glusterd.info holds the node's UUID")
        .example("UUID=7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80\noperating-version=100000\n"),
    rule("hostid", "the machine's hostid: ZFS and licence servers would take all cards for one", Identity)
        .at(&["/etc/hostid"])
        .stays(Warning)
        .named(&["hostid", "other-agents"])
        .back("`zgenhostid`; a pool that was imported with the old one must be imported by force once")
        .source("gethostid(3), FILES; zgenhostid(8)")
        .example_bytes(b"\x12\x9c\x56\x78Y1ds5vzH"),
    rule("apple-pairing", "keys of paired Apple devices, and the id by which they know this machine", Secret)
        .at(&["/var/lib/lockdown"])
        .stays(Warning)
        .named(&["apple-pairing", "keys"])
        .back("usbmuxd makes a new SystemBUID; trust the computer again on each device")
        .source("libimobiledevice, usbmuxd, src/conf.c (/var/lib/lockdown, SystemConfiguration.plist, SystemBUID)")
        .example_in(
            "SystemConfiguration.plist",
            "<key>SystemBUID</key><string>0C565276-B738-4C67-AAA9-90E9307E5207</s\
             tring>\n",
        ),
    rule("cluster-auth-keys", "the key that all members of a cluster share (MUNGE, Ceph)", Secret)
        .at(&["/etc/munge/munge.key", "/etc/ceph/*.keyring", "/var/lib/ceph/*/*/keyring"])
        .stays(Warning)
        .named(&["cluster-auth-keys", "keys"])
        .back("copy it to each member again: `mungekey`, `ceph auth get-or-create`")
        .source("munged(8), FILES: /etc/munge/munge.key; Ceph docs, CephX Config Reference: Keys")
        .example("[client.admin]\n\tkey = AQBILeAf4ffLxpBx7V4aShKcON6SirJcajwUOCL==\n"),
    rule("wolfram-licence", "the Wolfram licence of one machine", Identity)
        .at(&[
            "~/.WolframEngine/Licensing/mathpass",
            "~/.Mathematica/Licensing/mathpass",
            "~/.Wolfram/Licensing/mathpass",
        ])
        .stays(Note)
        .named(&["wolfram-licence", "other-agents"])
        .back("`wolframscript -activate`")
        .source("Wolfram Language documentation, $PasswordFile (mathpass), $UserBaseDirectory")
        .example("kiosk-old 6521-sWzCbl4LUgVT L1234-5678 yRUZEBEkcdun\n"),
];
