//! Files that act at the first boot: settings of Imager and cloud-init, and scripts that would register a card by themselves,
//! with somebody's activation. They are found by what they say, and shown by file and line, never by content.

use super::choices::Strip;
use super::rule::Severity::{Error, Note, Warning};
use super::rule::{Rule, rule};
use crate::fs::{FsError, ImagePath, Tree};
use crate::prepare::Class::{Configuration, Identity, Secret};
use crate::prepare::{Class, StepError, View, Volume};

const LIMIT: u64 = 256 << 10;
/// Where people put such scripts.
const LOOKED_AT: &[&str] = &[
    "boot:/user-data",
    "boot:/firstrun.sh",
    "boot:/custom.toml",
    "boot:/rpi-preseed.toml",
    "/etc/rc.local",
    "/etc/systemd/system/*.service",
    "/etc/cron.d/*",
    "/usr/local/bin/*",
    "/usr/local/sbin/*",
    "/var/lib/cloud/seed/*/user-data",
    "~/*.sh",
];

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "registering-script",
        "a script that registers an SSM agent with an activation of its own, or holds an activation code: it would do so \
         on every card",
        Secret,
    )
    .at(LOOKED_AT)
    .with_text(&[
        "(amazon-ssm-agent|ssm-setup-cli).*-register",
        r"(activation_?code\s*=|activation-code\s)\s*\S",
    ])
    .stays(Warning)
    .named(&["registering-script"])
    .back("`[activation]` in the recipe registers each card")
    .source("amazon-ssm-agent, core/agent_parser.go; agent/setupcli")
    .example("#!/bin/sh\namazon-ssm-agent -register -y -code Zm9vYmFyMTIzNDU2Nzg5MA -id 9f8e7d6c -region eu-west-1\n"),
    rule(
        "spent-first-boot-script",
        "a first-boot script that nothing starts any more; such scripts hold the password's hash and the Wi-Fi \
            password",
        Secret,
    )
    .at(&["boot:/firstrun.sh",])
    .part(Error)
    .audited_as("firstrun")
    .named(&["first-boot-files"])
    .back("`[user]` and `[network.wifi]` in the recipe")
    .source("rpi-imager, firstrun.sh")
    .example("#!/bin/bash\necho 'pi:$5$Q2FyZHNtaXRo$9f8e7d6c5b4a39281706f5e4d3c2b1a0' | chpasswd -e\n"),
    rule(
        "user-data",
        "first-boot settings with a password hash, keys, or a host name for every card",
        Secret,
    )
    .at(&[
        "boot:/user-data", "boot:/vendor-data", "/var/lib/cloud/seed/*/user-data",
        "/var/lib/cloud/seed/*/vendor-data",
    ])
    .with_text(&[
        r"^[^#\n]*\$[1-9a-z]{1,8}\$[^\s$]+\$\S",
        r#"^\s*-?[ \t]*["\']?(passwd|password|plain_text_passwd|hashed_passwd|psk|secret|token|api_?key)["\']?[ \t]*[=:][ \t]*[^\s#]"#,
        r"-----BEGIN [A-Z ]*PRIVATE KEY", r"^\s*-?[ \t]*(hostname|fqdn)[ \t]*:[ \t]*\S",
    ])
    .stays(Warning)
    .named(&["user-data", "first-boot-files", "logins"])
    .back("Imager or a recipe writes it again for each card")
    .source("cloud-init, NoCloud seed files; cloud-init modules: users, set_passwords, ssh, write_files; \
             rpi-imager customization_generator.cpp")
    .example("#cloud-config\nhostname: bench-7x2k9q\nuser:\n  name: kim\n  passwd: \
             \"$6$Zr4wq8Lm2Xv6$Yb9sKd3Tn6Ys8Lp1BdQm7Vw4Hj5Ju0GaRx2cPf\"\nssh_pwauth: true\n"),
    rule(
        "meta-data",
        "cloud-init's instance id and host name, the same on every card",
        Identity,
    )
    .at(&["boot:/meta-data", "/var/lib/cloud/seed/*/meta-data"])
    .with_text(&[
        r#"^\s*["\']?(local-hostname|hostname|public-keys)["\']?[ \t]*:[ \t]*\S"#, r"^\s*instance-id[ \t]*:[ \t]*rpi-imager-",
    ])
    .stays(Note)
    .named(&["meta-data", "first-boot-files", "cloud-init"])
    .back("Imager writes it again; cloud-init runs anew because its state is gone")
    .source("cloud-init, NoCloud meta-data; pi-gen stage2/04-cloud-init/files/meta-data")
    .example("instance-id: rpi-imager-1764405172913\nlocal-hostname: bench-7x2k9q4m\n"),
    rule(
        "custom-toml",
        "Imager's first-boot settings, with the user's password hash and the Wi-Fi password",
        Secret,
    )
    .at(&["boot:/custom.toml"])
    .with_text(&[r"^\s*(password|hostname|ssid|authorized_keys|token)[ \t]*="])
    .stays(Warning)
    .named(&["custom-toml", "first-boot-files", "logins"])
    .back("Imager writes it again; it is deleted at the first boot")
    .source("raspberrypi-sys-mods usr/lib/raspberrypi-sys-mods/init_config, firstboot")
    .example("config_version = 1\n[user]\nname = \"kim\"\npassword = \
             \"$5$Zr4wq8Lm2Xv6$Yb9sKd3Tn6Ys8Lp1BdQm7Vw4Hj5Ju0Ga\"\npassword_encrypted = true\n[wlan]\nssid = \
             \"Workshop\"\npassword = \"4f1b7d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53\"\nco\
             untry = \"GB\"\n"),
    rule(
        "rpi-preseed",
        "first-boot settings of rpi-preseed, with passwords and a Raspberry Pi Connect token",
        Secret,
    )
    .at(&["boot:/rpi-preseed.toml"])
    .with_text(&[r"^\s*(password|hostname|ssid|ssid_hex|authorized_keys|token)[ \t]*="])
    .stays(Warning)
    .named(&["rpi-preseed", "first-boot-files", "logins"])
    .back("Imager writes it again for each card")
    .source("rpi-preseed schema/rpi-preseed.schema; rpi-preseed(5); src/rpi-preseed, redact_config_secrets")
    .example("config_version = \"1.0\"\n[wlan]\nssid = \"Workshop\"\npassword = \
             \"Kx7-Tr4v-Qm9z-Ws2b-Hn5c\"\npassword_encrypted = false\n[connect]\nenabled = true\nmode = \
             \"token\"\ntoken = \"rpuak_Zr4wq8Lm2Xv6tYb9sKd3\"\n"),
    rule(
        "rpi-preseed-state",
        "that rpi-preseed has run, its reports, and a salt: a new rpi-preseed.toml is ignored while it is there",
        Identity,
    )
    .at(&["/var/lib/rpi-preseed", "boot:/rpi-preseed"])
    .stays(Note)
    .named(&["rpi-preseed-state", "first-boot-files"])
    .back("rpi-preseed makes it when it runs again")
    .source("rpi-preseed(5), FILES; systemd/rpi-preseed.service, ConditionPathExists; src/lib/redact.sh, \
             SALT_FILE")
    .example_in("redaction-salt", "9c6f21d40b7e4f53a1c87d2e95b03f68"),
    rule(
        "firstrun",
        "Imager's first-boot script, with the user's password hash and the Wi-Fi password",
        Secret,
    )
    .at(&["boot:/firstrun.sh", "boot:/firstrun.sh.bak", "boot:/firstboot.sh", "/boot/firstrun.sh"])
    .with_text(&[r"\$[1-9a-z]{1,8}\$[^\s$]+\$\S", r"\b(set_wlan|wpa_passphrase)[ \t]+\S", r"psk[ \t]*="])
    .stays(Warning)
    .named(&["firstrun", "first-boot-files", "logins"])
    .back("Imager writes it again; it deletes itself at the first boot")
    .source("rpi-imager src/customization_generator.cpp, generateSystemdScript")
    .example("#!/bin/bash\nset +e\n/usr/lib/userconf-pi/userconf 'kim' \
             '$5$Zr4wq8Lm2Xv6$Yb9sKd3Tn6Ys8Lp1BdQm7Vw4'\n/usr/lib/raspberrypi-sys-mods/imager_custom set_wlan \
             'Workshop' '4f1b7d2e95b03f689c6f21d40b7e4f53a1c87d2e95b03f689c6f21d40b7e4f53' 'GB'\nrm -f \
             /boot/firstrun.sh\nexit 0\n"),
    rule(
        "userconf",
        "the first user's name and password hash for every card",
        Secret,
    )
    .at(&["boot:/userconf.txt", "boot:/userconf", "boot:/failed_userconf.txt", "boot:/failed_userconf"])
    .stays(Warning)
    .named(&["userconf", "first-boot-files", "logins"])
    .back("write NAME:HASH again; it is deleted at the first boot")
    .source("userconf-pi, userconf-service")
    .example("kim:$6$Zr4wq8Lm2Xv6$Yb9sKd3Tn6Ys8Lp1BdQm7Vw4Hj5Ju0GaRx2cPf\n"),
    rule(
        "import-ssh-id",
        "a timer that fetches somebody's SSH keys from GitHub or Launchpad on every card",
        Configuration,
    )
    .at(&[
        "/var/lib/raspberrypi-sys-mods/import-ssh", "/etc/systemd/system/import-ssh.timer",
        "/etc/systemd/system/import-ssh.service", "/etc/systemd/system/timers.target.wants/import-ssh.timer",
    ])
    .stays(Warning)
    .named(&["import-ssh-id", "logins", "first-boot-files"])
    .back("ssh-import-id, or Imager's setting")
    .source("raspberrypi-sys-mods usr/lib/raspberrypi-sys-mods/imager_custom, import_ssh_id")
    .example("#!/bin/sh\nrunuser -u kim -- ssh-import-id gh:kim-7x2k9q4m3z8v6w\n"),
    rule("first-boot-markers", "files by which Raspberry Pi OS is told what to do at its first boot", Configuration)
        .at(&["boot:/ssh", "boot:/ssh.txt"])
        .wanted()
        .source("raspberrypi-sys-mods, sshswitch.service")
        .example("an empty file will do just as well as this line of 1f0e2d3c\n"),
];

/// Proposes that a first-boot script goes which has run.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    if !strip.keeps("first-boot-files") {
        spent_firstrun(view)?;
    }
    Ok(())
}

/// Imager's firstrun.sh deletes itself and its words in cmdline.txt. One that cmdline.txt does not name never runs, but
/// holds the user's password hash and the Wi-Fi password.
fn spent_firstrun(view: &mut View<'_>) -> Result<(), FsError> {
    let script = ImagePath::new("/firstrun.sh")?;
    if nothing_starts_firstrun(view)? {
        let why = "a first-boot script that nothing starts any more; such scripts hold passwords";
        view.remove(Volume::Boot, &script, Class::Secret.because(why, "rpi-imager, firstrun.sh"))?;
    }
    Ok(())
}

/// Whether the kernel's command line is there and does not name the script.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn nothing_starts_firstrun(view: &View<'_>) -> Result<bool, FsError> {
    let words = view.boot().text(&ImagePath::new("/cmdline.txt")?, LIMIT)?;
    Ok(words.is_some_and(|words| !words.contains("firstrun.sh")))
}
