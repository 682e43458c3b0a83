//! Small but real images with the Raspberry Pi OS layout: made by sfdisk, mkfs.fat, mtools and mke2fs, in about a second.
//!
//! `PiImage::lived_in().power_cut().build()` gives an image in a directory of its own. What was built once is kept under
//! `target/tmp/pi-images` and copied, because every test is a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mounted::Mounted;
use super::pi_assembly::copy_sparse;
use super::volume::Volume;

/// `pi-gen` up to bookworm, and from trixie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

/// Where the agent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Raspberry Pi OS has none.
    None,
    /// The Debian package.
    Deb,
    /// The snap.
    Snap,
}

/// A secret or identity that is in the image, by a name that tests can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needle {
    /// `vault-key`, `instance-id`, `wifi-psk`, …
    pub name: String,
    /// The bytes as they stand in the image.
    pub bytes: Vec<u8>,
}

/// What kind of image to build. Its `Debug` text is the key under which the image is kept.
#[derive(Debug, Clone)]
pub struct Spec {
    pub generation: Generation,
    pub lived_in: bool,
    pub agent: Agent,
    pub(super) features: Option<String>,
    pub(super) block_size: u32,
    pub gpt: bool,
    pub(super) grown: bool,
    pub(super) nearly_full: bool,
    pub(super) power_cut: bool,
    pub(super) hand_cleaned: bool,
    pub(super) extra_files: Vec<(String, u32, Vec<u8>)>,
    pub(super) links: Vec<(String, String)>,
    pub(super) hard_links: Vec<(String, String)>,
    pub(super) boot_files: Vec<(String, Vec<u8>)>,
    pub(super) without: Vec<String>,
}

/// The disk id of every MBR image; PARTUUID is made of it.
pub const DISK_ID: &str = "4f2a9c31";
/// The GUIDs of the partitions of every GPT image.
pub const PART_GUIDS: [&str; 2] = ["aaaaaaaa-bbbb-4ccc-8ddd-000000000001", "aaaaaaaa-bbbb-4ccc-8ddd-000000000002"];
const PI_GEN: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,\
                      dir_nlink,extra_isize,metadata_csum";

/// An image in a directory of its own, which vanishes with it.
pub struct PiImage {
    dir: tempfile::TempDir,
    path: PathBuf,
    needles: Vec<Needle>,
    agent: Agent,
}

impl PiImage {
    /// An image as it is published: trixie, no agent, no host keys, no identity.
    pub fn fresh() -> Spec {
        Spec {
            generation: Generation::Trixie,
            lived_in: false,
            agent: Agent::None,
            features: None,
            block_size: 4096,
            gpt: false,
            grown: false,
            nearly_full: false,
            power_cut: false,
            hand_cleaned: false,
            extra_files: Vec::new(),
            links: Vec::new(),
            hard_links: Vec::new(),
            boot_files: Vec::new(),
            without: Vec::new(),
        }
    }

    /// An image read back from a card that was in use, registered with SSM, full of secrets: trixie, agent from its .deb.
    pub fn lived_in() -> Spec {
        Spec { lived_in: true, agent: Agent::Deb, ..PiImage::fresh() }
    }

    /// The image file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds it and what a test makes beside it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in that directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether the agent is in it.
    pub fn has_agent(&self) -> bool {
        self.agent != Agent::None
    }

    /// The ext4 partition.
    pub fn root(&self) -> Volume {
        Volume::root_of(&self.path)
    }

    /// The FAT partition.
    pub fn boot(&self) -> Volume {
        Volume::boot_of(&self.path)
    }

    /// Secrets and identities that no golden image may hold, by default.
    pub fn needles(&self) -> Vec<Needle> {
        self.needles.iter().filter(|n| !is_operators(&n.name)).cloned().collect()
    }

    /// What belongs to the operator: `wifi-psk`, `authorized-key`, `user-aws-key`.
    pub fn operators_needles(&self) -> Vec<Needle> {
        self.needles.iter().filter(|n| is_operators(&n.name)).cloned().collect()
    }

