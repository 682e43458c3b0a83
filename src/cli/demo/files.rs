//! What the demo's root file system holds: a Raspberry Pi OS in miniature, after a registered life. Paths, owners and
//! modes are those of a real card, because the steps go by them; programs are stand-ins that run nowhere.

use super::machine::{Machine, filler};

/// One thing in the root file system.
pub(super) enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Vec<u8>),
    /// A symlink and its target.
    Link(&'static str),
}

/// A path with its mode, owner and content.
pub(super) struct Entry {
    /// Absolute.
    pub path: String,
    /// Permission bits.
    pub mode: u16,
    /// User and group, the same number.
    pub owner: u32,
    /// What it is.
    pub node: Node,
}

const UNIT: &str =
    "[Unit]\nDescription=Stand-in\n\n[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n";
const SSM: &str = "/var/lib/amazon/ssm";

/// The 64-byte header of an arm64 ELF program, and some bytes of it.
fn program(name: &str) -> Vec<u8> {
    // An ELF header for AArch64 (machine 0xb7), by which `inspect` tells the architecture.
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xb7, 0, 1, 0, 0, 0];
    bytes.resize(64, 0);
    bytes.extend(filler(name, 20_000));
    bytes
}

/// Everything, parents before children.
pub(super) fn entries(machine: &Machine) -> Vec<Entry> {
    let mut list = List(Vec::new());
    system(&mut list, machine);
    accounts(&mut list);
    agent(&mut list, machine);
    life(&mut list, machine);
    list.0
}

struct List(Vec<Entry>);

impl List {
    fn push(&mut self, path: impl Into<String>, mode: u16, owner: u32, node: Node) {
        self.0.push(Entry { path: path.into(), mode, owner, node });
    }
    fn directories(&mut self, paths: &[&str]) {
        for path in paths {
            self.push(*path, 0o755, 0, Node::Directory);
        }
    }
    fn private_directory(&mut self, path: impl Into<String>) {
        self.push(path, 0o700, 0, Node::Directory);
    }
    fn file(&mut self, path: impl Into<String>, mode: u16, content: impl Into<Vec<u8>>) {
        self.push(path, mode, 0, Node::File(content.into()));
    }
    fn link(&mut self, path: &str, target: &'static str) {
        self.push(path, 0o777, 0, Node::Link(target));
    }
}

