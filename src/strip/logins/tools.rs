//! Other tools' logins.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("version-control-auth", "passwords of Subversion, Mercurial, CVS and build services", Secret)
        .at(&[
            "~/.subversion/auth/svn.simple/*",
            "~/.subversion/auth/svn.ssl.client-passphrase/*",
            "~/.cvspass",
            "~/.oscrc",
            "~/.config/osc/oscrc",
            "~/.dput.cf",
            "~/.bazaar/authentication.conf",
            "~/.config/breezy/authentication.conf",
        ])
        .stays(Warning)
        .named(&["version-control-auth", "logins"])
        .back("the tool asks again")
        .source("Subversion book, Client Credentials: ~/.subversion/auth; cvs(1), .cvspass; osc, oscrc; dput.cf(5)")
        .example("K 8\npasstype\nV 6\nsimple\nK 8\npassword\nV 24\nRtwoaLrkbl8TckkAlENvFvo1\nEND\n"),
    rule("hgrc", "password in Mercurial's settings", Secret)
        .at(&["~/.hgrc", "~/.config/hg/hgrc", "~/*/.hg/hgrc"])
        .with_text(&[r"^\s*(\w+\.)?password[ \t]*=[ \t]*\S+", r"://[^/\s:@]+:[^/\s@]+@"])
        .stays(Warning)
        .named(&["hgrc", "logins"])
        .back("write it again")
        .source("hgrc(5), auth")
        .example("[auth]\nx.prefix = hg.example.net\nx.username = fleet\nx.password = SuIiPoyyWrRov6B8G7jlKSNY\n"),
    rule(
        "data-tool-logins",
        "passwords and tokens of data and build tools (dbt, Databricks, conda, JFrog, Stripe, Snowflake)",
        Secret,
    )
    .at(&[
        "~/.dbt/profiles.yml",
        "~/.databrickscfg",
        "~/.condarc",
        "~/.jfrog/jfrog-cli.conf*",
        "~/.config/stripe/config.toml",
        "~/.snowsql/config",
        "~/.snowflake/connections.toml",
        "~/.snowflake/config.toml",
        "~/.cabal/config",
        "~/.hex/hex.config",
        "~/.config/hex/hex.config",
        "~/.sbt/.credentials",
        "~/.ivy2/.credentials",
    ])
    .with_text(&[
        r#"(password|token|private_key|access_key|api_?key)["']?[ \t]*[:=][ \t]*["']?[^\s"'$\{]{6,}"#,
        r"/t/[0-9a-z-]{12,}/",
    ])
    .stays(Warning)
    .named(&["data-tool-logins", "logins"])
    .back("log in again with the tool")
    .source(
        "dbt, About profiles.yml; Databricks CLI, configuration profiles; Stripe CLI, config.toml; \
             Snowflake CLI, connections.toml; sbt, Publishing: credentials",
    )
    .example("[DEFAULT]\nhost = https://x.example.net\ntoken = dapiTwa4kFNPmuEZZe51JK3ZXJ0L\n"),
    rule("device-tool-logins", "logins of tools for devices (balena, Particle, PlatformIO, Edge Impulse)", Secret)
        .at(&[
            "~/.balena/token",
            "~/.balena/cachedUsername",
            "~/.particle/particle.config.json",
            "~/.platformio/appstate.json",
            "~/.edge-impulse-config.json",
        ])
        .stays(Warning)
        .named(&["device-tool-logins", "logins"])
        .back("log in again with the tool")
        .source(
            "balena CLI, README (~/.balena/token); Particle CLI, particle.config.json; PlatformIO, pio \
             account; edge-impulse-cli, Config (.edge-impulse-config.json)",
        )
        .example("eyJhbGciOiJIUzI1NiJ9.Ux8pZAx4Fz48xgPIc3Mwas0ov7"),
    rule("mosquitto-clients", "password of an MQTT broker for mosquitto_pub and mosquitto_sub", Secret)
        .at(&[
            "~/.config/mosquitto_pub",
            "~/.config/mosquitto_sub",
            "~/.config/mosquitto_rr",
            "~/.config/mosquitto_ctrl",
        ])
        .with_text(&[r"^\s*(-P|--pw|--key|--psk)[ \t]+\S+"])
        .stays(Warning)
        .named(&["mosquitto-clients", "logins"])
        .back("write it again; a fixed -i client id makes cards throw each other out")
        .source("mosquitto_pub(1), OPTIONS: $HOME/.config/mosquitto_pub; mosquitto_ctrl(1)")
        .example("-h broker.example.net\n-u fleet\n-P Vwx5O8x5nO05iMsOtrPKl5n9\n"),
    rule("docker-client-keys", "TLS keys with which this machine may command other Docker hosts", Secret)
        .at(&[
            "~/.docker/contexts/tls",
            "~/.docker/key.pem",
            "~/.docker/ca-key.pem",
            "~/.docker/machine/certs",
            "~/.docker/machine/machines",
            "/etc/docker/server-key.pem",
            "/etc/docker/tls/*",
            "/etc/docker/certs.d/*/*.key",
        ])
        .stays(Warning)
        .named(&["docker-client-keys", "docker", "keys"])
        .back("a client certificate of its own for each card")
        .source(
            "Docker, Protect the Docker daemon socket; Verify repository client with certificates; docker \
             context",
        )
        .example_in(
            "4f2c90ab/docker/key.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEAWxJqvx5mI4KwlzS0fCbmVhTL\n-----END RSA PRIVATE \
             KEY-----\n",
        ),
    rule(
        "second-factors",
        "secrets of a second factor at login: all cards would accept the old machine's codes",
        Secret,
    )
    .at(&[
        "~/.google_authenticator",
        "~/.config/Yubico/u2f_keys",
        "/etc/Yubico/u2f_keys",
        "/etc/u2f_mappings",
        "/etc/users.oath",
        "/etc/liboath/users.oath",
        "/etc/duo/pam_duo.conf",
        "/etc/duo/login_duo.conf",
        "/etc/security/pam_duo.conf",
        "/etc/pam_radius_auth.conf",
        "~/.yubico/*",
        "~/.local/share/totp-cli/*",
    ])
    .named_only()
    .named(&["second-factors", "logins"])
    .back(
        "`google-authenticator` or `pamu2fcfg` on the card; without the file PAM may let nobody in, so \
             never alone",
    )
    .source("google-authenticator(1); pam_u2f(8), authfile; pam_oath(5), usersfile; Duo Unix, pam_duo.conf")
    .example("Xy7QURcPxrp8701cPN7t3wIHO2\n\" RATE_LIMIT 3 30\n\" TOTP_AUTH\n12345678\n"),
    rule("wallets", "a wallet of a crypto currency", Secret)
        .at(&[
            "~/.bitcoin/wallet.dat",
            "~/.bitcoin/wallets",
            "~/.bitcoin/*/wallets",
            "~/.bitcoin/bitcoin.conf",
            "~/.electrum/wallets",
            "~/.ethereum/keystore",
            "~/Monero/wallets",
            "~/.lnd/data/chain",
            "~/.lnd/*.key",
            "~/.lightning/*/hsm_secret",
            "~/wallet.dat",
        ])
        .stays(Warning)
        .named(&["wallets", "keys"])
        .back("never copied to twenty cards on purpose: move it away before reading the card back")
        .source(
            "Bitcoin Core, doc/files.md; firejail, disable-programs.inc (.bitcoin, .electrum, .ethereum, \
             Monero); Core Lightning, hsm_secret",
        )
        .example("\0\0\0\0\u{1}\0mkey Yz8pNua7Hb5OH5KZo1KWXK8ddQ"),
    rule("ipfs-identity", "the node's IPFS key: all cards would be one peer", Identity)
        .at(&["~/.ipfs/config", "/var/lib/ipfs/config", "/data/ipfs/config", "~/.ipfs/keystore/*"])
        .with_text(&[r#""PrivKey"\s*:\s*""#])
        .stays(Warning)
        .named(&["ipfs-identity", "keys"])
        .back("`ipfs init` on an empty repository, or `ipfs key rotate`")
        .source("Kubo, docs/config.md: Identity.PrivKey")
        .example("{\"Identity\":{\"PeerID\":\"12D3KooW\",\"PrivKey\":\"CAESQZ08pCd1pdEOtx7ncDuK044EmioeKiH\"}}\n"),
    rule("kdeconnect", "key of KDE Connect: all cards would be one device to paired phones", Identity)
        .at(&[
            "~/.config/kdeconnect/privateKey.pem",
            "~/.config/kdeconnect/certificate.pem",
            "~/.config/kdeconnect/trusted_devices",
            "~/.config/gsconnect/private.pem",
            "~/.config/gsconnect/certificate.pem",
        ])
        .stays(Warning)
        .named(&["kdeconnect", "keys"])
        .back("without these files it makes a new key at its next start; each phone must be paired again")
        .source("kdeconnect-kde, core/kdeconnectconfig.cpp (privateKey.pem, certificate.pem, trusted_devices)")
        .example(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BA1owJC8vVaAoHQq0hSxB3PNn\n-----END PRIVATE \
             KEY-----\n",
        ),
];