    /// The needle with this name.
    pub fn needle(&self, name: &str) -> Needle {
        let found = self.needles.iter().find(|n| n.name == name).cloned();
        found.unwrap_or_else(|| {
            panic!("no needle {name:?} in {:?}", self.needles.iter().map(|n| &n.name).collect::<Vec<_>>())
        })
    }

    /// Writes a recipe for the image beside it. `extra` is TOML after the `[image]` table.
    pub fn recipe(&self, extra: &str) -> PathBuf {
        let recipe = self.beside("recipe.toml");
        let source = self.path.file_name().unwrap().to_str().unwrap();
        fs::write(&recipe, format!("name = \"fixture\"\n\n[image]\nsource = \"{source}\"\n\n{extra}\n")).unwrap();
        recipe
    }

    /// SHA-256 of the whole file: shows that a run left the input alone.
    pub fn digest(&self) -> String {
        super::volume::sha256_of(&self.path)
    }

    /// A copy beside it whose root file system the kernel replayed and unmounted. Needs root.
    pub fn replayed_by_kernel(&self) -> PathBuf {
        let copy = self.beside("replayed.img");
        copy_sparse(&self.path, &copy);
        drop(Mounted::read_write(&Volume::root_of(&copy)));
        copy
    }
}

fn is_operators(name: &str) -> bool {
    matches!(name, "wifi-psk" | "authorized-key" | "user-aws-key")
}

impl Spec {
    /// Debian 13: the default.
    pub fn trixie(self) -> Spec {
        Spec { generation: Generation::Trixie, ..self }
    }

    /// Debian 12: another ext4 feature set, another cmdline.txt, an empty machine-id, no cloud-init.
    pub fn bookworm(self) -> Spec {
        Spec { generation: Generation::Bookworm, ..self }
    }

    /// With the agent from its .deb.
    pub fn deb_agent(self) -> Spec {
        Spec { agent: Agent::Deb, ..self }
    }

    /// With the agent from the snap.
    pub fn snap_agent(self) -> Spec {
        Spec { agent: Agent::Snap, ..self }
    }

    /// The exact ext4 features, as for `mke2fs -O`; begin with `none,` for an exact list.
    pub fn features(self, features: &str) -> Spec {
        Spec { features: Some(features.to_owned()), ..self }
    }

    /// The features of pi-gen's own images, and these besides.
    pub fn more_features(self, more: &str) -> Spec {
        let features = format!("{},{more}", self.feature_list());
        Spec { features: Some(features), ..self }
    }

    /// As images from before mid-2022: no checksums of metadata.
    pub fn without_metadata_csum(self) -> Spec {
        self.features(PI_GEN.trim_end_matches(",metadata_csum"))
    }

    /// Small files live in their inodes.
    pub fn inline_data(self) -> Spec {
        self.more_features("inline_data")
    }

    /// Bytes of a block of the root file system: 1024, 2048 or 4096.
    pub fn block_size(self, bytes: u32) -> Spec {
        Spec { block_size: bytes, ..self }
    }

    /// A GUID partition table.
    pub fn gpt(self) -> Spec {
        Spec { gpt: true, ..self }
    }

    /// The root partition and file system were grown, as the first boot does.
    pub fn grown(self) -> Spec {
        Spec { grown: true, ..self }
    }

    /// The root file system has 16 KiB left.
    pub fn nearly_full(self) -> Spec {
        Spec { nearly_full: true, ..self }
    }

    /// The power went while the kernel was writing: a journal to replay, and orphans. Needs root.
    pub fn power_cut(self) -> Spec {
        Spec { power_cut: true, ..self }
    }

    /// Somebody mounted the card and deleted the vault, logs, keys and histories with `rm`. Needs root.
    pub fn hand_cleaned(self) -> Spec {
        Spec { hand_cleaned: true, ..self }
    }

    /// One more file in the root file system (replaces one that is there), owned by root.
    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Spec {
        self.extra_files.push((path.trim_start_matches('/').to_owned(), mode, content.as_ref().to_vec()));
        self
    }

