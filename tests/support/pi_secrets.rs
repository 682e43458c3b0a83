//! What a card holds that lived in a fleet: the agent's vault, credentials, logs, keys, histories. Formats as
//! the agent writes them; the keys are real keys, the rest is told apart from real secrets by its text.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::pi_image::{Generation, Spec};
use super::pi_tree::{Tree, append};
use super::run::run;

/// The managed node that the card was.
pub const INSTANCE_ID: &str = "mi-0a1b2c3d4e5f60718";
/// A session transcript with FS_APPEND_FL set, as a power cut in a session leaves it.
pub const APPEND_ONLY: &str = "var/lib/amazon/ssm/mi-0a1b2c3d4e5f60718/session/orchestration/ops-0f1e2d3c4b5a69788/Standard_Stream/ipcTempFile.log";

const FINGERPRINT: &str = "5f0c1b7e-8d2a-4c61-9a3f-fedcba987654";
const MACHINE_ID: &str = "c0ffee00deadbeef0123456789abcdef";
const ACTIVATION_CODE: &str = "FixtureCodeA1b2C3d4E5";
const ACTIVATION_ID: &str = "0a0b0c0d-1111-4222-8333-444455556666";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEFIXTUREsessionTOKENthatMustNotLeak//////////wEaCWV1LXdlc3QtMSJHMEUCIQ";
const ACCESS_KEY: &str = "ASIAFIXTURE0KEY0ONE0";
const SECRET_KEY: &str = "fixtureSecretAccessKey/ofTheAgentsRole+0001";
const USER_KEY: &str = "AKIAFIXTURE0USER0KEY";
const PSK: &str = "00fixture0psk0000000000000000000000000000000000000000000000c0de";
const TRANSCRIPT: &str = "fixture transcript: export DB_PASSWORD=hunter2-in-a-session";
const AUTHORIZED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIFixtureAuthorizedKeyOfTheOperator000000000000000";
const CLOUD_INSTANCE: &str = "iid-fixture-0042";

pub fn fill(t: &mut Tree, spec: &Spec) {
    vault(t);
    runtime(t);
    logs(t);
    ssh(t);
    identity(t);
    network(t);
    if spec.generation == Generation::Trixie {
        cloud_init(t);
    }
    t.file("etc/sudoers.d/ssm-agent-users", 0o440, "# User rules for ssm-user\nssm-user ALL=(ALL) NOPASSWD:ALL\n");
    t.owned((1001, 1001), "home/ssm-user/.bash_history", 0o600, format!("sudo cat /etc/shadow # {ACTIVATION_ID}\n"));
    t.own((1001, 1001), "home/ssm-user");
}

fn vault(t: &mut Tree) {
    let pem = run(Command::new("openssl").args(["genrsa", "-traditional", "2048"])).stdout;
    let pem = String::from_utf8(pem).unwrap();
    let key: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    t.needle("vault-key", &key.as_bytes()[600..660]);
    t.needle("instance-id", INSTANCE_ID);
    t.needle("fingerprint", FINGERPRINT);
    let s = "var/lib/amazon/ssm";
    for (prefix, name, instance_type) in [("", "RegistrationKey", ""), ("EC2", "EC2RegistrationKey", "t4g.small")] {
        t.file(
            &format!("{s}/Vault/Store/{name}"),
            0o600,
            format!(
                "{{\"instanceID\":\"{INSTANCE_ID}\",\"region\":\"eu-west-1\",\"instanceType\":\"{instance_type}\",\"availabilityZone\":\"\",\
                 \"privateKey\":\"{key}\",\"publicKey\":\"\",\"privateKeyType\":\"Rsa\",\
                 \"privateKeyCreatedDate\":\"2025-10-01 00:00:00 +0000 UTC\"}}"
            ),
        );
        t.file(
            &format!("{s}/Vault/{prefix}Manifest"),
            0o600,
            format!(
                "{{\"InstanceFingerprint\":\"/{s}/Vault/Store/InstanceFingerprint\",\"RegistrationKey\":\"/{s}/Vault/Store/{name}\"}}"
            ),
        );
    }
    t.file(
        &format!("{s}/Vault/Store/InstanceFingerprint"),
        0o600,
        format!(
            "{{\"fingerprint\":\"{FINGERPRINT}\",\"hardwareHash\":{{\"hostname-info\":\"cmFzcGJlcnJ5cGk=\",\"ipaddress-info\":\"MTAuMC4wLjI=\",\
             \"machine-id\":\"{}\",\"processor-hash\":\"\"}},\"similarityThreshold\":40}}",
            BASE64.encode(MACHINE_ID)
        ),
    );
    t.dir(&format!("{s}/Vault/Store"), 0o700);
    t.dir(&format!("{s}/Vault"), 0o700);
    t.file(
        &format!("{s}/registration"),
        0o600,
        format!("{{\"ManagedInstanceID\":\"{INSTANCE_ID}\",\"Region\":\"eu-west-1\"}}"),
    );
}

