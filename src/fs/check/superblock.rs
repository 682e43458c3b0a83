//! Fields of the superblock that nothing else here looks at, and that Linux or e2fsck goes by.

use super::damage::ensure;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::features::{compat, incompat};
use crate::fs::ext4::raw::{halves, u16_at, u32_at};

/// # Errors
/// The first field that cannot be.
pub(super) fn check(sb: &Superblock) -> Result<(), FsError> {
    let raw = &sb.raw;
    let wide = sb.incompat & incompat::BIT64 != 0;
    // `s_r_blocks_count`, kept for root.
    let kept = halves(if wide { u32_at(raw, 0x154) } else { 0 }, u32_at(raw, 0x08));
    ensure(kept <= sb.blocks / 2, || format!("it keeps {kept} of {} blocks for root", sb.blocks))?;
    let descriptor = u16_at(raw, 0xFE);
    ensure(wide || descriptor == 0 || (descriptor.is_power_of_two() && descriptor <= 1024), || {
        format!("its group descriptors would have {descriptor} bytes")
    })?;
    // `s_log_groups_per_flex`, a byte.
    ensure(u16_at(raw, 0x174) & 0xFF < 32, || "its flexible groups are larger than any can be")?;
    journal_fields(sb)?;
    // `s_usr_quota_inum`, `s_grp_quota_inum` and `s_prj_quota_inum`: their features are refused.
    let quota = [0x240, 0x244, 0x26C].iter().any(|&at| u32_at(raw, at) != 0);
    ensure(!quota, || "it names files of quotas, and has no quotas")?;
    let seeded = sb.incompat & incompat::CSUM_SEED != 0;
    ensure(!seeded || sb.has_metadata_csum(), || "it has a seed for checksums, and no checksums")?;
    // `s_checksum_type`, a byte: 1 is crc32c, and there is no other.
    ensure(!sb.has_metadata_csum() || u16_at(raw, 0x175) & 0xFF == 1, || "its checksums are of an unknown kind")
}

fn journal_fields(sb: &Superblock) -> Result<(), FsError> {
    // `s_journal_dev`, and `s_journal_uuid`: both only of a journal on another device, which is refused.
    let elsewhere = u32_at(&sb.raw, 0xE4) != 0 || sb.raw.get(0xD0..0xE0) != Some(&[0; 16]);
    ensure(!elsewhere, || "it names a journal on another device")?;
    if sb.compat & compat::HAS_JOURNAL == 0 {
        // `s_journal_inum`.
        return ensure(u32_at(&sb.raw, 0xE0) == 0, || "it names a journal, and has none");
    }
    ensure(sb.journal_inode != 0, || "it has a journal, and does not say where")
}
