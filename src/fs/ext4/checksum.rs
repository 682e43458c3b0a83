//! The crc32c of ext4: initialised by the caller, without the final inversion of the usual CRC-32C.

/// Goes on with `crc` over `bytes`.
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    // The crate computes the standard form, which inverts before and after.
    !crc32c::crc32c_append(!crc, bytes)
}

/// What checksums of things that belong to an inode begin with.
pub fn inode_seed(file_system_seed: u32, inode: u32, generation: u32) -> u32 {
    crc32c(crc32c(file_system_seed, &inode.to_le_bytes()), &generation.to_le_bytes())
}
