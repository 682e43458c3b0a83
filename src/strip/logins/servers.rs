//! Passwords and keys in the settings of servers.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "ldap-secret-files",
        "the password of the directory's root, in a file of its own",
        Secret,
    )
    .at(&["/etc/ldap.secret", "/etc/libnss-ldap.secret", "/etc/pam_ldap.secret"])
    .stays(Warning)
    .named(&["ldap-secret-files", "ldap-passwords", "logins"])
    .back("write it again")
    .source("pam_ldap(5), rootbinddn; Debian libnss-ldap, libpam-ldap")
    .example("RRiOypg5g68MYSytaWOfM33P\n"),
    rule(
        "noip-client",
        "account and password of No-IP's client: all cards would move one name",
        Secret,
    )
    .at(&["/usr/local/etc/no-ip2.conf", "/etc/no-ip2.conf"])
    .stays(Warning)
    .named(&["noip-client", "dynamic-dns", "logins"])
    .back("`noip2 -C`")
    .source("noip2, README.FIRST (/usr/local/etc/no-ip2.conf)")
    .example_bytes(b"\x02\x00\x4a\x1c50py8qkY8krEdUIn2bTbzdg245Jpb6cOqw0G7xdm"),
    rule(
        "rndc-keys",
        "keys with which a name server takes commands and updates, or signs its zones",
        Secret,
    )
    .at(&[
        "/etc/bind/*.key",
        "/etc/rndc.key",
        "/etc/dhcp/*.key",
        "/etc/bind/K*.private",
        "/var/cache/bind/K*.private",
        "/var/lib/bind/K*.private",
    ])
    .with_text(&[r#"\bsecret[ \t]+"?[\w+/=]{16,}"#, r"^(PrivateKey|Key|PrivateExponent):[ \t]*\S{16,}"])
    .stays(Warning)
    .named(&["rndc-keys", "keys"])
    .back("`rndc-confgen -a`; Debian's package makes rndc.key only when it is installed")
    .source("rndc-confgen(8); BIND 9 ARM, TSIG; dnssec-keygen(8)")
    .example("key \"rndc-key\" {\n\talgorithm hmac-sha256;\n\tsecret \
             \"8dGOzPqIdll02CKxV8n1HJUNo3tjdnxuVP2oGON8qhz=\";\n};\n"),
    rule(
        "install-answers",
        "answers to an installer or to cloud-init, with a password or its hash",
        Secret,
    )
    .at(&[
        "/etc/cloud/cloud.cfg.d/*.cfg",
        "/root/preseed.cfg",
        "/root/anaconda-ks.cfg",
        "/root/original-ks.cfg",
        "/root/initial-setup-ks.cfg",
    ])
    .with_text(&[
        r#"^\s*-?[ \t]*["']?(passwd|hashed_passwd|plain_text_passwd|password)["']?[ \t]*:[ \t]*["']?[^\s"'{\[#]{4,}"#,
        r"^d-i[ \t]+passwd/\S*password\S*[ \t]+password[ \t]+\S{3,}",
        r"^rootpw[ \t]+(--iscrypted[ \t]+|--plaintext[ \t]+)?[^\s-]\S{3,}",
        r"^user[ \t].*--password=\S{4,}",
    ])
    .named_only()
    .named(&["install-answers", "logins"])
    .back("not needed again")
    .source("cloud-init docs, Users and Groups: passwd, plain_text_passwd; Debian installation guide, \
             Appendix B; Anaconda, kickstart docs, rootpw, user")
    .example("#cloud-config\npassword: $6$CZL90XKcvQ$af1yggazB897ibgejf6yOHHsu9qMiyTvx6SDdTDOemG\n"),
    rule(
        "radius-secrets",
        "shared secrets and passwords of a RADIUS server",
        Secret,
    )
    .at(&[
        "/etc/freeradius/*/clients.conf",
        "/etc/freeradius/*/users",
        "/etc/freeradius/*/mods-config/files/authorize",
        "/etc/raddb/clients.conf",
    ])
    .with_text(&[
        r#"^\s*secret[ \t]*=[ \t]*["']?(?:[^t\s"'#]|t[^e\s])\S{3,}"#,
        r"^[^#\n]*(Cleartext|NT|Crypt|MD5|SHA2?)-Password[ \t]*:=",
    ])
    .named_only()
    .named(&["radius-secrets", "logins"])
    .back("wanted where every card is such a server")
    .source("FreeRADIUS, raddb/clients.conf (as it comes: testing123); users(5)")
    .example("client office {\n\tsecret = xs7fYCwCenyOMI6FlRojtOfvo\n}\n"),
    rule(
        "router-passwords",
        "passwords of routing and failover daemons",
        Secret,
    )
    .at(&[
        "/etc/frr/*.conf",
        "/etc/quagga/*.conf",
        "/etc/keepalived/keepalived.conf",
        "/etc/bird/bird.conf",
        "/etc/drbd.d/*.res",
    ])
    .with_text(&[
        r"^\s*(enable[ \t]+)?password[ \t]+\S{3,}",
        r"^\s*neighbor[ \t]+\S+[ \t]+password[ \t]+\S+",
        r"^[^#!\n]*\bauth_pass[ \t]+\S+",
        r"^[^#\n]*\bshared-secret[ \t]+\S+",
    ])
    .named_only()
    .named(&["router-passwords", "logins"])
    .back("wanted where every card has them")
    .source("FRR docs, BGP: neighbor PEER password; keepalived.conf(5), auth_pass; BIRD docs, password; \
             drbd.conf(5), shared-secret")
    .example("hostname r1\nneighbor 192.0.2.1 password z1GxxcrPpQNBlZL9nfXUSGfK\n"),
    rule(
        "proxy-passwords",
        "the password of a proxy",
        Secret,
    )
    .at(&[
        "/etc/squid/squid.conf",
        "/etc/squid/conf.d/*.conf",
        "/etc/tinyproxy/tinyproxy.conf",
        "/etc/proxychains*.conf",
        "~/.proxychains/proxychains.conf",
        "/etc/cntlm.conf",
    ])
    .with_text(&[
        r"^\s*cache_peer[ \t].*\blogin=[^\s:]+:\S+",
        r"^\s*BasicAuth[ \t]+\S+[ \t]+\S{3,}",
        r"^\s*Upstream[ \t]+\w+[ \t]+\S+:\S+@",
        r"^\s*(socks[45]|http)[ \t]+\S+[ \t]+\d+[ \t]+\S+[ \t]+\S+",
        r"^\s*Pass(LM|NT|NTLMv2)[ \t]+[0-9A-F]{16,}",
        r"^\s*Password[ \t]+(?:[^p\s]|p[^a\s])\S{3,}",
    ])
    .named_only()
    .named(&["proxy-passwords", "logins"])
    .back("wanted where every card goes through it")
    .source("squid.conf, cache_peer login=; tinyproxy.conf(5), BasicAuth, Upstream; proxychains.conf; \
             cntlm(1), PassNTLMv2")
    .example("Username fleet\nPassNTLMv2 F0B48A48A8A584992A659A8BED47F5DC\n"),
    rule(
        "voice-passwords",
        "passwords of telephony: all cards would be one extension",
        Secret,
    )
    .at(&[
        "/etc/asterisk/pjsip*.conf",
        "/etc/asterisk/sip*.conf",
        "/etc/asterisk/manager*.conf",
        "/etc/asterisk/ari.conf",
        "~/.linphonerc",
        "~/.config/linphone/linphonerc",
        "~/.baresip/accounts",
        "/etc/turnserver.conf",
        "/etc/mumble-server.ini",
        "/etc/mumble/mumble-server.ini",
    ])
    .with_text(&[
        r"^\s*(secret|password|md5_cred|passwd|ha1|serverpassword|static-auth-secret)[ \t]*=[ \t]*[^\s;]{4,}",
        r"^[^#\n]*;auth_pass=\S+",
        r"^\s*user=\S+:\S+",
    ])
    .named_only()
    .named(&["voice-passwords", "logins"])
    .back("an account of its own for each card")
    .source("Asterisk, configs/samples/pjsip.conf.sample; Linphone, linphonerc (auth_info); baresip, \
             docs/examples/accounts; coturn, turnserver.conf; Mumble, murmur.ini")
    .example("[100]\ntype=auth\nusername=100\npassword=2xIHfwoVB7R7OJTzHp2zu7pT\n"),
    rule(
        "baresip-id",
        "baresip's instance id: a SIP server would take all cards for one phone",
        Identity,
    )
    .at(&["~/.baresip/uuid"])
    .removed(Warning)
    .named(&["baresip-id", "other-agents"])
    .back("baresip makes a new one at its next start")
    .source("baresip, modules/uuid/uuid.c")
    .example("d2d9b8a5-9ec3-4b74-a6c1-0e0c4dd50e91"),
];
