//! Whether the image would come up: units, and the state of the file system.

use ext4_view::FileType;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::image::ReadAt;
use crate::printable::Printable;
use crate::units::ByteOffset;

/// `unit-script-missing`
pub const UNIT_SCRIPT: Rule = Rule {
    id: "unit-script-missing",
    severity: Severity::Error,
    title: "an enabled unit whose program is not there",
    deep: false,
    look: Look::Code(unit_script),
    text: "\
For every unit that is enabled below /etc/systemd/system, the program of its ExecStart must exist and be executable.
A unit with a condition on a path that is missing, or with ConditionFileIsExecutable, is not started and not reported.

Remedy: add the program, or disable the unit.",
};

/// `fs-unclean`
pub const UNCLEAN: Rule = Rule {
    id: "fs-unclean",
    severity: Severity::Error,
    title: "the root file system was not unmounted cleanly",
    deep: false,
    look: Look::Code(unclean),
    text: "\
Reads the root file system's superblock: a journal to replay (needs_recovery), orphaned inodes (orphan_present, or an
orphan list), or recorded errors. The image was taken from a running machine, or its power was cut.

What the other rules saw may be older than what the journal holds.

Remedy: `cardsmith golden` replays and repairs inside its overlay; `e2fsck -fp` on a copy does so too.",
};

/// The text of an enabled unit, as systemd would find it: `/etc` wins over `/usr/lib` over `/lib`.
pub fn unit_text(image: &AuditImage, unit: &[u8]) -> Result<Option<Vec<u8>>, AuditError> {
    for place in ["/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"] {
        if let Some(text) = image.bytes([place.as_bytes(), unit].concat())? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn unit_script(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for place in image.names("/etc/systemd/system")?.into_iter().filter(|name| name.ends_with(b".wants")) {
        let place = [b"/etc/systemd/system/", place.as_slice()].concat();
        for unit in image.names(&place)? {
            // A template's instance is read from the template; generators and aliases are systemd's own business.
            let Some(text) = unit_text(image, &unit)? else { continue };
            let lines = || text.split(|&byte| byte == b'\n');
            if lines().any(|line| line.starts_with(b"Condition") || line.starts_with(b"AssertPath")) {
                continue;
            }
            for command in lines().filter_map(|line| line.strip_prefix(b"ExecStart=")) {
                let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                let program = words.next().unwrap_or_default();
                let flags = program.iter().take_while(|byte| b"-@+!:".contains(byte)).count();
                let program = program.get(flags..).unwrap_or_default();
                // Snaps are mounted, and /run is filled, when the system runs.
                let later = program.starts_with(b"/snap/")
                    || program.starts_with(b"/run/")
                    || program.iter().any(|byte| b"%$".contains(byte));
                if program.starts_with(b"/") && !later && !is_program(image, program)? {
                    let text = format!("starts {}, which is not there or not executable", Printable::of(program));
                    found([place.as_slice(), b"/", &unit].concat().into(), text);
                }
            }
        }
    }
    Ok(())
}

fn is_program(image: &AuditImage, program: &[u8]) -> Result<bool, AuditError> {
    // Follows symlinks, as execve does.
    let Some(bytes) = image.resolved(program)? else { return Ok(false) };
    Ok(bytes.kind == FileType::Regular && bytes.mode & 0o111 != 0)
}

fn unclean(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    // Offsets: Documentation/filesystems/ext4/super.rst.
    const SUPERBLOCK: u64 = 1024;
    let word = |at: u64| -> Result<u32, AuditError> {
        let mut bytes = [0; 4];
        image.untouched_root.read_at(ByteOffset(SUPERBLOCK + at), &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    };
    let (state, last_orphan, incompat, ro_compat) = (word(0x3a)? & 0xffff, word(0xe8)?, word(0x60)?, word(0x64)?);
    // needs_recovery, orphan_present and the error flag, by their bits in `ext4.h` of Linux.
    for (is, says) in [
        (incompat & 0x4 != 0, "its journal holds changes that were not replayed"),
        (ro_compat & 0x1_0000 != 0 || last_orphan != 0, "files were deleted while open and not released"),
        (state & 0x2 != 0, "the kernel recorded errors in it"),
    ] {
        if is {
            found("root file system".into(), says.to_owned());
        }
    }
    Ok(())
}
