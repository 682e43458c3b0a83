//! Logins in the system's own places.

use crate::prepare::Class::{Configuration, Log, Secret};
use crate::strip::expressions::{
    AUTHORIZATION, AWS_KEY, CREDENTIAL, PASSWORD_IN_ADDRESS, PASSWORD_OPTION, PRIVATE_KEY, TOKEN_IN_ADDRESS,
};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "apt-auth",
        "password of a package archive",
        Secret,
    )
    .at(&["/etc/apt/auth.conf", "/etc/apt/auth.conf.d/*"])
    .with_text(&[r"^\s*machine\s.*\bpassword[ \t]+\S+", r"^\s*password[ \t]+\S+"])
    .stays(Warning)
    .named(&["apt-auth", "logins"])
    .back("write it again; without it `apt update` fails for that archive (Ubuntu Pro writes its own at \
             `pro attach`)")
    .source("apt_auth.conf(5)")
    .example("machine apt.example.net login fleet password Lx3A4ucvWIGzRxFZLSOdSlL99\n"),
    rule(
        "apt-sources-password",
        "a password inside the address of a package archive or proxy",
        Secret,
    )
    .at(&["/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*"])
    .with_text(&[r"://[^/\s:@]+:[^/\s@]+@", r"^[^#\n]*://[0-9a-f]{24,}:?@"])
    .named_only()
    .named(&["apt-sources-password", "logins"])
    .back("move it to /etc/apt/auth.conf.d")
    .source("apt_auth.conf(5); apt-transport-http(1), Acquire::http::Proxy")
    .example("deb https://fleet:OaTj3UWyUtTwoHvm2cxkLliq@apt.example.net stable main\n"),
    rule(
        "apt-client-key",
        "private key with which apt shows who it is",
        Secret,
    )
    .at(&["/etc/apt/*.pem", "/etc/apt/*.key", "/etc/apt/ssl/*", "/etc/apt/certs/*"])
    .with_text(&[PRIVATE_KEY])
    .stays(Warning)
    .named(&["apt-client-key", "keys", "logins"])
    .back("a client certificate of its own for each card")
    .source("apt-transport-https(1), Acquire::https::SslKey")
    .example("-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBgkqhkiG9w0BRkF1nKUCfyY5sjbQFa14OpN0\n-----END PRIVATE \
             KEY-----\n"),
    rule(
        "environment-credentials",
        "a password or token in the environment of every program",
        Secret,
    )
    .at(&[
        "/etc/environment", "/etc/environment.d/*", "~/.config/environment.d/*", "~/.pam_environment",
        "/etc/profile.d/*", "/etc/profile", "/etc/bash.bashrc", "/etc/zsh/zshenv", "/etc/zsh/zshrc",
        "/etc/security/pam_env.conf", "/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*",
    ])
    .with_text(&[
        CREDENTIAL, PASSWORD_IN_ADDRESS, AUTHORIZATION, AWS_KEY,
        r#"^\s*\w*(PASS(WORD)?|SECRET|TOKEN|API_?KEY)\w*[ \t]+(DEFAULT|OVERRIDE)=["']?[^\s"'$@{]{6,}"#,
    ])
    .named_only()
    .named(&["environment-credentials", "logins"])
    .back("give the program its own credential: LoadCredential=, a role, or a value per card")
    .source("environment(5); environment.d(5); systemd-system.conf(5), DefaultEnvironment=")
    .example("PATH=\"/usr/bin\"\nAPI_TOKEN=Fb4mLqNiOpIEPxPO3oBHKAwfoXh\n"),
    rule(
        "default-credentials",
        "a password or token in the settings of a service",
        Secret,
    )
    .at(&["/etc/default/*", "/etc/sysconfig/*", "/etc/conf.d/*"])
    .with_text(&[CREDENTIAL, PASSWORD_IN_ADDRESS, AUTHORIZATION, AWS_KEY])
    .named_only()
    .named(&["default-credentials", "logins"])
    .back("write a value per card")
    .source("systemd.exec(5), EnvironmentFile=; Debian Policy, 9.3.2 Configuration of init scripts")
    .example("# options\nMQTT_PASSWORD=IkWtRWaNLBITJjU0cGfBkI7U\n"),
    rule(
        "unit-credentials",
        "a password or token in a unit of systemd, readable by every user",
        Secret,
    )
    .at(&[
        "/etc/systemd/system/*.service", "/etc/systemd/system/*.timer", "/etc/systemd/system/*.d/*",
        "/etc/systemd/user/*.service", "/etc/systemd/user/*.d/*", "~/.config/systemd/user/*.service",
        "~/.config/systemd/user/*.d/*", "/usr/local/lib/systemd/system/*", "/etc/systemd/system.control/*",
        "/etc/containers/systemd/*", "~/.config/containers/systemd/*", "/etc/supervisor/conf.d/*",
        "/etc/supervisor/supervisord.conf", "/etc/rc.local", "~/.config/autostart/*", "/etc/xdg/autostart/*",
        "~/.config/lxsession/*/autostart", "~/.config/labwc/autostart", "~/.config/wayfire.ini",
    ])
    .with_text(&[
        CREDENTIAL, PASSWORD_IN_ADDRESS, TOKEN_IN_ADDRESS, PASSWORD_OPTION, AUTHORIZATION, AWS_KEY,
        r"^(SetCredential(Encrypted)?)=",
    ])
    .named_only()
    .named(&["unit-credentials", "logins"])
    .back("LoadCredential= with a file per card, or a role")
    .source("systemd.exec(5), Environment=, and why not for secrets: Credentials")
    .example("[Service]\nEnvironment=\"DB_PASSWORD=BdcQb3d8pxoNemLqC5fIsz8S\"\nExecStart=/opt/app/run\n"),
    rule(
        "crontab-credentials",
        "a password or token in a scheduled command",
        Secret,
    )
    .at(&[
        "/var/spool/cron/crontabs/*", "/var/spool/cron/*", "/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*",
        "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/anacrontab",
    ])
    .with_text(&[
        CREDENTIAL, PASSWORD_IN_ADDRESS, PASSWORD_OPTION, AUTHORIZATION, AWS_KEY,
        r"https?://\S*(hc-ping\.com|healthchecks|hooks\.slack\.com|discord(app)?\.com/api/webhooks|api\.telegram\.org/bot)\S+",
    ])
    .named_only()
    .named(&["crontab-credentials", "logins"])
    .back("write the line again; a check-in address (healthchecks, a web hook) makes twenty cards report as \
             one")
    .source("crontab(1), FILES; crontab(5)")
    .example("*/5 * * * * curl -s -H 'Authorization: Bearer Nd5cmYN7cQ4jnAwpmMZz8WNwI' \
             https://api.example.net/beat\n"),
    rule(
        "at-jobs",
        "commands waiting to run once, with the whole environment of who queued them",
        Secret,
    )
    .at(&["/var/spool/cron/atjobs/*", "/var/spool/at/*", "/var/spool/cron/atspool/*"])
    .with_text(&[r"^# atrun uid="])
    .stays(Warning)
    .named(&["at-jobs", "logins"])
    .back("queue it again with at")
    .source("at(1), FILES")
    .example("#!/bin/sh\n# atrun uid=1000 gid=1000\nAPI_TOKEN=KwS7Fee7Iz4ayfQ0iWaJ0KwX; export API_TOKEN\ncd \
             /home/pi\n/usr/local/bin/report\n"),
    rule(
        "dotenv",
        "passwords and tokens of an application",
        Secret,
    )
    .at(&[
        "~/.env", "~/.env.*", "~/*/.env", "~/*/.env.*", "~/*/*/.env", "~/*/*/.env.*", "/opt/.env", "/opt/*/.env",
        "/opt/*/.env.*", "/opt/*/*/.env", "/srv/*/.env", "/srv/*/*/.env", "/srv/*/.env.*", "/var/www/*/.env",
        "/var/www/*/.env.*", "/var/www/.env", "/etc/*/.env", "/etc/*.env", "/etc/*/*.env", "/usr/local/etc/*.env",
        "/var/lib/*/.env", "/app/.env", "/data/.env", "~/*.env", "/opt/*/*.env", "~/.envrc", "~/*/.envrc",
        "/root/docker/*/.env",
    ])
    .with_text(&[
        r#"^\s*(export[ \t]+)?\w*(PASS(WORD|WD)?|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|CREDENTIAL|DATABASE_URL|DSN|PRIVATE_KEY)\w*[ \t]*[=:][ \t]*["']?[^\s"'$<]{6,}"#,
        r#"^\s*(export[ \t]+)?\w+_KEY[ \t]*=[ \t]*["']?[^\s"'$</~][^\s"'$<]{11,}"#,
    ])
    .stays(Warning)
    .named(&["dotenv", "logins"])
    .back("write the file per card, from a parameter store or at activation")
    .source("Docker Compose, Environment variables: .env file; The Twelve-Factor App, Config; direnv(1)")
    .example("DB_HOST=db.example.net\nDB_PASSWORD=SqoLVUWDbmqSyupGZGnnuaX3\n"),
    rule(
        "compose-credentials",
        "passwords and tokens in a compose file",
        Secret,
    )
    .at(&[
        "~/docker-compose*.yml", "~/docker-compose*.yaml", "~/compose*.yml", "~/compose*.yaml",
        "~/*/docker-compose*.yml", "~/*/docker-compose*.yaml", "~/*/compose*.yml", "~/*/compose*.yaml",
        "~/*/*/docker-compose*.yml", "~/*/*/compose*.yaml", "/opt/*/docker-compose*.yml",
        "/opt/*/docker-compose*.yaml", "/opt/*/compose*.yml", "/opt/*/compose*.yaml", "/opt/docker-compose*.yml",
        "/opt/stacks/*/compose.yaml", "/srv/*/docker-compose*.yml", "/srv/*/compose*.yaml",
        "/srv/docker-compose*.yml", "/etc/docker/compose/*/*.yml", "/root/docker-compose*.yml",
        "/data/compose/*/docker-compose.yml", "/var/lib/docker/volumes/portainer_data/_data/compose/*/*",
    ])
    .with_text(&[
        r#"^\s*-?[ \t]*["']?\w*(PASS(WORD|WD)?|SECRET|TOKEN|API_?KEY|ACCESS_?KEY)\w*["']?[ \t]*[=:][ \t]*["']?[^\s"'$\[{]{6,}"#,
        r"://[^/\s:@]+:[^/\s:@$]+@",
    ])
    .named_only()
    .named(&["compose-credentials", "logins"])
    .back("use `secrets:` or an .env file per card")
    .source("Docker Compose, Services: environment; How to use secrets")
    .example("services:\n  db:\n    image: postgres\n    environment:\n      POSTGRES_PASSWORD: \
             Dmd4sEPSSjGcnnWuAGwPjs7A\n"),
    rule(
        "docker-container-config",
        "a Docker container's settings, with the passwords in its environment and its host name",
        Secret,
    )
    .at(&[
        "/var/lib/docker/containers/*/config.v2.json",
        "/var/snap/docker/common/var-lib-docker/containers/*/config.v2.json",
        "/data/docker/containers/*/config.v2.json",
    ])
    .with_text(&[r#""Env"\s*:\s*\[[^\]]*\w*(PASS|SECRET|TOKEN|KEY)\w*=[^"]{6,}"#])
    .stays(Warning)
    .named(&["docker-container-config", "docker", "logins"])
    .back("`docker compose up` makes the container again; remove the whole container, never this file alone")
    .source("moby, container/container.go (config.v2.json); docker inspect, Config.Env")
    .example("{\"ID\":\"abc\",\"Config\":{\"Hostname\":\"abc\",\"Env\":[\"API_TOKEN=HnO6dqx892OsFlNWRL1SXDQU\"]\
             }}"),
    rule(
        "docker-container-logs",
        "what containers printed",
        Log,
    )
    .at(&[
        "/var/lib/docker/containers/*/*-json.log*", "/var/lib/docker/containers/*/local-logs/*",
        "/var/snap/docker/common/var-lib-docker/containers/*/*-json.log*",
    ])
    .emptied(Note)
    .named(&["docker-container-logs", "logs"])
    .back("written anew")
    .source("Docker, JSON File logging driver; local file logging driver")
    .example("{\"log\":\"token WsVPtU2xpO1xK9ep2vigZyY1\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:\
             00Z\"}\n"),
    rule(
        "podman-secrets",
        "secrets that podman or Docker swarm keep",
        Secret,
    )
    .at(&["~/.local/share/containers/storage/secrets", "/var/lib/containers/storage/secrets",])
    .stays(Warning)
    .named(&["podman-secrets", "docker", "logins"])
    .back("`podman secret create`; `docker swarm join`")
    .source("podman-secret-create(1), --driver=file; Docker, Swarm administration guide: /var/lib/docker/swarm")
    .example_in("filedriver/secretsdata.json", "{\"4f2c90ab\":\"V2I1a1J6OVXttyTgYH7ZpehgVqjzlqpe\"}"),
    rule(
        "cups-printers",
        "a printer's address with the password in it",
        Secret,
    )
    .at(&[
        "/etc/cups/printers.conf", "/etc/cups/printers.conf.O", "/etc/cups/classes.conf", "/etc/cups/classes.conf.O",
        "/var/snap/cups/common/etc/cups/printers.conf",
    ])
    .with_text(&[r"^\s*(DeviceURI[ \t]+\S+://[^/\s:@]+:[^/\s@]+@|AuthInfo\s)"])
    .named_only()
    .named(&["cups-printers", "logins"])
    .back("add the printer again with lpadmin")
    .source("CUPS, scheduler/printers.c (DeviceURI, AuthInfo), scheduler/file.c (.O); printers.conf(5)")
    .example("<Printer office>\nDeviceURI smb://fleet:Pdisz4tAfxQwuz3nvBeU80Kt@nas.example.net/printer\n</Print\
             er>\n"),
    rule(
        "cups-tls",
        "TLS key of the print server, with the old host name in its file name",
        Secret,
    )
    .at(&["/etc/cups/ssl/*.key", "/etc/cups/ssl/*.crt", "/var/snap/cups/common/etc/cups/ssl/*"])
    .removed(Error)
    .named(&["cups-tls", "keys"])
    .back("cupsd makes a self-signed one for its new name at the next start with encryption \
             (CreateSelfSignedCerts)")
    .source("cups-files.conf(5), CreateSelfSignedCerts, ServerKeychain")
    .example("-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BQwaPpcSakrXIAZSQbkh0Rpn0\n-----END PRIVATE \
             KEY-----\n"),
    rule(
        "cups-jobs",
        "what was printed and by whom",
        Log,
    )
    .at(&["/var/cache/cups/job.cache", "/var/cache/cups/job.cache.O", "/var/spool/cups/c0*", "/var/spool/cups/d0*"])
    .removed(Note)
    .named(&["cups-jobs", "logs"])
    .back("cupsd makes them anew")
    .source("cupsd(8), FILES; CUPS, scheduler/job.c (job.cache)")
    .example("<Job 1>\nName report-tLkRr5lSiMaIhLTAed9D.pdf\nUsername pi\n</Job>\n"),
    rule(
        "cups-lpoptions",
        "which printers a user chose; client.conf may name the old print server",
        Configuration,
    )
    .at(&["~/.cups/lpoptions"])
    .stays(Note)
    .named(&["cups-lpoptions"])
    .back("`lpoptions -d`")
    .source("lpoptions(1), FILES")
    .example("Default office-dLEJPTfUK5tkhRt0ibeq\n"),
    rule(
        "kerberos-keytab",
        "Kerberos keys of the machine: all cards would be one principal",
        Secret,
    )
    .at(&[
        "/etc/krb5.keytab", "/etc/*.keytab", "/etc/*/*.keytab", "/var/lib/krb5kdc/*",
        "/var/lib/krb5/user/*/client.keytab", "/etc/krb5kdc/stash", "/etc/krb5kdc/.k5.*", "~/*.keytab",
        "/opt/*/*.keytab",
    ])
    .stays(Warning)
    .named(&["kerberos-keytab", "keys"])
    .back("join each card to the realm: `realm join`, `ipa-client-install` or `kadmin ktadd`")
    .source("MIT Kerberos, keytab file definition; default keytab /etc/krb5.keytab; Realm configuration")
    .example("\u{5}\u{2}\0\0\0J\0\u{1}EXAMPLE.NET\0host\0kiosk-oldNbz0P4D7d51zN4G6qaPQlZ"),
    rule(
        "sssd-secrets",
        "what sssd keeps: cached passwords and tickets",
        Secret,
    )
    .at(&[ "/var/lib/sss/secrets", "/var/lib/sss/keytabs"])
    .stays(Warning)
    .named(&["sssd-secrets", "keys"])
    .back("sssd fetches them anew after the card has joined the domain")
    .source("sssd.conf(5); ForensicArtifacts, linux.yaml (secrets.ldb, .secrets.mkey); sss_cache(8)")
    .example_in("secrets.ldb", "TDB file\nPftMRRa0rXTDDgbkYbQL6rcS"),
    rule(
        "ldap-passwords",
        "password of the directory server",
        Secret,
    )
    .at(&[
        "/etc/sssd/sssd.conf", "/etc/sssd/conf.d/*", "/etc/nslcd.conf", "/etc/ldap.conf", "/etc/ldap/ldap.conf",
        "~/.ldaprc", "/etc/libnss-ldap.conf", "/etc/pam_ldap.conf",
    ])
    .with_text(&[r"^\s*(ldap_default_authtok|bindpw|bind_?password|rootbinddn_pw)[ \t]*[= ][ \t]*\S+"])
    .named_only()
    .named(&["ldap-passwords", "logins"])
    .back("write it again, or join each card")
    .source("sssd-ldap(5), ldap_default_authtok; nslcd.conf(5), bindpw")
    .example("[domain/example.net]\nid_provider = ldap\nldap_default_authtok = XsXcxxOkxaVg5HZQv5YsoP2s\n"),
    rule(
        "tls-private-keys",
        "a TLS private key: all cards would be one server or one client",
        Secret,
    )
    .at(&[
        "/etc/ssl/private/*", "/etc/ssl/*.key", "/etc/ssl/*.pem", "/etc/ssl/*/*.key", "/etc/pki/tls/private/*",
        "/etc/nginx/ssl/*", "/etc/nginx/certs/*", "/etc/nginx/*.key", "/etc/nginx/*.pem", "/etc/apache2/ssl/*",
        "/etc/apache2/*.key", "/etc/lighttpd/*.pem", "/etc/lighttpd/certs/*", "/etc/haproxy/certs/*",
        "/etc/haproxy/*.pem", "/etc/mosquitto/certs/*", "/etc/mosquitto/ca_certificates/*.key", "/etc/stunnel/*.pem",
        "/etc/stunnel/*.key", "/etc/dovecot/private/*", "/etc/postfix/*.pem", "/etc/postfix/*.key",
        "/etc/exim4/exim.key", "/etc/proftpd/ssl/*", "/etc/vsftpd*.pem", "/etc/rdp/*.key", "/var/lib/postgresql/*/*/server.key", "/etc/postgresql/*/*/*.key",
        "/etc/mysql/*.pem", "/var/lib/mysql/*-key.pem", "/var/lib/mysql/private_key.pem", "/etc/grafana/*.key",
        "/etc/prometheus/*.key", "/usr/local/share/ca-certificates/*.key", "/etc/freeradius/*/certs/*",
        "/etc/ca-certificates/*.key", "/etc/certs/*", "/etc/certificates/*", "/etc/tls/*", "/etc/iot/*",
        "/etc/aws-iot/*", "/opt/certs/*", "/certs/*", "~/certs/*", "~/.certs/*", "~/ssl/*",
    ])
    .with_text(&[PRIVATE_KEY])
    .stays(Warning)
    .named(&["tls-private-keys", "keys"])
    .back("a key and certificate of its own for each card; the server does not start without one")
    .source("Debian ssl-cert, README; nginx, ssl_certificate_key; Mosquitto, mosquitto.conf(5), keyfile; \
             PostgreSQL, Secure TCP/IP Connections with SSL")
    .example("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIJx4nWq8ZtR2vYb6kLq38Ua9d7O5PWvc4x76sPT0\n-----END EC \
             PRIVATE KEY-----\n"),
    rule(
        "certbot-dns-credentials",
        "the key to a DNS zone with which certificates are renewed",
        Secret,
    )
    .at(&[
        "~/.secrets/*.ini",
        "~/.secrets/certbot/*",
        "/etc/letsencrypt/*.ini",
        "/etc/letsencrypt/.secrets/*",
    ])
    .with_text(&[r"^\s*(certbot_)?dns_\w+[ \t]*=[ \t]*\S{8,}"])
    .stays(Warning)
    .named(&["certbot-dns-credentials", "lets-encrypt", "logins"])
    .back("write it again, or renew elsewhere")
    .source("certbot-dns-cloudflare docs, Credentials (~/.secrets/certbot/cloudflare.ini)")
    .example("dns_cloudflare_api_token = CQvusiOIe2s3n3G8paPOi8LUztD47nHVhJnQ4I8x\n"),
    rule(
        "lets-encrypt",
        "Let's Encrypt account and TLS keys of the old machine's name",
        Secret,
    )
    .at(&[
        "/etc/letsencrypt/accounts", "/etc/letsencrypt/archive", "/etc/letsencrypt/live", "/etc/letsencrypt/keys",
        "/etc/letsencrypt/renewal", "/etc/letsencrypt/csr", "/snap/certbot/current/etc/letsencrypt",
    ])
    .stays(Warning)
    .named(&["lets-encrypt", "keys"])
    .back("`certbot certonly` on a card that has a public name; twenty cards that renew one name meet the \
             rate limit")
    .source("Certbot, User Guide: Where are my certificates?; /etc/letsencrypt/accounts")
    .example_in("acme-v02.api.letsencrypt.org/directory/4f2c/private_key.json", "{\"kty\":\"RSA\",\"d\":\"Ld1pHs6yWbMGwOLT9BAVwOmUyqhExsho\"}"),
    rule(
        "acme-clients",
        "account and TLS keys of another ACME client (acme.sh, dehydrated, lego, Caddy, Traefik)",
        Secret,
    )
    .at(&[
        "~/.acme.sh/*/*.key", "~/.acme.sh/ca", "~/.acme.sh/account.conf", "/etc/acme.sh",
        "/var/lib/dehydrated/accounts", "/var/lib/dehydrated/certs", "/etc/dehydrated/accounts", "~/.lego",
        "/etc/lego", "/data/caddy", "/etc/traefik/acme.json", "/opt/traefik/acme.json",
        "~/*/acme.json", "/opt/*/acme.json",
    ])
    .stays(Warning)
    .named(&["acme-clients", "keys"])
    .back("the client asks for new ones, where the card has a public name; account.conf may hold a DNS \
             provider's token")
    .source("acme.sh, wiki; Caddy, Conventions: Data directory; Traefik, acme.json; dehydrated, \
             docs/examples/config")
    .example("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIKb6kLm0cSd5fJx4nWxtogBHdqadtoEz55Vnm0XR\n-----END EC \
             PRIVATE KEY-----\n"),
    rule(
        "credstore",
        "credentials for services, in plain text",
        Secret,
    )
    .at(&[
        "/etc/credstore/*", "/usr/lib/credstore/*", "/var/lib/credstore/*", "~/.config/credstore/*",
        "boot:/loader/credentials/*.cred",
    ])
    .stays(Warning)
    .named(&["credstore", "logins"])
    .back("write a credential per card")
    .source("systemd.exec(5), LoadCredential=, ImportCredential=; systemd-creds(1)")
    .example("Jm7keIJ6SaGFGrCT0jZSRrvB4"),
    rule(
        "credstore-encrypted",
        "encrypted credentials for services: the key that opens them, credential.secret, goes, so they cannot \
         be opened on a card",
        Secret,
    )
    .at(&["/etc/credstore.encrypted/*", "/usr/lib/credstore.encrypted/*", "~/.config/credstore.encrypted/*"])
    .stays(Warning)
    .named(&["credstore-encrypted", "logins"])
    .back("`systemd-creds encrypt` on each card; a unit that names one with LoadCredentialEncrypted= does \
             not start before that")
    .source("systemd-creds(1), encrypt: /var/lib/systemd/credential.secret; systemd.exec(5), \
             LoadCredentialEncrypted=")
    .example("DHzAexF2RZGcSwvqCLwg/iAAAAABAAAADAAAABAAAACmjdGB7TPDMDkmgkpgMtr3DN\n"),
    rule(
        "debconf-passwords",
        "passwords that were typed while packages were installed",
        Secret,
    )
    .at(&["/var/cache/debconf/passwords.dat"])
    .with_text(&[r"^Value: \S"])
    .stays(Warning)
    .named(&["debconf-passwords", "logins"])
    .back("`dpkg-reconfigure` asks again")
    .source("debconf.conf(5), Name: passwords, Accept-Type: password")
    .example("Name: mysql-server/root_password\nTemplate: mysql-server/root_password\nValue: \
             GsyeDbuhkdkAMWLa7Q5OGkhd\nOwners: mysql-server\n\n"),
    rule(
        "package-database-copies",
        "the old copy of the passwords that package questions were answered with",
        Secret,
    )
    .at(&["/var/cache/debconf/passwords.dat-old"])
    .with_text(&[r"^Value: \S"])
    .removed(Warning)
    .named(&["package-database-copies"])
    .back("made anew at the next installation; pi-gen removes it too")
    .source("pi-gen, export-image/05-finalise/01-run.sh")
    .example("Name: mysql-server/root_password\nValue: Bsqfwk31MafU5jFhNuiaFvQg\n\n"),
    rule(
        "dynamic-dns",
        "password or token of a dynamic DNS name: all cards would fight for one name",
        Secret,
    )
    .at(&[
        "/etc/ddclient.conf", "/etc/ddclient/ddclient.conf", "/etc/inadyn.conf", "~/duckdns/duck.sh",
        "/opt/duckdns/duck.sh", "/etc/ddns-updater/*", "/etc/default/noip-duc",
    ])
    .with_text(&[r#"^[ \t]*(password|.*-password|login|.*_password)[ \t]*[=,][ \t]*["']?[^\s"'\\]{3,}"#])
    .stays(Warning)
    .named(&["dynamic-dns", "logins"])
    .back("a name of its own for each card; ddclient keeps what it last sent in /var/cache/ddclient")
    .source("ddclient(8), CONFIGURATION FILE; inadyn.conf(5); DuckDNS, install: linux cron")
    .example("protocol=dyndns2\nserver=dyn.example.net\nlogin=fleet\npassword='CbXfh9xUOJsdQOlJyFdjFhK9'\nkiosk\
             -old.example.net\n"),
    rule(
        "dynamic-dns-cache",
        "the address that the old machine last had on the internet",
        Log,
    )
    .at(&["/var/cache/ddclient/*", "/var/cache/inadyn/*", "/var/lib/inadyn/*"])
    .removed(Note)
    .named(&["dynamic-dns-cache"])
    .back("made anew")
    .source("ddclient(8), -cache; inadyn(8), --cache-dir")
    .example("atime=1767225600,host=kiosk-old.example.net,ip=203.0.113.7,mtime=1767225600,wtime=30 \
             rGYgJUtlynhS6jtSNrvY\n"),
    rule(
        "ppp-secrets",
        "password of a mobile, DSL or VPN connection",
        Secret,
    )
    .at(&["/etc/ppp/chap-secrets", "/etc/ppp/pap-secrets"])
    .with_text(&[r#"^[ \t]*["']?[^#\s"']+["']?[ \t]+["']?[^\s"']+["']?[ \t]+["']?[^\s"'*]{3,}"#])
    .stays(Warning)
    .named(&["ppp-secrets", "addresses", "logins"])
    .back("write the line again; the card may not come online without it")
    .source("pppd(8), AUTHENTICATION; wvdial.conf(5)")
    .example("# client server secret IP\nfleet * ZdN92LPgGmlWo7ze0fB6u3Vw *\n"),
    rule(
        "ppp-peers",
        "password of a mobile or DSL connection in its settings or its dial script",
        Secret,
    )
    .at(&["/etc/ppp/peers/*", "/etc/chatscripts/*", "/etc/wvdial.conf", "/etc/openfortivpn/config"])
    .with_text(&[
        r#"^[ \t]*password[ \t]*[= \t][ \t]*["']?[^\s"'*=]{3,}"#,
        r#"^[^#<\n]*word:?["']?[ \t]+["']?(\\q)?[^\s"'<\\]{3,}"#,
    ])
    .stays(Warning)
    .named(&["ppp-peers", "addresses", "logins"])
    .back("write the line again; the card may not come online without it")
    .source("pppd(8), password; chat(8); wvdial.conf(5); openfortivpn(1)")
    .example("user \"fleet\"\npassword \"ZdN92LPgGmlWo7ze0fB6u3Vw\"\n"),
    rule(
        "htpasswd-files",
        "passwords of a web server's or broker's own users",
        Secret,
    )
    .at(&[
        "/etc/nginx/.htpasswd", "/etc/nginx/htpasswd*", "/etc/nginx/*htpasswd*", "/etc/apache2/.htpasswd",
        "/etc/apache2/*htpasswd*", "/etc/lighttpd/*htpasswd*", "/etc/lighttpd/*.user", "/var/www/.htpasswd",
        "/var/www/*/.htpasswd", "/etc/mosquitto/passwd*", "/etc/mosquitto/pwfile", "/etc/mosquitto/pwfile.txt", "/etc/squid/passwd*",
        "/etc/webmin/miniserv.users", "/etc/radicale/users",
        "/etc/proftpd/ftpd.passwd", "/etc/pure-ftpd/pureftpd.passwd", "/etc/pureftpd.passwd", "/etc/dovecot/users",
        "/etc/raspap/raspap.auth",
    ])
    .with_text(&[r"^\S+:(\$|\{)[^\s]+", r"^\$2[aby]\$\d\d\$\S"])
    .stays(Warning)
    .named(&["htpasswd-files", "logins"])
    .back("set the password again; the service lets nobody in without it")
    .source("htpasswd(1); mosquitto_passwd(1); nginx, auth_basic_user_file")
    .example("fleet:$apr1$Qx2RnW8k$Ib6yqCkscTt4jpTeBUEWE.\n"),
];
