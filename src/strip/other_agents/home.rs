//! Home, media, printers, receivers.

use crate::prepare::Class::{Identity, Log, Secret};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("syncthing", "the Syncthing device's key: all cards would be one device", Secret)
        .at(&[
            "~/.config/syncthing/*.pem",
            "~/.local/state/syncthing/*.pem",
            "/var/lib/syncthing/*.pem",
            "/var/lib/syncthing/.config/syncthing/*.pem",
            "/var/lib/syncthing/.local/state/syncthing/*.pem",
            "/var/snap/syncthing/*/config/syncthing/*.pem",
        ])
        .stays(Warning)
        .named(&["syncthing", "other-agents"])
        .back(
            "syncthing makes a new device id at its next start; the other devices must accept it, and \
             config.xml still names the old one",
        )
        .source("syncthing, lib/locations/locations.go; syncthing-config(5); syncthing-device-ids(7)")
        .example("-----BEGIN EC PRIVATE KEY-----\nMIGkAgEBBDBz9Kq3Xw7LvTs4Pn8R\n-----END EC PRIVATE KEY-----\n"),
    rule("syncthing-index", "Syncthing's index of the old device's files", Log)
        .at(&[
            "~/.config/syncthing/index-*.db",
            "~/.local/state/syncthing/index-*.db",
            "~/.config/syncthing/index-v2",
            "~/.local/state/syncthing/index-v2",
        ])
        .stays(Note)
        .named(&["syncthing-index", "syncthing"])
        .back("syncthing scans the folders again")
        .source("syncthing-config(5), DESCRIPTION; lib/locations/locations.go")
        .example_in("000001.log", "kiosk-old folder/photo-4f9a1c7e2b8d6053.jpg"),
    rule("home-assistant-id", "Home Assistant's instance id, by which phones and other instances know it", Identity)
        .at(&[
            "~/.homeassistant/.storage/core.uuid",
            "~/homeassistant/.storage/core.uuid",
            "~/homeassistant/config/.storage/core.uuid",
            "/opt/homeassistant/.storage/core.uuid",
            "/opt/homeassistant/config/.storage/core.uuid",
            "/usr/share/hassio/homeassistant/.storage/core.uuid",
            "/etc/homeassistant/.storage/core.uuid",
        ])
        .removed(Warning)
        .named(&["home-assistant-id", "home-assistant", "other-agents"])
        .back("Home Assistant makes a new one at its next start")
        .source("home-assistant/core, homeassistant/helpers/instance_id.py")
        .example("{\"key\":\"core.uuid\",\"data\":{\"uuid\":\"3d37242f4b494bfc985e4505a95f70d3\"}}"),
    rule("home-assistant", "Home Assistant's users, their tokens, and logins of integrations", Secret)
        .at(&[
            "~/.homeassistant/secrets.yaml",
            "~/homeassistant/secrets.yaml",
            "~/homeassistant/config/secrets.yaml",
            "/opt/homeassistant/config/secrets.yaml",
            "/usr/share/hassio/homeassistant/secrets.yaml",
            "~/.homeassistant/.storage/auth*",
            "~/homeassistant/.storage/auth*",
            "~/homeassistant/config/.storage/auth*",
            "/opt/homeassistant/config/.storage/auth*",
            "/usr/share/hassio/homeassistant/.storage/auth*",
            "~/.homeassistant/.storage/core.config_entries",
            "~/homeassistant/.storage/core.config_entries",
            "~/homeassistant/config/.storage/core.config_entries",
            "/opt/homeassistant/config/.storage/core.config_entries",
            "/usr/share/hassio/homeassistant/.storage/core.config_entries",
            "~/.homeassistant/.cloud",
            "~/homeassistant/config/.cloud",
            "/usr/share/hassio/homeassistant/.cloud",
            "/usr/share/hassio/*.json",
        ])
        .stays(Warning)
        .named(&["home-assistant", "logins"])
        .back("set up users and integrations on each card, or keep them where all cards shall be alike")
        .source(
            "Home Assistant docs, storing secrets; authentication (.storage/auth); supervisor, \
             /usr/share/hassio",
        )
        .example("mqtt_password: x9Kz3Wq7Lv4Tp8Rn2Mb6Yd\n"),
    rule("node-red", "Node-RED's credentials of flows and the key that encrypts them; they belong together", Secret)
        .at(&[
            "~/.node-red/.config.runtime.json",
            "~/.node-red/.config.json",
            "~/.node-red/*_cred.json",
            "~/.node-red/projects/*/*_cred.json",
            "~/.node-red/.config.projects.json",
            "~/.node-red/settings.js",
            "/data/.config.runtime.json",
            "/var/lib/node-red/.config.runtime.json",
            "/var/lib/node-red/*_cred.json",
        ])
        .stays(Warning)
        .named(&["node-red", "logins"])
        .back("enter the credentials again in the editor of each card")
        .source(
            "node-red, runtime/lib/storage/localfilesystem/settings.js (_credentialSecret), \
             projects/index.js, runtime/lib/nodes/credentials.js",
        )
        .example("{\"instanceId\":\"a1\",\"_credentialSecret\":\"4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c\"}"),
    rule("node-red-sessions", "who is logged in to Node-RED's editor", Secret)
        .at(&["~/.node-red/.sessions.json", "/var/lib/node-red/.sessions.json"])
        .removed(Warning)
        .named(&["node-red-sessions", "node-red", "logins"])
        .back("log in again")
        .source("node-red, runtime/lib/storage/localfilesystem/sessions.js")
        .example("{\"x\":{\"user\":\"admin\",\"accessToken\":\"q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf0=\"}}"),
    rule("octoprint", "OctoPrint's users, API keys and session key: who has one card can log in to all", Secret)
        .at(&[
            "~/.octoprint/config.yaml",
            "~/.octoprint/config.backup",
            "~/.octoprint/users.yaml",
            "~/.octoprint/data/appkeys",
            "~/oprint/.octoprint/config.yaml",
            "/octoprint/octoprint/config.yaml",
            "/octoprint/octoprint/users.yaml",
        ])
        .stays(Warning)
        .named(&["octoprint", "logins"])
        .back(
            "OctoPrint makes server.secretKey and the tracking id again when they are missing; users must be \
             made again",
        )
        .source(
            "OctoPrint, src/octoprint/server/__init__.py (secretKey), access/users.py, plugins/appkeys, \
             plugins/tracking (unique_id)",
        )
        .example("server:\n  secretKey: 4f9a1c7e2b8d6053a1f7c9e2b4d8f601\napi:\n  key: 9E7C1A5F3B\n"),
    rule(
        "octoeverywhere",
        "the printer's id and key at OctoEverywhere or Obico: all cards would be one printer",
        Secret,
    )
    .at(&[
        "~/.octoprint/data/octoeverywhere",
        "~/printer_data/*/octoeverywhere.secrets",
        "~/.octoeverywhere-store*/octoeverywhere.secrets",
        "~/*/octoeverywhere.secrets",
        "~/printer_data/config/moonraker-obico.cfg",
        "~/klipper_config/moonraker-obico.cfg",
    ])
    .stays(Warning)
    .named(&["octoeverywhere", "other-agents"])
    .back("the plugin makes a new id at its next start; the printer must be linked again")
    .source("OctoEverywhere plugin, octoeverywhere.secrets; moonraker-obico, auth_token in moonraker-obico.cfg")
    .example_in(
        "octoeverywhere.secrets",
        "[secrets]\nprinter_id = Q9KZ3WQ7LV4XP8TN2RB6\nprivate_key = ms1Pd5Hc0Jf8Gt\n",
    ),
    rule("esphome", "ESPHome's passwords and keys of the devices at home", Secret)
        .at(&[
            "~/esphome/secrets.yaml",
            "~/esphome/config/secrets.yaml",
            "~/config/esphome/secrets.yaml",
            "~/.homeassistant/esphome/secrets.yaml",
            "/usr/share/hassio/homeassistant/esphome/secrets.yaml",
        ])
        .stays(Warning)
        .named(&["esphome", "logins"])
        .back("wanted where every card shall build for the same devices")
        .source("esphome, yaml_util.py (SECRET_YAML)")
        .example("wifi_password: \"x9Kz3Wq7Lv4Tp8Rn2Mb6\"\napi_key: \"q7K=\"\n"),
    rule(
        "zigbee2mqtt",
        "Zigbee2MQTT's network key and paired devices: all cards would open the same Zigbee network",
        Secret,
    )
    .at(&[
        "/opt/zigbee2mqtt/data/configuration.yaml",
        "/opt/zigbee2mqtt/data/secret.yaml",
        "/opt/zigbee2mqtt/data/coordinator_backup.json",
        "/opt/zigbee2mqtt/data/database.db",
        "~/zigbee2mqtt/data/configuration.yaml",
        "~/zigbee2mqtt/data/secret.yaml",
        "~/zigbee2mqtt/data/coordinator_backup.json",
        "~/zigbee2mqtt/data/database.db",
        "~/zigbee2mqtt-data",
        "/usr/share/hassio/homeassistant/zigbee2mqtt",
        "/var/snap/zigbee2mqtt/current/configuration.yaml",
    ])
    .named_only()
    .named(&["zigbee2mqtt", "logins"])
    .back(
        "`network_key: GENERATE`, pan_id and ext_pan_id too, make a new network; devices must be paired \
             again",
    )
    .source("zigbee2mqtt, data/configuration.example.yaml; lib/util/data.ts; lib/zigbee.ts")
    .example("advanced:\n  network_key: [117, 9, 240, 33, 78, 151, 4, 202, 66, 18, 93, 160, 7, 251, 39, 84]\n"),
    rule("deconz", "deCONZ's Zigbee network, its key and API keys", Secret)
        .at(&["~/.local/share/dresden-elektronik/deCONZ/zll.db*"])
        .stays(Warning)
        .named(&["deconz", "logins"])
        .back("devices must be paired again")
        .source("deCONZ, ~/.local/share/dresden-elektronik/deCONZ/zll.db")
        .example("SQLite format 3\0auth apikey 9E7C1A5F3B2D8046F1A9C7BD"),
    rule("openthread", "the Thread network's key and the border router's identity", Secret)
        .at(&["/var/lib/thread"])
        .stays(Warning)
        .named(&["openthread", "other-agents"])
        .back("`ot-ctl dataset` on each card")
        .source("openthread, OPENTHREAD_CONFIG_POSIX_SETTINGS_PATH (/var/lib/thread)")
        .example_in("0_18b4300000000001.data", "\u{1}\0\u{10}q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3H"),
    rule("homebridge", "Homebridge's HomeKit identity and pairings, its PIN and plugin logins", Secret)
        .at(&[
            "~/.homebridge/persist",
            "~/.homebridge/accessories",
            "~/.homebridge/config.json",
            "~/.homebridge/.uix-secrets",
            "~/.homebridge/auth.json",
            "/var/lib/homebridge/persist",
            "/var/lib/homebridge/accessories",
            "/var/lib/homebridge/config.json",
            "/var/lib/homebridge/.uix-secrets",
            "/var/lib/homebridge/auth.json",
        ])
        .stays(Warning)
        .named(&["homebridge", "other-agents", "logins"])
        .back(
            "Homebridge makes new keys at its next start; each card needs its own username and pin in \
             config.json",
        )
        .source(
            "homebridge, src/childBridgeFork.ts (User.persistPath), README.md (~/.homebridge); homebridge on \
             Raspberry Pi, /var/lib/homebridge",
        )
        .example_in("AccessoryInfo.0E1F2A3B4C5D.json", "{\"signSk\":\"4f9a1c7e2b8d6053a1f7c9e2b4d8f601\"}"),
    rule("openhab", "openHAB's id and secret at openHAB Cloud: all cards would be one openHAB", Identity)
        .at(&[
            "/var/lib/openhab/uuid",
            "/var/lib/openhab/openhabcloud/secret",
            "/var/lib/openhab2/uuid",
            "/var/lib/openhab2/openhabcloud/secret",
            "/opt/openhab/userdata/uuid",
            "/opt/openhab/userdata/openhabcloud/secret",
        ])
        .stays(Warning)
        .named(&["openhab", "other-agents"])
        .back("openHAB makes both anew at its next start; the cloud account must be told")
        .source("openHAB docs, openHAB Cloud Connector, UUID and Secret")
        .example("q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf"),
    rule("fhem", "FHEM's id and the passwords that it keeps beside it", Secret)
        .at(&["/opt/fhem/FHEM/FhemUtils/uniqueID"])
        .stays(Warning)
        .named(&["fhem", "logins"])
        .back("FHEM makes a new id; the passwords must be set again")
        .source("FHEM, FHEM/FhemUtils/uniqueID (setKeyValue)")
        .example("uniqueID:4f9a1c7e2b8d6053\nmqtt_password:x9Kz3Wq7Lv4Tp8Rn2Mb6\n"),
    rule("mosquitto", "Mosquitto's passwords, pre-shared keys and TLS keys", Secret)
        .at(&[
            "/etc/mosquitto/passwd*",
            "/etc/mosquitto/password*",
            "/etc/mosquitto/pwfile",
            "/etc/mosquitto/pwfile.txt",
            "/etc/mosquitto/pskfile",
            "/etc/mosquitto/*.passwd",
            "/etc/mosquitto/dynamic-security.json",
            "/var/lib/mosquitto/dynamic-security.json",
            "/etc/mosquitto/certs/*.key",
            "/etc/mosquitto/certs/*key*.pem",
            "/etc/mosquitto/conf.d/*bridge*.conf",
            "/var/snap/mosquitto/common/passwd*",
        ])
        .stays(Warning)
        .named(&["mosquitto", "logins"])
        .back("`mosquitto_passwd` on each card, or keep where all brokers shall be alike")
        .source("mosquitto.conf(5), password_file, psk_file, keyfile, remote_password; mosquitto_passwd(1)")
        .example("kiosk:$7$101$q7Kz2Wx9Lv4Tp8Rn1Mb6$Yd3Hc5Jf0PsGt==\n"),
    rule("plex", "the Plex server's machine id and account token: all cards would be one server", Secret)
        .at(&[
            "/var/lib/plexmediaserver/Library/Application Support/Plex Media Server/Preferences.xml",
            "/var/snap/plexmediaserver/common/Library/Application Support/Plex Media Server/Preferences.xml",
        ])
        .stays(Warning)
        .named(&["plex", "other-agents", "logins"])
        .back(
            "Plex makes a new id when MachineIdentifier and ProcessedMachineIdentifier are missing; the \
             server must be claimed again",
        )
        .source("Plex, Preferences.xml (MachineIdentifier, ProcessedMachineIdentifier, PlexOnlineToken)")
        .example("<Preferences MachineIdentifier=\"7c1f9e3a-b5d2\" PlexOnlineToken=\"xZ9Kz3Wq7Lv4Xp8Tn2Rb\"/>"),
    rule("jellyfin", "the Jellyfin server's device id", Identity)
        .at(&["/var/lib/jellyfin/data/device.txt", "~/.local/share/jellyfin/data/device.txt"])
        .removed(Warning)
        .named(&["jellyfin", "other-agents"])
        .back("Jellyfin makes a new one at its next start")
        .source("jellyfin, Emby.Server.Implementations/Devices/DeviceId.cs")
        .example("4f9a1c7e2b8d6053a1f7c9e2b4d8f601"),
    rule("jellyfin-logins", "Jellyfin's users and the devices that are logged in", Secret)
        .at(&[
            "/var/lib/jellyfin/data/jellyfin.db*",
            "/var/lib/jellyfin/data/authentication.db*",
            "~/.local/share/jellyfin/data/jellyfin.db*",
        ])
        .stays(Note)
        .named(&["jellyfin-logins", "logins"])
        .back("wanted where every card shall have the same users and library")
        .source("jellyfin, SqliteDatabaseProvider.cs (jellyfin.db)")
        .example("SQLite format 3\0AccessToken 9e7c1a5f3b2d8046f1a9c7bd"),
    rule("raspotify", "a Spotify login of librespot: all cards would play for one account", Secret)
        .at(&[
            "/var/cache/raspotify/credentials.json",
            "/var/cache/librespot/credentials.json",
            "~/.cache/librespot/credentials.json",
            "~/.cache/spotifyd/credentials.json",
        ])
        .stays(Warning)
        .named(&["raspotify", "logins"])
        .back("choose the card once in the Spotify app")
        .source("raspotify, /var/cache/raspotify (librespot --system-cache)")
        .example("{\"username\":\"kiosk\",\"auth_type\":1,\"auth_data\":\"QVFEOUt6M1dxN0x2NFhwOFRuMlJi\"}"),
    rule("kodi", "Kodi's device id, its web password, and passwords of network shares", Secret)
        .at(&[
            "~/.kodi/userdata/guisettings.xml",
            "~/.kodi/userdata/passwords.xml",
            "~/.kodi/userdata/sources.xml",
            "/storage/.kodi/userdata/guisettings.xml",
            "/storage/.kodi/userdata/passwords.xml",
        ])
        .stays(Note)
        .named(&["kodi", "logins"])
        .back("Kodi makes a new device id when services.deviceuuid is missing")
        .source(
            "Kodi, guisettings.xml (services.deviceuuid, services.webserverpassword); Kodi wiki, Userdata, \
             passwords.xml",
        )
        .example("<setting id=\"services.deviceuuid\">7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80</setting>"),
    rule("moonlight", "Moonlight's key: who has one card can stream from the paired computer", Secret)
        .at(&[
            "~/.cache/moonlight/key.pem",
            "~/.cache/moonlight/client.pem",
            "~/.cache/moonlight/client.p12",
            "~/.cache/moonlight/uniqueid.dat",
        ])
        .stays(Warning)
        .named(&["moonlight", "logins"])
        .back("`moonlight pair` on each card")
        .source("moonlight-embedded, key directory ~/.cache/moonlight")
        .example("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq9Xz3LwTs7Kq2\n-----END PRIVATE KEY-----\n"),
    rule(
        "pihole-tls",
        "Pi-hole's own TLS certificate authority and key: who has one card can pose as all of them",
        Secret,
    )
    .at(&["/etc/pihole/tls.pem", "/etc/pihole/tls.crt", "/etc/pihole/tls_ca.crt"])
    .removed(Error)
    .named(&["pihole-tls", "host-keys"])
    .back("FTL makes a new self-signed certificate at its next start; one of your own must be put there again")
    .source("pi-hole/FTL, src/config/config.c (webserver.tls.cert, webserver.tls.validity)")
    .example("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG3Xz9LwTs7Kq2\n-----END PRIVATE KEY-----\n"),
    rule("pihole-cli", "the password with which Pi-hole's own commands log in", Secret)
        .at(&["/etc/pihole/cli_pw"])
        .removed(Warning)
        .named(&["pihole-cli", "logins"])
        .back("FTL makes a new one at its next start")
        .source("pi-hole/FTL, src/config/password.c (CLI_PW_FILE)")
        .example("q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf0PsGt="),
    rule("pihole", "Pi-hole's password hash, app password and two-factor secret", Secret)
        .at(&["/etc/pihole/pihole.toml", "/etc/pihole/setupVars.conf", "/etc/pihole/config_backups"])
        .named_only()
        .named(&["pihole", "logins"])
        .back("`pihole setpassword` on each card, or keep where all shall be alike")
        .source("pi-hole/FTL, src/config/config.c (webserver.api.pwhash, app_pwhash, totp_secret)")
        .example("[webserver.api]\n  pwhash = \"$BALLOON-SHA256$v=1$s=1024,t=32$9Kz3Wq7Lv4Xp8Tn2Rb6M\"\n"),
    rule("pihole-queries", "which names were looked up through Pi-hole, and by whom", Log)
        .at(&["/etc/pihole/pihole-FTL.db*"])
        .removed(Note)
        .named(&["pihole-queries", "logs"])
        .back("FTL starts a new database")
        .source("pi-hole/FTL, src/config/config.c (files.database)")
        .example("SQLite format 3\0client 192.168.1.20 intranet-4f9a1c7e.example.org"),
    rule("adguard-sessions", "who is logged in to AdGuard Home", Secret)
        .at(&[
            "/opt/AdGuardHome/data/sessions.db",
            "/var/lib/AdGuardHome/data/sessions.db",
            "/var/snap/adguard-home/current/data/sessions.db",
            "~/AdGuardHome/data/sessions.db",
        ])
        .removed(Warning)
        .named(&["adguard-sessions", "adguard", "logins"])
        .back("log in again")
        .source("AdGuardHome, internal/home/auth.go (sessionsDBName)")
        .example("íÚ\u{c}ísessions-2 admin q7Kz2Wx9Lv4Tp8Rn1Mb6Yd"),
    rule("adguard", "AdGuard Home's users and password hashes, and a TLS key", Secret)
        .at(&[
            "/opt/AdGuardHome/AdGuardHome.yaml",
            "/var/lib/AdGuardHome/AdGuardHome.yaml",
            "/var/snap/adguard-home/current/AdGuardHome.yaml",
            "~/AdGuardHome/AdGuardHome.yaml",
        ])
        .stays(Warning)
        .named(&["adguard", "logins"])
        .back("set the password on each card, or keep where all shall be alike")
        .source("AdGuardHome, internal/home/home.go; scripts/install.sh; snap/local/adguard-home-web.sh")
        .example("users:\n  - name: admin\n    password: $2a$10$9Kz3Wq7Lv4Xp8Tn2Rb6MsPd\n"),
    rule("adguard-queries", "which names were looked up through AdGuard Home", Log)
        .at(&[
            "/opt/AdGuardHome/data/querylog.json*",
            "/opt/AdGuardHome/data/stats.db",
            "/var/lib/AdGuardHome/data/querylog.json*",
            "/var/snap/adguard-home/current/data/querylog.json*",
            "/var/snap/adguard-home/current/data/stats.db",
        ])
        .removed(Note)
        .named(&["adguard-queries", "logs"])
        .back("AdGuard Home starts new ones")
        .source("AdGuard Home, data/querylog.json, data/stats.db")
        .example("{\"IP\":\"192.168.1.20\",\"QH\":\"intranet-4f9a1c7e2b8d.example.org\"}"),
    rule("piaware", "the FlightAware feeder's id: all cards would be one site", Identity)
        .at(&["/var/cache/piaware/feeder_id"])
        .removed(Warning)
        .named(&["piaware", "other-agents"])
        .back("piaware is given a new id when it next logs in; the site must be claimed again")
        .source("flightaware/piaware, /var/cache/piaware/feeder_id")
        .example("335bb436-4746-41d3-81b1-ce05b8ba8ecb"),
    rule("piaware-config", "a feeder id, or passwords, in PiAware's settings", Identity)
        .at(&["boot:/piaware-config.txt", "/etc/piaware.conf"])
        .with_text(&[r"^\s*(feeder-id|flightaware-password|flightaware-user|wireless-password)[ \t]+\S"])
        .named_only()
        .named(&["piaware-config", "piaware", "other-agents"])
        .back("without feeder-id each card gets its own")
        .source("flightaware/piaware, package/fa_piaware_config.tcl")
        .example("feeder-id 335bb436-4746-41d3-81b1-ce05b8ba8ecb\nwireless-password x9Kz3Wq7Lv4T\n"),
    rule(
        "flight-feeders",
        "sharing keys and ids of Flightradar24, RadarBox, Plane Finder or ADS-B Exchange: all cards would be \
         one receiver",
        Identity,
    )
    .at(&[
        "/etc/fr24feed.ini",
        "/etc/rbfeeder.ini",
        "/etc/pfclient-config.json",
        "boot:/adsbx-uuid",
        "/boot/adsbx-uuid",
        "/usr/local/share/adsbexchange/adsbx-uuid",
    ])
    .named_only()
    .named(&["flight-feeders", "other-agents"])
    .back("sign up each card for a key of its own")
    .source(
        "fr24feed.ini (fr24key); rbfeeder, /etc/rbfeeder.ini (key); pfclient (sharecode); ADSBexchange \
             feed scripts (adsbx-uuid)",
    )
    .example("receiver=\"dvbt\"\nfr24key=\"4f9a1c7e2b8d6053a1f7c9\"\n"),
    rule("boinc", "the BOINC host's ids and account keys: all cards would be one host", Secret)
        .at(&[
            "/var/lib/boinc-client/client_state*.xml",
            "/var/lib/boinc-client/account_*.xml",
            "/var/lib/boinc/client_state*.xml",
            "/var/lib/boinc/account_*.xml",
            "/etc/boinc-client/gui_rpc_auth.cfg",
            "/var/lib/boinc-client/gui_rpc_auth.cfg",
        ])
        .stays(Warning)
        .named(&["boinc", "other-agents", "logins"])
        .back("attach each card to its projects")
        .source("BOINC client, client_state.xml, account_*.xml, gui_rpc_auth.cfg; Debian boinc-client")
        .example("<account><authenticator>4f9a1c7e2b8d6053a1f7c9e2b4d8f601</authenticator></account>"),
    rule("thingsboard-gateway", "the ThingsBoard gateway's access token: all cards would be one gateway", Secret)
        .at(&[
            "/etc/thingsboard-gateway/config/tb_gateway.json",
            "/etc/thingsboard-gateway/config/tb_gateway.yaml",
            "/etc/thingsboard-gateway/config/backup",
            "/etc/thingsboard-gateway/*.tar.gz",
        ])
        .named_only()
        .named(&["thingsboard-gateway", "other-agents"])
        .back("an access token of its own for each card, or a provisioning key")
        .source(
            "thingsboard-gateway, for_build/DEBIAN/postinst, thingsboard-gateway.service \
             (/etc/thingsboard-gateway/config)",
        )
        .example("{\"thingsboard\":{\"security\":{\"accessToken\":\"9Kz3Wq7Lv4Xp8Tn2Rb6M\"}}}"),
    rule("pitunnel", "the PiTunnel device's settings: all cards would be one device", Identity)
        .at(&["/etc/pitunnel"])
        .stays(Warning)
        .named(&["pitunnel", "other-agents"])
        .back("PiTunnel's install command of the account registers each card")
        .source("PiTunnel, uninstall script (/etc/pitunnel)")
        .example_in("device_key", "q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5"),
    rule("anthias", "Anthias' (Screenly OSE's) login and secret key", Secret)
        .at(&["~/.anthias/anthias.conf", "~/.screenly/screenly.conf", "~/.anthias/ssl"])
        .stays(Warning)
        .named(&["anthias", "logins"])
        .back("set the password on each card, or keep where all shall be alike")
        .source(
            "Screenly/Anthias, src/anthias_common/internal_auth.py (django_secret_key); \
             bin/migrate_legacy_paths.sh; bin/enable_ssl.sh",
        )
        .example("[main]\ndjango_secret_key = x9Kz3Wq7Lv4Tp8Rn2Mb6Yd\n[auth_basic]\npassword = 4f9a1c7e\n"),
    rule("ngrok", "an ngrok authtoken: all cards would open tunnels of one agent", Secret)
        .at(&[
            "~/.config/ngrok/ngrok.yml",
            "~/.ngrok2/ngrok.yml",
            "~/snap/ngrok/*/.config/ngrok/ngrok.yml",
            "/etc/ngrok.yml",
            "/opt/ngrok/ngrok.yml",
        ])
        .stays(Warning)
        .named(&["ngrok", "logins", "other-agents"])
        .back("`ngrok config add-authtoken` on each card")
        .source("ngrok docs, agent configuration file locations")
        .example("version: 2\nauthtoken: 2Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc_0Jf8Gt\n"),
    rule("rustdesk", "the RustDesk id, key pair and password: all cards would be one machine", Secret)
        .at(&["~/.config/rustdesk"])
        .stays(Warning)
        .named(&["rustdesk", "other-agents"])
        .back("rustdesk makes a new id and keys at its next start; the password must be set again")
        .source("rustdesk, res/DEBIAN/postrm (/root/.config/rustdesk); RustDesk.toml (enc_id, key_pair, password)")
        .example_in("RustDesk.toml", "enc_id = '00q7Kz2Wx9Lv4Tp8Rn1Mb6'\npassword = '00Yd3Hc5Jf0PsGt'\n"),
    rule("realvnc", "RealVNC Server's settings, with its password and cloud login", Secret)
        .at(&["/root/.vnc/config.d", "~/.vnc/config.d"])
        .stays(Warning)
        .named(&["realvnc", "logins", "other-agents"])
        .back("`vncpasswd -service` or a cloud sign-in on each card")
        .source("RealVNC Server, /root/.vnc/config.d/vncserver-x11 (vncpasswd -service)")
        .example_in("vncserver-x11", "Authentication=VncAuth\nPassword=7c1f9e3ab5d2084e6f1a9c7b\n"),
    rule("meshtastic", "the Meshtastic node's key and channels: all cards would be one node of the mesh", Secret)
        .at(&["~/.portduino/default/prefs", "/var/lib/meshtasticd/.portduino/default/prefs"])
        .stays(Warning)
        .named(&["meshtastic", "other-agents"])
        .back("meshtasticd makes new keys; channels must be set again")
        .source("meshtasticd (portduino), ~/.portduino/default/prefs/config.proto")
        .example_in("config.proto", "\n\u{4}\u{12} q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3H"),
    rule("motioneye", "passwords of motionEye and its cameras", Secret)
        .at(&["/etc/motioneye/motion.conf", "/etc/motioneye/camera-*.conf", "/etc/motioneye/thread-*.conf"])
        .named_only()
        .named(&["motioneye", "logins"])
        .back("set the passwords on each card, or keep where all shall be alike")
        .source("motionEye, /etc/motioneye/motion.conf (@admin_password)")
        .example("# @admin_username admin\n# @admin_password 4f9a1c7e2b8d6053a1f7c9e2\n"),
    rule("umbrel", "the seed from which Umbrel makes all passwords, and its user", Secret)
        .at(&[
            "~/umbrel/db/umbrel-seed",
            "~/umbrel/db/user.json",
            "~/umbrel/umbrel.yaml",
            "/data/umbrel-os/home/umbrel/umbrel/db/umbrel-seed",
        ])
        .stays(Warning)
        .named(&["umbrel", "other-agents", "logins"])
        .back("umbreld makes a new seed when none is there; what its apps encrypted with the old one is lost")
        .source("umbreld (db/umbrel-seed/seed)")
        .example_in("seed", "4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c7e9b"),
    rule("pikvm", "PiKVM's TLS key and its users", Secret)
        .at(&[
            "/etc/kvmd/nginx/ssl/server.key",
            "/etc/kvmd/nginx/ssl/server.crt",
            "/etc/kvmd/vnc/ssl",
            "/etc/kvmd/htpasswd",
            "/etc/kvmd/ipmipasswd",
            "/etc/kvmd/vncpasswd",
            "/etc/kvmd/totp.secret",
        ])
        .stays(Warning)
        .named(&["pikvm", "host-keys", "logins"])
        .back("`kvmd-gencert --do-the-thing` and `kvmd-htpasswd set admin` on each card")
        .source("PiKVM docs, Let's Encrypt and authentication (/etc/kvmd/nginx/ssl, /etc/kvmd/htpasswd)")
        .example("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG3Wz7Lq9KxTv2\n-----END PRIVATE KEY-----\n"),
    rule("matrix-synapse", "the signing key of a Matrix server: two of them damage the federation", Secret)
        .at(&["/etc/matrix-synapse/*.signing.key", "/etc/matrix-synapse/homeserver.yaml"])
        .named_only()
        .named(&["matrix-synapse", "logins"])
        .back("Synapse makes a new key when the file is missing")
        .source("Synapse docs, signing_key_path; /etc/matrix-synapse/homeserver.signing.key")
        .example("ed25519 a_x9Kz 3Wq7Lv4Tp8Rn2Mb6Yd3Hc5Jf0PsGtQe1Wr2\n"),
    rule("i2pd", "the I2P router's identity: all cards would be one router", Secret)
        .at(&["/var/lib/i2pd/router.keys", "/var/lib/i2pd/router.info"])
        .stays(Warning)
        .named(&["i2pd", "other-agents"])
        .back("i2pd makes a new router identity when both are missing; keys of hidden services stay")
        .source("i2pd, router context (router.keys, router.info in the data directory)")
        .example("\0\0]q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5"),
    rule("zwave-js", "the Z-Wave network's keys and the logins of Z-Wave JS UI", Secret)
        .at(&[
            "/opt/zwave-js-ui/store/settings.json",
            "/opt/zwave-js-ui/store/users.json",
            "/opt/zwavejs2mqtt/store/settings.json",
            "~/zwave-js-ui/store/settings.json",
            "~/zwave-js-ui/store/users.json",
            "~/zwavejs2mqtt/store/settings.json",
            "/var/lib/zwave-js-ui/settings.json",
            "/var/lib/zwave-js-ui/users.json",
        ])
        .with_text(&[
            r#""(S0_Legacy|S2_\w+|networkKey)"[ \t]*:[ \t]*"[0-9A-F]{32}""#,
            r#""(passwordHash|token)"[ \t]*:[ \t]*"[^"]{8,}""#,
        ])
        .named_only()
        .named(&["zwave-js", "logins"])
        .back("wanted where the radio goes with the card; another network needs keys of its own")
        .source(
            "zwave-js-ui, server/config/store.js (settings.json, users.json), config/app.js (STORE_DIR); \
             zwave-js docs, securityKeys",
        )
        .example("{\"zwave\":{\"securityKeys\":{\"S2_Unauthenticated\":\"0EA23F0247DB7198BD10BA0FC25D2A26\"}}}"),
    rule(
        "home-databases",
        "the database of Domoticz, the users of openHAB or the objects of ioBroker, with logins and what was \
         set up by hand",
        Secret,
    )
    .at(&[
        "~/domoticz/domoticz.db",
        "/opt/domoticz/domoticz.db",
        "/opt/domoticz/userdata/domoticz.db",
        "/var/lib/openhab/jsondb/users.json",
        "/opt/iobroker/iobroker-data/objects.json*",
    ])
    .named_only()
    .named(&["home-databases", "logins"])
    .back("wanted where all cards are alike; else set other passwords in the program")
    .source(
        "Domoticz wiki, Installing: domoticz.db; openHAB docs, JSONDB (/var/lib/openhab/jsondb); ioBroker \
             docs, iobroker-data",
    )
    .example("SQLite format 3\0Users admin 4LUmeQ7k3UyEUzSXrfY13RxtndvTjjv4"),
    rule("matter-fabric", "the keys of a Matter fabric: all cards would be one controller", Secret)
        .at(&["~/.matter_server", "/opt/matter-server/data/chip.json"])
        .stays(Warning)
        .named(&["matter-fabric", "other-agents"])
        .back("the server makes a new fabric; pair all devices again")
        .source("python-matter-server, --storage-path (~/.matter_server); matterjs-server, docs/cli.md")
        .example_in(
            "chip.json",
            "{\"repl-config\":{\"fabricAdmins\":{\"1\":{}}},\"sdk-config\":{\"f/1\
             /o\":\"Hj4pzMH2mN7m6q3K4Um64W1GRU0rJlmt\"}}",
        ),
    rule(
        "voice-assistant-pairing",
        "the pairing of a voice assistant with an account (Mycroft, Google Assistant)",
        Secret,
    )
    .at(&["~/.mycroft/identity", "~/.config/mycroft/identity", "~/.config/google-oauthlib-tool/credentials.json"])
    .stays(Warning)
    .named(&["voice-assistant-pairing", "other-agents", "logins"])
    .back("pair each card")
    .source(
        "mycroft-core, identity/__init__.py (identity2.json); Google Assistant SDK, google-oauthlib-tool \
             --save",
    )
    .example_in(
        "identity2.json",
        "{\"uuid\":\"4c2bcf7b-7532-42cb-a263-b636b5577e04\",\"access\":\"LXZe\
             ACydLAYwULlBZZIXsJmjKbud8yfm\"}",
    ),
    rule("moonraker-database", "Moonraker's database, with its users, API key and the printer's id", Secret)
        .at(&["~/printer_data/database", "~/*_data/database/moonraker-sql.db", "~/.moonraker_database"])
        .stays(Warning)
        .named(&["moonraker-database", "other-agents", "logins"])
        .back("Moonraker makes an empty one; print history and settings of the web page are lost")
        .source(
            "Moonraker docs, Installation: Data Folder Structure (database); moonraker/components/database.py \
             (moonraker-sql.db)",
        )
        .example_in("moonraker-sql.db", "SQLite format 3\0moonraker instance_id f5806c1afd663e3969e0a1e8a74d8bb8"),
];
