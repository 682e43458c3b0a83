//! Rules of `[network]` and `[proxy]`.

use std::collections::HashSet;
use std::net::IpAddr;

use super::Checker;
use crate::recipe::SecretRef;
use crate::recipe::schema::{Cidr, Interface, Network, Proxy, Recipe, Wifi};

impl Checker<'_> {
    pub(super) fn network(&mut self, recipe: &Recipe, network: &Network) {
        if let Some(hostname) = &network.hostname
            && *hostname != recipe.card.name
        {
            self.report(
                &["network", "hostname"],
                format!("[card] name is {:?}, and this is another name for the same thing", recipe.card.name),
                "keep one of the two: a card's name is its host name",
            );
        }
        if let Some(wifi) = &network.wifi {
            self.wifi(wifi);
        }
        let mut earlier = HashSet::new();
        for (at, interface) in network.interfaces.iter().enumerate() {
            let number = at.to_string();
            self.interface(&number, interface);
            if !earlier.insert(interface.name.as_str()) {
                self.report(
                    &["network", "interface", &number, "name"],
                    "an earlier [[network.interface]] has the same name",
                    "keep one of them",
                );
            }
        }
    }

    pub(super) fn wifi(&mut self, wifi: &Wifi) {
        if !(1..=32).contains(&wifi.ssid.len()) || wifi.ssid.contains('\0') {
            self.report(
                &["network", "wifi", "ssid"],
                "this cannot be the name of a Wi-Fi network",
                "1 to 32 bytes; letters that are not ASCII have two or more",
            );
        }
        if wifi.country.len() != 2 || !wifi.country.bytes().all(|b| b.is_ascii_uppercase()) {
            self.report(
                &["network", "wifi", "country"],
                "this is not a country",
                "two capitals as ISO 3166 has them, for example \"DE\", \"GB\" or \"US\"",
            );
        }
        if let Some(problem) = wifi.psk.problem() {
            self.report(
                &["network", "wifi", "psk"],
                problem,
                "`{ env = \"WIFI_PSK\" }`, `{ file = \"wifi.psk\" }` or `{ ssm-parameter = \"/fleet/wifi/psk\" }`",
            );
        }
        if let SecretRef::File(path) = &wifi.psk {
            self.host_path(&["network", "wifi", "psk", "file"], path);
        }
    }

    fn interface(&mut self, number: &str, interface: &Interface) {
        let place = |key: &'static str| ["network", "interface", number, key];
        if !is_interface(&interface.name) {
            self.report(
                &place("name"),
                "this is not the name of a wired interface",
                "for example \"eth0\"; Wi-Fi is [network.wifi]",
            );
        }
        match (interface.dhcp, interface.addresses.is_empty()) {
            (true, false) => {
                self.report(&place("addresses"), "`dhcp` and `addresses` exclude each other", "keep one of them")
            }
            (false, true) => self.report(
                &place("name"),
                "the interface gets no address",
                "say `dhcp = true`, or give `addresses = [\"192.168.7.2/24\"]`",
            ),
            _ => {}
        }
        let cidrs: Vec<Option<Cidr>> = interface.addresses.iter().map(|text| Cidr::parse(text)).collect();
        for (at, cidr) in cidrs.iter().enumerate() {
            let at = at.to_string();
            if cidr.is_none_or(|cidr| !is_host_address(cidr.address)) {
                self.report(
                    &["network", "interface", number, "addresses", &at],
                    "this is not an address with its prefix",
                    "for example \"192.168.7.2/24\" or \"2001:db8::2/64\"",
                );
            }
        }
        if let Some(gateway) = interface.gateway {
            if interface.dhcp {
                self.report(&place("gateway"), "with `dhcp` the gateway comes from there", "remove it");
            } else if cidrs.iter().all(Option::is_some) && !cidrs.iter().flatten().any(|cidr| cidr.holds(gateway)) {
                self.report(
                    &place("gateway"),
                    "the gateway is in the network of none of the addresses",
                    "correct it, or the prefix of the address",
                );
            }
        }
    }

    pub(super) fn proxy(&mut self, proxy: &Proxy) {
        for (key, value) in [("http", &proxy.http), ("https", &proxy.https)] {
            if value.as_deref().is_some_and(|value| !is_proxy(value)) {
                self.report(
                    &["proxy", key],
                    "this is not a proxy's address",
                    "for example \"http://proxy.example.com:3128\", without user, password and path",
                );
            }
        }
        if proxy.http.is_none() && proxy.https.is_none() {
            self.report(&["proxy"], "no proxy is named", "give `https = \"http://proxy.example.com:3128\"`");
        }
        for (at, host) in proxy.no_proxy.iter().enumerate() {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:/*[]".contains(c);
            if host.is_empty() || !host.chars().all(allowed) {
                let at = at.to_string();
                self.report(
                    &["proxy", "no-proxy", &at],
                    "this is neither a host nor a domain nor an address",
                    "for example \"169.254.169.254\", \".example.com\"",
                );
            }
        }
    }
}

fn is_host_address(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

/// IFNAMSIZ leaves 15 characters; `/` and blanks are the kernel's own taboos, the rest keeps settings files in one line.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && name != "lo"
        && !name.starts_with("wlan")
}

fn is_proxy(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else { return false };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_name = |host: &str| {
        (1..=253).contains(&host.len())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            && host.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    let is_ipv6 = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    };
    port.is_none_or(is_port) && (is_name(host) || is_ipv6(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_hosts_with_ports_and_nothing_else() {
        for good in [
            "http://proxy:3128",
            "https://proxy.example.com",
            "http://10.0.0.1:80/",
            "http://[fe80::1]:3128",
            "http://[::1]",
        ] {
            assert!(is_proxy(good), "{good}");
        }
        for bad in [
            "proxy:3128",
            "socks5://p:1",
            "http://",
            "http://me@p:1",
            "http://p:0",
            "http://p:99999",
            "http://p:1/x",
            "http://p\n:1",
            "http://p\":1",
            "http://%p:1",
        ] {
            assert!(!is_proxy(bad), "{bad}");
        }
    }
}
