//! Media, screens and receivers.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::expressions::{PASSWORD_IN_ADDRESS, TOKEN_IN_ADDRESS};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("emby", "the id under which an Emby server is known: all cards would be one server", Identity)
        .at(&["/var/lib/emby/data/device.txt"])
        .removed(Warning)
        .named(&["emby", "other-agents"])
        .back("Emby makes a new one at its next start")
        .source("Emby.Server.Implementations, Devices/DeviceId.cs (device.txt)")
        .example("87bf7dd5035046a23e6865b8165e4f19"),
    rule(
        "download-servers",
        "API keys and passwords of Sonarr and its like, qBittorrent, Deluge or Transmission",
        Secret,
    )
    .at(&[
        "/var/lib/*arr/config.xml",
        "~/.config/*arr/config.xml",
        "~/.config/qBittorrent/qBittorrent.conf",
        "~/.config/deluge/auth",
        "/var/lib/deluged/config/auth",
        "/etc/transmission-daemon/settings.json",
        "~/.config/transmission-daemon/settings.json",
    ])
    .with_text(&[
        r"<ApiKey>\w{16,}</ApiKey>",
        r"Password_PBKDF2=\S+",
        r"^[^#:\s]+:[^:\s]{4,}:\d+[ \t]*$",
        r#""rpc-password"[ \t]*:[ \t]*"\{[0-9a-f]{40}"#,
    ])
    .named_only()
    .named(&["download-servers", "logins"])
    .back("all but Transmission make a new key or password where there is none")
    .source(
        "Servarr wiki, Appdata Directory (config.xml); qBittorrent wiki, WebUI password locked \
             (Password_PBKDF2); Deluge docs, Authentication: auth file; Transmission, \
             docs/Editing-Configuration-Files.md",
    )
    .example("<Config><ApiKey>e92725af05b74b7d792fcbbbb424152a</ApiKey></Config>\n"),
    rule("pisignage", "what ties a piSignage player to its account", Secret)
        .at(&["~/piSignagePro/config/_settings.json", "~/piSignagePro/config/_config.json"])
        .stays(Warning)
        .named(&["pisignage", "other-agents"])
        .back("the player makes them anew and is registered again")
        .source(
            "colloqi/piSignage, config (_settings.json, _config.json); both are removed before an image of a \
             player is made",
        )
        .example(
            "{\"name\":\"kiosk-old\",\"authCredentials\":{\"user\":\"pi\",\"password\":\"AlJVPRkydAkwXYIrxKP\
             UgjqK\"}}",
        ),
    rule("dashboard-address", "a dashboard's address on the boot partition, with a login in it", Secret)
        .at(&["boot:/fullpageos.txt", "boot:/fullpagedashboard.txt"])
        .with_text(&[PASSWORD_IN_ADDRESS, TOKEN_IN_ADDRESS])
        .named_only()
        .named(&["dashboard-address", "logins"])
        .back("wanted where all cards show the same page")
        .source("guysoft/FullPageOS, README (fullpageos.txt)")
        .example("https://fleet:R036iIKvG235onEsSAUaGxKO@dash.example.org/board\n"),
    rule("retroachievements", "the RetroAchievements login of RetroArch", Secret)
        .at(&["~/.config/retroarch/retroarch.cfg", "/opt/retropie/configs/all/retroarch.cfg"])
        .with_text(&[r#"^\s*cheevos_(password|token)[ \t]*=[ \t]*"[^"]+""#])
        .named_only()
        .named(&["retroachievements", "logins"])
        .back("log in again in the menu")
        .source("RetroArch docs, RetroAchievements; RetroArch, configuration.c (cheevos_password, cheevos_token)")
        .example("cheevos_username = \"me\"\ncheevos_password = \"qA2fTuVnHAtmm8tn\"\n"),
    rule("opensky-serial", "the serial number of an OpenSky feeder: all cards would be one receiver", Identity)
        .at(&["/var/lib/openskyd/conf.d/05-serial.conf"])
        .removed(Warning)
        .named(&["opensky-serial", "flight-feeders", "other-agents"])
        .back("the feeder asks for a new serial number at its next start")
        .source("openskyd, serial number request (LOCALSTATEDIR/conf.d/05-serial.conf)")
        .example("[Device]\nserial = -14082365437\n"),
    rule("lora-gateway-id", "the id of a LoRa gateway: the network would take all cards for one gateway", Identity)
        .at(&[
            "/opt/ttn-gateway/bin/local_conf.json",
            "/opt/ttn-gateway/packet_forwarder/lora_pkt_fwd/local_conf.json",
            "/opt/ttn-gateway/packet_forwarder/lora_pkt_fwd/global_conf.json",
            "~/*/lora_pkt_fwd/local_conf.json",
            "~/packet_forwarder/*/local_conf.json",
        ])
        .with_text(&[r#""gateway_ID"[ \t]*:[ \t]*"(?:[1-9B-F]|0[1-9A-F]|A[0-9B-F])[0-9A-F]{10,}""#])
        .named_only()
        .named(&["lora-gateway-id", "other-agents"])
        .back("`update_gwid.sh local_conf.json` writes one from the card's MAC; register each gateway")
        .source("Lora-net/packet_forwarder, lora_pkt_fwd/update_gwid.sh; ttn-zh/ic880a-gateway, install.sh")
        .example("{\"gateway_conf\":{\"gateway_ID\":\"B827EBFFFE123456\",\"server_address\":\"eu1.example.net\"}}"),
    rule("earnapp-id", "EarnApp's id of the node: all cards would be one", Identity)
        .at(&["/etc/earnapp/uuid"])
        .stays(Warning)
        .named(&["earnapp-id", "other-agents"])
        .back("a new id at its next start, to be linked to the account again")
        .source("EarnApp, install.sh; images of EarnApp for Docker (/etc/earnapp/uuid is made at start)")
        .example("sdk-node-7395efb22a74f63d2af0db75879ff933\n"),
];
