//! sudo itself, in a root of its own: private mount, network, host name and process namespaces, a machine's /usr bound
//! read-only (this one's, or that of a mounted image), and an /etc that is made anew for every set. Nothing of this machine's /etc is seen or touched.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::corpus::{Answer, GROUP, HOST, Node, PASSWD, SHADOW, Set};

pub struct Answers {
    /// In the order of the set's probes.
    pub answers: Vec<Answer>,
    /// What `visudo -c` says to all of it.
    pub visudo_accepts: bool,
    /// The changed files that `visudo -cf` refuses.
    pub refused_files: Vec<String>,
}

/// Where the files of a set are.
pub enum Laid<'s> {
    /// In the corpus.
    Corpus(&'s Set),
    /// In a directory, after something was done to them.
    Image { set: &'s Set, etc: PathBuf, changed: &'s [String] },
}

impl Laid<'_> {
    fn set(&self) -> &Set {
        match self {
            Laid::Corpus(set) | Laid::Image { set, .. } => set,
        }
    }
}

const OUTSIDE: &str = r#"
set -eu
stage=$1 root=$1/root
mkdir -p "$root"
mount -t tmpfs none "$root"
cd "$root"
mkdir -p usr etc proc dev tmp run root var/lib/sudo stage
mount --rbind "$2" usr
mount -o remount,bind,ro usr
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$stage" stage
hostname raspberrypi
exec chroot "$root" /bin/sh /stage/inside.sh
"#;

