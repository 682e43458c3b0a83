//! `[network]`, `[[network.interface]]` and `[proxy]`: how a card reaches the network.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipe::SecretRef;

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// The same as `[card] name`: the host name of each card, with `{serial}` in it. Give one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Wired interfaces. Those that are not named here stay as the image has them.
    #[serde(default, rename = "interface", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// The Wi-Fi network of every card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Wifi>,
}

/// `[network.wifi]`: a WPA network. The golden image holds the country; each card gets the network with its password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wifi {
    /// The network's name, 1 to 32 bytes.
    pub ssid: String,
    /// The country whose radio rules hold: two capitals, `"DE"`. Without one the Pi keeps its radio off.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub country: String,
    /// Where the password is found when cards are made: `{ env = "WIFI_PSK" }`. Never the password.
    pub psk: SecretRef,
    /// `true`: the network does not tell its name.
    #[serde(default)]
    pub hidden: bool,
}

/// One `[[network.interface]]`: DHCP, or addresses that are the same on every card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Interface {
    /// The kernel's name: `"eth0"`.
    pub name: String,
    /// `true`: the address comes from DHCP.
    #[serde(default)]
    pub dhcp: bool,
    /// Static addresses with their prefix: `["192.168.7.2/24"]`. One of `dhcp` and `addresses` is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The way out, with static addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub gateway: Option<IpAddr>,
    /// Name servers; with `dhcp` they take the place of those that DHCP tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub dns: Vec<IpAddr>,
}

/// An address with its prefix, `192.168.7.2/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address itself, host bits and all.
    pub address: IpAddr,
    /// How many leading bits name the network.
    pub prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`; `None` where it is none, or where the prefix is 0 or too long.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| digits && (1..=longest).contains(prefix))?;
        Some(Cidr { address, prefix })
    }

    /// Whether `other` is in the same network.
    pub fn holds(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// `[proxy]`: how the agent and the registration reach AWS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxy {
    /// `http_proxy`: `"http://proxy.example.com:3128"`. No user and no password in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `https_proxy`: what AWS is reached through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// `no_proxy`: hosts, domains and addresses that are reached directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_prefix_and_know_their_network() {
        let of = |text| Cidr::parse(text);
        for bad in ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/0", "10.0.0.1/+8", "10.0.0/8", "fe80::1/129"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
        let v4 = of("192.168.7.2/24").unwrap();
        assert!(v4.holds("192.168.7.254".parse().unwrap()) && !v4.holds("192.168.8.1".parse().unwrap()));
        assert!(!v4.holds("::1".parse().unwrap()));
        assert!(of("10.1.2.3/32").unwrap().holds("10.1.2.3".parse().unwrap()));
        let v6 = of("2001:db8::2/64").unwrap();
        assert!(v6.holds("2001:db8::1".parse().unwrap()) && !v6.holds("2001:db9::1".parse().unwrap()));
    }
}
