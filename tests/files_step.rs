//! Files of the recipe in the image: where they land, whose they are, and what is refused.

use std::path::PathBuf;

use cardsmith::fs::Attributes;
use cardsmith::prepare::{Change, Plan, Step, StepError, View};
use cardsmith::provision::files::AddFiles;
use cardsmith::recipe::LoadedRecipe;
use cardsmith::recipe::schema::FileEntry;

use crate::support::host_tree::{HostTree, carry_out};

fn image() -> HostTree {
    let root = HostTree::root();
    root.file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/bash\n")
        .file("/etc/group", 0o644, "root:x:0:\npi:x:1000:\ngpio:x:986:pi\n")
        .directory("/usr/lib/x")
        .directory("/tmp/outside")
        .link("/lib", "usr/lib")
        .link("/escape", "../../../../../../tmp/outside");
    root
}

/// A recipe with these `[[file]]` entries, in a directory with a file `motd` and a folder `folder`.
fn recipe(dir: &tempfile::TempDir, files: &str) -> LoadedRecipe {
    std::fs::write(dir.path().join("motd"), "hello from the recipe\n").unwrap();
    let _ = std::fs::create_dir(dir.path().join("folder"));
    #[derive(serde::Deserialize)]
    struct Files {
        file: Vec<FileEntry>,
    }
    let files: Files = toml::from_str(files).unwrap();
    let text = "name = \"x\"\n[image]\nsource = \"x.img\"\n";
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    let mut loaded = cardsmith::recipe::load(&path).unwrap();
    loaded.recipe.files = files.file;
    loaded
}

fn propose(root: &HostTree, boot: &HostTree, files: &str) -> Result<Plan, StepError> {
    let dir = tempfile::tempdir().unwrap();
    let loaded = recipe(&dir, files);
    let mut view = View::new(root, boot);
    view.enter("files");
    AddFiles::new(&loaded).propose(&mut view)?;
    let plan = view.into_plan();
    carry_out(&plan, root, boot);
    Ok(plan)
}

fn attributes(plan: &Plan, path: &str) -> Attributes {
    let edit = plan.edits.iter().find(|edit| edit.path.to_string() == path).expect(path);
    match &edit.change {
        Change::Write { attributes, .. } => *attributes,
        _ => panic!("{path} is not written"),
    }
}

#[test]
fn files_land_with_mode_and_owner_of_the_image_and_their_directories() {
    let (root, boot) = (image(), HostTree::boot());
    let plan = propose(
        &root,
        &boot,
        "[[file]]\npath = \"/etc/motd\"\nsource = \"motd\"\n\
         [[file]]\npath = \"/home/pi/.config/app/settings\"\ntext = \"a=1\\n\"\nmode = \"0600\"\nowner = \"pi\"\ngroup = \"gpio\"\n\
         [[file]]\npath = \"/lib/x/program\"\ntext = \"#!/bin/sh\\n\"\nmode = \"0755\"\nowner = \"7\"\n\
         [[file]]\npath = \"/ssh\"\ntext = \"\"\nvolume = \"boot\"\n",
    )
    .unwrap();
    assert_eq!(root.text_of("/etc/motd").unwrap(), "hello from the recipe\n");
    assert_eq!(root.text_of("/home/pi/.config/app/settings").unwrap(), "a=1\n");
    assert_eq!(attributes(&plan, "/home/pi/.config/app/settings"), Attributes { mode: 0o600, uid: 1000, gid: 986 });
    assert_eq!(root.mode("/home/pi/.config/app"), 0o755);
    assert_eq!(root.text_of("/usr/lib/x/program").unwrap(), "#!/bin/sh\n");
    assert_eq!(attributes(&plan, "/usr/lib/x/program"), Attributes { mode: 0o755, uid: 7, gid: 0 });
    assert!(root.host("/lib").symlink_metadata().unwrap().is_symlink(), "the link was replaced");
    assert!(boot.has("/ssh") && !root.has("/ssh"));
}

