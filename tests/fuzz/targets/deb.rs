//! The agent's Debian package, by way of the step that puts it onto a card.

use std::io::Write;

use cardsmith::digest::Sha256Digest;
use cardsmith::prepare::{Change, Step, View};
use cardsmith::provision::agent::InstallAgent;
use cardsmith::recipe;

use super::mem_tree::{MemTree, pi_root};

/// The step refuses it, or puts exactly these bytes onto the card.
pub fn run(input: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(".deb").tempfile().expect("a temporary file");
    file.write_all(input).expect("room for it");
    let name = file.path().file_name().and_then(|name| name.to_str()).expect("a plain name");
    let text = format!(
        "name = \"fuzz\"\n[image]\nsource = \"base.img\"\n[agent]\npackage = \"{name}\"\nsha256 = \"{}\"\n",
        Sha256Digest::of(input)
    );
    let loaded = recipe::parse(&text, &file.path().with_file_name("fuzz.toml")).expect("the recipe is right");
    let (root, boot) = (pi_root(), MemTree::new("boot"));
    let mut view = View::new(&root, &boot);
    view.enter("agent");
    if InstallAgent::new(&loaded).propose(&mut view).is_err() {
        return;
    }
    for edit in view.into_plan().edits {
        if let Change::Write { content: cardsmith::prepare::Content::HostFile { size, sha256, .. }, .. } = edit.change {
            assert_eq!((size.0, sha256), (input.len() as u64, Sha256Digest::of(input)));
        }
    }
}
