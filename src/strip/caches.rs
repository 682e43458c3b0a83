//! What services remember of the machine that they ran on.

use crate::prepare::Class::{Configuration, Log, Secret};
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "udev-serial-rules",
        "a rule for a device by its serial number or address: a card with another device does not match",
        Configuration,
    )
    .at(&["/etc/udev/rules.d/*.rules", "/etc/udev/hwdb.d/*"])
    .with_text(&[r"ATTR\{address\}==|ATTRS?\{(serial|idSerial)\}==", r"ID_SERIAL(_SHORT)?"])
    .named_only()
    .named(&["udev-serial-rules", "addresses"])
    .back("match by vendor and product instead")
    .source("udev(7), ATTR{}, ATTRS{}")
    .example("SUBSYSTEM==\"tty\", ATTRS{serial}==\"DnxaqYDOprqpX1YC8S4R\", SYMLINK+=\"scanner\"\n"),
    rule("dhcp-and-resolver-caches", "names and addresses of the old machine's network", Log)
        .at(&[
            "/etc/resolv.conf.bak",
            "/etc/resolv.conf.*",
            "/etc/resolvconf/resolv.conf.d/original",
            "/var/lib/NetworkManager/dnsmasq-*.leases",
            "/var/cache/nscd/*",
            "/var/cache/unscd/*",
        ])
        .removed(Note)
        .named(&["dhcp-and-resolver-caches", "leases"])
        .back("made anew")
        .source("resolvconf(8), original; dnsmasq(8), --dhcp-leasefile (/var/lib/misc/dnsmasq.leases); nscd(8)")
        .example("nameserver 192.0.2.53\nsearch office-zr5Plv6t3wbmzjSQuzqi.example.net\n"),
    rule(
        "app-http-caches",
        "answers of servers that a program keeps: they may hold tokens and the machine's name",
        Log,
    )
    .at(&[
        "/var/cache/*/http.cache",
        "/var/cache/*/*http*",
        "/var/cache/*/http*/*",
        "~/.cache/*/http",
        "~/.cache/*/http-*",
        "~/.cache/*/*http*cache*",
        "~/.cache/pip/http*",
        "~/.cache/*/*.cache",
    ])
    .stays(Note)
    .named(&["app-http-caches", "logs"])
    .back("made anew; nothing in /var/cache may be needed to start")
    .source("Filesystem Hierarchy Standard, /var/cache: the application must be able to regenerate the data")
    .example("GET /v1/me Authorization: Bearer Wkolq6vx6Py3Y2TOXLF4CmPh\n"),
    rule("login-records", "who logged in, when and from where", Log)
        .at(&[
            "/var/lib/lastlog/lastlog2.db",
            "/var/lib/lastlog/*",
            "/var/lib/sudo/lectured/*",
            "/var/lib/sudo/ts/*",
            "/var/lib/fail2ban/fail2ban.sqlite3",
        ])
        .removed(Note)
        .named(&["login-records", "logs"])
        .back("made anew at the next login")
        .source(
            "wtmpdb(8), /var/lib/wtmpdb/wtmp.db; lastlog2(8), /var/lib/lastlog/lastlog2.db; sudo(8), FILES; \
             fail2ban, dbfile",
        )
        .example("SQLite format 3\0wtmp pi pts/0 203.0.113.9 CZmIKqkAn0bo43JfQkOJ"),
    rule("sudo-io-logs", "everything that was typed and shown under sudo", Secret)
        .at(&["/var/log/sudo-io", "/var/log/sudo-io.*"])
        .removed(Warning)
        .named(&["sudo-io-logs", "logs"])
        .back("written anew")
        .source("sudoers(5), I/O LOG FILES, iolog_dir")
        .example_in("00/00/01/ttyin", "YNHQ0tURRbviwsYViqaJrhD\r"),
    rule("installer-log", "what the installer of the system was told, passwords too", Log)
        .at(&["/var/log/installer"])
        .removed(Note)
        .named(&["installer-log", "logs"])
        .back("not needed again")
        .source("Debian Installation Guide, /var/log/installer; subiquity, autoinstall-user-data")
        .example_in(
            "autoinstall-user-data",
            "autoinstall:\n  identity:\n    password: $6$ZtIo8pCd1pHs6yWb$t2drgbGSmeAX01rQRQlk\n",
        ),
];
