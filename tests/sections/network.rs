//! `[network]` and `[proxy]`.

use super::{ACCEPT, apply, cannot, said};
use cardsmith::prepare::Severity;
use cardsmith::recipe::{self, RecipeError};

use crate::support::releases::{RELEASES, Release, fresh, service};

const STATIC: &str = "[sudo]\nlockout = \"accept\"\n[[network.interface]]\nname = \"eth0\"\naddresses = [\"192.168.7.2/24\"]\n\
                      gateway = \"192.168.7.1\"\ndns = [\"192.168.7.1\"]\n";
const DHCP: &str = "[sudo]\nlockout = \"accept\"\n[[network.interface]]\nname = \"eth0\"\ndhcp = true\n";
const KEYFILE: &str = "/etc/NetworkManager/system-connections/cardsmith-eth0.nmconnection";

#[test]
fn a_static_address_is_said_in_the_words_of_each_release() {
    for release in RELEASES {
        let image = fresh(release);
        let made = apply(&image, STATIC);
        match release {
            Release::Bullseye => {
                let text = image.0.text_of("/etc/dhcpcd.conf").unwrap();
                assert!(text.starts_with("hostname\nclientid\n"), "{text}");
                assert!(text.ends_with(
                    "interface eth0\nstatic ip_address=192.168.7.2/24\nstatic routers=192.168.7.1\nstatic domain_name_servers=192.168.7.1\n"
                ));
            }
            Release::Bookworm | Release::Trixie => {
                let text = image.0.text_of(KEYFILE).unwrap();
                let ipv4 = "[ipv4]\nmethod=manual\naddress1=192.168.7.2/24\ngateway=192.168.7.1\ndns=192.168.7.1;\n";
                assert!(text.contains("interface-name=eth0\n") && text.contains(ipv4), "{text}");
                assert_eq!(image.0.mode(KEYFILE), 0o600);
            }
        }
        assert!(said(&made, Severity::Warning).contains("on every card"));
        apply(&image, DHCP);
        match release {
            Release::Bullseye => assert!(!image.0.text_of("/etc/dhcpcd.conf").unwrap().contains("interface eth0")),
            _ => assert!(image.0.text_of(KEYFILE).unwrap().contains("[ipv4]\nmethod=auto\n")),
        }
    }
}

#[test]
fn systemd_networkd_takes_over_where_it_is_what_the_image_uses() {
    let image = fresh(Release::Bookworm);
    std::fs::remove_file(image.0.host("/etc/systemd/system/multi-user.target.wants/NetworkManager.service")).unwrap();
    image.0.file("/usr/lib/systemd/system/systemd-networkd.service", 0o644, service("WantedBy=multi-user.target"));
    cannot(&image, STATIC, "none of NetworkManager, dhcpcd and systemd-networkd is enabled");
    let link = "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    image.0.link(link, "/usr/lib/systemd/system/systemd-networkd.service");
    cannot(&image, STATIC, "systemd-resolved");
    apply(&image, &STATIC.replace("dns = [\"192.168.7.1\"]\n", ""));
    let text = image.0.text_of("/etc/systemd/network/00-cardsmith-eth0.network").unwrap();
    assert!(text.ends_with("[Match]\nName=eth0\n\n[Network]\nAddress=192.168.7.2/24\nGateway=192.168.7.1\n"), "{text}");
}

#[test]
fn what_dhcpcd_cannot_do_is_an_obstacle() {
    let two = STATIC.replace("[\"192.168.7.2/24\"]", "[\"192.168.7.2/24\", \"192.168.7.3/24\"]");
    cannot(&fresh(Release::Bullseye), &two, "takes only one");
    let image = fresh(Release::Bullseye);
    image.0.file("/etc/dhcpcd.conf", 0o664, "denyinterfaces eth0\n");
    cannot(&image, STATIC, "would not be set up");
}

#[test]
fn the_host_name_pattern_is_the_card_s_name_under_another_word() {
    let parse = |more: &str| {
        recipe::parse(&format!("name = \"r\"\n[image]\nsource = \"x\"\n{more}"), std::path::Path::new("r.toml"))
    };
    let loaded = parse("[network]\nhostname = \"pi-{serial:03}\"\n").unwrap();
    assert_eq!(loaded.recipe.card.name, "pi-{serial:03}");
    assert!(parse("[network]\nhostname = \"a-{serial}\"\n[card]\nname = \"a-{serial}\"\n").is_ok());
    let Err(RecipeError::Mistakes { mistakes }) =
        parse("[network]\nhostname = \"a-{serial}\"\n[card]\nname = \"b-{serial}\"\n")
    else {
        panic!("two names were taken")
    };
    assert!(mistakes[0].what.contains("another name for the same thing"), "{}", mistakes[0].what);
}