#[test]
fn a_link_never_leads_out_of_the_image() {
    let root = image();
    propose(&root, &HostTree::boot(), "[[file]]\npath = \"/escape/cardsmith-test\"\ntext = \"x\"\n").unwrap();
    assert!(root.has("/tmp/outside/cardsmith-test"));
    assert!(!PathBuf::from("/tmp/outside/cardsmith-test").exists());
    // A link in the last place is replaced, not followed.
    root.link("/etc/resolv.conf", "../run/resolv.conf");
    let plan = propose(&root, &HostTree::boot(), "[[file]]\npath = \"/etc/resolv.conf\"\ntext = \"x\"\n").unwrap();
    assert!(root.host("/etc/resolv.conf").symlink_metadata().unwrap().is_file() && !root.has("/run/resolv.conf"));
    assert!(plan.findings.iter().any(|finding| finding.text.contains("is a symbolic link")));
}

#[test]
fn what_cannot_be_added_is_refused_with_the_next_step() {
    for (entry, says) in [
        ("path = \"/../etc/x\"\ntext = \"\"", "\"..\""),
        ("path = \"etc/x\"\ntext = \"\"", "absolute"),
        ("path = \"/\"\ntext = \"\"", "root directory"),
        ("path = \"/usr/lib/x\"\ntext = \"\"", "is a directory in the image"),
        ("path = \"/etc/passwd/x\"\ntext = \"\"", "not a directory"),
        ("path = \"/x\"\ntext = \"\"\nmode = \"0999\"", "mode"),
        ("path = \"/x\"\ntext = \"\"\nowner = \"nobody-here\"", "/etc/passwd does not have"),
        ("path = \"/x\"\ntext = \"\"\ngroup = \"nogroup-here\"", "/etc/group does not have"),
        ("path = \"/x\"\nsource = \"missing\"", "cannot be read"),
        ("path = \"/x\"\nsource = \"folder\"", "is a directory"),
        ("path = \"/x\"\nsource = \"motd\"\ntext = \"\"", "exactly one place"),
        ("path = \"/x\"", "exactly one place"),
        ("path = \"/a:b\"\ntext = \"\"\nvolume = \"boot\"", "FAT cannot hold"),
        ("path = \"/var/lib/cardsmith/activation\"\ntext = \"\"", "one activation on every card"),
        ("path = \"/etc/sudoers.d/x\"\ntext = \"pi ALL=(ALL\\n\"", "sudo understands"),
        ("path = \"/x\"\ntext = \"1\"\n[[file]]\npath = \"//x\"\ntext = \"2\"", "stands twice"),
        ("path = \"/lib/y\"\ntext = \"1\"\n[[file]]\npath = \"/usr/lib/y\"\ntext = \"2\"", "stands twice"),
    ] {
        let root = image();
        let before = root.paths();
        let error = propose(&root, &HostTree::boot(), &format!("[[file]]\n{entry}\n")).err().expect(entry);
        let text = error.to_string();
        assert!(text.contains(says), "{entry}: {text:?} does not say {says:?}");
        match &error {
            StepError::Refused { next, .. } | StepError::HostFile { next, .. } => assert!(!next.is_empty()),
            _ => {}
        }
        assert_eq!(root.paths(), before, "{entry}: something was written");
    }
}

#[test]
fn risky_files_are_added_and_pointed_out() {
    for (entry, says) in [
        ("path = \"/usr/bin/x\"\ntext = \"\"\nmode = \"4755\"", "setuid"),
        ("path = \"/etc/x\"\ntext = \"\"\nmode = \"0666\"", "every user"),
        ("path = \"/etc/sudoers.d/x.conf\"\ntext = \"\"\nmode = \"0440\"", "dot in the name"),
        ("path = \"/etc/sudoers.d/x\"\ntext = \"\"\nmode = \"0464\"\ngroup = \"pi\"", "sudo refuses"),
        ("path = \"/x\"\ntext = \"\"\nmode = \"0600\"\nvolume = \"boot\"", "FAT keeps neither"),
    ] {
        let plan = propose(&image(), &HostTree::boot(), &format!("[[file]]\n{entry}\n")).unwrap();
        assert!(plan.findings.iter().any(|finding| finding.text.contains(says)), "{entry}: {:?}", plan.findings);
    }
}
