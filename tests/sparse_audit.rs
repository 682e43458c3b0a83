//! What is a hole is not read by an audit: counted in bytes, not in seconds.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cardsmith::audit::{AuditOptions, audit};
use cardsmith::image::ReadAt;
use cardsmith::units::{ByteOffset, ByteRange, ByteSize};

use crate::support::ext4_disk::FileBytes;
use crate::support::pi_image::PiImage;
use crate::support::volume::Volume;
use crate::support::{need_builder, need_root, run};

/// An image that counts what is read of it.
struct Counted {
    image: FileBytes,
    read: AtomicU64,
}

impl ReadAt for Counted {
    fn size(&self) -> ByteSize {
        self.image.size()
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> std::io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.image.read_at(at, buf)
    }
    fn next_data(&self, from: ByteOffset) -> std::io::Result<Option<ByteRange>> {
        self.image.next_data(from)
    }
}

/// How much a deep audit reads, and what it finds of residue.
fn read_by_audit(path: &std::path::Path) -> (u64, usize) {
    let image = Arc::new(Counted { image: FileBytes(File::open(path).unwrap()), read: AtomicU64::new(0) });
    let options = AuditOptions { deep: true, ..AuditOptions::default() };
    let whole: Arc<dyn ReadAt> = image.clone();
    let report = audit(&whole, whole.clone(), &options).unwrap();
    let residue = report.findings.iter().filter(|finding| finding.rule == "residue").count();
    (image.read.load(Ordering::Relaxed), residue)
}

#[test]
fn a_deep_audit_reads_no_holes_of_the_image_or_of_its_files() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().hand_cleaned().build();
    let (plain, residue) = read_by_audit(image.path());
    assert!(residue > 0);
    // Behind the partitions there is nothing but a hole.
    File::options().write(true).open(image.path()).unwrap().set_len(100 << 30).unwrap();
    assert_eq!(read_by_audit(image.path()), (plain, residue));
    // The root partition and its file system are 100 GiB large, and a file in it is as large.
    let root = Volume::root_of(image.path());
    let grown = format!("{},{},83\n", root.start / 512, (99u64 << 30) / 512);
    crate::support::run_with_input(Command::new("sfdisk").args(["-q", "-N2"]).arg(image.path()), grown.as_bytes());
    let device =
        run(Command::new("losetup").args(["-f", "--show", "-o", &root.start.to_string()]).arg(image.path())).stdout;
    let device = String::from_utf8(device).unwrap();
    let made = Command::new("e2fsck").args(["-fp", device.trim()]).status().unwrap();
    let sparse =
        Command::new("debugfs").args(["-w", "-R", "sif /etc/hostname size 53687091200", device.trim()]).status();
    let detached = Command::new("losetup").args(["-d", device.trim()]).status();
    assert!(made.success() && sparse.unwrap().success() && detached.unwrap().success());
    assert_eq!(std::fs::metadata(image.path()).unwrap().len(), 100 << 30);
    let (sparse, still) = read_by_audit(image.path());
    assert!(sparse < plain + (16 << 20), "{sparse} bytes instead of {plain}");
    assert!(still >= residue);
}