fn runtime(t: &mut Tree) {
    let s = "var/lib/amazon/ssm";
    t.needle("session-token", TOKEN);
    t.needle("secret-access-key", SECRET_KEY);
    t.needle("session-transcript", TRANSCRIPT);
    t.needle("user-aws-key", USER_KEY);
    t.file(
        &format!("{s}/runtimeconfig/identity_config.json"),
        0o600,
        format!(
            "{{\"SchemaVersion\":\"1.1\",\"InstanceId\":\"{INSTANCE_ID}\",\"IdentityType\":\"OnPrem\",\"ShareFile\":\"/root/.aws/credentials\",\
             \"ShareProfile\":\"\",\"CredentialsExpiresAt\":\"2025-10-02T01:00:00Z\",\"CredentialsRetrievedAt\":\"2025-10-02T00:00:00Z\",\
             \"CredentialSource\":\"SSM\"}}"
        ),
    );
    t.dir(&format!("{s}/runtimeconfig"), 0o700);
    t.file(
        "root/.aws/credentials",
        0o600,
        format!(
            "[default]\naws_access_key_id     = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token     = {TOKEN}\n\n\
             [backup]\naws_access_key_id     = {USER_KEY}\naws_secret_access_key = operatorsOwnKeyThatStays\n"
        ),
    );
    t.dir("root/.aws", 0o700);
    t.file(&format!("{s}/credentials"), 0o600, format!("[default]\naws_session_token = {TOKEN}\n"));
    let i = format!("{s}/{INSTANCE_ID}");
    t.file(APPEND_ONLY, 0o600, format!("{TRANSCRIPT}\n").repeat(40));
    t.file(
        &format!("{i}/document/state/completed/cmd-0001"),
        0o600,
        format!("{{\"DocumentInformation\":{{\"InstanceID\":\"{INSTANCE_ID}\"}}}}"),
    );
    t.file(
        &format!("{i}/document/orchestration/cmd-0001/awsrunShellScript/0.awsrunShellScript/_script.sh"),
        0o700,
        "#!/bin/sh\nexport DB_PASSWORD=hunter2-in-a-session\n",
    );
    t.file(&format!("{i}/channels/health/surveyor-1"), 0o600, "x");
    t.file(&format!("{i}/inventory/file/content"), 0o600, "{}");
    t.dir(&i, 0o700);
    t.dir(&format!("{s}/ipc"), 0o750);
    t.file(&format!("{s}/ipc/health"), 0o600, "");
    t.file(&format!("{s}/daemons/runner.json"), 0o600, "{\"Name\":\"runner\",\"ExecutableLocation\":\"/opt/run\"}");
    t.file(&format!("{s}/localcommands/submitted/doc.json"), 0o600, "{}");
    t.file(&format!("{s}/download/update/amazon-ssm-agent.tar.gz"), 0o600, vec![b'd'; 20_000]);
    t.file(
        &format!("{s}/update/amazon-ssm-agent/updatecontext.json"),
        0o600,
        format!("{{\"InstanceID\":\"{INSTANCE_ID}\"}}"),
    );
    t.file(
        &format!("{s}/inventory/custom/site.json"),
        0o600,
        "{\"SchemaVersion\":\"1.0\",\"TypeName\":\"Custom:Site\"}",
    );
    t.file(
        "etc/amazon/ssm/amazon-ssm-agent.json",
        0o600,
        format!(
            "{{\n  \"Profile\": {{\"ShareCreds\": true}},\n  \"Agent\": {{\"Region\": \"eu-west-1\"}},\n  \"Identity\": {{\n    \
             \"ConsumptionOrder\": [\"OnPrem\", \"EC2\"],\n    \"CustomIdentities\": [\n      {{\"InstanceID\": \"{INSTANCE_ID}\", \
             \"Region\": \"eu-west-1\", \"PrivateKey\": \"\"}}\n    ]\n  }},\n  \"Ssm\": {{\"HealthFrequencyMinutes\": 5}}\n}}\n"
        ),
    );
}

