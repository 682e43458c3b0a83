//! Boot file systems.

use std::sync::Arc;

use cardsmith::fs::fat::{FatTree, FatVolume};
use cardsmith::fs::repair::repair;
use cardsmith::fs::scrub::scrub;
use cardsmith::fs::{Attributes, BootFs, FsError, TreeMut};
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::ByteOffset;

use super::bases;
use super::ext4::{CLOCK, contents};
use super::mem_tree::at;
use super::patches::{Header, patched};

/// What is accepted can be walked, edited and scrubbed, and is sound after that.
pub fn run(input: &[u8]) {
    let (header, rest) = Header::take(input);
    // The smallest FAT32 that there can be has a table of 256 KiB, which takes its time.
    let base = match header.choice(8) {
        7 => bases::fat32(),
        even if even % 2 == 0 => bases::fat12(),
        _ => bases::fat16(),
    };
    let window: Arc<dyn WriteAt> = Arc::new(patched(base, rest));
    let before = |len: usize| {
        let mut bytes = vec![0; len];
        window.read_at(ByteOffset(0), &mut bytes).expect("it can be read");
        bytes
    };
    if header.flag(0) {
        // The whole of the largest base would take longer than the repair.
        let was = before(256 << 10);
        if repair(window.clone(), CLOCK).is_err() {
            assert!(before(256 << 10) == was, "a repair failed and left something behind");
        }
    }
    let walk = || -> Result<usize, FsError> {
        let volume = FatVolume::read(&window)?;
        Ok(FatTree::read(&window, &volume)?.nodes.len())
    };
    let walked = walk();
    let Ok(boot) = BootFs::open(window.clone(), CLOCK) else { return };
    let nodes = walked.unwrap_or_else(|error| panic!("opened, although it is not sound: {error}"));
    // The root directory is a node and has no name. Two entries with one name are one here.
    let names = contents(&boot).len();
    assert!(names < nodes, "fatfs finds {names} names, and our walk {nodes} nodes: a loop, or what we do not see");
    if edit(&boot).is_err() {
        return;
    }
    let held = |when: &str, found: Result<_, FsError>| {
        found.unwrap_or_else(|error| panic!("it was sound, and {when} it is not: {error}"))
    };
    held("after edits", walk());
    let scrubbed = || scrub(window.clone(), Silent.task("scrub", None).as_mut());
    held("while it is scrubbed", scrubbed().map(|_| 0));
    held("after the scrub", walk());
    let again = scrubbed().unwrap_or_else(|error| panic!("it was scrubbed once: {error}"));
    assert!(again.is_empty(), "a second scrub finds more: {again}");
}

fn edit(boot: &BootFs) -> Result<(), FsError> {
    let content = vec![b'n'; 3000];
    boot.write_file(&at("/config.txt"), Attributes::root(0o644), &mut &content[..])?;
    boot.make_directory(&at("/made"), Attributes::root(0o755))?;
    for number in 0..8 {
        let path = format!("/made/A long name of a file {number}.txt");
        boot.write_file(&at(&path), Attributes::root(0o644), &mut &content[..number * 100])?;
    }
    boot.remove(&at("/overlays"))?;
    boot.remove(&at("/user-data"))?;
    boot.sync()
}