    /// One more symbolic link in the root file system.
    pub fn link(mut self, path: &str, target: &str) -> Spec {
        self.links.push((path.trim_start_matches('/').to_owned(), target.to_owned()));
        self
    }

    /// Another name of a file that is there.
    pub fn hard_link(mut self, path: &str, of: &str) -> Spec {
        self.hard_links.push((path.trim_start_matches('/').to_owned(), of.trim_start_matches('/').to_owned()));
        self
    }

    /// NetworkManager, enabled and with the radio switched off, and wpa_supplicant: as pi-gen leaves them.
    pub fn network_manager(self) -> Spec {
        let unit = "/usr/lib/systemd/system/NetworkManager.service";
        let text = "[Unit]\nDescription=Network Manager\n\n[Service]\nExecStart=/usr/sbin/NetworkManager\n\n\
                    [Install]\nWantedBy=multi-user.target\n";
        self.file(unit, 0o644, text)
            .link("/etc/systemd/system/multi-user.target.wants/NetworkManager.service", unit)
            .file("/usr/sbin/wpa_supplicant", 0o755, "a program")
            .file("/var/lib/NetworkManager/NetworkManager.state", 0o644, "[main]\nWirelessEnabled=false\n")
            .file("/var/lib/systemd/rfkill/platform-fe300000.mmcnr:wlan", 0o644, "1\n")
    }

    /// One more file in the boot partition (replaces one that is there).
    pub fn boot_file(mut self, path: &str, content: impl AsRef<[u8]>) -> Spec {
        self.boot_files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Without this path of the root file system.
    pub fn without(mut self, path: &str) -> Spec {
        self.without.push(path.trim_start_matches('/').to_owned());
        self
    }

    /// Without any NOPASSWD rule, as the images since 2026-04-13.
    pub fn without_nopasswd(self) -> Spec {
        self.without("etc/sudoers.d/010_pi-nopasswd")
            .without("etc/sudoers.d/90-cloud-init-users")
            .without("etc/sudoers.d/ssm-agent-users")
    }

    pub(super) fn feature_list(&self) -> String {
        match (&self.features, self.generation) {
            (Some(list), _) => list.clone(),
            (None, Generation::Bookworm) => PI_GEN.to_owned(),
            (None, Generation::Trixie) => format!("{PI_GEN},metadata_csum_seed,orphan_file"),
        }
    }

    /// What `PARTUUID=` is followed by, for partition 1 or 2.
    pub fn part_uuid(&self, number: usize) -> String {
        if self.gpt { PART_GUIDS[number - 1].to_owned() } else { format!("{DISK_ID}-{number:02x}") }
    }

    /// Builds the image, or copies the one that was built before.
    pub fn build(self) -> PiImage {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pi-images");
        fs::create_dir_all(&cache).unwrap();
        let mut key = Sha256::new();
        key.update(format!("{self:?}"));
        for source in [
            include_str!("pi_image.rs"),
            include_str!("pi_assembly.rs"),
            include_str!("pi_tree.rs"),
            include_str!("pi_secrets.rs"),
            include_str!("staging.rs"),
            include_str!("mounted.rs"),
        ] {
            key.update(source);
        }
        let key: String = key.finalize().iter().take(10).map(|b| format!("{b:02x}")).collect();
        let kept = cache.join(format!("{key}.img"));
        let kept_needles = cache.join(format!("{key}.json"));
        let lock = File::create(cache.join(format!("{key}.lock"))).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        if !kept.exists() {
            let work = tempfile::tempdir_in(&cache).unwrap();
            let image = work.path().join("image");
            let needles = self.assemble(work.path(), &image);
            fs::write(&kept_needles, serde_json::to_vec(&needles).unwrap()).unwrap();
            fs::rename(&image, &kept).unwrap();
        }
        drop(lock);
        let dir = tempfile::Builder::new().prefix("pi-image-").tempdir().unwrap();
        let path = dir.path().join("base.img");
        copy_sparse(&kept, &path);
        let needles = serde_json::from_slice(&fs::read(&kept_needles).unwrap()).unwrap();
        PiImage { dir, path, needles, agent: self.agent }
    }
}
