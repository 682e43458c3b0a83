# Sent in front of every script that a test runs in a booted card (scripts/boot-test --run). Answers are lines "key=value".
# shellcheck shell=dash
VAULT=/var/lib/amazon/ssm/Vault/Store/RegistrationKey

say() { printf '%s=%s\n' "$1" "$2"; }

# until_true SECONDS COMMAND…: false when the time is up.
until_true() {
	limit=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		limit=$((limit - 1))
		if [ "$limit" -le 0 ]; then
			echo "gave up waiting for: $*"
			return 1
		fi
		sleep 1
	done
}

# The guest has no time server; say that the clock is right, as systemd-timesyncd would.
clock_is_right() {
	mkdir -p /run/systemd/timesync
	touch /run/systemd/timesync/synchronized
}

vault_id() { sed -n 's/.*"instanceID":"\([^"]*\)".*/\1/p' "$VAULT" 2>/dev/null; }
fingerprint() { sed -n 's/.*"fingerprint":"\([^"]*\)".*/\1/p' /var/lib/amazon/ssm/Vault/Store/InstanceFingerprint 2>/dev/null; }
registered() { [ -n "$(vault_id)" ]; }
agent_runs() { systemctl -q is-active amazon-ssm-agent && grep -q "$(vault_id)" /var/lib/amazon/ssm/runtimeconfig/identity_config.json; }

# What the real agent does when somebody starts a session: it creates ssm-user, if there is none.
open_session() {
	touch /run/amazon-ssm-agent.open-session
	until_true 60 test ! -e /run/amazon-ssm-agent.open-session
}

may_become_root() { # USER: asks sudo itself, as that user and without a terminal
	if ! id "$1" >/dev/null 2>&1; then
		echo no-such-user
	elif setsid runuser -u "$1" -- sudo -n true >/dev/null 2>&1; then
		echo granted
	else
		echo refused
	fi
}

report() {
	say hostname "$(hostname)"
	say machine_id "$(cat /etc/machine-id)"
	if mountpoint -q /etc/machine-id; then say machine_id_kept no; else say machine_id_kept yes; fi
	say instance_id "$(vault_id)"
	say registration "$(sed -n 's/.*"ManagedInstanceID":"\([^"]*\)".*/\1/p' /var/lib/amazon/ssm/registration 2>/dev/null)"
	say fingerprint "$(fingerprint)"
	say sudo_pi "$(may_become_root pi)"
	say sudo_ssm_user "$(may_become_root ssm-user)"
	say ssm_rules "$(stat -c '%F %a %u:%g' /etc/sudoers.d/ssm-agent-users 2>&1)"
	for key in rsa ecdsa ed25519; do
		say "host_key_$key" "$(ssh-keygen -lf "/etc/ssh/ssh_host_${key}_key.pub" 2>/dev/null | cut -d' ' -f2)"
	done
	say sshd "$(systemctl is-active ssh)"
	say agent "$(systemctl is-active amazon-ssm-agent)"
	say failed_units "$(systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\n' ' ')"
	say system "$(systemctl is-system-running)"
	say uptime "$(cut -d' ' -f1 /proc/uptime)"
}
