//! The recipe that `recipe new` prints: every key with a comment, the optional ones commented out.

/// A commented recipe with this name.
pub fn template(name: &str) -> String {
    TEMPLATE.replace("@NAME@", name)
}

const TEMPLATE: &str = r#"# A cardsmith recipe: which base image, what to strip, harden and add, how cards are named and activated.
# It is kept in git and never holds a secret. Check it with `cardsmith recipe check FILE`.

# Name of the fleet or product: a-z, 0-9 and -. Used in file names, tags and the ledger.
name = "@NAME@"

# Another recipe, on top of which this one counts: tables are joined, later wins, lists of things with a name go by the
# name, paths count from the file that says them. `recipe check --resolved` shows what it comes to.
# extends = "base.toml"

[image]
# A path beside this file, an https:// address or s3://bucket/key. Recognised by content: .img, .img.xz, .img.gz, .img.zst, .zip.
source = "2025-11-24-raspios-trixie-arm64-lite.img.xz"
# Digest of the file as published. Required for https and s3.
# sha256 = "…"

[strip]
# What belongs to one machine or one life goes, unless it is kept here: host-keys, machine-id, logs, histories, leases …
# What stays and is meant stands here, too: then plan and audit say nothing more of it. All names, of rules and of groups of
# rules, are in docs/what-is-stripped.md and in the schema; the lines of `cardsmith plan` end with those that fit.
keep = []
# What stays and is named goes, too, if it stands here: wifi, authorized-keys, other-agents, logins, keys, addresses …
also = []
# More that goes: files, or directories with all that is in them.
# remove = ["/home/pi/notes"]
# Zero the bytes between partitions too (they are reported either way).
# gaps = true

# Rules of your own. `*` stands for any part of one name, `~/` for every home, `boot:/` for the boot partition.
# [[strip.rule]]
# path = "~/.config/acme/token"
# what = "the Acme token of one machine"  # plan, manifest and audit show it
# fate = "remove"                         # or "clear" a directory, "empty" a file, "name": it stays, with a warning

[sudo]
# "no-sudo": ssm-user gets a comment-only /etc/sudoers.d/ssm-agent-users, the way AWS documents it. Or "keep".
ssm-user = "no-sudo"
# "remove": every NOPASSWD rule goes, found by parsing sudoers, not by file name. Or "keep".
nopasswd = "remove"
# What to do when nobody could become root afterwards: "refuse", or "accept" where Run Command is the way in.
lockout = "refuse"

# The agent, installed at first boot without network. Leave it out where the image has the agent.
# [agent]
# package = "amazon-ssm-agent_arm64.deb"
# sha256 = "…"

# Where activations come from. Without this section the cards are made, but do not register.
[activation]
# "file": pre-issued ones, a CSV with the header activation_id,activation_code,region. Each row is used once.
from = "file"
# The file, beside this one or anywhere; not in git. Or give it at the bench with --activations FILE.
# path = "activations.csv"
#
# "aws": one activation per card, made when the card is made.
# from = "aws"
# region = "eu-central-1"
# role = "ssm-managed-instance"     # the role's name, not its ARN
# expires = "7d"                    # 30 days at most; 24 hours where it is left out
# tags = { Fleet = "@NAME@" }

[card]
# Host name and SSM default instance name. {serial} or {serial:04} is the card's number, {recipe} the name above.
name = "{recipe}-{serial:04}"
# What happens on a reused card to space that the image does not use: "discard", "zero" or "keep".
unused-space = "discard"

# The person's account. On a fresh image the first user (pi) gets this name and password; elsewhere it is added or changed.
# [user]
# name = "ops"
# password-hash = '$6$…'            # never the password; `openssl passwd -6` prints the hash. Or leave it out: keys only
# groups = ["sudo", "gpio"]         # left out: those of Raspberry Pi OS's first user
# authorized-keys = "ops.pub"       # a file beside this one

# Whether the SSH server starts, and whether it takes passwords. What is left out stays as the image has it.
# [ssh]
# enabled = true
# password-login = false

# Wired interfaces; those not named stay as they are. `hostname` is another word for [card] name.
# [network]
# [[network.interface]]
# name = "eth0"
# dhcp = true                       # or the same static address on every card:
# addresses = ["192.168.7.2/24"]
# gateway = "192.168.7.1"
# dns = ["192.168.7.1"]
# Wi-Fi: the golden image gets the country, each card the network. The password is never in the recipe: it is looked up
# when cards are made, from { env = "…" }, { file = "…" } beside this file, or { ssm-parameter = "…" }.
# [network.wifi]
# ssid = "Depot 5"
# country = "DE"
# psk = { env = "WIFI_PSK" }
# hidden = false

# How the agent and the registration reach AWS.
# [proxy]
# https = "http://proxy.example.com:3128"
# http = "http://proxy.example.com:3128"
# no-proxy = ["169.254.169.254"]

# [locale]
# time-zone = "Europe/London"
# keyboard = "gb"                   # or with a variant: "de(nodeadkeys)"
# locale = "en_GB.UTF-8"            # generated at the first boot where the image does not have it

# Lines for config.txt and words for cmdline.txt, added once. A filter holds for the lines after it.
# [boot]
# config = ["dtparam=i2c_arm=on", "[pi4]", "arm_boost=1"]
# cmdline = ["consoleblank=0"]

# Systemd units: "enabled", "disabled" or "masked".
# [[unit]]
# name = "bluetooth.service"
# state = "disabled"

# What `cardsmith audit` may find without failing, by rule id.
# [audit]
# allow = []

# Files to add. Missing directories are made.
# [[file]]
# path = "/etc/motd"
# text = "Property of Example Ltd.\n"     # or: source = "motd", a file beside this one
# mode = "0644"
# owner = "root"
# group = "root"
# volume = "root"                        # or "boot": the FAT partition, paths from its root
"#;