fn logs(t: &mut Tree) {
    t.needle("activation-code", ACTIVATION_CODE);
    t.needle("activation-id", ACTIVATION_ID);
    let registers =
        format!("amazon-ssm-agent -register -code \"{ACTIVATION_CODE}\" -id \"{ACTIVATION_ID}\" -region eu-west-1");
    let l = "var/log/amazon/ssm";
    for name in [
        "amazon-ssm-agent.log",
        "amazon-ssm-agent.log.1",
        "errors.log",
        "hibernate.log",
        "audits/amazon-ssm-agent-audit-2025-10-01",
    ] {
        t.file(&format!("{l}/{name}"), 0o600, format!("2025-10-01 INFO [{INSTANCE_ID}] started\n").repeat(80));
    }
    t.dir(l, 0o700);
    t.owned((0, 4), "var/log/auth.log", 0o640, format!("Oct  1 raspberrypi sudo: pi : COMMAND=/usr/bin/{registers}\n"));
    t.owned(
        (0, 4),
        "var/log/auth.log.1",
        0o640,
        format!("Oct  1 raspberrypi sudo: pi : COMMAND=/usr/bin/{registers}\n"),
    );
    t.owned((0, 4), "var/log/syslog", 0o640, format!("Oct  1 raspberrypi amazon-ssm-agent: {INSTANCE_ID}\n"));
    let mut journal = b"LPKSHHRH".to_vec();
    journal.resize(4096, 0);
    journal.extend_from_slice(format!("MESSAGE=pi : COMMAND=/usr/bin/{registers}\0_HOSTNAME=raspberrypi\0").as_bytes());
    journal.resize(64 << 10, 0);
    t.file(&format!("var/log/journal/{MACHINE_ID}/system.journal"), 0o640, journal);
    t.file("root/.bash_history", 0o600, format!("{registers}\nreboot\n"));
    t.owned((1000, 1000), "home/pi/.bash_history", 0o600, format!("sudo {registers}\nls\n"));
    t.owned((1000, 1000), "home/pi/.python_history", 0o600, "import boto3\n");
    t.owned((1000, 1000), "home/pi/.lesshst", 0o600, ".less-history-file:\n");
}

fn ssh(t: &mut Tree) {
    t.dir("etc/ssh", 0o755);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let path = t.root().join(format!("etc/ssh/ssh_host_{kind}_key"));
        run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "root@raspberrypi", "-f"]).arg(&path));
        let text = fs::read_to_string(&path).unwrap();
        // Not the first two lines: their bytes are the same in every key of a kind.
        let line = text.lines().nth(3).unwrap();
        t.needle(&format!("host-key-{kind}"), &line.as_bytes()[..line.len().min(60)]);
    }
    // The beginning: with inline_data a small file is split behind its first 60 bytes.
    t.needle("authorized-key", &AUTHORIZED[..40]);
    t.owned((1000, 1000), "home/pi/.ssh/authorized_keys", 0o600, format!("ssh-ed25519 {AUTHORIZED} operator\n"));
    t.owned((1000, 1000), "home/pi/.ssh/known_hosts", 0o600, "|1|Zml4dHVyZQ==|Zml4dHVyZQ== ssh-ed25519 AAAA\n");
    t.dir("home/pi/.ssh", 0o700);
    t.own((1000, 1000), "home/pi/.ssh");
}

