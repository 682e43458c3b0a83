//! Remote access and private networks.

use crate::prepare::Class::{Identity, Log, Secret};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "rpi-connect",
        "Raspberry Pi Connect's sign-in of the user: every card would be the same device in the account",
        Identity,
    )
    .at(&["~/.config/com.raspberrypi.connect"])
    .stays(Warning)
    .named(&["rpi-connect", "other-agents"])
    .back("`rpi-connect signin`, or a fresh auth.key in that folder, enrols each card")
    .source("rpi-imager, PI_CONNECT_CONFIG_PATH; rpi-image-gen, layer rpi-connect")
    .example_in("auth.key", "rpuak_7Hq2LmZx9TfVb4KsWd8NcYpR3gJt"),
    rule("tailscale", "the node's Tailscale identity: all cards would be one node", Identity)
        .at(&["/var/lib/tailscale/tailscaled.state", "~/.local/share/tailscale/tailscaled.state"])
        .stays(Warning)
        .named(&["tailscale", "other-agents"])
        .back("`tailscale up` with an auth key enrols each card")
        .source("tailscale, paths/paths_unix.go; cmd/tailscaled/tailscaled.service")
        .example("{\"_machinekey\":\"cHJpdmtleTphYmNkZWYwMTIzNDU2Nzg5\"}"),
    rule("tailscale-leftovers", "certificates with their keys, and the log id, of the old Tailscale node", Identity)
        .at(&["/var/lib/tailscale/certs", "/var/lib/tailscale/tailscaled.log.conf"])
        .removed(Warning)
        .named(&["tailscale-leftovers", "tailscale", "other-agents"])
        .back("tailscaled makes the log id again, and fetches certificates when asked")
        .source("tailscale, cmd/tailscaled/tailscaled.go (statedir), logpolicy/logpolicy.go")
        .example_in(
            "pi-old.tail1234.ts.net.key",
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIKp3Vn8sTq1LrXw6\n-----END EC PRIVATE KEY-----\n",
        ),
    rule("zerotier", "the ZeroTier address and its key: all cards would fight for one address", Identity)
        .at(&["/var/lib/zerotier-one/identity.secret", "/var/lib/zerotier-one/identity.public"])
        .stays(Warning)
        .named(&["zerotier", "other-agents"])
        .back("zerotier-one makes a new address at its next start; the network must authorise it again")
        .source("ZeroTierOne, doc/zerotier-one.8.md, FILES")
        .example("9935981b1e:0:5cb99fadea4bfe66c7226805:8f1d7Kq0zP4mXw2cVt6bNs9"),
    rule("zerotier-token", "the token that controls the local ZeroTier service", Secret)
        .at(&["/var/lib/zerotier-one/authtoken.secret", "~/.zeroTierOneAuthToken"])
        .removed(Warning)
        .named(&["zerotier-token", "zerotier", "other-agents"])
        .back("zerotier-one makes a new token at its next start")
        .source("ZeroTierOne, doc/zerotier-one.8.md; doc/zerotier-cli.1.md")
        .example("q7w3nz5xk1c9v8b2m4l6p0rt"),
    rule("zerotier-peers", "peers and addresses that the old ZeroTier node had met", Log)
        .at(&["/var/lib/zerotier-one/peers.d", "/var/lib/zerotier-one/iddb.d"])
        .cleared(Note)
        .named(&["zerotier-peers", "logs"])
        .back("zerotier-one meets its peers again")
        .source(
            "ZeroTierOne, doc/zerotier-one.8.md, FILES (iddb.d may be deleted); velociraptor, \
             Generic.Applications.ZeroTier (peers.d)",
        )
        .example_in("62f865ae71.peer", "62f865ae71 10.20.30.40/9993 7c1f9e3ab5d2"),
    rule("wireguard", "a WireGuard key: all cards would be one peer", Secret)
        .at(&["/etc/wireguard/*.conf", "/etc/wireguard/*key*", "/etc/wireguard/keys"])
        .stays(Warning)
        .named(&["wireguard", "other-agents"])
        .back("`wg genkey` on each card, and its public key on the other side")
        .source("wg-quick(8); wg(8), genkey")
        .example("[Interface]\nPrivateKey = 6Hk2vPq9TnXw4ZsLb8RdYc3FgJm5Ua7Ee1Oi0Kp=\n"),
    rule("nebula", "the host's Nebula key and certificate: all cards would be one host of the overlay", Secret)
        .at(&["/etc/nebula/*.key", "/etc/nebula/host.crt"])
        .stays(Warning)
        .named(&["nebula", "other-agents"])
        .back("`nebula-cert sign` makes a key and certificate for each card")
        .source("slackhq/nebula, examples/config.yml, pki")
        .example(
            "-----BEGIN NEBULA X25519 PRIVATE KEY-----\nK9s2LfQ8wZx4Vb6Tn1Rm5Yc7Hd3Gj0Pk=\n-----END NEBULA \
             X25519 PRIVATE KEY-----\n",
        ),
    rule("openvpn", "OpenVPN keys and passwords: the server would know all cards as one client", Secret)
        .at(&[
            "/etc/openvpn/*.key",
            "/etc/openvpn/*.conf",
            "/etc/openvpn/*.ovpn",
            "/etc/openvpn/*.p12",
            "/etc/openvpn/*auth*",
            "/etc/openvpn/client/*",
            "/etc/openvpn/server/*",
            "/etc/openvpn/keys",
            "/etc/openvpn/easy-rsa/pki",
            "/etc/openvpn/easy-rsa/keys",
            "~/*.ovpn",
            "~/ovpns",
        ])
        .stays(Warning)
        .named(&["openvpn", "other-agents", "logins"])
        .back("a key and certificate of its own for each card")
        .source("openvpn(8), --key, --auth-user-pass; Debian openvpn@.service, openvpn-client@.service")
        .example("client\nremote vpn.example.org\n<key>\nMIIEvQIBADANBgkqhkiG9w0Bz7Kq3XsP\n</key>\n"),
    rule("ipsec-keys", "private keys of IPsec: all cards would be one peer", Secret)
        .at(&["/etc/ipsec.d/private"])
        .stays(Warning)
        .named(&["ipsec-keys", "ipsec", "other-agents", "keys"])
        .back("a key and certificate of its own for each card")
        .source("strongSwan, NEWS (/etc/ipsec.d/private); ipsec.secrets(5)")
        .example_in(
            "kiosk-old.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEA4N48BnQ9Nxq1s7HJx7v\
             kk80E\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("ipsec", "IPsec keys and passwords: all cards would be one peer", Secret)
        .at(&[
            "/etc/ipsec.secrets",
            "/etc/ipsec.d/*.secrets",
            "/etc/strongswan/ipsec.secrets",
            "/var/lib/strongswan/ipsec.secrets.inc",
        ])
        .with_text(&[r"^\s*[^#\s].*:[ \t]*(PSK|RSA|ECDSA|EAP|XAUTH|P12|PKCS8|PIN)\b"])
        .stays(Warning)
        .named(&["ipsec", "other-agents", "logins"])
        .back("a key of its own for each card")
        .source("ipsec.secrets(5); strongSwan, NEWS (/etc/ipsec.d/private)")
        .example("vpn.example.org : PSK \"t9Zk4WqL7vBn2XsR8mHd\"\n"),
    rule("swanctl", "private keys and passwords of swanctl: all cards would be one IPsec peer", Secret)
        .at(&[
            "/etc/swanctl/private",
            "/etc/swanctl/rsa",
            "/etc/swanctl/ecdsa",
            "/etc/swanctl/pkcs8",
            "/etc/swanctl/pkcs12",
            "/etc/swanctl/conf.d/*.conf",
        ])
        .stays(Warning)
        .named(&["swanctl", "ipsec", "other-agents", "logins"])
        .back("a key of its own for each card")
        .source("strongSwan, src/swanctl/swanctl.h; swanctl.conf(5), secrets")
        .example_in(
            "old-pi.pem",
            "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkq9Xw2Lk7VtPz4\n-----END PRIVATE KEY-----\n",
        ),
    rule("netbird", "the NetBird peer's WireGuard and SSH keys: all cards would be one peer", Identity)
        .at(&[
            "/etc/netbird/config.json",
            "/var/lib/netbird/default.json",
            "/var/lib/netbird/config.json",
            "/var/lib/netbird/state.json",
            "/var/lib/netbird/*.state.json",
            "~/.config/netbird",
        ])
        .stays(Warning)
        .named(&["netbird", "other-agents"])
        .back("netbird makes new keys; `netbird up --setup-key` enrols each card")
        .source("netbird, client/internal/profilemanager/service.go and config.go (PrivateKey, SSHKey)")
        .example("{\"PrivateKey\":\"yJ4nQw8Zr2Kx6Vt0Lb9Ms3Pc5Hd7Gf1Ae=\"}"),
    rule("netmaker", "Netmaker's host id, WireGuard key and password: all cards would be one host", Identity)
        .at(&["/etc/netclient/netclient.json", "/etc/netclient/nodes.json", "/etc/netclient/servers.json"])
        .stays(Warning)
        .named(&["netmaker", "other-agents"])
        .back("`netclient join -t TOKEN` enrols each card")
        .source("gravitl/netclient, config/config.go, config/node.go, config/server.go")
        .example("{\"privatekey\":\"mK2xPz7Tq9Lw4Vn8Rb1Ys6Hd3Jc5Fg0=\",\"hostpass\":\"z8Q1w6E3r9T4\"}"),
    rule("headscale", "a Headscale server's keys and its database of nodes", Secret)
        .at(&["/var/lib/headscale/*private*.key", "/var/lib/headscale/db.sqlite*"])
        .stays(Warning)
        .named(&["headscale", "other-agents"])
        .back("headscale makes new keys; its nodes must be enrolled again")
        .source("juanfont/headscale, config-example.yaml")
        .example("privkey:8d1f4b7a2c9e6035f7a1b8c2d9e4f6031a5b"),
    rule("yggdrasil", "the node's Yggdrasil key: all cards would have one address", Secret)
        .at(&["/etc/yggdrasil.conf", "/etc/yggdrasil/yggdrasil.conf", "/etc/yggdrasil/private.key"])
        .stays(Warning)
        .named(&["yggdrasil", "other-agents"])
        .back("`yggdrasil -genconf` writes a configuration with a new key")
        .source("Debian yggdrasil.service (-useconffile /etc/yggdrasil/yggdrasil.conf); yggdrasil, -genconf")
        .example("{\n  PrivateKey: 4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c7e9b\n}\n"),
    rule("tinc", "the host's tinc keys: all cards would be one node", Secret)
        .at(&["/etc/tinc/rsa_key.priv", "/etc/tinc/*/rsa_key.priv", "/etc/tinc/*/ed25519_key.priv"])
        .stays(Warning)
        .named(&["tinc", "other-agents"])
        .back("`tincd -n NET -K` makes new keys; the other nodes need the public one")
        .source("tincd(8), FILES; tinc.conf(5), PrivateKeyFile")
        .example("-----BEGIN RSA PRIVATE KEY-----\nMIIJKQIBAAKCAgEA7Zq4Xk2WvLs9\n-----END RSA PRIVATE KEY-----\n"),
    rule("cloudflared", "a Cloudflare tunnel's credentials: all cards would be replicas of one tunnel", Secret)
        .at(&[
            "/etc/cloudflared/*.json",
            "/etc/cloudflared/cert.pem",
            "/etc/cloudflared/config.yml",
            "/usr/local/etc/cloudflared",
            "~/.cloudflared",
            "~/.cloudflare-warp",
            "/etc/systemd/system/cloudflared.service",
        ])
        .stays(Warning)
        .named(&["cloudflared", "other-agents"])
        .back("`cloudflared service install TOKEN` with a tunnel of its own for each card")
        .source("cloudflare/cloudflared, cmd/cloudflared/linux_service.go, config/configuration.go")
        .example("{\"AccountTag\":\"a1\",\"TunnelSecret\":\"Zk9xQ2w7Lr4Vt8Nb1Ms6Pd3Hc5Jf0=\",\"TunnelID\":\"x\"}"),
    rule("frp", "the frp client's name and token: all cards would ask for the same proxy", Secret)
        .at(&["/etc/frp/frpc.*", "/etc/frp/frps.*", "/opt/frp/frpc.*", "~/frp*/frpc.*"])
        .stays(Warning)
        .named(&["frp", "other-agents", "logins"])
        .back("proxy names of its own for each card in frpc.toml")
        .source("fatedier/frp, README.md (frpc.toml, auth.token)")
        .example("serverAddr = \"x\"\nauth.token = \"p7Kz2Wq9Lv4Xb8Rn1Ts6\"\n"),
    rule("remoteit", "the remote.it device and its secret: all cards would be one device", Identity)
        .at(&["/etc/remoteit", "~/.remoteit", "/etc/connectd"])
        .stays(Warning)
        .named(&["remoteit", "other-agents"])
        .back("a registration code, or a new claim, enrols each card")
        .source("remote.it, device package: /etc/remoteit/config.json, ~/.remoteit/config.json")
        .example_in(
            "config.json",
            "{\"device\":{\"uid\":\"80:00:00:3F:AE:00\",\"secret\":\"B7K2Q9W4X8Z1L6V3T5N0MR\"}}",
        ),
    rule("dataplicity", "Dataplicity's serial and token of the device: all cards would be one device", Identity)
        .at(&["/opt/dataplicity/tuxtunnel/auth", "/opt/dataplicity/tuxtunnel/serial"])
        .stays(Warning)
        .named(&["dataplicity", "other-agents"])
        .back("dataplicity's install script registers each card")
        .source("dataplicity agent, constants.py (SERIAL_LOCATION, AUTH_LOCATION)")
        .example("c5f8e1a9-7b24-4d36-9e05-f1a2b7c8d3e4"),
    rule("anydesk", "the AnyDesk id, its key and the password for unattended access", Identity)
        .at(&[
            "/etc/anydesk/service.conf",
            "/etc/anydesk/system.conf",
            "/etc/anydesk_ad_*",
            "~/.anydesk/service.conf",
            "~/.anydesk/system.conf",
            "~/.anydesk_ad_*",
        ])
        .stays(Warning)
        .named(&["anydesk", "other-agents"])
        .back("anydesk makes a new id at its next start; the password must be set again")
        .source("glpi-agent, Task/Inventory/Generic/Remote_Mgmt/AnyDesk.pm")
        .example("ad.anynet.id=417203958\nad.anynet.pwd_hash=9f2b7c4e1a8d6035e7f1\n"),
    rule("teamviewer", "the TeamViewer id and password: all cards would be one machine", Identity)
        .at(&["/etc/teamviewer/global.conf", "/opt/teamviewer/config/global.conf", "~/.config/teamviewer"])
        .stays(Warning)
        .named(&["teamviewer", "other-agents"])
        .back("teamviewerd makes a new id at its next start; the machine must be assigned again")
        .source("TeamViewer reset: the daemon makes a new global.conf; ClientID in /etc/teamviewer/global.conf")
        .example("[int32] ClientID = 1283746501\n[bin  ] SecurityPasswordAES = 8f c1 7e 22 9a 4b d0\n"),
    rule("wayvnc-keys", "wayvnc's TLS and RSA keys: who has one card can pose as all of them", Secret)
        .at(&[
            "/etc/wayvnc/tls_key.pem",
            "/etc/wayvnc/tls_cert.pem",
            "/etc/wayvnc/rsa_key.pem",
            "/etc/wayvnc/rsa_key.pem.pub",
        ])
        .removed(Error)
        .named(&["wayvnc-keys", "host-keys"])
        .back("wayvnc-generate-keys.service of Raspberry Pi OS makes them again")
        .source("Raspberry Pi OS, wayvnc: /etc/wayvnc/config, wayvnc-generate-keys.service")
        .example("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49Kz8Wq3Xv\n-----END PRIVATE KEY-----\n"),
    rule("wayvnc-own", "keys and password of a user's own wayvnc", Secret)
        .at(&["~/.config/wayvnc"])
        .stays(Warning)
        .named(&["wayvnc-own", "logins"])
        .back("`openssl req` and `ssh-keygen` as wayvnc's README says, on each card")
        .source("any1/wayvnc, README.md; src/cfg.c")
        .example_in(
            "tls_key.pem",
            "-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBgkqXw8Zk3Lp6VtQ\n-----END PRIVATE KEY-----\n",
        ),
    rule("xrdp", "xrdp's RSA and TLS keys: who has one card can pose as all of them", Secret)
        .at(&["/etc/xrdp/rsakeys.ini", "/etc/xrdp/key.pem", "/etc/xrdp/cert.pem"])
        .stays(Warning)
        .named(&["xrdp", "host-keys"])
        .back(
            "`xrdp-keygen xrdp auto` makes rsakeys.ini; Debian makes them when the package is installed, not \
             at start",
        )
        .source("xrdp-keygen(8); Debian xrdp, postinst")
        .example("[keys]\npri_exp=0xf1,0x7a,0x93,0x2c,0xd8,0x4e,0xb6\n"),
    rule("tor", "the keys of Tor's onion services and of a relay: all cards would answer at one address", Secret)
        .at(&[
            "/var/lib/tor/keys",
            "/var/lib/tor/*/hs_ed25519_secret_key",
            "/var/lib/tor/*/private_key",
            "/var/lib/tor/*/hostname",
            "/var/lib/tor/*/client_keys",
        ])
        .stays(Warning)
        .named(&["tor", "other-agents"])
        .back("tor makes new keys, and so a new address, at its next start")
        .source("tor(1), FILES")
        .example_in(
            "secret_id_key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIICXAIBAAKBgQC8Zw2Xk7LvPq9T\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("cloudflare-warp", "Cloudflare WARP's registration of the device: all cards would be one device", Secret)
        .at(&["/var/lib/cloudflare-warp/reg.json", "/var/lib/cloudflare-warp/conf.json"])
        .stays(Warning)
        .named(&["cloudflare-warp", "other-agents"])
        .back("`warp-cli registration new` on each card, or mdm.xml with a service token")
        .source("Cloudflare WARP client, /var/lib/cloudflare-warp/reg.json; mdm.xml")
        .example("{\"registration_id\":\"x\",\"api_token\":\"9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd\"}"),
    rule("husarnet", "the Husarnet device's id and key: all cards would have one address", Secret)
        .at(&["/var/lib/husarnet/id", "/var/lib/husarnet/config.json", "/var/lib/husarnet/config.db"])
        .stays(Warning)
        .named(&["husarnet", "other-agents"])
        .back("husarnet makes a new id at its next start; `husarnet join` on each card")
        .source("husarnet, identityPath (/var/lib/husarnet/id), config.json; Husarnet docs, back up the id file")
        .example("fc94:7c1f:9e3a:b5d2:4084:e6f1:a9c7:bd3e q7Kz2Wx9Lv4Tp8Rn1Mb6 Yd3H\n"),
    rule("mullvad", "the Mullvad account and device key: all cards would be one device of the account", Secret)
        .at(&["/etc/mullvad-vpn/device.json", "/etc/mullvad-vpn/account-history.json"])
        .stays(Warning)
        .named(&["mullvad", "logins", "other-agents"])
        .back("`mullvad account login` on each card")
        .source("mullvadvpn-app, mullvad-daemon/src/device/mod.rs (device.json), account_history.rs")
        .example("{\"logged_in\":{\"device\":{\"wg_data\":{\"private_key\":\"q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5=\"}}}}"),
    rule("innernet", "the innernet peer's WireGuard key: all cards would be one peer", Secret)
        .at(&["/etc/innernet/*.conf", "/etc/innernet-server/*.conf", "/var/lib/innernet-server/*.db"])
        .stays(Warning)
        .named(&["innernet", "other-agents"])
        .back("`innernet install` with an invitation of its own for each card")
        .source("tonarino/innernet, client-core/src/lib.rs (DEFAULT_CONFIG_DIR); innernet-server(8)")
        .example("[interface]\nprivate-key = \"q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf0Ps=\"\n"),
    rule(
        "chrome-remote-desktop",
        "the host that Chrome Remote Desktop registered, with its key: all cards would be one computer",
        Secret,
    )
    .at(&["~/.config/chrome-remote-desktop/host#*.json"])
    .stays(Warning)
    .named(&["chrome-remote-desktop", "other-agents"])
    .back("`start-host` with a code on each card")
    .source("Chrome Remote Desktop, host configuration host#HASH.json (private_key, oauth_refresh_token)")
    .example("{\"host_id\":\"7c1f9e3a\",\"oauth_refresh_token\":\"1//9Kz3Wq7Lv4Xp8Tn2Rb6Ms1P\"}"),
    rule("dwagent", "the DWService agent's key: all cards would be one agent", Secret)
        .at(&["/usr/share/dwagent/config.json"])
        .stays(Warning)
        .named(&["dwagent", "other-agents"])
        .back("DWService's installer with a code on each card")
        .source("DWAgent, /usr/share/dwagent/config.json")
        .example("{\"key\":\"x9Kz3Wq7Lv4Tp8Rn2Mb6\",\"password\":\"Yd3Hc5Jf0PsGt\",\"enabled\":true}"),
    rule("nomachine", "the NoMachine server's id and keys: all cards would be one server", Identity)
        .at(&["/usr/NX/etc/uuid", "/usr/NX/etc/keys/host", "/usr/NX/etc/nxdb"])
        .stays(Warning)
        .named(&["nomachine", "other-agents"])
        .back("install NoMachine on each card, or write a new uuid there")
        .source("NoMachine, /usr/NX/etc/uuid (rewritten after cloning in public scripts)")
        .example("7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80"),
    rule("sunshine", "Sunshine's key, login and paired clients: all cards would be one streaming host", Secret)
        .at(&["~/.config/sunshine/sunshine_state.json", "~/.config/sunshine/credentials"])
        .stays(Warning)
        .named(&["sunshine", "other-agents"])
        .back("Sunshine makes a key at its next start; set a login and pair again")
        .source("Sunshine docs, Configuration: file_state, credentials_file, pkey, cert")
        .example(
            "{\"username\":\"admin\",\"salt\":\"m0f4RqqxyDDtGjX5\",\"password\":\"306A9F8317B3FEE572DAA20ECE\
             E7809CCE177AF9E74D1AB3\"}",
        ),
    rule(
        "vpn-provider-logins",
        "the login of a VPN provider or a connector (NordVPN, Twingate, Pritunl): all cards would be one device",
        Secret,
    )
    .at(&[
        "/var/lib/nordvpn/data/settings.dat",
        "/var/lib/nordvpn/data/install.dat",
        "/etc/twingate/connector.conf",
        "/etc/twingate/service_key.json",
        "~/.config/pritunl/profiles",
        "/var/lib/pritunl-client/profiles",
    ])
    .stays(Warning)
    .named(&["vpn-provider-logins", "other-agents", "logins"])
    .back("log in on each card")
    .source(
        "NordVPN for Linux, config (settings.dat, install.dat); Twingate docs, Linux connector \
             (connector.conf), Headless clients (service_key.json); Pritunl client, profiles",
    )
    .example_in("3f9c.conf", "{\"token\":\"OsyVydMQm3LI9jq9Ti4vJtfBXzcPB2dZkjWbeJcO\"}"),
    rule("tunnel-passwords", "keys and passwords of tunnels (n2n, cjdns, vpnc, Shadowsocks, Xray)", Secret)
        .at(&[
            "/etc/n2n/*.conf",
            "/etc/cjdroute.conf",
            "/etc/vpnc/*.conf",
            "/etc/shadowsocks-libev/*.json",
            "/usr/local/etc/xray/*.json",
            "/usr/local/etc/v2ray/*.json",
        ])
        .with_text(&[
            r"^\s*-k[= ][ \t]*\S{4,}",
            r#""privateKey"[ \t]*:[ \t]*"[\w+/=-]{32,}""#,
            r"^\s*(IPSec secret|Xauth password)[ \t]+[^\s<]\S+",
            r#""password"[ \t]*:[ \t]*"[^"]{8,}""#,
            r#""id"[ \t]*:[ \t]*"[0-9a-f]{8}-[0-9a-f-]{27}""#,
        ])
        .named_only()
        .named(&["tunnel-passwords", "logins", "other-agents"])
        .back("a key of its own for each card")
        .source(
            "n2n, edge(8), -k; cjdns, doc/configure.md (privateKey); vpnc(8), CONFIGURATION; \
             shadowsocks-libev(8); Xray docs, VLESS (id)",
        )
        .example("{\"server\":\"x.example.org\",\"password\":\"rNu6xHt92k4RXj1hI1p2ykPG\"}\n"),
    rule("tinyssh-host-keys", "host keys of TinySSH: all cards would have one", Secret)
        .at(&["/etc/tinyssh/sshkeydir"])
        .removed(Error)
        .named(&["tinyssh-host-keys", "host-keys"])
        .back("tinysshd@.service makes new ones when somebody next connects")
        .source("tinysshd-makekey(8); Debian tinysshd@.service, ExecStartPre")
        .example_in(".ed25519.sk", "vkAfPMriJQidiGZ5QGE1p92X8YZVfgz1Az8z64r0SbQF5vVanURLJ8aZin9mnHAq"),
];
