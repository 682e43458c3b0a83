//! What acts at the first boot, and the settings that steps cut pieces out of: cloud-init, Imager's files, wpa_supplicant,
//! netplan, NetworkManager, sshd, fstab.

use std::path::Path;
use std::sync::OnceLock;

use cardsmith::fs::ImagePath;
use cardsmith::golden::apply::apply;
use cardsmith::golden::plan;
use cardsmith::inspect::facts;
use cardsmith::prepare::{Change, Plan};
use cardsmith::recipe::{LoadedRecipe, parse};

use super::ext4::CLOCK;
use super::mem_tree::{MemTree, pi_root, pieces};

const RECIPE: &str = r#"
name = "fuzz"
[image]
source = "base.img"
[strip]
also = ["wifi", "authorized-keys"]
[sudo]
lockout = "accept"
[user]
name = "maintainer"
password-hash = "$6$saltsalt$FZY4tZrI4G/UfxgxzYZussgZLI7IeLibGyn1HnH.yefSJp3qIt8g8lLkNA87h73eCEWxeHyiXbQSOsLzkzSYZ1"
[ssh]
enabled = true
password-login = false
[locale]
time-zone = "Europe/Berlin"
keyboard = "de"
[card]
name = "kiosk-{serial}"
[boot]
config = ["dtparam=audio=off"]
cmdline = ["quiet"]
"#;

/// Pieces named by their path, `boot:/user-data` for the boot partition; what has no name is that one. A plan can be
/// carried out, and is the last one: the image that it gives needs nothing more.
pub fn run(input: &[u8]) {
    let (root, boot) = (pi_root(), MemTree::new("boot"));
    boot.file("/config.txt", 0o644, "dtparam=audio=on\n")
        .file("/cmdline.txt", 0o644, "console=tty1 root=PARTUUID=4f2a9c31-02 rootwait\n")
        .file("/kernel8.img", 0o644, "MZ");
    for (name, piece) in pieces(input) {
        let name = if name.is_empty() { "boot:/user-data" } else { std::str::from_utf8(name).unwrap_or("/") };
        let (tree, path) = match name.strip_prefix("boot:") {
            Some(path) => (&boot, path),
            None => (&root, name),
        };
        if path.len() < 100 && ImagePath::new(path).is_ok_and(|path| path.name().is_some()) {
            tree.file(path, 0o644, piece);
        }
    }
    let _ = facts(&root, &boot);
    let Some(first) = planned(&root, &boot) else { return };
    if first.blockers().next().is_some() {
        return;
    }
    apply(&first, &root, &boot).unwrap_or_else(|error| panic!("a plan that cannot be carried out: {error}"));
    let Some(second) = planned(&root, &boot) else { panic!("planned once, and refused the second time") };
    no_more(&second);
}

/// A plan for what was planned for already has nothing to change.
pub fn no_more(plan: &Plan) {
    let Some(edit) = plan.edits.first() else { return };
    let (before, after) = match &edit.change {
        Change::Write { content, .. } => (
            String::from_utf8_lossy(edit.before.as_deref().unwrap_or_default()),
            String::from_utf8_lossy(content.held()),
        ),
        _ => Default::default(),
    };
    panic!("made once, and {} is changed again ({}):\n{before}--- becomes ---\n{after}", edit.path, edit.reason.text);
}

fn planned(root: &MemTree, boot: &MemTree) -> Option<Plan> {
    static RECIPE_READ: OnceLock<LoadedRecipe> = OnceLock::new();
    let recipe =
        RECIPE_READ.get_or_init(|| parse(RECIPE, Path::new("/nowhere/fuzz.toml")).expect("the recipe is right"));
    plan(root, boot, recipe, CLOCK).ok()
}