#[test]
fn addresses_and_proxies_that_are_none_are_pointed_at() {
    for (more, line, what) in [
        ("[[network.interface]]\nname = \"eth0\"\n", 5, "no address"),
        ("[[network.interface]]\nname = \"eth0\\nx\"\ndhcp = true\n", 5, "not the name"),
        ("[[network.interface]]\nname = \"wlan0\"\ndhcp = true\n", 5, "wired"),
        ("[[network.interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1\"]\n", 6, "with its prefix"),
        (
            "[[network.interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/8\"]\ngateway = \"192.168.0.1\"\n",
            7,
            "in the network of none",
        ),
        ("[[network.interface]]\nname = \"eth0\"\ndhcp = true\naddresses = [\"10.0.0.1/8\"]\n", 7, "exclude"),
        ("[proxy]\nhttps = \"proxy:3128\"\n", 5, "not a proxy"),
        ("[proxy]\nhttps = \"http://me:pw@proxy:3128\"\n", 5, "address with a password"),
        ("[proxy]\nno-proxy = [\"a\"]\n", 4, "no proxy is named"),
        ("[boot]\ncmdline = [\"root=/dev/sda1\"]\n", 5, "decides whether"),
        ("[boot]\ncmdline = [\"a b\"]\n", 5, "not one word"),
        ("[boot]\nconfig = [\"a=1\\nb=2\"]\n", 5, "not one line"),
        ("[[unit]]\nname = \"ssh\"\nstate = \"enabled\"\n", 5, "not a unit's name"),
        ("[locale]\ntime-zone = \"../../etc/passwd\"\n", 5, "not a time zone"),
        ("[locale]\nlocale = \"en_GB.UTF-8\\nX=1\"\n", 5, "not a locale"),
        ("[user]\nname = \"Ops\"\n", 5, "login name"),
        ("[user]\nname = \"root\"\n", 5, "not a person"),
        ("[user]\nname = \"ops\"\nauthorized-keys = \"../k\"\n", 6, "leaves the recipe's directory"),
    ] {
        let text = format!("name = \"r\"\n[image]\nsource = \"x\"\n{more}");
        let Err(RecipeError::Mistakes { mistakes }) = recipe::parse(&text, std::path::Path::new("r.toml")) else {
            panic!("was taken: {more}")
        };
        let first = &mistakes[0];
        assert!(first.what.contains(what), "{more}{first}");
        assert_eq!(first.line, line, "{more}{first}");
        assert!(!first.help.is_empty() && !format!("{first:?}").contains("pw@"), "{first:?}");
    }
}

#[test]
fn agent_and_registration_go_through_the_proxy_alike() {
    for release in RELEASES {
        let proxy = "[proxy]\nhttp = \"http://proxy.example.com:3128\"\nhttps = \"http://proxy.example.com:3128\"\nno-proxy = [\"169.254.169.254\", \".internal\"]\n";
        cannot(&fresh(release), &format!("{ACCEPT}{proxy}"), "neither the image nor the recipe has one");
        let image = fresh(release);
        image.0.file("/usr/bin/amazon-ssm-agent", 0o755, "");
        apply(&image, &format!("{ACCEPT}{proxy}[activation]\nfrom = \"file\"\npath = \"a.csv\"\n"));
        for place in [
            "/etc/systemd/system/amazon-ssm-agent.service.d/90-cardsmith-proxy.conf",
            "/etc/systemd/system/cardsmith-register.service.d/10-agent-environment.conf",
        ] {
            let text = image.0.text_of(place).unwrap();
            for line in [
                "Environment=\"http_proxy=http://proxy.example.com:3128\"\n",
                "Environment=\"https_proxy=http://proxy.example.com:3128\"\n",
                "Environment=\"no_proxy=169.254.169.254,.internal\"\n",
            ] {
                assert!(text.contains(line), "{place}: {text}");
            }
        }
    }
}
