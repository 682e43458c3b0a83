//! Feature bits of ext4: those that we need to know, and those that cardsmith edits.

/// `s_feature_compat` bits that matter here.
pub mod compat {
    /// There is a journal.
    pub const HAS_JOURNAL: u32 = 0x4;
    /// Blocks are kept for growing the descriptor table.
    pub const RESIZE_INODE: u32 = 0x10;
    /// Superblock backups only in two named groups.
    pub const SPARSE_SUPER2: u32 = 0x200;
    /// The journal has an area of fast commits.
    pub const FAST_COMMIT: u32 = 0x400;
    /// Orphaned inodes are listed in a file.
    pub const ORPHAN_FILE: u32 = 0x1000;
}

/// `s_feature_incompat` bits that matter here.
pub mod incompat {
    /// The journal must be replayed.
    pub const RECOVER: u32 = 0x4;
    /// Group descriptors are spread over meta groups.
    pub const META_BG: u32 = 0x10;
    /// Directory entries say what they name.
    pub const FILETYPE: u32 = 0x2;
    /// Files are mapped by extents.
    pub const EXTENTS: u32 = 0x40;
    /// Block numbers have 64 bits.
    pub const BIT64: u32 = 0x80;
    /// A group's metadata may lie in another group.
    pub const FLEX_BG: u32 = 0x200;
    /// The checksum seed is stored.
    pub const CSUM_SEED: u32 = 0x2000;
    /// Small files live in their inode.
    pub const INLINE_DATA: u32 = 0x8000;
}

/// `s_feature_ro_compat` bits that matter here.
pub mod ro_compat {
    /// Superblock backups only in some groups.
    pub const SPARSE_SUPER: u32 = 0x1;
    /// Group descriptors have a crc16 and "uninitialised" flags.
    pub const GDT_CSUM: u32 = 0x10;
    /// All metadata has crc32c checksums.
    pub const METADATA_CSUM: u32 = 0x400;
    /// The orphan file lists something.
    pub const ORPHAN_PRESENT: u32 = 0x10000;
}

/// What cardsmith edits, with every feature set of pi-gen and Debian in it.
/// In order: dir_prealloc, has_journal, ext_attr, resize_inode, dir_index, sparse_super2, fast_commit, stable_inodes
/// and orphan_file.
const EDITABLE_COMPAT: u32 = 0x1 | 0x4 | 0x8 | 0x10 | 0x20 | 0x200 | 0x400 | 0x800 | 0x1000;
const EDITABLE_INCOMPAT: u32 = incompat::FILETYPE
    | incompat::RECOVER
    | incompat::META_BG
    | incompat::EXTENTS
    | incompat::BIT64
    | incompat::FLEX_BG
    | incompat::CSUM_SEED
    | incompat::INLINE_DATA;
/// In order: sparse_super, large_file, huge_file, gdt_csum, dir_nlink, extra_isize, metadata_csum and orphan_present.
const EDITABLE_RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x400 | ro_compat::ORPHAN_PRESENT;

const NAMES_COMPAT: &[(u32, &str)] =
    &[(0x2, "imagic_inodes"), (0x40, "lazy_bg"), (0x80, "exclude_inode"), (0x100, "exclude_bitmap")];
const NAMES_INCOMPAT: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x8, "journal_dev (an external journal)"),
    (0x100, "mmp"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x4000, "large_dir"),
    (0x10000, "encrypt"),
    (0x20000, "casefold"),
];
const NAMES_RO_COMPAT: &[(u32, &str)] = &[
    (0x4, "btree_dir"),
    (0x80, "has_snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
];

/// The names of all features that cardsmith does not edit.
pub fn foreign(compat: u32, incompat: u32, ro_compat: u32) -> Vec<String> {
    [
        (compat & !EDITABLE_COMPAT, NAMES_COMPAT, "compat"),
        (incompat & !EDITABLE_INCOMPAT, NAMES_INCOMPAT, "incompat"),
        (ro_compat & !EDITABLE_RO_COMPAT, NAMES_RO_COMPAT, "ro_compat"),
    ]
    .into_iter()
    .flat_map(|(bits, names, set)| names_of(bits, names, set))
    .collect()
}

fn names_of(bits: u32, names: &[(u32, &'static str)], set: &str) -> Vec<String> {
    (0..32)
        // Every bit by its name: a feature that nobody knows must not pass unseen.
        .map(|n| 1u32 << n)
        .filter(|bit| bits & bit != 0)
        .map(|bit| match names.iter().find(|(known, _)| *known == bit) {
            Some((_, name)) => format!("the feature {name}"),
            None => format!("an unknown {set} feature ({bit:#x})"),
        })
        .collect()
}
