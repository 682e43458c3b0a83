//! Our reader of sudoers against sudo itself: on every set of the corpus, for every user, the same answer.

mod corpus;
mod oracle;

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};

use cardsmith::harden::sudoers::HardenSudo;
use cardsmith::prepare::{Change, Step as _, View};
use cardsmith::recipe::schema::{Lockout, Sudo};
use cardsmith::sudoers::{Accounts, Command, Decision, Host, Policy, ProblemKind};

use crate::support;
use crate::support::host_tree::{HostTree, carry_out};
use crate::support::mounted::Mounted;
use crate::support::volume::Volume;
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

fn can_ask_sudo() -> bool {
    ["sudo", "visudo", "unshare", "setpriv"].iter().all(|tool| support::need(tool)) && support::need_root()
}

#[test]
fn sudo_and_we_agree_on_every_awkward_sudoers_file() {
    if !can_ask_sudo() {
        return;
    }
    let sets = corpus::load();
    assert!(sets.len() >= 60, "the corpus has only {} sets", sets.len());
    let theirs = oracle::ask(&sets.iter().map(oracle::Laid::Corpus).collect::<Vec<_>>());
    assert_agreement(&sets, &theirs, 20);
}

/// The same question to every set as the Pi's own sudo answers it: the arm64 program of the bootable image, under
/// qemu-user. One question per set, another one from set to set, because every answer takes half a second.
#[test]
fn the_sudo_of_the_pi_image_agrees_too() {
    let tools = ["mmdebstrap", "qemu-aarch64-static"].iter().all(|tool| support::need(tool));
    if !tools || !can_ask_sudo() {
        return;
    }
    let image = support::guest::pi_image(true);
    let mounted = Mounted::read_only(&Volume::root_of(&image));
    let _programs = SetuidPrograms::of_arm64();
    let mut sets = corpus::load();
    for (index, set) in sets.iter_mut().enumerate() {
        let probe = set.probes.swap_remove(index % set.probes.len());
        set.probes = vec![probe];
    }
    let machine = oracle::Machine { root: mounted.path().to_owned() };
    let theirs = oracle::ask_on(&machine, &sets.iter().map(oracle::Laid::Corpus).collect::<Vec<_>>());
    assert_agreement(&sets, &theirs, 5);

    let images: Vec<HostTree> = sets.iter().map(as_image).collect();
    let changed: Vec<Vec<String>> = images.iter().map(harden).collect();
    let hardened = sets.iter().zip(&images).zip(&changed);
    let hardened =
        hardened.map(|((set, image), changed)| oracle::Laid::Image { set, etc: image.host("/etc"), changed });
    let after = oracle::ask_on(&machine, &hardened.collect::<Vec<_>>());
    for (set, after) in sets.iter().zip(&after) {
        assert!(!after.answers.contains(&Answer::NoPassword), "{}: root without a password after hardening", set.name);
    }
}

/// Debian registers qemu-user without the flag that makes setuid programs setuid, and sudo is nothing without it. For
/// the time of a test there is a second entry with it (Documentation/admin-guide/binfmt-misc.rst, `C`).
struct SetuidPrograms(String);

impl SetuidPrograms {
    fn of_arm64() -> SetuidPrograms {
        let known = std::fs::read_to_string("/proc/sys/fs/binfmt_misc/qemu-aarch64").expect("arm64 programs run here");
        let interpreter = known.lines().find_map(|line| line.strip_prefix("interpreter ")).unwrap();
        let name = format!("cardsmith-test-{}", std::process::id());
        let magic = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
        let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
        let entry = format!(":{name}:M::{magic}:{mask}:{interpreter}:POCF");
        std::fs::write("/proc/sys/fs/binfmt_misc/register", entry).unwrap();
        SetuidPrograms(name)
    }
}

impl Drop for SetuidPrograms {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("/proc/sys/fs/binfmt_misc/{}", self.0), "-1");
    }
}

