//! Our reader of sudoers against sudo itself: on every set of the corpus, for every user, the same answer.

mod corpus;
mod oracle;

use std::fmt::Write as _;

use cardsmith::sudoers::{Accounts, Command, Decision, Host, Policy, ProblemKind};

use crate::support;
use corpus::{Answer, Set};

/// What our reader says to a probe.
fn our_answer(set: &Set, policy: &Policy, accounts: &Accounts, probe: &corpus::Probe) -> Answer {
    let who = accounts.user(probe.user.as_bytes()).expect("a user of the corpus");
    let command = Command::find(set, &probe.command, probe.arguments.as_deref()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    match policy.decide(who, &Host::new(corpus::HOST), &command, Some(now.try_into().unwrap())) {
        Decision::No => Answer::No,
        Decision::Password(_) => Answer::Password,
        Decision::NoPassword => Answer::NoPassword,
    }
}

#[test]
fn sudo_and_we_agree_on_every_awkward_sudoers_file() {
    if !(support::need("sudo") && support::need("visudo") && support::need("unshare") && support::need("setpriv")) {
        return;
    }
    if !support::need_root() {
        return;
    }
    let sets = corpus::load();
    assert!(sets.len() >= 60, "the corpus has only {} sets", sets.len());
    let theirs = oracle::ask(&sets);
    let accounts = Accounts::parse(corpus::PASSWD.as_bytes(), corpus::GROUP.as_bytes(), corpus::SHADOW.as_bytes());
    let (mut wrong, mut asked, mut seen) = (String::new(), 0, [0; 3]);
    for (set, theirs) in sets.iter().zip(&theirs) {
        let policy = Policy::read(set, "/etc/sudoers", corpus::HOST.as_bytes()).unwrap();
        for (probe, their) in set.probes.iter().zip(&theirs.answers) {
            let our = our_answer(set, &policy, &accounts, probe);
            asked += 1;
            seen[our as usize] += 1;
            if our != *their {
                writeln!(wrong, "{}: {probe:?}: sudo says {their:?}, we say {our:?}", set.name).unwrap();
            }
        }
        // visudo fails where sudo finds a mistake, and for more than that (options that it does not know).
        let mistakes: Vec<_> = policy.problems.iter().filter(|p| p.kind != ProblemKind::Unread).collect();
        if theirs.visudo_accepts && !mistakes.is_empty() {
            writeln!(wrong, "{}: visudo accepts what we call wrong: {mistakes:?}", set.name).unwrap();
        }
        if !theirs.visudo_accepts && policy.problems.is_empty() && !set.only_visudo_minds {
            writeln!(wrong, "{}: visudo refuses, we see nothing wrong", set.name).unwrap();
        }
    }
    eprintln!("{} sets, {asked} questions: {} no, {} password, {} no password", sets.len(), seen[0], seen[1], seen[2]);
    assert!(seen.iter().all(|&n| n > 20), "the corpus asks too little: {seen:?}");
    assert_eq!(wrong, "");
}
