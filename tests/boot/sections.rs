//! The sections of a recipe, on a card that boots.

use crate::support::guest::Report;

/// Everything that the stand-in image can do; the password of ops is "correct horse".
pub fn recipe() -> String {
    // What the interface is called is a matter of the slot that QEMU puts it into.
    let names = ["eth0", "ens4", "enp0s1", "enp0s2", "enp0s3", "enp0s4", "enp0s5"];
    let interface = |name: &str| {
        format!("[[network.interface]]\nname = \"{name}\"\naddresses = [\"10.0.2.77/24\"]\ngateway = \"10.0.2.2\"\n")
    };
    names.map(interface).concat() + REST
}

/// The stand-in has no time zones: the recipe brings one.
const REST: &str = r#"
[user]
name = "ops"
password-hash = '$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0'
groups = ["sudo", "gpio"]
authorized-keys = "ops.pub"
[ssh]
enabled = true
password-login = false
[proxy]
https = "http://10.0.2.99:3128"
no-proxy = ["10.0.2.100"]
[locale]
time-zone = "Europe/Berlin"
locale = "C.UTF-8"
[boot]
config = ["gpu_mem=16"]
cmdline = ["cardsmith.test=1"]
[[unit]]
name = "systemd-timesyncd.service"
state = "disabled"
[[unit]]
name = "fstrim.timer"
state = "enabled"
[[unit]]
name = "console-getty.service"
state = "masked"
[[file]]
path = "/usr/share/zoneinfo/Europe/Berlin"
source = "Berlin"
"#;

/// The key of ops.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops@desk\n";

/// What a script in the guest asks, behind common.sh.
pub const ASK: &str = r#"say ops "$(getent passwd ops)"
say ops_groups "$(id -nG ops)"
say ops_home "$(stat -c '%U:%G' /home/ops/.profile) $(stat -c '%a %U' /home/ops/.ssh/authorized_keys)"
say ops_password "$(echo 'correct horse' | runuser -u nobody -- su ops -c 'id -un' 2>&1 | tail -n 1 | sed 's/.*: //')"
say ops_wrong "$(echo 'wrong' | runuser -u nobody -- su ops -c 'id -un' 2>&1 | tail -n 1)"
say ops_root "$(echo 'correct horse' | runuser -u ops -- sudo -S -p '' id -u 2>/dev/null)"
say ssh_password "$(sshd -T 2>/dev/null | sed -n 's/^passwordauthentication //p')"
say addresses "$(ip -4 -o addr show scope global | sed 's/.*inet \([^ ]*\).*/\1/' | tr '\n' ' ' | sed 's/ $//')"
say interfaces "$(ls /sys/class/net | tr '\n' ' ')"
say gateway "$(ip -4 route show default | cut -d' ' -f3)"
say zone "$(date +%Z)"
say lang "$(. /etc/default/locale; echo "$LANG")"
say timesyncd "$(systemctl is-enabled systemd-timesyncd)"
say fstrim "$(systemctl is-enabled fstrim.timer) $(systemctl is-active fstrim.timer)"
say console "$(systemctl is-enabled console-getty.service)"
say proxy_agent "$(systemctl show -P Environment amazon-ssm-agent)"
say proxy_register "$(systemctl show -P Environment cardsmith-register)"
say cmdline "$(cat /proc/cmdline)""#;

/// What the recipe asks for, as the booted system sees it.
#[track_caller]
pub fn hold(report: &Report) {
    let ops = report.get("ops");
    assert!(ops.starts_with("ops:x:1001:1001:") && ops.ends_with(":/home/ops:/bin/bash"), "{ops}");
    assert_ne!(report.get("ops_wrong"), "ops");
    let expected = [
        ("ops_groups", "ops sudo gpio"),
        ("ops_home", "ops:ops 600 ops"),
        // PAM takes the password whose hash the recipe has, and with it sudo makes root.
        ("ops_password", "ops"),
        ("ops_root", "0"),
        ("ssh_password", "no"),
        ("addresses", "10.0.2.77/24"),
        ("gateway", "10.0.2.2"),
        ("lang", "C.UTF-8"),
        // The machine id was `uninitialized`: systemd applied its presets at this boot, and they left these alone.
        ("timesyncd", "disabled"),
        ("fstrim", "enabled active"),
        ("console", "masked"),
        ("proxy_agent", "https_proxy=http://10.0.2.99:3128 no_proxy=10.0.2.100"),
        ("proxy_register", "https_proxy=http://10.0.2.99:3128 no_proxy=10.0.2.100"),
    ];
    // All at once: a boot is too expensive to find one mistake at a time.
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(key, wanted)| report.get(key) != *wanted)
        .map(|(key, wanted)| format!("{key} is {:?}, not {wanted:?}", report.get(key)))
        .collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), report.output);
    assert!(["CET", "CEST"].contains(&report.get("zone")), "{}", report.output);
    assert!(report.get("cmdline").contains(" cardsmith.test=1"), "{}", report.output);
}
