//! The rules: where networks are saved, and logins of other networks that stand beside them.

use crate::prepare::Class::{Log, Secret};
use crate::strip::rule::Severity::{Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "networkmanager-wifi",
        "saved Wi-Fi networks of NetworkManager, with their passwords",
        Secret,
    )
    .at(&[
        "/etc/NetworkManager/system-connections/*", "/usr/lib/NetworkManager/system-connections/*",
        "boot:/system-connections/*", "boot:/CONFIG/network/*", "/usr/share/system-connections/*",
        "boot:/*.nmconnection", "/var/snap/network-manager/current/conf/system-connections/*",
    ])
    .with_text(&[r"^\s*type[ \t]*=[ \t]*(wifi|wifi-p2p|802-11-wireless)[ \t]*$", r"^\s*\[(wifi|802-11-wireless)\]"])
    .stays(Note)
    .by_code()
    .named(&["networkmanager-wifi", "wifi"])
    .back("give the network again: in a recipe [wifi], or for each card")
    .source("nm-settings-keyfile(5); NetworkManager.conf(5), [keyfile] path=; \
             src/libnm-core-impl/nm-keyfile.c; balenaOS, system-connections; Home Assistant OS, \
             CONFIG/network")
    .example("[connection]\nid=preconfigured\nuuid=9c6f21d4-0b7e-4f53-a1c8-7d2e95b03f68\ntype=wifi\n[wifi]\nmod\
             e=infrastructure\nssid=Workshop\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=Kx7#Tr4v-Qm9z=Ws2b;Hn5c\n"),
    rule(
        "networkmanager-secrets",
        "passwords and keys of other networks in NetworkManager: mobile, VPN, wired login",
        Secret,
    )
    .at(&["/etc/NetworkManager/system-connections/*", "/usr/lib/NetworkManager/system-connections/*"])
    .with_text(&[
        r"^\s*type\s*=\s*(ethernet|802-3-ethernet|gsm|cdma|pppoe|adsl|vpn|wireguard|macsec|bond|bridge|vlan|802-1x)(.|\n)*^\s*(password|private-key-password|phase2-private-key-password|pin|psk|private-key|preshared-key|secret|mka-cak|wake-on-lan-password)\s*=\s*\S",
    ])
    .stays(Warning)
    .named(&["networkmanager-secrets", "logins"])
    .back("give them again, for each card where they are a card's own")
    .source("nm-settings-keyfile(5), Secret flags; nm-settings-nmcli(5), 802-1x, gsm, vpn, wireguard")
    .example("[connection]\nid=corp-lan\ntype=ethernet\n[802-1x]\neap=peap;\nidentity=kiosk7\npassword=Zr4!wq8L\
             m2-Xv6t_Yb9s\nphase2-auth=mschapv2\n"),
    rule(
        "netplan-wifi",
        "Wi-Fi networks in netplan files, with their passwords",
        Secret,
    )
    .at(&[
        "/etc/netplan/*.yaml", "/lib/netplan/*.yaml", "/usr/lib/netplan/*.yaml",
        "/var/lib/cloud/seed/*/network-config", "/etc/cloud/cloud.cfg.d/*.cfg", "/etc/netplan/*.yaml.*",
        "/etc/netplan/*.bak",
    ])
    .with_text(&[
        r#"\bwifis["\']?[ \t]*:"#, r"^[^#\n]*\bwifis\b", r"^[^#\n]*access-points",
        r#"connection\.type["\']?[ \t]*:[ \t]*["\']?(wifi|802-11-wireless)"#,
    ])
    .stays(Note)
    .by_code()
    .named(&["netplan-wifi", "wifi"])
    .back("give the network again: in a recipe [wifi], or for each card")
    .source("netplan(5), Properties for device type wifis, Authentication; netplan src/parse.c, \
             src/parse-nm.c; cloud-init cloudinit/net/netplan.py")
    .example("network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n  wifis:\n    wlan0:\n      \
             dhcp4: true\n      access-points:\n        \"Workshop: {5G}\":\n          password: \
             \"Kx7-Tr4v-Qm9z-Ws2b-Hn5c\"\n"),
    rule(
        "netplan-secrets",
        "keys and passwords of other networks in netplan files: WireGuard, mobile, wired login",
        Secret,
    )
    .at(&["/etc/netplan/*.yaml"])
    .with_text(&[r#"^\s*(key|private|shared|password|client-key-password|pin)[ \t]*:[ \t]*["\']?[^\s"\'{\[|]{4,}"#])
    .stays(Warning)
    .named(&["netplan-secrets", "logins", "wireguard"])
    .back("give them again, for each card where they are a card's own")
    .source("netplan(5), tunnels: key, keys; ethernets: auth; modems: password, pin")
    .example("network:\n  version: 2\n  tunnels:\n    wg0:\n      mode: wireguard\n      key: \
             aGx3Vm5QcTdSdDJYazlNejRCdzZZczhMcDFEZjNHaEo=\n"),
    rule(
        "wpa-supplicant-wifi",
        "Wi-Fi networks of wpa_supplicant, with their passwords",
        Secret,
    )
    .at(&[
        "/etc/wpa_supplicant/*", "/etc/wpa_supplicant*.conf*", "/etc/network/wpa*.conf*", "boot:/wpa_supplicant*",
        "/boot/wpa_supplicant*", "/boot/firmware/wpa_supplicant*", "boot:/*-wpa-supplicant.txt",
        "~/wpa_supplicant*.conf", "/usr/local/etc/wpa_supplicant*.conf",
    ])
    .with_text(&[r"^\s*#?[ \t]*(network|cred)[ \t]*=[ \t]*\{", r"^\s*#?[ \t]*(psk|sae_password|wep_key\d|password)[ \t]*=[ \t]*\S"])
    .stays(Note)
    .by_code()
    .named(&["wpa-supplicant-wifi", "wifi"])
    .back("give the network again: in a recipe [wifi], or for each card")
    .source("wpa_supplicant.conf(5); wpa_supplicant config_file.c, config.c (ssid_fields), \
             src/utils/config.c; Debian wpa_supplicant@.service; CustomPiOS, network module")
    .example("country=GB\nupdate_config=1\nnetwork={\n\tssid=\"Work}shop \
             #1\"\n\t#psk=\"Kx7-Tr4v-Qm9z-Ws2b-Hn5c\"\n\tpsk=4f1b7d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f689\
             c6f21d40b7e4f53\n}\n"),
    rule(
        "iwd-wifi",
        "Wi-Fi networks of iwd, with their passwords",
        Secret,
    )
    .at(&[
        "/var/lib/iwd/*.psk", "/var/lib/iwd/*.8021x", "/var/lib/iwd/*.open", "/var/lib/iwd/*.wep",
        "/var/lib/iwd/ap/*.ap", "/var/lib/iwd/hotspot/*", "/var/lib/iwd/.eap-tls-session-cache",
    ])
    .stays(Note)
    .by_code()
    .named(&["iwd-wifi", "wifi"])
    .back("give the network again, for example `iwctl station wlan0 connect`")
    .source("iwd.network(5), NAMING, SETTINGS; iwd.ap(5); iwd binary, ap/%s.ap, .eap-tls-session-cache")
    .example("[Security]\nPassphrase=Kx7-Tr4v-Qm9z-Ws2b-Hn5c\nPreSharedKey=4f1b7d2e95b03f689c6f21d40b7e4f53a1c8\
             7d2e95b03f689c6f21d40b7e4f53\n"),
    rule(
        "iwd-traces",
        "on which channels iwd found known networks",
        Log,
    )
    .at(&["/var/lib/iwd/.known_network.freq"])
    .removed(Note)
    .named(&["iwd-traces", "logs"])
    .back("iwd writes it again")
    .source("iwd, src/knownnetworks.c; strings of Debian's iwd 2.3")
    .example("[9c6f21d4-0b7e-4f53-a1c8-7d2e95b03f68]\nname=/var/lib/iwd/Workshop.psk\nlist=2437 5180\n"),
    rule(
        "hostapd",
        "the access point's name and password: all cards open the same one",
        Secret,
    )
    .at(&[
        "/etc/hostapd/*", "/etc/hostapd.conf", "/etc/hostapd.wpa_psk", "/etc/hostapd.eap_user",
        "/etc/hostapd.conf.*",
    ])
    .with_text(&[
        r"^\s*#?[ \t]*(wpa_passphrase|wpa_psk|sae_password|wep_key\d|ap_pin)[ \t]*=[ \t]*\S", r"^[0-9a-f:]{17}[ \t]+\S{8,}",
    ])
    .stays(Note)
    .by_code()
    .named(&["hostapd", "wifi"])
    .back("write the file again, with a password for each card where that matters")
    .source("hostapd.conf (documented sample); hostapd config_file.c; Debian hostapd.service, hostapd@.service")
    .example("interface=wlan0\nssid=bench-ap\nhw_mode=g\nchannel=7\nwpa=2\nwpa_key_mgmt=WPA-PSK\nwpa_passphrase\
             =Kx7-Tr4v-Qm9z-Ws2b-Hn5c\n"),
    rule(
        "ifupdown-wifi",
        "Wi-Fi passwords in /etc/network/interfaces",
        Secret,
    )
    .at(&["/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/network/interfaces.*", "boot:/interfaces"])
    .with_text(&[
        r"^\s*#?[ \t]*(wpa-psk|wpa-passphrase|wpa-password|wpa-wep-key\d|wireless-key\d*|wifi-psk|wpa-sae-password|wpa-private-key-passwd2?|wpa-pin|wpa-eappsk|wifi-password)[ \t]+\S",
    ])
    .stays(Note)
    .by_code()
    .named(&["ifupdown-wifi", "wifi"])
    .back("give the network again: in a recipe [wifi], or for each card")
    .source("interfaces(5); wpasupplicant README.modes (Debian), /etc/wpa_supplicant/functions.sh; \
             wireless(7); interfaces-wifi(5) of ifupdown-ng")
    .example("auto lo eth0\niface eth0 inet dhcp\n\nallow-hotplug wlan0\niface wlan0 inet dhcp\n    wpa-ssid \
             \"Workshop\"\n    wpa-psk \"Kx7-Tr4v-Qm9z-Ws2b-Hn5c\"\n"),
    rule(
        "connman-wifi",
        "Wi-Fi networks of ConnMan, with their passwords",
        Secret,
    )
    .at(&[
        "/var/lib/connman/*/settings", "/var/lib/connman/*.config", "/var/lib/connman/settings",
        "/storage/.cache/connman/*/settings",
    ])
    .with_text(&[r"^\s*#?[ \t]*(Passphrase|PrivateKeyPassphrase|Tethering\.Passphrase)[ \t]*=[ \t]*\S"])
    .stays(Note)
    .by_code()
    .named(&["connman-wifi", "wifi"])
    .back("give the network again; folders are by the old card's MAC, so no other card used them")
    .source("connman doc/config-format.txt; src/service.c, service_save, Passphrase; src/storage.c")
    .example("[wifi_b827eb4df3a6_576f726b73686f70_managed_psk]\nName=Workshop\nSSID=576f726b73686f70\nPassphras\
             e=Kx7-Tr4v-Qm9z-Ws2b-Hn5c\n"),
    rule(
        "connman-vpn",
        "VPN logins of ConnMan",
        Secret,
    )
    .at(&["/var/lib/connman-vpn/*", "/var/lib/connman/provider_*"])
    .stays(Warning)
    .named(&["connman-vpn", "logins"])
    .back("set the VPN up again")
    .source("connman doc/vpn-config-format.txt; src/storage.c, VPN_STORAGEDIR")
    .example_in("settings", "[provider_vpn_example_net]\nType=openvpn\nOpenVPN.AuthUserPass=Zr4wq8Lm2Xv6tYb9sKd3\n"),
    rule(
        "boot-network-config",
        "cloud-init's network configuration on the boot partition, with Wi-Fi passwords",
        Secret,
    )
    .at(&["boot:/network-config", "/boot/network-config", "/boot/firmware/network-config"])
    .with_text(&[r"^[^#\n]*\bwifis\b", r"^[^#\n]*access-points"])
    .stays(Note)
    .by_code()
    .named(&["boot-network-config", "wifi", "first-boot-files"])
    .back("Imager or a recipe writes it again for each card")
    .source("cloud-init, NoCloud; rpi-imager customization_generator.cpp, generateCloudInitNetworkConfig; \
             pi-gen stage2/04-cloud-init")
    .example("network:\n  version: 2\n  wifis:\n    wlan0:\n      dhcp4: true\n      regulatory-domain: \
             \"GB\"\n      access-points:\n        \"Workshop\":\n          password: \
             \"4f1b7d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53\"\n      optional: true\n"),
    rule(
        "dietpi",
        "DietPi's first-boot settings, with Wi-Fi and login passwords",
        Secret,
    )
    .at(&["boot:/dietpi-wifi.txt", "boot:/dietpi.txt", "/boot/dietpi-wifi.txt", "/boot/dietpi.txt"])
    .with_text(&[r"^\s*aWIFI_(KEY|PASSWORD)\[\d\]='[^']", r"^\s*AUTO_SETUP_GLOBAL_PASSWORD=([^d\s]|d[^i\s])"])
    .named_only()
    .named(&["dietpi", "wifi", "first-boot-files", "logins"])
    .back("write the values again")
    .source("DietPi, dietpi-wifi.txt, dietpi.txt")
    .example("aWIFI_SSID[0]='Workshop'\naWIFI_KEY[0]='Kx7-Tr4v-Qm9z-Ws2b-Hn5c'\naWIFI_KEYMGR[0]='WPA-PSK'\n"),
    rule(
        "armbian-first-login",
        "Armbian's first-login settings, with Wi-Fi and login passwords",
        Secret,
    )
    .at(&["/root/.not_logged_in_yet", "boot:/armbian_first_run.txt", "/boot/armbian_first_run.txt"])
    .with_text(&[r"^\s*(PRESET_\w*PASSWORD|PRESET_NET_WIFI_KEY|FR_net_wifi_key)=\S"])
    .named_only()
    .named(&["armbian-first-login", "wifi", "first-boot-files", "logins"])
    .back("write the values again")
    .source("Armbian, /root/.not_logged_in_yet presets")
    .example("PRESET_NET_CHANGE_DEFAULTS=1\nPRESET_NET_WIFI_SSID='Workshop'\nPRESET_NET_WIFI_KEY='Kx7-Tr4v-Qm9z\
             -Ws2b-Hn5c'\n"),
    rule(
        "headless-nm",
        "the Wi-Fi network that MainsailOS reads from the boot partition, with its password",
        Secret,
    )
    .at(&["boot:/headless_nm.txt"])
    .with_text(&[r#"^\s*PASSWORD[ \t]*=[ \t]*["']?[^\s"'<]{8,}"#])
    .stays(Note)
    .named(&["headless-nm", "wifi"])
    .back("the Wi-Fi section of the recipe, or write it again")
    .source("mainsail-crew/MainsailOS, src/modules/headless_nm (headless_nm.txt.template)")
    .example("SSID=\"Workshop\"\nPASSWORD=\"I4Pd2Ji5y3QIjLxy\"\nREGDOMAIN=\"GB\"\n"),
];
