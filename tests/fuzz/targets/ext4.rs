//! Root file systems: our check, both readers, the writer, the scrub, and the repair after a power cut.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cardsmith::fs::blockmap::used_ranges;
use cardsmith::fs::check::check;
use cardsmith::fs::repair::repair;
use cardsmith::fs::scrub::scrub;
use cardsmith::fs::{Attributes, Clock, FileKind, FsError, ImagePath, RootFs, Tree, TreeMut};
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::ByteOffset;
use ext4_view::{Ext4, Ext4Read};

use super::bases::{self, Base};
use super::mem_tree::at;
use super::patches::{Header, patched};
use super::seal::Seals;

pub const CLOCK: Clock = Clock { seconds: 1_767_225_600 };
/// So many names are looked at: a directory that holds itself has no end.
const MOST_NAMES: usize = 400;
const MOST_BYTES: u64 = 1 << 20;

const BASES: [fn() -> &'static Base; 5] = [bases::pi, bases::cut, bases::bare, bases::mapped, bases::wide];

pub fn run(input: &[u8]) {
    let (header, rest) = Header::take(input);
    let choice = header.choice(BASES.len());
    let image = patched(BASES[choice](), rest);
    if let Some(seals) = seals(choice).filter(|_| header.seals()) {
        seals.put(&image);
    }
    let window: Arc<dyn WriteAt> = Arc::new(image);
    // Seldom: where ours finds no way, e2fsck is asked, which takes as long as a hundred other runs.
    if header.flag(0) && header.flag(1) && header.flag(2) {
        repaired(&window);
    }
    look_and_edit(&window);
}

fn seals(choice: usize) -> Option<&'static Seals> {
    static SEALS: OnceLock<Vec<Option<Seals>>> = OnceLock::new();
    SEALS.get_or_init(|| BASES.iter().map(|base| Seals::of(base())).collect())[choice].as_ref()
}

fn all_of(window: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; window.size().0 as usize];
    window.read_at(ByteOffset(0), &mut bytes).expect("it can be read");
    bytes
}

/// A repair that fails leaves everything as it was.
fn repaired(window: &Arc<dyn WriteAt>) {
    let before = all_of(window);
    if repair(window.clone(), CLOCK).is_err() {
        assert!(all_of(window) == before, "a repair failed and left something behind");
    }
}

fn look_and_edit(window: &Arc<dyn WriteAt>) {
    let size = window.size().0;
    let sound = check(window.clone()).is_ok();
    if let Ok(ranges) = used_ranges(window) {
        assert!(ranges.iter().all(|range| range.end().0 <= size), "a used range leaves the partition");
    }
    let Ok(root) = RootFs::open(window.clone(), CLOCK) else { return };
    let ours = contents(&root);
    let read: Arc<dyn ReadAt> = window.clone();
    if sound && let Ok(view) = Ext4::load(Box::new(Source(read))) {
        for (path, content) in &ours {
            compare(&view, path, content);
        }
    }
    if !sound {
        return;
    }
    // Damage may still be met on the way: what our check does not look at.
    if edit(&root).is_err() {
        return;
    }
    drop(root);
    let held = |when: &str, found: Result<_, FsError>| {
        found.unwrap_or_else(|error| panic!("it was sound, and {when} it is not: {error}"))
    };
    held("after edits", check(window.clone()).map(|_| ()));
    let scrubbed = |_| scrub(window.clone(), Silent.task("scrub", None).as_mut());
    held("while it is scrubbed", scrubbed(1).map(|_| ()));
    held("after the scrub", check(window.clone()).map(|_| ()));
    let again = scrubbed(2).unwrap_or_else(|error| panic!("it was scrubbed once: {error}"));
    assert!(again.is_empty(), "a second scrub finds more: {again}");
}

/// What is at a path: nothing for what could not be read.
#[derive(Debug, PartialEq)]
pub enum Content {
    File(Vec<u8>),
    Link(Vec<u8>),
    Directory,
    Special,
}

/// Everything that can be read, as far as the limits go.
pub fn contents(tree: &dyn Tree) -> BTreeMap<ImagePath, Content> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![ImagePath::root()];
    while let Some(directory) = ahead.pop() {
        let Ok(entries) = tree.list(&directory) else { continue };
        for entry in entries {
            let Ok(path) = directory.join(&entry.name) else { continue };
            if found.len() >= MOST_NAMES {
                return found;
            }
            let Ok(Some(stat)) = tree.stat(&path) else { continue };
            let content = match stat.kind {
                FileKind::File => tree.read(&path, MOST_BYTES).ok().map(Content::File),
                FileKind::Symlink => tree.read_link(&path).ok().map(Content::Link),
                FileKind::Directory => {
                    // A loop of directories makes paths longer, and nothing else.
                    if path.components().count() < 8 {
                        ahead.push(path.clone());
                    }
                    Some(Content::Directory)
                }
                FileKind::Special => Some(Content::Special),
            };
            if let Some(content) = content {
                found.insert(path, content);
            }
        }
    }
    found
}

/// The second reader finds the same, or says that it cannot read it.
fn compare(view: &Ext4, path: &ImagePath, content: &Content) {
    let Ok(place) = ext4_view::Path::try_from(path.as_bytes()) else { return };
    let Ok(metadata) = view.symlink_metadata(place) else { return };
    let theirs = if metadata.is_symlink() {
        view.read_link(place).ok().map(|target| Content::Link(AsRef::<[u8]>::as_ref(&target).to_vec()))
    } else if metadata.is_dir() {
        Some(Content::Directory)
    } else if metadata.file_type().is_regular_file() {
        view.read(place).ok().map(Content::File)
    } else {
        Some(Content::Special)
    };
    if let Some(theirs) = theirs {
        assert!(theirs == *content, "{path} is {theirs:.80?} for ext4-view, and {content:.80?} for us");
    }
}

/// What golden does to a file system, in small.
fn edit(root: &RootFs) -> Result<(), FsError> {
    let attributes = Attributes { mode: 0o640, uid: 1000, gid: 1000 };
    let content = vec![b'n'; 5000];
    root.write_file(&at("/etc/hostname"), attributes, &mut &content[..])?;
    root.make_directory(&at("/etc/made"), Attributes::root(0o755))?;
    for number in 0..12 {
        let path = format!("/etc/made/a-file-with-a-name-of-some-length-{number}");
        root.write_file(&at(&path), attributes, &mut &content[..number * 100])?;
    }
    root.make_symlink(&at("/etc/link"), b"made/nowhere")?;
    root.make_symlink(&at("/etc/long-link"), &[b'l'; 100])?;
    root.set_attributes(&at("/etc/passwd"), Attributes::root(0o600))?;
    root.remove(&at("/var/many"))?;
    root.remove(&at("/home/pi"))?;
    root.sync()?;
    assert_eq!(root.read(&at("/etc/hostname"), MOST_BYTES)?, content, "not what was written");
    assert!(root.stat(&at("/home/pi"))?.is_none(), "not removed");
    root.sync()
}

struct Source(Arc<dyn ReadAt>);

impl Ext4Read for Source {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        self.0.read_at(ByteOffset(start), into).map_err(Into::into)
    }
}
