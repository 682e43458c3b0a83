//! Leases, ids and secrets by which a network knows a machine.

use crate::prepare::Class::{Configuration, Identity, Log, Secret, Transient};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "dhcpcd-leases",
        "dhcpcd's leases, DHCP unique id and secret of private addresses: all cards would ask for one address",
        Identity,
    )
    .at(&["/var/lib/dhcpcd/*", "/var/lib/dhcpcd5/*", "/etc/dhcpcd.duid", "/etc/dhcpcd.secret", "/var/db/dhcpcd/*"])
    .removed(Warning)
    .named(&["dhcpcd-leases", "leases"])
    .back("dhcpcd writes duid, secret and leases anew at its next start")
    .source("dhcpcd(8), FILES; dhcpcd src/defs.h, DUID, SECRET, LEASEFILE; dhcpcd.conf(5), duid")
    .example_in("duid", "00:01:00:01:2b:7e:41:9c:b8:27:eb:4d:f3:a6"),
    rule("dhclient-leases", "dhclient's leases and DHCP unique id: all cards would ask for one address", Identity)
        .at(&["/var/lib/dhcp/dhclient*", "/var/lib/dhclient/*"])
        .removed(Warning)
        .named(&["dhclient-leases", "leases"])
        .back("dhclient makes a new lease file at its next start")
        .source(
            "dhclient.leases(5); dhclient(8), -lf; NetworkManager 1.42, src/core/dhcp/nm-dhcp-dhclient.c; \
             ifupdown inet.defn",
        )
        .example(
            "default-duid \"\\x0000\\x0001\\x0000\\x0001+~A\\234\\270'\\353M\\363\\246\";\nlease {\n  \
             interface \"eth0\";\n  fixed-address 192.168.77.143;\n  option dhcp-client-identifier \
             ff:eb:4d:f3:a6:00:01;\n}\n",
        ),
    rule("networkmanager-leases", "NetworkManager's DHCP leases", Identity)
        .at(&["/var/lib/NetworkManager/*.lease", "/var/lib/NetworkManager/dhclient*.conf"])
        .removed(Note)
        .named(&["networkmanager-leases", "leases"])
        .back("NetworkManager asks for a new lease")
        .source(
            "NetworkManager, src/core/dhcp/nm-dhcp-utils.c, nm_dhcp_utils_get_leasefile_path; 1.42 \
             nm-dhcp-dhclient.c",
        )
        .example("# This is private data. Do not parse.\nADDRESS=192.168.77.143\nCLIENTID=01b827eb4df3a6\n"),
    rule(
        "networkmanager-secret",
        "the secret that NetworkManager makes stable addresses, MACs and DHCP ids from: all cards would get \
         the same ones",
        Secret,
    )
    .at(&["/var/lib/NetworkManager/secret_key"])
    .removed(Error)
    .named(&["networkmanager-secret", "addresses"])
    .back("NetworkManager makes a new one at its next start")
    .source(
        "NetworkManager(8), /var/lib/NetworkManager/secret_key and /etc/machine-id; \
             src/core/nm-core-utils.c, SECRET_KEY_FILE",
    )
    .example("nm-v2:Zq7Xw4Tn6Ys8Lp1Bd3FkR9Vc2Hm5Ju0Ga"),
    rule(
        "networkmanager-traces",
        "when which network was up, which access points were near, and which cards had no profile made (by MAC)",
        Log,
    )
    .at(&[
        "/var/lib/NetworkManager/timestamps",
        "/var/lib/NetworkManager/seen-bssids",
        "/var/lib/NetworkManager/no-auto-default.state",
    ])
    .removed(Note)
    .named(&["networkmanager-traces", "logs"])
    .back("NetworkManager writes them anew")
    .source(
        "NetworkManager, src/core/settings/nm-settings.c (timestamps, seen-bssids), src/core/nm-config.c, \
             DEFAULT_NO_AUTO_DEFAULT_FILE",
    )
    .example("[seen-bssids]\n9c6f21d4-0b7e-4f53-a1c8-7d2e95b03f68=B8:27:EB:4D:F3:A6,\n"),
    rule("networkmanager-state", "whether networking and Wi-Fi were switched on", Configuration)
        .at(&["/var/lib/NetworkManager/NetworkManager.state", "/var/lib/NetworkManager/NetworkManager-intern.conf"])
        .wanted()
        .named(&["networkmanager-state"])
        .back("NetworkManager writes it when somebody switches")
        .source(
            "NetworkManager.conf(5); src/core/nm-config.c, DEFAULT_STATE_FILE; pi-gen, \
             stage2/02-net-tweaks/01-run.sh",
        )
        .example("[main]\nNetworkingEnabled=true\nWirelessEnabled=true\nWWANEnabled=true\n"),
    rule("networkd-state", "what systemd-networkd remembers, among it the leases that it gave to others", Identity)
        .at(&["/var/lib/systemd/network/*"])
        .removed(Note)
        .named(&["networkd-state", "leases"])
        .back("systemd-networkd makes it anew")
        .source("systemd-networkd.service(8); systemd.network(5), [DHCPServer] PersistLeases=")
        .example_in(
            "dhcp-server-lease/br0",
            "{\"BootID\":\"4be27f1d9c6a43e08f52d71b3a9e6c05\",\"Leases\":[{\"ClientId\":[1,184,39,235,77,243,1\
             66]}]}",
        ),
    rule("dhcp-server-leases", "which addresses this machine gave to others, with their MACs and names", Log)
        .at(&[
            "/var/lib/dhcp/dhcpd.leases*",
            "/var/lib/dhcp/dhcpd6.leases*",
            "/var/lib/misc/dnsmasq.leases",
            "/var/lib/dnsmasq/dnsmasq.leases",
            "/var/lib/misc/udhcpd.leases",
        ])
        .emptied(Note)
        .named(&["dhcp-server-leases", "leases"])
        .back("the server fills them again")
        .source("dhcpd.leases(5); isc-dhcp-server init script; dnsmasq(8), --dhcp-leasefile")
        .example("1764405172 b8:27:eb:4d:f3:a6 192.168.77.143 workbench-nas-7x2k 01:b8:27:eb:4d:f3:a6\n"),
    rule("ifupdown-state", "which interfaces were up when the image was taken", Transient)
        .at(&["/etc/network/run/ifstate*", "/run/network/ifstate*", "/var/lib/ifupdown/ifstate*"])
        .removed(Note)
        .named(&["ifupdown-state"])
        .back("ifup writes it again")
        .source("ifup(8), FILES; ifupdown main.c; wpa_action(8)")
        .example("lo=lo\neth0=eth0\nwlx9c5a3f7e21d8=wlx9c5a3f7e21d8\n"),
    rule("run-network", "network profiles that were made while the old machine ran, with their passwords", Secret)
        .at(&[
            "/run/NetworkManager/system-connections/*",
            "/run/NetworkManager/*.lease",
            "/run/NetworkManager/devices/*",
            "/run/netplan/*",
            "/run/systemd/network/*",
            "/run/systemd/netif/*",
            "/run/wpa_supplicant*.conf",
            "/run/wpa_supplicant/*",
            "/run/dhcpcd/*",
            "/run/hostapd/*",
        ])
        .removed(Warning)
        .named(&["run-network"])
        .back("/run is empty at every boot")
        .source("NetworkManager.conf(5), keyfile plugin; netplan-generate(8); interfaces-wifi(5); dhcpcd(8), FILES")
        .example_in(
            "netplan-wlan0-Workshop.nmconnection",
            "[wifi-security]\nkey-mgmt=wpa-psk\npsk=Kx7-Tr4v-Qm9z-Ws2b-Hn5c\n",
        ),
    rule(
        "connman-wired",
        "ConnMan's settings and DHCP id of a wired network, by the old card's MAC: no other card uses them",
        Identity,
    )
    .at(&["/var/lib/connman/ethernet_*", "/var/lib/connman/gadget_*"])
    .removed(Note)
    .named(&["connman-wired", "leases", "addresses"])
    .back("ConnMan makes a folder for the new card")
    .source("connman src/service.c, service_save; src/storage.c; src/dhcpv6.c, IPv6.DHCP.DUID")
    .example_in(
        "settings",
        "[ethernet_b827eb4df3a6_cable]\nIPv4.DHCP.LastAddress=192.168.77.143\nIPv6.DHCP.DUID=000100012b7e4\
             19cb827eb4df3a6\n",
    ),
    rule("rfkill-state", "which radios were switched off", Configuration)
        .at(&["/var/lib/systemd/rfkill/*"])
        .wanted()
        .named(&["rfkill-state"])
        .back("systemd-rfkill writes it when a radio is switched")
        .source("systemd-rfkill.service(8); pi-gen, stage2/02-net-tweaks/01-run.sh")
        .example("1\n"),
];
