//! A view shows what the image will be: every edit is seen by the reads that follow it, and applying the plan gives
//! exactly what the view showed.

use super::mem_tree::{MemTree, at};
use super::{Change, Class, Content, Plan, View, Volume};
use crate::fs::{Attributes, FileKind, FsError, Tree, TreeMut};

const SOURCE: &str = "test";

fn write(view: &mut View<'_>, path: &str, text: &str) -> bool {
    let content = Content::Bytes(text.into());
    view.write(Volume::Root, at(path), content, Attributes::root(0o644), Class::Configuration.because("w", SOURCE))
        .unwrap()
}

fn remove(view: &mut View<'_>, path: &str) -> bool {
    view.remove(Volume::Root, at(path), Class::Identity.because("r", SOURCE)).unwrap()
}

fn names(tree: &dyn Tree, path: &str) -> Vec<String> {
    let entries = tree.list(&at(path)).unwrap();
    entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
}

fn apply(plan: &Plan, root: &dyn TreeMut) {
    crate::golden::apply::apply(plan, root, &MemTree::new()).unwrap();
}

/// Everything below `path`: kind, mode, and content or target.
fn everything(tree: &dyn Tree, path: &str) -> Vec<(String, FileKind, u16, Vec<u8>)> {
    let mut all = Vec::new();
    for name in names(tree, path) {
        let path = format!("{}/{name}", path.trim_end_matches('/'));
        let stat = tree.stat(&at(&path)).unwrap().unwrap();
        let content = match stat.kind {
            FileKind::File => tree.read(&at(&path), 1 << 20).unwrap(),
            FileKind::Symlink => tree.read_link(&at(&path)).unwrap(),
            _ => Vec::new(),
        };
        all.push((path.clone(), stat.kind, stat.attributes.mode, content));
        if stat.kind == FileKind::Directory {
            all.extend(everything(tree, &path));
        }
    }
    all
}

#[test]
fn a_proposed_file_is_read_back_with_its_missing_directories() {
    let (root, boot) = (MemTree::new(), MemTree::new());
    let mut view = View::new(&root, &boot);
    assert!(write(&mut view, "/etc/a/b", "hello"));
    assert!(!write(&mut view, "/etc/a/b", "hello"), "the same file again is no edit");
    assert_eq!(view.root().read(&at("/etc/a/b"), 10).unwrap(), b"hello");
    assert_eq!(names(&view.root(), "/etc"), ["a"]);
    let mut part = [0; 3];
    assert_eq!(view.root().read_part(&at("/etc/a/b"), 3, &mut part).unwrap(), 2);
    assert_eq!(&part[..2], b"lo");
    assert!(matches!(view.root().read(&at("/etc/a/b"), 4), Err(FsError::TooLarge { size: 5, .. })));
}

