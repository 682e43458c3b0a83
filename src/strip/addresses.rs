//! Addresses are identity, too: static ones, MACs that are set or matched, and ids that are sent to a DHCP server.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "persistent-net-rules",
        "interface names tied to the old machine's MAC addresses: eth0 would be called eth1 on every card",
        Identity,
    )
    .at(&[
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/etc/udev/rules.d/z25_persistent-net.rules",
        "/etc/udev/rules.d/70-persistent-cd.rules",
    ])
    .removed(Warning)
    .named(&["persistent-net-rules", "addresses"])
    .back("not needed: the names come from the kernel or from systemd's .link files")
    .source("udev(7); virt-sysprep(1), udev-persistent-net")
    .example(
        "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"b8:27:eb:4d:f3:a6\", \
             NAME=\"eth0\"\n",
    ),
    rule("interface-names", "interface names or MACs tied to the old machine's network card", Identity)
        .at(&[
            "/etc/systemd/network/*.link",
            "/etc/systemd/network/*.link.d/*.conf",
            "/etc/udev/rules.d/*.rules",
            "/etc/iftab",
            "/etc/mactab",
        ])
        .with_text(&[r"^[^#;\n]*\b([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b"])
        .named_only()
        .named(&["interface-names", "addresses"])
        .back("write the new card's MAC, or match by Path= or Driver=")
        .source("systemd.link(5), [Match] MACAddress=, PermanentMACAddress=, [Link] MACAddress=; udev(7)")
        .example("[Match]\nPermanentMACAddress=b8:27:eb:4d:f3:a6\n\n[Link]\nName=uplink0\n"),
    rule(
        "gadget-macs",
        "MAC addresses or serial numbers that kernel modules are started with: all cards would have them",
        Identity,
    )
    .at(&["/etc/modprobe.d/*.conf", "/etc/modules-load.d/*.conf"])
    .with_text(&[r"^\s*options\s.*(host_addr|dev_addr|iSerialNumber|macaddr)=\S"])
    .named_only()
    .named(&["gadget-macs", "addresses"])
    .back("leave the option away: the module takes its own address, or a random one")
    .source(
        "modprobe.d(5), options; Linux drivers/usb/gadget/legacy/ether.c, dev_addr, host_addr; \
             raspberrypi/linux smsc95xx.c, macaddr",
    )
    .example("options g_ether host_addr=72:8d:1f:c4:e8:ca dev_addr=5a:77:1e:af:8e:9e iSerialNumber=K7Q2X9M4T6\n"),
    rule(
        "networkmanager-addresses",
        "static addresses, set or matched MACs and DHCP ids in NetworkManager's profiles",
        Identity,
    )
    .at(&[
        "/etc/NetworkManager/system-connections/*",
        "/usr/lib/NetworkManager/system-connections/*",
        "/etc/NetworkManager/NetworkManager.conf",
        "/etc/NetworkManager/conf.d/*.conf",
        "/usr/lib/NetworkManager/conf.d/*.conf",
        "/var/lib/NetworkManager/NetworkManager-intern.conf",
        "boot:/system-connections/*",
    ])
    .with_text(&[
        r"^\s*address(es)?\d*[ \t]*=[ \t]*[0-9a-f:.]+",
        r"^\s*(\w+\.)?(cloned-mac-address|mac-address)[ \t]*=[ \t]*[0-9a-f]{2}[:;-]",
        r"^\s*(\w+\.)?(dhcp-client-id|dhcp-duid|dhcp-iaid)[ \t]*=[ \t]*([0-9a-f]{2}(:[0-9a-f]{2})+|\S{12,})",
        r"^\s*token[ \t]*=[ \t]*::",
    ])
    .named_only()
    .named(&["networkmanager-addresses", "addresses"])
    .back("each card gets its address by DHCP, or by a profile of its own")
    .source(
        "nm-settings-keyfile(5); nm-settings-nmcli(5), ethernet.cloned-mac-address, ipv4.dhcp-client-id, \
             ipv6.dhcp-duid, ipv6.token; NetworkManager.conf(5)",
    )
    .example(
        "[connection]\nid=eth0-static\ntype=ethernet\n[ethernet]\ncloned-mac-address=B8:27:EB:4D:F3:A6\n[i\
             pv4]\nmethod=manual\naddress1=192.168.77.143/24,192.168.77.1\n",
    ),
    rule("dhcpcd-addresses", "static addresses and DHCP ids in dhcpcd's configuration", Identity)
        .at(&["/etc/dhcpcd.conf", "boot:/dhcpcd.conf"])
        .with_text(&[
            r"^\s*static[ \t]+ip6?_address[ \t]*=",
            r"^\s*(inform|request)6?[ \t]+[0-9a-f]",
            r"^\s*(clientid|iaid|slaac[ \t]+token|authtoken)[ \t]+\S",
            r"^\s*duid[ \t]+[0-9a-f]{2}:",
        ])
        .named_only()
        .named(&["dhcpcd-addresses", "addresses"])
        .back("each card gets its address by DHCP")
        .source("dhcpcd.conf(5), static, clientid, duid, iaid, authtoken; dhcpcd src/if-options.c")
        .example(
            "interface eth0\nstatic ip_address=192.168.77.143/24\nstatic routers=192.168.77.1\nclientid \
             workbench-7x2k9q4m\n",
        ),
    rule("dhclient-ids", "a DHCP client id or fixed lease in dhclient's configuration", Identity)
        .at(&[
            "/etc/dhcp/dhclient.conf",
            "/etc/dhcp/dhclient-*.conf",
            "/etc/dhcp3/dhclient.conf",
            "/etc/dhclient.conf",
            "/etc/NetworkManager/dhclient*.conf",
            "/etc/dhcp/dhclient6*.conf",
        ])
        .with_text(&[
            r"^\s*send[ \t]+dhcp-client-identifier\s",
            r#"^\s*(supersede|send)[ \t]+host-name[ \t]+""#,
            r"^\s*fixed-address[ \t]+\d",
        ])
        .named_only()
        .named(&["dhclient-ids", "addresses"])
        .back("dhclient sends the card's own MAC")
        .source("dhclient.conf(5), send, lease, alias; NetworkManager 1.42, nm-dhcp-dhclient.c")
        .example("send dhcp-client-identifier \"workbench-7x2k9q4m3z8v\";\n"),
    rule("networkd-addresses", "static addresses, MACs and DHCP ids in systemd-networkd's files", Identity)
        .at(&[
            "/etc/systemd/network/*.network",
            "/etc/systemd/network/*.network.d/*.conf",
            "/etc/systemd/network/*.netdev",
            "/etc/systemd/network/*.netdev.d/*.conf",
            "/etc/systemd/networkd.conf",
            "/etc/systemd/networkd.conf.d/*.conf",
        ])
        .with_text(&[
            r"^\s*(MACAddress|PermanentMACAddress|DUIDRawData|IAID)[ \t]*=[ \t]*\S",
            r"^\s*(Address|IPv6Token)[ \t]*=[ \t]*[0-9a-f:.]+",
            r"^\s*ClientIdentifier[ \t]*=[ \t]*[^md\s]",
        ])
        .named_only()
        .named(&["networkd-addresses", "addresses"])
        .back("each card gets its address by DHCP=yes")
        .source(
            "systemd.network(5), [Match], [Link], [Network] Address=, [DHCPv4] ClientIdentifier=, \
             DUIDRawData=, IAID=; networkd.conf(5), DUIDRawData=; systemd.netdev(5)",
        )
        .example(
            "[Match]\nMACAddress=b8:27:eb:4d:f3:a6\n[Network]\nAddress=192.168.77.143/24\n[DHCPv4]\nDUIDType=v\
             endor\nDUIDRawData=00:00:ab:11:f9:2a:c2:77:29:f9:5c:41\n",
        ),
    rule("networkd-keys", "a WireGuard or MACsec key of systemd-networkd: all cards would be one peer", Secret)
        .at(&[
            "/etc/systemd/network/*.netdev",
            "/etc/systemd/network/*.netdev.d/*.conf",
            "/etc/systemd/network/*.key",
            "/etc/systemd/network/*.psk",
        ])
        .with_text(&[r"^\s*(PrivateKey|PresharedKey|Key)[ \t]*=[ \t]*\S", r"^[A-Za-z0-9+/]{43}=[ \t]*$"])
        .stays(Warning)
        .named(&["networkd-keys", "wireguard", "other-agents"])
        .back("a new key for each card, made known to its peers")
        .source("systemd.netdev(5), [WireGuard] PrivateKey=, [WireGuardPeer] PresharedKey=, MACsec Key=")
        .example(
            "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKey=aGx3Vm5QcTdSdDJYazlNejRCdzZZczhMcDFEZ\
             jNHaEo=\n",
        ),
    rule(
        "netplan-addresses",
        "static addresses and MACs in netplan files: with a MAC of the old card in it, a new card has no \
         network",
        Identity,
    )
    .at(&[
        "/etc/netplan/*.yaml",
        "/lib/netplan/*.yaml",
        "/usr/lib/netplan/*.yaml",
        "boot:/network-config",
        "/var/lib/cloud/seed/*/network-config",
    ])
    .with_text(&[
        r#"^\s*-[ \t]*["\']?\d+(\.\d+){3}/\d+"#,
        r#"\baddresses["\']?[ \t]*:[ \t]*\[[^\]]*\d/\d"#,
        r#"\bmacaddress["\']?[ \t]*:[ \t]*["\']?[0-9a-f]{2}:"#,
    ])
    .named_only()
    .named(&["netplan-addresses", "addresses"])
    .back("match by name or driver, and use dhcp4: true")
    .source(
        "netplan(5), addresses, macaddress, match, set-name, ipv6-address-token; netplan src/parse.c; \
             cloud-init, network config v2",
    )
    .example(
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      match: {macaddress: \
             \"b8:27:eb:4d:f3:a6\"}\n      set-name: eth0\n      addresses: [192.168.77.143/24]\n",
    ),
    rule(
        "cloud-init-network",
        "network files that cloud-init made for the old machine, with its MAC address and Wi-Fi passwords",
        Identity,
    )
    .at(&[
        "/etc/netplan/50-cloud-init.yaml",
        "/etc/NetworkManager/conf.d/99-cloud-init.conf",
        "/etc/NetworkManager/conf.d/30-cloud-init-ip6-addr-gen-mode.conf",
        "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
        "/etc/systemd/network/10-cloud-init-*.network",
        "/etc/network/interfaces.d/50-cloud-init.cfg",
        "/etc/network/interfaces.d/50-cloud-init",
    ])
    .stays(Warning)
    .named(&["cloud-init-network", "addresses"])
    .back("cloud-init makes them from network-config at the next first boot")
    .source(
        "cloud-init, cloudinit/cmd/clean.py, GEN_NET_CONFIG_FILES; cloudinit/net/netplan.py; \
             cloudinit/distros/debian.py",
    )
    .example(
        "network:\n  version: 2\n  wifis:\n    wlan0:\n      access-points:\n        Workshop:\n          \
             password: \"Kx7-Tr4v-Qm9z-Ws2b-Hn5c\"\n",
    ),
    rule("ifupdown-addresses", "static addresses and MACs in /etc/network/interfaces", Identity)
        .at(&["/etc/network/interfaces", "/etc/network/interfaces.d/*"])
        .with_text(&[r"^\s*(address|hwaddress|client|clientid|client_id)[ \t]+\S"])
        .named_only()
        .named(&["ifupdown-addresses", "addresses"])
        .back("iface … inet dhcp")
        .source("interfaces(5), INET ADDRESS FAMILY, static: address, hwaddress; dhcp: client")
        .example(
            "auto eth0\niface eth0 inet static\n    address 192.168.77.143/24\n    gateway 192.168.77.1\n    \
             hwaddress ether b8:27:eb:4d:f3:a6\n",
        ),
    rule(
        "cmdline-addresses",
        "an address, MAC, host name or id on the kernel's command line: all cards would have it",
        Identity,
    )
    .at(&[
        "boot:/cmdline.txt",
        "boot:/cmdline*.txt",
        "boot:/extlinux/extlinux.conf",
        "/etc/kernel/cmdline",
        "/etc/default/raspi-firmware",
        "/etc/default/flash-kernel",
    ])
    .with_text(&[
        r"(^|\s)(ip|nfsaddrs)=[0-9\[]",
        r"\S*(macaddr|dev_addr|host_addr|iSerialNumber)=\S",
        r"systemd\.(hostname|machine_id)=\S",
        r"(^|\s)(ifname|network-config)=\S",
        r"ds=nocloud\S*;i=\S",
    ])
    .named_only()
    .named(&["cmdline-addresses", "addresses"])
    .back("leave the word away, or have each card add its own")
    .source(
        "Linux Documentation/admin-guide/nfs/nfsroot, ip=; dracut.cmdline(7), ifname=; systemd(1), \
             systemd.machine_id=; cloud-init, NoCloud; raspberrypi/linux, smsc95xx.macaddr",
    )
    .example(
        "console=tty1 root=PARTUUID=2f7c1a9e-02 rootwait ip=192.168.77.143::192.168.77.1:255.255.255.0:ben\
             ch7x2k:eth0:off smsc95xx.macaddr=B8:27:EB:4D:F3:A6\n",
    ),
    rule("config-txt-serial", "firmware settings for one board's serial number", Identity)
        .at(&["boot:/config.txt", "boot:/usercfg.txt", "boot:/syscfg.txt"])
        .with_text(&[r"^\s*\[0x[0-9a-f]{4,}\]", r"^\s*decode_(MPG2|WVC1)=0x"])
        .named_only()
        .named(&["config-txt-serial"])
        .back("not needed on other boards: they skip the section")
        .source("Raspberry Pi documentation, config.txt, The Serial Number Filter")
        .example("[0x9c5a3f7e]\ndecode_MPG2=0x7d2e95b0\n[all]\n"),
    rule(
        "eeprom-config",
        "a boot loader update that sets one MAC address or static address for every board that boots this card",
        Identity,
    )
    .at(&["boot:/pieeprom.upd", "boot:/pieeprom.bin", "boot:/boot.conf", "boot:/bootconf.txt"])
    .with_text(&[r"^\s*(MAC_ADDRESS|CLIENT_IP|TFTP_PREFIX_STR)=\S"])
    .named_only()
    .named(&["eeprom-config", "addresses"])
    .back("make the update without MAC_ADDRESS and CLIENT_IP")
    .source("Raspberry Pi documentation, bcm2711-bootloader, MAC_ADDRESS, CLIENT_IP, TFTP_PREFIX")
    .example("BOOT_ORDER=0xf21\nMAC_ADDRESS=dc:a6:32:4d:f3:a6\nCLIENT_IP=192.168.77.143\n"),
    rule("initramfs-address", "a static address for the start of the kernel: the initramfs has a copy", Identity)
        .at(&["/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d/*"])
        .with_text(&[r#"^\s*IP=["\']?\d"#, r#"^\s*NFSROOT=["\']?\d"#])
        .named_only()
        .named(&["initramfs-address", "addresses"])
        .back("IP=dhcp, then update-initramfs -u")
        .source("initramfs.conf(5), IP; initramfs-tools(7), ip=")
        .example("DEVICE=eth0\nIP=192.168.77.143::192.168.77.1:255.255.255.0:bench-7x2k9q:eth0:off\n"),
    rule("hosts-own-address", "the old machine's own address under its name", Identity)
        .at(&["/etc/hosts", "/etc/avahi/hosts", "/etc/cloud/templates/hosts.*.tmpl"])
        .with_text(&[r"^\s*(10\.\d+|172\.(1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+[ \t]+\S"])
        .named_only()
        .named(&["hosts-own-address", "addresses"])
        .back("write the line without the address, or not at all")
        .source("hosts(5); avahi.hosts(5)")
        .example("127.0.0.1 localhost\n192.168.77.143 bench-7x2k9q4m.example.net bench-7x2k9q4m\n"),
    rule("nfs4-unique-id", "the id of the NFS client: a server would mix up the locks of all cards", Identity)
        .at(&["/etc/modprobe.d/*.conf"])
        .with_text(&[r"^\s*options[ \t]+nfs[ \t].*nfs4_unique_id=\S+"])
        .named_only()
        .named(&["nfs4-unique-id", "addresses"])
        .back("write one from the card's machine-id")
        .source("Linux, Documentation/filesystems/nfs/client-identifier.rst")
        .example("options nfs nfs4_unique_id=18f7fbdf-e535-45cc-aef7-97b078b9602f\n"),
];