/// sudo and we say the same to every question; each kind of answer comes up more than `least` times.
#[track_caller]
fn assert_agreement(sets: &[Set], theirs: &[oracle::Answers], least: usize) {
    let accounts = Accounts::parse(corpus::PASSWD.as_bytes(), corpus::GROUP.as_bytes(), corpus::SHADOW.as_bytes());
    let (mut wrong, mut asked, mut seen) = (String::new(), 0, [0; 3]);
    for (set, theirs) in sets.iter().zip(theirs) {
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
    assert!(seen.iter().all(|&n| n > least), "the corpus asks too little: {seen:?}");
    assert_eq!(wrong, "");
}

#[test]
fn no_bytes_make_the_reader_panic_or_point_outside_a_file() {
    // A small generator with a fixed seed: the same damage on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let accounts = Accounts::parse(corpus::PASSWD.as_bytes(), corpus::GROUP.as_bytes(), corpus::SHADOW.as_bytes());
    let host = Host::new(corpus::HOST);
    for set in corpus::load().iter().filter(|set| !set.name.contains("long-line")) {
        let command = Command::find(set, "/usr/bin/id", None).unwrap();
        let contents = set.nodes.values().filter_map(|node| match node {
            corpus::Node::File { content, .. } => Some(content),
            _ => None,
        });
        for content in contents {
            for _ in 0..40 {
                let mut bytes = content.clone();
                for _ in 0..=random(4) {
                    let at = random(bytes.len() + 1);
                    match random(4) {
                        0 => bytes.truncate(at),
                        1 => bytes.insert(at, *b"\\\n\0\"#!,:=()%+@ \t\r^$".get(random(20)).unwrap_or(&0xff)),
                        2 if at < bytes.len() => drop(bytes.remove(at)),
                        _ => bytes.extend_from_within(at..),
                    }
                }
                let policy = Policy::of_text("/etc/sudoers", &bytes);
                for span in
                    policy.rules.iter().map(|rule| rule.span).chain(policy.problems.iter().filter_map(|p| p.span))
                {
                    assert!(span.start <= span.end && span.end <= bytes.len(), "{}: {span:?} in {bytes:?}", set.name);
                }
                for who in &accounts.users {
                    policy.decide(who, &host, &command, None);
                }
            }
        }
    }
}

#[test]
fn files_made_to_keep_a_reader_busy_do_not() {
    let everything = |text: String| {
        let policy = Policy::of_text("/etc/sudoers", text.as_bytes());
        let accounts = Accounts::parse(corpus::PASSWD.as_bytes(), corpus::GROUP.as_bytes(), b"");
        let set = corpus::load().remove(0);
        let command = Command::find(&set, "/usr/bin/id", None).unwrap();
        policy.decide(accounts.user(b"pi").unwrap(), &Host::new(corpus::HOST), &command, None)
    };
    // Aliases that double at every step, a chain that is deep, and one long line.
    let doubling: String = (0..200).map(|n| format!("User_Alias A{n} = A{}, A{}\n", n + 1, n + 1)).collect();
    assert_eq!(everything(doubling + "A0 ALL=(ALL) ALL\n"), Decision::No);
    let chain: String = (0..20_000).map(|n| format!("User_Alias A{n} = A{}\n", n + 1)).collect();
    assert_eq!(everything(chain + "A0 ALL=(ALL) ALL\n"), Decision::No);
    assert_eq!(everything("!".repeat(500_001)), Decision::No);
    assert_eq!(everything("(".repeat(500_000)), Decision::No);
    assert_eq!(everything("pi ALL=(ALL) ^".to_owned() + &"\\$".repeat(200_000)), Decision::No);
}

/// The set in a directory that is an image's root, with programs to ask for.
fn as_image(set: &Set) -> HostTree {
    let root = HostTree::root();
    oracle::lay_out(&root.host("/etc"), set);
    root.file("/etc/passwd", 0o644, corpus::PASSWD)
        .file("/etc/group", 0o644, corpus::GROUP)
        .file("/etc/shadow", 0o640, corpus::SHADOW)
        .file("/etc/hostname", 0o644, corpus::HOST)
        .file("/usr/bin/sudo", 0o4755, "sudo")
        .link("/bin", "usr/bin");
    for program in ["id", "sh"] {
        root.file(&format!("/usr/bin/{program}"), 0o755, std::fs::read(format!("/usr/bin/{program}")).unwrap());
    }
    root
}

/// Hardens it as a golden image is. Returns the files of sudo that changed.
fn harden(root: &HostTree) -> Vec<String> {
    let boot = HostTree::boot();
    let sudo = Sudo { lockout: Lockout::Accept, ..Sudo::default() };
    let mut view = View::new(root, &boot);
    view.enter("sudoers");
    HardenSudo::new(&sudo).propose(&mut view).unwrap();
    let plan = view.into_plan();
    carry_out(&plan, root, &boot);
    let mut changed = Vec::new();
    for edit in &plan.edits {
        if let Change::Write { attributes, .. } = &edit.change {
            let path = edit.path.to_string();
            chown(root.host(&path), Some(attributes.uid), Some(attributes.gid)).unwrap();
            changed.push(path);
        }
    }
    changed
}

#[test]
fn hardening_asks_everybody_for_a_password_and_takes_nothing_else_away() {
    if !can_ask_sudo() {
        return;
    }
    let sets = corpus::load();
    let images: Vec<HostTree> = sets.iter().map(as_image).collect();
    let changed: Vec<Vec<String>> = images.iter().map(harden).collect();
    let before = oracle::ask(&sets.iter().map(oracle::Laid::Corpus).collect::<Vec<_>>());
    let hardened = sets.iter().zip(&images).zip(&changed);
    let after = hardened.map(|((set, image), changed)| oracle::Laid::Image { set, etc: image.host("/etc"), changed });
    let after = oracle::ask(&after.collect::<Vec<_>>());
    let mut wrong = String::new();
    for (((set, image), before), after) in sets.iter().zip(&images).zip(&before).zip(&after) {
        for ((probe, before), after) in set.probes.iter().zip(&before.answers).zip(&after.answers) {
            let expected = match before {
                _ if probe.user == "ssm-user" => Answer::No,
                Answer::No => Answer::No,
                Answer::Password | Answer::NoPassword => Answer::Password,
            };
            if *after != expected {
                writeln!(wrong, "{}: {probe:?}: {before:?} became {after:?}, not {expected:?}", set.name).unwrap();
            }
        }
        if before.visudo_accepts && !after.visudo_accepts {
            writeln!(wrong, "{}: visudo accepted it before, and no longer does", set.name).unwrap();
        }
        for file in &after.refused_files {
            if !set.only_visudo_minds {
                let text = image.text_of(file.split(':').next().unwrap()).unwrap_or_default();
                writeln!(wrong, "{}: visudo -cf refuses what was written: {file}\n{text}", set.name).unwrap();
            }
        }
    }
    assert_eq!(wrong, "");
    // Doing it again changes nothing.
    for (set, image) in sets.iter().zip(&images) {
        assert_eq!(harden(image), [""; 0], "{}", set.name);
        let agent_users = image.host("/etc/sudoers.d/ssm-agent-users").symlink_metadata().unwrap();
        assert_eq!((agent_users.mode(), agent_users.uid(), agent_users.gid()), (0o100_440, 0, 0));
    }
}