fn system(list: &mut List, machine: &Machine) {
    list.directories(&[
        "/usr",
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/lib/systemd",
        "/usr/lib/systemd/system",
        "/usr/lib/firmware",
        "/usr/share",
        "/etc",
        "/etc/systemd",
        "/etc/systemd/system",
        "/etc/systemd/system/multi-user.target.wants",
        "/etc/ssh",
        "/etc/NetworkManager",
        "/etc/NetworkManager/system-connections",
        "/etc/default",
        "/var",
        "/var/lib",
        "/var/lib/systemd",
        "/var/lib/systemd/timesync",
        "/var/lib/dbus",
        "/var/lib/dpkg",
        "/var/lib/dpkg/info",
        "/var/lib/NetworkManager",
        "/var/log",
        "/var/log/apt",
        "/var/cache",
        "/boot",
        "/boot/firmware",
        "/home",
        "/dev",
        "/proc",
        "/sys",
        "/run",
        "/mnt",
        "/opt",
        "/srv",
    ]);
    list.push("/tmp", 0o1777, 0, Node::Directory);
    list.push("/var/tmp", 0o1777, 0, Node::Directory);
    for (path, target) in [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib"), ("/var/run", "/run")] {
        list.link(path, target);
    }
    list.file("/usr/lib/os-release", 0o644, OS_RELEASE);
    list.link("/etc/os-release", "../usr/lib/os-release");
    list.file("/etc/debian_version", 0o644, "12.11\n");
    list.file("/etc/rpi-issue", 0o644, ISSUE);
    list.file("/etc/hostname", 0o644, "bench-pi\n");
    list.file("/etc/hosts", 0o644, "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost\n\n127.0.1.1\tbench-pi\n");
    let fstab = format!(
        "proc /proc proc defaults 0 0\nPARTUUID={} /boot/firmware vfat defaults 0 2\nPARTUUID={} / ext4 defaults,noatime 0 1\n",
        machine.partuuid(1),
        machine.partuuid(2)
    );
    list.file("/etc/fstab", 0o644, fstab);
    for name in ["sh", "systemctl", "ssh-keygen", "sudo", "shred", "bash", "sync", "true"] {
        list.file(format!("/usr/bin/{name}"), 0o755, program(name));
    }
    for name in ["sshd", "visudo", "useradd"] {
        list.file(format!("/usr/sbin/{name}"), 0o755, program(name));
    }
    list.file("/usr/lib/systemd/systemd", 0o755, program("systemd"));
    // Bulk: used space should be visible in the picture of the image.
    list.file("/usr/lib/firmware/stand-in.bin", 0o644, filler("firmware", 12 << 20));
    for unit in
        ["ssh.service", "systemd-timesyncd.service", "systemd-machine-id-commit.service", "NetworkManager.service"]
    {
        list.file(format!("/usr/lib/systemd/system/{unit}"), 0o644, UNIT);
    }
    list.file("/usr/lib/systemd/system/regenerate_ssh_host_keys.service", 0o644, REGENERATE);
    list.link("/etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service");
    list.file("/etc/ssh/sshd_config", 0o644, "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
    list.file("/var/lib/dpkg/status", 0o644, DPKG_STATUS);
    list.file("/var/lib/systemd/timesync/clock", 0o644, "");
}

fn accounts(list: &mut List) {
    list.file("/etc/passwd", 0o644, PASSWD);
    list.push("/etc/shadow", 0o640, 0, Node::File(SHADOW.into()));
    list.file("/etc/group", 0o644, GROUP);
    list.file("/etc/sudoers", 0o440, SUDOERS);
    list.push("/etc/sudoers.d", 0o750, 0, Node::Directory);
    // As Raspberry Pi OS shipped it until 2026-04.
    list.file("/etc/sudoers.d/010_pi-nopasswd", 0o440, "pi ALL=(ALL) NOPASSWD: ALL\n");
    list.file("/etc/sudoers.d/010_proxy", 0o440, "Defaults env_keep += \"http_proxy https_proxy no_proxy\"\n");
    // What the agent makes by itself at the first session: agent/session/utility/utility_unix.go.
    list.file("/etc/sudoers.d/ssm-agent-users", 0o440, "# User rules for ssm-user\nssm-user ALL=(ALL) NOPASSWD:ALL\n");
    list.private_directory("/root");
    list.push("/home/pi", 0o700, 1000, Node::Directory);
    list.push("/home/ssm-user", 0o700, 1001, Node::Directory);
}

fn agent(list: &mut List, machine: &Machine) {
    let id = &machine.instance_id;
    list.directories(&["/etc/amazon", "/etc/amazon/ssm", "/var/lib/amazon", "/var/log/amazon"]);
    list.file("/usr/bin/amazon-ssm-agent", 0o755, program("amazon-ssm-agent"));
    list.file("/usr/bin/ssm-agent-worker", 0o755, program("ssm-agent-worker"));
    list.file("/usr/lib/systemd/system/amazon-ssm-agent.service", 0o644, AGENT_UNIT);
    list.link(
        "/etc/systemd/system/multi-user.target.wants/amazon-ssm-agent.service",
        "/usr/lib/systemd/system/amazon-ssm-agent.service",
    );
    list.file(
        "/etc/amazon/ssm/amazon-ssm-agent.json",
        0o600,
        "{\n    \"Identity\": {\n        \"ConsumptionOrder\": [\"OnPrem\"]\n    }\n}\n",
    );
    list.directories(&[SSM]);
    // No x bit on a directory: the agent makes it so, and root does not need it.
    list.push(format!("{SSM}/Vault"), 0o600, 0, Node::Directory);
    list.push(format!("{SSM}/Vault/Store"), 0o600, 0, Node::Directory);
    list.file(
        format!("{SSM}/Vault/Manifest"),
        0o600,
        format!(r#"{{"InstanceFingerprint":"{SSM}/Vault/Store/InstanceFingerprint","RegistrationKey":"{SSM}/Vault/Store/RegistrationKey"}}"#),
    );
    list.file(
        format!("{SSM}/Vault/Store/RegistrationKey"),
        0o600,
        format!(
            r#"{{"instanceID":"{id}","region":"eu-central-1","instanceType":"","availabilityZone":"","privateKey":"{}","publicKey":"","privateKeyType":"Rsa","privateKeyCreatedDate":"2026-02-03 04:05:06.000000000 +0000 UTC"}}"#,
            machine.agent_key
        ),
    );
    list.file(
        format!("{SSM}/Vault/Store/InstanceFingerprint"),
        0o600,
        format!(
            r#"{{"fingerprint":"{}","hardwareHash":{{"machine-id":"{}"}},"similarityThreshold":40}}"#,
            machine.fingerprint, machine.machine_id
        ),
    );
    list.file(
        format!("{SSM}/registration"),
        0o600,
        format!(r#"{{"ManagedInstanceID":"{id}","Region":"eu-central-1"}}"#),
    );
    list.private_directory(format!("{SSM}/runtimeconfig"));
    list.file(
        format!("{SSM}/runtimeconfig/identity_config.json"),
        0o600,
        format!(
            r#"{{"SchemaVersion":"1.1","InstanceId":"{id}","IdentityType":"OnPrem","ShareFile":"/root/.aws/credentials","ShareProfile":"","CredentialSource":"SSM"}}"#
        ),
    );
    for part in ["", "/document", "/document/state", "/document/orchestration", "/session", "/session/orchestration"] {
        list.private_directory(format!("{SSM}/{id}{part}"));
    }
    list.file(
        format!("{SSM}/{id}/session/orchestration/ipcTempFile.log"),
        0o600,
        format!("$ hostnamectl\n Machine ID: {}\n$ exit\n", machine.machine_id),
    );
    list.private_directory("/var/log/amazon/ssm");
    list.file(
        "/var/log/amazon/ssm/amazon-ssm-agent.log",
        0o600,
        format!("2026-02-03 04:05:06 INFO [ssm-agent-worker] registered as {id}\n").repeat(40),
    );
    // Where the agent shares its credentials with other programs.
    list.private_directory("/root/.aws");
    list.file(
        "/root/.aws/credentials",
        0o600,
        format!(
            "[default]\naws_access_key_id     = ASIADEMODEMODEMODEMO\naws_secret_access_key = {}\naws_session_token     = {}\n",
            // 40 characters, as a real one has. Which ones does not matter.
            &machine.host_key.chars().rev().filter(char::is_ascii_alphanumeric).take(40).collect::<String>(),
            machine.session_token
        ),
    );
}

/// What months on a bench leave behind.
fn life(list: &mut List, machine: &Machine) {
    list.file("/etc/machine-id", 0o444, format!("{}\n", machine.machine_id));
    list.link("/var/lib/dbus/machine-id", "/etc/machine-id");
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let body: Vec<String> =
            // OpenSSH wraps at 70 characters.
            machine.host_key.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let key =
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", body.join("\n"));
        list.file(format!("/etc/ssh/ssh_host_{kind}_key"), 0o600, key);
        list.file(format!("/etc/ssh/ssh_host_{kind}_key.pub"), 0o644, format!("ssh-{kind} AAAA root@bench-pi\n"));
    }
    list.push("/var/lib/systemd/random-seed", 0o600, 0, Node::File(filler(&machine.machine_id, 512)));
    list.file(
        "/etc/NetworkManager/system-connections/bench.nmconnection",
        0o600,
        format!(
            "[connection]\nid=bench\ntype=wifi\n\n[wifi]\nssid=bench\n\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={}\n",
            machine.wifi_password
        ),
    );
    let register = format!(
        "amazon-ssm-agent -register -code {} -id {} -region eu-central-1",
        machine.activation_code, machine.activation_id
    );
    // Typed by root, typed by a user, and logged by sudo: where codes are found in real images.
    list.file("/root/.bash_history", 0o600, format!("apt update\n{register}\nreboot\n"));
    list.push("/home/pi/.bash_history", 0o600, 1000, Node::File(format!("ls\nsudo {register}\n").into()));
    list.file(
        "/var/log/auth.log",
        0o640,
        format!(
            "Feb  3 04:05:01 bench-pi sudo: pi : TTY=pts/0 ; PWD=/home/pi ; USER=root ; COMMAND=/usr/bin/{register}\n"
        ),
    );
    list.file("/var/log/syslog", 0o640, "Feb  3 04:05:01 bench-pi systemd[1]: Started stand-in.\n".repeat(200));
    list.directories(&["/var/log/journal"]);
    let journal = format!("/var/log/journal/{}", machine.machine_id);
    list.push(journal.clone(), 0o755, 0, Node::Directory);
    // The signature of a journal file; the rest is noise, with an id in it.
    let mut bytes = b"LPKSHHRH".to_vec();
    bytes.extend(filler("journal", 60_000));
    bytes.extend(format!("_MACHINE_ID={}\nMESSAGE={}\n", machine.machine_id, machine.instance_id).bytes());
    list.file(format!("{journal}/system.journal"), 0o640, bytes);
}

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
/// As pi-gen writes it; "cardsmith demo" keeps it apart from a real image.
pub(super) const ISSUE: &str =
    "Raspberry Pi reference 2025-11-24\nGenerated using cardsmith demo, a stand-in that boots nowhere, stage2\n";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\npi:x:1000:1000:,,,:/home/pi:/bin/bash\nssm-user:x:1001:1001::/home/ssm-user:/bin/sh\n";
const SHADOW: &str = "root:*:20300:0:99999:7:::\ndaemon:*:20300:0:99999:7:::\nnobody:*:20300:0:99999:7:::\npi:$y$j9T$demodemodemodemodemo.1$yL9v0Qx7bq2m3n4p5r6s7t8u9vAwBxCyDzE1F2G3H4I:20300:0:99999:7:::\nssm-user:!:20300:0:99999:7:::\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nadm:x:4:pi\nsudo:x:27:pi\nnetdev:x:106:pi\nnogroup:x:65534:\npi:x:1000:\nssm-user:x:1001:\n";
const SUDOERS: &str = "Defaults\tenv_reset\nDefaults\tmail_badpass\nDefaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nDefaults\tuse_pty\n\nroot\tALL=(ALL:ALL) ALL\n\n%sudo\tALL=(ALL:ALL) ALL\n\n@includedir /etc/sudoers.d\n";
const REGENERATE: &str = "[Unit]\nDescription=Regenerate SSH host keys\nBefore=ssh.service\n\n[Service]\nType=oneshot\nExecStartPre=-/bin/sh -c \"/bin/rm -f -v /etc/ssh/ssh_host_*_key*\"\nExecStart=/usr/bin/ssh-keygen -A -v\nExecStartPost=/bin/systemctl disable regenerate_ssh_host_keys\n\n[Install]\nWantedBy=multi-user.target\n";
const AGENT_UNIT: &str = "[Unit]\nDescription=amazon-ssm-agent\nAfter=network-online.target\n\n[Service]\nType=simple\nWorkingDirectory=/usr/bin/\nExecStart=/usr/bin/amazon-ssm-agent\nKillMode=process\nRestart=always\nRestartPreventExitStatus=194\nRestartSec=90\n\n[Install]\nWantedBy=multi-user.target\n";
const DPKG_STATUS: &str = "Package: amazon-ssm-agent\nStatus: install ok installed\nPriority: optional\nSection: admin\nMaintainer: nobody\nArchitecture: arm64\nVersion: 3.3.1142.0-1\nDescription: stand-in of the demo\n\nPackage: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.36-9\nDescription: stand-in of the demo\n\nPackage: sudo\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.9.13p3-1\nDescription: stand-in of the demo\n\n";
