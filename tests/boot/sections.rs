//! The sections of a recipe, on a card that boots.

use crate::support::guest::Report;

/// Everything that the stand-in image can do; the password of ops is "correct horse". It has no time zones: the recipe
/// brings one. Which of the two names the interface has is the kernel's choice.
pub const RECIPE: &str = r#"
[user]
name = "ops"
password-hash = '$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0'
groups = ["sudo", "gpio"]
authorized-keys = "ops.pub"
[ssh]
enabled = true
password-login = false
[[network.interface]]
name = "eth0"
addresses = ["10.0.2.77/24"]
gateway = "10.0.2.2"
[[network.interface]]
name = "enp0s1"
addresses = ["10.0.2.77/24"]
gateway = "10.0.2.2"
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
say addresses "$(ip -4 -o addr show scope global | sed 's/.*inet \([^ ]*\).*/\1/' | tr '\n' ' ')"
say gateway "$(ip -4 route show default | cut -d' ' -f3)"
say zone "$(date +%Z)"
say lang "$(. /etc/default/locale; echo "$LANG")"
say timesyncd "$(systemctl is-enabled systemd-timesyncd)"
say fstrim "$(systemctl is-enabled fstrim.timer) $(systemctl is-active fstrim.timer)"
say console "$(systemctl is-enabled console-getty.service)"
say proxy_agent "$(systemctl show -P Environment amazon-ssm-agent)"
say proxy_register "$(systemctl show -P Environment cardsmith-register)"
say cmdline "$(cat /proc/cmdline)""#;

/// What RECIPE asks for, as the booted system sees it.
#[track_caller]
pub fn hold(report: &Report) {
    let ops = report.get("ops");
    assert!(ops.starts_with("ops:x:1001:1001:") && ops.ends_with(":/home/ops:/bin/bash"), "{ops}");
    assert_eq!(report.get("ops_groups"), "ops sudo gpio");
    assert_eq!(report.get("ops_home"), "ops:ops 600 ops");
    assert_eq!(report.get("ops_password"), "ops", "PAM takes the password whose hash the recipe has");
    assert_ne!(report.get("ops_wrong"), "ops");
    assert_eq!(report.get("ops_root"), "0", "with the password, sudo makes root");
    assert_eq!(report.get("ssh_password"), "no");
    assert_eq!((report.get("addresses").trim(), report.get("gateway")), ("10.0.2.77/24", "10.0.2.2"));
    assert!(["CET", "CEST"].contains(&report.get("zone")), "{}", report.get("zone"));
    assert_eq!(report.get("lang"), "C.UTF-8");
    // The machine id was `uninitialized`: systemd applied its presets at this boot, and they left these alone.
    assert_eq!(report.get("timesyncd"), "disabled");
    assert_eq!(report.get("fstrim"), "enabled active");
    assert_eq!(report.get("console"), "masked");
    for key in ["proxy_agent", "proxy_register"] {
        assert!(
            report.get(key).contains("https_proxy=http://10.0.2.99:3128 no_proxy=10.0.2.100"),
            "{}",
            report.get(key)
        );
    }
    assert!(report.get("cmdline").contains(" cardsmith.test=1"), "{}", report.get("cmdline"));
}
