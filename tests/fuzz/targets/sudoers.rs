//! sudoers: how it is read, and that hardening holds.

use cardsmith::fs::ImagePath;
use cardsmith::golden::apply::apply;
use cardsmith::harden::sudoers::HardenSudo;
use cardsmith::inspect::facts;
use cardsmith::prepare::{Step, View};
use cardsmith::recipe::schema::{Lockout, Sudo};
use cardsmith::sudoers::{Accounts, Command, Decision, Host, Policy, TreeFiles};

use super::first_boot::no_more;
use super::mem_tree::{MemTree, pi_root, pieces};

/// Pieces named by their path; what has no name is /etc/sudoers.d/fuzz. Once the plan of hardening is carried out, nobody
/// gets a shell without a password, no rule says so, and there is nothing left to change.
pub fn run(input: &[u8]) {
    let root = pi_root();
    for (name, piece) in pieces(input) {
        let path = if name.is_empty() { b"/etc/sudoers.d/fuzz" } else { name };
        let is_new = |path: &str| ImagePath::new(path).is_ok_and(|path| path.name().is_some());
        match std::str::from_utf8(path) {
            // Names of this length and depth are for the file systems' own targets.
            Ok(path) if is_new(path) && path.len() < 100 => {
                root.file(path, if path.contains("sudo") { 0o440 } else { 0o644 }, piece)
            }
            _ => continue,
        };
    }
    let boot = MemTree::new("boot");
    if let Ok(policy) = Policy::read(&TreeFiles(&root), "/etc/sudoers", b"raspberrypi") {
        for rule in &policy.rules {
            let _ = (policy.place(rule.span), policy.excerpt(rule.span));
        }
        decisions(&root, &policy);
    }
    let sudo = Sudo { lockout: Lockout::Accept, ..Sudo::default() };
    let mut view = View::new(&root, &boot);
    view.enter("sudoers");
    if HardenSudo::new(&sudo).propose(&mut view).is_err() {
        return;
    }
    let plan = view.into_plan();
    apply(&plan, &root, &boot).unwrap_or_else(|error| panic!("a plan that cannot be carried out: {error}"));

    let policy = Policy::read(&TreeFiles(&root), "/etc/sudoers", b"raspberrypi").expect("it was read before");
    for (who, decision) in decisions(&root, &policy) {
        assert!(decision != Decision::NoPassword, "{} needs no password still", who.escape_ascii());
    }
    let found = facts(&root, &boot).expect("it was read before");
    assert!(found.nopasswd.is_empty(), "rules without a password are left: {:?}", found.nopasswd);

    let mut view = View::new(&root, &boot);
    view.enter("sudoers");
    HardenSudo::new(&sudo).propose(&mut view).unwrap_or_else(|error| panic!("hardened once, and refused: {error}"));
    no_more(&view.into_plan());
}

/// What each account but root gets.
fn decisions(root: &MemTree, policy: &Policy) -> Vec<(Vec<u8>, Decision)> {
    let Ok(accounts) = Accounts::read(&TreeFiles(root)) else { return Vec::new() };
    let shells: Vec<Command> = ["/bin/bash", "/bin/sh", "/usr/bin/bash"]
        .iter()
        .filter_map(|shell| Command::find(&TreeFiles(root), shell, None).ok())
        .collect();
    let host = Host::new("raspberrypi");
    let others = accounts.users.iter().filter(|user| user.uid != 0).take(50);
    others.map(|user| (user.name.clone(), policy.can_become_root(user, &host, &shells))).collect()
}