fn identity(t: &mut Tree) {
    t.needle("machine-id", MACHINE_ID);
    t.file("etc/machine-id", 0o444, format!("{MACHINE_ID}\n"));
    t.link("var/lib/dbus/machine-id", "/etc/machine-id");
    let seed: Vec<u8> = (0..512u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    t.needle("random-seed", &seed[100..140]);
    t.file("var/lib/systemd/random-seed", 0o600, &seed);
    t.file("var/lib/systemd/credential.secret", 0o400, "fixture credential secret 0123456789\n");
}

fn network(t: &mut Tree) {
    t.needle("wifi-psk", PSK);
    t.file(
        "etc/NetworkManager/system-connections/preconfigured.nmconnection",
        0o600,
        format!(
            "[connection]\nid=preconfigured\nuuid=7d7c6b5a-0000-4000-8000-000000000001\ntype=wifi\n[wifi]\nssid=FixtureNet\n\
             [wifi-security]\nkey-mgmt=wpa-psk\npsk={PSK}\n"
        ),
    );
    t.file(
        "etc/wpa_supplicant/wpa_supplicant.conf",
        0o600,
        format!("country=GB\nnetwork={{\n\tssid=\"FixtureNet\"\n\tpsk={PSK}\n}}\n"),
    );
    t.needle("lease", "lease-of-10.99.88.77");
    t.file(
        "var/lib/NetworkManager/internal-7d7c6b5a-wlan0.lease",
        0o600,
        "# lease-of-10.99.88.77\nADDRESS=10.99.88.77\n",
    );
    t.file("var/lib/NetworkManager/secret_key", 0o600, "nm-v2:fixture secret key 0123456789");
    t.file("var/lib/NetworkManager/timestamps", 0o644, "[timestamps]\n7d7c6b5a=1760000000\n");
    t.file("var/lib/NetworkManager/seen-bssids", 0o644, "[seen-bssids]\n");
    t.file("var/lib/dhcp/dhclient.eth0.leases", 0o644, "lease {\n  # lease-of-10.99.88.77\n}\n");
    t.file("var/lib/dhcpcd/eth0.lease", 0o644, "lease-of-10.99.88.77");
}

fn cloud_init(t: &mut Tree) {
    t.needle("cloud-instance", CLOUD_INSTANCE);
    let i = format!("var/lib/cloud/instances/{CLOUD_INSTANCE}");
    t.file(
        &format!("{i}/user-data.txt"),
        0o600,
        format!("#cloud-config\nruncmd:\n - amazon-ssm-agent -register -code {ACTIVATION_CODE}\n"),
    );
    t.file(&format!("{i}/scripts/part-001"), 0o700, "#!/bin/sh\ntrue\n");
    t.file(&format!("{i}/sem/config_users_groups"), 0o644, "");
    t.link("var/lib/cloud/instance", &format!("/{i}"));
    t.file("var/lib/cloud/data/instance-id", 0o644, format!("{CLOUD_INSTANCE}\n"));
    t.file("var/lib/cloud/data/previous-instance-id", 0o644, "NO_PREVIOUS_INSTANCE_ID\n");
    t.owned((0, 4), "var/log/cloud-init.log", 0o640, format!("{CLOUD_INSTANCE}: done\n"));
    t.owned((0, 4), "var/log/cloud-init-output.log", 0o640, format!("{CLOUD_INSTANCE}: {ACTIVATION_CODE}\n"));
    t.file(
        "etc/sudoers.d/90-cloud-init-users",
        0o440,
        "# Created by cloud-init\n\n# User rules for ops\nops ALL=(ALL) NOPASSWD:ALL\n",
    );
}

/// What people do before they clone a card: delete what they know of, with `rm`, on a mounted copy.
pub fn clean_by_hand(root: &Path) {
    let script = "cd \"$1\" && chattr -a \"$2\" && rm -rf var/lib/amazon/ssm/* var/log/amazon root/.aws etc/ssh/ssh_host_* \
                  root/.bash_history home/*/.bash_history var/log/auth.log* var/log/journal/* && : >etc/machine-id";
    run(Command::new("sh").args(["-c", script, "sh"]).arg(root).arg(APPEND_ONLY));
}

/// The last minute before the plug is pulled: a new vault, new logs, files that are deleted while a process has them
/// open. Everything is in the journal when this returns, and nearly nothing at its home. The files must stay open.
pub fn live_on(root: &Path) -> Vec<File> {
    let ssm = root.join("var/lib/amazon/ssm");
    run(Command::new("sh")
        .args(["-c", "cd \"$1\" && cp -a Vault Vault.new && rm -rf Vault && mv Vault.new Vault", "sh"])
        .arg(&ssm));
    let mut open = Vec::new();
    for (name, size) in [("deleted-but-open", 200_000), ("deleted-and-small", 30)] {
        let path = root.join("var/log").join(name);
        fs::write(&path, format!("{INSTANCE_ID} ").repeat(size / 20)).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        file.sync_all().unwrap();
        fs::remove_file(&path).unwrap();
        open.push(file);
    }
    // An old file too: its inode goes to the orphans, its blocks stay allocated.
    let old = root.join("usr/share/doc/large");
    open.push(File::open(&old).unwrap());
    fs::remove_file(&old).unwrap();
    // Made but never synced: after the replay it has no bytes. (A file that is truncated and written again would be
    // flushed when it is closed: ext4's auto_da_alloc.)
    fs::remove_file(ssm.join("registration")).unwrap();
    fs::write(
        ssm.join("registration"),
        format!("{{\"ManagedInstanceID\":\"{INSTANCE_ID}\",\"Region\":\"eu-west-1\"}}"),
    )
    .unwrap();
    fs::create_dir_all(root.join("var/log/made-before-the-cut/deep")).unwrap();
    append(&root.join("var/log/made-before-the-cut/deep/log"), "last words\n");
    append(&ssm.join("Vault/Store/RegistrationKey"), "");
    open
}
