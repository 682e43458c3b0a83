//! Chat, mail, remote desktops.

use crate::prepare::Class::Secret;
use crate::strip::expressions::PASSWORD_IN_ADDRESS;
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("chat-apps", "logins of chat programs", Secret)
        .at(&[
            "~/.config/Slack/Cookies",
            "~/.config/Slack/Network/Cookies",
            "~/.config/Slack/Local Storage",
            "~/.config/discord*/Cookies",
            "~/.config/discord*/Network/Cookies",
            "~/.config/discord*/Local Storage",
            "~/.config/Signal/config.json",
            "~/.config/Signal/sql",
            "~/.local/share/signal-cli/data",
            "~/.config/Element/Local Storage",
            "~/.config/Element/IndexedDB",
            "~/.config/teams*/Cookies",
            "~/.local/share/TelegramDesktop/tdata",
            "~/.telegram-cli",
            "~/.purple/accounts.xml",
            "~/.config/weechat/sec.conf",
            "~/.config/weechat/irc.conf",
            "~/.weechat/sec.conf",
            "~/.weechat/irc.conf",
            "~/.irssi/config",
            "~/.config/hexchat/servlist.conf",
            "~/.local/share/nheko",
            "~/.local/share/matrix-commander/*",
            "~/.config/zoomus.conf",
            "~/.var/app/com.discordapp.Discord/config/discord/Local Storage",
            "~/.var/app/com.slack.Slack/config/Slack/Local Storage",
            "~/snap/slack/current/.config/Slack/Local Storage",
            "~/snap/discord/current/.config/discord/Local Storage",
        ])
        .stays(Warning)
        .named(&["chat-apps", "logins"])
        .back("log in again in the program")
        .source(
            "firejail, disable-programs.inc (Slack, discord, Signal, Element, TelegramDesktop, .purple, \
             weechat, irssi); signal-cli, README (data directory)",
        )
        .example("SQLite format 3\0cookies .slack.com d xoxd-Vk5nJdCvEQC0rJDQX4i8OLUq4gBp"),
    rule("mail-clients", "mail accounts with passwords and mail", Secret)
        .at(&[
            "~/.thunderbird/*/logins.json",
            "~/.thunderbird/*/key4.db",
            "~/.thunderbird/*/cookies.sqlite*",
            "~/.var/app/org.mozilla.Thunderbird/.thunderbird/*/key4.db",
            "~/snap/thunderbird/common/.thunderbird/*/key4.db",
            "~/.claws-mail/passwordstorerc",
            "~/.claws-mail/accountrc",
            "~/.config/evolution/sources",
            "~/.config/geary",
            "~/.config/goa-1.0/accounts.conf",
            "~/.alpine.pwd",
            "~/.pine.pwd",
        ])
        .stays(Warning)
        .named(&["mail-clients", "logins"])
        .back("set up the account again")
        .source(
            "bleachbit, cleaners/thunderbird.xml; firejail, disable-programs.inc (claws-mail, evolution, \
             geary); GNOME Online Accounts",
        )
        .example(
            "{\"logins\":[{\"hostname\":\"imap://mail.example.net\",\"encryptedPassword\":\"MDoEEPgXwLFOmygINo\
             DxNIyqWvZIa6Y\"}]}",
        ),
    rule("mutt", "mail password in mutt's settings", Secret)
        .at(&[
            "~/.muttrc",
            "~/.mutt/*",
            "~/.config/mutt/*",
            "~/.config/neomutt/*",
            "~/.neomuttrc",
            "~/.neomutt/*",
            "/etc/Muttrc.local",
        ])
        .with_text(&[
            r#"^\s*(set[ \t]+)?(imap_pass|smtp_pass|pop_pass)[ \t]*=[ \t]*["']?[^\s"'`]{4,}"#,
            r"://[^/\s:@]+:[^/\s@]+@",
        ])
        .stays(Warning)
        .named(&["mutt", "logins"])
        .back("write it again, or let `imap_pass` come from a command")
        .source("neomutt, docs/config.c (imap_pass, smtp_pass)")
        .example("set imap_user = \"fleet@example.net\"\nset imap_pass = \"RbZ9wqCXCgpqH7UBRBmq25AS\"\n"),
    rule("mail-fetchers", "mail passwords of programs that fetch mail", Secret)
        .at(&[
            "~/.fetchmailrc",
            "/etc/fetchmailrc",
            "~/.mbsyncrc",
            "~/.config/isyncrc",
            "~/.offlineimaprc",
            "~/.config/offlineimap/config",
            "~/.getmail/*",
            "~/.config/getmail/*",
            "~/.config/vdirsyncer/config",
            "~/.vdirsyncer/config",
            "~/.config/aerc/accounts.conf",
            "~/.config/himalaya/config.toml",
        ])
        .with_text(&[
            r#"^[^#\n]*\b(remote|local)?pass(word)?([ \t]*[=:][ \t]*|[ \t]+)["']?[^\s"']{4,}"#,
            r#"^[^#\n]*\bauth\.raw[ \t]*=[ \t]*["'][^"']+"#,
            PASSWORD_IN_ADDRESS,
        ])
        .stays(Warning)
        .named(&["mail-fetchers", "logins"])
        .back("write the file again on the card that fetches")
        .source(
            "fetchmail(1), THE RUN CONTROL FILE; mbsync(1), Pass; offlineimap.conf, remotepass; getmail, \
             Retriever parameters; aerc-accounts(5)",
        )
        .example("poll mail.example.net user \"fleet\" password \"PfYEj6nu68RwRoJixdUZtlnG\"\n"),
    rule("msmtp", "mail password of msmtp", Secret)
        .at(&["~/.msmtprc", "~/.config/msmtp/config", "/etc/msmtprc"])
        .with_text(&[r"^\s*password[ \t]+\S+"])
        .stays(Warning)
        .named(&["msmtp", "logins"])
        .back("write it again, or let passwordeval fetch it")
        .source("msmtp(1), CONFIGURATION FILES; doc/msmtp.texi")
        .example(
            "account default\nhost smtp.example.net\nuser fleet@example.net\npassword \
             JdgOpbMCq1yRj5X50Nj5edrH\n",
        ),
    rule("ssmtp", "mail password of ssmtp", Secret)
        .at(&["/etc/ssmtp/ssmtp.conf", "/etc/ssmtp/revaliases"])
        .with_text(&[r"^\s*Auth(Pass|User)[ \t]*=[ \t]*\S+"])
        .stays(Warning)
        .named(&["ssmtp", "logins"])
        .back("write it again")
        .source("ssmtp.conf(5), AuthPass")
        .example(
            "mailhub=smtp.example.net:587\nAuthUser=fleet\nAuthPass=CsYoRsOOdenNwSp4JaEPH0ew\nhostname=kiosk-o\
             ld\n",
        ),
    rule("exim-passwd-client", "mail password of exim for its relay", Secret)
        .at(&["/etc/exim4/passwd.client", "/etc/exim4/passwd"])
        .with_text(&[r"^[^#\s][^:\n]*:[^:\n]+:\S+"])
        .stays(Warning)
        .named(&["exim-passwd-client", "logins"])
        .back("write the line again")
        .source("exim4_passwd_client(5), exim4-config_files(5)")
        .example("# host:login:password\n*.example.net:fleet:Lc5fR0HvgcV6SKvrIRJ8WesdWn\n"),
    rule(
        "mail-password-maps",
        "the mail relay's password in a compiled table of Postfix, Sendmail or OpenSMTPD",
        Secret,
    )
    .at(&[
        "/etc/postfix/sasl_passwd.db",
        "/etc/postfix/sasl_passwd.lmdb",
        "/etc/postfix/sasl/*.db",
        "/etc/postfix/sasl/*.lmdb",
        "/etc/postfix/relay_passwd.db",
        "/etc/mail/authinfo.db",
        "/etc/mail/auth/*.db",
        "/etc/mail/secrets.db",
    ])
    .stays(Warning)
    .named(&["mail-password-maps", "postfix-sasl", "logins"])
    .back("`postmap /etc/postfix/sasl_passwd`, or `makemap`")
    .source("Postfix, SASL_README; postmap(1); makemap(8)")
    .example_bytes(b"\x00\x06\x15\x61[smtp.example.org]:587 fleet:gqo1iknQGJ7TqJe1ub426rkc"),
    rule("postfix-sasl", "mail password of postfix for its relay", Secret)
        .at(&["/etc/postfix/sasl_passwd", "/etc/postfix/sasl/*passwd*", "/etc/postfix/relay_passwd*"])
        .with_text(&[r"^[^#\s]\S*[ \t]+\S+:\S+"])
        .stays(Warning)
        .named(&["postfix-sasl", "logins"])
        .back("write sasl_passwd again and run `postmap`; without it mail waits in the queue")
        .source("Postfix, SASL_README: smtp_sasl_password_maps")
        .example("[smtp.example.net]:587 fleet:Ym0eChbgdD1mivQoyiYDiknK3\n"),
    rule("other-mta-auth", "mail password of nullmailer, dma, sendmail or opensmtpd for the relay", Secret)
        .at(&[
            "/etc/nullmailer/remotes",
            "/etc/dma/auth.conf",
            "/etc/mail/authinfo*",
            "/etc/mail/auth/*",
            "/etc/mail/secrets*",
            "/etc/opensmtpd/secrets",
            "/etc/esmtprc",
            "~/.esmtprc",
        ])
        .with_text(&[r"^[^#\s].*(--pass=\S+|[:|]\S+)", r#"^\s*password[ \t]*=[ \t]*["']?[^\s"']{3,}"#])
        .stays(Warning)
        .named(&["other-mta-auth", "logins"])
        .back("write it again")
        .source("nullmailer-send(8), remotes; dma(8), auth.conf; smtpd.conf(5), table secrets")
        .example("smtp.example.net smtp --user=fleet --pass=TqjS1Qsd4ObFB5EPg9Kdqbhn\n"),
    rule("dkim-keys", "private key that signs mail (DKIM)", Secret)
        .at(&["/etc/dkimkeys/*.private", "/etc/opendkim/keys", "/etc/exim4/dkim/*", "/var/lib/rspamd/dkim/*"])
        .stays(Warning)
        .named(&["dkim-keys", "keys"])
        .back("`opendkim-genkey` and a new DNS record, or copy it on purpose")
        .source("opendkim.conf(5), KeyFile; rspamd, DKIM signing module")
        .example(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BKblmnJb90QCQyOb4Yo0DaHfT\n-----END PRIVATE \
             KEY-----\n",
        ),
    rule("vnc-passwords", "password of a VNC server, which anyone can turn back into text", Secret)
        .at(&[
            "~/.vnc/passwd",
            "~/.config/tigervnc/passwd",
            "~/.x11vnc/passwd",
            "~/.vncpasswd",
            "/etc/x11vnc.pass",
            "/etc/x11vnc.pwd",
            "/etc/vnc/*passwd*",
            "/etc/tigervnc/*passwd*",
        ])
        .stays(Warning)
        .named(&["vnc-passwords", "logins"])
        .back("`vncpasswd` on the card")
        .source(
            "vncpasswd(1), FILES; TigerVNC, common/core/xdgdirs.cxx (older place ~/.vnc); x11vnc(1), \
             -storepasswd",
        )
        .example("\u{7f}WbdCeJTZ0K8Vc7yhPPr7yH5w"),
    rule("wayvnc-password", "password of wayvnc", Secret)
        .at(&["~/.config/wayvnc/config", "/etc/wayvnc/config"])
        .with_text(&[r"^[ \t]*password[ \t]*=[ \t]*\S+"])
        .named_only()
        .named(&["wayvnc-password", "logins"])
        .back("write it again; Raspberry Pi OS uses PAM instead, then nothing is in it")
        .source("wayvnc(1), CONFIGURATION: password")
        .example("address=0.0.0.0\nenable_auth=true\nusername=pi\npassword=Md0H2gG6AOccNdcbNWj2GskJM\n"),
    rule("remote-desktop-profiles", "saved passwords of remote desktop programs", Secret)
        .at(&[
            "~/.local/share/remmina/*.remmina",
            "~/.remmina/*.remmina",
            "~/.config/remmina/remmina.pref",
            "~/*.rdp",
            "~/Desktop/*.rdp",
            "~/.putty/sessions/*",
            "~/.config/putty/sessions/*",
        ])
        .with_text(&[r"^(secret|password|.*password.*)=\S+"])
        .stays(Warning)
        .named(&["remote-desktop-profiles", "logins"])
        .back("enter the password again in the program")
        .source("Remmina, user profile files and remmina.pref (secret); firejail, disable-programs.inc (remmina)")
        .example("[remmina]\nname=dash\nserver=rdp.example.net\npassword=Rk2vTb8Oi5okzHsMLFCbTEPmXF==\n"),
    rule("ftp-clients", "saved passwords of file transfer programs", Secret)
        .at(&[
            "~/.config/filezilla/sitemanager.xml",
            "~/.config/filezilla/recentservers.xml",
            "~/.config/filezilla/filezilla.xml",
            "~/.filezilla/*.xml",
            "~/.local/share/lftp/bookmarks",
            "~/.lftp/bookmarks",
            "~/.ncftp/bookmarks",
            "~/.config/gftp/bookmarks",
            "~/.gftp/bookmarks",
            "~/.config/lftp/rc",
            "~/.lftprc",
        ])
        .with_text(&[r"<Pass|password|://[^/\s:@]+:[^/\s@]+@"])
        .stays(Warning)
        .named(&["ftp-clients", "logins"])
        .back("enter the password again")
        .source("bleachbit, cleaners/filezilla.xml; lftp(1), FILES: bookmarks; ncftpbookmarks(1)")
        .example(
            "<FileZilla3><Servers><Server><Host>ftp.example.net</Host><Pass \
             encoding=\"base64\">V3E4Wue2ZABziKHXwVHxoz9SoBG=</Pass></Server></Servers></FileZilla3>\n",
        ),
];