const INSIDE: &str = r#"
set -uf
refused='not allowed to execute|not allowed to run sudo|may not run sudo|not in the sudoers file|no valid sudoers|not allowed to sudo|error initializing audit plugin'
ready() { set +f; rm -rf /etc/*; set -f; cp -a /stage/base/. /etc/; cp -a "/stage/sets/$1/." /etc/; rm -rf /run/sudo; }
for set in $(ls /stage/sets); do
    ready "$set"
    visudo -c >/tmp/visudo 2>&1; echo "$set visudo $?"
    while IFS= read -r file; do
        visudo -cf "$file" >/tmp/visudo 2>&1 || echo "$set refused $file: $(head -n 1 /tmp/visudo)"
    done <"/stage/changed/$set"
    while IFS='	' read -r uid gid user command; do
        setpriv --reuid "$uid" --regid "$gid" --init-groups sudo -n -u root -- $command </dev/null >/dev/null 2>/tmp/errors
        answer=nopassword
        if grep -q 'a password is required' /tmp/errors; then
            # -n says so before it says whether the command is allowed at all. PAM takes any password here.
            answer=password
            setpriv --reuid "$uid" --regid "$gid" --init-groups sudo -k -u root -- $command </dev/null >/dev/null 2>/tmp/errors
        fi
        if grep -qE "$refused" /tmp/errors; then answer=no; fi
        echo "$set answer $answer"
    done <"/stage/probes/$set"
done
"#;

/// Whose sudo is asked.
pub struct Machine {
    /// The directory that becomes `/`, of which only `/usr` and parts of `/etc` are taken.
    pub root: PathBuf,
}

/// Asks this machine's sudo every question of every set.
pub fn ask(sets: &[Laid<'_>]) -> Vec<Answers> {
    ask_on(&Machine { root: PathBuf::from("/") }, sets)
}

/// Asks another machine's sudo.
pub fn ask_on(machine: &Machine, sets: &[Laid<'_>]) -> Vec<Answers> {
    let stage = tempfile::tempdir().unwrap();
    let at = stage.path();
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
    base(&machine.root.join("etc"), &at.join("base"));
    for directory in ["sets", "probes", "changed"] {
        std::fs::create_dir(at.join(directory)).unwrap();
    }
    for (index, laid) in sets.iter().enumerate() {
        let place = at.join(format!("sets/{index:03}"));
        let changed = match laid {
            Laid::Corpus(set) => {
                lay_out(&place, set);
                String::new()
            }
            Laid::Image { etc, changed, .. } => {
                let copied = std::process::Command::new("cp").arg("-a").arg(etc).arg(&place).status().unwrap();
                assert!(copied.success());
                let sudo = changed.iter().filter(|path| !path.ends_with("/group") && !path.ends_with("/gshadow"));
                sudo.map(|path| format!("{path}\n")).collect()
            }
        };
        std::fs::write(at.join(format!("changed/{index:03}")), changed).unwrap();
        std::fs::write(at.join(format!("probes/{index:03}")), questions(laid.set())).unwrap();
    }
    std::fs::write(at.join("inside.sh"), INSIDE).unwrap();
    std::fs::write(at.join("outside.sh"), OUTSIDE).unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh"])
        .arg(at.join("outside.sh"))
        .arg(at)
        .arg(machine.root.join("usr"))
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "the oracle did not run: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Answers> = (0..sets.len()).map(|index| answers(&text, &format!("{index:03}"))).collect();
    for (set, answers) in sets.iter().map(Laid::set).zip(&answers) {
        assert_eq!(answers.answers.len(), set.probes.len(), "{}: not every question was answered", set.name);
    }
    answers
}

fn answers(text: &str, set: &str) -> Answers {
    let mut answers = Answers { answers: Vec::new(), visudo_accepts: false, refused_files: Vec::new() };
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [name, "visudo", code] if *name == set => answers.visudo_accepts = *code == "0",
            [name, "refused", file @ ..] if *name == set => answers.refused_files.push(file.join(" ")),
            [name, "answer", answer] if *name == set => answers.answers.push(match *answer {
                "no" => Answer::No,
                "password" => Answer::Password,
                "nopassword" => Answer::NoPassword,
                other => panic!("an answer {other:?}"),
            }),
            _ => {}
        }
    }
    answers
}

/// An /etc with the users, a PAM that takes any password, and nothing that needs a network.
fn base(from: &Path, etc: &Path) {
    std::fs::create_dir_all(etc.join("pam.d")).unwrap();
    let short = HOST.split('.').next().unwrap();
    for (path, content) in [
        ("passwd", PASSWD),
        ("group", GROUP),
        ("shadow", SHADOW),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files\nnetgroup: files\nsudoers: files\n",
        ),
        ("hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {HOST} {short}\n")),
        ("pam.d/sudo", "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n"),
    ] {
        std::fs::write(etc.join(path), content).unwrap();
    }
    std::fs::copy(from.join("ld.so.cache"), etc.join("ld.so.cache")).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join("alternatives")).arg(etc).status().unwrap();
    assert!(copied.success());
}

pub fn lay_out(at: &Path, set: &Set) {
    std::fs::create_dir_all(at).unwrap();
    for (path, node) in &set.nodes {
        let place = at.join(path.strip_prefix("/etc/").expect("every file of the corpus is in /etc"));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        match node {
            Node::File { content, mode, uid, gid } => {
                std::fs::write(&place, content).unwrap();
                chown(&place, Some(*uid), Some(*gid)).unwrap();
                std::fs::set_permissions(&place, std::fs::Permissions::from_mode(u32::from(*mode))).unwrap();
            }
            Node::Directory { mode } => {
                std::fs::create_dir_all(&place).unwrap();
                std::fs::set_permissions(&place, std::fs::Permissions::from_mode(u32::from(*mode))).unwrap();
            }
            Node::Link { target } => symlink(target, &place).unwrap(),
        }
    }
}

fn questions(set: &Set) -> String {
    let ids = |user: &str| {
        let line = PASSWD.lines().find(|line| line.split(':').next() == Some(user)).expect("a user of the corpus");
        let fields: Vec<&str> = line.split(':').collect();
        format!("{}\t{}", fields[2], fields[3])
    };
    set.probes
        .iter()
        .map(|probe| {
            let arguments = probe.arguments.as_ref().map(|text| format!(" {text}")).unwrap_or_default();
            format!("{}\t{}\t{}{arguments}\n", ids(&probe.user), probe.user, probe.command)
        })
        .collect()
}
