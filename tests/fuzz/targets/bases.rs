//! The file systems that inputs patch (tests/fuzz/bases/make made them), each decoded once.

use std::sync::OnceLock;

/// A file system, and where anything stands in it.
pub struct Base {
    pub bytes: Vec<u8>,
    /// The lines of 64 bytes that are not zeros. Most of an image is, and a patch there would say nothing.
    pub lines: Vec<u32>,
}

pub const LINE: usize = 64;

impl Base {
    pub fn new(bytes: Vec<u8>) -> Base {
        let lines = bytes.chunks(LINE).zip(0..).filter(|(line, _)| line.iter().any(|&b| b != 0));
        let lines = lines.map(|(_, number)| number).collect();
        Base { bytes, lines }
    }
}

macro_rules! base {
    ($name:ident, $file:literal) => {
        pub fn $name() -> &'static Base {
            static BASE: OnceLock<Base> = OnceLock::new();
            BASE.get_or_init(|| {
                let packed = include_bytes!(concat!("../bases/", $file, ".img.zst"));
                Base::new(zstd::decode_all(&packed[..]).expect("the committed image can be decoded"))
            })
        }
    };
}

base!(pi, "pi");
base!(cut, "cut");
base!(bare, "bare");
base!(mapped, "mapped");
base!(wide, "wide");
base!(fat12, "fat12");
base!(fat16, "fat16");
base!(fat32, "fat32");

/// Where the two partitions of [`whole`] lie.
pub const BOOT_AT: usize = 64 << 10;
pub const ROOT_AT: usize = 512 << 10;

/// A whole image as Raspberry Pi OS is laid out: an MBR, a boot partition, a root partition.
pub fn whole() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let (boot, root) = (&fat12().bytes, &pi().bytes);
        let mut bytes = vec![0; ROOT_AT + root.len()];
        bytes[..512].copy_from_slice(&mbr(&[(0x0C, BOOT_AT, boot.len()), (0x83, ROOT_AT, root.len())]));
        bytes[BOOT_AT..BOOT_AT + boot.len()].copy_from_slice(boot);
        bytes[ROOT_AT..].copy_from_slice(root);
        Base::new(bytes)
    })
}

/// A boot record with these partitions: type, start and length in bytes.
pub fn mbr(partitions: &[(u8, usize, usize)]) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[440..444].copy_from_slice(&0x4F2A_9C31u32.to_le_bytes());
    for (entry, (kind, start, len)) in sector[446..510].chunks_mut(16).zip(partitions) {
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&((start / 512) as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&((len / 512) as u32).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}
