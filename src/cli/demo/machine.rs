//! The machine that the demo's base image was taken from: a registered Pi with everything that told it from others.
//! All of it is made at random, belongs to nobody, and is known here, so that the demo can look for it afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

/// What the old machine was, and what it knew.
pub(super) struct Machine {
    /// `mi-` and 17 hexadecimal digits, as SSM names hybrid nodes.
    pub instance_id: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The agent's hardware fingerprint.
    pub fingerprint: String,
    /// The agent's private key, base64.
    pub agent_key: String,
    /// The body of the SSH host key, base64.
    pub host_key: String,
    /// The activation that it was registered with, still in a shell history.
    pub activation_code: String,
    /// The same activation's id.
    pub activation_id: String,
    /// Temporary AWS credentials that the agent shared.
    pub session_token: String,
    /// Password of the bench's Wi-Fi.
    pub wifi_password: String,
    /// Disk id of the partition table.
    pub disk_id: [u8; 4],
}

/// Something that must be gone from the golden image.
pub(super) struct Trace {
    /// What it is, for the table.
    pub what: &'static str,
    /// What to look for.
    pub bytes: Vec<u8>,
}

/// `count` random bytes. Version 4 UUIDs come from the system's random numbers and carry 122 random bits each, which is
/// plenty for keys that open nothing.
fn random(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 16);
    while bytes.len() < count {
        // UUIDs are the random bytes at hand. Six bits of each are fixed, which does no harm in a demo.
        bytes.extend_from_slice(Uuid::new_v4().as_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn hex(count: usize) -> String {
    let digits: String = random(count / 2 + 1).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(count).collect()
}

fn letters(count: usize) -> String {
    STANDARD.encode(random(count)).chars().filter(char::is_ascii_alphanumeric).take(count).collect()
}

impl Machine {
    /// Another machine every time.
    pub(super) fn random() -> Machine {
        let mut disk_id = [0; 4];
        for (to, from) in disk_id.iter_mut().zip(random(4)) {
            *to = from;
        }
        Machine {
            instance_id: format!("mi-{}", hex(17)),
            machine_id: hex(32),
            fingerprint: Uuid::new_v4().to_string(),
            // As long as an RSA key of 2048 bits in DER.
            agent_key: STANDARD.encode(random(1190)),
            host_key: STANDARD.encode(random(330)),
            activation_code: letters(20),
            activation_id: Uuid::new_v4().to_string(),
            session_token: STANDARD.encode(random(400)),
            wifi_password: format!("bench-{}", letters(12)),
            disk_id,
        }
    }

    /// What to look for, before and after.
    pub(super) fn traces(&self) -> Vec<Trace> {
        let trace = |what, text: &str| Trace { what, bytes: text.as_bytes().to_vec() };
        // Keys are wrapped in files: their first characters are enough, and no line break falls into them.
        let head = |text: &str| text.chars().take(60).collect::<String>();
        vec![
            trace("managed node id", &self.instance_id),
            trace("agent's private key", &head(&self.agent_key)),
            trace("agent's fingerprint", &self.fingerprint),
            trace("used activation code", &self.activation_code),
            trace("temporary AWS credentials", &head(&self.session_token)),
            trace("machine-id", &self.machine_id),
            trace("SSH host key", &head(&self.host_key)),
            trace("Wi-Fi password", &self.wifi_password),
            trace("sudo without password", "ALL=(ALL) NOPASSWD"),
        ]
    }

    /// `PARTUUID` of a partition.
    pub(super) fn partuuid(&self, number: u8) -> String {
        format!("{:08x}-{number:02}", u32::from_le_bytes(self.disk_id))
    }
}

/// `count` activations as a bench would get them from AWS, as CSV. They activate nothing.
pub(super) fn pre_issued(count: usize) -> String {
    let mut csv = String::from("activation_id,activation_code,region\n");
    for _ in 0..count {
        csv.push_str(&format!("{},{},eu-central-1\n", Uuid::new_v4(), letters(20)));
    }
    csv
}

/// Bytes that do not compress, to stand for a kernel or firmware.
pub(super) fn filler(name: &str, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 32);
    // A chain of digests looks random, does not compress, and is the same each time.
    let mut block = crate::digest::Sha256Digest::of(name.as_bytes());
    while bytes.len() < count {
        bytes.extend_from_slice(&block.0);
        block = crate::digest::Sha256Digest::of(&block.0);
    }
    bytes.truncate(count);
    bytes
}
