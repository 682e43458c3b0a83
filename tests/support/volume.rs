//! A partition of an image file, found by sfdisk and blkid-like types, not by the code under test.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::run::run;

/// Bytes of an image file that hold one file system.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The image.
    pub image: PathBuf,
    /// Where it begins, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

impl Volume {
    /// Every partition of `image` with its type, as sfdisk says.
    pub fn all(image: &Path) -> Vec<(String, Volume)> {
        let out = run(Command::new("sfdisk").arg("-J").arg(image));
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let list = json["partitiontable"]["partitions"].as_array().expect("a partition table with partitions");
        list.iter()
            .map(|p| {
                let bytes = |key: &str| p[key].as_u64().unwrap() * 512;
                let volume = Volume { image: image.to_owned(), start: bytes("start"), len: bytes("size") };
                (p["type"].as_str().unwrap().to_ascii_lowercase(), volume)
            })
            .collect()
    }

    /// The Linux partition.
    pub fn root_of(image: &Path) -> Volume {
        let is_root = |t: &str| t == "83" || t == "0fc63daf-8483-4772-8e79-3d69d8477de4";
        Volume::all(image).into_iter().find(|(t, _)| is_root(t)).expect("a Linux partition").1
    }

    /// The FAT partition.
    pub fn boot_of(image: &Path) -> Volume {
        let is_boot = |t: &str| matches!(t, "c" | "b" | "e" | "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
        Volume::all(image).into_iter().find(|(t, _)| is_boot(t)).expect("a FAT partition").1
    }

    /// The volume as a file of its own, sparse, for tools that know no offsets.
    pub fn extract(&self, to: &Path) {
        let from = File::open(&self.image).unwrap();
        let out = File::create(to).unwrap();
        out.set_len(self.len).unwrap();
        let mut block = vec![0; 1 << 16];
        let mut at = 0;
        while at < self.len {
            let n = block.len().min((self.len - at) as usize);
            from.read_exact_at(&mut block[..n], self.start + at).unwrap();
            if block[..n].iter().any(|&b| b != 0) {
                out.write_all_at(&block[..n], at).unwrap();
            }
            at += n as u64;
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = File::open(&self.image).unwrap();
        file.seek(SeekFrom::Start(self.start)).unwrap();
        let mut bytes = Vec::new();
        file.take(self.len).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// SHA-256 of a file, in hex.
pub fn sha256_of(path: &Path) -> String {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).unwrap();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).unwrap() {
            0 => break,
            n => hasher.update(&block[..n]),
        }
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
