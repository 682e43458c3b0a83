//! Partition tables.

use std::sync::{Arc, OnceLock};

use cardsmith::image::{PartitionTable, ReadAt, Window, WriteAt};
use cardsmith::units::ByteOffset;

use super::bases::{Base, mbr};
use super::layered::Layered;
use super::patches::Header;

const SIZE: u64 = 16 << 20;

/// What is accepted lies inside the image and apart.
pub fn run(input: &[u8]) {
    let (header, rest) = Header::take(input);
    let image = match header.choice(3) {
        0 => super::patches::patched(of_mbr(), rest),
        1 => super::patches::patched(of_gpt(), rest),
        // An empty card with entries that the input makes up.
        _ => {
            let image = Layered::new(of_nothing());
            let len = rest.len().min(64);
            let write = |at, bytes: &[u8]| image.write_at(ByteOffset(at), bytes).expect("it is inside");
            write(446, &rest[..len]);
            write(510, &[0x55, 0xAA]);
            image
        }
    };
    if header.seals() && header.choice(3) == 1 {
        seal(&image);
    }
    let Ok(table) = PartitionTable::read(&image) else { return };
    let size = image.size();
    let mut ranges: Vec<_> = table.partitions.iter().map(|partition| partition.range).collect();
    ranges.sort_by_key(|range| range.start.0);
    for range in &ranges {
        assert!(!range.is_empty() && range.end().0 <= size.0, "a partition leaves the image: {range:?}");
        // Where the table itself stands, nothing else may.
        assert!(range.start.0 >= 512, "a partition holds the table: {range:?}");
    }
    for pair in ranges.windows(2) {
        assert!(pair[0].end().0 <= pair[1].start.0, "partitions overlap: {pair:?}");
    }
    let whole = Arc::new(image);
    for partition in &table.partitions {
        assert!(Window::new(whole.clone(), partition.range).is_ok());
        assert_eq!(table.partition(partition.number), Some(partition), "two have the number {}", partition.number);
    }
}

fn of_mbr() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        const MIB: usize = 1 << 20;
        let mut bytes = vec![0; SIZE as usize];
        let entries = [(0x0C, MIB, 2 * MIB), (0x83, 4 * MIB, 4 * MIB), (0x82, 8 * MIB, MIB)];
        bytes[..512].copy_from_slice(&mbr(&entries));
        Base::new(bytes)
    })
}

fn of_gpt() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut bytes = zstd::decode_all(&include_bytes!("../bases/gpt.img.zst")[..]).expect("it can be decoded");
        bytes.resize(SIZE as usize, 0);
        Base::new(bytes)
    })
}

fn of_nothing() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| Base::new(vec![0; SIZE as usize]))
}

/// Makes both checksums of the header right, where the entries are where the base has them.
fn seal(image: &Layered) {
    let mut entries = vec![0; 16384];
    image.read_at(ByteOffset(1024), &mut entries).expect("it is inside");
    let mut header = [0; 92];
    image.read_at(ByteOffset(512), &mut header).expect("it is inside");
    header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
    header[16..20].fill(0);
    let sum = crc32(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    image.write_at(ByteOffset(512), &header).expect("it is inside");
}

/// CRC-32 as GPT has it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let (mut crc, mut bit) = (n as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[n] = crc;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}
