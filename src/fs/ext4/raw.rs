//! Little-endian fields out of a byte slice. A field that lies past the end reads as zero: every caller has checked
//! the length of the structure before, and a zero is never a valid block number, magic or length.

/// The 16-bit field at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    field(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The 32-bit field at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_le_bytes)
}

/// The big-endian 32-bit field at `at`: the journal is written that way.
pub fn be32_at(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_be_bytes)
}

/// A 64-bit number stored as two 32-bit halves.
pub fn halves(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

/// Puts `value` at `at`; nothing happens where it would leave the end.
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

/// Puts `value` at `at`; nothing happens where it would leave the end.
pub fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(end) = at.checked_add(value.len())
        && let Some(place) = bytes.get_mut(at..end)
    {
        place.copy_from_slice(value);
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