#[test]
fn a_directory_that_was_removed_and_made_again_is_empty() {
    let root = MemTree::with(&[("/d/old/x", "1"), ("/d-sibling/x", "1")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    assert!(remove(&mut view, "/d"));
    assert!(!remove(&mut view, "/d/old/x"), "it went with its directory");
    assert_eq!(view.root().stat(&at("/d/old")).unwrap(), None);
    write(&mut view, "/d/new", "2");
    assert_eq!(names(&view.root(), "/d"), ["new"]);
    assert_eq!(view.root().stat(&at("/d/old/x")).unwrap(), None);
    view.directory(Volume::Root, at("/d/old"), Attributes::root(0o700), Class::Code.because("d", SOURCE)).unwrap();
    assert_eq!(names(&view.root(), "/d/old"), [""; 0]);
    assert_eq!(names(&view.root(), "/"), ["d", "d-sibling"]);
}

#[test]
fn a_mode_change_after_a_write_keeps_what_was_written() {
    let root = MemTree::with(&[("/etc/f", "old")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    write(&mut view, "/etc/f", "new");
    view.attributes(at("/etc/f"), Attributes::root(0o440), Class::Privilege.because("m", SOURCE)).unwrap();
    assert_eq!(view.root().read(&at("/etc/f"), 10).unwrap(), b"new");
    assert_eq!(view.root().stat(&at("/etc/f")).unwrap().unwrap().attributes.mode, 0o440);
    write(&mut view, "/made", "x");
    view.attributes(at("/made"), Attributes::root(0o600), Class::Privilege.because("m", SOURCE)).unwrap();
    assert_eq!(view.root().stat(&at("/made")).unwrap().unwrap().size, 1);
}

#[test]
fn symlinked_parents_are_resolved_inside_the_image() {
    let root = MemTree::with(&[("/usr/lib/x", "1"), ("/lib", "-> usr/lib"), ("/out", "-> ../../../usr")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    write(&mut view, "/lib/systemd/unit", "u");
    write(&mut view, "/out/lib/x", "2");
    let paths: Vec<_> = view.plan().edits.iter().map(|edit| edit.path.to_string()).collect();
    assert_eq!(paths, ["/usr/lib/systemd", "/usr/lib/systemd/unit", "/usr/lib/x"]);
    assert_eq!(view.root().read(&at("/lib/x"), 9).unwrap(), b"2");
    // A link that the plan makes counts like one that was there.
    view.symlink(at("/opt"), "/usr/lib", Class::Configuration.because("l", SOURCE)).unwrap();
    assert_eq!(view.root().read(&at("/opt/systemd/unit"), 9).unwrap(), b"u");
    assert!(remove(&mut view, "/opt"), "removing a link removes the link");
    assert_eq!(view.root().read(&at("/usr/lib/x"), 9).unwrap(), b"2");
    assert_eq!(view.root().stat(&at("/opt/x")).unwrap(), None);
}

#[test]
fn a_loop_of_links_is_an_error_and_no_hang() {
    let root = MemTree::with(&[("/a", "-> b"), ("/b", "-> a")]);
    let boot = MemTree::new();
    let view = View::new(&root, &boot);
    assert!(matches!(view.root().stat(&at("/a/x")), Err(FsError::LinkLoop { .. })));
}

#[test]
fn files_are_not_written_over_directories_nor_below_files() {
    let root = MemTree::with(&[("/dir/", ""), ("/file", "x")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    for path in ["/dir", "/file/below"] {
        let content = Content::Bytes(Vec::new());
        let refused =
            view.write(Volume::Root, at(path), content, Attributes::root(0o644), Class::Code.because("w", SOURCE));
        assert!(matches!(refused, Err(FsError::WrongKind { .. })), "{path}");
    }
    assert!(view.plan().edits.is_empty(), "a refused edit leaves nothing in the plan");
}

#[test]
fn what_a_stripped_file_held_is_not_carried_in_the_plan() {
    let root = MemTree::with(&[("/var/log/auth.log", "sudo amazon-ssm-agent -code x"), ("/etc/hosts", "old")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    let empty = || Content::Bytes(Vec::new());
    let mode = Attributes::root(0o640);
    view.write(Volume::Root, at("/var/log/auth.log"), empty(), mode, Class::Log.because("e", SOURCE)).unwrap();
    view.write(Volume::Root, at("/etc/hosts"), empty(), mode, Class::Configuration.because("e", SOURCE)).unwrap();
    let before: Vec<_> = view.plan().edits.iter().map(|edit| edit.before.clone()).collect();
    assert_eq!(before, [None, Some(b"old".to_vec())]);
}

#[test]
fn the_contents_of_a_directory_go_and_the_directory_stays() {
    let root = MemTree::with(&[("/log/a", "1"), ("/log/b/c", "2")]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    assert_eq!(view.remove_contents(Volume::Root, at("/log"), Class::Log.because("r", SOURCE)).unwrap(), 2);
    assert_eq!(names(&view.root(), "/log"), [""; 0]);
    assert_eq!(view.remove_contents(Volume::Root, at("/nothing"), Class::Log.because("r", SOURCE)).unwrap(), 0);
}

#[test]
fn applying_the_plan_gives_what_the_view_showed() {
    let root = MemTree::with(&[
        ("/lib", "-> usr/lib"),
        ("/usr/lib/keep", "k"),
        ("/d/old/x", "1"),
        ("/etc/f", "old"),
        ("/e/", ""),
    ]);
    let boot = MemTree::new();
    let mut view = View::new(&root, &boot);
    remove(&mut view, "/d");
    write(&mut view, "/d/new/y", "2");
    remove(&mut view, "/d/new");
    write(&mut view, "/d/new/z", "3");
    write(&mut view, "/lib/deep/er", "4");
    write(&mut view, "/etc/f", "new");
    view.attributes(at("/etc/f"), Attributes::root(0o400), Class::Privilege.because("m", SOURCE)).unwrap();
    view.attributes(at("/usr/lib/keep"), Attributes::root(0o600), Class::Privilege.because("m", SOURCE)).unwrap();
    view.directory(Volume::Root, at("/e"), Attributes::root(0o700), Class::Code.because("d", SOURCE)).unwrap();
    view.symlink(at("/e/l"), "../etc/f", Class::Code.because("l", SOURCE)).unwrap();
    let shown = everything(&view.root(), "/");
    let plan = view.into_plan();
    assert!(plan.edits.iter().any(|edit| matches!(edit.change, Change::Symlink { .. })));
    apply(&plan, &root);
    assert_eq!(everything(&root, "/"), shown);
}
